//! Sequences are answered with sequences.

use std::ops::ControlFlow;
use std::sync::OnceLock;

use plies_text::language::Unit;
use plies_text::seq2seq::{Architecture, Pairs, Score, Seq2Seq, Settings, train};
use plies_text::training::{End, Progress, Trained};
use proptest::prelude::*;

fn settings(epochs: usize, seed: u64) -> Settings {
    let architecture = Architecture { embedding: 16, hidden: 32, dropout: 0.0 };
    Settings { architecture, batch: 16, epochs, lr: 0.01, seed, ..Settings::default() }
}

fn on(_: &Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn learn(pairs: &Pairs, held_out: &Pairs, epochs: usize, seed: u64) -> Trained<Seq2Seq> {
    train(pairs, held_out, &settings(epochs, seed), &mut on).unwrap()
}

fn numbers() -> (Pairs, Pairs) {
    Pairs::numbers(300, 1000, 1).split(40, 1)
}

#[test]
fn unseen_numbers_are_read() {
    let (pairs, held_out) = numbers();
    let model = learn(&pairs, &held_out, 25, 1).model;
    let mut mistakes = 0;
    let score = model.test(&held_out, 3, &mut |_, _, _| mistakes += 1);
    assert_eq!(score.exact, [40 - mistakes, 40]);
    let [_, exact, _] = Score::interval(score.exact);
    let [_, tokens, _] = Score::interval(score.tokens);
    assert!(exact > 0.7 && tokens > 0.85, "{score:?}");
    // Of the likeliest beginnings none is lost by a wider beam.
    let (text, _) = held_out.iter().next().unwrap();
    let (greedy, wide) = (model.answer(text, 1), model.answer(text, 8));
    let mean = |answer: &plies_text::seq2seq::Answer| {
        answer.log_probability / answer.attention.len() as f64
    };
    assert!(mean(&wide) >= mean(&greedy) - 1e-9);
    assert_eq!(wide.attention.len(), wide.tokens.len() + 1);
    for row in &wide.attention {
        assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-4 && row.len() == wide.source.len());
    }
    assert_eq!(model.answer("", 4).text, "");
}

/// A model that has learned a little, as a file.
fn file() -> &'static [u8] {
    static FILE: OnceLock<Vec<u8>> = OnceLock::new();
    FILE.get_or_init(|| {
        let (pairs, held_out) = Pairs::numbers(60, 100, 1).split(10, 1);
        learn(&pairs, &held_out, 1, 1).model.to_bytes().unwrap()
    })
}

#[test]
fn equal_seeds_give_equal_models() {
    let (pairs, held_out) = Pairs::numbers(60, 100, 1).split(10, 1);
    let bytes = |seed| learn(&pairs, &held_out, 1, seed).model.to_bytes().unwrap();
    assert!(bytes(1) == file() && bytes(2) != file());
}

#[test]
fn a_training_that_is_stopped_and_resumed_is_that_of_one_run() {
    let (pairs, held_out) = Pairs::numbers(90, 100, 1).split(10, 1);
    let folder = tempfile::tempdir().unwrap();
    let run = |name: &str, resume: bool, stop_at: usize| {
        let mut settings = Settings { resume, ..settings(3, 1) };
        settings.architecture.dropout = 0.1;
        settings.checkpoints = Some(folder.path().join(name));
        let mut steps = 0;
        train(&pairs, &held_out, &settings, &mut |_| {
            steps += 1;
            if steps >= stop_at { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .unwrap()
    };
    let whole = run("whole", false, usize::MAX);
    // Five batches and an epoch's end, and then two batches.
    let part = run("parts", false, 8);
    assert!(part.epochs == 1 && matches!(part.end, End::Stopped), "{part:?}");
    let rest = run("parts", true, usize::MAX);
    assert!(whole.model.to_bytes().unwrap() == rest.model.to_bytes().unwrap());
    assert_eq!((part.read + rest.read, whole.read), (240, 240));
    let mut newest: Vec<_> = std::fs::read_dir(folder.path().join("whole"))
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    newest.sort();
    // The last epoch is the best, with so few pairs.
    let of_checkpoint = Seq2Seq::load(newest.last().unwrap()).unwrap();
    assert!(of_checkpoint.to_bytes().unwrap() == whole.model.to_bytes().unwrap());
    let other =
        Settings { checkpoints: Some(folder.path().join("whole")), resume: true, ..settings(4, 1) };
    let backwards = Pairs::backwards(90, 5, 1);
    let error = train(&backwards, &held_out, &other, &mut on).unwrap_err().to_string();
    let expected = "another set of pairs to learn from, numbers below 100, and here is words \
                    backwards; give the same, or another folder";
    assert!(error.ends_with(expected), "{error}");
}

#[test]
fn texts_of_words_are_answered_in_words() {
    let rows = [
        ("the cat", "die Katze"),
        ("a cat", "eine Katze"),
        ("the hat", "der Hut"),
        ("a hat", "ein Hut"),
    ];
    let rows = rows.iter().cycle().take(40).map(|(a, b)| ((*a).into(), (*b).into())).collect();
    let settings = Settings {
        architecture: Architecture { embedding: 16, hidden: 16, dropout: 0.0 },
        units: [Unit::Words, Unit::Words],
        batch: 4,
        epochs: 15,
        lr: 0.02,
        ..Settings::default()
    };
    let model = train(&Pairs::new(rows), &Pairs::default(), &settings, &mut on).unwrap().model;
    assert_eq!(model.answer("the cat", 2).text, "die Katze");
    assert_eq!(model.answer("a hat", 2).tokens, ["ein", "Hut"]);
}

#[test]
fn settings_that_make_no_sense_are_named() {
    let odd = Architecture { hidden: 3, ..Architecture::default() };
    let rows = [
        (Settings { architecture: odd, ..Settings::default() }, "hidden: is 3; half of the units"),
        (Settings { epochs: 0, ..Settings::default() }, "epochs: is 0"),
        (Settings { resume: true, ..Settings::default() }, "resume: needs the folder"),
    ];
    for (settings, message) in rows {
        let (pairs, none) = (Pairs::numbers(5, 10, 1), Pairs::default());
        let error = train(&pairs, &none, &settings, &mut on).unwrap_err().to_string();
        assert!(error.starts_with(message), "{error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn a_damaged_file_is_a_model_or_an_error(at in any::<prop::sample::Index>(), with in any::<u8>(), cut in any::<bool>()) {
        let mut bytes = file().to_vec();
        let at = at.index(bytes.len().min(3000));
        if cut { bytes.truncate(at) } else { bytes[at] = with }
        if let Ok(model) = Seq2Seq::from_bytes(&bytes, "memory") {
            prop_assert!(model.answer("two", 1).log_probability <= 0.0);
        }
    }
}
