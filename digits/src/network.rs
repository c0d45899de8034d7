//! The network: a multi-layer perceptron that reads 28 x 28 pixels, its settings, and both in a file.

use std::{fmt, fs, path::Path};

use plies_autograd::{Var, no_grad};
use plies_nn::{
    Activation, Checkpoint, CheckpointError, Mlp, Module, Pass,
    data::Augment,
    optim::{Adam, Optimizer, Regularized},
};
use plies_tensor::{Rng, Tensor};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use thiserror::Error;

use crate::{
    idx::{N_CLASSES, PIXELS},
    speller,
};

/// The largest layer that is built.
pub const MAX_WIDTH: usize = 16_384;
/// The most hidden layers that are built.
pub const MAX_LAYERS: usize = 16;
/// How far the elastic field is smoothed, in pixels.
pub const ELASTIC_SIGMA: f64 = 4.0;
/// A longer file than this is no network of ours.
const MAX_FILE: u64 = 4 << 30;

/// The key of a checkpoint's metadata under which the settings stand, as JSON.
const SETTINGS: &str = "digits.settings";

/// What a network is and how it is trained. Equal settings and data give equal networks, to the
/// last bit, on any number of threads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Units of each hidden layer, first to last; none makes softmax regression.
    pub hidden: Vec<usize>,
    /// The non-linearity after each hidden layer.
    #[serde(with = "activation_name")]
    pub activation: Activation,
    /// The share of the hidden units that is dropped while training.
    pub dropout: f64,
    /// The share of the pixels that is dropped while training.
    pub input_dropout: f64,
    /// Passes over the training set that the learning rate's decay is laid out for.
    pub epochs: usize,
    /// Examples of a step.
    pub batch_size: usize,
    /// Learning rate of Adam at the start; it falls to 0 along half a cosine.
    pub lr: f64,
    /// Each training image is shifted at random by at most this many pixels along each axis, anew
    /// in each epoch.
    pub shift: usize,
    /// Before that it is turned by at most so many degrees either way.
    pub rotate: f64,
    /// It is leant by at most so many degrees.
    pub shear: f64,
    /// It is made larger or smaller by at most this share.
    pub scale: f64,
    /// It is bent by an elastic field of this strength, smoothed over [`ELASTIC_SIGMA`] pixels (Simard et al. 2003).
    pub elastic: f64,
    /// The penalty λ Σ|w| on the weights.
    pub l1: f64,
    /// The penalty λ/2 Σw² on the weights.
    pub l2: f64,
    /// The largest norm of the weights that come in at a unit; 0 for any.
    pub max_norm: f64,
    /// Examples held out of the end of the training set to choose the best epoch by.
    pub validation: usize,
    /// Only the first so many training examples are used; 0 for all.
    pub limit: usize,
    /// Where all random numbers start.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            hidden: vec![512, 256],
            activation: Activation::Relu,
            dropout: 0.0,
            input_dropout: 0.0,
            epochs: 10,
            batch_size: 128,
            lr: 0.0015,
            shift: 1,
            rotate: 0.0,
            shear: 0.0,
            scale: 0.0,
            elastic: 0.0,
            l1: 0.0,
            l2: 0.0,
            max_norm: 0.0,
            validation: 0,
            limit: 0,
            seed: 1,
        }
    }
}

mod activation_name {
    use plies_nn::Activation;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(a: &Activation, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(a.name())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Activation, D::Error> {
        String::deserialize(d)?.parse().map_err(D::Error::custom)
    }
}

/// The layers by their sizes, and the activation: `784-512-256-10 relu`.
impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sizes: Vec<String> = self.sizes().iter().map(usize::to_string).collect();
        write!(f, "{} {}", sizes.join("-"), self.activation)
    }
}

impl Settings {
    /// Inputs, hidden layers and outputs.
    pub fn sizes(&self) -> Vec<usize> {
        [&[PIXELS], &self.hidden[..], &[N_CLASSES]].concat()
    }

    /// The number of trained numbers.
    pub fn parameters(&self) -> usize {
        self.sizes().windows(2).map(|pair| pair[0] * pair[1] + pair[1]).sum()
    }

    /// What is wrong with these settings, if anything.
    ///
    /// # Errors
    /// The first setting that is out of its range, by name.
    pub fn check(&self) -> Result<(), String> {
        let share = |name: &str, value: f64| {
            if (0.0..1.0).contains(&value) {
                Ok(())
            } else {
                Err(format!("{name} {value} is not a share from 0 to below 1"))
            }
        };
        if self.hidden.len() > MAX_LAYERS {
            return Err(format!("{} hidden layers are more than {MAX_LAYERS}", self.hidden.len()));
        }
        if let Some(width) = self.hidden.iter().find(|width| !(1..=MAX_WIDTH).contains(width)) {
            return Err(format!("a hidden layer of {width} units is not in 1 to {MAX_WIDTH}"));
        }
        share("dropout", self.dropout)?;
        share("input dropout", self.input_dropout)?;
        if !(1..=100_000).contains(&self.epochs) {
            return Err(format!("{} epochs are not in 1 to 100000", self.epochs));
        }
        if !(1..=65_536).contains(&self.batch_size) {
            return Err(format!("a batch of {} is not in 1 to 65536", self.batch_size));
        }
        if !(self.lr > 0.0 && self.lr <= 100.0) {
            return Err(format!("a learning rate of {} is not above 0 and at most 100", self.lr));
        }
        if self.shift > 8 {
            return Err(format!("a shift of {} pixels is more than 8", self.shift));
        }
        for (name, value, most) in [
            ("rotate", self.rotate, 180.0),
            ("shear", self.shear, 60.0),
            ("scale", self.scale, 0.9),
            ("elastic", self.elastic, 1000.0),
            ("l1", self.l1, 1.0),
            ("l2", self.l2, 1.0),
            ("max-norm", self.max_norm, 1e6),
        ] {
            if !(0.0..=most).contains(&value) {
                return Err(format!("{name} {value} is not in 0 to {most}"));
            }
        }
        Ok(())
    }

    /// A network of these settings with its first weights.
    pub fn build(&self) -> Network {
        let mut rng = Rng::new(self.seed);
        let mlp = Mlp::new(&self.sizes(), self.activation, &mut rng)
            .dropout(self.input_dropout, self.dropout);
        Network { mlp, settings: self.clone(), epochs_done: 0 }
    }

    /// Everything that is needed to use a network of these settings and to go on training it.
    pub fn checkpoint(
        &self,
        model: &dyn Module,
        optimizer: &dyn Optimizer,
        epochs_done: usize,
    ) -> Checkpoint {
        let mut checkpoint = self.empty_checkpoint();
        checkpoint.put_model(model);
        checkpoint.put_optimizer(optimizer);
        checkpoint.set_epoch(epochs_done);
        checkpoint
    }

    /// The settings alone, for a model to be put beside them.
    pub(crate) fn empty_checkpoint(&self) -> Checkpoint {
        let mut checkpoint = Checkpoint::new();
        let settings = serde_json::to_string(self).expect("plain numbers and names");
        checkpoint.set(SETTINGS, settings);
        checkpoint
    }

    /// The optimiser of these settings.
    pub fn optimizer(&self) -> Regularized {
        let adam = Regularized::new(Adam::new(self.lr)).l1(self.l1).l2(self.l2);
        if self.max_norm > 0.0 { adam.max_norm(self.max_norm) } else { adam }
    }

    /// What bends images [B, 1, 28, 28] while they are learnt from, before they are shifted.
    pub(crate) fn deformations(&self) -> Option<Augment> {
        let Settings { rotate, shear, scale, elastic, .. } = *self;
        ([rotate, shear, scale, elastic] != [0.0; 4]).then(|| {
            let affine = Augment::new().rotate(rotate).shear(shear).scale(1.0 - scale, 1.0 + scale);
            affine.elastic(elastic, ELASTIC_SIGMA)
        })
    }
}

/// A network with its settings.
pub struct Network {
    /// The layers.
    pub mlp: Mlp,
    /// What it is and how it is trained.
    pub settings: Settings,
    /// Complete epochs behind it.
    pub epochs_done: usize,
}

/// Why a file gives no network.
#[derive(Debug, Error)]
pub enum NetworkError {
    /// The file is not there, is damaged, or holds other tensors.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The file is something else than a file of a network.
    #[error("{file}: {reason}")]
    Refused {
        /// The file.
        file: String,
        /// What it is instead.
        reason: String,
    },
}

impl Network {
    /// Reads a network from a file; the checkpoint comes too, for the optimiser in it.
    ///
    /// # Errors
    /// A file that is missing, damaged or of something else.
    pub fn load(file: &Path) -> Result<(Network, Checkpoint), NetworkError> {
        read(file, Network::from_checkpoint)
    }

    fn from_checkpoint(checkpoint: &Checkpoint) -> Result<Network, FromCheckpoint> {
        let Some(settings) = checkpoint.get(SETTINGS) else {
            return Err(FromCheckpoint::Text(other_model(checkpoint)));
        };
        let (settings, epochs_done) = stored(checkpoint, settings, Settings::check)?;
        check_parameters(checkpoint, &settings, settings.parameters())?;
        let mut network = settings.build();
        checkpoint.load_model(&mut network.mlp).map_err(FromCheckpoint::Tensors)?;
        network.epochs_done = epochs_done;
        Ok(network)
    }

    /// The probability of each class for each image.
    ///
    /// # Shapes
    /// x [B, 784] from 0 to 1 -> [B, 10]
    ///
    /// # Errors
    /// A fault of the device.
    pub fn probabilities(&self, x: &Tensor) -> plies_tensor::Result<Vec<[f32; N_CLASSES]>> {
        let logits = no_grad(|| self.mlp.forward(&Var::constant(x.clone()), &mut Pass::eval()));
        let flat = logits.value().softmax(-1).to_vec::<f32>()?;
        Ok(flat.as_chunks::<N_CLASSES>().0.to_vec())
    }
}

/// A model in a file, by what makes one of a checkpoint; the checkpoint comes too.
pub(crate) fn read<M>(
    file: &Path,
    from_checkpoint: impl FnOnce(&Checkpoint) -> Result<M, FromCheckpoint>,
) -> Result<(M, Checkpoint), NetworkError> {
    let refused =
        |reason: String| NetworkError::Refused { file: file.display().to_string(), reason };
    let io = |source| CheckpointError::Io { path: file.to_owned(), source };
    // A device or a pipe may never end.
    let found = fs::metadata(file).map_err(io)?;
    if !found.is_file() {
        return Err(refused("is not a regular file".to_owned()));
    }
    if found.len() > MAX_FILE {
        return Err(refused("is too long for a network of digits".to_owned()));
    }
    let checkpoint = Checkpoint::load(file)?;
    checkpoint.check_finite()?;
    let model = from_checkpoint(&checkpoint).map_err(|error| match error {
        FromCheckpoint::Text(reason) => refused(reason),
        FromCheckpoint::Tensors(error) => NetworkError::Checkpoint(error),
    })?;
    Ok((model, checkpoint))
}

/// The settings that stand in a checkpoint as this text, if they are in range, and the epochs behind it.
pub(crate) fn stored<S: DeserializeOwned>(
    checkpoint: &Checkpoint,
    text: &str,
    check: impl FnOnce(&S) -> Result<(), String>,
) -> Result<(S, usize), FromCheckpoint> {
    let damaged = |what: &dyn fmt::Display| {
        FromCheckpoint::Text(format!("its settings are damaged ({what})"))
    };
    let settings: S = serde_json::from_str(text).map_err(|e| damaged(&e))?;
    check(&settings).map_err(|e| damaged(&e))?;
    let epochs_done = checkpoint.epoch().map_err(|_| damaged(&"epochs"))?;
    Ok((settings, epochs_done))
}

/// Before memory is taken for what the settings promise: is it there?
pub(crate) fn check_parameters(
    checkpoint: &Checkpoint,
    settings: &dyn fmt::Display,
    promised: usize,
) -> Result<(), FromCheckpoint> {
    let tensors = checkpoint.tensors().iter();
    let of_model = tensors.filter(|(name, _)| !name.starts_with("optimizer."));
    let stored: usize = of_model.map(|(_, tensor)| tensor.elem_count()).sum();
    if stored == promised {
        return Ok(());
    }
    Err(FromCheckpoint::Text(format!(
        "its settings say {settings}, which has {promised} parameters, but it holds {stored}"
    )))
}

/// Why a checkpoint gives no model.
pub(crate) enum FromCheckpoint {
    Text(String),
    Tensors(CheckpointError),
}

/// Says what a file without our settings holds instead.
fn other_model(checkpoint: &Checkpoint) -> String {
    if checkpoint.get(speller::SETTINGS).is_some() {
        return "is a network that spells, for caption and add".to_owned();
    }
    let names: Vec<&str> = checkpoint.tensors().keys().map(String::as_str).take(3).collect();
    match names[..] {
        [] => "holds no tensor; it is not a network of plies-digits".to_owned(),
        _ => format!(
            "is not a network of plies-digits: it holds {} tensors ({}, ...) and none of our settings",
            checkpoint.tensors().len(),
            names.join(", ")
        ),
    }
}

#[cfg(test)]
mod tests {
    use plies_tensor::DType;

    use super::*;

    #[test]
    fn the_default_settings_are_in_range() {
        Settings::default().check().unwrap();
        assert_eq!(Settings::default().to_string(), "784-512-256-10 relu");
    }

    #[test]
    fn settings_out_of_range_are_named() {
        let ok = Settings::default;
        let rows = [
            (Settings { hidden: vec![4, 0], ..ok() }, "layer of 0 units"),
            (Settings { hidden: vec![1; 17], ..ok() }, "17 hidden layers"),
            (Settings { dropout: 1.0, ..ok() }, "dropout 1"),
            (Settings { input_dropout: f64::NAN, ..ok() }, "input dropout NaN"),
            (Settings { epochs: 0, ..ok() }, "0 epochs"),
            (Settings { batch_size: 0, ..ok() }, "batch of 0"),
            (Settings { lr: -1.0, ..ok() }, "learning rate of -1"),
            (Settings { lr: f64::NAN, ..ok() }, "learning rate of NaN"),
            (Settings { shift: 9, ..ok() }, "shift of 9"),
            (Settings { rotate: 181.0, ..ok() }, "rotate 181 is not in 0 to 180"),
            (Settings { scale: f64::NAN, ..ok() }, "scale NaN"),
            (Settings { l2: -1e-3, ..ok() }, "l2 -0.001"),
        ];
        for (settings, part) in rows {
            let error = settings.check().unwrap_err();
            assert!(error.contains(part), "{error:?} lacks {part:?}");
        }
    }

    #[test]
    fn a_network_comes_back_from_its_file() {
        let settings = Settings { hidden: vec![5], seed: 9, ..Settings::default() };
        let network = settings.build();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("network.safetensors");
        settings.checkpoint(&network.mlp, &settings.optimizer(), 3).save(&file).unwrap();
        let (loaded, _) = Network::load(&file).unwrap();
        assert_eq!((&loaded.settings, loaded.epochs_done), (&settings, 3));
        let x = Rng::new(1).uniform([2, PIXELS], DType::F32, &Default::default());
        assert_eq!(loaded.probabilities(&x).unwrap(), network.probabilities(&x).unwrap());
    }

    #[test]
    fn a_setting_that_an_older_file_lacks_has_its_default() {
        let settings: Settings = serde_json::from_str(r#"{"hidden": [4], "seed": 7}"#).unwrap();
        let expected = Settings { hidden: vec![4], seed: 7, ..Settings::default() };
        assert_eq!(settings, expected);
    }

    #[test]
    fn what_is_not_our_network_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("other.safetensors");
        let refused = |checkpoint: &Checkpoint| {
            checkpoint.save(&file).unwrap();
            Network::load(&file).err().expect("refused").to_string()
        };
        let mut other = Checkpoint::new();
        assert!(refused(&other).contains("other.safetensors: holds no tensor"));
        other.insert("conv.weight", Tensor::from([1f32]));
        assert!(refused(&other).contains("it holds 1 tensors (conv.weight, ...)"));

        let settings = Settings { hidden: vec![4], ..Settings::default() };
        let good = settings.checkpoint(&settings.build().mlp, &settings.optimizer(), 0);
        let with = |settings: &str| {
            let mut changed = good.clone();
            changed.set(SETTINGS, settings);
            changed
        };
        let text = serde_json::to_string(&settings).unwrap();
        for (from, to, part) in [
            ("[4]", "[5]", "784-5-10 relu, which has 3985 parameters, but it holds 3190"),
            ("[4]", "[16384,16384,16384]", "but it holds 3190"),
            ("[4]", "[99999999999]", "damaged"),
            ("relu", "rulu", "unknown activation"),
            ("\"seed\"", "\"seat\"", "damaged"),
            ("\"batch_size\":128", "\"batch_size\":0", "a batch of 0"),
        ] {
            let error = refused(&with(&text.replace(from, to)));
            assert!(error.contains(part), "{error:?} lacks {part:?}");
            assert!(!error.contains('\n'));
        }
        for (name, value) in [
            ("layers.0.bias", f64::NAN),
            ("layers.0.bias", f64::INFINITY),
            ("optimizer.exp_avg.layers.0.bias", f64::NEG_INFINITY),
        ] {
            let mut damaged = good.clone();
            let bad = Tensor::full([4], value, DType::F32, &Default::default());
            damaged.insert(name, bad);
            let error = refused(&damaged);
            let part = format!("other.safetensors: {name}[0] is {value}; is it damaged?");
            assert!(error.contains(&part), "{error}");
        }
        let mut reshaped = good.clone();
        let weight = &good.tensors()["layers.0.weight"];
        reshaped.insert("layers.0.weight", weight.t().contiguous());
        assert!(refused(&reshaped).contains("parameter layers.0.weight is f32 [784, 4]"));
    }
}
