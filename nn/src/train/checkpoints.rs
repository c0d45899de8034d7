//! Checkpoints of a training, the newest of them kept.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use plies_tensor::{Error, replace_file};

use super::{Callback, Flow, Position, Report, TrainError, Training};
use crate::{Checkpoint, CheckpointError};

/// When there is a checkpoint.
#[derive(Clone, Copy, Debug)]
enum Every {
    Epochs(usize),
    Batches(usize),
}

/// Saves all that is needed to go on, now and then and at the end, and keeps the newest files.
///
/// The files are named by the batches that are behind them, `iteration-00000120.safetensors`, and each is
/// whole or not there. A process that is killed at any moment, begun again with
/// [`newest`](Checkpoints::newest) as [`Fit::resume`](super::Fit::resume), ends with the bytes of one
/// that was not. They are files of the model too, for [`Checkpoint::load_model`]. The best epoch is
/// kept by [`KeepBest`](super::KeepBest), whose state is in here as well.
///
/// # Example
/// ```
/// # let folder = tempfile::tempdir().unwrap();
/// # let folder = folder.path();
/// use std::sync::Arc;
/// use plies_nn::data::{Loader, TensorDataset};
/// use plies_nn::optim::Adam;
/// use plies_nn::train::{Checkpoints, Fit, fit};
/// use plies_nn::{Linear, loss};
/// use plies_tensor::{Rng, Tensor};
/// let data = TensorDataset::new(Tensor::from([[1f32], [-1.0]]), Tensor::from([1, 0]));
/// let loader = Loader::new(Arc::new(data), 1).shuffle(1);
///
/// // This goes on where it was, however often it is run.
/// let train = |epochs| {
///     let (mut model, mut adam) = (Linear::new(1, 2, &mut Rng::new(1)), Adam::new(0.1));
///     let mut checkpoints = Checkpoints::new(folder).keep(2);
///     let settings = Fit { resume: checkpoints.newest().unwrap(), ..Fit::epochs(epochs) };
///     fit(&mut model, &mut adam, &loss::cross_entropy, &loader, &settings, &mut [&mut checkpoints])
///         .unwrap()
/// };
/// assert_eq!(train(3).examples, 6);
/// assert_eq!(train(4).examples, 2);
/// let mut names: Vec<_> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name()).collect();
/// names.sort();
/// assert_eq!(names, ["iteration-00000006.safetensors", "iteration-00000008.safetensors"]);
/// ```
#[doc(alias("ModelCheckpoint", "save and resume"))]
#[derive(Debug)]
pub struct Checkpoints {
    folder: PathBuf,
    every: Every,
    keep: usize,
    template: Checkpoint,
    ended: bool,
    /// The iteration of the last one.
    last: Option<u64>,
}

impl Checkpoints {
    /// One after each epoch in `folder`, which is made if it is not there; the newest three are kept.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Checkpoints {
            folder: folder.into(),
            every: Every::Epochs(1),
            keep: 3,
            template: Checkpoint::new(),
            ended: false,
            last: None,
        }
    }

    /// One after every `n` epochs.
    ///
    /// # Panics
    /// When `n` is 0.
    #[track_caller]
    pub fn every_epochs(mut self, n: usize) -> Self {
        assert!(n > 0, "checkpoints: one after every 0 epochs");
        self.every = Every::Epochs(n);
        self
    }

    /// One after every `n` batches.
    ///
    /// # Panics
    /// When `n` is 0.
    #[track_caller]
    pub fn every_batches(mut self, n: usize) -> Self {
        assert!(n > 0, "checkpoints: one after every 0 batches");
        self.every = Every::Batches(n);
        self
    }

    /// Keeps the newest `n`, at least one; `usize::MAX` keeps all.
    pub fn keep(mut self, n: usize) -> Self {
        self.keep = n.max(1);
        self
    }

    /// Saves them with the text of `checkpoint` besides, such as settings. It may be one of an earlier
    /// training: what that says of model, optimiser and training gives way.
    pub fn with(mut self, checkpoint: Checkpoint) -> Self {
        self.template = checkpoint.settings();
        self
    }

    /// The newest checkpoint in the folder, if there is one.
    ///
    /// # Errors
    /// What the operating system says, or a file that is damaged.
    pub fn newest(&self) -> Result<Option<Checkpoint>, CheckpointError> {
        let files = self.files().map_err(CheckpointError::Device)?;
        files.last().map(|(_, path)| Checkpoint::load(path)).transpose()
    }

    /// The files in the folder with their iterations, oldest first.
    fn files(&self) -> Result<Vec<(u64, PathBuf)>, Error> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(at(&self.folder, source)),
        };
        let mut files = Vec::new();
        for entry in entries {
            let path = entry.map_err(|source| at(&self.folder, source))?.path();
            files.extend(iteration_of(&path).map(|iteration| (iteration, path)));
        }
        files.sort();
        Ok(files)
    }
}

/// The number in a file's name.
fn iteration_of(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?;
    let digits = name.strip_prefix("iteration-")?.strip_suffix(".safetensors")?;
    digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())?
}

fn at(path: &Path, source: std::io::Error) -> Error {
    Error::Io { path: path.to_owned(), source }
}

impl Callback for Checkpoints {
    /// # Errors
    /// When nothing can be written in the folder, or it has checkpoints of more than is done: they would be
    /// taken for the newest ones.
    fn on_train_begin(
        &mut self,
        position: &Position,
        _: &mut Training<'_>,
    ) -> Result<Flow, TrainError> {
        fs::create_dir_all(&self.folder).map_err(|source| at(&self.folder, source))?;
        try_to_write(&self.folder)?;
        if let Some((iteration, path)) = self.files()?.pop()
            && iteration > position.iteration
        {
            let reason = format!(
                "is of a training that has {iteration} batches behind it, this one {}; resume that one, \
                 or take another folder",
                position.iteration
            );
            let origin = path.display().to_string();
            return Err(CheckpointError::Mismatch { origin, reason }.into());
        }
        (self.ended, self.last) = (false, None);
        Ok(Flow::Continue)
    }

    fn on_train_end(&mut self, _: &Report, _: &mut Training<'_>) -> Result<(), TrainError> {
        self.ended = true;
        Ok(())
    }

    fn wants_checkpoint(&mut self, position: &Position) -> bool {
        let due = match self.every {
            Every::Epochs(n) => position.batch == 0 && position.epoch.is_multiple_of(n),
            Every::Batches(n) => position.iteration.is_multiple_of(n as u64),
        };
        (due || self.ended) && self.last != Some(position.iteration)
    }

    fn on_checkpoint(
        &mut self,
        position: &Position,
        checkpoint: &Checkpoint,
    ) -> Result<(), TrainError> {
        let mut whole = self.template.clone();
        whole.put_all(checkpoint);
        let name = format!("iteration-{:08}.safetensors", position.iteration);
        whole.save(&self.folder.join(name))?;
        self.last = Some(position.iteration);
        let files = self.files()?;
        for (iteration, path) in &files[..files.len().saturating_sub(self.keep)] {
            // Another process that writes here may be further than this one, or have been faster.
            if *iteration != position.iteration
                && let Err(error) = fs::remove_file(path)
                && error.kind() != ErrorKind::NotFound
            {
                return Err(at(path, error).into());
            }
        }
        Ok(())
    }
}

/// Whether files can be written there: better known before an epoch than after it.
fn try_to_write(folder: &Path) -> Result<(), Error> {
    let probe = folder.join("plies-probe");
    replace_file(&probe, |_| Ok(())).map_err(|source| at(folder, source))?;
    fs::remove_file(&probe).or_else(|error| match error.kind() {
        ErrorKind::NotFound => Ok(()), // Another process probes, too.
        _ => Err(at(&probe, error)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_ours_are_taken_for_checkpoints() {
        let rows = [
            ("iteration-00000120.safetensors", Some(120)),
            ("iteration-123456789012.safetensors", Some(123_456_789_012)),
            ("iteration-.safetensors", None),
            ("iteration-+1.safetensors", None),
            ("iteration-99999999999999999999999.safetensors", None),
            ("iteration-1.safetensors.tmp", None),
            ("best.safetensors", None),
        ];
        for (name, expected) in rows {
            assert_eq!(iteration_of(&Path::new("folder").join(name)), expected, "{name}");
        }
    }
}
