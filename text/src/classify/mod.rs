//! Text classification by bags of n-grams: naive Bayes, logistic regression, NB-SVM, fastText.
//!
//!   text ─► n-grams' fingerprints ([`ngrams`]) ─► bags ([`Bags`]) ─► sparse rows ─► one linear model
//!
//! Methods differ in what their rows hold and in how weights are learnt ([`Method`]). What they learn is
//! of one form, so predicting, probabilities, explanations and files are written once.

mod averaged;
mod bags;
mod calibration;
mod curve;
mod dual;
mod features;
mod file;
#[cfg(test)]
mod golden;
mod linear;
mod naive_bayes;
pub mod ngrams;
pub(crate) mod parallel;

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};

use plies_nn::metrics::ConfusionMatrix;

pub use bags::Bags;
pub use curve::{CurvePoint, curve, sizes};
pub use features::{Norm, Weighting};
pub use ngrams::{NGrams, Tokens};

use crate::{Error, Result};
use calibration::Link;
use features::Features;
use linear::{Fitted, Linear};
use ngrams::{Analyzer, Tally};

/// How weights are learnt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Multinomial naive Bayes on counts: one pass, and hard to beat with a hundred documents.
    NaiveBayes,
    /// A support vector machine whose weights may be the larger the more naive Bayes thinks of them.
    NbSvm,
    /// Logistic regression on tf-idf.
    LogisticRegression,
    /// A linear support vector machine (squared hinge) on tf-idf.
    Svm,
    /// fastText's: averaged embeddings and a softmax.
    FastText,
}

impl Method {
    /// All of them, by the names that the program and files use.
    pub const NAMES: [(&str, Method); 5] = [
        ("nb", Method::NaiveBayes),
        ("nb-svm", Method::NbSvm),
        ("lr", Method::LogisticRegression),
        ("svm", Method::Svm),
        ("fasttext", Method::FastText),
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|row| row.1 == self).expect("each has a name").0
    }

    /// The one with a name.
    pub fn from_name(name: &str) -> Option<Method> {
        Self::NAMES.iter().find(|row| row.0 == name).map(|row| row.1)
    }

    fn weighting(self) -> (Weighting, Norm) {
        match self {
            Method::NaiveBayes => (Weighting::Counts, Norm::None),
            Method::NbSvm => (Weighting::TfIdf, Norm::Length),
            Method::LogisticRegression | Method::Svm => (Weighting::TfIdf, Norm::Length),
            Method::FastText => (Weighting::Counts, Norm::Sum),
        }
    }
}

/// What can be chosen about a training. `None` stands for what suits the method.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// How weights are learnt.
    pub method: Method,
    /// What rows hold.
    pub weighting: Option<Weighting>,
    /// What rows are divided by.
    pub norm: Option<Norm>,
    /// n-grams of fewer documents are left out. By itself 1, and 2 where documents have more than a
    /// hundred of them: of so many one can be spared that no other document has.
    pub min_documents: Option<u32>,
    /// C of logistic regression and support vector machines: what a document weighs against the size of
    /// the weights.
    pub cost: Option<f32>,
    /// What naive Bayes and NB-SVM add to each count.
    pub alpha: f32,
    /// At most so many passes.
    pub epochs: Option<usize>,
    /// How little a pass changes when logistic regression and support vector machines are done.
    pub tolerance: f32,
    /// fastText's first learning rate.
    pub lr: f32,
    /// For the order of documents, and fastText's first vectors.
    pub seed: u64,
}

impl Settings {
    /// What suits a method.
    pub fn new(method: Method) -> Settings {
        Settings {
            method,
            weighting: None,
            norm: None,
            min_documents: None,
            cost: None,
            alpha: 1.0,
            epochs: None,
            tolerance: 0.02,
            lr: 0.5,
            seed: 1,
        }
    }

    fn check(&self) -> Result<()> {
        let positive = |name, x: f32| {
            let is_good = x.is_finite() && x > 0.0;
            let reason = || format!("{x}; it takes a number above 0");
            if is_good { Ok(()) } else { Err(Error::setting(name, reason())) }
        };
        positive("cost", self.cost.unwrap_or(1.0))?;
        positive("alpha", self.alpha)?;
        positive("learning rate", self.lr)?;
        if self.epochs == Some(0) {
            return Err(Error::setting("epochs", "0; it takes at least one"));
        }
        Ok(())
    }
}

/// The most documents from which probabilities are calibrated.
const MAX_HELD_OUT: usize = 4000;

/// A trained model.
///
/// # Example
/// ```
/// use plies_text::classify::{Bags, Classifier, Method, NGrams, Settings};
/// use plies_text::labelled::Labelled;
/// let bags = Bags::read(&Labelled::embedded(), &NGrams::default())?;
/// let model = Classifier::train(&bags, &Settings::new(Method::NaiveBayes))?;
/// let (label, probability) = model.predictor().predict("What a wonderful film!");
/// assert!(label == "1" && probability > 0.8);
/// # Ok::<(), plies_text::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Classifier {
    method: Method,
    labels: Vec<String>,
    features: Features,
    linear: Linear,
    link: Link,
}

impl Classifier {
    /// Learns from documents.
    ///
    /// # Errors
    /// Settings that make no sense, or documents that all have one label.
    pub fn train(bags: &Bags, settings: &Settings) -> Result<Classifier> {
        Self::train_with(bags, settings, &|_| ControlFlow::Continue(()))
    }

    /// Learns from documents, and tells `progress` from time to time which share of the longest possible
    /// training is done. When that answers `Break` the model is what was learnt until then.
    ///
    /// # Errors
    /// As [`train`](Self::train).
    pub fn train_with(
        bags: &Bags,
        settings: &Settings,
        progress: &(dyn Fn(f64) -> ControlFlow<()> + Sync),
    ) -> Result<Classifier> {
        settings.check()?;
        bags.check()?;
        let (weighting, norm) = settings.method.weighting();
        let weighting = settings.weighting.unwrap_or(weighting);
        let norm = settings.norm.unwrap_or(norm);
        let usual = if bags.mean_size() <= 100 { 1 } else { 2 };
        let min_documents = settings.min_documents.unwrap_or(usual);
        let features = Features::fit(bags, min_documents, weighting, norm)?;
        let fitted = fit(bags, &features, settings, progress);
        let many = bags.targets.are_many();
        let link = Link { scale: calibration::scale(&fitted, &bags.targets, many), many };
        let labels = bags.labels.clone();
        Ok(Classifier { method: settings.method, labels, features, linear: fitted.linear, link })
    }

    /// How it was learnt.
    pub fn method(&self) -> Method {
        self.method
    }

    /// What it can answer, in the order of probabilities.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// The n-grams that it looks at.
    pub fn ngrams(&self) -> &NGrams {
        &self.features.ngrams
    }

    /// Number of different n-grams that it knows.
    pub fn n_features(&self) -> usize {
        self.features.columns.len()
    }

    /// Whether a document may have several labels.
    pub fn has_many_labels(&self) -> bool {
        self.link.many
    }

    /// What answers, with memory that it uses again: one for each thread.
    pub fn predictor(&self) -> Predictor<'_> {
        Predictor {
            model: self,
            analyzer: Analyzer::new(&self.features.ngrams),
            tally: Tally::default(),
            features: Vec::new(),
            row: Vec::new(),
            scores: vec![0.0; self.linear.n_outputs()],
            probabilities: Vec::new(),
        }
    }
}

fn fit(
    bags: &Bags,
    features: &Features,
    settings: &Settings,
    progress: &(dyn Fn(f64) -> ControlFlow<()> + Sync),
) -> Fitted {
    let rows = features.rows(bags);
    let (targets, n_labels) = (&bags.targets, bags.labels.len());
    let n_outputs = linear::n_outputs(bags);
    let is_stopped = AtomicBool::new(false);
    let go_on = |share: f64| {
        if progress(share).is_break() {
            is_stopped.store(true, Ordering::Relaxed);
        }
        !is_stopped.load(Ordering::Relaxed)
    };
    let sample = |n: usize| -> Vec<usize> {
        (0..bags.len()).step_by(bags.len().div_ceil(n.max(1)).max(1)).collect()
    };
    let descend = |[first_variances, variances]: [&[f32]; 2], held_out, loss, cost: f32| {
        let descent = dual::Descent {
            cost: settings.cost.unwrap_or(cost),
            max_epochs: settings.epochs.unwrap_or(50),
            tolerance: settings.tolerance,
            seed: settings.seed,
        };
        let problem =
            dual::Problem { rows: &rows, targets, n_outputs, variances, first_variances, loss };
        dual::fit(&problem, descent, held_out, &go_on)
    };
    let tenth = sample((bags.len() / 10).min(MAX_HELD_OUT));
    match settings.method {
        Method::NaiveBayes => {
            let held_out = sample(MAX_HELD_OUT);
            naive_bayes::fit(&rows, targets, n_labels, n_outputs, settings.alpha, held_out)
        }
        Method::LogisticRegression => descend([&[], &[]], tenth, dual::Loss::Logistic, 10.0),
        Method::Svm => descend([&[], &[]], tenth, dual::Loss::SquaredHinge, 1.0),
        Method::NbSvm => {
            let mut is_held_out = vec![false; bags.len()];
            tenth.iter().for_each(|&i| is_held_out[i] = true);
            let variances = |is_wanted: &dyn Fn(usize) -> bool| {
                let documents = (0..bags.len()).filter(|&i| is_wanted(i));
                let alpha = settings.alpha;
                dual::log_ratio_variances(&rows, targets, n_labels, n_outputs, alpha, documents)
            };
            let (first, all) = (variances(&|i| !is_held_out[i]), variances(&|_| true));
            descend([&first, &all], tenth, dual::Loss::SquaredHinge, 1.0)
        }
        Method::FastText => {
            let passes = match bags.len() {
                0..5_000 => 50,
                5_000..100_000 => 25,
                _ => 5,
            };
            let descent = averaged::Descent {
                epochs: settings.epochs.unwrap_or(passes),
                lr: settings.lr,
                seed: settings.seed,
            };
            // It has to do without a twentieth: what it says of documents that it saw tells nothing.
            let held_out = sample((bags.len() / 20).min(MAX_HELD_OUT / 2));
            averaged::fit(&rows, targets, n_labels, n_outputs, descent, held_out, &go_on)
        }
    }
}

/// Answers of a classifier.
pub struct Predictor<'m> {
    model: &'m Classifier,
    analyzer: Analyzer,
    tally: Tally,
    features: Vec<(u64, u32)>,
    row: Vec<(u32, f32)>,
    scores: Vec<f32>,
    probabilities: Vec<f32>,
}

impl<'m> Predictor<'m> {
    /// The probability of each label.
    pub fn probabilities(&mut self, text: &str) -> &[f32] {
        self.features.clear();
        let features = &mut self.features;
        self.analyzer.for_each(text, |fingerprint, _, _| features.push((fingerprint, 1)));
        self.tally.merge(features, 0);
        self.answer()
    }

    /// The probability of each label of a document that was taken apart in the same way.
    pub fn probabilities_of(&mut self, bags: &Bags, document: usize) -> &[f32] {
        self.features.clear();
        self.features.extend_from_slice(bags.features(document));
        self.answer()
    }

    fn answer(&mut self) -> &[f32] {
        self.row.clear();
        self.model.features.push_row(&self.features, &mut self.row);
        self.model.linear.scores(&self.row, &mut self.scores);
        self.model.link.probabilities(&self.scores, &mut self.probabilities);
        &self.probabilities
    }

    /// The likeliest label, and its probability.
    pub fn predict(&mut self, text: &str) -> (&'m str, f32) {
        let (label, p) = most(self.probabilities(text));
        (&self.model.labels[label], p)
    }

    /// The likeliest label, as a number, and its probability, of a document that was taken apart in the
    /// same way.
    pub fn predict_of(&mut self, bags: &Bags, document: usize) -> (usize, f32) {
        most(self.probabilities_of(bags, document))
    }

    /// What each word says for a label and against the others, as a share of the score: an n-gram's
    /// contribution is shared evenly among its words.
    ///
    /// # Panics
    /// When the label does not exist.
    pub fn explain(&mut self, text: &str, label: usize) -> Explanation {
        self.probabilities(text);
        // An n-gram's number in a row is a sum over where it occurs; each place has its share.
        let each: Vec<(u32, f32)> = self.row.clone();
        let find = |fingerprint: u64| -> f32 {
            let Some(column) = self.model.features.columns.find(fingerprint) else { return 0.0 };
            let Some(&(_, x)) = each.iter().find(|entry| entry.0 == column) else { return 0.0 };
            let features = &self.features;
            let count = features.iter().find(|entry| entry.0 == fingerprint).map_or(1, |f| f.1);
            x / count as f32 * advantage(self.model.linear.of(column), label)
        };
        let mut found: Vec<(f32, usize, usize)> = Vec::new();
        let (text, tokens) = self.analyzer.for_each(text, |fingerprint, first, last| {
            found.push((find(fingerprint), first, last))
        });
        let mut words: Vec<f32> = vec![0.0; tokens.len()];
        for (contribution, first, last) in found {
            let share = contribution / (last - first + 1) as f32;
            words[first..=last].iter_mut().for_each(|word| *word += share);
        }
        let words = tokens
            .iter()
            .zip(words)
            .map(|(token, by)| {
                (token.start as usize..token.end as usize, by * self.model.link.scale)
            })
            .collect();
        let bias = advantage(&self.model.linear.bias, label) * self.model.link.scale;
        Explanation { text: text.to_owned(), words, bias }
    }
}

/// Why a label was given: log-odds, added up.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// The text as the model sees it, in small letters perhaps.
    pub text: String,
    /// Each word's place in it, and what it says for the label (above 0) or against it.
    pub words: Vec<(std::ops::Range<usize>, f32)>,
    /// What speaks for the label before a word is read.
    pub bias: f32,
}

/// How much an output is above the mean of all; of a single output its sign tells the label.
fn advantage(outputs: &[f32], label: usize) -> f32 {
    match outputs {
        &[one] if label == 1 => one,
        &[one] => -one,
        all => all[label] - all.iter().sum::<f32>() / all.len() as f32,
    }
}

fn most(probabilities: &[f32]) -> (usize, f32) {
    let by_p = |a: &(usize, &f32), b: &(usize, &f32)| a.1.total_cmp(b.1).then(b.0.cmp(&a.0));
    let best = probabilities.iter().enumerate().max_by(by_p);
    let (label, &p) = best.expect("there are labels");
    (label, p)
}

/// How good a model is on documents with labels.
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// Of documents with one label: a row for each true label.
    pub confusion: ConfusionMatrix,
    /// Documents.
    pub n_documents: usize,
    /// Documents whose likeliest label is one of theirs.
    pub correct: usize,
    /// Labels of all documents together.
    pub n_labels: usize,
    /// Mean of −ln P of the true label.
    pub log_loss: f64,
    /// Mean difference between how sure the model is and how often it is right, over ten intervals.
    pub calibration_error: f64,
}

impl Evaluation {
    /// The share of documents whose likeliest label is one of theirs.
    pub fn accuracy(&self) -> f64 {
        self.correct as f64 / self.n_documents as f64
    }
}

impl Classifier {
    /// Compares the model's answers with labels. A label that the model does not know is a mistake of
    /// the model, and is no row of the confusion matrix.
    ///
    /// # Errors
    /// Documents that were taken apart in another way.
    pub fn test(&self, bags: &Bags) -> Result<Evaluation> {
        if bags.ngrams != self.features.ngrams {
            let reason = "was taken apart into other n-grams than those of the model";
            return Err(Error::format(bags.origin(), reason));
        }
        let number = |label: &String| self.labels.iter().position(|known| known == label);
        let numbers: Vec<Option<usize>> = bags.labels.iter().map(number).collect();
        let answers = parallel::map_parts(bags.len(), |documents| {
            let mut predictor = self.predictor();
            let mut answers = Vec::with_capacity(documents.len());
            for document in documents {
                let p = predictor.probabilities_of(bags, document);
                let of = |label: Option<usize>| label.map_or(0.0, |label| p[label]);
                let truth = bags.labels_of(document).iter();
                let of_truth = truth.map(|&label| of(numbers[label as usize])).fold(0.0, f32::max);
                answers.push((most(p), of_truth));
            }
            answers
        });
        let mut bins = [(0.0f64, 0.0f64, 0usize); 10];
        let mut result = Evaluation {
            confusion: ConfusionMatrix::new(self.labels.len()),
            n_documents: bags.len(),
            correct: 0,
            n_labels: 0,
            log_loss: 0.0,
            calibration_error: 0.0,
        };
        for (document, ((label, p), of_truth)) in answers.into_iter().flatten().enumerate() {
            let truth = bags.labels_of(document);
            let is_right = truth.iter().any(|&y| numbers[y as usize] == Some(label));
            result.correct += usize::from(is_right);
            result.n_labels += truth.len();
            result.log_loss -= f64::from(of_truth.max(1e-15)).ln() / bags.len() as f64;
            if let &[only] = truth
                && let Some(truth) = numbers[only as usize]
            {
                result.confusion.add(truth, label);
            }
            let bin = &mut bins[((p * 10.0) as usize).min(9)];
            *bin = (bin.0 + f64::from(p), bin.1 + f64::from(u8::from(is_right)), bin.2 + 1);
        }
        let differences: f64 = bins.iter().map(|(p, right, _)| (p - right).abs()).sum();
        result.calibration_error = differences / bags.len() as f64;
        Ok(result)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::corpus::Source;
    use crate::labelled::Labelled;

    fn sentences(ngrams: &NGrams) -> (Bags, Bags) {
        Bags::read(&Labelled::embedded(), ngrams).unwrap().split(5, 1)
    }

    fn bags(text: &str) -> Result<Bags> {
        Bags::read(&Labelled::new(Source::bytes("f", text.as_bytes()))?, &NGrams::default())
    }

    #[test]
    fn every_method_learns_the_sentences_and_knows_how_sure_it_may_be() {
        let (train, test) = sentences(&NGrams::default());
        for (name, method) in Method::NAMES {
            let model = Classifier::train(&train, &Settings::new(method)).unwrap();
            let found = model.test(&test).unwrap();
            assert!(found.accuracy() > 0.78, "{name}: {}", found.accuracy());
            assert!(found.calibration_error < 0.1, "{name}: {}", found.calibration_error);
            assert_eq!(found.confusion.total(), 600);
            let p = model.predictor().probabilities("").to_vec();
            assert!((p[0] - 0.5).abs() < 0.2, "{name}: {p:?}");
        }
    }

    #[test]
    fn the_number_of_threads_changes_nothing() {
        let text: String = (0..400)
            .map(|i| format!("__label__{} w{} w{} w{}\n", i % 5, i % 5 * 3, i * 7 % 11, i * i % 13))
            .collect();
        let learn = |threads| {
            plies_tensor::set_threads(threads);
            let bags = bags(&text).unwrap();
            let methods = [Method::NbSvm, Method::LogisticRegression];
            methods
                .map(|m| Classifier::train(&bags, &Settings::new(m)).unwrap().to_bytes().unwrap())
        };
        let (one, two) = (learn(1), learn(2));
        plies_tensor::set_threads(usize::MAX);
        assert!(one == two);
    }

    #[test]
    fn documents_may_have_several_labels() {
        let text: String = (0..300)
            .map(|i| match i % 3 {
                0 => "__label__wet rain and sea\n",
                1 => "__label__hot sun and sand\n",
                _ => "__label__wet __label__hot steam and sauna\n",
            })
            .collect();
        for (_, method) in Method::NAMES {
            let model = Classifier::train(&bags(&text).unwrap(), &Settings::new(method)).unwrap();
            assert!(model.has_many_labels());
            let mut predictor = model.predictor();
            assert_eq!(predictor.predict("rain").0, "wet", "{method:?}");
            assert_eq!(predictor.predict("sun").0, "hot", "{method:?}");
            let p = predictor.probabilities("steam sauna");
            if method != Method::NaiveBayes && method != Method::FastText {
                assert!(p.iter().all(|&p| p > 0.7), "{method:?} {p:?}");
            }
        }
    }

    #[test]
    fn what_cannot_be_learnt_from_is_refused() {
        let rows = [
            ("__label__a x\n__label__a y\n", "f: all 2 documents have the label \"a\""),
            ("\n\n", "f: holds no documents"),
            ("__label__a\n__label__b\n", "f: no n-gram is in 1 documents or more"),
        ];
        for (text, expected) in rows {
            let learnt =
                bags(text).and_then(|b| Classifier::train(&b, &Settings::new(Method::Svm)));
            let error = learnt.unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
        let (train, _) = sentences(&NGrams::default());
        let settings = Settings { cost: Some(-1.0), ..Settings::new(Method::Svm) };
        let error = Classifier::train(&train, &settings).unwrap_err().to_string();
        assert_eq!(error, "cost: -1; it takes a number above 0");
    }

    #[test]
    fn contributions_add_up_to_the_log_odds() {
        let ngrams = NGrams { characters: (3, 4), ..NGrams::default() };
        let (train, _) = sentences(&ngrams);
        for (_, method) in Method::NAMES {
            let model = Classifier::train(&train, &Settings::new(method)).unwrap();
            let mut predictor = model.predictor();
            let text = "Not a good film, not GOOD at all!";
            let why = predictor.explain(text, 1);
            let p = predictor.probabilities(text);
            let sum = why.bias + why.words.iter().map(|word| word.1).sum::<f32>();
            assert!((sum - (p[1] / p[0]).ln()).abs() < 2e-3, "{method:?} {sum} {p:?}");
            assert_eq!(&why.text[why.words[2].0.clone()], "good");
        }
    }

    #[test]
    fn a_training_that_is_stopped_gives_what_it_has() {
        let (train, test) = sentences(&NGrams::default());
        let settings = Settings { tolerance: 0.0, ..Settings::new(Method::NbSvm) };
        let after = |share: f64| {
            move |done: f64| {
                if done > share { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            }
        };
        let early = Classifier::train_with(&train, &settings, &after(0.0)).unwrap();
        assert!(early.test(&test).unwrap().accuracy() > 0.7);
    }

    fn small() -> Classifier {
        let text = "__label__a one two\n__label__b two three\n__label__c four\n__label__a one\n";
        Classifier::train(&bags(text).unwrap(), &Settings::new(Method::Svm)).unwrap()
    }

    #[test]
    fn a_file_holds_all_of_a_model() {
        let folder = tempfile::tempdir().unwrap();
        let (train, test) = sentences(&NGrams { bits: 12, ..NGrams::default() });
        for (_, method) in Method::NAMES {
            let model = Classifier::train(&train, &Settings::new(method)).unwrap();
            let file = folder.path().join("model");
            model.save(&file).unwrap();
            let again = Classifier::load(&file).unwrap();
            assert_eq!(again.method(), method);
            let (mut ours, mut theirs) = (model.predictor(), again.predictor());
            for i in 0..50 {
                assert_eq!(ours.probabilities_of(&test, i), theirs.probabilities_of(&test, i));
            }
        }
        let error = Classifier::load(&folder.path().join("none")).unwrap_err().to_string();
        assert!(error.contains("none: No such file"), "{error}");
    }

    #[test]
    fn a_file_of_something_else_is_refused_by_name() {
        let mut file = plies_nn::Checkpoint::new();
        let error = |file: &plies_nn::Checkpoint| {
            Classifier::from_bytes(&file.to_bytes().unwrap(), "f").unwrap_err().to_string()
        };
        assert_eq!(error(&file), "f: is no classifier of this program");
        file.set_architecture("mlp 2-2");
        assert!(error(&file).starts_with("f: architecture is \"mlp 2-2\""), "{}", error(&file));
        assert!(Classifier::from_bytes(b"text", "f").is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]
        #[test]
        fn no_bytes_make_a_reader_panic(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
            length in any::<prop::sample::Index>(), is_cut in prop::bool::weighted(0.2),
        ) {
            let mut bytes = small().to_bytes().unwrap();
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            if is_cut {
                bytes.truncate(length.index(bytes.len()));
            }
            if let Ok(model) = Classifier::from_bytes(&bytes, "f") {
                let mut predictor = model.predictor();
                prop_assert_eq!(predictor.probabilities("one two five").len(), model.labels().len());
            }
        }
    }
}
