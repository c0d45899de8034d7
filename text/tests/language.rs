//! Language models learn, are stored, resumed and written with.

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::OnceLock;

use plies_nn::Module;
use plies_tensor::Tensor;
use plies_text::bpe::Bpe;
use plies_text::corpus::Source;
use plies_text::language::{
    Architecture, Cell, Codec, Corpus, Generator, KneserNey, LanguageModel, Sampling, Settings,
    Unit, train,
};
use plies_text::training::{End, Progress, Trained};
use proptest::prelude::*;

fn rhyme() -> Source {
    let text = "This is the house that Jack built.\nThis is the malt that lay in the house.\n";
    Source::bytes("rhyme", text.repeat(12).into_bytes())
}

fn corpus(unit: Unit) -> Corpus {
    let most = if unit == Unit::Bpe { 280 } else { 100 };
    Corpus::read(&rhyme(), 0.1, |text| Codec::learn(text, unit, most, 1)).unwrap()
}

/// Trains to the end.
fn learn(corpus: &Corpus, settings: &Settings) -> LanguageModel {
    train(corpus, settings, &mut on).unwrap().into_result().unwrap()
}

fn on(_: &Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn settings(cell: Cell, tied: bool) -> Settings {
    let architecture =
        Architecture { cell, layers: 2, embedding: 12, hidden: 20, tied, dropout: 0.05 };
    let (batch, steps, epochs, lr) = (4, 12, 8, 0.02);
    Settings { architecture, batch, steps, epochs, lr, patience: 100, ..Settings::default() }
}

#[test]
fn every_kind_learns_a_rhyme() {
    for (unit, cell, tied, epochs) in [
        (Unit::Characters, Cell::Lstm, false, 8),
        (Unit::Words, Cell::Gru, true, 40),
        (Unit::Bpe, Cell::Lstm, true, 20),
    ] {
        let corpus = corpus(unit);
        let settings = Settings { epochs, ..settings(cell, tied) };
        let trained = train(&corpus, &settings, &mut on).unwrap();
        let guess = (corpus.codec().len() as f64).ln();
        let (chosen_by, tested) =
            (trained.held_out.unwrap(), trained.model.nats_per_token(corpus.test().numbers()));
        assert!(chosen_by.max(tested) < 0.6 * guess, "{unit:?}: {chosen_by} {tested} of {guess}");
        assert!(trained.epochs == epochs && matches!(trained.end, End::Complete));
    }
}

/// A model that has learned something, as a file.
fn file() -> &'static [u8] {
    static FILE: OnceLock<Vec<u8>> = OnceLock::new();
    FILE.get_or_init(|| {
        let settings = Settings { epochs: 2, ..settings(Cell::Gru, false) };
        learn(&corpus(Unit::Characters), &settings).to_bytes().unwrap()
    })
}

#[test]
fn equal_seeds_give_equal_models_and_texts() {
    let corpus = corpus(Unit::Characters);
    let bytes = |seed| {
        let settings = Settings { epochs: 2, seed, ..settings(Cell::Gru, false) };
        learn(&corpus, &settings).to_bytes().unwrap()
    };
    assert!(bytes(1) == file() && bytes(2) != file());
    let model = LanguageModel::from_bytes(file(), "memory").unwrap();
    let write = |seed| {
        let sampling = Sampling { top_k: 5, ..Sampling::default() };
        Generator::new(&model, "Th", sampling, seed).unwrap().take(30).collect::<String>()
    };
    assert_eq!((write(1), write(1).chars().count()), (write(1), 30));
    assert_ne!(write(1), write(2));
}

#[test]
fn a_training_that_is_stopped_and_resumed_is_that_of_one_run() {
    let corpus = corpus(Unit::Characters);
    let folder = tempfile::tempdir().unwrap();
    let run = |name: &str, resume: bool, stop_at: usize| {
        let checkpoints = Some(folder.path().join(name));
        let settings = Settings { epochs: 3, checkpoints, resume, ..settings(Cell::Lstm, false) };
        let mut steps = 0;
        train(&corpus, &settings, &mut |_| {
            steps += 1;
            if steps >= stop_at { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .unwrap()
    };
    let whole = run("whole", false, usize::MAX);
    // In the middle of the second epoch, where states go on from window to window.
    let part = run("parts", false, 27);
    assert!(part.epochs == 1 && matches!(part.end, End::Stopped), "{part:?}");
    let parts = run("parts", true, usize::MAX);
    assert!(whole.model.to_bytes().unwrap() == parts.model.to_bytes().unwrap());
    assert_eq!(part.read + parts.read, whole.read);
}

#[test]
fn a_training_goes_on_with_its_own_text_and_model() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings {
        checkpoints: Some(folder.path().to_owned()),
        resume: true,
        epochs: 1,
        ..settings(Cell::Gru, false)
    };
    let read = |name: &str, text: &str, held_out: f64| {
        let source = Source::bytes(name, text.repeat(30).into_bytes());
        let codec = |_: &Source| Ok(corpus(Unit::Characters).codec().clone());
        Corpus::read(&source, held_out, codec).unwrap()
    };
    let jack = read("jack.txt", "This is the house that Jack built.\n", 0.1);
    let model = learn(&jack, &settings);
    let checkpoint = fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
    let of_checkpoint = LanguageModel::load(&checkpoint).unwrap();
    assert!(of_checkpoint.to_bytes().unwrap() == model.to_bytes().unwrap());
    // An epoch is complete, and the codec the same: only the text can tell.
    let plain = || Settings { epochs: 2, ..settings.clone() };
    let gru = settings.architecture;
    let rows = [
        (
            read("malt.txt", "This is the malt that lay in the house.\n", 0.1),
            plain(),
            "with another text to learn from, jack.txt, and here is malt.txt",
        ),
        (
            read("jack.txt", "This is the house that Jack built.\n", 0.2),
            plain(),
            "with another text to learn from, of jack.txt as well",
        ),
        (
            jack.clone(),
            Settings { architecture: Architecture { hidden: 21, ..gru }, ..plain() },
            "of another model (layers differs)",
        ),
    ];
    for (corpus, settings, expected) in rows {
        let error = train(&corpus, &settings, &mut on).unwrap_err().to_string();
        let folder = folder.path().display();
        let expected =
            format!("{folder}: is of a training {expected}; give the same, or another folder");
        assert_eq!(error, expected);
    }
    // The same text under another name is the same.
    let moved = read("moved.txt", "This is the house that Jack built.\n", 0.1);
    assert_eq!(train(&moved, &plain(), &mut on).unwrap().epochs, 2);
}

#[test]
fn a_fault_leaves_the_best_epoch_until_then() {
    let corpus = corpus(Unit::Characters);
    let folder = tempfile::tempdir().unwrap();
    // After two epochs there is a file where the folder was, or the training is told to stop.
    let run = |breaks: bool| -> Trained<LanguageModel> {
        let checkpoints = folder.path().join(if breaks { "breaks" } else { "stops" });
        let settings = Settings {
            checkpoints: Some(checkpoints.clone()),
            epochs: 5,
            ..settings(Cell::Gru, false)
        };
        train(&corpus, &settings, &mut |now| {
            if now.held_out.is_none() || now.epoch < 1 {
                return ControlFlow::Continue(());
            }
            if !breaks {
                return ControlFlow::Break(());
            }
            fs::remove_dir_all(&checkpoints).unwrap();
            fs::write(&checkpoints, "").unwrap();
            ControlFlow::Continue(())
        })
        .unwrap()
    };
    let (stopped, broken) = (run(false), run(true));
    assert_eq!((stopped.epochs, broken.epochs), (2, 2));
    assert!(stopped.model.to_bytes().unwrap() == broken.model.to_bytes().unwrap());
    let error = broken.into_result().unwrap_err().to_string();
    assert!(error.contains("breaks/iteration-"), "{error}");
    let far = Settings { lr: 1e300, ..settings(Cell::Gru, false) };
    let error = train(&corpus, &far, &mut on).unwrap_err().to_string();
    assert!(error.starts_with("training: diverged in epoch 1, where "), "{error}");
}

#[test]
fn a_text_is_measured_in_one_stream() {
    let model = LanguageModel::from_bytes(file(), "memory").unwrap();
    // Longer than what is read at once.
    let text = "This is the house that Jack built.\n".repeat(20);
    let numbers: Vec<i32> = model.codec().encode(&text).into_iter().map(|n| n as i32).collect();
    let bits: f64 = model.bits(&text).iter().map(|(_, bits)| bits).sum();
    let nats = model.nats_per_token(&numbers);
    assert!((bits * std::f64::consts::LN_2 / numbers.len() as f64 - nats).abs() < 1e-9);
    // Token by token, by steps whose state goes on.
    let mut state = plies_text::language::State::default();
    let mut last = model.codec().encode("\n")[0] as i32;
    let mut sum = 0.0;
    for &token in &numbers {
        let logits = model.step(&Tensor::from([last]), &mut state);
        let p = logits.value().log_softmax(-1).to_vec::<f32>().unwrap();
        sum -= f64::from(p[token as usize]);
        last = token;
    }
    assert!((sum / numbers.len() as f64 - nats).abs() < 1e-5, "{sum} {nats}");
    // Counting is measured on the same tokens.
    let corpus = corpus(Unit::Characters);
    let counted = KneserNey::train(corpus.train().numbers(), 4, corpus.codec().len());
    assert!(counted.nats_per_token(corpus.test().numbers()) < nats);
    let sizes = [corpus.train(), corpus.validation(), corpus.test()].map(|part| part.len());
    assert_eq!(sizes, [720, 90, 90]);
}

#[test]
fn steps_are_what_a_run_gives() {
    let model = LanguageModel::from_bytes(file(), "memory").unwrap();
    let bits = model.bits("This is the house");
    assert_eq!(bits.len(), 17);
    assert!(bits.iter().all(|(_, bits)| *bits > 0.0));
    // Without chance, one token after another is the likeliest after all before it.
    let sampling = Sampling { temperature: 0.0, ..Sampling::default() };
    let text: String = Generator::new(&model, "This", sampling, 1).unwrap().take(6).collect();
    let again: String = Generator::new(&model, &format!("This{}", &text[..3]), sampling, 1)
        .unwrap()
        .take(3)
        .collect();
    assert_eq!(again, text[3..]);
}

#[test]
fn settings_that_make_no_sense_are_named() {
    let corpus = corpus(Unit::Characters);
    let plain = Settings::default;
    let architecture = |architecture| Settings { architecture, ..plain() };
    let rows = [
        (Settings { batch: 0, ..plain() }, "batch: is 0"),
        (Settings { lr: -1.0, ..plain() }, "lr: is -1"),
        (Settings { resume: true, ..plain() }, "resume: needs the folder"),
        (architecture(Architecture { layers: 0, ..Architecture::default() }), "layers: is 0"),
        (architecture(Architecture { dropout: 1.0, ..Architecture::default() }), "dropout: is 1"),
    ];
    for (settings, message) in rows {
        let error = train(&corpus, &settings, &mut on).unwrap_err().to_string();
        assert!(error.starts_with(message), "{error}");
    }
    let short = Source::bytes("short", *b"a");
    let codec = |text: &Source| Codec::learn(text, Unit::Characters, 100, 1);
    let error = Corpus::read(&short, 0.0, codec).unwrap_err().to_string();
    assert_eq!(error, "short: has 1 tokens, which is too little to learn from");
    let error = LanguageModel::load(Path::new("away")).unwrap_err().to_string();
    assert!(error.starts_with("away: "), "{error}");
}

#[test]
fn codecs_give_back_the_text() {
    let text = "the house, that é\u{1f600}";
    for unit in [Unit::Characters, Unit::Words, Unit::Bpe] {
        let codec = corpus(unit).codec().clone();
        assert_eq!(codec.decode(&codec.encode("This is the house")), "This is the house");
        let back = codec.decode(&codec.encode(text));
        assert_eq!(back == text, unit == Unit::Bpe, "{unit:?}: {back}");
    }
    let bpe = Bpe::train(&rhyme(), 270, 2).unwrap();
    assert_eq!(Codec::from(bpe).unknown(), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn a_damaged_file_is_a_model_or_an_error(at in any::<prop::sample::Index>(), with in any::<u8>(), cut in any::<bool>()) {
        let mut bytes = file().to_vec();
        // Most of a file is weights, where any byte is one; what says what they are comes first.
        let at = at.index(bytes.len().min(2500));
        if cut { bytes.truncate(at) } else { bytes[at] = with }
        if let Ok(model) = LanguageModel::from_bytes(&bytes, "memory") {
            prop_assert!(model.parameter_count() > 0);
            let text: String = Generator::new(&model, "a", Sampling::default(), 1).unwrap().take(2).collect();
            prop_assert!(text.len() < 100);
        }
    }
}
