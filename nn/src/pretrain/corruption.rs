//! What is done to an input that a network shall restore.

use plies_autograd::Var;
use plies_tensor::{Elementwise, formula};

use crate::{Module, Pass, Visitor, VisitorMut};

/// Damages inputs while training, each number by itself; in evaluation they pass as they are. A layer
/// without parameters.
///
/// Unlike [`Dropout`](crate::Dropout), masking does not scale what it leaves: the network is to see inputs
/// as they are, with parts missing.
///
/// # Source
/// Vincent, Larochelle, Lajoie, Bengio, Manzagol: Stacked denoising autoencoders (2010), section 3.3.
///
/// # Example
/// ```
/// use plies_autograd::Var;
/// use plies_nn::pretrain::Corruption;
/// use plies_nn::{Module, Pass};
/// use plies_tensor::{DType, Device, Rng, Tensor};
/// let x = Var::constant(Tensor::ones([1000], DType::F32, &Device::cpu()));
/// let masked = Corruption::Masking(0.3).forward(&x, &mut Pass::train(Rng::new(1)));
/// assert!((650.0..750.0).contains(&masked.sum_all().item().unwrap()));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Corruption {
    /// Nothing is damaged: a plain autoencoder.
    #[default]
    None,
    /// 0 in the place of a number, with this probability.
    Masking(f64),
    /// A normally distributed number of this standard deviation is added to each.
    Gaussian(f64),
    /// 0 or 1, one as likely as the other, in the place of a number, with this probability.
    SaltAndPepper(f64),
}

impl Corruption {
    /// # Panics
    /// When a probability is not in 0..=1 or a standard deviation is negative or not finite.
    #[track_caller]
    pub(super) fn check(self) {
        match self {
            Corruption::None => {}
            Corruption::Masking(p) | Corruption::SaltAndPepper(p) => {
                assert!((0.0..=1.0).contains(&p), "corruption: {p} is not a probability");
            }
            Corruption::Gaussian(std) => {
                assert!(
                    std >= 0.0 && std.is_finite(),
                    "corruption: {std} is not a standard deviation"
                );
            }
        }
    }
}

impl Module for Corruption {
    #[track_caller]
    fn forward(&self, x: &Var, pass: &mut Pass) -> Var {
        self.check();
        let Some(rng) = pass.rng() else { return x.clone() };
        let (shape, dtype, device) = (x.shape(), x.dtype(), x.value().device());
        let (drawn, f, strength) = match *self {
            Corruption::None => return x.clone(),
            Corruption::Masking(p) => {
                let f = formula!(|x, u; p| u.lt(p).select(0.0, x));
                (rng.uniform(shape, dtype, device), f, p)
            }
            Corruption::Gaussian(std) => {
                (rng.normal(shape, dtype, device), formula!(|x, z; std| x + std * z), std)
            }
            Corruption::SaltAndPepper(p) => {
                let f = formula!(|x, u; p| u.lt(p).select(u.lt(0.5 * p).select(0.0, 1.0), x));
                (rng.uniform(shape, dtype, device), f, p)
            }
        };
        Var::map(f, &[x, &Var::constant(drawn)], &[strength])
    }

    fn visit(&self, _visitor: &mut Visitor<'_>) {}

    fn visit_mut(&mut self, _visitor: &mut VisitorMut<'_>) {}
}
