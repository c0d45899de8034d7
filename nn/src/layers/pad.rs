//! More elements around a sequence or an image: a number, or what is near.

use plies_autograd::Var;
use plies_tensor::Tensor;

use crate::onnx::{self, Graph, Value};
use crate::{Module, Pass, Visitor, VisitorMut};

/// What stands in front of and behind `a b c d`, with three elements on either side.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Padding {
    /// A number: `0 0 0 | a b c d | 0 0 0`
    Constant(f64),
    /// The mirror image, whose mirror is the outermost element: `d c b | a b c d | c b a`
    Reflect,
    /// The outermost element: `a a a | a b c d | d d d`
    Replicate,
    /// What would be there if the axis were a circle: `b c d | a b c d | a b c`
    Circular,
}

impl Padding {
    /// The element of n that stands at position i, which may be outside 0..n.
    fn element(self, i: isize, n: isize) -> isize {
        match self {
            Padding::Constant(_) | Padding::Replicate => i.clamp(0, n - 1),
            Padding::Reflect if i < 0 => -i,
            Padding::Reflect => i.min(2 * (n - 1) - i),
            Padding::Circular => i.rem_euclid(n),
        }
    }

    /// How many elements an axis of n can have on a side.
    fn most(self, n: usize) -> usize {
        match self {
            Padding::Constant(_) => usize::MAX,
            Padding::Replicate if n > 0 => usize::MAX,
            Padding::Replicate => 0,
            Padding::Reflect => n.saturating_sub(1),
            Padding::Circular => n,
        }
    }
}

/// So many elements before and behind each of the last axes.
///
/// # Shapes
/// x [.., L], \[\[a, b\]\] -> [.., a + L + b];
/// x [.., H, W], \[\[a, b\], \[c, d\]\] -> [.., a + H + b, c + W + d]
///
/// # Gradient
/// d_x is d_y added up at the elements that were read
///
/// # Panics
/// `forward`, when x has fewer axes, or too few elements to reflect or to go around
///
/// # Example
/// ```
/// use plies_autograd::Var;
/// use plies_nn::{Module, Pad, Padding, Pass};
/// use plies_tensor::Tensor;
/// let x = Var::constant(Tensor::from([1f32, 2.0, 3.0]));
/// let y = Pad::new(Padding::Reflect, &[[2, 1]]).forward(&x, &mut Pass::eval());
/// assert_eq!(y.value().to_vec::<f32>().unwrap(), [3.0, 2.0, 1.0, 2.0, 3.0, 2.0]);
/// ```
#[doc(alias("ZeroPad2d", "ConstantPad1d", "ReflectionPad2d", "ReplicationPad2d", "CircularPad2d"))]
#[derive(Clone, Debug)]
pub struct Pad {
    padding: Padding,
    sides: Vec<[usize; 2]>,
}

impl Pad {
    /// \[before, behind\] for each of the last axes, the last one last.
    pub fn new(padding: Padding, sides: &[[usize; 2]]) -> Self {
        Pad { padding, sides: sides.to_vec() }
    }
}

/// One axis, padded.
#[track_caller]
fn pad_axis(x: &Var, axis: usize, [before, behind]: [usize; 2], padding: Padding) -> Var {
    if before == 0 && behind == 0 {
        return x.clone();
    }
    let n = x.dims()[axis];
    assert!(
        before.max(behind) <= padding.most(n),
        "pad: {before} and {behind} elements around axis {axis} of {}, {padding:?}",
        x.shape()
    );
    if let Padding::Constant(value) = padding {
        return x.pad(axis as isize, before, behind, value);
    }
    let positions = -(before as isize)..(n + behind) as isize;
    let index: Vec<i32> = positions.map(|i| padding.element(i, n as isize) as i32).collect();
    x.index_select(axis as isize, &Tensor::from_slice_on(&index, [index.len()], x.device()))
}

impl Module for Pad {
    #[track_caller]
    fn forward(&self, x: &Var, _pass: &mut Pass) -> Var {
        let n = self.sides.len();
        assert!(x.rank() >= n, "pad: input {} has no {n} axes", x.shape());
        let first = x.rank() - n;
        let mut y = x.clone();
        for (axis, &sides) in (first..).zip(&self.sides) {
            y = pad_axis(&y, axis, sides, self.padding);
        }
        y
    }

    fn export(&self, x: &Value, graph: &Graph) -> onnx::Result<Value> {
        if self.sides.iter().all(|sides| *sides == [0, 0]) {
            return Ok(x.clone());
        }
        let (mode, value) = match self.padding {
            Padding::Constant(value) => ("constant", value),
            Padding::Reflect => ("reflect", 0.0),
            Padding::Replicate => ("edge", 0.0),
            Padding::Circular => ("wrap", 0.0),
        };
        let before = self.sides.iter().map(|sides| sides[0] as i64);
        let behind = self.sides.iter().map(|sides| sides[1] as i64);
        let pads = graph.ints(&before.chain(behind).collect::<Vec<_>>());
        let axes = graph.ints(&(-(self.sides.len() as i64)..0).collect::<Vec<_>>());
        let value = graph.number(value, x.dtype());
        Ok(graph.op("Pad", &[x, &pads, &value, &axes], [("mode", mode.into())]))
    }

    fn visit(&self, _visitor: &mut Visitor<'_>) {}

    fn visit_mut(&mut self, _visitor: &mut VisitorMut<'_>) {}
}
