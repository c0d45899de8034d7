//! A language model of pieces of words: merges are learned, then which piece follows, then a rhyme is
//! written.
//!
//! `cargo run --release -p plies-text --example rhyme`

use std::ops::ControlFlow;

use plies_text::corpus::Source;
use plies_text::language::{
    Architecture, Codec, Corpus, Generator, KneserNey, Sampling, Settings, Unit, train,
};

const RHYME: &str = "\
This is the cat that killed the rat that ate the malt that lay in the house that Jack built.
This is the dog that worried the cat that killed the rat that ate the malt.
This is the cow with the crumpled horn that tossed the dog that worried the cat.
";

fn main() -> plies_text::Result<()> {
    let source = Source::bytes("rhyme", RHYME.repeat(40).into_bytes());
    let corpus = Corpus::read(&source, 0.1, |text| Codec::learn(text, Unit::Bpe, 300, 2))?;
    let codec = corpus.codec();
    let pieces: Vec<String> =
        codec.encode("This is the cat").iter().map(|&n| codec.decode(&[n])).collect();
    println!("{} tokens, such as {pieces:?}", codec.len());

    let architecture = Architecture { embedding: 32, hidden: 48, ..Architecture::default() };
    let settings =
        Settings { architecture, batch: 4, steps: 20, epochs: 12, lr: 0.01, ..Settings::default() };
    let model = train(&corpus, &settings, &mut |now| {
        if let Some(means) = now.held_out {
            let bits = corpus.validation().bits_per_character(means.loss);
            println!("epoch {:>2}  {bits:.2} bits a character", now.epoch + 1);
        }
        ControlFlow::Continue(())
    })?
    .into_result()?;
    let test = corpus.test();
    let counted = KneserNey::train(corpus.train().numbers(), 4, codec.len());
    for (name, nats) in [
        ("network", model.nats_per_token(test.numbers())),
        ("4-grams", counted.nats_per_token(test.numbers())),
    ] {
        println!("{name}   {:.2} bits a character of the end", test.bits_per_character(nats));
    }

    let sampling = Sampling { temperature: 0.5, ..Sampling::default() };
    let text: String = Generator::new(&model, "This is", sampling, 1)?.take(30).collect();
    println!("This is{text}");
    Ok(())
}
