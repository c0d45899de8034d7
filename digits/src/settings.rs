//! What a network is and how it is trained, as numbers and names.

use std::fmt;

use plies_nn::{
    Activation, Checkpoint, Mlp, Module,
    data::Augment,
    optim::{Adam, Optimizer, Regularized},
};
use plies_tensor::Rng;
use serde::{Deserialize, Serialize};

use crate::{
    idx::{N_CLASSES, PIXELS},
    saved::{self, Stored},
};

/// The largest layer that is built.
pub const MAX_WIDTH: usize = 16_384;
/// The most hidden layers that are built.
pub const MAX_LAYERS: usize = 16;
/// How far the elastic field is smoothed, in pixels.
pub const ELASTIC_SIGMA: f64 = 4.0;

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

    /// The layers with their first weights.
    pub(crate) fn mlp(&self) -> Mlp {
        let mut rng = Rng::new(self.seed);
        Mlp::new(&self.sizes(), self.activation, &mut rng).dropout(self.input_dropout, self.dropout)
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

impl Stored for Settings {
    const KEY: &'static str = saved::CLASSIFIER;

    fn check(&self) -> Result<(), String> {
        Settings::check(self)
    }

    fn parameters(&self) -> usize {
        Settings::parameters(self)
    }
}

#[cfg(test)]
mod tests {
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
    fn a_setting_that_an_older_file_lacks_has_its_default() {
        let settings: Settings = serde_json::from_str(r#"{"hidden": [4], "seed": 7}"#).unwrap();
        let expected = Settings { hidden: vec![4], seed: 7, ..Settings::default() };
        assert_eq!(settings, expected);
    }
}
