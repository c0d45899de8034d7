//! A training that is interrupted and resumed ends like one that never was, bit for bit.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use plies_digits::{
    embedded,
    idx::Examples,
    network::Network,
    settings::Settings,
    training::{self, EpochDone, Watch},
};
use plies_nn::train::BatchEvent;

fn settings() -> Settings {
    Settings {
        hidden: vec![24],
        epochs: 4,
        batch_size: 64,
        dropout: 0.3,
        input_dropout: 0.1,
        shift: 2,
        rotate: 10.0,
        elastic: 20.0,
        l2: 1e-5,
        max_norm: 2.0,
        ..Settings::default()
    }
}

fn examples() -> Examples {
    let mut examples = embedded::test();
    examples.truncate(700);
    examples
}

/// Asks to stop once this epoch is complete.
struct StopAfter {
    epoch: usize,
    stop: Arc<AtomicBool>,
}

impl Watch for StopAfter {
    fn batch(&mut self, _event: &BatchEvent) {}

    fn epoch(&mut self, done: &EpochDone<'_>) {
        if done.event.epoch + 1 == self.epoch {
            self.stop.store(true, Ordering::SeqCst);
        }
    }
}

fn watch(epoch: usize) -> StopAfter {
    StopAfter { epoch, stop: Arc::default() }
}

#[test]
fn an_interrupted_training_ends_like_one_that_was_not() {
    let mut through = Network::new(settings());
    let mut optimizer = settings().optimizer();
    let mut never = watch(usize::MAX);
    let stop = never.stop.clone();
    let straight =
        training::train(&mut through, &mut optimizer, examples(), None, stop, &mut never).unwrap();
    assert!(!straight.stopped);
    let straight = straight.best.unwrap().to_bytes().unwrap();

    let mut network = Network::new(settings());
    let mut after_two = watch(2);
    let stop = after_two.stop.clone();
    let mut optimizer = settings().optimizer();
    let part =
        training::train(&mut network, &mut optimizer, examples(), None, stop, &mut after_two)
            .unwrap();
    assert!(part.stopped);
    assert_eq!((part.best_epoch, network.epochs_done), (2, 2));

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("part.safetensors");
    part.best.unwrap().save(&file).unwrap();
    let (mut resumed, checkpoint) = Network::load(&file).unwrap();
    let mut optimizer = resumed.settings.optimizer();
    checkpoint.load_optimizer(&mut optimizer).unwrap();
    let mut never = watch(usize::MAX);
    let stop = never.stop.clone();
    let rest =
        training::train(&mut resumed, &mut optimizer, examples(), None, stop, &mut never).unwrap();
    assert_eq!(rest.epochs, 4);
    assert!(rest.best.unwrap().to_bytes().unwrap() == straight, "the files differ");
}
