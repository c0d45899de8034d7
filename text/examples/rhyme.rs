//! A language model of pieces of words: merges are learned, then which piece follows, then a rhyme is
//! written.
//!
//! `cargo run --release -p plies-text --example rhyme`

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
    let trained = train(&corpus, &settings, &mut |now| {
        if let Some(nats) = now.held_out {
            println!(
                "epoch {:>2}  {:.2} bits a character",
                now.epoch + 1,
                corpus.bits_per_character(nats)
            );
        }
    })?;
    let counted = KneserNey::train(corpus.train(), 4, corpus.codec().len());
    let nats = counted.nats_per_token(corpus.held_out());
    println!("4-grams   {:.2} bits a character", corpus.bits_per_character(nats));

    let sampling = Sampling { temperature: 0.5, ..Sampling::default() };
    let text: String = Generator::new(&trained.model, "This is", sampling, 1)?.take(30).collect();
    println!("This is{text}");
    Ok(())
}
