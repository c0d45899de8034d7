//! Saves the best network while training goes on, so that a killed process loses nothing that was
//! finished.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use plies_nn::{Checkpoint, CheckpointError};

/// Saving waits for so many times as long as it took: at most a twentieth of the time goes into it,
/// however short the epochs are.
const PAUSE: u32 = 20;

/// The file of the best network.
pub(crate) struct Autosave<'a> {
    file: &'a Path,
    is_saved: bool,
    /// When the last attempt ended, and how long it took.
    last: Option<(Instant, Duration)>,
}

impl<'a> Autosave<'a> {
    pub(crate) fn new(file: &'a Path) -> Autosave<'a> {
        Autosave { file, is_saved: false, last: None }
    }

    /// Whether the best network so far is in the file.
    pub(crate) fn is_saved(&self) -> bool {
        self.is_saved
    }

    /// After an epoch: saves the best network unless it is saved, or saving has to wait.
    pub(crate) fn epoch(&mut self, best: &Checkpoint, is_new: bool) -> Result<(), CheckpointError> {
        self.is_saved &= !is_new;
        let waits = self.last.is_some_and(|(ended, took)| ended.elapsed() < took * PAUSE);
        if waits { Ok(()) } else { self.finish(best) }
    }

    /// After the last epoch: saves the best network unless it is saved.
    pub(crate) fn finish(&mut self, best: &Checkpoint) -> Result<(), CheckpointError> {
        if self.is_saved {
            return Ok(());
        }
        let began = Instant::now();
        let saved = best.save(self.file);
        self.last = Some((Instant::now(), began.elapsed()));
        self.is_saved = saved.is_ok();
        saved
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn epoch(number: usize) -> Checkpoint {
        let mut checkpoint = Checkpoint::new();
        checkpoint.set_epoch(number);
        checkpoint
    }

    fn saved(file: &Path) -> usize {
        Checkpoint::load(file).unwrap().epoch().unwrap()
    }

    #[test]
    fn saving_waits_twenty_times_as_long_as_it_took() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("best");
        let mut autosave = Autosave::new(&file);
        autosave.epoch(&epoch(1), true).unwrap();
        assert_eq!(saved(&file), 1);
        let hour = Duration::from_secs(3600);
        autosave.last = Some((Instant::now(), hour));
        autosave.epoch(&epoch(2), true).unwrap();
        assert_eq!(saved(&file), 1);
        // What had to wait is saved after a later epoch, though that one is worse.
        autosave.last = Some((Instant::now(), Duration::ZERO));
        autosave.epoch(&epoch(2), false).unwrap();
        assert_eq!(saved(&file), 2);
        autosave.last = Some((Instant::now(), hour));
        autosave.epoch(&epoch(3), true).unwrap();
        autosave.finish(&epoch(3)).unwrap();
        assert_eq!(saved(&file), 3);
    }

    #[test]
    fn what_is_saved_is_not_saved_again() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("best");
        let mut autosave = Autosave::new(&file);
        autosave.epoch(&epoch(1), true).unwrap();
        fs::remove_file(&file).unwrap();
        autosave.last = None;
        autosave.epoch(&epoch(1), false).unwrap();
        autosave.finish(&epoch(1)).unwrap();
        assert!(!file.exists());
    }

    #[test]
    fn a_save_that_fails_is_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("away").join("best");
        let mut autosave = Autosave::new(&file);
        let error = autosave.epoch(&epoch(1), true).unwrap_err().to_string();
        assert!(error.contains("best: "), "{error}");
        fs::create_dir(folder.path().join("away")).unwrap();
        autosave.finish(&epoch(1)).unwrap();
        assert_eq!(saved(&file), 1);
    }
}
