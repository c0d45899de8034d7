//! Every kind of word2vec learns which words belong together.

use std::ops::ControlFlow;

use plies_text::corpus::Source;
use plies_text::similarity::Directions;
use plies_text::tokenize::Words;
use plies_text::vectors::WordVectors;
use plies_text::vocabulary::Vocabulary;
use plies_text::word2vec::{self, Architecture, Model, Objective, Settings, Subwords};

/// Two thousand lines of eight words of one of four topics with thirty words each. With a handful of words
/// several threads would do little but step on each other's rows.
fn topics() -> Source {
    topics_in(2000)
}

fn topics_in(lines: usize) -> Source {
    let mut text = String::new();
    let mut state = 1u32;
    let mut below = |n: u32| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 16) % n
    };
    for _ in 0..lines {
        let topic = ["tea", "sea", "war", "law"][below(4) as usize];
        for _ in 0..8 {
            let middle = ["mol", "bik", "fup", "dag", "sen"][below(5) as usize];
            text += &format!(
                "{topic}{middle}{} ",
                ["a", "o", "ix", "un", "er", "y"][below(6) as usize]
            );
        }
        text.push('\n');
    }
    Source::bytes("topics", text.into_bytes())
}

fn settings() -> Settings {
    Settings { dim: 20, epochs: 5, sample: 0.0, ..Settings::default() }
}

fn train(settings: Settings) -> Model {
    let words = Words::as_they_are();
    word2vec::train(&topics(), &words, settings, &mut |_| ControlFlow::Continue(())).unwrap()
}

/// The share of words whose nearest neighbour has the same topic.
fn share_right(model: &Model) -> f64 {
    let vectors = WordVectors::from_rows(model.vocabulary.clone(), model.dim(), model.vectors());
    let directions = Directions::new(&vectors);
    let is_right = |word: &&str| directions.nearest(word, 1).unwrap()[0].0[..3] == word[..3];
    let words: Vec<&str> = vectors.vocabulary().words().collect();
    words.iter().filter(|word| is_right(word)).count() as f64 / words.len() as f64
}

#[test]
fn every_kind_learns_which_words_belong_together() {
    let subwords = Subwords { min: 3, max: 4, buckets: 1000 };
    for architecture in [Architecture::SkipGram, Architecture::Cbow] {
        for objective in [Objective::Negative(5), Objective::Hierarchical] {
            for subwords in [None, Some(subwords)] {
                for threads in [1, 2] {
                    let settings =
                        Settings { architecture, objective, subwords, threads, ..settings() };
                    let what = format!("{settings:?}");
                    let model = train(settings);
                    assert_eq!(model.vocabulary.len(), 120);
                    let share = share_right(&model);
                    assert!(share > 0.95, "{share} with {what}");
                }
            }
        }
    }
}

#[test]
fn one_thread_and_one_seed_give_the_same_vectors() {
    let first = train(settings());
    assert_eq!(first.vectors(), train(settings()).vectors());
    assert_ne!(first.vectors(), train(Settings { seed: 2, ..settings() }).vectors());
}

#[test]
fn counts_do_not_depend_on_threads() {
    let text = Source::bytes("text", "b a c a\nd b\n".repeat(100_000).into_bytes());
    let count = |threads| {
        let counter = word2vec::count(&text, &Words::as_they_are(), threads).unwrap();
        let vocabulary = counter.vocabulary(1);
        vocabulary.words().map(str::to_owned).zip(vocabulary.counts().to_vec()).collect::<Vec<_>>()
    };
    let expected = [("a", 200_000), ("b", 200_000), ("c", 100_000), ("d", 100_000)];
    assert_eq!(count(1), expected.map(|(word, n)| (word.to_owned(), n)));
    assert_eq!(count(3), count(1));
}

#[test]
fn words_that_were_never_seen_have_vectors_of_their_ngrams() {
    let model = train(Settings {
        subwords: Some(Subwords { min: 3, max: 3, buckets: 5000 }),
        ..settings()
    });
    let unseen = model.vector("teax").unwrap();
    let vectors = WordVectors::from_rows(model.vocabulary.clone(), 20, model.vectors());
    let nearest = Directions::new(&vectors).nearest_to(&unseen, 1)[0].0;
    assert_eq!(&nearest[..3], "tea");
    assert_eq!(train(settings()).vector("teax"), None);
}

#[test]
fn training_can_be_stopped_and_goes_on_from_what_is_there() {
    let (words, mut calls) = (Words::as_they_are(), 0);
    let endless = Settings { epochs: 1_000_000, ..settings() };
    let stopped = word2vec::train(&topics(), &words, endless, &mut |progress| {
        calls += 1;
        assert!(progress.words <= progress.total && progress.loss.is_finite());
        if calls == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    let stopped = stopped.unwrap();
    assert_eq!(calls, 3);
    let mut model = Model::new(stopped.vocabulary.clone(), settings());
    model =
        word2vec::train_from(model, &topics(), &words, 16_000, &mut |_| ControlFlow::Continue(()))
            .unwrap();
    assert!(share_right(&model) > 0.95);
    // Nothing is left to do, and nothing changes.
    model.settings.epochs = 0;
    let before = model.vectors();
    let again =
        word2vec::train_from(model, &topics(), &words, 16_000, &mut |_| ControlFlow::Continue(()));
    assert_eq!(again.unwrap().vectors(), before);
}

#[test]
fn the_rate_falls_with_the_text_that_is_read_not_with_the_one_the_model_began_with() {
    let words = Words::as_they_are();
    let vocabulary = word2vec::count(&topics_in(200), &words, 1).unwrap().vocabulary(1);
    let known = word2vec::count(&topics(), &words, 1).unwrap().known_to(&vocabulary);
    assert_eq!((vocabulary.total(), known), (1600, 16_000));
    let settings = Settings { epochs: 100, ..settings() };
    let mut half_way = None;
    let model = Model::new(vocabulary, settings.clone());
    word2vec::train_from(model, &topics(), &words, known, &mut |now| {
        assert_eq!(now.total, 1_600_000);
        if now.share() < 0.5 {
            return ControlFlow::Continue(());
        }
        half_way = Some(*now);
        ControlFlow::Break(())
    })
    .unwrap();
    let now = half_way.unwrap();
    assert!((now.lr - settings.lr * (1.0 - now.share())).abs() < 1e-6, "{now:?}");
    assert!(now.lr > 0.1 * settings.lr, "{now:?}");
}

#[test]
fn what_cannot_be_trained_is_told() {
    let words = Words::as_they_are();
    let train = |text: &str, settings| {
        let source = Source::bytes("f", text.as_bytes());
        word2vec::train(&source, &words, settings, &mut |_| ControlFlow::Continue(()))
            .unwrap_err()
            .to_string()
    };
    let rows = [
        ("a b c", Settings::default(), "f: no word occurs 5 times or more"),
        ("", Settings::default(), "f: no word occurs 5 times or more"),
        (
            "a a a a a",
            Settings { dim: 0, ..Settings::default() },
            "dim: is 0; it may be 1 to 10000",
        ),
        ("a a a a a", Settings { lr: f64::NAN, ..Settings::default() }, "lr: is NaN"),
        ("a", Settings { window: 0, ..Settings::default() }, "window: is 0"),
    ];
    for (text, settings, message) in rows {
        let error = train(text, settings);
        assert!(error.starts_with(message), "{error}");
    }
}

#[test]
fn a_text_and_a_model_without_a_word_in_common_are_told() {
    let words = Words::as_they_are();
    for objective in [Objective::Negative(2), Objective::Hierarchical] {
        for (known, epochs, message) in [
            (vec![], 1, "f: nothing can be learned: the model has no words"),
            (vec![("tea", 7)], 1, "f: has none of the model's 1 words"),
            (vec![("tea", 7)], 0, ""),
            (vec![("tea", 7), ("b", 1)], 1, ""),
        ] {
            let settings = Settings { epochs, objective, ..settings() };
            let model = Model::new(Vocabulary::from_counts(known), settings);
            let source = Source::bytes("f", *b"a b c\n");
            let trained =
                word2vec::train_from(model, &source, &words, 1, &mut |_| ControlFlow::Continue(()));
            let said = trained.err().map_or(String::new(), |error| error.to_string());
            assert!(said.starts_with(message) && said.is_empty() == message.is_empty(), "{said}");
        }
    }
}

#[test]
fn one_word_alone_is_no_trouble() {
    for architecture in [Architecture::SkipGram, Architecture::Cbow] {
        for objective in [Objective::Negative(2), Objective::Hierarchical] {
            let settings = Settings { architecture, objective, min_count: 1, ..settings() };
            for text in ["a", "a\na\n\nb", "a a a a"] {
                let source = Source::bytes("f", text.as_bytes());
                let words = Words::as_they_are();
                let model = word2vec::train(&source, &words, settings.clone(), &mut |_| {
                    ControlFlow::Continue(())
                });
                assert!(model.unwrap().vectors().iter().all(|x| x.is_finite()));
            }
        }
    }
}
