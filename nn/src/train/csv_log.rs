//! A table of what every epoch was like, in a file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use plies_tensor::{Error, replace_file};

use super::{BatchEvent, Callback, EpochEvent, Flow, Means, Position, TrainError, Training};

/// The columns when there is a row for each epoch.
const EPOCHS: &str = "iteration,epoch,lr,loss,accuracy,held_out_loss,held_out_accuracy";

/// The columns when there are rows for batches.
const BATCHES: &str = "iteration,epoch,lr,loss";

/// Writes comma-separated values that spreadsheets, pandas and R read: a row for each epoch, or for
/// batches.
///
/// The columns are `iteration` (batches since the training began), `epoch` (from 0), `lr`, `loss`; for
/// epochs also `accuracy`, and loss and accuracy of the held-out examples. A place is empty where a number
/// is not counted. Each row is in the file before training goes on. A training that is
/// resumed cuts off rows of what it does again, so that the file is that of a training without a stop;
/// one that begins anew begins the file anew. Both do so with their first row.
///
/// # Example
/// ```
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("log.csv");
/// use std::sync::Arc;
/// use plies_nn::data::{Loader, TensorDataset};
/// use plies_nn::optim::Sgd;
/// use plies_nn::train::{CsvLog, Fit, fit};
/// use plies_nn::{Linear, loss};
/// use plies_tensor::{Rng, Tensor};
/// let data = TensorDataset::new(Tensor::from([[1f32], [-1.0]]), Tensor::from([1, 0]));
/// let (loader, mut model) = (Loader::new(Arc::new(data), 1), Linear::new(1, 2, &mut Rng::new(1)));
/// let callbacks: &mut [&mut dyn plies_nn::train::Callback] = &mut [&mut CsvLog::new(&path)];
/// fit(&mut model, &mut Sgd::new(0.5), &loss::cross_entropy, &loader, &Fit::epochs(3), callbacks).unwrap();
/// let text = std::fs::read_to_string(&path).unwrap();
/// let rows: Vec<&str> = text.lines().collect();
/// assert!(rows[0].starts_with("iteration,epoch,lr,loss,accuracy"));
/// assert!(rows[3].starts_with("6,2,0.5,"));
/// ```
#[derive(Debug)]
pub struct CsvLog {
    path: PathBuf,
    /// A row after so many batches; for epochs, none.
    every: Option<usize>,
    file: Option<File>,
    /// The iteration that the training begins after; later rows are cut off when one is written.
    begins_after: u64,
}

impl CsvLog {
    /// A row for each epoch.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        CsvLog { path: path.into(), every: None, file: None, begins_after: 0 }
    }

    /// A row after every `n` batches, with the loss of the last of them, in place of rows for epochs.
    ///
    /// # Panics
    /// When `n` is 0.
    #[track_caller]
    pub fn every_batches(mut self, n: usize) -> Self {
        assert!(n > 0, "csv_log: a row after every 0 batches");
        self.every = Some(n);
        self
    }

    fn header(&self) -> &'static str {
        if self.every.is_some() { BATCHES } else { EPOCHS }
    }

    /// The file as it is, and with the rows up to the one to be written.
    fn read(&self) -> io::Result<[String; 2]> {
        let old = match fs::metadata(&self.path) {
            // Reading a device or a pipe might never end.
            Ok(found) if !found.is_file() => {
                return Err(io::Error::new(ErrorKind::InvalidInput, "not a regular file"));
            }
            Ok(_) => fs::read_to_string(&self.path)?,
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error),
        };
        let kept = rows_until(&old, self.header(), self.begins_after)?;
        Ok([old, kept])
    }

    /// The file, ready for its first row. Not before there is one: the training may yet be refused.
    fn open(&self) -> io::Result<File> {
        let [old, kept] = self.read()?;
        if kept != old {
            replace_file(&self.path, |file| file.write_all(kept.as_bytes()))?;
        }
        OpenOptions::new().append(true).open(&self.path)
    }

    fn write(&mut self, row: &str) -> Result<Flow, TrainError> {
        let failed = |source| at(&self.path, source);
        let file = match self.file.take() {
            Some(file) => file,
            None => self.open().map_err(failed)?,
        };
        // In one piece, and not kept back: whoever looks at the file sees it.
        self.file.insert(file).write_all(row.as_bytes()).map_err(|e| at(&self.path, e))?;
        Ok(Flow::Continue)
    }
}

/// The header and the rows up to an iteration. What follows was done by a process that was killed, the
/// last of it perhaps in part.
fn rows_until(text: &str, header: &str, iteration: u64) -> io::Result<String> {
    let mut lines = text.split_inclusive('\n');
    let first = lines.next().unwrap_or_default();
    if !first.is_empty() && first.trim_end() != header {
        let reason = format!("is no log with the columns {header}; it is left as it is");
        return Err(io::Error::new(ErrorKind::InvalidData, reason));
    }
    let of_row = |row: &str| row.strip_suffix('\n')?.split(',').next()?.parse::<u64>().ok();
    let rows = lines.take_while(|row| of_row(row).is_some_and(|i| i <= iteration));
    Ok([header, "\n"].into_iter().chain(rows).collect())
}

fn at(path: &Path, source: io::Error) -> Error {
    Error::Io { path: path.to_owned(), source }
}

/// Nothing for what was not counted. A loss that is no number is written so.
fn counted(number: f64) -> String {
    if number.is_nan() { String::new() } else { number.to_string() }
}

impl Callback for CsvLog {
    fn on_train_begin(
        &mut self,
        position: &Position,
        _: &mut Training<'_>,
    ) -> Result<Flow, TrainError> {
        (self.begins_after, self.file) = (position.iteration, None);
        let failed = |source| at(&self.path, source);
        let [old, _] = self.read().map_err(failed)?;
        // One that is new is begun at once: whether it can be written is better known now.
        if old.is_empty() {
            self.open().map_err(failed)?;
        }
        Ok(Flow::Continue)
    }

    fn wants_loss(&mut self, at: &Position) -> bool {
        self.every.is_some_and(|n| at.iteration.is_multiple_of(n as u64))
    }

    fn on_batch(&mut self, event: &BatchEvent, _: &mut Training<'_>) -> Result<Flow, TrainError> {
        let BatchEvent { iteration, epoch, lr, batch_loss, .. } = event;
        match self.every {
            Some(n) if iteration % n as u64 == 0 => {
                self.write(&format!("{iteration},{epoch},{lr},{batch_loss}\n"))
            }
            _ => Ok(Flow::Continue),
        }
    }

    fn on_epoch(&mut self, event: &EpochEvent, _: &mut Training<'_>) -> Result<Flow, TrainError> {
        if self.every.is_some() {
            return Ok(Flow::Continue);
        }
        let EpochEvent { iteration, epoch, lr, loss, accuracy, held_out, .. } = event;
        let held_out = held_out.map_or(",".to_owned(), |Means { loss, accuracy }| {
            format!("{loss},{}", counted(accuracy))
        });
        let accuracy = counted(*accuracy);
        self.write(&format!("{iteration},{epoch},{lr},{loss},{accuracy},{held_out}\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_what_is_done_again_are_cut_off_and_a_row_that_is_not_whole() {
        let header = "iteration,loss";
        let rows = [
            ("", 5, ""),
            ("iteration,loss\n", 5, ""),
            ("iteration,loss\n4,1\n8,1\n", 8, "4,1\n8,1\n"),
            ("iteration,loss\n4,1\n8,1\n", 7, "4,1\n"),
            ("iteration,loss\n4,1\n8,1\n", 0, ""),
            ("iteration,loss\n4,1\n8,", 100, "4,1\n"),
            ("iteration,loss\n4,1\n8", 100, "4,1\n"),
            ("iteration,loss\n4,1\nx,1\n8,1\n", 100, "4,1\n"),
        ];
        for (text, iteration, kept) in rows {
            assert_eq!(rows_until(text, header, iteration).unwrap(), format!("{header}\n{kept}"));
        }
        for text in ["a letter\n", "iteration,lo", "\n"] {
            assert!(rows_until(text, header, 0).is_err(), "{text:?}");
        }
    }
}
