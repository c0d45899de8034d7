//! The network: a multi-layer perceptron that reads 28 x 28 pixels.

use std::path::Path;

use plies_autograd::{Var, no_grad};
use plies_nn::{Checkpoint, Mlp, Module, Pass};
use plies_tensor::Tensor;

use crate::{
    idx::N_CLASSES,
    saved::{self, Loaded},
    settings::Settings,
};
pub use saved::LoadError;

/// A network with its settings.
pub struct Network {
    /// The layers.
    pub mlp: Mlp,
    /// What it is and how it is trained.
    pub settings: Settings,
    /// Complete epochs behind it.
    pub epochs_done: usize,
}

impl Network {
    /// One of these settings with its first weights.
    pub fn new(settings: Settings) -> Network {
        Network { mlp: settings.mlp(), settings, epochs_done: 0 }
    }

    /// Reads a network from a file; the checkpoint comes too, for the optimiser in it.
    ///
    /// # Errors
    /// A file that is missing, damaged or of something else.
    pub fn load(file: &Path) -> Result<(Network, Checkpoint), LoadError> {
        let Loaded { settings, model: mlp, epochs: epochs_done, checkpoint } =
            saved::load(file, |_| Ok(()), Settings::mlp)?;
        Ok((Network { mlp, settings, epochs_done }, checkpoint))
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

#[cfg(test)]
mod tests {
    use plies_tensor::{DType, Rng};

    use super::*;
    use crate::idx::PIXELS;

    #[test]
    fn a_network_comes_back_from_its_file() {
        let settings = Settings { hidden: vec![5], seed: 9, ..Settings::default() };
        let network = Network::new(settings.clone());
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("network.safetensors");
        settings.checkpoint(&network.mlp, &settings.optimizer(), 3).save(&file).unwrap();
        let (loaded, _) = Network::load(&file).unwrap();
        assert_eq!((&loaded.settings, loaded.epochs_done), (&settings, 3));
        let x = Rng::new(1).uniform([2, PIXELS], DType::F32, &Default::default());
        assert_eq!(loaded.probabilities(&x).unwrap(), network.probabilities(&x).unwrap());
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
        let good = settings.checkpoint(&settings.mlp(), &settings.optimizer(), 0);
        let with = |settings: &str| {
            let mut changed = good.clone();
            changed.set(saved::CLASSIFIER, settings);
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
