//! A walk through layouts: what views do to dimensions, strides and offset, and when elements are
//! copied.
//!
//! `cargo run -p plies-tensor --example strides`

use plies_tensor::{Elementwise, Tensor, formula};

/// One line about a view of `base`.
fn show(what: &str, view: &Tensor, base: &Tensor) {
    let layout = view.layout();
    println!(
        "{what:<34} dims {:<10} strides {:<10} offset {:<3} {}",
        format!("{:?}", layout.dims()),
        format!("{:?}", layout.strides()),
        layout.offset(),
        if view.shares_buffer_with(base) { "a view" } else { "a copy" }
    );
}

fn main() {
    let x = Tensor::arange(12).reshape([3, 4]);
    println!("x =\n{x}\n");
    println!("Element [i, j] stands at offset + i * strides[0] + j * strides[1].\n");
    show("x", &x, &x);
    show("x.t()", &x.t(), &x);
    show("x.slice(0, 1..)", &x.slice(0, 1..), &x);
    show("x.slice_step(1, .., 2)", &x.slice_step(1, .., 2), &x);
    show("x.flip(1)", &x.flip(1), &x);
    show("x.select(1, 2)", &x.select(1, 2), &x);
    show("x.select(0, 0).broadcast_to(2, 4)", &x.select(0, 0).broadcast_to([2, 4]), &x);

    println!("\nA reshape is a view whenever strides can say it:\n");
    show("x.reshape([2, 6])", &x.reshape([2, 6]), &x);
    show("x.slice(0, 1..).flatten()", &x.slice(0, 1..).flatten(), &x);
    show("x.t().reshape([2, 2, 3])", &x.t().reshape([2, 2, 3]), &x);
    show("x.t().flatten()", &x.t().flatten(), &x);

    println!("\nx.flip(0).t() =\n{}\n", x.flip(0).t());
    let column = Tensor::from([[0], [100], [200]]);
    println!("A column [3, 1] and a row [4] meet in [3, 4]:\n{}\n", &column + &x.select(0, 0));

    // Writing never changes what another handle sees: where a buffer is shared, the result gets a new one.
    let mut y = x.clone();
    assert!(y.shares_buffer_with(&x));
    Tensor::update(&mut [&mut y], formula!(|y| y * y), &[], &[]);
    assert!(!y.shares_buffer_with(&x));
    println!("y, squared in place, is no longer x:\n{y}");
    assert_eq!(x.maximum(&y).select(0, 2).to_vec::<i32>().ok(), Some(vec![64, 81, 100, 121]));
}
