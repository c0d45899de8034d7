//! Random numbers from a counter: the n-th number is a function of the seed and n, so filling a
//! tensor on eight threads or on a GPU gives the numbers that one thread gives.

use crate::backend::Distribution;
use crate::cpu::philox;
use crate::shape::resolve_axis;
use crate::{DType, Device, Shape, Tensor, formula};

/// A stream of random numbers: Philox4x32-10 keyed by a seed, and a position in it.
///
/// The state is two integers ([`Rng::state`]), so a checkpoint can hold it.
///
/// # Source
/// Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as 1, 2, 3 (SC 2011).
///
/// # Example
/// ```
/// use plies_tensor::{DType, Device, Rng};
/// let mut rng = Rng::new(7);
/// let x = rng.normal([1000], DType::F32, &Device::cpu());
/// assert!(x.mean_all().item().unwrap().abs() < 0.1);
/// assert_eq!(Rng::new(7).permutation_vec(5), Rng::new(7).permutation_vec(5));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rng {
    seed: u64,
    /// The next block of four 32-bit words.
    counter: u64,
}

impl Rng {
    /// The stream of a seed, at its beginning.
    pub fn new(seed: u64) -> Self {
        Rng { seed, counter: 0 }
    }

    /// Seed and position.
    pub fn state(&self) -> (u64, u64) {
        (self.seed, self.counter)
    }

    /// The stream at a position that [`Rng::state`] gave.
    pub fn from_state(seed: u64, counter: u64) -> Self {
        Rng { seed, counter }
    }

    /// A stream of its own for a part of the program, which goes on independently of this one.
    pub fn split(&mut self) -> Rng {
        let word = self.words(1);
        Rng::new(u64::from(word[0]) | u64::from(word[1]) << 32)
    }

    /// One block of the stream; `domain` keeps single numbers apart from those of tensors.
    fn words(&mut self, domain: u32) -> [u32; 4] {
        let counter = [self.counter as u32, (self.counter >> 32) as u32, domain, 0];
        self.counter = self.counter.wrapping_add(1);
        philox(counter, [self.seed as u32, (self.seed >> 32) as u32])
    }

    /// A 32-bit word.
    pub fn next_u32(&mut self) -> u32 {
        self.words(2)[0]
    }

    /// A number in [0, 1), a multiple of 2⁻⁵³.
    pub fn next_f64(&mut self) -> f64 {
        let [a, b, ..] = self.words(2);
        let bits = (u64::from(a) << 32 | u64::from(b)) >> 11;
        bits as f64 / (1u64 << 53) as f64
    }

    /// An integer in `0..n`, every one equally likely.
    ///
    /// # Panics
    /// When `n` is 0.
    #[doc(alias = "randint")]
    #[track_caller]
    pub fn below(&mut self, n: usize) -> usize {
        assert!(n > 0, "below: there is no integer below 0");
        // Lemire (2019): multiply, and reject the few values that would favour some results.
        let n = n as u64;
        let threshold = n.wrapping_neg() % n;
        loop {
            let [a, b, ..] = self.words(2);
            let wide = u128::from(u64::from(a) << 32 | u64::from(b)) * u128::from(n);
            if wide as u64 >= threshold {
                return (wide >> 64) as usize;
            }
        }
    }

    #[track_caller]
    fn fill(&mut self, which: Distribution, shape: Shape, dtype: DType, device: &Device) -> Tensor {
        assert!(
            dtype.is_float(),
            "{}: {dtype} has no such distribution; use below",
            format!("{which:?}").to_lowercase()
        );
        let words = shape.elem_count() as u64 * if dtype == DType::F64 { 2 } else { 1 };
        let block = self.counter;
        self.counter = self.counter.wrapping_add(words.div_ceil(4));
        Tensor::fresh(device, dtype, shape, |backend, buffer| {
            backend.random(which, self.seed, block, buffer);
        })
    }

    /// Independent numbers, uniform in [0, 1).
    ///
    /// # Panics
    /// On integers.
    #[doc(alias = "rand")]
    #[track_caller]
    pub fn uniform(&mut self, dims: impl Into<Shape>, dtype: DType, device: &Device) -> Tensor {
        self.fill(Distribution::Uniform, dims.into(), dtype, device)
    }

    /// Independent numbers from the normal distribution with mean 0 and variance 1.
    ///
    /// # Panics
    /// On integers.
    #[doc(alias("randn", "gaussian"))]
    #[track_caller]
    pub fn normal(&mut self, dims: impl Into<Shape>, dtype: DType, device: &Device) -> Tensor {
        self.fill(Distribution::Normal, dims.into(), dtype, device)
    }

    /// Independent numbers, 1 with probability `p` and otherwise 0.
    ///
    /// # Panics
    /// On integers.
    #[track_caller]
    pub fn bernoulli(
        &mut self,
        p: f64,
        dims: impl Into<Shape>,
        dtype: DType,
        device: &Device,
    ) -> Tensor {
        let draw = self.uniform(dims, dtype, device);
        Tensor::evaluate(formula!(|u; p| u.lt(p)), &[&draw], &[p])
    }

    /// A random order of `0..n`.
    #[track_caller]
    pub fn permutation_vec(&mut self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        self.shuffle(&mut order);
        order
    }

    /// A random order of `0..n` as I32 `[n]`.
    ///
    /// # Panics
    /// When `n` exceeds the range of I32.
    #[doc(alias = "randperm")]
    #[track_caller]
    pub fn permutation(&mut self, n: usize) -> Tensor {
        let Ok(end) = i32::try_from(n) else { panic!("permutation: {n} exceeds the range of i32") };
        let mut order: Vec<i32> = (0..end).collect();
        self.shuffle(&mut order);
        Tensor::from_vec(order, [n])
    }

    /// Puts the items in random order (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }

    /// For each row of logits an index drawn with probability softmax(logits).
    ///
    /// The largest of logit + Gumbel noise is such a draw: argmax(xᵢ - ln(-ln uᵢ)).
    ///
    /// # Shapes
    /// logits [..., N] -> [...] (I32)
    ///
    /// # Panics
    /// On integers and scalars.
    ///
    /// # Source
    /// Gumbel (1954); Maddison, Tarlow, Minka: A* sampling (2014).
    #[doc(alias = "multinomial")]
    #[track_caller]
    pub fn categorical(&mut self, logits: &Tensor) -> Tensor {
        resolve_axis("categorical", -1, logits.rank());
        assert!(
            logits.dtype().is_float(),
            "categorical: logits are {}; cast with to_dtype first",
            logits.dtype()
        );
        let u = self.uniform(logits.shape(), logits.dtype(), logits.device());
        // 0 is a possible draw; half a step above it keeps the noise finite.
        let least = if logits.dtype() == DType::F64 { 2f64.powi(-54) } else { 2f64.powi(-25) };
        let noisy = formula!(|x, u; least| x - (-u.max(least).ln()).ln());
        Tensor::evaluate(noisy, &[logits, &u], &[least]).argmax(-1, false)
    }
}
