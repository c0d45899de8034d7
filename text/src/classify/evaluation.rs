//! How good a model is, whichever it is.

use plies_nn::metrics::ConfusionMatrix;

use super::labels::Targets;

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

/// What a model says of a document: its likeliest label with its probability, and the probability of the
/// document's own label, 0 where the model does not know it.
pub(crate) type Answer = ((usize, f32), f32);

impl Evaluation {
    /// Compares answers, in the order of documents, with the documents' labels, whose names are `names`. A
    /// label that the model, whose labels are `known`, does not know is a mistake of the model, and is no
    /// row of the confusion matrix.
    pub(crate) fn of(
        answers: impl IntoIterator<Item = Answer>,
        known: &[String],
        names: &[String],
        targets: &Targets,
    ) -> Evaluation {
        let numbers = numbers(known, names);
        let n_documents = targets.len();
        let mut bins = [(0.0f64, 0.0f64, 0usize); 10];
        let mut result = Evaluation {
            confusion: ConfusionMatrix::new(known.len()),
            n_documents,
            correct: 0,
            n_labels: 0,
            log_loss: 0.0,
            calibration_error: 0.0,
        };
        for (document, ((label, p), of_truth)) in answers.into_iter().enumerate() {
            let truth = targets.of(document);
            let is_right = truth.iter().any(|&y| numbers[y as usize] == Some(label));
            result.correct += usize::from(is_right);
            result.n_labels += truth.len();
            result.log_loss -= f64::from(of_truth.max(1e-15)).ln() / n_documents as f64;
            if let &[only] = truth
                && let Some(truth) = numbers[only as usize]
            {
                result.confusion.add(truth, label);
            }
            let bin = &mut bins[((p * 10.0) as usize).min(9)];
            *bin = (bin.0 + f64::from(p), bin.1 + f64::from(u8::from(is_right)), bin.2 + 1);
        }
        let differences: f64 = bins.iter().map(|(p, right, _)| (p - right).abs()).sum();
        result.calibration_error = differences / n_documents as f64;
        result
    }
}

/// The numbers that names have in a model whose labels are `known`.
pub(crate) fn numbers(known: &[String], names: &[String]) -> Vec<Option<usize>> {
    names.iter().map(|name| known.iter().position(|label| label == name)).collect()
}

/// What probabilities say of a document that has labels.
pub(crate) fn answer(p: &[f32], truth: &[u32], numbers: &[Option<usize>]) -> Answer {
    let of = |label: Option<usize>| label.map_or(0.0, |label| p[label]);
    let of_truth = truth.iter().map(|&label| of(numbers[label as usize]));
    (most(p), of_truth.fold(0.0, f32::max))
}

/// The likeliest label and its probability.
pub(crate) fn most(probabilities: &[f32]) -> (usize, f32) {
    let by_p = |a: &(usize, &f32), b: &(usize, &f32)| a.1.total_cmp(b.1).then(b.0.cmp(&a.0));
    let best = probabilities.iter().enumerate().max_by(by_p);
    let (label, &p) = best.expect("there are labels");
    (label, p)
}
