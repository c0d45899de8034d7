//! Positions as sine waves: what attention, which knows no order, reads the order from.
//!
//! p[t, 2i] = sin(t / 10000^(2i / E)), p[t, 2i + 1] = cos(t / 10000^(2i / E)), y = x + p

use std::f64::consts::FRAC_PI_2;

use plies_autograd::Var;
use plies_tensor::{DType, Elementwise, Tensor, formula};

use crate::lengths;
use crate::onnx::{self, Graph, Value};
use crate::{Module, Pass, Visitor, VisitorMut};

/// Adds to each step waves that tell its position. Nothing is stored, so sequences may be of any length.
///
/// In F32 the waves of step t are right to about t · 10⁻⁷.
///
/// # Shapes
/// x [..., T, E] -> [..., T, E]
///
/// # Gradient
/// d_x = d_y
///
/// # Source
/// Vaswani et al.: Attention is all you need (2017), section 3.5.
///
/// # Example
/// ```
/// use plies_autograd::Var;
/// use plies_nn::{Module, Pass, PositionalEncoding};
/// use plies_tensor::{DType, Device, Tensor};
/// let x = Var::constant(Tensor::zeros([2, 4], DType::F64, &Device::cpu()));
/// let y = PositionalEncoding.forward(&x, &mut Pass::eval()).to_vec::<f64>().unwrap();
/// let expected = [0.0, 1.0, 0.0, 1.0, 1f64.sin(), 1f64.cos(), 0.01f64.sin(), 0.01f64.cos()];
/// assert!(y.iter().zip(expected).all(|(y, expected)| (y - expected).abs() < 1e-12));
/// // A step that is computed alone stands where it stands.
/// let last = PositionalEncoding.at(&x.narrow(0, 1, 1), 1).to_vec::<f64>().unwrap();
/// assert_eq!(last, y[4..]);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct PositionalEncoding;

impl PositionalEncoding {
    /// The same for steps of which the first stands at `start`.
    ///
    /// # Panics
    /// When x has fewer than two axes.
    #[track_caller]
    pub fn at(&self, x: &Var, start: usize) -> Var {
        assert!(x.rank() >= 2, "positional_encoding: x {}, expected [..., T, E]", x.shape());
        let (time, size) = (x.dim(-2), x.dim(-1));
        let row = |f: &dyn Fn(usize) -> f64| {
            let row: Vec<f64> = (0..size).map(f).collect();
            Var::constant(Tensor::from_slice_on(&row, [size], x.device()).to_dtype(x.dtype()))
        };
        let frequency = row(&|i| 1e4f64.powf(-((i - i % 2) as f64) / size as f64));
        let phase = row(&|i| (i % 2) as f64 * FRAC_PI_2); // cos x = sin(x + π / 2)
        let positions = start..start + time;
        let position = lengths::counts(positions, [time, 1], x.dtype(), x.device());
        let f = formula!(|x, t, frequency, phase| x + (t * frequency + phase).sin());
        Var::map(f, &[x, &Var::constant(position), &frequency, &phase], &[])
    }
}

impl Module for PositionalEncoding {
    /// The steps stand at 0 and so on.
    #[track_caller]
    fn forward(&self, x: &Var, _pass: &mut Pass) -> Var {
        self.at(x, 0)
    }

    fn export(&self, x: &Value, _graph: &Graph) -> onnx::Result<Value> {
        let f64 = |value: Value| value.to_dtype(DType::F64);
        let (t, i) = (f64(x.positions(-2).reshape(&[-1, 1])), f64(x.positions(-1)));
        let pair = (&i * 0.5).floor() * 2.0;
        let frequency = (&pair / f64(x.size(-1)) * -(1e4f64.ln())).exp();
        let waves = (t * frequency + (i - pair) * FRAC_PI_2).sin();
        Ok(x + waves.to_dtype(x.dtype()))
    }

    fn visit(&self, _visitor: &mut Visitor<'_>) {}

    fn visit_mut(&mut self, _visitor: &mut VisitorMut<'_>) {}
}
