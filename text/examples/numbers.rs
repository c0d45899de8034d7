//! Number words are read and digits written; the picture shows where each digit looked.
//!
//! `cargo run --release -p plies-text --example numbers`

use std::ops::ControlFlow;

use plies_text::seq2seq::{Architecture, Pairs, Score, Settings, train};

fn main() -> plies_text::Result<()> {
    let (pairs, unseen) = Pairs::numbers(700, 1000, 1).split(100, 1);
    let architecture = Architecture { embedding: 16, hidden: 48, dropout: 0.0 };
    let settings =
        Settings { architecture, batch: 16, epochs: 20, lr: 0.01, ..Settings::default() };
    let go_on = &mut |_: &_| ControlFlow::Continue(());
    let model = train(&pairs, &unseen, &settings, go_on)?.into_result()?;
    let score =
        model.test(&unseen, 4, &mut |text, ours, right| println!("{text} -> {ours}, not {right}"));
    let [low, share, high] = Score::interval(score.exact).map(|share| 100.0 * share);
    println!("{share:.0} % of {} unseen numbers ({low:.0} to {high:.0})", unseen.len());
    println!("{}", model.answer("seven hundred and twelve", 4).draw(80, false));
    Ok(())
}
