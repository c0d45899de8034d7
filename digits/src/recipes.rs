//! The ladder: methods that have been published for MNIST, from rules to deep networks, each a few lines.
//!
//! A recipe keeps what its paper is about: the layers, the penalty, the noise, the deformations. How the network
//! then goes downhill is ours, Adam on batches of 128 with a learning rate that falls to 0 along half a cosine;
//! where an `Ema` stands around it, the network that is read is the running average of the one that learns. The
//! papers had SGD with momenta and rates of their own, and up to thousands of epochs.

use std::sync::Arc;

use plies_autograd::{Var, no_grad};
use plies_nn::{
    Activation::{Relu, Sigmoid, Tanh},
    Conv2d, Dropout, Flatten, Function, Linear, MaxPool2d, Maxout, Mlp, Module, Pass, Perceptron,
    Sequential,
    data::{Affine, Augment, TensorDataset},
    loss::{binary_cross_entropy, cross_entropy},
    optim::{Adam, Ema, Regularized, Sgd},
    pretrain::{Autoencoder, ContrastiveDivergence, Corruption, Rbm, Stack, contrast},
};
use plies_tensor::{Conv, Pool, Rng, Tensor};

use crate::{
    dataset::Digits,
    idx::{COLS, PIXELS, ROWS},
    knn, normalise, rules,
    trial::{Outcome, Plan, Trial, TrialError},
};

/// A method of the ladder.
pub struct Row {
    /// What `--only` calls it.
    pub name: &'static str,
    /// What the table calls it.
    pub method: &'static str,
    /// The test error that was published, in per cent.
    pub published: Option<f64>,
    /// Where.
    pub source: &'static str,
    /// Whether anything in it is drawn at random.
    pub random: bool,
    /// About how many seconds a whole trial takes on two cores.
    pub seconds: f64,
    /// What it does.
    pub recipe: fn(&Trial<'_>) -> Result<Outcome, TrialError>,
}

const LECUN: &str = "LeCun et al. 1998";
const WILDER: &str = "Wilder, on LeCun's page";
const SIMARD: &str = "Simard et al. 2003";
const TABLE_2: &str = "Srivastava et al. 2014, table 2";
const TABLE_9: &str = "Srivastava et al. 2014, table 9";
const GOODFELLOW: &str = "Goodfellow et al. 2013";
const VINCENT: &str = "Vincent et al. 2010";
const CIRESAN: &str = "Ciresan et al. 2010";

/// All methods, in the order of the table.
#[rustfmt::skip]
pub const LADDER: &[Row] = &[
    fixed("rules", "hard-coded rules", None, "", 1.0, by_rules),
    row("perceptron", "perceptron, online", Some(12.0), LECUN, 20.0, perceptron),
    row("linear", "linear classifier", Some(12.0), LECUN, 10.0, |t| linear(t, as_is)),
    row("linear-deskewed", "linear classifier, deskewed", Some(8.4), LECUN, 10.0, |t| linear(t, normalise::deskew)),
    fixed("knn-l2", "nearest neighbours, L2", Some(3.09), WILDER, 6.0, |t| neighbours(t, as_is, 2)),
    fixed("knn-l3", "nearest neighbours, L3", Some(2.83), WILDER, 9.0, |t| neighbours(t, as_is, 3)),
    fixed("knn-deskewed", "nearest, L2, deskewed", Some(2.4), LECUN, 8.0, |t| neighbours(t, normalise::deskew, 2)),
    fixed("knn-blurred", "nearest, L2, deskewed, blurred", Some(1.80), WILDER, 8.0, |t| neighbours(t, deskewed_blurred, 2)),
    row("300", "300 hidden units", Some(4.7), LECUN, 10.0, |t| hidden(t, &[300], 20)),
    row("500-150", "500 + 150 hidden units", Some(2.95), LECUN, 15.0, |t| hidden(t, &[500, 150], 20)),
    row("800", "800 hidden units", Some(1.6), SIMARD, 40.0, |t| simard(t, Plan::epochs(40))),
    row("800-affine", "800, affine deformations", Some(1.1), SIMARD, 120.0, |t| simard(t, Plan::epochs(100).augment(affine()))),
    row("800-elastic", "800, elastic deformations", Some(0.7), SIMARD, 600.0, |t| simard(t, Plan::epochs(150).augment(elastic()))),
    row("standard", "2 x 800 logistic", Some(1.60), TABLE_2, 180.0, standard),
    row("dropout-logistic", "3 x 1024 logistic, dropout", Some(1.35), TABLE_2, 900.0, |t| dropout(t, Sigmoid, Adam::new(1e-3))),
    row("dropout-relu", "3 x 1024 ReLU, dropout", Some(1.25), TABLE_2, 900.0, |t| dropout(t, Relu, Adam::new(1e-3))),
    row("dropout-max-norm", "3 x 1024 ReLU, dropout, max-norm", Some(1.06), TABLE_2, 900.0, |t| dropout(t, Relu, adam().max_norm(2.0))),
    row("remedy-l2", "remedies: L2", Some(1.62), TABLE_9, 420.0, |t| remedy(t, 0.0, adam().l2(1e-5))),
    row("remedy-l2-l1", "remedies: L2 and L1", Some(1.60), TABLE_9, 420.0, |t| remedy(t, 0.0, adam().l2(1e-5).l1(1e-6))),
    row("remedy-max-norm", "remedies: max-norm", Some(1.35), TABLE_9, 420.0, |t| remedy(t, 0.0, adam().max_norm(1.0))),
    row("remedy-dropout-l2", "remedies: dropout and L2", Some(1.25), TABLE_9, 1200.0, |t| remedy(t, 0.5, adam().l2(1e-6))),
    row("remedy-dropout-max-norm", "remedies: dropout and max-norm", Some(1.05), TABLE_9, 1200.0, |t| remedy(t, 0.5, adam().max_norm(2.0))),
    row("maxout", "maxout and dropout", Some(0.94), GOODFELLOW, 900.0, maxout),
    row("denoising", "denoising autoencoders", Some(1.28), VINCENT, 900.0, denoising),
    row("rbm-dropout", "RBM pre-training, dropout", Some(0.92), TABLE_2, 900.0, rbm),
    row("lenet-5", "LeNet-5", Some(0.95), LECUN, 150.0, lenet),
    row("conv-maxout", "conv. maxout and dropout", Some(0.45), GOODFELLOW, 3600.0, conv_maxout),
    row("deep-big", "1000 + 500, deformations", Some(0.49), CIRESAN, 1800.0, deep_big),
];

type Recipe = fn(&Trial<'_>) -> Result<Outcome, TrialError>;

const fn row(
    name: &'static str,
    method: &'static str,
    published: Option<f64>,
    source: &'static str,
    seconds: f64,
    recipe: Recipe,
) -> Row {
    Row { name, method, published, source, random: true, seconds, recipe }
}

/// Nothing in it is random.
const fn fixed(
    name: &'static str,
    method: &'static str,
    published: Option<f64>,
    source: &'static str,
    seconds: f64,
    recipe: Recipe,
) -> Row {
    Row { random: false, ..row(name, method, published, source, seconds, recipe) }
}

/// Adam for penalties and limits to stand around.
fn adam() -> Regularized {
    Regularized::new(Adam::new(1e-3))
}

/// Pictures [B, 1, 28, 28] for a network of vectors.
fn flat(model: impl Module + 'static) -> Sequential {
    Sequential::new().push(Flatten::default()).push(model)
}

// Without a network.

/// Also on test images that are shifted and turned, where rules break.
fn by_rules(t: &Trial<'_>) -> Result<Outcome, TrialError> {
    let images = t.test_images();
    let misread = |images: &Tensor| {
        let read = rules::read(images);
        let wrong = read.iter().zip(&t.test.labels).filter(|(read, label)| read != label).count();
        100.0 * wrong as f64 / t.test.len() as f64
    };
    let moved = |map: Affine| {
        let pictures = images.reshape([t.test.len(), ROWS, COLS]);
        misread(&map.warp(&pictures, 0.0).reshape([t.test.len(), PIXELS]))
    };
    let notes = vec![
        ("shifted by 3 pixels each way", moved(Affine::shift(3.0, 3.0))),
        ("turned by 20 degrees", moved(Affine::rotation(20.0))),
    ];
    Ok(Outcome { read: rules::read(&images), notes })
}

/// The average perceptron after ten passes.
fn perceptron(t: &Trial<'_>) -> Result<Outcome, TrialError> {
    let (images, labels) = t.train_images();
    let passes = (10.0 * t.effort).ceil().max(1.0) as usize;
    let (mut perceptron, mut rng) = (Perceptron::new(PIXELS, 10), t.rng());
    for pass in 0..passes {
        t.go_on(pass as f64 / passes as f64)?;
        let order = rng.permutation(t.train.len());
        perceptron.learn(&images.index_select(0, &order), &labels.index_select(0, &order));
    }
    classes(&perceptron.averaged().classify(&t.test_images()))
}

/// What was read, from I32 [N].
fn classes(read: &Tensor) -> Result<Outcome, TrialError> {
    let read = read.to_vec::<i32>()?;
    Ok(read.into_iter().map(|class| class as u8).collect::<Vec<_>>().into())
}

fn as_is(images: &Tensor) -> Tensor {
    images.clone()
}

fn deskewed_blurred(images: &Tensor) -> Tensor {
    normalise::blur(&normalise::deskew(images))
}

/// The three nearest by Σ |q - x|^p vote.
fn neighbours(
    t: &Trial<'_>,
    normalise: fn(&Tensor) -> Tensor,
    p: i32,
) -> Result<Outcome, TrialError> {
    const K: usize = 3;
    let [queries, references] = [t.test_images(), t.train_images().0].map(|x| normalise(&x));
    let candidates = if p == 2 { K } else { knn::CANDIDATES };
    let found = knn::References::new(references.clone())
        .nearest(&queries, candidates, |share| t.go_on(share).is_ok());
    let mut found = found.ok_or(TrialError::Stopped)?;
    if p != 2 {
        let [queries, references] = [queries, references].map(|x| x.to_vec::<f32>());
        let (queries, references) = (queries?, references?);
        for (query, near) in queries.chunks_exact(PIXELS).zip(&mut found) {
            knn::by_power(query, &references, near, p, K);
        }
    }
    let read = found.iter().map(|near| knn::vote(near, &t.train.labels));
    Ok(read.collect::<Vec<_>>().into())
}

// Shallow networks.

/// No hidden layer: softmax regression.
fn linear(t: &Trial<'_>, normalise: fn(&Tensor) -> Tensor) -> Result<Outcome, TrialError> {
    let (images, labels) = t.train_images();
    let examples = Arc::new(TensorDataset::new(normalise(&images), labels));
    let mut model = Linear::new(PIXELS, 10, &mut t.rng());
    t.fit(&mut model, &mut Adam::new(1e-3), &cross_entropy, examples, Plan::epochs(20))?;
    let test = Var::constant(normalise(&t.test_images()));
    classes(&no_grad(|| model.forward(&test, &mut Pass::eval())).value().argmax(1, false))
}

/// Hidden layers with a hyperbolic tangent, as in 1998.
fn hidden(t: &Trial<'_>, units: &[usize], epochs: usize) -> Result<Outcome, TrialError> {
    let sizes = [&[PIXELS], units, &[10]].concat();
    let model = flat(Mlp::new(&sizes, Tanh, &mut t.rng()));
    t.learn(model, Adam::new(1e-3), Plan::epochs(epochs))
}

/// 800 hidden units and cross-entropy, with whatever is done to the images.
fn simard(t: &Trial<'_>, plan: Plan) -> Result<Outcome, TrialError> {
    let model = flat(Mlp::new(&[PIXELS, 800, 10], Relu, &mut t.rng()));
    t.learn(model, Ema::new(Adam::new(1e-3), 0.999), plan)
}

/// A digit that is turned, leans, is smaller and further on is the same digit.
fn affine() -> Augment {
    Augment::new().rotate(10.0).shear(10.0).scale(0.9, 1.1).shift(1.5)
}

/// And one written by another hand.
fn elastic() -> Augment {
    affine().elastic(34.0, 4.0)
}

// Noise and penalties, Srivastava et al.

/// The standard network of that paper, from Simard et al.
fn standard(t: &Trial<'_>) -> Result<Outcome, TrialError> {
    let model = flat(Mlp::new(&[PIXELS, 800, 800, 10], Sigmoid, &mut t.rng()));
    t.learn(model, Adam::new(1e-3), Plan::epochs(40))
}

/// A fifth of the inputs and half of the units are dropped.
fn dropout(
    t: &Trial<'_>,
    activation: plies_nn::Activation,
    optimizer: impl plies_nn::optim::Optimizer,
) -> Result<Outcome, TrialError> {
    let sizes = [PIXELS, 1024, 1024, 1024, 10];
    let model = flat(Mlp::new(&sizes, activation, &mut t.rng()).dropout(0.2, 0.5));
    t.learn(model, optimizer, Plan::epochs(80))
}

/// One network, five remedies against overfitting.
fn remedy(t: &Trial<'_>, rate: f64, optimizer: Regularized) -> Result<Outcome, TrialError> {
    let sizes = [PIXELS, 1024, 1024, 2048, 10];
    let model = flat(Mlp::new(&sizes, Relu, &mut t.rng()).dropout(0.4 * rate, rate));
    t.learn(model, optimizer, Plan::epochs(if rate > 0.0 { 80 } else { 30 }))
}

/// Two layers of 240 units, each the largest of five.
fn maxout(t: &Trial<'_>) -> Result<Outcome, TrialError> {
    let rng = &mut t.rng();
    let model = Sequential::new()
        .push(Dropout::new(0.2))
        .push(Maxout::new(PIXELS, 240, 5, rng))
        .push(Dropout::new(0.5))
        .push(Maxout::new(240, 240, 5, rng))
        .push(Dropout::new(0.5))
        .push(Linear::new(240, 10, rng));
    t.learn(flat(model), adam().max_norm(2.0), Plan::epochs(100))
}

// Layers that were learnt without labels first.

/// Three layers of 1000 units, each of which has learnt to restore a quarter of its inputs.
fn denoising(t: &Trial<'_>) -> Result<Outcome, TrialError> {
    let (rng, data, mut stack) = (&mut t.rng(), Digits(t.train.clone()), Stack::new());
    let data = Arc::new(data);
    for (i, inputs) in [PIXELS, 1000, 1000].into_iter().enumerate() {
        let mut layer =
            Autoencoder::new(inputs, 1000, Sigmoid, rng).corruption(Corruption::Masking(0.25));
        let plan = Plan::epochs(15).part(0.2 * i as f64, 0.2 * (i + 1) as f64);
        let codes = stack.codes(data.clone());
        t.fit(&mut layer, &mut Adam::new(1e-3), &binary_cross_entropy, codes, plan)?;
        stack.push(&layer);
    }
    let model = flat(stack.into_mlp(10, rng));
    t.learn(model, Adam::new(5e-4), Plan::epochs(30).part(0.6, 1.0))
}

/// 500 + 500 + 2000 units, each layer a restricted Boltzmann machine first; dropout in the end.
fn rbm(t: &Trial<'_>) -> Result<Outcome, TrialError> {
    let (rng, data, mut stack) = (&mut t.rng(), Digits(t.train.clone()), Stack::new());
    let data = Arc::new(data);
    for (i, [inputs, units]) in [[PIXELS, 500], [500, 500], [500, 2000]].into_iter().enumerate() {
        let mut machine = ContrastiveDivergence::new(Rbm::binary(inputs, units, rng));
        let plan = Plan::epochs(15).part(0.1 * i as f64, 0.1 * (i + 1) as f64);
        let codes = stack.codes(data.clone());
        t.fit(&mut machine, &mut Sgd::new(0.05).momentum(0.9), &contrast, codes, plan)?;
        stack.push(&machine.into_rbm());
    }
    // No limit on norms, which are three and more after the first part: it would throw that away.
    let model = flat(stack.into_mlp(10, rng).dropout(0.2, 0.5));
    t.learn(model, Adam::new(3e-4), Plan::epochs(60).part(0.3, 1.0))
}

// Convolutions and depth.

/// 6 maps, 16 maps, 120 and 84 units, on images padded to 32 x 32.
fn lenet(t: &Trial<'_>) -> Result<Outcome, TrialError> {
    let rng = &mut t.rng();
    let model = Sequential::new()
        .push(Conv2d::new(1, 6, [5, 5], Conv::default().padding(2), rng))
        .push(Tanh)
        .push(MaxPool2d(Pool::new(2)))
        .push(Conv2d::new(6, 16, [5, 5], Conv::default(), rng))
        .push(Tanh)
        .push(MaxPool2d(Pool::new(2)))
        .push(Flatten::default())
        .push(Mlp::new(&[16 * 5 * 5, 120, 84, 10], Tanh, rng));
    t.learn(model, Adam::new(2e-3), Plan::epochs(25))
}

/// Maps that are the largest of two, dropped between layers.
fn conv_maxout(t: &Trial<'_>) -> Result<Outcome, TrialError> {
    let rng = &mut t.rng();
    let layer = |inputs: usize, maps: usize, size: usize, rng: &mut Rng| {
        Sequential::new()
            .push(Conv2d::new(
                inputs,
                2 * maps,
                [size, size],
                Conv::default().padding(size / 2),
                rng,
            ))
            .push(Function::new(move |x: &Var| {
                let [n, h, w] = [x.dim(0), x.dim(2), x.dim(3)];
                x.reshape([n, maps, 2, h, w]).max(&[2], false) // [N, maps, H, W]
            }))
            .push(MaxPool2d(Pool::new(2)))
    };
    let model = Sequential::new()
        .push(Dropout::new(0.2))
        .push(layer(1, 32, 5, rng)) // [N, 32, 14, 14]
        .push(Dropout::new(0.3))
        .push(layer(32, 32, 3, rng)) // [N, 32, 7, 7]
        .push(Dropout::new(0.3))
        .push(layer(32, 32, 3, rng)) // [N, 32, 3, 3]
        .push(Dropout::new(0.5))
        .push(Flatten::default())
        .push(Linear::new(32 * 3 * 3, 10, rng));
    t.learn(model, Ema::new(adam().max_norm(2.0), 0.999), Plan::epochs(50))
}

/// The smallest of the deep big networks; the largest has 12 million weights and reached 0.35 %.
fn deep_big(t: &Trial<'_>) -> Result<Outcome, TrialError> {
    let model = flat(Mlp::new(&[PIXELS, 1000, 500, 10], Relu, &mut t.rng()));
    let deformations =
        Augment::new().rotate(12.0).shear(12.0).scale(0.85, 1.15).shift(1.5).elastic(36.0, 5.0);
    let plan = Plan::epochs(150).augment(deformations);
    t.learn(model, Ema::new(Adam::new(1e-3), 0.999), plan)
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, collections::BTreeSet};

    use super::*;
    use crate::{embedded, idx::Examples};

    fn few(mut examples: Examples, count: usize) -> Examples {
        examples.truncate(count);
        examples
    }

    /// With one step most guess, but each gives an answer for each image and tells how far it is.
    #[test]
    fn each_recipe_reads_the_test_set() {
        let (train, test) = (few(embedded::train(), 32), few(embedded::test(), 10));
        for row in LADDER {
            let told = RefCell::new(Vec::new());
            let trial = Trial {
                train: &train,
                test: &test,
                seed: 1,
                effort: 0.0,
                stop: &Default::default(),
                progress: &|share| told.borrow_mut().push(share),
                folder: None,
            };
            let outcome = (row.recipe)(&trial).unwrap_or_else(|e| panic!("{}: {e}", row.name));
            assert_eq!(outcome.read.len(), 10, "{}", row.name);
            assert!(outcome.read.iter().all(|&class| class < 10), "{}", row.name);
            let told = told.into_inner();
            assert!(told.is_sorted() && told.iter().all(|s| (0.0..=1.0).contains(s)), "{told:?}");
            let right = outcome.read.iter().zip(&test.labels).filter(|(a, b)| a == b).count();
            if row.name.starts_with("knn") {
                assert!(right >= 4, "{}: {right}", row.name);
            }
        }
    }

    /// Of two trainings, the first is taken as it was and the second goes on from an epoch.
    #[test]
    fn a_stopped_trial_goes_on_and_ends_like_one_that_was_not() {
        let (train, test) = (few(embedded::train(), 40), few(embedded::test(), 20));
        let row = LADDER.iter().find(|row| row.name == "rbm-dropout").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let attempt = |until: f64, folder| {
            let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
            let first = RefCell::new(None);
            let trial = Trial {
                train: &train,
                test: &test,
                seed: 1,
                effort: 0.05,
                stop: &stop,
                progress: &|share| {
                    first.borrow_mut().get_or_insert(share);
                    stop.store(share > until, std::sync::atomic::Ordering::Relaxed);
                },
                folder,
            };
            ((row.recipe)(&trial).ok(), first.into_inner())
        };
        assert_eq!(attempt(0.6, Some(folder.path())).0, None);
        let (parts, first) = attempt(1.0, Some(folder.path()));
        assert!(first > Some(0.6), "{first:?}");
        assert_eq!(parts.unwrap(), attempt(1.0, None).0.unwrap());
    }

    #[test]
    fn names_are_unique_and_methods_fit_the_table() {
        let names: BTreeSet<_> = LADDER.iter().map(|row| row.name).collect();
        assert_eq!(names.len(), LADDER.len());
        assert!(LADDER.iter().all(|row| row.method.chars().count() <= 33));
        assert!(LADDER.iter().all(|row| row.published.is_some() != row.source.is_empty()));
    }

    #[test]
    fn a_trial_that_is_stopped_has_no_outcome() {
        let (train, test) = (few(embedded::train(), 200), few(embedded::test(), 50));
        let stop = std::sync::Arc::new(true.into());
        let trial = Trial {
            train: &train,
            test: &test,
            seed: 1,
            effort: 1.0,
            stop: &stop,
            progress: &|_| {},
            folder: None,
        };
        for name in ["perceptron", "knn-l2", "300"] {
            let row = LADDER.iter().find(|row| row.name == name).unwrap();
            assert!(matches!((row.recipe)(&trial), Err(TrialError::Stopped)), "{name}");
        }
    }
}
