//! Models in files: safetensors, which Python's `safetensors` and PyTorch read.
//!
//! Parameters stand under their own names, so `load_file` gives a `state_dict`; an optimiser's
//! memory stands under `optimizer.…`, and everything else (architecture, epoch, seeds) is a JSON
//! object in the metadata. Equal contents give equal bytes.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use plies_tensor::{DType, Element, Tensor};
use safetensors::tensor::{Dtype, SafeTensors, TensorView, View, serialize};

use crate::Module;
use crate::optim::Optimizer;

/// The key under which the metadata stands; a single one, so that the bytes have one order.
const METADATA: &str = "plies";

/// What is put before the names of an optimiser's tensors.
const OPTIMIZER: &str = "optimizer.";

/// What can be wrong with a checkpoint.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The file is no safetensors file, or holds what this crate cannot use.
    #[error("{origin}: {reason}")]
    Format {
        /// The file.
        origin: String,
        /// What is wrong.
        reason: String,
    },
    /// The file holds another model.
    #[error("{origin}: {reason}")]
    Mismatch {
        /// The file.
        origin: String,
        /// Which parameter differs, and how.
        reason: String,
    },
    /// A device failed while its tensors were read.
    #[error(transparent)]
    Device(#[from] plies_tensor::Error),
}

/// Tensors by name, and text by key.
///
/// # Example
/// ```
/// use plies_nn::{Activation, Checkpoint, Mlp};
/// use plies_tensor::Rng;
/// let mut rng = Rng::new(1);
/// let trained = Mlp::new(&[2, 3, 1], Activation::Relu, &mut rng);
/// let mut checkpoint = Checkpoint::new();
/// checkpoint.put_model(&trained);
/// checkpoint.set("epoch", "3");
/// let bytes = checkpoint.to_bytes().unwrap();
///
/// let loaded = Checkpoint::from_bytes(&bytes, "memory").unwrap();
/// let mut model = Mlp::new(&[2, 3, 1], Activation::Relu, &mut rng);
/// loaded.load_model(&mut model).unwrap();
/// assert_eq!(loaded.get("epoch"), Some("3"));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Checkpoint {
    origin: String,
    tensors: BTreeMap<String, Tensor>,
    metadata: BTreeMap<String, String>,
}

impl Checkpoint {
    /// Nothing yet.
    pub fn new() -> Self {
        Checkpoint { origin: "checkpoint".to_owned(), ..Self::default() }
    }

    /// Stores text under a key.
    pub fn set(&mut self, key: &str, value: impl Into<String>) {
        self.metadata.insert(key.to_owned(), value.into());
    }

    /// The text under a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.metadata.get(key).map(String::as_str)
    }

    /// All text by key.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// All tensors by name.
    pub fn tensors(&self) -> &BTreeMap<String, Tensor> {
        &self.tensors
    }

    /// Stores a tensor.
    pub fn insert(&mut self, name: impl Into<String>, tensor: Tensor) {
        self.tensors.insert(name.into(), tensor);
    }

    /// Stores all parameters of a model.
    pub fn put_model(&mut self, model: &dyn Module) {
        model.visit(&mut |name, parameter| {
            self.tensors.insert(name.to_owned(), parameter.value().clone());
        });
    }

    /// Stores what an optimiser remembers.
    pub fn put_optimizer(&mut self, optimizer: &dyn Optimizer) {
        self.set("optimizer", optimizer.describe());
        for (name, tensor) in optimizer.state() {
            self.tensors.insert(format!("{OPTIMIZER}{name}"), tensor);
        }
    }

    /// Gives a model the parameters that are stored here. Nothing is changed unless all fit.
    ///
    /// # Errors
    /// A parameter that is missing, left over, or of another shape or dtype.
    pub fn load_model(&self, model: &mut dyn Module) -> Result<(), CheckpointError> {
        let mismatch = |reason| CheckpointError::Mismatch { origin: self.origin.clone(), reason };
        let mut left: BTreeMap<&str, &Tensor> = self
            .tensors
            .iter()
            .map(|(name, tensor)| (name.as_str(), tensor))
            .filter(|(name, _)| !name.starts_with(OPTIMIZER))
            .collect();
        let mut found = Vec::new();
        let mut problem = None;
        model.visit(&mut |name, parameter| {
            let expected = parameter.value();
            match left.remove(name) {
                None => drop(problem.get_or_insert_with(|| format!("parameter {name} is missing"))),
                Some(t) if t.shape() != expected.shape() || t.dtype() != expected.dtype() => {
                    problem.get_or_insert_with(|| {
                        format!(
                            "parameter {name} is {} {}, this model needs {} {}",
                            t.dtype(),
                            t.shape(),
                            expected.dtype(),
                            expected.shape()
                        )
                    });
                }
                Some(tensor) => found.push(tensor.clone()),
            }
        });
        if let Some(reason) = problem {
            return Err(mismatch(reason));
        }
        if let Some(name) = left.keys().next() {
            return Err(mismatch(format!("parameter {name} does not exist in this model")));
        }
        let mut found = found.into_iter();
        model.visit_mut(&mut |_, parameter| {
            if let Some(tensor) = found.next() {
                *parameter.value_mut() = tensor;
            }
        });
        Ok(())
    }

    /// Gives an optimiser of the same kind and settings the memory that is stored here.
    ///
    /// # Errors
    /// When another optimiser was stored, or none.
    pub fn load_optimizer(&self, optimizer: &mut dyn Optimizer) -> Result<(), CheckpointError> {
        let mismatch = |reason| CheckpointError::Mismatch { origin: self.origin.clone(), reason };
        let (stored, wanted) = (self.get("optimizer").unwrap_or("none"), optimizer.describe());
        if stored != wanted {
            return Err(mismatch(format!("optimiser is \"{stored}\", not \"{wanted}\"")));
        }
        let state = self
            .tensors
            .iter()
            .filter_map(|(name, t)| Some((name.strip_prefix(OPTIMIZER)?.to_owned(), t.clone())));
        optimizer.load_state(state.collect()).map_err(mismatch)
    }

    /// The safetensors file as bytes.
    ///
    /// # Errors
    /// A fault of a device.
    pub fn to_bytes(&self) -> Result<Vec<u8>, CheckpointError> {
        let format = |reason| CheckpointError::Format { origin: self.origin.clone(), reason };
        let tensors = self.tensors.iter().map(|(name, tensor)| Ok((name, Stored::new(tensor)?)));
        let tensors: Vec<_> = tensors.collect::<Result<_, CheckpointError>>()?;
        let text = serde_json::to_string(&self.metadata).map_err(|e| format(e.to_string()))?;
        let metadata = HashMap::from([(METADATA.to_owned(), text)]);
        serialize(tensors, Some(metadata)).map_err(|e| format(e.to_string()))
    }

    /// Writes a temporary file beside `path`, makes sure that it is on the disk, and renames it: a
    /// file of that name is either the old one or the new one, never a part of it.
    ///
    /// # Errors
    /// What the operating system says, or a fault of a device.
    pub fn save(&self, path: &Path) -> Result<(), CheckpointError> {
        let bytes = self.to_bytes()?;
        write_atomically(path, &bytes)
            .map_err(|source| CheckpointError::Io { path: path.to_owned(), source })
    }

    /// Reads a file of this crate, of PyTorch's or of Python's `safetensors`.
    ///
    /// # Errors
    /// As [`from_bytes`](Checkpoint::from_bytes), or what the operating system says.
    pub fn load(path: &Path) -> Result<Self, CheckpointError> {
        let bytes = fs::read(path)
            .map_err(|source| CheckpointError::Io { path: path.to_owned(), source })?;
        Self::from_bytes(&bytes, &path.display().to_string())
    }

    /// Reads the bytes of a safetensors file; `origin` names them in errors. F16 and BF16 become
    /// F32, I64 becomes I32 where the values fit.
    ///
    /// # Errors
    /// Bytes that are no safetensors file, or a tensor of a dtype or rank that does not exist here.
    pub fn from_bytes(bytes: &[u8], origin: &str) -> Result<Self, CheckpointError> {
        let format = |reason: String| CheckpointError::Format { origin: origin.to_owned(), reason };
        let no_file = |e| format(format!("not a safetensors file ({e})"));
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(no_file)?;
        let file = SafeTensors::deserialize(bytes).map_err(no_file)?;
        let text = header.metadata().as_ref().and_then(|m| m.get(METADATA));
        let metadata = match text {
            Some(text) => serde_json::from_str(text)
                .map_err(|e| format(format!("metadata is not a JSON object of strings ({e})")))?,
            None => BTreeMap::new(),
        };
        let mut tensors = BTreeMap::new();
        for (name, view) in file.iter() {
            let tensor = read_tensor(&view).map_err(|e| format(format!("tensor {name}: {e}")))?;
            tensors.insert(name.to_owned(), tensor);
        }
        Ok(Checkpoint { origin: origin.to_owned(), tensors, metadata })
    }
}

/// Writes, syncs and renames.
fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let Some(name) = path.file_name() else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not the name of a file"));
    };
    let mut temporary = name.to_owned();
    temporary.push(format!(".{}.tmp", std::process::id()));
    let temporary = path.with_file_name(temporary);
    let written = (|| {
        let mut file = File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        drop(file);
        fs::rename(&temporary, path)
    })();
    if written.is_err() {
        // The reason of the failure matters more than a leftover.
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// A tensor's bytes on the host, little endian.
struct Stored {
    dtype: Dtype,
    dims: Vec<usize>,
    bytes: Vec<u8>,
}

impl Stored {
    fn new(tensor: &Tensor) -> Result<Self, CheckpointError> {
        fn bytes<T: Element>(
            tensor: &Tensor,
            encode: impl Fn(T) -> Vec<u8>,
        ) -> Result<Vec<u8>, CheckpointError> {
            Ok(tensor.to_vec::<T>()?.into_iter().flat_map(encode).collect())
        }
        let (dtype, bytes) = match tensor.dtype() {
            DType::F32 => (Dtype::F32, bytes(tensor, |x: f32| x.to_le_bytes().to_vec())?),
            DType::F64 => (Dtype::F64, bytes(tensor, |x: f64| x.to_le_bytes().to_vec())?),
            DType::I32 => (Dtype::I32, bytes(tensor, |x: i32| x.to_le_bytes().to_vec())?),
        };
        Ok(Stored { dtype, dims: tensor.dims().to_vec(), bytes })
    }
}

impl View for Stored {
    fn dtype(&self) -> Dtype {
        self.dtype
    }
    fn shape(&self) -> &[usize] {
        &self.dims
    }
    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.bytes)
    }
    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}

/// Little-endian elements of `N` bytes.
fn decode<const N: usize, T>(bytes: &[u8], element: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks::<N>().0.iter().map(|&chunk| element(chunk)).collect()
}

fn read_tensor(view: &TensorView<'_>) -> Result<Tensor, String> {
    let (dims, bytes) = (view.shape(), view.data());
    if dims.len() > plies_tensor::MAX_RANK {
        let most = plies_tensor::MAX_RANK;
        return Err(format!("{} axes, at most {most} are supported", dims.len()));
    }
    Ok(match view.dtype() {
        Dtype::F32 => Tensor::from_vec(decode(bytes, f32::from_le_bytes), dims),
        Dtype::F64 => Tensor::from_vec(decode(bytes, f64::from_le_bytes), dims),
        Dtype::I32 => Tensor::from_vec(decode(bytes, i32::from_le_bytes), dims),
        Dtype::BF16 => {
            let widen = |b| f32::from_bits(u32::from(u16::from_le_bytes(b)) << 16);
            Tensor::from_vec(decode(bytes, widen), dims)
        }
        Dtype::F16 => {
            Tensor::from_vec(decode(bytes, |b| f32_from_f16(u16::from_le_bytes(b))), dims)
        }
        Dtype::I64 => {
            let values = decode(bytes, i64::from_le_bytes).into_iter().map(i32::try_from);
            let values: Result<Vec<i32>, _> = values.collect();
            let values = values.map_err(|_| "an i64 value does not fit into i32".to_owned())?;
            Tensor::from_vec(values, dims)
        }
        other => return Err(format!("dtype {other:?} is not supported")),
    })
}

/// IEEE 754 half precision: 1 sign, 5 exponent and 10 fraction bits.
fn f32_from_f16(half: u16) -> f32 {
    let (sign, exponent, fraction) = (half >> 15, (half >> 10) & 31, half & 1023);
    let magnitude = match exponent {
        0 => f32::from(fraction) * 2f32.powi(-24),
        31 if fraction == 0 => f32::INFINITY,
        31 => f32::NAN,
        _ => (1.0 + f32::from(fraction) / 1024.0) * 2f32.powi(i32::from(exponent) - 15),
    };
    if sign == 1 { -magnitude } else { magnitude }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_precision_is_widened_exactly() {
        let rows = [(0x3c00, 1.0), (0xc000, -2.0), (0x7bff, 65504.0), (0x0001, 2f32.powi(-24))];
        for (half, single) in rows {
            assert_eq!(f32_from_f16(half), single);
        }
        assert_eq!(f32_from_f16(0xfc00), f32::NEG_INFINITY);
        assert!(f32_from_f16(0x7e00).is_nan());
    }
}
