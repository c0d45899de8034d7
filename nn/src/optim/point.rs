//! All parameters of a model as one vector.

use std::collections::BTreeMap;

use plies_tensor::{Elementwise, Reduce, Result, Tensor, formula};

use crate::Module;

/// A number for each of a model's, by the names of the parameters.
#[derive(Clone, Debug, Default)]
pub(super) struct Point(pub(super) BTreeMap<String, Tensor>);

impl Point {
    /// The parameters.
    pub(super) fn of_values(model: &dyn Module) -> Self {
        let mut point = Point::default();
        model.for_each_parameter(&mut |name, p| {
            point.0.insert(name.to_owned(), p.value().clone());
        });
        point
    }

    /// Their gradients, 0 where there is none.
    pub(super) fn of_gradients(model: &dyn Module) -> Self {
        let mut point = Point::default();
        model.for_each_parameter(&mut |name, p| {
            let gradient = p.grad().map_or_else(|| p.value().zeros_like(), |g| g.value().clone());
            point.0.insert(name.to_owned(), gradient);
        });
        point
    }

    /// Makes the model's parameters self + a · direction.
    pub(super) fn put_moved(&self, a: f64, direction: &Point, model: &mut dyn Module) {
        model.for_each_parameter_mut(&mut |name, p| {
            if let (Some(x), Some(d)) = (self.0.get(name), direction.0.get(name)) {
                *p.value_mut() = Tensor::map(formula!(|x, d; a| x + a * d), &[x, d], &[a]);
            }
        });
    }

    /// self += a · other
    pub(super) fn add(&mut self, a: f64, other: &Point) {
        for (x, y) in self.0.values_mut().zip(other.0.values()) {
            Tensor::update(&mut [x], formula!(|x, y; a| x + a * y), &[y], &[a]);
        }
    }

    /// a · self
    pub(super) fn times(&self, a: f64) -> Self {
        Point(self.0.iter().map(|(name, x)| (name.clone(), x * a)).collect())
    }

    /// Σ self · other
    pub(super) fn dot(&self, other: &Point) -> Result<f64> {
        let mut sum = 0.0;
        for (x, y) in self.0.values().zip(other.0.values()) {
            let axes: Vec<isize> = (0..x.rank() as isize).collect();
            let product = formula!(|x, y| x * y);
            sum += Tensor::map_reduce(Reduce::Sum, product, &[x, y], &[], &axes, false).item()?;
        }
        Ok(sum)
    }

    /// Σ |self|
    pub(super) fn l1(&self) -> Result<f64> {
        self.0.values().try_fold(0.0, |sum, x| Ok(sum + x.abs().sum_all().item()?))
    }

    /// The largest |self|.
    pub(super) fn largest(&self) -> Result<f64> {
        let full = self.0.values().filter(|x| x.elem_count() > 0);
        full.map(|x| x.abs().max_all().item()).try_fold(0.0, |most: f64, x| {
            // Not a number stays that.
            let x = x?;
            Ok(if x <= most { most } else { x })
        })
    }

    /// Moves to the devices where another is.
    pub(super) fn follow(&mut self, other: &Point) -> Result<()> {
        for (x, y) in self.0.values_mut().zip(other.0.values()) {
            *x = x.to_device(y.device())?;
        }
        Ok(())
    }
}
