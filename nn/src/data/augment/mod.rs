//! More data from the data at hand: pictures that are turned, shifted, bent, soiled and mixed, and still
//! show what they showed.
//!
//! What moves pixels is a map of the plane. Maps are composed, each drawn for each picture anew, and then
//! one pass interpolates (`warp`). What changes pixels where they are comes between such passes.
//!
//! A picture's random numbers are those of its example ([`Draws::example`]): neither the threads that make
//! batches nor what else is in a batch changes what becomes of it.

mod affine;
mod elastic;
mod erase;
mod images;
mod mix;
mod warp;

use std::fmt;
use std::sync::Arc;

use plies_tensor::{DType, Device, Rng};

pub use affine::Affine;
pub use erase::Erase;

use super::{Batch, Draws, Loader};
use images::Images;
use mix::How;
use warp::{Warp, warp};

/// Changes of pictures, drawn at random for each, in the order in which they are named.
///
/// Between pixels pictures are interpolated linearly, once for all moves that follow one another. Beyond
/// the edge everything is 0, or [`fill`](Augment::fill). What is named with no strength, such as
/// `rotate(0.0)`, leaves every bit as it is.
///
/// # Shapes
/// inputs [N, C, H, W] or [N, H, W], F32 -> the same, but for the size of a [`crop`](Augment::crop)
///
/// # Source
/// Simard, Steinkraus, Platt: Best practices for convolutional neural networks applied to visual document
/// analysis (2003), section 2: affine and elastic. Their strengths for digits of 29 by 29 pixels are
/// `elastic(34.0, 4.0)`.
///
/// # Example
/// ```
/// use std::sync::Arc;
/// use plies_nn::data::{Augment, Loader, TensorDataset};
/// use plies_tensor::{DType, Device, Rng, Tensor};
/// let digits = Rng::new(1).uniform([100, 28, 28], DType::F32, &Device::cpu());
/// let data = TensorDataset::new(digits, Tensor::arange(100));
/// let augment = Augment::new().rotate(15.0).shift(2.0).elastic(34.0, 4.0);
/// let loader = Loader::new(Arc::new(data), 20).shuffle(7).workers(2).augment(8, augment);
/// assert_eq!(loader.epoch(0).next().unwrap().inputs.dims(), [20, 28, 28]);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Augment {
    stages: Vec<Stage>,
    fill: f32,
}

#[derive(Clone, Debug)]
enum Stage {
    Move(Move),
    Change(Change),
    Mix { how: How, alpha: f64, n_classes: usize },
}

/// What moves pixels.
#[derive(Clone, Copy, Debug)]
enum Move {
    Fixed(Affine),
    Rotate { degrees: f64 },
    Shift { pixels: f64 },
    Scale { least: f64, most: f64 },
    Shear { degrees: f64 },
    Flip { probability: f64 },
    Crop { size: [usize; 2], padding: usize },
    Elastic { alpha: f64, sigma: f64 },
}

/// What changes the pixels of one picture where they are.
#[derive(Clone)]
enum Change {
    Noise { std: f64 },
    Erase(Erase),
    Custom(Arc<CustomChange>),
}

type CustomChange = dyn Fn(&mut [f32], [usize; 3], &mut Rng) + Send + Sync;

impl fmt::Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::Noise { std } => write!(f, "Noise {{ std: {std} }}"),
            Change::Erase(erase) => erase.fmt(f),
            Change::Custom(_) => f.write_str("Custom"),
        }
    }
}

impl Augment {
    /// No changes yet.
    pub fn new() -> Self {
        Augment::default()
    }

    /// What stands beyond the edges of pictures.
    pub fn fill(mut self, value: f32) -> Self {
        self.fill = value;
        self
    }

    /// The same map for all pictures.
    pub fn affine(self, map: Affine) -> Self {
        self.moved(Move::Fixed(map))
    }

    /// A turn by up to `degrees` in either direction.
    ///
    /// # Panics
    /// When it is negative or not finite.
    #[track_caller]
    pub fn rotate(self, degrees: f64) -> Self {
        check_strength("rotate", degrees);
        self.moved(Move::Rotate { degrees })
    }

    /// A shift by up to `pixels` along each axis, in either direction; parts of a pixel too.
    ///
    /// # Panics
    /// When it is negative or not finite.
    #[track_caller]
    pub fn shift(self, pixels: f64) -> Self {
        check_strength("shift", pixels);
        self.moved(Move::Shift { pixels })
    }

    /// `least` to `most` times as large.
    ///
    /// # Panics
    /// Unless 0 < `least` ≤ `most` < ∞.
    #[track_caller]
    pub fn scale(self, least: f64, most: f64) -> Self {
        assert!(
            0.0 < least && least <= most && most.is_finite(),
            "augment: scale({least}, {most}) is not a range of sizes"
        );
        self.moved(Move::Scale { least, most })
    }

    /// Columns that lean by up to `degrees` to either side.
    ///
    /// # Panics
    /// Unless 0 ≤ `degrees` < 90.
    #[track_caller]
    pub fn shear(self, degrees: f64) -> Self {
        check_strength("shear", degrees);
        assert!(degrees < 90.0, "augment: shear({degrees}); columns lean by less than 90 degrees");
        self.moved(Move::Shear { degrees })
    }

    /// Left and right exchanged with this probability.
    ///
    /// # Panics
    /// When it is none.
    #[doc(alias = "RandomHorizontalFlip")]
    #[track_caller]
    pub fn flip(self, probability: f64) -> Self {
        assert!(
            (0.0..=1.0).contains(&probability),
            "augment: flip({probability}); a probability is in 0..=1"
        );
        self.moved(Move::Flip { probability })
    }

    /// A window of `size` [H, W] anywhere on the picture with `padding` pixels around it.
    ///
    /// # Panics
    /// When the window is larger than that, where the size of the pictures is known.
    ///
    /// # Source
    /// He, Zhang, Ren, Sun: Deep residual learning (2016), section 4.2: `crop([32, 32], 4)`.
    #[doc(alias = "RandomCrop")]
    pub fn crop(self, size: [usize; 2], padding: usize) -> Self {
        self.moved(Move::Crop { size, padding })
    }

    /// Each pixel from a place some pixels away, similar for neighbours: random directions, smoothed by a
    /// normal distribution of standard deviation `sigma` and multiplied by `alpha`.
    ///
    /// Displacements are drawn at the pixels of the result. So moves that follow do not bend them, which
    /// makes no difference to how likely a result is, but for the edge.
    ///
    /// # Panics
    /// When `alpha` is negative, `sigma` is not above 0, or one is not finite.
    ///
    /// # Source
    /// Simard, Steinkraus, Platt (2003), section 2.
    #[track_caller]
    pub fn elastic(self, alpha: f64, sigma: f64) -> Self {
        check_strength("elastic", alpha);
        assert!(
            sigma > 0.0 && sigma.is_finite(),
            "augment: elastic with sigma {sigma}; it is above 0"
        );
        self.moved(Move::Elastic { alpha, sigma })
    }

    /// A number from the normal distribution with mean 0 and standard deviation `std` added to each pixel.
    ///
    /// # Panics
    /// When it is negative or not finite.
    #[track_caller]
    pub fn noise(self, std: f64) -> Self {
        check_strength("noise", std);
        self.changed(Change::Noise { std })
    }

    /// A rectangle of the picture erased.
    ///
    /// # Panics
    /// When a setting has no meaning.
    #[track_caller]
    pub fn erase(self, erase: Erase) -> Self {
        erase.check();
        self.changed(Change::Erase(erase))
    }

    /// A change of your own: `change` gets the pixels of a picture, its size [C, H, W] and its random
    /// numbers.
    ///
    /// # Example
    /// ```
    /// use plies_nn::data::{Augment, Batch, Draws};
    /// use plies_tensor::Tensor;
    /// let darker = Augment::new().custom(|pixels, _size, rng| {
    ///     let light = 0.5 + 0.5 * rng.next_f64() as f32;
    ///     pixels.iter_mut().for_each(|pixel| *pixel *= light);
    /// });
    /// let batch = Batch::new(Tensor::from([[[1f32, 1.0]]]), Tensor::from([0]));
    /// let [a, b] = darker.apply(batch, &Draws::new(1, 0, 0, &[0])).inputs.to_vec::<f32>().unwrap()[..] else { panic!() };
    /// assert!(a == b && (0.5..1.0).contains(&a));
    /// ```
    pub fn custom(
        self,
        change: impl Fn(&mut [f32], [usize; 3], &mut Rng) + Send + Sync + 'static,
    ) -> Self {
        self.changed(Change::Custom(Arc::new(change)))
    }

    /// Each picture mixed with another of its batch, λ of one and 1 - λ of the other, with λ from
    /// Beta(`alpha`, `alpha`); and their targets as much. Classes become distributions
    /// [N, n_classes], which [`cross_entropy`](crate::loss::cross_entropy) takes.
    ///
    /// # Panics
    /// When `alpha` is not above 0, or targets are integers but no classes below `n_classes`.
    ///
    /// # Source
    /// Zhang, Cisse, Dauphin, Lopez-Paz: mixup: Beyond empirical risk minimization (2018), equation 2.
    #[track_caller]
    pub fn mixup(self, alpha: f64, n_classes: usize) -> Self {
        self.mixed(How::Over, alpha, n_classes)
    }

    /// Each picture with a rectangle of another of its batch in the same place, and their targets mixed as
    /// much as the area, about 1 - λ with λ from Beta(`alpha`, `alpha`).
    ///
    /// # Panics
    /// As [`mixup`](Augment::mixup).
    ///
    /// # Source
    /// Yun et al.: CutMix: Regularization strategy to train strong classifiers (2019), equations 1 and 2.
    #[track_caller]
    pub fn cutmix(self, alpha: f64, n_classes: usize) -> Self {
        self.mixed(How::Cut, alpha, n_classes)
    }

    #[track_caller]
    fn mixed(mut self, how: How, alpha: f64, n_classes: usize) -> Self {
        assert!(
            alpha > 0.0 && alpha.is_finite(),
            "augment: mixing with alpha {alpha}; it is above 0"
        );
        self.stages.push(Stage::Mix { how, alpha, n_classes });
        self
    }

    fn moved(mut self, step: Move) -> Self {
        self.stages.push(Stage::Move(step));
        self
    }

    fn changed(mut self, change: Change) -> Self {
        self.stages.push(Stage::Change(change));
        self
    }

    /// A batch of pictures, changed.
    ///
    /// # Panics
    /// When inputs are not pictures of F32, a window does not fit, or targets cannot be mixed.
    #[track_caller]
    pub fn apply(&self, batch: Batch, draws: &Draws<'_>) -> Batch {
        let mut images = Images::new(&batch.inputs);
        let mut targets = batch.targets;
        let mut examples: Vec<Rng> = (0..images.count).map(|i| draws.example(i)).collect();
        let mut of_batch = draws.batch();
        let mut moves = Vec::new();
        for stage in &self.stages {
            if let Stage::Move(step) = stage {
                moves.push(*step);
                continue;
            }
            self.make(&moves, &mut images, &mut examples);
            moves.clear();
            match stage {
                Stage::Move(_) => {}
                Stage::Change(change) => {
                    let dims = images.dims;
                    for (image, rng) in images.each().zip(&mut examples) {
                        change.apply(image, dims, rng);
                    }
                }
                &Stage::Mix { how, alpha, n_classes } => {
                    let (examples, of_batch) = (&mut examples, &mut of_batch);
                    targets =
                        mix::mix(how, alpha, n_classes, &mut images, &targets, examples, of_batch);
                }
            }
        }
        self.make(&moves, &mut images, &mut examples);
        Batch { inputs: images.into_tensor(), targets, lengths: batch.lengths }
    }

    /// Draws moves that follow one another and makes them in one pass.
    #[track_caller]
    fn make(&self, moves: &[Move], images: &mut Images, examples: &mut [Rng]) {
        let [_, h, w] = images.dims;
        // Fields of displacements are drawn at the pixels of the result, whose size the last crop says.
        let mut size = [h, w];
        for step in moves {
            if let Move::Crop { size: window, padding } = *step {
                let [rows, columns] = size.map(|n| n + 2 * padding);
                assert!(
                    window[0] <= rows && window[1] <= columns,
                    "augment: a window of {window:?} on pictures of {size:?} with {padding} around"
                );
                size = window;
            }
        }
        let n_fields = moves.iter().filter(|step| step.bends()).count();
        let mut fields = vec![Vec::new(); n_fields];
        let mut warps = Vec::with_capacity(images.count);
        for rng in examples {
            let mut map = Affine::IDENTITY;
            let mut linears = Vec::with_capacity(n_fields);
            let mut now = [h, w];
            for step in moves {
                if let Move::Elastic { alpha, .. } = *step
                    && step.bends()
                {
                    fields[linears.len()].extend(elastic::draw(size, rng));
                    // A displacement is seen through the moves before it.
                    let [[a, b, _], [c, d, _]] = map.inverse().rows();
                    linears.push([[a, b], [c, d]].map(|row| row.map(|x| (alpha * x) as f32)));
                } else {
                    map = map.then(&step.draw(now, rng));
                }
                if let Move::Crop { size, .. } = *step {
                    now = size;
                }
            }
            warps.push(Warp { inverse: map.inverse(), fields: linears });
        }
        let still = |warp: &Warp| warp.inverse == Affine::IDENTITY && warp.fields.is_empty();
        if size == [h, w] && warps.iter().all(still) {
            return;
        }
        let sigmas = moves.iter().filter(|step| step.bends()).map(|step| match step {
            Move::Elastic { sigma, .. } => *sigma,
            _ => 0.0,
        });
        let count = images.count;
        let fields: Vec<Vec<f32>> = fields
            .into_iter()
            .zip(sigmas)
            .map(|(field, sigma)| elastic::smooth(field, count, size, sigma))
            .collect();
        warp(images, size, &warps, &fields, self.fill);
    }
}

impl Move {
    /// Whether it is a field of displacements.
    fn bends(&self) -> bool {
        matches!(self, Move::Elastic { alpha, .. } if *alpha > 0.0)
    }

    /// The map of one picture of `size` [H, W].
    fn draw(&self, size: [usize; 2], rng: &mut Rng) -> Affine {
        let mut up_to = |most: f64| most * (2.0 * rng.next_f64() - 1.0);
        match *self {
            Move::Fixed(map) => map,
            Move::Rotate { degrees } => Affine::rotation(up_to(degrees)),
            Move::Shift { pixels } => {
                let [x, y] = [up_to(pixels), up_to(pixels)];
                Affine::shift(x, y)
            }
            Move::Scale { least, most } => {
                let factor = least + (most - least) * rng.next_f64();
                Affine::scale(factor, factor)
            }
            Move::Shear { degrees } => Affine::shear(up_to(degrees)),
            Move::Flip { probability } if rng.next_f64() < probability => Affine::mirror(),
            Move::Crop { size: window, padding } => {
                let mut shift = |axis: usize| {
                    let (from, to) = (size[axis], window[axis]);
                    let start = rng.below(from + 2 * padding - to + 1) as f64 - padding as f64;
                    // From the window's centre to the picture's.
                    (from as f64 - to as f64) / 2.0 - start
                };
                let [y, x] = [shift(0), shift(1)];
                Affine::shift(x, y)
            }
            Move::Flip { .. } | Move::Elastic { .. } => Affine::IDENTITY,
        }
    }
}

impl Change {
    fn apply(&self, image: &mut [f32], dims: [usize; 3], rng: &mut Rng) {
        match self {
            Change::Noise { std } if *std == 0.0 => {}
            Change::Noise { std } => {
                let noise = rng.normal([image.len()], DType::F32, &Device::cpu()).to_vec::<f32>();
                let noise = noise.expect("a tensor on the CPU can be read");
                for (pixel, noise) in image.iter_mut().zip(noise) {
                    *pixel += *std as f32 * noise;
                }
            }
            Change::Erase(erase) => erase.apply(image, dims, rng),
            Change::Custom(change) => change(image, dims, rng),
        }
    }
}

#[track_caller]
fn check_strength(name: &str, strength: f64) {
    assert!(
        strength >= 0.0 && strength.is_finite(),
        "augment: {name}({strength}); a strength is 0 or more, and finite"
    );
}

impl Loader {
    /// Changes the pictures of each batch. It is a [`transform`](Loader::transform).
    pub fn augment(self, seed: u64, augment: Augment) -> Self {
        self.transform(seed, move |batch, draws| augment.apply(batch, draws))
    }
}
