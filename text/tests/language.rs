//! Language models learn, are stored, resumed and written with.

use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::Ordering;

use plies_nn::Module;
use plies_text::bpe::Bpe;
use plies_text::corpus::Source;
use plies_text::language::{
    Architecture, Cell, Codec, Corpus, Generator, LanguageModel, Sampling, Settings, Unit, train,
};
use proptest::prelude::*;

fn rhyme() -> Source {
    let text = "This is the house that Jack built.\nThis is the malt that lay in the house.\n";
    Source::bytes("rhyme", text.repeat(12).into_bytes())
}

fn corpus(unit: Unit) -> Corpus {
    let most = if unit == Unit::Bpe { 280 } else { 100 };
    Corpus::read(&rhyme(), 0.1, |text| Codec::learn(text, unit, most, 1)).unwrap()
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
        let trained = train(&corpus, &settings, &mut |_| ()).unwrap();
        let bits = corpus.bits_per_character(trained.held_out.unwrap());
        let guess = corpus.bits_per_character((corpus.codec().len() as f64).ln());
        assert!(bits < 0.6 * guess, "{unit:?}: {bits} of {guess} bits");
        assert_eq!((trained.epochs, trained.stopped), (epochs, false));
    }
}

/// A model that has learned something, as a file.
fn file() -> &'static [u8] {
    static FILE: OnceLock<Vec<u8>> = OnceLock::new();
    FILE.get_or_init(|| {
        let settings = Settings { epochs: 2, ..settings(Cell::Gru, false) };
        let trained = train(&corpus(Unit::Characters), &settings, &mut |_| ()).unwrap();
        trained.model.to_bytes().unwrap()
    })
}

#[test]
fn equal_seeds_give_equal_models_and_texts() {
    let corpus = corpus(Unit::Characters);
    let bytes = |seed| {
        let settings = Settings { epochs: 2, seed, ..settings(Cell::Gru, false) };
        train(&corpus, &settings, &mut |_| ()).unwrap().model.to_bytes().unwrap()
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
        let (stop, mut steps) = (settings.stop.clone(), 0);
        train(&corpus, &settings, &mut |_| {
            steps += 1;
            stop.store(steps >= stop_at, Ordering::Relaxed);
        })
        .unwrap()
    };
    let whole = run("whole", false, usize::MAX);
    // In the middle of the second epoch, where states go on from window to window.
    let part = run("parts", false, 30);
    assert!(part.stopped && part.epochs == 1, "{}", part.epochs);
    let parts = run("parts", true, usize::MAX);
    assert!(whole.model.to_bytes().unwrap() == parts.model.to_bytes().unwrap());
    assert!(parts.tokens < whole.tokens);
    // Another folder's training is not overwritten, and another model's not resumed.
    let other = Settings {
        checkpoints: Some(folder.path().join("whole")),
        resume: true,
        ..settings(Cell::Gru, false)
    };
    let error = train(&corpus, &other, &mut |_| ()).unwrap_err().to_string();
    assert!(error.contains("is of a training with another text or model"), "{error}");
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
        let error = train(&corpus, &settings, &mut |_| ()).unwrap_err().to_string();
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
