//! Curves and histograms for TensorBoard (feature `tensorboard`).

mod event;
mod histogram;
mod record;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use plies_tensor::Error;

use self::event::{Content, Event, Number, SessionLog, Summary, Value};
use self::histogram::histogram;
use self::record::RecordFile;
use super::statistics::{Subject, dead_units, for_each_tensor};
use super::{BatchEvent, Callback, EpochEvent, Flow, Position, TrainError, Training};

/// What stands before the time in a file's name.
const NAME: &str = "events.out.tfevents.";

/// Writes event files that TensorBoard shows: the loss and the learning rate of batches; loss and accuracy
/// of epochs and of the held-out examples; and, if wanted, histograms of all parameters, their gradients
/// and the outputs of each [`Probe`](crate::Probe), with the share of its dead units.
///
/// The horizontal axis counts batches since the training began. A training that is resumed writes a file
/// of its own, which tells TensorBoard to forget what the others say of the batches that are done again.
///
/// # Example
/// ```
/// # let folder = tempfile::tempdir().unwrap();
/// # let folder = folder.path();
/// use std::sync::Arc;
/// use plies_nn::data::{Loader, TensorDataset};
/// use plies_nn::optim::Sgd;
/// use plies_nn::train::{Fit, TensorBoard, fit};
/// use plies_nn::{Linear, loss};
/// use plies_tensor::{Rng, Tensor};
/// let data = TensorDataset::new(Tensor::from([[1f32], [-1.0]]), Tensor::from([1, 0]));
/// let (loader, mut model) = (Loader::new(Arc::new(data), 1), Linear::new(1, 2, &mut Rng::new(1)));
/// let mut board = TensorBoard::new(folder).histograms(2); // tensorboard --logdir FOLDER
/// let (settings, mut sgd) = (Fit::epochs(3), Sgd::new(0.5));
/// fit(&mut model, &mut sgd, &loss::cross_entropy, &loader, &settings, &mut [&mut board]).unwrap();
/// assert_eq!(std::fs::read_dir(folder).unwrap().count(), 1);
/// ```
///
/// # Source
/// TensorFlow's `event.proto`, `summary.proto` and `lib/io/record_writer.h`.
#[derive(Debug)]
pub struct TensorBoard {
    folder: PathBuf,
    scalars: usize,
    histograms: Option<usize>,
    file: Option<RecordFile>,
}

impl TensorBoard {
    /// In `folder`, one for each training, the numbers of all batches and epochs.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        TensorBoard { folder: folder.into(), scalars: 1, histograms: None, file: None }
    }

    /// Of the batches only every `n`-th.
    ///
    /// # Panics
    /// When `n` is 0.
    #[track_caller]
    pub fn every_batches(mut self, n: usize) -> Self {
        assert!(n > 0, "tensorboard: numbers of every 0-th batch");
        self.scalars = n;
        self
    }

    /// Also histograms, after every `n` batches.
    ///
    /// # Panics
    /// When `n` is 0.
    #[track_caller]
    pub fn histograms(mut self, n: usize) -> Self {
        assert!(n > 0, "tensorboard: histograms after every 0 batches");
        self.histograms = Some(n);
        self
    }

    fn write(&mut self, iteration: u64, values: Vec<Value>) -> Result<Flow, TrainError> {
        if !values.is_empty() {
            self.put(iteration, Content::Summary(Summary { value: values }))?;
        }
        Ok(Flow::Continue)
    }

    fn put(&mut self, iteration: u64, content: Content) -> Result<(), TrainError> {
        let Some(file) = &mut self.file else { return Ok(()) };
        let step = i64::try_from(iteration).unwrap_or(i64::MAX);
        file.write(&Event { wall_time: seconds(), step, content: Some(content) })?;
        Ok(())
    }
}

fn seconds() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// A name that sorts behind those of all other event files, in which order TensorBoard reads them.
fn next_name(folder: &Path) -> Result<String, Error> {
    let at = |source| Error::Io { path: folder.to_owned(), source };
    let mut second = seconds() as u64;
    for entry in fs::read_dir(folder).map_err(at)? {
        let name = entry.map_err(at)?.file_name();
        let rest = name.to_str().and_then(|name| name.strip_prefix(NAME));
        let found = rest.and_then(|rest| rest.split('.').next()?.parse::<u64>().ok());
        second = found.map_or(second, |found| second.max(found.saturating_add(1)));
    }
    Ok(format!("{NAME}{second:010}.plies.{}", std::process::id()))
}

fn number(tag: impl Into<String>, number: f64) -> Value {
    Value { tag: tag.into(), number: Some(Number::Simple(number as f32)) }
}

impl Callback for TensorBoard {
    fn on_train_begin(
        &mut self,
        position: &Position,
        _: &mut Training<'_>,
    ) -> Result<Flow, TrainError> {
        let at = |source| Error::Io { path: self.folder.clone(), source };
        fs::create_dir_all(&self.folder).map_err(at)?;
        self.file = Some(RecordFile::create(self.folder.join(next_name(&self.folder)?))?);
        self.put(0, Content::FileVersion("brain.Event:2".to_owned()))?;
        self.put(position.iteration + 1, Content::SessionLog(SessionLog::START))?;
        Ok(Flow::Continue)
    }

    fn wants_loss(&mut self, at: &Position) -> bool {
        at.iteration.is_multiple_of(self.scalars as u64)
    }

    fn on_batch(
        &mut self,
        event: &BatchEvent,
        training: &mut Training<'_>,
    ) -> Result<Flow, TrainError> {
        let is_due = |every: usize| event.iteration.is_multiple_of(every as u64);
        let mut values = Vec::new();
        if is_due(self.scalars) {
            values.extend([number("loss/batch", event.batch_loss), number("lr", event.lr)]);
        }
        if self.histograms.is_some_and(is_due) {
            let mut fault: plies_tensor::Result<()> = Ok(());
            for_each_tensor(training.model, &mut |subject, name, tensor| {
                let kind = match subject {
                    Subject::Parameter => "parameter",
                    Subject::Gradient => "gradient",
                    Subject::Activation => "activation",
                };
                let tag = format!("{kind}/{name}");
                match histogram(tensor) {
                    Ok(Some(found)) => {
                        values.push(Value { tag, number: Some(Number::Histogram(found)) });
                    }
                    Ok(None) => {}
                    Err(error) => fault = Err(error),
                }
                if subject == Subject::Activation {
                    match dead_units(tensor) {
                        Ok(dead) => values.push(number(format!("dead_units/{name}"), dead)),
                        Err(error) => fault = Err(error),
                    }
                }
            });
            fault?;
        }
        self.write(event.iteration, values)
    }

    fn on_epoch(&mut self, event: &EpochEvent, _: &mut Training<'_>) -> Result<Flow, TrainError> {
        let mut values = vec![
            number("loss/epoch", event.loss),
            number("accuracy/epoch", event.accuracy),
            number("epoch", (event.epoch + 1) as f64),
        ];
        if let Some(means) = event.held_out {
            values.push(number("loss/held_out", means.loss));
            values.push(number("accuracy/held_out", means.accuracy));
        }
        // An accuracy that is not counted is not shown; a loss that is no number is.
        values.retain(|value| !(value.tag.starts_with("accuracy") && value.is_nan()));
        self.write(event.iteration, values)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use plies_tensor::{Rng, Tensor};
    use prost::Message;

    use super::*;
    use crate::data::{Loader, TensorDataset};
    use crate::optim::Sgd;
    use crate::train::{Fit, fit};
    use crate::{Activation, Linear, Probe, Sequential, loss};

    /// The events of a file.
    fn events(path: &Path) -> Vec<Event> {
        let bytes = fs::read(path).unwrap();
        let (mut rest, mut events) = (&bytes[..], Vec::new());
        while let Some((length, _)) = rest.split_first_chunk::<8>() {
            let length = u64::from_le_bytes(*length) as usize;
            let (whole, behind) = rest.split_at(8 + 4 + length + 4);
            let message = &whole[12..12 + length];
            assert!(record::record(message) == whole);
            events.push(Event::decode(message).unwrap());
            rest = behind;
        }
        assert!(rest.is_empty());
        events
    }

    #[test]
    fn each_run_has_a_file_that_takes_back_what_it_does_again() {
        let folder = tempfile::tempdir().unwrap();
        let data = TensorDataset::new(Tensor::from([[1f32], [-1.0]]), Tensor::from([1, 0]));
        let loader = Loader::new(Arc::new(data), 1);
        let mut rng = Rng::new(1);
        let mut model = Sequential::new()
            .push(Linear::new(1, 4, &mut rng))
            .push(Probe::new(Activation::Relu))
            .push(Linear::new(4, 2, &mut rng));
        let mut board = TensorBoard::new(folder.path()).histograms(4);
        for epochs in [0..2, 1..3] {
            let settings = Fit { epochs, held_out: Some(loader.clone()), ..Fit::epochs(0) };
            let loss = &loss::cross_entropy;
            fit(&mut model, &mut Sgd::new(0.1), loss, &loader, &settings, &mut [&mut board])
                .unwrap();
        }
        let mut files: Vec<PathBuf> =
            fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        let [first, second] = &files[..] else { panic!("{files:?}") };
        for (file, from) in [(first, 1), (second, 3)] {
            let events = events(file);
            assert_eq!(events[0].content, Some(Content::FileVersion("brain.Event:2".to_owned())));
            let start = (events[1].step, events[1].content.clone());
            assert_eq!(start, (from, Some(Content::SessionLog(SessionLog::START))));
            let mut tags: Vec<(i64, Vec<String>)> = Vec::new();
            for event in &events[2..] {
                let Some(Content::Summary(summary)) = &event.content else { panic!("{event:?}") };
                tags.push((event.step, summary.value.iter().map(|v| v.tag.clone()).collect()));
            }
            let steps: Vec<i64> = tags.iter().map(|(step, _)| *step).collect();
            assert_eq!(steps, [0, 1, 1, 2, 3, 3].map(|step| step + from));
            assert_eq!(tags[0].1, ["loss/batch", "lr"]);
            let epoch =
                ["loss/epoch", "accuracy/epoch", "epoch", "loss/held_out", "accuracy/held_out"];
            assert_eq!(tags[2].1, epoch);
            let all: Vec<&String> = tags.iter().flat_map(|(_, tags)| tags).collect();
            for tag in ["parameter/0.weight", "gradient/2.bias", "activation/1.output"] {
                assert_eq!(all.iter().filter(|found| **found == tag).count(), 1, "{tag}");
            }
            assert!(all.iter().any(|tag| *tag == "dead_units/1.output"));
        }
    }
}
