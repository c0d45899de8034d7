//! What holds for every method.

use std::ops::ControlFlow;

use proptest::prelude::*;

use super::*;
use crate::Result;
use crate::corpus::Source;
use crate::labelled::Labelled;

fn sentences(ngrams: &NGrams) -> (Bags, Bags) {
    Bags::read(&Labelled::embedded(), ngrams).unwrap().split(5, 1)
}

fn bags(text: &str) -> Result<Bags> {
    Bags::read(&Labelled::new(Source::bytes("f", text.as_bytes()))?, &NGrams::default())
}

#[test]
fn every_method_learns_the_sentences_and_knows_how_sure_it_may_be() {
    let (train, test) = sentences(&NGrams::default());
    for (name, method) in Method::NAMES {
        let model = Classifier::train(&train, &Settings::new(method)).unwrap();
        let found = model.test(&test).unwrap();
        assert!(found.accuracy() > 0.78, "{name}: {}", found.accuracy());
        assert!(found.calibration_error < 0.1, "{name}: {}", found.calibration_error);
        assert_eq!(found.confusion.total(), 600);
        let mut predictor = model.predictor();
        let sure = |p: &[f32]| (p[0] - 0.5).abs();
        let of_nothing = sure(predictor.probabilities(""));
        let mut of_texts: Vec<f32> =
            (0..test.len()).map(|i| sure(predictor.probabilities_of(&test, i))).collect();
        of_texts.sort_by(f32::total_cmp);
        // Half of the sentences have each label, which is all that counting knows of an empty text; fastText's
        // classifier has no bias that could know more. The others have learned one together with the weights:
        // it makes up for what words say on the whole, and whoever trusts it more than a usual text's words has
        // learned little from words.
        let most = match method {
            Method::NaiveBayes | Method::FastText => 1e-6,
            _ => of_texts[of_texts.len() / 2],
        };
        assert!(of_nothing < most, "{name}: {of_nothing}, and of texts {most}");
    }
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let text: String = (0..400)
        .map(|i| format!("__label__{} w{} w{} w{}\n", i % 5, i % 5 * 3, i * 7 % 11, i * i % 13))
        .collect();
    let learn = |threads| {
        plies_tensor::set_threads(threads);
        let bags = bags(&text).unwrap();
        let methods = [Method::NbSvm, Method::LogisticRegression];
        methods.map(|m| Classifier::train(&bags, &Settings::new(m)).unwrap().to_bytes().unwrap())
    };
    let (one, two) = (learn(1), learn(2));
    plies_tensor::set_threads(usize::MAX);
    assert!(one == two);
}

#[test]
fn documents_may_have_several_labels() {
    let text: String = (0..300)
        .map(|i| match i % 3 {
            0 => "__label__wet rain and sea\n",
            1 => "__label__hot sun and sand\n",
            _ => "__label__wet __label__hot steam and sauna\n",
        })
        .collect();
    for (_, method) in Method::NAMES {
        let model = Classifier::train(&bags(&text).unwrap(), &Settings::new(method)).unwrap();
        assert!(model.has_many_labels());
        let mut predictor = model.predictor();
        assert_eq!(predictor.predict("rain").0, "wet", "{method:?}");
        assert_eq!(predictor.predict("sun").0, "hot", "{method:?}");
        let p = predictor.probabilities("steam sauna");
        assert!(p.iter().all(|&p| p > 0.7), "{method:?} {p:?}");
    }
}

#[test]
fn what_cannot_be_learnt_from_is_refused() {
    let rows = [
        ("__label__a x\n__label__a y\n", "f: all 2 documents have the label \"a\""),
        ("\n\n", "f: holds no documents"),
        ("__label__a\n__label__b\n", "f: no n-gram is in 1 documents or more"),
    ];
    for (text, expected) in rows {
        let learnt = bags(text).and_then(|b| Classifier::train(&b, &Settings::new(Method::Svm)));
        let error = learnt.unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
    let (train, _) = sentences(&NGrams::default());
    let settings = Settings { cost: Some(-1.0), ..Settings::new(Method::Svm) };
    let error = Classifier::train(&train, &settings).unwrap_err().to_string();
    assert_eq!(error, "cost: -1; it takes a number above 0");
}

#[test]
fn contributions_add_up_to_the_log_odds() {
    let ngrams = NGrams { characters: (3, 4), ..NGrams::default() };
    let (train, _) = sentences(&ngrams);
    for (_, method) in Method::NAMES {
        let model = Classifier::train(&train, &Settings::new(method)).unwrap();
        let mut predictor = model.predictor();
        let text = "Not a good film, not GOOD at all!";
        let why = predictor.explain(text, 1);
        let p = predictor.probabilities(text);
        let sum = why.bias + why.words.iter().map(|word| word.1).sum::<f32>();
        assert!((sum - (p[1] / p[0]).ln()).abs() < 2e-3, "{method:?} {sum} {p:?}");
        assert_eq!(&why.text[why.words[2].0.clone()], "good");
    }
}

#[test]
fn contributions_of_three_labels_add_up_to_the_mean_log_odds() {
    // One document in seven is not what its words say, so that no probability is 0 or 1.
    let label = |i: usize| ["a", "b", "c"][if i.is_multiple_of(7) { (i + 1) % 3 } else { i % 3 }];
    let words = |i: usize| ["x y", "y z", "z x w"][i % 3];
    let one: String = (0..210).map(|i| format!("__label__{} {}\n", label(i), words(i))).collect();
    let several: String =
        (0..210).map(|i| format!("__label__{} __label__c {}\n", label(i), words(i))).collect();
    let several = several.replace("__label__a __label__c", "__label__a");
    for (text, many) in [(one, false), (several, true)] {
        for (_, method) in Method::NAMES {
            let model = Classifier::train(&bags(&text).unwrap(), &Settings::new(method)).unwrap();
            assert_eq!(model.has_many_labels(), many);
            let mut predictor = model.predictor();
            for label in 0..3 {
                let why = predictor.explain("x y y", label);
                let p = predictor.probabilities("x y y");
                let odds = |o: usize| (p[label] / p[o]).ln();
                let expected = if many {
                    (p[label] / (1.0 - p[label])).ln()
                } else {
                    (0..3).map(odds).sum::<f32>() / 2.0
                };
                let sum = why.bias + why.words.iter().map(|word| word.1).sum::<f32>();
                let room = 1e-3 * (1.0 + expected.abs());
                assert!((sum - expected).abs() < room, "{method:?} {many} {sum} {p:?}");
            }
        }
    }
}

#[test]
fn a_training_that_is_stopped_gives_what_it_has() {
    let (train, test) = sentences(&NGrams::default());
    let settings = Settings { tolerance: 0.0, ..Settings::new(Method::NbSvm) };
    let after = |share: f64| {
        move |done: f64| {
            if done > share { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        }
    };
    let early = Classifier::train_with(&train, &settings, &after(0.0)).unwrap();
    assert!(early.test(&test).unwrap().accuracy() > 0.7);
}

fn small() -> Classifier {
    let text = "__label__a one two\n__label__b two three\n__label__c four\n__label__a one\n";
    Classifier::train(&bags(text).unwrap(), &Settings::new(Method::Svm)).unwrap()
}

#[test]
fn a_file_holds_all_of_a_model() {
    let folder = tempfile::tempdir().unwrap();
    let (train, test) = sentences(&NGrams { bits: 12, ..NGrams::default() });
    for (_, method) in Method::NAMES {
        let model = Classifier::train(&train, &Settings::new(method)).unwrap();
        let file = folder.path().join("model");
        model.save(&file).unwrap();
        let again = Classifier::load(&file).unwrap();
        assert_eq!(again.method(), method);
        let (mut ours, mut theirs) = (model.predictor(), again.predictor());
        for i in 0..50 {
            assert_eq!(ours.probabilities_of(&test, i), theirs.probabilities_of(&test, i));
        }
    }
    let error = Classifier::load(&folder.path().join("none")).unwrap_err().to_string();
    assert!(error.contains("none: No such file"), "{error}");
}

#[test]
fn a_file_of_something_else_is_refused_by_name() {
    let mut file = plies_nn::Checkpoint::new();
    let error = |file: &plies_nn::Checkpoint| {
        Classifier::from_bytes(&file.to_bytes().unwrap(), "f").unwrap_err().to_string()
    };
    assert_eq!(error(&file), "f: is no classifier of this program");
    file.set_architecture("mlp 2-2");
    assert!(error(&file).starts_with("f: architecture is \"mlp 2-2\""), "{}", error(&file));
    assert!(Classifier::from_bytes(b"text", "f").is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn no_bytes_make_a_reader_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        length in any::<prop::sample::Index>(), is_cut in prop::bool::weighted(0.2),
    ) {
        let mut bytes = small().to_bytes().unwrap();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if is_cut {
            bytes.truncate(length.index(bytes.len()));
        }
        if let Ok(model) = Classifier::from_bytes(&bytes, "f") {
            let mut predictor = model.predictor();
            prop_assert_eq!(predictor.probabilities("one two five").len(), model.labels().len());
        }
    }
}
