//! Element types: what a number in a buffer is.

use std::fmt;

/// The type of a tensor's elements, known at run time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DType {
    /// 32-bit IEEE 754 floating point, the type networks are trained in.
    F32,
    /// 64-bit IEEE 754 floating point, the type gradients are checked in.
    F64,
    /// 32-bit signed integer: indices, labels and counts. Every GPU has it, unlike 64-bit integers.
    I32,
}

impl DType {
    /// Bytes that one element takes.
    pub const fn size_in_bytes(self) -> usize {
        match self {
            DType::F32 | DType::I32 => 4,
            DType::F64 => 8,
        }
    }

    /// Checks that this type holds a number of `operation`'s: a float rounds it, an integer must be it.
    #[track_caller]
    pub(crate) fn check_holds(self, operation: impl fmt::Display, value: f64) {
        if self == DType::I32 {
            assert!(
                value.fract() == 0.0,
                "{operation}: {value} is not an integer; cast an i32 tensor with to_dtype first"
            );
            assert!(
                f64::from(value as i32) == value,
                "{operation}: {value} exceeds the range of i32; cast the tensor with to_dtype first"
            );
        }
    }

    /// Whether the type is a floating-point one.
    pub const fn is_float(self) -> bool {
        !matches!(self, DType::I32)
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            DType::F32 => "f32",
            DType::F64 => "f64",
            DType::I32 => "i32",
        })
    }
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
    impl Sealed for i32 {}
}

/// A Rust type that is the host's form of a [`DType`]: `f32`, `f64` and `i32`.
pub trait Element:
    bytemuck::Pod + PartialOrd + fmt::Debug + fmt::Display + Send + Sync + Default + sealed::Sealed
{
    /// The run-time name of this type.
    const DTYPE: DType;

    /// The nearest value of this type (integers: truncated towards zero, saturating, NaN to 0).
    fn from_f64(value: f64) -> Self;

    /// The value as `f64`, which is exact for all three types.
    fn to_f64(self) -> f64;
}

impl Element for f32 {
    const DTYPE: DType = DType::F32;
    #[inline]
    fn from_f64(value: f64) -> Self {
        value as f32
    }
    #[inline]
    fn to_f64(self) -> f64 {
        f64::from(self)
    }
}

impl Element for f64 {
    const DTYPE: DType = DType::F64;
    #[inline]
    fn from_f64(value: f64) -> Self {
        value
    }
    #[inline]
    fn to_f64(self) -> f64 {
        self
    }
}

impl Element for i32 {
    const DTYPE: DType = DType::I32;
    #[inline]
    fn from_f64(value: f64) -> Self {
        value as i32
    }
    #[inline]
    fn to_f64(self) -> f64 {
        f64::from(self)
    }
}
