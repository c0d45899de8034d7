//! Every element-wise function, once.
//!
//! [`Elementwise`] has one required method, [`map`](Elementwise::map); each function is a provided
//! method of one formula. Tensors, differentiable variables and formulas themselves implement the
//! trait, so a function added here exists for all three, fused and differentiable to any order.

use std::f64::consts::{FRAC_1_SQRT_2, PI};

use crate::{Expr, Formula, Tensor, formula};

/// Values that element-wise formulas apply to. Operands broadcast by NumPy's rule; comparisons give
/// 1 or 0 in the operands' own type. Arithmetic is spelled with operators: `&a + &b`, `2.0 * &a`.
///
/// # Panics
/// All methods: when shapes do not broadcast, or dtypes or devices differ.
///
/// # Example
/// ```
/// use plies_tensor::{Elementwise, Tensor, formula};
/// let x = Tensor::from([-1f32, 0.0, 2.0]);
/// assert_eq!(x.relu().to_vec::<f32>().unwrap(), [0.0, 0.0, 2.0]);
/// // Any formula of your own runs in one pass, too.
/// let y = Tensor::map(formula!(|x| x * x + 1.0), &[&x], &[]);
/// assert_eq!(y.to_vec::<f32>().unwrap(), [2.0, 1.0, 5.0]);
/// ```
pub trait Elementwise: Sized {
    /// Applies a formula of one output to each element in one pass.
    #[track_caller]
    fn map(formula: &Formula, inputs: &[&Self], scalars: &[f64]) -> Self;

    /// |x|
    #[track_caller]
    fn abs(&self) -> Self {
        Self::map(formula!(|x| x.abs()), &[self], &[])
    }
    /// 1 above 0, -1 below, 0 at ±0, NaN at NaN.
    #[track_caller]
    fn sign(&self) -> Self {
        // Neither above, below nor at 0 is NaN.
        let f = formula!(|x| {
            let not_above = x.lt(0.0).select(-1.0, x.eq(0.0).select(0.0, x));
            x.gt(0.0).select(1.0, not_above)
        });
        Self::map(f, &[self], &[])
    }
    /// √x, NaN below 0.
    #[track_caller]
    fn sqrt(&self) -> Self {
        Self::map(formula!(|x| x.sqrt()), &[self], &[])
    }
    /// x²
    #[doc(alias = "square")]
    #[track_caller]
    fn sqr(&self) -> Self {
        Self::map(formula!(|x| x * x), &[self], &[])
    }
    /// 1 / x
    #[doc(alias = "reciprocal")]
    #[track_caller]
    fn recip(&self) -> Self {
        Self::map(formula!(|x| 1.0 / x), &[self], &[])
    }
    /// eˣ
    #[track_caller]
    fn exp(&self) -> Self {
        Self::map(formula!(|x| x.exp()), &[self], &[])
    }
    /// eˣ - 1, accurate near 0.
    #[doc(alias = "expm1")]
    #[track_caller]
    fn exp_m1(&self) -> Self {
        Self::map(formula!(|x| x.exp_m1()), &[self], &[])
    }
    /// Natural logarithm: -∞ at 0, NaN below.
    #[doc(alias = "log")]
    #[track_caller]
    fn ln(&self) -> Self {
        Self::map(formula!(|x| x.ln()), &[self], &[])
    }
    /// ln(1 + x), accurate near 0.
    #[doc(alias = "log1p")]
    #[track_caller]
    fn ln_1p(&self) -> Self {
        Self::map(formula!(|x| x.ln_1p()), &[self], &[])
    }
    /// Sine of an angle in radians.
    #[track_caller]
    fn sin(&self) -> Self {
        Self::map(formula!(|x| x.sin()), &[self], &[])
    }
    /// Cosine of an angle in radians.
    #[track_caller]
    fn cos(&self) -> Self {
        Self::map(formula!(|x| x.cos()), &[self], &[])
    }
    /// Tangent of an angle in radians.
    #[track_caller]
    fn tan(&self) -> Self {
        Self::map(formula!(|x| x.sin() / x.cos()), &[self], &[])
    }
    /// Hyperbolic tangent.
    #[track_caller]
    fn tanh(&self) -> Self {
        Self::map(formula!(|x| x.tanh()), &[self], &[])
    }
    /// Error function, 2/√π ∫₀ˣ exp(-t²) dt.
    #[track_caller]
    fn erf(&self) -> Self {
        Self::map(formula!(|x| x.erf()), &[self], &[])
    }
    /// Largest integer not above x.
    #[track_caller]
    fn floor(&self) -> Self {
        Self::map(formula!(|x| x.floor()), &[self], &[])
    }
    /// Smallest integer not below x.
    #[track_caller]
    fn ceil(&self) -> Self {
        Self::map(formula!(|x| -(-x).floor()), &[self], &[])
    }
    /// Nearest integer, halves to the even one.
    #[track_caller]
    fn round(&self) -> Self {
        Self::map(formula!(|x| x.round()), &[self], &[])
    }
    /// xʸ
    #[track_caller]
    fn pow(&self, y: &Self) -> Self {
        Self::map(formula!(|x, y| x.pow(y)), &[self, y], &[])
    }
    /// xʸ for one number y.
    #[track_caller]
    fn powf(&self, y: f64) -> Self {
        Self::map(formula!(|x; y| x.pow(y)), &[self], &[y])
    }
    /// xⁿ by repeated squaring.
    #[track_caller]
    fn powi(&self, n: i32) -> Self {
        Self::map(&Formula::new(|[x]| x.powi(n)), &[self], &[])
    }
    /// The smaller of two; NaN when either is NaN.
    #[track_caller]
    fn minimum(&self, y: &Self) -> Self {
        Self::map(formula!(|x, y| x.min(y)), &[self, y], &[])
    }
    /// The larger of two; NaN when either is NaN.
    #[track_caller]
    fn maximum(&self, y: &Self) -> Self {
        Self::map(formula!(|x, y| x.max(y)), &[self, y], &[])
    }
    /// x limited to low..=high; NaN stays.
    #[doc(alias = "clip")]
    #[track_caller]
    fn clamp(&self, low: f64, high: f64) -> Self {
        Self::map(formula!(|x; low, high| x.max(low).min(high)), &[self], &[low, high])
    }
    /// 1 where x < y.
    #[track_caller]
    fn lt(&self, y: &Self) -> Self {
        Self::map(formula!(|x, y| x.lt(y)), &[self, y], &[])
    }
    /// 1 where x ≤ y.
    #[track_caller]
    fn le(&self, y: &Self) -> Self {
        Self::map(formula!(|x, y| x.le(y)), &[self, y], &[])
    }
    /// 1 where x > y.
    #[track_caller]
    fn gt(&self, y: &Self) -> Self {
        Self::map(formula!(|x, y| x.gt(y)), &[self, y], &[])
    }
    /// 1 where x ≥ y.
    #[track_caller]
    fn ge(&self, y: &Self) -> Self {
        Self::map(formula!(|x, y| x.ge(y)), &[self, y], &[])
    }
    /// 1 where x = y.
    #[track_caller]
    fn eq(&self, y: &Self) -> Self {
        Self::map(formula!(|x, y| x.eq(y)), &[self, y], &[])
    }
    /// 1 where x ≠ y, and where either is NaN.
    #[track_caller]
    fn ne(&self, y: &Self) -> Self {
        Self::map(formula!(|x, y| 1.0 - x.eq(y)), &[self, y], &[])
    }
    /// 1 where x is NaN.
    #[track_caller]
    fn is_nan(&self) -> Self {
        Self::map(formula!(|x| 1.0 - x.eq(x)), &[self], &[])
    }
    /// `a` where this is not 0, else `b`; the branch not taken has no influence, not even as NaN.
    #[doc(alias = "where")]
    #[track_caller]
    fn where_cond(&self, a: &Self, b: &Self) -> Self {
        Self::map(formula!(|c, a, b| c.select(a, b)), &[self, a, b], &[])
    }
    /// x + t (y - x)
    #[track_caller]
    fn lerp(&self, y: &Self, t: f64) -> Self {
        Self::map(formula!(|x, y; t| x + t * (y - x)), &[self, y], &[t])
    }

    /// max(x, 0), the rectified linear unit (Nair & Hinton 2010). Its derivative at 0 is taken as 0.
    #[track_caller]
    fn relu(&self) -> Self {
        // Not max: there both branches of a tie would get half of the gradient.
        Self::map(formula!(|x| x.le(0.0).select(0.0, x)), &[self], &[])
    }
    /// x above 0, slope·x below (Maas et al. 2013).
    #[track_caller]
    fn leaky_relu(&self, slope: f64) -> Self {
        Self::map(formula!(|x; slope| x.gt(0.0).select(x, slope * x)), &[self], &[slope])
    }
    /// x above 0, α(eˣ - 1) below (Clevert et al. 2016).
    #[track_caller]
    fn elu(&self, alpha: f64) -> Self {
        // The branch that is not taken must not overflow: 0 · ∞ in its derivative would be NaN.
        let f = formula!(|x; alpha| {
            let above = x.gt(0.0);
            above.select(x, alpha * above.select(0.0, x).exp_m1())
        });
        Self::map(f, &[self], &[alpha])
    }
    /// x above 0, α(e^(x/α) - 1) below, whose slope at 0 is 1 from both sides (Barron 2017).
    #[track_caller]
    fn celu(&self, alpha: f64) -> Self {
        let f = formula!(|x; alpha| {
            let above = x.gt(0.0);
            above.select(x, alpha * (above.select(0.0, x) / alpha).exp_m1())
        });
        Self::map(f, &[self], &[alpha])
    }
    /// λx above 0, λα(eˣ - 1) below, with the constants that keep mean 0 and variance 1
    /// (Klambauer et al. 2017).
    #[track_caller]
    fn selu(&self) -> Self {
        const ALPHA: f64 = 1.673_263_242_354_377_2;
        const LAMBDA: f64 = 1.050_700_987_355_480_5;
        let f = formula!(|x| {
            let above = x.gt(0.0);
            LAMBDA * above.select(x, ALPHA * above.select(0.0, x).exp_m1())
        });
        Self::map(f, &[self], &[])
    }
    /// 1 / (1 + e⁻ˣ), the logistic function, without overflow.
    #[track_caller]
    fn sigmoid(&self) -> Self {
        Self::map(formula!(|x| x.sigmoid()), &[self], &[])
    }
    /// ln(sigmoid(x)) = min(x, 0) - ln(1 + e^-|x|), without overflow.
    #[track_caller]
    fn log_sigmoid(&self) -> Self {
        let f = formula!(|x| {
            let below = x.lt(0.0);
            below.select(x, 0.0) - below.select(x, -x).exp().ln_1p()
        });
        Self::map(f, &[self], &[])
    }
    /// ln(1 + eˣ) = max(x, 0) + ln(1 + e^-|x|), without overflow (Dugas et al. 2001).
    #[track_caller]
    fn softplus(&self) -> Self {
        let f = formula!(|x| {
            let below = x.lt(0.0);
            below.select(0.0, x) + below.select(x, -x).exp().ln_1p()
        });
        Self::map(f, &[self], &[])
    }
    /// x / (1 + |x|)
    #[track_caller]
    fn softsign(&self) -> Self {
        Self::map(formula!(|x| x / (1.0 + x.abs())), &[self], &[])
    }
    /// x · sigmoid(x), also called swish (Elfwing et al. 2018).
    #[doc(alias = "swish")]
    #[track_caller]
    fn silu(&self) -> Self {
        Self::map(formula!(|x| x * x.sigmoid()), &[self], &[])
    }
    /// x Φ(x) = x (1 + erf(x/√2)) / 2 (Hendrycks & Gimpel 2016).
    #[track_caller]
    fn gelu(&self) -> Self {
        let f = formula!(|x| 0.5 * x * (1.0 + (x * FRAC_1_SQRT_2).erf()));
        Self::map(f, &[self], &[])
    }
    /// GELU's approximation x (1 + tanh(√(2/π) (x + 0.044715 x³))) / 2, the form GPT-2 uses.
    #[track_caller]
    fn gelu_tanh(&self) -> Self {
        let f = formula!(|x| {
            let inner = (2.0 / PI).sqrt() * (x + 0.044715 * x.powi(3));
            0.5 * x * (1.0 + inner.tanh())
        });
        Self::map(f, &[self], &[])
    }
    /// x tanh(softplus(x)) (Misra 2019).
    #[track_caller]
    fn mish(&self) -> Self {
        Self::map(formula!(|x| x * x.softplus().tanh()), &[self], &[])
    }
    /// x limited to 0..=6 (Howard et al. 2017).
    #[track_caller]
    fn relu6(&self) -> Self {
        let f = formula!(|x| x.le(0.0).select(0.0, x.ge(6.0).select(6.0, x)));
        Self::map(f, &[self], &[])
    }
    /// x/6 + 1/2 limited to 0..=1, a sigmoid of straight lines (Courbariaux et al. 2015; the slope is
    /// MobileNetV3's, Howard et al. 2019).
    #[track_caller]
    fn hardsigmoid(&self) -> Self {
        let f = formula!(|x| x.le(-3.0).select(0.0, x.ge(3.0).select(1.0, x / 6.0 + 0.5)));
        Self::map(f, &[self], &[])
    }
    /// x · hardsigmoid(x) (Howard et al. 2019).
    #[track_caller]
    fn hardswish(&self) -> Self {
        let f = formula!(|x| x.le(-3.0).select(0.0, x.ge(3.0).select(x, x * (x / 6.0 + 0.5))));
        Self::map(f, &[self], &[])
    }
    /// x limited to -1..=1 (Collobert 2004). Unlike that of `clamp`, its derivative at the bounds is 0.
    #[track_caller]
    fn hardtanh(&self) -> Self {
        let f = formula!(|x| x.le(-1.0).select(-1.0, x.ge(1.0).select(1.0, x)));
        Self::map(f, &[self], &[])
    }
}

impl Elementwise for Tensor {
    #[track_caller]
    fn map(formula: &Formula, inputs: &[&Tensor], scalars: &[f64]) -> Tensor {
        Tensor::evaluate(formula, inputs, scalars)
    }
}

/// Inside a formula: the named functions are inlined, their scalars become constants.
impl Elementwise for Expr<'_> {
    #[track_caller]
    fn map(formula: &Formula, inputs: &[&Self], scalars: &[f64]) -> Self {
        let Some(first) = inputs.first() else { panic!("map: a formula without inputs") };
        let graph = first.graph();
        let inputs: Vec<Self> = inputs.iter().map(|input| **input).collect();
        let scalars: Vec<Self> = scalars.iter().map(|&s| graph.constant(s)).collect();
        formula.substitute(graph, &inputs, &scalars)[0]
    }
}

/// Arithmetic operators for a type that is [`Elementwise`], owned and borrowed, with `f64` on
/// either side.
#[macro_export]
#[doc(hidden)]
macro_rules! elementwise_operators {
    ($type:ty) => {
        $crate::elementwise_operators!(@binary $type, Add, add, +);
        $crate::elementwise_operators!(@binary $type, Sub, sub, -);
        $crate::elementwise_operators!(@binary $type, Mul, mul, *);
        $crate::elementwise_operators!(@binary $type, Div, div, /);
        impl ::std::ops::Neg for &$type {
            type Output = $type;
            #[track_caller]
            fn neg(self) -> $type {
                <$type as $crate::Elementwise>::map($crate::formula!(|x| -x), &[self], &[])
            }
        }
        impl ::std::ops::Neg for $type {
            type Output = $type;
            #[track_caller]
            fn neg(self) -> $type {
                -&self
            }
        }
    };
    (@binary $type:ty, $trait:ident, $method:ident, $operator:tt) => {
        impl ::std::ops::$trait<&$type> for &$type {
            type Output = $type;
            #[track_caller]
            fn $method(self, y: &$type) -> $type {
                let f = $crate::formula!(|x, y| x $operator y);
                <$type as $crate::Elementwise>::map(f, &[self, y], &[])
            }
        }
        impl ::std::ops::$trait<$type> for &$type {
            type Output = $type;
            #[track_caller]
            fn $method(self, y: $type) -> $type {
                self $operator &y
            }
        }
        impl ::std::ops::$trait<&$type> for $type {
            type Output = $type;
            #[track_caller]
            fn $method(self, y: &$type) -> $type {
                &self $operator y
            }
        }
        impl ::std::ops::$trait<$type> for $type {
            type Output = $type;
            #[track_caller]
            fn $method(self, y: $type) -> $type {
                &self $operator &y
            }
        }
        impl ::std::ops::$trait<f64> for &$type {
            type Output = $type;
            #[track_caller]
            fn $method(self, y: f64) -> $type {
                let f = $crate::formula!(|x; y| x $operator y);
                <$type as $crate::Elementwise>::map(f, &[self], &[y])
            }
        }
        impl ::std::ops::$trait<f64> for $type {
            type Output = $type;
            #[track_caller]
            fn $method(self, y: f64) -> $type {
                &self $operator y
            }
        }
        impl ::std::ops::$trait<&$type> for f64 {
            type Output = $type;
            #[track_caller]
            fn $method(self, y: &$type) -> $type {
                let f = $crate::formula!(|y; x| x $operator y);
                <$type as $crate::Elementwise>::map(f, &[y], &[self])
            }
        }
        impl ::std::ops::$trait<$type> for f64 {
            type Output = $type;
            #[track_caller]
            fn $method(self, y: $type) -> $type {
                self $operator &y
            }
        }
    };
}

elementwise_operators!(Tensor);
