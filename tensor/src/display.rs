//! Tensors as text, in NumPy's manner: nested brackets, columns of one width, and only the edges of
//! large tensors.

use std::fmt::{self, Write};

use crate::{DType, Tensor};

/// Tensors with more elements are shown by their edges.
const SUMMARY: usize = 1000;
/// Elements shown at each end of an axis of a large tensor.
const EDGE: usize = 3;
/// Characters in a line.
const WIDTH: usize = 75;
/// Digits after the point, unless the format says otherwise.
const PRECISION: usize = 8;

impl fmt::Display for Tensor {
    /// `{:.3}` limits the digits after the point.
    ///
    /// # Example
    /// ```
    /// use plies_tensor::Tensor;
    /// let x = Tensor::from([[1f32, 2.5], [-3.25, 100.0]]);
    /// assert_eq!(x.to_string(), "[[  1.     2.5 ]\n [ -3.25 100.  ]]");
    /// ```
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let summarise = self.elem_count() > SUMMARY;
        let mut shown = self.clone();
        if summarise {
            // Only the edges need to come from the device.
            for axis in 0..self.rank() as isize {
                let n = shown.dim(axis);
                if n > 2 * EDGE {
                    let (head, tail) =
                        (shown.narrow(axis, 0, EDGE), shown.narrow(axis, n - EDGE, EDGE));
                    shown = Tensor::cat(&[&head, &tail], axis);
                }
            }
        }
        let Ok(values) = shown.to_dtype(DType::F64).to_vec::<f64>() else {
            return write!(f, "{self:?} (the device failed)");
        };
        let cells = cells(&values, self.dtype(), f.precision());
        let mut text = String::new();
        let page = Page { cells: &cells, whole: self.dims(), shown: shown.dims() };
        page.write(&mut text, 0, 0, 1)?;
        f.write_str(&text)
    }
}

/// Every number as text of one width.
fn cells(values: &[f64], dtype: DType, precision: Option<usize>) -> Vec<String> {
    let finite: Vec<f64> = values.iter().copied().filter(|x| x.is_finite()).collect();
    let size = |x: f64| x.abs();
    let largest = finite.iter().copied().map(size).fold(0.0, f64::max);
    let smallest = finite.iter().copied().map(size).filter(|&x| x > 0.0).fold(f64::MAX, f64::min);
    let digits = precision.unwrap_or(PRECISION);
    let exponential = largest >= 1e8
        || largest > 0.0 && (smallest < 1e-4 || largest / smallest > 1000.0 && precision.is_none());
    let shortest = |x: f64| match dtype {
        DType::F32 => format!("{}", x as f32),
        _ => format!("{x}"),
    };
    let decimals = |text: &str| text.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    let text: Vec<String> = if !dtype.is_float() {
        values.iter().map(|x| format!("{x}")).collect()
    } else if exponential {
        let mantissa = |x: f64| match dtype {
            DType::F32 => format!("{:e}", x as f32),
            _ => format!("{x:e}"),
        };
        let needed = |x: &f64| decimals(mantissa(*x).split('e').next().unwrap_or_default());
        let n = finite.iter().map(needed).max().unwrap_or(0).min(digits);
        values.iter().map(|&x| scientific(x, n)).collect()
    } else {
        // As many decimals as the shortest exact forms need, at most `digits`.
        let needed = |x: &f64| decimals(&shortest(*x)).min(digits);
        let n = match precision {
            Some(n) => n,
            None => finite.iter().map(needed).max().unwrap_or(0),
        };
        values.iter().map(|&x| fixed(x, n, precision.is_none())).collect()
    };
    if dtype.is_float() && !exponential && precision.is_none() {
        return align(&text);
    }
    let width = text.iter().map(String::len).max().unwrap_or(0);
    text.into_iter().map(|cell| format!("{cell:>width$}")).collect()
}

/// Puts the decimal points under each other, and what has none at the right.
fn align(cells: &[String]) -> Vec<String> {
    let parts = || cells.iter().filter_map(|cell| cell.split_once('.'));
    let before = parts().map(|(whole, _)| whole.len()).max().unwrap_or(0);
    let after = parts().map(|(_, decimals)| decimals.len() + 1).max().unwrap_or(0);
    let longest = cells.iter().filter(|cell| !cell.contains('.')).map(String::len).max();
    let width = (before + after).max(longest.unwrap_or(0));
    let pad = |cell: &String| match cell.split_once('.') {
        Some((whole, decimals)) => {
            let before = width - after;
            format!("{whole:>before$}.{decimals:<after$}", after = after - 1)
        }
        None => format!("{cell:>width$}"),
    };
    cells.iter().map(pad).collect()
}

/// A number with at most `n` decimals, their trailing zeros left out: `1.`, `2.5`.
fn fixed(x: f64, n: usize, trim: bool) -> String {
    if !x.is_finite() {
        return special(x);
    }
    let text = format!("{x:.n$}");
    match trim {
        true if n == 0 => format!("{text}."),
        true => text.trim_end_matches('0').to_owned(),
        false => text,
    }
}

/// `1.5e-07`
fn scientific(x: f64, n: usize) -> String {
    if !x.is_finite() {
        return special(x);
    }
    let text = format!("{x:.n$e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let point = if n == 0 { "." } else { "" };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}{point}e{sign}{:02}", exponent.abs())
}

fn special(x: f64) -> String {
    if x.is_nan() {
        "nan"
    } else if x > 0.0 {
        "inf"
    } else {
        "-inf"
    }
    .to_owned()
}

struct Page<'a> {
    cells: &'a [String],
    /// Dimensions of the tensor.
    whole: &'a [usize],
    /// Dimensions of what is shown of it.
    shown: &'a [usize],
}

impl Page<'_> {
    /// Writes the part from cell `start` on along `axis`, indented by `indent`.
    fn write(&self, text: &mut String, axis: usize, start: usize, indent: usize) -> fmt::Result {
        if axis == self.shown.len() {
            let cell = self.cells.get(start).map_or("", String::as_str);
            return text.write_str(cell.trim());
        }
        let n = self.shown[axis];
        let gap = if n < self.whole[axis] { Some(EDGE) } else { None };
        let step: usize = self.shown[axis + 1..].iter().product();
        text.push('[');
        if self.cells.is_empty() || n == 0 {
            text.push(']');
            return Ok(());
        }
        if axis + 1 == self.shown.len() {
            let mut column = indent;
            for i in 0..n {
                let mut parts = Vec::new();
                if gap == Some(i) {
                    parts.push("...");
                }
                parts.push(&self.cells[start + i]);
                for part in parts {
                    let first = column == indent;
                    if !first && column + 1 + part.len() >= WIDTH {
                        write!(text, "\n{:indent$}", "")?;
                        column = indent;
                    } else if !first {
                        text.push(' ');
                        column += 1;
                    }
                    text.push_str(part);
                    column += part.chars().count();
                }
            }
        } else {
            let blank = self.shown.len() - axis - 2;
            for i in 0..n {
                if i > 0 {
                    write!(text, "{}{:indent$}", "\n".repeat(blank + 1), "")?;
                }
                if gap == Some(i) {
                    write!(text, "...{}{:indent$}", "\n".repeat(blank + 1), "")?;
                }
                self.write(text, axis + 1, start + i * step, indent + 1)?;
            }
        }
        text.push(']');
        Ok(())
    }
}
