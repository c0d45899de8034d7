//! What a bag of words cannot know: two sentences of the same words, and one word in two phrases.
//!
//! `cargo run --release -p plies-text --example order_matters`

use plies_text::classify::neural::{Encoder, NeuralClassifier, NeuralSettings, Reading, Sequences};
use plies_text::classify::{Bags, Classifier, Method, NGrams, Settings};
use plies_text::corpus::Source;
use plies_text::labelled::Labelled;

/// Which noun is small, and which historic? The same words, in two orders.
const SENTENCES: [&str; 2] = [
    "A small crowd quietly enters the historic church",
    "A historic crowd enters the small quietly church",
];

/// Sentences of either kind: the small thing enters the historic one, or the other way round.
fn lessons() -> String {
    let mut lines = String::new();
    let who = ["crowd", "group", "choir", "family", "class", "team"];
    let does = ["quietly enters", "enters", "slowly enters", "visits", "quickly visits"];
    let where_to = ["church", "house", "castle", "school", "hall", "chapel"];
    for (i, who) in who.iter().enumerate() {
        for (j, does) in does.iter().enumerate() {
            for (k, place) in where_to.iter().enumerate() {
                let [label, first, second] = match (i + j + k) % 2 {
                    0 => ["people", "small", "historic"],
                    _ => ["place", "historic", "small"],
                };
                lines += &format!("__label__{label} a {first} {who} {does} the {second} {place}\n");
            }
        }
    }
    lines
}

/// cos of the angle between two vectors.
fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

fn main() -> plies_text::Result<()> {
    let lessons = Labelled::new(Source::bytes("lessons", lessons().into_bytes()))?;

    println!("what is small, the people or the place?");
    let words = NGrams { words: 1, ..NGrams::default() };
    let bags = Bags::read(&lessons, &words)?;
    for method in [Method::NaiveBayes, Method::LogisticRegression, Method::NbSvm] {
        let model = Classifier::train(&bags, &Settings::new(method))?;
        let p = SENTENCES.map(|text| model.predictor().probabilities(text)[0]);
        println!("{:20} {:.4} {:.4}  the same words are the same to it", method.name(), p[0], p[1]);
        assert_eq!(p[0].to_bits(), p[1].to_bits());
    }
    let settings =
        NeuralSettings { dim: 16, hidden: 16, lr: 5e-3, ..NeuralSettings::new(Encoder::Gru) };
    let documents = Sequences::read(&lessons, &Reading::default())?;
    let model = NeuralClassifier::train(&documents, &settings)?;
    let p: Vec<f32> = model.probabilities(&SENTENCES)?.iter().map(|p| p[0]).collect();
    println!("{:20} {:.4} {:.4}", "gru, order and all", p[0], p[1]);
    assert!(p[0] > 0.9 && p[1] < 0.1);

    println!("\nwater in two phrases, after 3,000 sentences of reviews");
    let documents = Sequences::read(&Labelled::embedded(), &Reading::default())?;
    let model = NeuralClassifier::train(
        &documents,
        &NeuralSettings { epochs: Some(3), dim: 32, hidden: 32, ..settings },
    )?;
    let drinking = model.states("drinking water")?.swap_remove(1);
    let river = model.states("water of the river")?.swap_remove(0);
    assert_eq!(drinking.vector, river.vector);
    println!("cosine of its vectors  {:.3}", cosine(&drinking.vector, &river.vector));
    println!("cosine of its states   {:.3}", cosine(&drinking.state, &river.state));
    Ok(())
}
