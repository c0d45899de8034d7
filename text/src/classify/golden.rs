//! Figures of scikit-learn, from `tests/golden/classify.py`.

use serde_json::Value;

use super::Bags;
use super::dual::{Descent, Loss, Problem};
use super::features::{Features, Norm, Weighting};
use super::labels::Targets;
use super::linear::Linear;
use super::ngrams::{Analyzer, NGrams};
use super::{dual, naive_bayes};
use crate::corpus::Source;
use crate::labelled::Labelled;

struct Golden {
    figures: Value,
    /// Labels are praise (1) or not (0), and as a second label the source.
    by_label: Bags,
    by_source: Bags,
}

fn golden() -> Golden {
    let figures: Value =
        serde_json::from_str(include_str!("../../tests/golden/classify.json")).unwrap();
    let bags = |column: usize| {
        let documents = figures["documents"].as_array().unwrap().iter();
        let lines: String = documents
            .map(|d| {
                format!("__label__{} {}\n", d[column].as_str().unwrap(), d[2].as_str().unwrap())
            })
            .collect();
        let set = Labelled::new(Source::bytes("golden", lines.into_bytes())).unwrap();
        Bags::read(&set, &NGrams::default()).unwrap()
    };
    let (by_label, by_source) = (bags(0), bags(1));
    Golden { figures, by_label, by_source }
}

fn column(features: &Features, ngram: &str) -> u32 {
    let mut of_all = None;
    let n_words = ngram.split(' ').count();
    Analyzer::new(&features.ngrams).for_each(ngram, |fingerprint, first, last| {
        if first == 0 && last + 1 == n_words {
            of_all = Some(fingerprint);
        }
    });
    features.columns.find(of_all.unwrap()).unwrap_or_else(|| panic!("no column for {ngram:?}"))
}

fn compare(figures: &Value, features: &Features, linear: &Linear, output: usize, room: f32) {
    let bias = figures["bias"].as_f64().unwrap() as f32;
    assert!((linear.bias[output] - bias).abs() < room, "bias {} {bias}", linear.bias[output]);
    let weights = figures["weights"].as_object().unwrap();
    assert!(weights.len() > 15);
    for (ngram, expected) in weights {
        let ours = linear.of(column(features, ngram))[output];
        let expected = expected.as_f64().unwrap() as f32;
        assert!((ours - expected).abs() < room, "{ngram:?}: {ours} {expected}");
    }
}

#[test]
fn naive_bayes_is_scikit_learn_s() {
    let golden = golden();
    let bags = &golden.by_label;
    let features = Features::fit(bags, 1, Weighting::Counts, Norm::None).unwrap();
    assert_eq!(features.columns.len() as u64, golden.figures["features"].as_u64().unwrap());
    let fitted = naive_bayes::fit(&features.rows(bags), &bags.targets, 1, 1.0, Vec::new());
    compare(&golden.figures["naive bayes"], &features, &fitted.linear, 0, 1e-5);
}

#[test]
fn what_naive_bayes_says_without_a_document_is_what_it_says_without_it() {
    let bags = golden().by_label;
    let features = Features::fit(&bags, 1, Weighting::Counts, Norm::None).unwrap();
    let rows = features.rows(&bags);
    let fit = |targets: &Targets, rows, held_out| naive_bayes::fit(rows, targets, 1, 1.0, held_out);
    let left_out = fit(&bags.targets, &rows, vec![5]).held_out_scores[0];
    let others: Vec<usize> = (0..bags.len()).filter(|&i| i != 5).collect();
    let some = bags.select(&others);
    let without = fit(&some.targets, &features.rows(&some), Vec::new()).linear;
    let mut score = [0.0];
    without.scores(rows.row(5), &mut score);
    assert!((score[0] - left_out).abs() < 1e-4, "{score:?} {left_out}");
}

/// Each label of several has the model that it would have were it the only one: that of two labels, which
/// scikit-learn's figures check above.
#[test]
fn naive_bayes_of_several_labels_is_one_against_the_rest() {
    let bags = golden().by_label;
    let features = Features::fit(&bags, 1, Weighting::Counts, Norm::None).unwrap();
    let rows = features.rows(&bags);
    let mut many = Targets::default();
    for i in 0..bags.len() as u32 {
        let labels: Vec<u32> = (0..3).filter(|label| (i + label) % (label + 2) == 0).collect();
        many.push(&labels);
    }
    assert!(many.are_many());
    let all = || (0..bags.len()).collect::<Vec<usize>>();
    let ours = naive_bayes::fit(&rows, &many, 3, 1.0, all());
    for label in 0..3 {
        let mut two = Targets::default();
        (0..bags.len()).for_each(|i| two.push(&[u32::from(many.of(i).contains(&label))]));
        let theirs = naive_bayes::fit(&rows, &two, 1, 1.0, all());
        let of_label = |numbers: &[f32]| -> Vec<f32> {
            numbers.chunks_exact(3).map(|numbers| numbers[label as usize]).collect()
        };
        assert_eq!(of_label(&ours.linear.bias), theirs.linear.bias);
        assert_eq!(of_label(&ours.linear.weights), theirs.linear.weights);
        let scores = of_label(&ours.held_out_scores).into_iter().zip(theirs.held_out_scores);
        scores.for_each(|(a, b)| assert!((a - b).abs() < 1e-3, "{a} {b}"));
    }
}

#[test]
fn tf_idf_is_scikit_learn_s() {
    let golden = golden();
    let bags = &golden.by_label;
    let features = Features::fit(bags, 1, Weighting::TfIdf, Norm::Length).unwrap();
    let (rows, expected) = (features.rows(bags), golden.figures["tf-idf"].as_object().unwrap());
    assert_eq!(rows.row(0).len(), expected.len());
    for (ngram, value) in expected {
        let column = column(&features, ngram);
        let ours = rows.row(0).iter().find(|entry| entry.0 == column).unwrap().1;
        assert!((ours - value.as_f64().unwrap() as f32).abs() < 1e-6, "{ngram:?}");
    }
}

#[test]
fn logistic_regression_ends_where_scikit_learn_s_does() {
    let golden = golden();
    let descent = Descent { cost: 3.0, max_epochs: 3000, tolerance: 1e-7, seed: 1 };
    let learn = |bags: &Bags, features: &Features, n_outputs| {
        let (rows, loss) = (features.rows(bags), Loss::Logistic);
        let targets = &bags.targets;
        let problem =
            Problem { rows: &rows, targets, n_outputs, variances: &[], first_variances: &[], loss };
        dual::fit(&problem, descent, vec![3, 4], &|_| true).linear
    };
    let bags = &golden.by_label;
    let features = Features::fit(bags, 1, Weighting::TfIdf, Norm::Length).unwrap();
    let linear = learn(bags, &features, 1);
    compare(&golden.figures["logistic regression"], &features, &linear, 0, 1e-4);

    let bags = &golden.by_source;
    let features = Features::fit(bags, 1, Weighting::TfIdf, Norm::Length).unwrap();
    let linear = learn(bags, &features, 3);
    for (output, source) in bags.labels().iter().enumerate() {
        let figures = &golden.figures["one against the rest"][source.as_str()];
        compare(figures, &features, &linear, output, 1e-4);
    }
}
