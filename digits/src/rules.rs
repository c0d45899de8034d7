//! Rules that somebody has written down: what a digit looks like, in ten lines.
//!
//! Looking at an image means counting: the holes in the ink, the strokes that a line across it meets, on which
//! side they are, and whether it looks the same upside down. Each digit has a description, and an image is the digit whose
//! description it fits best; a property that may be many things says less and counts less, 1 / √(how many).
//!
//! Nothing is learnt, and nothing is forgiven: lines lie where MNIST's digits, centred and upright, show most.
//! Shift the image by three pixels, or turn it by 20 degrees, and the lines meet something else.

use plies_tensor::Tensor;

use crate::idx::{COLS, N_CLASSES, PIXELS, ROWS};

/// What is looked at, in the order of the columns below. Places are a third of the image each: 0 left, 1 middle,
/// 2 right.
const PROPERTIES: usize = 14;

/// Each digit by what its properties may be; `*` is anything.
///
/// - `holes` and `where` the largest is: 0 nowhere, 1 high, 2 large, 3 low
/// - strokes met by rows 8, 11, 14, 17, 20 and by column 14
/// - on which side the ink of rows 8, 11, 17 and 20 is
/// - whether it is `wide`, and whether it is the `same` turned by 180 degrees
#[rustfmt::skip]
const DESCRIPTIONS: [[&str; PROPERTIES]; N_CLASSES] = [
    // holes where   r8   r11  r14   r17   r20  c14     at 8  at 11 at 17 at 20   wide same
    ["1",  "2",    "12", "2",  "2",  "2",  "12", "2",   "*",  "1",  "1",   "*",   "1", "01"],
    ["0",  "0",    "1",  "1",  "1",  "1",  "1",  "12",  "*",  "12", "01",  "*",   "0", "1"],
    ["01", "03",   "12", "1",  "1",  "12", "2",  "2",   "*",  "2",  "0",   "*",   "1", "*"],
    ["0",  "0",    "12", "1",  "1",  "1",  "12", "3",   "*",  "12", "2",   "*",   "1", "*"],
    ["0",  "0",    "2",  "2",  "2",  "1",  "1",  "1",   "*",  "1",  "012", "*",   "1", "*"],
    ["0",  "0",    "1",  "1",  "1",  "12", "12", "3",   "*",  "0",  "2",   "*",   "1", "*"],
    ["1",  "3",    "1",  "12", "2",  "23", "12", "23",  "01", "0",  "1",   "*",   "1", "*"],
    ["0",  "0",    "1",  "12", "1",  "1",  "1",  "2",   "*",  "12", "12",  "1",   "1", "*"],
    ["2",  "13",   "2",  "2",  "1",  "12", "2",  "23",  "*",  "12", "01",  "*",   "1", "*"],
    ["1",  "12",   "12", "2",  "12", "1",  "1",  "23",  "1",  "01", "12",  "*",   "1", "*"],
];

/// What the rules take each image for.
///
/// # Shapes
/// images [N, 784] from 0 to 1
///
/// # Example
/// ```
/// use plies_digits::{dataset::inputs, embedded, rules};
/// let test = embedded::test();
/// let read = rules::read(&inputs((0..1000).map(|i| test.image(i))));
/// let right = read.iter().zip(&test.labels).filter(|(read, label)| read == label).count();
/// assert!(right > 600); // a coin with ten sides gets 100 of them
/// ```
pub fn read(images: &Tensor) -> Vec<u8> {
    let values = images.to_vec::<f32>().expect("images on the CPU can be read");
    values.as_chunks().0.iter().map(best_fit).collect()
}

fn best_fit(image: &[f32; PIXELS]) -> u8 {
    let properties = look(&Ink::of(image));
    let fit = |digit: usize| -> f64 {
        let fits = DESCRIPTIONS[digit].iter().zip(properties).map(|(may_be, property)| {
            let fits = may_be.contains(char::from(b'0' + property));
            if fits { (may_be.len() as f64).powf(-0.5) } else { 0.0 }
        });
        fits.sum()
    };
    let better = |best: usize, digit| if fit(digit) > fit(best) { digit } else { best };
    (1..N_CLASSES).fold(0, better) as u8
}

fn look(ink: &Ink) -> [u8; PROPERTIES] {
    let (holes, place) = ink.holes();
    let row = |y: usize| move |x: usize| ink.at(x, y);
    let [r8, r11, r14, r17, r20] = [8, 11, 14, 17, 20].map(|y| strokes(row(y)));
    let [at_8, at_11, at_17, at_20] = [8, 11, 17, 20].map(|y| side(row(y)));
    let column = strokes(|y| ink.at(14, y));
    let (wide, same) = (u8::from(ink.width() > 10), u8::from(ink.same_upside_down() > 0.8));
    [holes, place, r8, r11, r14, r17, r20, column, at_8, at_11, at_17, at_20, wide, same]
}

/// How many strokes a line meets.
fn strokes(line: impl Fn(usize) -> bool) -> u8 {
    (0..COLS).filter(|&i| line(i) && (i == 0 || !line(i - 1))).count().min(9) as u8
}

/// Where the ink of a line is on average: 0 left, 1 middle, 2 right.
fn side(line: impl Fn(usize) -> bool) -> u8 {
    let places: Vec<usize> = (0..COLS).filter(|&i| line(i)).collect();
    let mean = places.iter().sum::<usize>() as f64 / places.len() as f64;
    match mean {
        ..12.8 => 0,
        15.2.. => 2,
        _ => 1, // an empty line too
    }
}

/// Where there is ink and where not.
struct Ink([bool; PIXELS]);

impl Ink {
    fn of(image: &[f32; PIXELS]) -> Ink {
        Ink(image.map(|ink| ink > 0.5))
    }

    fn at(&self, x: usize, y: usize) -> bool {
        self.0[y * COLS + x]
    }

    /// From the first to the last column with ink.
    fn width(&self) -> usize {
        let mut columns = (0..COLS).filter(|&x| (0..ROWS).any(|y| self.at(x, y)));
        let first = columns.next().unwrap_or(0);
        columns.next_back().unwrap_or(first) - first
    }

    /// Share of the pixels that are the same after half a turn.
    fn same_upside_down(&self) -> f64 {
        let pairs = self.0.iter().zip(self.0.iter().rev());
        pairs.filter(|(a, b)| a == b).count() as f64 / PIXELS as f64
    }

    /// How many holes of three pixels and more the ink has, and where the largest of them is: 0 nowhere, 1 high,
    /// 2 large, 3 low.
    fn holes(&self) -> (u8, u8) {
        let mut filled = self.0;
        fill(&mut filled, 0); // what is around the digit
        let mut holes = Vec::new();
        while let Some(start) = filled.iter().position(|&ink| !ink) {
            let hole = fill(&mut filled, start);
            if hole.len() >= 3 {
                holes.push(hole);
            }
        }
        let Some(largest) = holes.iter().max_by_key(|hole| hole.len()) else { return (0, 0) };
        let rows: usize = largest.iter().map(|pixel| pixel / COLS).sum();
        let place = match rows as f64 / largest.len() as f64 {
            _ if largest.len() > 45 => 2,
            ..11.5 => 1,
            ..15.0 => 2,
            _ => 3,
        };
        (holes.len() as u8, place)
    }
}

/// Fills what is connected to a pixel, and returns it.
fn fill(filled: &mut [bool; PIXELS], start: usize) -> Vec<usize> {
    let (mut found, mut todo) = (Vec::new(), vec![start]);
    while let Some(pixel) = todo.pop() {
        if std::mem::replace(&mut filled[pixel], true) {
            continue;
        }
        found.push(pixel);
        let (x, y) = (pixel % COLS, pixel / COLS);
        let around = [
            (x > 0).then(|| pixel - 1),
            (x + 1 < COLS).then(|| pixel + 1),
            (y > 0).then(|| pixel - COLS),
            (y + 1 < ROWS).then(|| pixel + COLS),
        ];
        todo.extend(around.into_iter().flatten());
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of text with `#` for ink, from the upper left corner on.
    fn drawn(rows: &[&str]) -> Ink {
        let mut image = [0.0; PIXELS];
        for (y, row) in rows.iter().enumerate() {
            for (x, character) in row.chars().enumerate() {
                image[y * COLS + x] = f32::from(u8::from(character == '#'));
            }
        }
        Ink::of(&image)
    }

    #[test]
    fn holes_are_counted_where_they_are_large_enough() {
        let one = drawn(&["", " #####", " #   #", " #####"]);
        assert_eq!(one.holes(), (1, 1));
        let two = drawn(&["", " #########", " #   #   #", " #   #####", " #####"]);
        assert_eq!(two.holes(), (2, 1));
        for none in [&["", " ####", " #  #", " ####"][..], &["", " #####", " #   #", " ## ##"], &[]]
        {
            assert_eq!(drawn(none).holes(), (0, 0));
        }
        // Ink at the edge encloses as well.
        let low = drawn(&[&[""; 24][..], &["####", "#  #", "#  #", "####"]].concat());
        assert_eq!(low.holes(), (1, 3));
    }

    #[test]
    fn lines_meet_strokes_on_a_side() {
        let ink = drawn(&["## #  #"]);
        assert_eq!(strokes(|x| ink.at(x, 0)), 3);
        assert_eq!(side(|x| ink.at(x, 0)), 0);
        assert_eq!((strokes(|_| false), side(|_| false), side(|x| x > 20)), (0, 1, 2));
        assert_eq!((ink.width(), drawn(&[]).width()), (6, 0));
    }

    #[test]
    fn a_hash_is_the_same_upside_down() {
        assert_eq!(drawn(&[]).same_upside_down(), 1.0);
        assert_eq!(drawn(&["#"]).same_upside_down(), 1.0 - 2.0 / PIXELS as f64);
    }
}
