//! Printing: `{}` shows a tensor as NumPy's `print` does.

use std::fmt::{self, Display, LowerExp, Write};

use crate::{DType, Element, Result, Tensor};

/// Beyond this many elements only the edges of each axis are shown.
const SUMMARISE_BEYOND: usize = 1000;
/// Elements shown at either end of a summarised axis.
const EDGE_ITEMS: usize = 3;
/// Columns of a line.
const LINE_WIDTH: usize = 75;
/// Digits after the point unless the caller asks for another number with `{:.3}`.
const PRECISION: usize = 8;

/// Prints like NumPy: rows in nested brackets, columns aligned, as many decimals as the elements
/// need and at most 8 (or what `{:.3}` asks for), powers of ten where sizes differ too much for
/// one column, `...` in place of the middle of a tensor with more than 1000 elements.
///
/// # Source
/// The rules and the tests' expectations are those of NumPy 2.4 (`numpy.array2string`), whose
/// columns switch to powers of ten from 1e6 for f32 and from 1e8 for f64.
///
/// # Example
/// ```
/// use plies_tensor::Tensor;
/// let x = Tensor::from([[1f32, -2.5], [0.125, 100.0]]);
/// assert_eq!(x.to_string(), "[[  1.     -2.5  ]\n [  0.125 100.   ]]");
/// assert_eq!(format!("{x:.1}"), "[[  1.   -2.5]\n [  0.1 100. ]]");
/// ```
impl Display for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Asynchronous faults of a device surface here; printing one beats losing it.
        let summary = self.elem_count() > SUMMARISE_BEYOND;
        match words(self, f.precision(), summary) {
            Ok(words) => f.write_str(&arrange(self.dims(), &words, summary)),
            Err(error) => {
                header(self, f)?;
                write!(f, ": {error}")
            }
        }
    }
}

/// What it is, and its elements as [`Display`] shows them: `Tensor(f32 [2] on cpu) [1. 2.]`.
impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        header(self, f)?;
        let summary = self.elem_count() > SUMMARISE_BEYOND;
        let Ok(words) = words(self, f.precision(), summary) else { return Ok(()) };
        let text = arrange(self.dims(), &words, summary);
        // Rows stand below each other, so the first begins a line of its own.
        let gap = if text.contains('\n') { '\n' } else { ' ' };
        write!(f, "{gap}{text}")
    }
}

fn header(tensor: &Tensor, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "Tensor({} {} on {}", tensor.dtype(), tensor.shape(), tensor.device().name())?;
    if !tensor.is_contiguous() {
        write!(f, ", strides {:?}", tensor.layout().strides())?;
    }
    f.write_char(')')
}

/// The shown elements in row-major order, each padded to its column.
fn words(tensor: &Tensor, precision: Option<usize>, summary: bool) -> Result<Vec<String>> {
    let shown = if summary { edges(tensor) } else { tensor.clone() };
    let scalar = tensor.rank() == 0 && precision.is_none();
    Ok(match shown.dtype() {
        DType::F32 if scalar => vec![lone(shown.to_vec::<f32>()?[0])],
        DType::F64 if scalar => vec![lone(shown.to_vec::<f64>()?[0])],
        DType::F32 => floats(&shown.to_vec::<f32>()?, precision.unwrap_or(PRECISION)),
        DType::F64 => floats(&shown.to_vec::<f64>()?, precision.unwrap_or(PRECISION)),
        DType::I32 => {
            let words: Vec<String> = shown.to_vec::<i32>()?.iter().map(i32::to_string).collect();
            let width = words.iter().map(String::len).max().unwrap_or(0);
            words.iter().map(|w| format!("{w:>width$}")).collect()
        }
    })
}

/// Only what is shown leaves the device: the middle of every long axis is cut out.
fn edges(tensor: &Tensor) -> Tensor {
    let mut shown = tensor.clone();
    for (axis, &n) in tensor.dims().iter().enumerate() {
        if n > 2 * EDGE_ITEMS {
            let axis = axis as isize;
            let first = shown.narrow(axis, 0, EDGE_ITEMS);
            let last = shown.narrow(axis, n - EDGE_ITEMS, EDGE_ITEMS);
            shown = Tensor::cat(&[&first, &last], axis);
        }
    }
    shown
}

/// Floats: their shortest decimal expansions come from the standard library, which also rounds
/// half to even where digits must be cut.
trait Float: Element + LowerExp {
    /// Significant digits that every number of the type keeps.
    const DIGITS: i32;
    /// Where a number that stands alone gets an exponent.
    const LONE_LIMIT: f64;
}
impl Float for f32 {
    const DIGITS: i32 = f32::DIGITS as i32;
    const LONE_LIMIT: f64 = 1e6;
}
impl Float for f64 {
    const DIGITS: i32 = f64::DIGITS as i32;
    const LONE_LIMIT: f64 = 1e16;
}

/// A number that stands alone is shown so that reading it gives the same number.
fn lone<T: Float>(value: T) -> String {
    let x = value.to_f64();
    let size = x.abs();
    if !x.is_finite() {
        not_finite(x).to_owned()
    } else if size != 0.0 && !(1e-4..T::LONE_LIMIT).contains(&size) {
        let (mantissa, exponent) = scientific(value, usize::MAX);
        format!("{}e{}", mantissa.trim_end_matches('.'), signed(exponent, 2))
    } else {
        let word = positional(value, usize::MAX);
        if word.ends_with('.') { word + "0" } else { word }
    }
}

fn not_finite(x: f64) -> &'static str {
    match x {
        _ if x.is_nan() => "nan",
        _ if x < 0.0 => "-inf",
        _ => "inf",
    }
}

/// Words of one width for all values: one format is chosen from the finite ones.
fn floats<T: Float>(values: &[T], precision: usize) -> Vec<String> {
    let finite: Vec<T> = values.iter().copied().filter(|v| v.to_f64().is_finite()).collect();
    let mut words = if needs_exponents(&finite) {
        with_exponents(&finite, precision)
    } else {
        with_points_aligned(&finite, precision)
    };
    let foreign = values.iter().map(|v| v.to_f64()).filter(|v| !v.is_finite());
    let widest = foreign.map(|v| not_finite(v).len()).max().unwrap_or(0);
    let width = words.first().map_or(0, String::len).max(widest);
    for word in &mut words {
        *word = format!("{word:>width$}");
    }
    let mut words = words.into_iter();
    let pick = |v: &T| match v.to_f64() {
        x if x.is_finite() => words.next().unwrap_or_default(),
        x => format!("{:>width$}", not_finite(x)),
    };
    values.iter().map(pick).collect()
}

/// Whether a column of plain decimals would be too wide: a number is large, or small, or the
/// largest is more than 1000 times the smallest.
fn needs_exponents<T: Float>(finite: &[T]) -> bool {
    let sizes = finite.iter().map(|v| v.to_f64().abs()).filter(|&v| v != 0.0);
    let (min, max) = sizes.fold((f64::INFINITY, 0f64), |(lo, hi), v| (lo.min(v), hi.max(v)));
    if max == 0.0 {
        return false;
    }
    // In the tensor's own type, so that a quotient on the border falls on NumPy's side.
    let ratio = T::from_f64(max / min).to_f64();
    max >= 10f64.powi(T::DIGITS.min(8)) || min < T::from_f64(1e-4).to_f64() || ratio > 1000.0
}

/// Decimals whose points stand below each other; nothing after the point is filled with zeros.
fn with_points_aligned<T: Float>(finite: &[T], precision: usize) -> Vec<String> {
    let words: Vec<String> = finite.iter().map(|&v| positional(v, precision)).collect();
    let split = |w: &String| w.find('.').unwrap_or(w.len());
    let left = words.iter().map(split).max().unwrap_or(0);
    let right = words.iter().map(|w| w.len() - split(w)).max().unwrap_or(0);
    let align = |w: &String| {
        let at = split(w);
        format!("{:>left$}{:<right$}", &w[..at], &w[at..])
    };
    words.iter().map(align).collect()
}

/// Mantissas of equally many digits, exponents of equally many digits and always a sign.
fn with_exponents<T: Float>(finite: &[T], precision: usize) -> Vec<String> {
    let parts: Vec<(String, i32)> = finite.iter().map(|&v| scientific(v, precision)).collect();
    let split = |m: &String| m.find('.').unwrap_or(m.len());
    let left = parts.iter().map(|(m, _)| split(m)).max().unwrap_or(0);
    let right = parts.iter().map(|(m, _)| m.len() - split(m)).max().unwrap_or(0);
    let digits = parts.iter().map(|(_, e)| if e.abs() < 100 { 2 } else { 3 }).max().unwrap_or(2);
    let align = |(m, e): &(String, i32)| {
        let at = split(m);
        format!("{:>left$}{:0<right$}e{}", &m[..at], &m[at..], signed(*e, digits))
    };
    parts.iter().map(align).collect()
}

fn signed(exponent: i32, digits: usize) -> String {
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{sign}{:0>digits$}", exponent.unsigned_abs())
}

/// The shortest decimal that reads back as the value, cut to `precision` digits after the point,
/// without trailing zeros but always with a point: `1.`, `0.25`.
fn positional<T: Float>(value: T, precision: usize) -> String {
    let mut word = value.to_string();
    if word.find('.').is_some_and(|at| word.len() - at - 1 > precision) {
        word = format!("{value:.precision$}");
    }
    trimmed(word)
}

/// As [`positional`], for mantissa and exponent.
fn scientific<T: Float>(value: T, precision: usize) -> (String, i32) {
    let mut word = format!("{value:e}");
    if word.find('.').is_some_and(|at| word.find('e').is_some_and(|e| e - at - 1 > precision)) {
        word = format!("{value:.precision$e}");
    }
    let (mantissa, exponent) = word.split_once('e').unwrap_or((&word, "0"));
    (trimmed(mantissa.to_owned()), exponent.parse().unwrap_or(0))
}

fn trimmed(mut word: String) -> String {
    if word.contains('.') {
        word.truncate(word.trim_end_matches('0').len());
    } else {
        word.push('.');
    }
    word
}

/// Puts words into brackets and lines.
fn arrange(dims: &[usize], words: &[String], summary: bool) -> String {
    if words.is_empty() {
        return "[]".to_owned();
    }
    let mut out = String::new();
    let mut words = words.iter();
    block(dims, dims.len(), summary, &mut words, &mut out);
    out
}

fn block<'a>(
    dims: &[usize],
    rank: usize,
    summary: bool,
    words: &mut impl Iterator<Item = &'a String>,
    out: &mut String,
) {
    let Some((&n, inner)) = dims.split_first() else {
        out.extend(words.next().map(String::as_str));
        return;
    };
    let summary_here = summary && n > 2 * EDGE_ITEMS;
    let shown = if summary_here { 2 * EDGE_ITEMS } else { n };
    // One column for each bracket that is open.
    let indent = rank - inner.len();
    // The room that the closing brackets of all outer axes leave.
    let width = LINE_WIDTH.saturating_sub(rank);
    let mut column = indent;
    out.push('[');
    for i in 0..shown {
        if summary_here && i == EDGE_ITEMS {
            separate(inner.len(), "...", indent, width, &mut column, out);
        }
        if inner.is_empty() {
            let word = words.next().map_or("", String::as_str);
            if i == 0 {
                out.push_str(word);
                column += word.len();
            } else {
                separate(0, word, indent, width, &mut column, out);
            }
        } else {
            if i > 0 {
                separate(inner.len(), "", indent, width, &mut column, out);
            }
            block(inner, rank, summary, words, out);
        }
    }
    out.push(']');
}

/// A space or a fresh line, then the word. Rows of matrices stand below each other; one empty line
/// more for each further axis.
fn separate(
    inner_axes: usize,
    word: &str,
    indent: usize,
    width: usize,
    column: &mut usize,
    out: &mut String,
) {
    if inner_axes > 0 {
        out.extend(std::iter::repeat_n('\n', inner_axes));
        let _ = write!(out, "{:indent$}{word}", "");
    } else if *column + 1 + word.len() > width {
        out.truncate(out.trim_end().len());
        out.push('\n');
        let _ = write!(out, "{:indent$}{word}", "");
        *column = indent + word.len();
    } else {
        let _ = write!(out, " {word}");
        *column += 1 + word.len();
    }
}
