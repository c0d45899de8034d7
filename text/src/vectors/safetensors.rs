//! Vectors as a safetensors file, which any language reads: `vectors` [V, dim], `words` (their letters,
//! UTF-8, a line feed after each) and `counts` [V].
//!
//! Quantised, a row x is written as bytes q and one number s:
//!
//!   s = max |x| / 127        q = round(x / s)        x ≈ s · q
//!
//! so that no number is off by more than s / 2, and cosines by less than 0.01.

use std::collections::HashMap;

use safetensors::tensor::{Dtype, Metadata, SafeTensors, TensorView};

use super::{Format, MAX_TENSORS, WordVectors};
use crate::{Error, Result};

pub(super) fn write(vectors: &WordVectors, quantized: bool) -> Vec<u8> {
    write_with(vectors, quantized, Vec::new(), None)
}

/// With other tensors beside them.
pub(crate) fn write_with(
    vectors: &WordVectors,
    quantized: bool,
    more: Vec<(&str, TensorView<'_>)>,
    metadata: Option<HashMap<String, String>>,
) -> Vec<u8> {
    let (v, dim) = (vectors.len(), vectors.dim());
    let mut words = Vec::new();
    for word in vectors.vocabulary().words() {
        words.extend(word.as_bytes());
        words.push(b'\n');
    }
    let counts: Vec<u8> =
        vectors.vocabulary().counts().iter().flat_map(|count| count.to_le_bytes()).collect();
    let (mut rows, mut scales) = (Vec::new(), Vec::new());
    for (_, row) in vectors.words_and_rows() {
        if quantized {
            let largest = row.iter().fold(0f32, |largest, x| largest.max(x.abs()));
            let scale = largest / 127.0;
            scales.extend(scale.to_le_bytes());
            let code = |x: &f32| if scale > 0.0 { (x / scale).round() as i8 as u8 } else { 0 };
            rows.extend(row.iter().map(code));
        } else {
            rows.extend(row.iter().flat_map(|x| x.to_le_bytes()));
        }
    }
    let view = |dtype, shape: Vec<usize>, bytes| {
        TensorView::new(dtype, shape, bytes).expect("as many bytes as the shape says")
    };
    let dtype = if quantized { Dtype::I8 } else { Dtype::F32 };
    let mut tensors = vec![
        ("vectors", view(dtype, vec![v, dim], &rows)),
        ("words", view(Dtype::U8, vec![words.len()], &words)),
        ("counts", view(Dtype::U64, vec![v], &counts)),
    ];
    if quantized {
        tensors.push(("scales", view(Dtype::F32, vec![v], &scales)));
    }
    tensors.extend(more);
    safetensors::tensor::serialize(tensors, metadata).expect("names and shapes of this function")
}

/// Bytes of the whole file, as its header, which `start` must hold, says.
pub(super) fn length(start: &[u8], origin: &str) -> Result<usize> {
    let wrong = |reason: &str| Error::format(origin, format!("is no safetensors file ({reason})"));
    let (header, rest) = start.split_first_chunk().ok_or_else(|| wrong("it is too short"))?;
    let header = u64::from_le_bytes(*header);
    let json = usize::try_from(header).ok().and_then(|header| rest.get(..header));
    let json = json.ok_or_else(|| wrong("its header is longer than this file or than 256 KB"))?;
    let tensors: Metadata = serde_json::from_slice(json).map_err(|e| wrong(&e.to_string()))?;
    let length = tensors.data_len().saturating_add(8 + json.len());
    if length > MAX_TENSORS {
        let reason =
            format!("says that it has {length} bytes; more than {MAX_TENSORS} are not read");
        return Err(Error::format(origin, reason));
    }
    Ok(length)
}

pub(crate) fn read(bytes: &[u8], origin: &str) -> Result<(WordVectors, Format)> {
    let wrong = |reason: String| Error::format(origin, reason);
    let file = SafeTensors::deserialize(bytes)
        .map_err(|error| wrong(format!("is no safetensors file ({error})")))?;
    let tensor = |name: &str, dtype: Dtype| {
        let found = file.tensor(name).map_err(|_| {
            let names = file.names().join(", ");
            wrong(format!("holds no word vectors: it has no tensor `{name}` (it has {names})"))
        })?;
        if found.dtype() != dtype {
            return Err(wrong(format!("`{name}` is {:?}; expected {dtype:?}", found.dtype())));
        }
        Ok(found)
    };
    let is_quantized = file.tensor("vectors").is_ok_and(|found| found.dtype() == Dtype::I8);
    let dtype = if is_quantized { Dtype::I8 } else { Dtype::F32 };
    let (rows, words) = (tensor("vectors", dtype)?, tensor("words", Dtype::U8)?);
    let &[v, dim] = rows.shape() else {
        return Err(wrong(format!(
            "`vectors` has the shape {:?}; expected two axes",
            rows.shape()
        )));
    };
    let floats = |bytes: &[u8]| -> Vec<f32> {
        bytes.as_chunks::<4>().0.iter().map(|four| f32::from_le_bytes(*four)).collect()
    };
    let rows = if is_quantized {
        let scales = floats(tensor("scales", Dtype::F32)?.data());
        if scales.len() != v {
            return Err(wrong(format!("has {v} rows and {} scales", scales.len())));
        }
        let rows = rows.data().chunks(dim.max(1)).zip(scales);
        rows.flat_map(|(row, s)| row.iter().map(move |&q| s * f32::from(q as i8))).collect()
    } else {
        floats(rows.data())
    };
    if let Some(at) = rows.iter().position(|x: &f32| !x.is_finite()) {
        return Err(wrong(format!("row {}: has {}, no finite number", at / dim + 1, rows[at])));
    }
    let words = std::str::from_utf8(words.data())
        .map_err(|_| wrong("the words are not UTF-8".to_owned()))?;
    let n = words.split_terminator('\n').count();
    if n != v || v == 0 || dim == 0 {
        return Err(wrong(format!("has {n} words and {v} vectors of {dim} numbers")));
    }
    let counts: Vec<u64> = match file.tensor("counts") {
        Ok(counts) if counts.dtype() == Dtype::U64 && counts.shape() == [v] => counts
            .data()
            .as_chunks::<8>()
            .0
            .iter()
            .map(|eight| u64::from_le_bytes(*eight))
            .collect(),
        Ok(_) => return Err(wrong(format!("`counts` is not one U64 for each of {v} words"))),
        Err(_) => vec![0; v],
    };
    let mut vectors = WordVectors { dim, ..WordVectors::default() };
    for ((word, count), row) in words.split_terminator('\n').zip(counts).zip(rows.chunks_exact(dim))
    {
        vectors.push(word, count, row);
    }
    let format = if is_quantized { Format::Quantized } else { Format::Safetensors };
    Ok((vectors, format))
}
