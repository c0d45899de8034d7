//! A process that is killed while it trains, and begun again, leaves the files of one that was not, byte for
//! byte: whatever the moment, and on whatever number of threads it goes on.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use plies_nn::data::{Batch, Loader, TensorDataset};
use plies_nn::loss::cross_entropy;
use plies_nn::optim::{Adam, Clip, Optimizer, Schedule, Sgd};
use plies_nn::train::{
    BatchEvent, Callback, Checkpoints, CsvLog, EarlyStopping, EpochEvent, Fit, Flow, KeepBest,
    Plateau, TrainError, Training, fit,
};
use plies_nn::{Activation, BatchNorm, Dropout, Linear, Sequential};
use plies_tensor::{DType, Device, Rng, Tensor};

/// What the process that trains is told by its environment.
struct Order<'a> {
    /// Where it writes.
    folder: &'a Path,
    /// Where it says that it waits to be killed.
    waits: &'a Path,
    /// When it does: after a batch, or after an epoch with its batches.
    moment: Option<&'a str>,
    optimizer: &'a str,
    /// Batches in a step.
    accumulate: usize,
    threads: usize,
}

impl Order<'_> {
    fn start(&self) -> Child {
        Command::new(env::current_exe().unwrap())
            .args(["--exact", "the_process_that_trains", "--ignored"])
            .env("FOLDER", self.folder)
            .env("WAITS", self.waits)
            .env("MOMENT", self.moment.unwrap_or_default())
            .env("OPTIMIZER", self.optimizer)
            .env("ACCUMULATE", self.accumulate.to_string())
            .env("THREADS", self.threads.to_string())
            .stdout(Stdio::null())
            .spawn()
            .unwrap()
    }

    /// To the end, if nobody kills it.
    fn run(&self) {
        assert!(self.start().wait().unwrap().success());
    }
}

/// Waits to be killed when its moment has come.
struct Wait {
    moment: String,
    file: String,
}

impl Wait {
    fn at(&self, moment: String) -> Result<Flow, TrainError> {
        if self.moment == moment {
            fs::write(&self.file, "").unwrap();
            sleep(Duration::from_secs(3600));
        }
        Ok(Flow::Continue)
    }
}

impl Callback for Wait {
    fn on_batch(&mut self, event: &BatchEvent, _: &mut Training<'_>) -> Result<Flow, TrainError> {
        self.at(format!("batch {}", event.iteration))
    }
    fn on_epoch(&mut self, event: &EpochEvent, _: &mut Training<'_>) -> Result<Flow, TrainError> {
        self.at(format!("epoch {}", event.epoch))
    }
}

/// Batches of two classes, 100 examples in batches of 16: seven in an epoch, the last smaller.
fn loader(seed: u64, n: usize) -> Loader {
    let x = Rng::new(seed).uniform([n, 2], DType::F32, &Device::cpu()) * 2.0 - 1.0;
    let rows = x.to_vec::<f32>().unwrap();
    let targets: Vec<i32> =
        rows.chunks(2).map(|p| i32::from(p[0] * p[0] + p[1] * p[1] < 0.5)).collect();
    Loader::new(Arc::new(TensorDataset::new(x, Tensor::from(targets))), 16)
}

#[test]
#[ignore = "the other tests run it, in processes of their own"]
fn the_process_that_trains() {
    let told = |name: &str| env::var(name).unwrap();
    let number = |name: &str| told(name).parse::<usize>().unwrap();
    plies_tensor::set_threads(number("THREADS"));
    let folder = Path::new(&told("FOLDER")).to_owned();
    let mut rng = Rng::new(2);
    let mut model = Sequential::new()
        .push(Linear::new(2, 64, &mut rng))
        .push(BatchNorm::new(64))
        .push(Activation::Relu)
        .push(Dropout::new(0.2))
        .push(Linear::new(64, 300, &mut rng))
        .push(Activation::Tanh)
        .push(Linear::new(300, 2, &mut rng));
    let mut optimizer: Box<dyn Optimizer> = match told("OPTIMIZER").as_str() {
        "sgd" => Box::new(Sgd::new(0.05).momentum(0.9)),
        _ => Box::new(Adam::new(0.01)),
    };
    let training = loader(1, 100).shuffle(5).transform(6, |batch, draws| Batch {
        inputs: batch.inputs * (0.9 + 0.2 * draws.batch().next_f64()),
        ..batch
    });
    let mut wait = Wait { moment: told("MOMENT"), file: told("WAITS") };
    let mut epochs = CsvLog::new(folder.join("epochs.csv"));
    let mut batches = CsvLog::new(folder.join("batches.csv")).every_batches(1);
    // Never better by so much than in the first epoch, so it ends the training after the sixth of eight.
    let mut stopping = EarlyStopping::new(4, 10.0);
    let mut best =
        KeepBest::new(|event, _| Ok(event.judged_loss())).in_file(folder.join("best.safetensors"));
    let mut plateau = Plateau::new(0.5, 0).min_delta(10.0);
    let mut checkpoints = Checkpoints::new(&folder).every_batches(4).keep(2);
    let settings = Fit {
        seed: 3,
        schedule: Schedule::Cosine { last: 0.0 },
        warm_up: 5,
        accumulate: number("ACCUMULATE"),
        clip: Some(Clip::Norm(0.5)),
        held_out: Some(loader(9, 40)),
        resume: checkpoints.newest().unwrap(),
        ..Fit::epochs(8)
    };
    // Some before the one that waits and some after it: what they have seen when they are killed differs.
    let callbacks: &mut [&mut dyn Callback] = &mut [
        &mut epochs,
        &mut stopping,
        &mut best,
        &mut wait,
        &mut plateau,
        &mut batches,
        &mut checkpoints,
    ];
    let report =
        fit(&mut model, &mut *optimizer, &cross_entropy, &training, &settings, callbacks).unwrap();
    assert_eq!((report.epochs, report.stopped), (6, true));
}

/// The files of a folder. What a killed process has not finished writing has a name of its own.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let named = entries.map(|entry| (entry.file_name().into_string().unwrap(), entry.path()));
    named
        .filter(|(name, _)| !name.ends_with(".tmp"))
        .map(|(name, path)| (name, fs::read(path).unwrap()))
        .collect()
}

fn assert_same(found: &Path, expected: &BTreeMap<String, Vec<u8>>, how: &str) {
    let found = files(found);
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>(), "{how}");
    for (name, bytes) in &found {
        assert!(bytes == &expected[name], "{name} differs: {how}");
    }
}

const KINDS: [(&str, usize); 3] = [("adam", 1), ("adam", 3), ("sgd", 3)];

#[test]
fn a_process_killed_after_any_batch_or_epoch_and_begun_again_ends_like_one_that_was_not() {
    for (optimizer, accumulate) in KINDS {
        let folder = tempfile::tempdir().unwrap();
        let (whole, killed) = (folder.path().join("whole"), folder.path().join("killed"));
        let waits = folder.path().join("waits");
        let order = Order {
            folder: &whole,
            waits: &waits,
            moment: None,
            optimizer,
            accumulate,
            threads: 1,
        };
        fs::create_dir(&whole).unwrap();
        fs::create_dir(&killed).unwrap();
        order.run();
        let expected = files(&whole);
        let names: Vec<&str> = expected.keys().map(String::as_str).collect();
        let kept = ["iteration-00000040.safetensors", "iteration-00000042.safetensors"];
        assert_eq!(names, ["batches.csv", "best.safetensors", "epochs.csv", kept[0], kept[1]]);

        // Before there is a checkpoint, while one is due, between steps, at both ends of an epoch, when
        // it has ended; some of them twice without getting any further.
        let moments = [
            "batch 3", "batch 4", "batch 6", "batch 7", "epoch 0", "epoch 0", "batch 8",
            "batch 13", "epoch 2", "batch 22", "batch 28", "epoch 3", "batch 29", "epoch 5",
        ];
        for (i, moment) in moments.into_iter().enumerate() {
            let threads = 1 + i % 2;
            let mut child =
                Order { folder: &killed, moment: Some(moment), threads, ..order }.start();
            while !waits.exists() {
                assert!(child.try_wait().unwrap().is_none(), "ended before {moment}");
                sleep(Duration::from_millis(1));
            }
            child.kill().unwrap(); // SIGKILL
            child.wait().unwrap();
            fs::remove_file(&waits).unwrap();
        }
        let last = Order { folder: &killed, threads: 2, ..order };
        last.run();
        assert_same(&killed, &expected, &format!("{optimizer}, {accumulate} batches in a step"));
        last.run();
        assert_same(&killed, &expected, "begun again after it had ended");
    }
}

#[test]
fn a_process_killed_while_it_saves_and_begun_again_ends_like_one_that_was_not() {
    let (optimizer, accumulate) = KINDS[1];
    let folder = tempfile::tempdir().unwrap();
    let (whole, killed) = (folder.path().join("whole"), folder.path().join("killed"));
    let waits = folder.path().join("waits");
    let order =
        Order { folder: &whole, waits: &waits, moment: None, optimizer, accumulate, threads: 1 };
    fs::create_dir(&whole).unwrap();
    fs::create_dir(&killed).unwrap();
    order.run();
    // When it has begun to write so many files; at the end it has written all.
    // Kills that have left a file without its name: most of them, and where the disk is memory still half.
    let mut cut_short = 0;
    for files_begun in [1, 2, 3, 1, 5, 2, 4, 3, usize::MAX] {
        let mut child = Order { folder: &killed, ..order }.start();
        let of_child = format!("plies-{}-", child.id());
        let is_being_written = |name: &str| name.starts_with(&of_child) && name.ends_with(".tmp");
        let is_writing = || {
            let names = fs::read_dir(&killed).unwrap();
            names.flatten().any(|entry| is_being_written(&entry.file_name().to_string_lossy()))
        };
        let (mut begun, mut was_writing) = (0, false);
        loop {
            let writing = is_writing();
            begun += usize::from(writing && !was_writing);
            was_writing = writing;
            if begun == files_begun {
                child.kill().unwrap(); // SIGKILL
                child.wait().unwrap();
                cut_short += usize::from(is_writing());
                break;
            }
            if let Some(status) = child.try_wait().unwrap() {
                assert!(status.success());
                break;
            }
            sleep(Duration::from_micros(100));
        }
    }
    assert!(cut_short > 0, "no process was killed while it saved");
    assert_same(&killed, &files(&whole), "killed while it saved");
}
