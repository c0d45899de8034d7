//! `map`: words on a plane.

use std::{
    fs::create_dir_all, io::Write, ops::ControlFlow, path::PathBuf, sync::atomic::Ordering::Relaxed,
};

use clap::{Args, ValueEnum};
use plies_console::{
    CommonArgs, Console, Failure, Interrupt, Progress, check_writable,
    plot::{Area, COLOURS, FAMILY, Figure, check_name, save},
};
use plies_tensor::replace_file;
use plies_text::{
    map::{Tsne, pca},
    vectors::WordVectors,
};
use plotters::{
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};
use serde::Serialize;

use super::vectors_file::{VectorsArgs, unknown};

/// Draw words on a plane, near each other where their vectors are
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  plies-text map                                 500 words, map.svg
  plies-text map -n 2000 --out words.png
  plies-text map king queen man woman --method pca
  plies-text map --projector folder              for TensorBoard's projector

t-SNE shows who is near whom; distances between groups mean nothing.")]
pub(crate) struct Map {
    /// The words [default: the most frequent of the file]
    #[arg(value_name = "WORD")]
    words: Vec<String>,

    /// How many of the most frequent words
    #[arg(short, value_name = "N", default_value_t = 500)]
    n: usize,

    /// Leave out the so many most frequent words, such as "the" and "of"
    #[arg(long, value_name = "N", default_value_t = 50)]
    skip: usize,

    /// How words come on the plane
    #[arg(long, value_name = "METHOD", default_value = "tsne")]
    method: MethodName,

    /// Neighbours that count, for t-SNE [default: 30, fewer for few words]
    #[arg(long, value_name = "X")]
    perplexity: Option<f64>,

    /// Steps of t-SNE
    #[arg(long, value_name = "N", default_value_t = 1000)]
    iterations: usize,

    /// Where random numbers begin
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,

    /// The figure: .svg or .png
    #[arg(short, long, value_name = "FILE", default_value = "map.svg")]
    out: PathBuf,

    /// Write tables for TensorBoard's projector into a folder, and draw nothing
    #[arg(long, value_name = "FOLDER")]
    projector: Option<PathBuf>,

    #[command(flatten)]
    vectors: VectorsArgs,

    #[command(flatten)]
    common: CommonArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum MethodName {
    /// Neighbours stay neighbours
    Tsne,
    /// The two directions in which vectors differ most
    Pca,
}

#[derive(Serialize)]
struct Report<'a> {
    command: &'static str,
    version: &'static str,
    file: String,
    words: Vec<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    points: Vec<[f64; 2]>,
    /// KL(P‖Q) in nats, of t-SNE.
    #[serde(skip_serializing_if = "Option::is_none")]
    divergence: Option<f64>,
    /// The share of the variance that is on the plane, of PCA.
    #[serde(skip_serializing_if = "Option::is_none")]
    explained: Option<f64>,
}

impl Map {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let console = Console::new(&self.common)?;
        console.keep_apart("--vectors", &self.vectors.vectors)?;
        if self.projector.is_none() {
            check_name(&self.out)?;
            check_writable(&self.out)?;
            console.keep_apart("--out", &self.out)?;
        }
        let vectors = self.vectors.load()?;
        let numbers = self.chosen(&vectors)?;
        let words: Vec<&str> =
            numbers.iter().map(|&number| vectors.vocabulary().word(number)).collect();
        let mut report = Report {
            command: "map",
            version: env!("CARGO_PKG_VERSION"),
            file: self.out.display().to_string(),
            words,
            points: Vec::new(),
            divergence: None,
            explained: None,
        };
        if let Some(folder) = &self.projector {
            write_projector(folder, &vectors, &numbers)?;
            report.file = folder.display().to_string();
            console.result(&format!("{}: vectors.tsv, metadata.tsv", folder.display()))?;
            console.say("Load both at https://projector.tensorflow.org")?;
            return console.json(&report);
        }
        // Of vectors only the directions are compared.
        let rows: Vec<f32> =
            numbers.iter().flat_map(|&number| direction(vectors.row(number))).collect();
        let words = || numbers.len();
        let line = match self.method {
            MethodName::Pca => {
                let components = pca(&rows, vectors.dim(), 2);
                let k = components.explained.len();
                report.points = components
                    .points
                    .chunks(k)
                    .map(|p| [p[0], *p.get(1).unwrap_or(&0.0)])
                    .collect();
                let explained = components.explained.iter().sum::<f64>();
                report.explained = Some(explained);
                format!(
                    "{} words; {:.1} % of the variance is on the plane",
                    words(),
                    100.0 * explained
                )
            }
            MethodName::Tsne => {
                let most = (words() as f64 - 1.0) / 3.0;
                let perplexity = self.perplexity.unwrap_or(most.clamp(1.0, 30.0));
                let tsne = Tsne {
                    perplexity,
                    iterations: self.iterations,
                    seed: self.seed,
                    ..Tsne::default()
                };
                let (progress, stop) = (Progress::new(&console, "map"), Interrupt::handle().stop());
                let found = tsne.embed(&rows, vectors.dim(), &mut |step| {
                    let share = step.iteration as f64 / self.iterations as f64;
                    progress.at(share, &format!("divergence {:.3}", step.divergence));
                    if stop.load(Relaxed) {
                        ControlFlow::Break(())
                    } else {
                        ControlFlow::Continue(())
                    }
                })?;
                drop(progress);
                (report.points, report.divergence) = (found.points, Some(found.divergence));
                let steps = found.iterations;
                format!(
                    "{} words; divergence {:.3} nats after {steps} steps",
                    words(),
                    found.divergence
                )
            }
        };
        let labels = &report.words;
        save(
            &self.out,
            SIZE,
            Words { words: labels, points: &report.points, groups: &groups(&rows, vectors.dim()) },
        )?;
        console.result(&format!("{}: {line}", self.out.display()))?;
        console.json(&report)
    }

    /// The words that are asked for, or the most frequent ones.
    fn chosen(&self, vectors: &WordVectors) -> Result<Vec<u32>, Failure> {
        let numbers: Vec<u32> = if self.words.is_empty() {
            let skip = self.skip.min(vectors.len().saturating_sub(self.n));
            (skip as u32..vectors.len().min(skip + self.n) as u32).collect()
        } else {
            let find = |word: &String| vectors.vocabulary().find(word).ok_or_else(|| unknown(word));
            self.words.iter().map(find).collect::<Result<_, _>>()?
        };
        match numbers.len() {
            2.. => Ok(numbers),
            n => {
                Err(Failure::BadInput(format!("a map takes two words or more; there would be {n}")))
            }
        }
    }
}

fn direction(row: &[f32]) -> Vec<f32> {
    let length = row.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
    row.iter().map(|&x| if length > 0.0 { (f64::from(x) / length) as f32 } else { 0.0 }).collect()
}

/// Numbers between tabs, a line for each word; and the words.
fn write_projector(
    folder: &std::path::Path,
    vectors: &WordVectors,
    numbers: &[u32],
) -> Result<(), Failure> {
    create_dir_all(folder).map_err(|error| Failure::at(folder, error))?;
    let write = |name: &str, line: &dyn Fn(u32) -> String| {
        let file = folder.join(name);
        let written = replace_file(&file, |stream| {
            let mut stream = std::io::BufWriter::new(stream);
            numbers.iter().try_for_each(|&number| writeln!(stream, "{}", line(number)))?;
            stream.flush()
        });
        written.map_err(|error| Failure::at(&file, error))
    };
    write("vectors.tsv", &|number| {
        let row = vectors.row(number).iter().map(f32::to_string);
        row.collect::<Vec<_>>().join("\t")
    })?;
    write("metadata.tsv", &|number| vectors.vocabulary().word(number).replace(['\t', '\n'], " "))
}

/// Groups of like directions, a colour each: k-means on the sphere, from rows that are far from each other.
fn groups(rows: &[f32], dim: usize) -> Vec<usize> {
    let row = |i: usize| &rows[i * dim..][..dim];
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    let n = rows.len() / dim;
    let mut centres = vec![row(0).to_vec()];
    while centres.len() < COLOURS.len().min(n) {
        let nearest =
            |i: usize| centres.iter().map(|c| dot(c, row(i))).fold(f32::NEG_INFINITY, f32::max);
        let far = (0..n).min_by(|&a, &b| nearest(a).total_cmp(&nearest(b))).unwrap_or(0);
        centres.push(row(far).to_vec());
    }
    let mut groups = vec![0; n];
    for _ in 0..20 {
        for (i, group) in groups.iter_mut().enumerate() {
            let by_cosine = |a: &usize, b: &usize| {
                dot(&centres[*a], row(i)).total_cmp(&dot(&centres[*b], row(i)))
            };
            *group = (0..centres.len()).max_by(by_cosine).unwrap_or(0);
        }
        for (group, centre) in centres.iter_mut().enumerate() {
            let mut sum = vec![0.0; dim];
            let members = (0..n).filter(|&i| groups[i] == group);
            members.for_each(|i| sum.iter_mut().zip(row(i)).for_each(|(s, x)| *s += x));
            *centre = direction(&sum);
        }
    }
    groups
}

const SIZE: (u32, u32) = (1200, 900);
const MARGIN: i32 = 40;
const LETTERS: i32 = 13;

/// A dot for each word, and the word beside it where there is room; words that come first have it first.
struct Words<'a> {
    words: &'a [&'a str],
    points: &'a [[f64; 2]],
    groups: &'a [usize],
}

impl Figure for Words<'_> {
    fn draw<B: DrawingBackend>(&self, area: &Area<'_, B>) -> Result<(), String> {
        let failed = |error: DrawingAreaErrorKind<B::ErrorType>| error.to_string();
        area.fill(&WHITE).map_err(failed)?;
        let bound = |axis: usize, pick: fn(f64, f64) -> f64, start| {
            self.points.iter().map(|p| p[axis]).fold(start, pick)
        };
        let place = |p: &[f64; 2]| {
            let [x, y] = [(0, SIZE.0), (1, SIZE.1)].map(|(axis, size)| {
                let low = bound(axis, f64::min, f64::INFINITY);
                let width = (bound(axis, f64::max, f64::NEG_INFINITY) - low).max(f64::MIN_POSITIVE);
                MARGIN + ((p[axis] - low) / width * f64::from(size as i32 - 2 * MARGIN)) as i32
            });
            (x, SIZE.1 as i32 - y)
        };
        let places: Vec<(i32, i32)> = self.points.iter().map(place).collect();
        let colour = |i: usize| COLOURS[self.groups[i] % COLOURS.len()];
        for (i, &at) in places.iter().enumerate() {
            area.draw(&Circle::new(at, 2, colour(i).mix(0.6).filled())).map_err(failed)?;
        }
        let mut taken: Vec<[i32; 4]> = Vec::new();
        for (i, &(x, y)) in places.iter().enumerate() {
            let style = (FAMILY, LETTERS)
                .into_font()
                .color(&colour(i))
                .pos(Pos::new(HPos::Left, VPos::Center));
            let (width, _) = area.estimate_text_size(self.words[i], &style).map_err(failed)?;
            let (width, half) = (width as i32, LETTERS / 2 + 1);
            // To the right, or to the left where the figure ends.
            let left = if x + 6 + width < SIZE.0 as i32 { x + 5 } else { x - 5 - width };
            let frame = [left, y - half, left + width, y + half];
            let meets = |other: &[i32; 4]| {
                frame[0] < other[2]
                    && other[0] < frame[2]
                    && frame[1] < other[3]
                    && other[1] < frame[3]
            };
            if !taken.iter().any(meets) {
                area.draw_text(self.words[i], &style, (left, y)).map_err(failed)?;
                taken.push(frame);
            }
        }
        area.present().map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn like_directions_have_one_colour() {
        let rows: Vec<f32> =
            (0..30).flat_map(|i| direction(&[[1.0, 0.1], [-1.0, 0.2]][i % 2])).collect();
        let found = groups(&rows, 2);
        assert!((0..28).all(|i| found[i] == found[i + 2]) && found[0] != found[1]);
    }

    #[test]
    fn a_word_is_drawn_where_there_is_room_and_dots_always() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.svg");
        let (words, points) =
            (["first", "second", "third"], [[0.0, 0.0], [0.001, 0.0], [1.0, 1.0]]);
        save(&file, SIZE, Words { words: &words, points: &points, groups: &[0, 1, 9] }).unwrap();
        let svg = std::fs::read_to_string(&file).unwrap();
        assert!(svg.contains("first") && !svg.contains("second") && svg.contains("third"));
        assert_eq!(svg.matches("<circle").count(), 3);
    }
}
