//! What is wrong with bytes that are no safetensors file.

use std::collections::BTreeMap;

use safetensors::SafeTensorError;
use serde_json::Value;

/// A file begins with the length of its header in so many bytes.
const LENGTH: usize = 8;

/// In plain words. That a file is cut short, by a full disk or a broken download, is worth its own.
pub(super) fn describe(bytes: &[u8], error: &SafeTensorError) -> String {
    let n = bytes.len();
    match error {
        SafeTensorError::HeaderTooSmall if n == 0 => "the file is empty".to_owned(),
        SafeTensorError::HeaderTooSmall => {
            format!("not a safetensors file (it ends after {n} bytes)")
        }
        SafeTensorError::InvalidHeaderLength if matches!(bytes.get(LENGTH), None | Some(b'{')) => {
            format!("the file is cut short: it ends after {n} bytes, within its header")
        }
        SafeTensorError::MetadataIncompleteBuffer => match promised(bytes) {
            Some(all) if all > n => format!("the file is cut short: {n} of {all} bytes are there"),
            Some(all) => format!("the file is too long: {n} bytes in place of {all}"),
            None => format!("not a safetensors file ({error})"),
        },
        _ => format!("not a safetensors file ({error})"),
    }
}

/// How long the file is by its header.
fn promised(bytes: &[u8]) -> Option<usize> {
    let (length, rest) = bytes.split_first_chunk::<LENGTH>()?;
    let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
    let header: BTreeMap<String, Value> = serde_json::from_slice(rest.get(..length)?).ok()?;
    let end = |tensor: &Value| usize::try_from(tensor["data_offsets"][1].as_u64()?).ok();
    let data = header.values().filter_map(end).max().unwrap_or(0);
    LENGTH.checked_add(length)?.checked_add(data)
}

#[cfg(test)]
mod tests {
    use crate::Checkpoint;

    #[test]
    fn a_file_that_is_cut_short_is_called_so() {
        let mut checkpoint = Checkpoint::new();
        checkpoint.insert("weight", plies_tensor::Tensor::from([1f32, 2.0]));
        let whole = checkpoint.to_bytes().unwrap();
        let (n, header) = (whole.len(), whole.len() - 8);
        let long = [&whole[..], b"more"].concat();
        let rows = [
            (&whole[..0], "the file is empty".to_owned()),
            (&whole[..5], "not a safetensors file (it ends after 5 bytes)".to_owned()),
            (&whole[..8], "cut short: it ends after 8 bytes, within its header".to_owned()),
            (&whole[..header - 1], format!("after {} bytes, within its header", header - 1)),
            (&whole[..header], format!("the file is cut short: {header} of {n} bytes are there")),
            (&whole[..n - 1], format!("the file is cut short: {} of {n} bytes", n - 1)),
            (&long, format!("the file is too long: {} bytes in place of {n}", n + 4)),
            (b"a text of some length", "not a safetensors file (header too large)".to_owned()),
        ];
        for (bytes, part) in rows {
            let error = Checkpoint::from_bytes(bytes, "file").unwrap_err().to_string();
            assert!(error.starts_with("file: ") && error.contains(&part), "{error}: {part}");
        }
    }
}
