//! What `supervised` and `test` say about a classifier: accuracy, labels one by one, and which are
//! taken for which.

use std::fmt::Write as _;

use plies_console::{Console, Failure, thousands};
use plies_nn::metrics::wilson_interval;
use plies_text::classify::Evaluation;
use serde::Serialize;

/// As wide as lines may be.
const COLUMNS: usize = 80;

/// For scripts.
#[derive(Serialize)]
pub(crate) struct Verdict {
    pub(crate) documents: usize,
    pub(crate) accuracy: f64,
    interval_95: (f64, f64),
    macro_f1: f64,
    log_loss: f64,
    calibration_error: f64,
    labels: Vec<LabelVerdict>,
    /// A row for each true label.
    confusion: Vec<Vec<usize>>,
}

#[derive(Serialize)]
struct LabelVerdict {
    label: String,
    documents: usize,
    precision: f64,
    recall: f64,
    f1: f64,
}

impl Verdict {
    pub(crate) fn new(labels: &[String], found: &Evaluation) -> Verdict {
        let confusion = &found.confusion;
        let row = |truth: usize| (0..labels.len()).map(move |p| confusion.count(truth, p));
        let of_label = |(i, label): (usize, &String)| LabelVerdict {
            label: label.clone(),
            documents: row(i).sum(),
            precision: confusion.precision(i),
            recall: confusion.recall(i),
            f1: confusion.f1(i),
        };
        Verdict {
            documents: found.n_documents,
            accuracy: found.accuracy(),
            interval_95: wilson_interval(found.correct, found.n_documents, 1.96),
            macro_f1: confusion.macro_f1(),
            log_loss: found.log_loss,
            calibration_error: found.calibration_error,
            labels: labels.iter().enumerate().map(of_label).collect(),
            confusion: (0..labels.len()).map(|truth| row(truth).collect()).collect(),
        }
    }

    /// Shows it.
    pub(crate) fn show(&self, console: &Console) -> Result<(), Failure> {
        let (low, high) = self.interval_95;
        let half = 50.0 * (high - low);
        console.result(&format!(
            "accuracy {:.2} % ± {half:.2} on {} documents, macro F1 {:.2} %",
            100.0 * self.accuracy,
            thousands(self.documents),
            100.0 * self.macro_f1
        ))?;
        console.say(&format!(
            "log-loss {:.3}; probabilities are off by {:.1} % on average",
            self.log_loss,
            100.0 * self.calibration_error
        ))?;
        if self.labels.iter().all(|label| label.documents == 0) {
            return Ok(());
        }
        console.say(&self.table())
    }

    fn table(&self) -> String {
        let width =
            self.labels.iter().map(|l| l.label.chars().count()).max().unwrap_or(0).clamp(5, 24);
        let short = |label: &str| -> String { label.chars().take(width).collect() };
        let mut text =
            format!("\n{:width$}  precision  recall     F1  documents  taken for", "label");
        for (i, label) in self.labels.iter().enumerate().filter(|(_, label)| label.documents > 0) {
            let _ = write!(
                text,
                "\n{:width$}  {:>9.3}  {:>6.3}  {:.3}  {:>9}",
                short(&label.label),
                label.precision,
                label.recall,
                label.f1,
                thousands(label.documents)
            );
            let mistakes = self.confusion[i].iter().enumerate().filter(|&(p, &n)| p != i && n > 0);
            let mut mistakes: Vec<(usize, &usize)> = mistakes.collect();
            mistakes.sort_by_key(|&(_, &n)| std::cmp::Reverse(n));
            let mut room = COLUMNS.saturating_sub(width + 40);
            for (p, n) in mistakes {
                let part = format!("  {} {n}", short(&self.labels[p].label));
                let length = part.chars().count();
                if length > room {
                    break;
                }
                room -= length;
                text.push_str(&part);
            }
        }
        text
    }
}
