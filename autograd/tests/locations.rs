//! A mistake is reported at the line that made it.

use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Mutex;

use plies_autograd::{Var, linear};
use plies_tensor::{DType, Device, Elementwise, Tensor};

#[test]
fn wrong_shapes_are_reported_at_the_callers_line() {
    static SEEN: Mutex<Vec<(String, u32)>> = Mutex::new(Vec::new());
    let zeros = |dims: &[usize]| Var::leaf(Tensor::zeros(dims, DType::F32, &Device::cpu()));
    let (x, y) = (zeros(&[2, 3]), zeros(&[2, 3, 5]));
    let mistakes: [(&str, &dyn Fn()); 16] = [
        ("+", &|| drop(&x + &y)),
        ("maximum", &|| drop(x.maximum(&y))),
        ("matmul", &|| drop(x.matmul(&x))),
        ("linear", &|| drop(linear(&x, &y, None))),
        ("sum", &|| drop(x.sum(&[7], false))),
        ("max", &|| drop(x.max(&[7], false))),
        ("softmax", &|| drop(x.softmax(3))),
        ("permute", &|| drop(x.permute(&[0, 0]))),
        ("reshape", &|| drop(x.reshape([5]))),
        ("slice", &|| drop(x.slice(1, 2..9))),
        ("squeeze", &|| drop(x.squeeze(1))),
        ("cat", &|| drop(Var::cat(&[&x, &y], 0))),
        ("cumsum", &|| drop(x.cumsum(2))),
        ("index_select", &|| drop(x.index_select(5, &Tensor::from([0])))),
        ("index_add", &|| drop(x.index_add(5, &Tensor::from([0]), &x))),
        ("backward", &|| x.backward()),
    ];
    let before = take_hook();
    set_hook(Box::new(|info| {
        let Some(location) = info.location() else { return };
        SEEN.lock().unwrap().push((location.file().to_owned(), location.line()));
    }));
    let outcomes: Vec<bool> = mistakes
        .iter()
        .map(|(_, mistake)| catch_unwind(AssertUnwindSafe(mistake)).is_err())
        .collect();
    set_hook(before);
    let seen = SEEN.lock().unwrap();
    for (((name, _), panicked), (file, line)) in mistakes.iter().zip(outcomes).zip(seen.iter()) {
        assert!(panicked, "{name} accepts it");
        assert!(file.ends_with("locations.rs"), "{name} is reported at {file}:{line}");
    }
}
