//! `bpe`: a tokeniser learns pieces of words.

use std::{path::PathBuf, time::Instant};

use clap::Args;
use plies_console::{CommonArgs, Console, Failure, check_writable, thousands};
use plies_text::{bpe::Bpe, corpus::Chunk, embedded};
use serde::Serialize;

use crate::cli::text::open;

/// Learn byte-pair encoding: pieces of words that are put together from bytes
///
/// The files are GPT-2's, and HuggingFace's tokenizers open them.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  plies-text bpe                            the embedded novel
  plies-text bpe corpus.txt.gz --vocabulary 16000 -o merges.txt --vocab vocab.json
  plies-text lm --unit bpe --merges merges.txt")]
pub(crate) struct BpeArgs {
    /// The text, compressed by gzip or not; - is standard input [default: the embedded novel]
    text: Option<PathBuf>,

    /// Write the merges here, a line for each
    #[arg(long, short, value_name = "FILE", default_value = "merges.txt")]
    out: PathBuf,

    /// Write the numbers of tokens here, for other programs
    #[arg(long, value_name = "FILE")]
    vocab: Option<PathBuf>,

    /// Stop at N tokens, 256 of which are the bytes
    #[arg(long, value_name = "N", default_value_t = 4_000)]
    vocabulary: usize,

    /// Merge no pair that occurs fewer than N times
    #[arg(long, value_name = "N", default_value_t = 2)]
    min_count: u64,

    /// Show how a text is cut
    #[arg(long, value_name = "TEXT")]
    line: Option<String>,

    /// Take bytes that are not UTF-8 for "\u{fffd}" rather than for a mistake
    #[arg(long)]
    lossy: bool,

    #[command(flatten)]
    common: CommonArgs,
}

#[derive(Serialize)]
struct Report<'a> {
    command: &'static str,
    version: &'static str,
    text: &'a str,
    merges: String,
    tokens: usize,
    seconds: f64,
    text_tokens: usize,
    bytes_per_token: f64,
    encode_seconds: f64,
    line: Option<Vec<String>>,
}

impl BpeArgs {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let console = Console::new(&self.common)?;
        console.keep_apart("--out", &self.out)?;
        check_writable(&self.out)?;
        if let Some(vocab) = &self.vocab {
            console.keep_apart("--vocab", vocab)?;
            check_writable(vocab)?;
        }
        Bpe::check(self.vocabulary)?;
        let source = open(self.text.as_deref(), embedded::novel)?.lossy(self.lossy);
        let began = Instant::now();
        let bpe = Bpe::train(&source, self.vocabulary, self.min_count)?;
        let seconds = began.elapsed().as_secs_f64();
        bpe.save(&self.out)?;
        if let Some(vocab) = &self.vocab {
            plies_tensor::replace_file(vocab, |file| {
                std::io::Write::write_all(file, bpe.to_vocabulary().as_bytes())
            })
            .map_err(|error| Failure::at(vocab, error))?;
        }
        let began = Instant::now();
        let (mut numbers, mut text_tokens, mut bytes) = (Vec::new(), 0, 0);
        let (mut chunks, mut chunk) = (source.chunks()?, Chunk::default());
        while chunks.next(&mut chunk)? {
            let text = chunk.text(&source)?;
            bpe.encode_into(&text, &mut numbers);
            (text_tokens, bytes) = (text_tokens + numbers.len(), bytes + text.len());
            numbers.clear();
        }
        let encode_seconds = began.elapsed().as_secs_f64();
        let bytes_per_token = bytes as f64 / text_tokens.max(1) as f64;
        let line = self.line.as_ref().map(|line| {
            bpe.encode(line).into_iter().map(|number| bpe.visible(number)).collect::<Vec<_>>()
        });
        console.result(&format!(
            "{}: {} tokens, from {} in {seconds:.2} s",
            self.out.display(),
            thousands(bpe.len()),
            source.name()
        ))?;
        console.say(&format!(
            "the text is {} of them, {bytes_per_token:.2} bytes each, encoded in {encode_seconds:.2} s",
            thousands(text_tokens)
        ))?;
        if let Some(tokens) = &line {
            console.result(&tokens.join(" "))?;
        }
        console.json(&Report {
            command: "bpe",
            version: env!("CARGO_PKG_VERSION"),
            text: source.name(),
            merges: self.out.display().to_string(),
            tokens: bpe.len(),
            seconds,
            text_tokens,
            bytes_per_token,
            encode_seconds,
            line,
        })
    }
}
