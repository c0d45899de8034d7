//! What holds for every encoder.

use std::ops::ControlFlow;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::classify::{Classifier, Method, Model, Settings};
use crate::corpus::Source;
use crate::labelled::Labelled;
use crate::training::End;
use crate::vectors::WordVectors;

/// "a … b" and "b … a": what comes first decides, and no bag of words can tell.
fn ordered(n: usize) -> String {
    let line = |i: usize| {
        let between = ["so", "then", "and yet", "well , then"][i / 2 % 4];
        let [first, last] = if i.is_multiple_of(2) { ["one", "two"] } else { ["two", "one"] };
        format!("__label__{first} {first} {between} {last}\n")
    };
    (0..n).map(line).collect()
}

fn sequences(text: &str) -> Sequences {
    let set = Labelled::new(Source::bytes("f", text.as_bytes())).unwrap();
    Sequences::read(&set, &Reading::default()).unwrap()
}

fn small(encoder: Encoder) -> NeuralSettings {
    NeuralSettings {
        dim: 8,
        hidden: 8,
        dropout: 0.1,
        lr: 0.02,
        epochs: Some(12),
        ..NeuralSettings::new(encoder)
    }
}

fn trained(encoder: Encoder) -> NeuralClassifier {
    let settings = NeuralSettings { epochs: Some(1), ..small(encoder) };
    NeuralClassifier::train(&sequences(&ordered(24)), &settings).unwrap()
}

#[test]
fn every_encoder_tells_orders_apart_that_no_bag_of_words_can() {
    for (name, encoder) in Encoder::NAMES {
        for (pool, pooling) in Pooling::NAMES {
            let settings = NeuralSettings { pooling: Some(pooling), ..small(encoder) };
            let model = NeuralClassifier::train(&sequences(&ordered(160)), &settings).unwrap();
            let p = model.probabilities(&["one then two", "two then one"]).unwrap();
            let found = [p[0][0], p[1][0]]; // labels "one", "two"
            // A single layer of self-attention, averaged, sees positions but weakly.
            let gap = if encoder == Encoder::SelfAttention { 0.0 } else { 0.5 };
            assert!(found[0] - found[1] > gap, "{name} {pool}: {found:?}");
        }
    }
}

#[test]
fn a_text_has_the_probabilities_in_a_batch_that_it_has_alone() {
    let texts =
        ["", "one", "two and yet one", "one so two so one so two so one so two", "never seen"];
    for (name, encoder) in Encoder::NAMES {
        for (pool, pooling) in Pooling::NAMES {
            for both_directions in [true, false] {
                let settings = NeuralSettings {
                    pooling: Some(pooling),
                    both_directions,
                    layers: 2,
                    epochs: Some(1),
                    ..small(encoder)
                };
                let model = NeuralClassifier::train(&sequences(&ordered(24)), &settings).unwrap();
                let together = model.probabilities(&texts).unwrap();
                for (text, together) in texts.iter().zip(together) {
                    let alone = &model.probabilities(&[text]).unwrap()[0];
                    let difference = (together[0] - alone[0]).abs();
                    assert!(difference < 1e-5, "{name} {pool} {text:?}: {together:?} {alone:?}");
                }
            }
        }
    }
}

#[test]
fn one_seed_gives_one_model_on_any_number_of_threads() {
    for (name, encoder) in Encoder::NAMES {
        let learn = |threads, seed| {
            plies_tensor::set_threads(threads);
            let settings = NeuralSettings { epochs: Some(2), seed, ..small(encoder) };
            NeuralClassifier::train(&sequences(&ordered(60)), &settings)
                .unwrap()
                .to_bytes()
                .unwrap()
        };
        let models = [learn(1, 7), learn(2, 7), learn(1, 8)];
        plies_tensor::set_threads(usize::MAX);
        assert!(models[0] == models[1], "{name}");
        assert!(models[0] != models[2], "{name}");
    }
}

#[test]
fn contributions_add_up_to_the_log_odds() {
    for (name, encoder) in Encoder::NAMES {
        // Where states are not smooth in the vectors the sum is a coarser one.
        let settings = NeuralSettings { pooling: Some(Pooling::Mean), ..small(encoder) };
        let model = NeuralClassifier::train(&sequences(&ordered(160)), &settings).unwrap();
        let text = "Two, and yet ONE!";
        let why = model.explain(text, 1).unwrap();
        let p = &model.probabilities(&[text]).unwrap()[0];
        let (sum, odds) =
            (why.bias + why.words.iter().map(|word| word.1).sum::<f32>(), (p[1] / p[0]).ln());
        assert!((sum - odds).abs() < 0.02 * odds.abs().max(1.0), "{name}: {sum} {odds}");
        assert_eq!(&why.text[why.words[4].0.clone()], "one");
        assert_eq!(model.explain("", 0).unwrap().words, []);
    }
}

#[test]
fn documents_may_have_several_labels() {
    let line = |i: usize| match i % 3 {
        0 => "__label__wet rain and sea\n",
        1 => "__label__hot sun and sand\n",
        _ => "__label__wet __label__hot steam and sauna\n",
    };
    let documents = sequences(&(0..120).map(line).collect::<String>());
    let settings = NeuralSettings { epochs: Some(20), ..small(Encoder::Gru) };
    let model = NeuralClassifier::train(&documents, &settings).unwrap();
    assert!(model.has_many_labels());
    let p = model.probabilities(&["rain", "sun", "steam and sauna"]).unwrap(); // "hot", "wet"
    assert!(p[0][0] < 0.5 && p[0][1] > 0.5 && p[1][0] > 0.5 && p[1][1] < 0.5, "{p:?}");
    assert!(p[2].iter().all(|&p| p > 0.5), "{p:?}");
    assert!(model.test(&documents).unwrap().accuracy() > 0.9);
}

#[test]
fn given_vectors_are_known_and_frozen_ones_stay() {
    let vectors = WordVectors::new(2, [("one", &[3.0, 0.0][..]), ("away", &[0.0, 4.0])]);
    let settings = NeuralSettings {
        vectors: Some(Arc::new(vectors)),
        frozen: true,
        epochs: Some(2),
        ..small(Encoder::Gru)
    };
    let model = NeuralClassifier::train(&sequences(&ordered(40)), &settings).unwrap();
    let vector = |word: &str| model.states(word).unwrap().remove(0).vector;
    // As given, but for one factor, which makes them as long as those that begin at random.
    let [one, away] = [vector("one"), vector("away")];
    assert!(one[1] == 0.0 && away[0] == 0.0 && (one[0] / away[1] - 0.75).abs() < 1e-6);
    assert_eq!(vector("never"), vector("seen"));
    let again = NeuralClassifier::from_bytes(&model.to_bytes().unwrap(), "f").unwrap();
    assert_eq!(
        again.probabilities(&["one two"]).unwrap(),
        model.probabilities(&["one two"]).unwrap()
    );
}

#[test]
fn a_word_has_one_vector_and_a_state_in_each_text() {
    let model = trained(Encoder::Lstm);
    let [a, b] = ["one then two", "two then one"].map(|text| model.states(text).unwrap().remove(1));
    assert_eq!((a.word.as_str(), &a.vector), ("then", &b.vector));
    assert_eq!(a.state.len(), 16);
    assert!(a.state.iter().zip(&b.state).any(|(a, b)| (a - b).abs() > 1e-3));
}

#[test]
fn of_a_long_text_both_ends_are_read() {
    let reading = Reading { max_words: 8, ..Reading::default() };
    let mut words: Vec<usize> = (0..20).collect();
    reading.shorten(&mut words);
    assert_eq!(words, [0, 1, 14, 15, 16, 17, 18, 19]);
    reading.shorten(&mut words);
    assert_eq!(words.len(), 8);
}

#[test]
fn a_training_that_is_stopped_gives_the_best_so_far() {
    let documents = sequences(&ordered(60));
    let learn = |stop_after: usize| {
        let mut batches = 0;
        let settings = NeuralSettings { epochs: Some(1000), ..small(Encoder::Gru) };
        NeuralClassifier::train_with(&documents, &settings, &mut |progress| {
            batches += 1;
            assert!((0.0..=1.0).contains(&progress.share));
            if batches > stop_after { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
    };
    // Of 45 documents, three batches and the end of an epoch.
    for (stop_after, read) in [(0, 16), (7, 90)] {
        let trained = learn(stop_after).unwrap();
        assert!(matches!(trained.end, End::Stopped) && trained.read == read, "{}", trained.read);
        assert_eq!(trained.model.labels(), ["one", "two"]);
    }
}

#[test]
fn a_training_that_is_stopped_and_resumed_is_that_of_one_run() {
    let documents = sequences(&ordered(64));
    let vectors = WordVectors::new(2, [("one", &[3.0, 0.0][..]), ("away", &[0.0, 4.0])]);
    let vectors = Some(Arc::new(vectors));
    let own = |encoder| NeuralSettings { epochs: Some(3), ..small(encoder) };
    let given = NeuralSettings { vectors: vectors.clone(), ..own(Encoder::Gru) };
    let frozen = NeuralSettings { frozen: true, ..given.clone() };
    let rows = Encoder::NAMES.map(|row| own(row.1)).into_iter().chain([given, frozen]);
    for settings in rows {
        let folder = tempfile::tempdir().unwrap();
        let run = |name: &str, resume: bool, stop_at: usize| {
            let checkpoints = Some(folder.path().join(name));
            let settings = NeuralSettings { checkpoints, resume, ..settings.clone() };
            let mut reports = 0;
            NeuralClassifier::train_with(&documents, &settings, &mut |_| {
                reports += 1;
                if reports == stop_at { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })
            .unwrap()
        };
        let whole = run("whole", false, usize::MAX);
        // An epoch is three batches of 16 and its end: in the middle of the second.
        let part = run("parts", false, 6);
        assert!(part.epochs == 1 && matches!(part.end, End::Stopped), "{part:?}");
        let parts = run("parts", true, usize::MAX);
        let bytes = whole.model.to_bytes().unwrap();
        assert!(bytes == parts.model.to_bytes().unwrap(), "{settings:?}");
        assert_eq!(part.read + parts.read, whole.read);
        let plain = NeuralClassifier::train(&documents, &settings).unwrap();
        assert!(bytes == plain.to_bytes().unwrap(), "what is saved on the way changes nothing");
    }
}

#[test]
fn a_training_goes_on_with_its_own_documents_and_network() {
    let folder = tempfile::tempdir().unwrap();
    let settings = NeuralSettings {
        checkpoints: Some(folder.path().to_owned()),
        resume: true,
        epochs: Some(1),
        ..small(Encoder::Gru)
    };
    let model = NeuralClassifier::train(&sequences(&ordered(60)), &settings).unwrap();
    let checkpoint = std::fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
    let found = NeuralClassifier::load(&checkpoint).unwrap();
    let state = |model: &NeuralClassifier| model.states("one then two").unwrap();
    assert_eq!(state(&found), state(&model));
    let settings = NeuralSettings { epochs: Some(2), ..settings };
    // What is known of words and labels is the same: only the documents can tell.
    let swapped = ordered(60).replacen("__label__one one", "__label__two one", 1);
    let swapped = swapped.replacen("__label__two two", "__label__one two", 1);
    let wider = NeuralSettings { hidden: 9, ..settings.clone() };
    let rows = [
        (swapped, &settings, "with another set of documents to learn from, of f as well"),
        (ordered(60), &wider, "of another model (hidden differs)"),
    ];
    for (text, settings, expected) in rows {
        let error = NeuralClassifier::train(&sequences(&text), settings).unwrap_err().to_string();
        let folder = folder.path().display();
        let reason =
            format!("{folder}: is of a training {expected}; give the same, or another folder");
        assert_eq!(error, reason);
    }
}

#[test]
fn what_cannot_be_learnt_from_is_refused() {
    let train = |text: &str, settings: NeuralSettings| {
        NeuralClassifier::train(&sequences(text), &settings).unwrap_err().to_string()
    };
    let one = "__label__a x\n__label__a y\n";
    let error = train(one, small(Encoder::Gru));
    assert_eq!(error, "f: all 2 documents have the label \"a\"; a classifier needs two labels");
    let error = train("__label__a\n__label__b\n", small(Encoder::Gru));
    assert_eq!(error, "f: no word occurs 1 times or more; are the texts empty?");
    let two = "__label__a x\n__label__b y\n";
    let rows = [
        (NeuralSettings { hidden: 0, ..small(Encoder::Gru) }, "hidden: 0; it takes a number"),
        (NeuralSettings { hidden: 6, ..small(Encoder::SelfAttention) }, "hidden: 6; self-att"),
        (NeuralSettings { resume: true, ..small(Encoder::Gru) }, "resume: needs the folder"),
        (NeuralSettings { dropout: 1.0, ..small(Encoder::Gru) }, "dropout: 1; it takes"),
        (NeuralSettings { lr: f64::NAN, ..small(Encoder::Gru) }, "learning rate: NaN; it"),
    ];
    for (settings, expected) in rows {
        let error = train(two, settings);
        assert!(error.starts_with(expected), "{error}");
    }
    let vectors = WordVectors::new(1, [("one", &[f32::NAN][..])]);
    let settings = NeuralSettings { vectors: Some(Arc::new(vectors)), ..small(Encoder::Gru) };
    assert_eq!(train(two, settings), "vectors: that of \"one\" holds NaN");
}

#[test]
fn a_file_is_of_one_kind() {
    let bytes = trained(Encoder::Convolution).to_bytes().unwrap();
    let Model::Neural(model) = Model::from_bytes(&bytes, "f").unwrap() else { panic!("linear") };
    assert_eq!((model.encoder(), model.to_bytes().unwrap()), (Encoder::Convolution, bytes.clone()));
    let error = Classifier::from_bytes(&bytes, "f").unwrap_err().to_string();
    assert!(error.starts_with("f: architecture is \"plies-text network 1\""), "{error}");
    let set = Labelled::new(Source::bytes("f", ordered(9).as_bytes())).unwrap();
    let bags = crate::classify::Bags::read(&set, &Default::default()).unwrap();
    let linear = Classifier::train(&bags, &Settings::new(Method::NaiveBayes)).unwrap();
    let bytes = linear.to_bytes().unwrap();
    assert_eq!(Model::from_bytes(&bytes, "f").unwrap().name(), "nb");
    let mut other = plies_nn::Checkpoint::new();
    other.set_architecture("mlp 2-2");
    let error = Model::from_bytes(&other.to_bytes().unwrap(), "f").unwrap_err().to_string();
    assert_eq!(error, "f: is no classifier of this program, but \"mlp 2-2\"");
}

/// A small network of each kind, whose bytes are then changed.
fn files() -> &'static [Vec<u8>] {
    static FILES: std::sync::OnceLock<Vec<Vec<u8>>> = std::sync::OnceLock::new();
    FILES.get_or_init(|| Encoder::NAMES.map(|row| trained(row.1).to_bytes().unwrap()).into())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn no_bytes_make_a_reader_panic(
        kind in 0usize..4,
        // Most of a file is numbers: what comes first is changed more often.
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), any::<bool>()), 0..5),
        length in any::<prop::sample::Index>(), is_cut in prop::bool::weighted(0.2),
    ) {
        let mut bytes = files()[kind].clone();
        for (at, byte, is_early) in changes {
            let at = at.index(if is_early { bytes.len().min(1500) } else { bytes.len() });
            bytes[at] = byte;
        }
        if is_cut {
            bytes.truncate(length.index(bytes.len()));
        }
        if let Ok(model) = Model::from_bytes(&bytes, "f") {
            let p = model.probabilities(&["one two five"]).unwrap();
            prop_assert_eq!(p[0].len(), model.labels().len());
        }
    }
}
