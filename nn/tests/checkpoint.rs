//! Checkpoint files: written whole, read with every check, refused in one line.

use plies_autograd::Var;
use plies_nn::optim::{Adam, Optimizer, Sgd};
use plies_nn::{
    Activation, Checkpoint, Linear, Mlp, Module, Pass, Sequential, Visitor, VisitorMut, loss,
};
use plies_tensor::{DType, Rng, Tensor};
use proptest::prelude::*;

fn network(hidden: usize) -> Mlp {
    Mlp::new(&[2, hidden, 2], Activation::Relu, &mut Rng::new(2))
}

/// A network after one step of Adam, and Adam.
fn trained() -> (Mlp, Adam) {
    let (mut model, mut adam) = (network(3), Adam::new(0.01));
    let x = Var::constant(Tensor::from([[1f32, 2.0], [-1.0, 0.5]]));
    let logits = model.forward(&x, &mut Pass::eval());
    loss::cross_entropy(&logits, &Tensor::from([0, 1])).backward();
    drop(logits);
    adam.step(&mut model);
    (model, adam)
}

fn checkpoint() -> Checkpoint {
    let (model, adam) = trained();
    let mut checkpoint = Checkpoint::new();
    checkpoint.put_model(&model);
    checkpoint.put_optimizer(&adam);
    checkpoint.set_epoch(1);
    checkpoint.set_architecture("mlp 2-3-2");
    checkpoint.set_rng("sampling", &Rng::from_state(u64::MAX, 3));
    checkpoint
}

/// A safetensors file of a header and data.
fn file(header: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    bytes
}

fn read(header: &str, data: &[u8]) -> Result<Checkpoint, String> {
    Checkpoint::from_bytes(&file(header, data), "a.safetensors").map_err(|e| e.to_string())
}

#[test]
fn everything_comes_back_and_equal_contents_are_equal_bytes() {
    let bytes = checkpoint().to_bytes().unwrap();
    assert!(bytes == checkpoint().to_bytes().unwrap());
    let loaded = Checkpoint::from_bytes(&bytes, "memory").unwrap();
    assert!(loaded.to_bytes().unwrap() == bytes);
    assert_eq!(loaded.epoch().unwrap(), 1);
    assert_eq!(loaded.rng("sampling").unwrap(), Rng::from_state(u64::MAX, 3));
    loaded.check_architecture("mlp 2-3-2").unwrap();
    let names: Vec<&str> = loaded.tensors().keys().map(String::as_str).collect();
    assert_eq!(names[..2], ["layers.0.bias", "layers.0.weight"]);
    assert_eq!(
        names[4..6],
        ["optimizer.exp_avg.layers.0.bias", "optimizer.exp_avg.layers.0.weight"]
    );
    assert_eq!(names[12..], ["optimizer.step"]);
}

#[test]
fn every_dtype_comes_back_scalars_and_empty_tensors_too() {
    let tensors = [
        Tensor::from([1.5f32, f32::MIN_POSITIVE, -0.0]),
        Tensor::from([[1e-300f64, 2.0]]),
        Tensor::from([i32::MIN, 7]),
        Tensor::scalar(3f32),
        Tensor::zeros([0, 4], DType::F64, &Default::default()),
        Tensor::from([[1f32, 2.0], [3.0, 4.0]]).t(),
    ];
    let mut checkpoint = Checkpoint::new();
    for (i, tensor) in tensors.iter().enumerate() {
        checkpoint.insert(i.to_string(), tensor.clone());
    }
    let loaded = Checkpoint::from_bytes(&checkpoint.to_bytes().unwrap(), "memory").unwrap();
    for (i, tensor) in tensors.iter().enumerate() {
        let found = &loaded.tensors()[&i.to_string()];
        assert_eq!((found.dtype(), found.dims()), (tensor.dtype(), tensor.dims()));
        let numbers = |t: &Tensor| t.to_dtype(DType::F64).to_vec::<f64>().unwrap();
        assert_eq!(numbers(found), numbers(tensor));
    }
}

#[test]
fn dtypes_of_other_libraries_are_read_where_they_fit() {
    let rows: [(&str, &[u8], DType, f64); 9] = [
        ("F16", &[0x00, 0xc1], DType::F32, -2.5),
        ("BF16", &[0x20, 0xc0], DType::F32, -2.5),
        ("I64", &[0xfe, 255, 255, 255, 255, 255, 255, 255], DType::I32, -2.0),
        ("U64", &[2, 1, 0, 0, 0, 0, 0, 0], DType::I32, 258.0),
        ("U32", &[2, 1, 0, 0], DType::I32, 258.0),
        ("I16", &[0xfe, 255], DType::I32, -2.0),
        ("U8", &[0xfe], DType::I32, 254.0),
        ("I8", &[0xfe], DType::I32, -2.0),
        ("BOOL", &[1], DType::I32, 1.0),
    ];
    for (name, bytes, dtype, value) in rows {
        let n = bytes.len();
        let header = format!(r#"{{"x":{{"dtype":"{name}","shape":[1],"data_offsets":[0,{n}]}}}}"#);
        let x = read(&header, bytes).unwrap().tensors()["x"].clone();
        assert_eq!((x.dtype(), x.item().unwrap()), (dtype, value), "{name}");
    }
    let large = r#"{"x":{"dtype":"I64","shape":[1],"data_offsets":[0,8]}}"#;
    let error = read(large, &[0, 0, 0, 0, 1, 0, 0, 0]).unwrap_err();
    assert_eq!(error, "a.safetensors: tensor x: a value of dtype I64 does not fit into i32");
    let eighth = r#"{"x":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[0,1]}}"#;
    let error = read(eighth, &[1]).unwrap_err();
    assert_eq!(error, "a.safetensors: tensor x: dtype F8_E4M3 is not supported");
}

#[test]
fn headers_that_lie_are_refused_before_memory_is_taken() {
    let rows = [
        // More elements than bytes.
        r#"{"x":{"dtype":"F32","shape":[1000000000000],"data_offsets":[0,4]}}"#,
        r#"{"x":{"dtype":"F32","shape":[1000000000000],"data_offsets":[0,4000000000000]}}"#,
        // A product that overflows to the right number.
        r#"{"x":{"dtype":"F32","shape":[4611686018427387904,4,1],"data_offsets":[0,4]}}"#,
        // Empty, yet with axes whose strides overflow.
        r#"{"x":{"dtype":"F32","shape":[0,4611686018427387904,16],"data_offsets":[0,0]}}"#,
        r#"{"x":{"dtype":"F32","shape":[18446744073709551615,0],"data_offsets":[0,0]}}"#,
        // Backwards, overlapping, with a gap.
        r#"{"x":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}"#,
        r#"{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"y":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#,
        r#"{"x":{"dtype":"U8","shape":[1],"data_offsets":[3,4]}}"#,
        // Too many axes, an unknown dtype, other JSON.
        r#"{"x":{"dtype":"F32","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,4]}}"#,
        r#"{"x":{"dtype":"F31","shape":[1],"data_offsets":[0,4]}}"#,
        r#"{"x":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}"#,
        r#"[]"#,
        "",
    ];
    for header in rows {
        for data in [&[0u8; 4][..], &[]] {
            let error = read(header, data).unwrap_err();
            assert!(error.starts_with("a.safetensors: ") && !error.contains('\n'), "{error}");
        }
    }
}

#[test]
fn metadata_of_a_later_release_or_none_at_all() {
    let later = r#"{"__metadata__":{"plies":"{\"version\":2,\"layers\":[]}"}}"#;
    let error = read(later, &[]).unwrap_err();
    assert_eq!(error, "a.safetensors: metadata has version 2, this release reads versions up to 1");
    let damaged = r#"{"__metadata__":{"plies":"{\"version\":1,\"entries\":[]}"}}"#;
    assert!(read(damaged, &[]).unwrap_err().contains("metadata is damaged"));
    let pytorch = r#"{"__metadata__":{"format":"pt"}}"#;
    assert!(read(pytorch, &[]).unwrap().metadata().is_empty());
    let error = read(pytorch, &[]).unwrap().epoch().unwrap_err().to_string();
    assert_eq!(error, "a.safetensors: no epoch is stored");
}

#[test]
fn what_does_not_fit_the_model_is_named_and_changes_nothing() {
    let good = checkpoint();
    let refused = |checkpoint: &Checkpoint, hidden: usize| {
        let mut model = network(hidden);
        let numbers = |model: &Mlp| {
            let all = model.named_parameters().into_iter();
            all.flat_map(|(_, p)| p.value().to_vec::<f32>().unwrap()).collect::<Vec<f32>>()
        };
        let before = numbers(&model);
        let bytes = checkpoint.to_bytes().unwrap();
        let loaded = Checkpoint::from_bytes(&bytes, "a.safetensors").unwrap();
        let error = loaded.load_model(&mut model).unwrap_err().to_string();
        assert_eq!(numbers(&model), before);
        error
    };
    assert_eq!(
        refused(&good, 4),
        "a.safetensors: parameter layers.0.weight is f32 [3, 2], this model needs f32 [4, 2]"
    );
    let mut other = good.clone();
    other.insert("layers.0.bias", Tensor::zeros([3], DType::F64, &Default::default()));
    assert_eq!(
        refused(&other, 3),
        "a.safetensors: parameter layers.0.bias is f64 [3], this model needs f32 [3]"
    );
    let mut more = good.clone();
    more.insert("layers.2.bias\n\u{1b}[31m", Tensor::from([0f32]));
    assert_eq!(
        refused(&more, 3),
        "a.safetensors: layers.2.bias\\n\\u{1b}[31m does not exist in this model"
    );
    let mut fewer = Checkpoint::new();
    fewer.insert("layers.0.weight", good.tensors()["layers.0.weight"].clone());
    assert_eq!(
        refused(&fewer, 3),
        "a.safetensors: layers.0.bias, layers.1.weight and layers.1.bias are missing"
    );
}

#[test]
fn optimiser_state_that_does_not_fit_is_named_before_it_is_used() {
    let refused = |name: &str, tensor: Tensor| {
        let mut checkpoint = checkpoint();
        checkpoint.insert(name, tensor);
        checkpoint.load_optimizer(&mut Adam::new(0.01)).unwrap_err().to_string()
    };
    let zeros = |n: usize| Tensor::zeros([n], DType::F32, &Default::default());
    let rows = [
        (
            "optimizer.exp_avg.layers.0.bias",
            zeros(4),
            "optimiser state: exp_avg.layers.0.bias is f32 [4], its parameter f32 [3]",
        ),
        (
            "optimizer.exp_avg.layers.9.bias",
            zeros(1),
            "optimiser state: exp_avg.layers.9.bias belongs to no parameter",
        ),
        (
            "optimizer.momentum.layers.0.bias",
            zeros(3),
            "optimiser state: momentum.layers.0.bias is not one of exp_avg, exp_avg_sq",
        ),
        ("optimizer.step", Tensor::scalar(f64::INFINITY), "optimiser state: step is inf"),
        ("optimizer.step", Tensor::scalar(0.5f64), "optimiser state: step is 0.5"),
        ("optimizer.step", zeros(2), "optimiser state: step has shape [2]"),
    ];
    for (name, tensor, expected) in rows {
        assert_eq!(refused(name, tensor), format!("checkpoint: {expected}"));
    }
    let mut incomplete = Checkpoint::new();
    incomplete.set("optimizer", Adam::new(0.1).describe());
    for (name, tensor) in checkpoint().tensors() {
        if !name.contains("exp_avg_sq.layers.1.bias") {
            incomplete.insert(name, tensor.clone());
        }
    }
    let error = incomplete.load_optimizer(&mut Adam::new(0.1)).unwrap_err().to_string();
    assert_eq!(
        error,
        "checkpoint: optimiser state: layers.1.bias has not all of exp_avg, exp_avg_sq"
    );
    let error = checkpoint().load_optimizer(&mut Sgd::new(0.1)).unwrap_err().to_string();
    assert!(
        error.contains("optimiser is \"adam beta1=0.9") && error.contains("not \"sgd"),
        "{error}"
    );
}

/// Two layers by one name.
struct Twins([Linear; 2]);

impl Module for Twins {
    fn forward(&self, x: &Var, pass: &mut Pass) -> Var {
        self.0.iter().fold(x.clone(), |x, layer| layer.forward(&x, pass))
    }
    fn visit(&self, visitor: &mut Visitor<'_>) {
        self.0.iter().for_each(|layer| visitor.child("twin", layer));
    }
    fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>) {
        self.0.iter_mut().for_each(|layer| visitor.child("twin", layer));
    }
}

#[test]
fn a_model_whose_names_are_taken_is_neither_stored_nor_loaded_nor_trained() {
    let layer = || Linear::new(2, 2, &mut Rng::new(1));
    let mut twins = Twins([layer(), layer()]);
    let two = "twin.weight is the name of two; a parameter or buffer needs one of its own";
    let error = checkpoint().load_model(&mut twins).unwrap_err().to_string();
    assert_eq!(error, format!("checkpoint: {two}"));
    let refused = |mistake: &mut dyn FnMut()| {
        let mistake = std::panic::AssertUnwindSafe(mistake);
        let panic = std::panic::catch_unwind(mistake).unwrap_err();
        panic.downcast_ref::<String>().unwrap().clone()
    };
    let error = refused(&mut || Checkpoint::new().put_model(&twins));
    assert_eq!(error, format!("put_model: {two}"));
    for optimizer in [&mut Sgd::new(0.1) as &mut dyn Optimizer, &mut Adam::new(0.1)] {
        let error = refused(&mut || optimizer.step(&mut twins));
        assert!(error.ends_with(": two parameters are called twin.weight"), "{error}");
    }
    for name in ["optimizer", "training"] {
        let mut model = Sequential::new().push_named(name, layer());
        let taken =
            format!("{name}.weight is a name of what stands beside a model; call the child");
        let error = refused(&mut || Checkpoint::new().put_model(&model));
        assert!(error.starts_with(&format!("put_model: {taken}")), "{error}");
        let error = Checkpoint::new().load_model(&mut model).unwrap_err().to_string();
        assert!(error.starts_with(&format!("checkpoint: {taken}")), "{error}");
    }
}

#[test]
fn a_model_takes_the_place_of_another_and_leaves_the_optimiser() {
    let (mut file, other) = (checkpoint(), Linear::new(2, 2, &mut Rng::new(1)));
    file.put_model(&other);
    file.load_model(&mut Linear::new(2, 2, &mut Rng::new(2))).unwrap();
    assert!(file.tensors().contains_key("optimizer.step"));
}

#[test]
#[should_panic(expected = "checkpoint: __metadata__ is no name for a tensor")]
fn no_tensor_is_called_as_the_header_calls_the_text() {
    Checkpoint::new().insert("__metadata__", Tensor::from([1f32]));
}

#[test]
fn a_failed_save_leaves_the_old_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    checkpoint().save(&path).unwrap();
    let before = std::fs::read(&path).unwrap();
    let error = checkpoint().save(&path.join("below")).unwrap_err().to_string();
    assert!(error.contains("below"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    let error = Checkpoint::load(folder.path()).unwrap_err().to_string();
    assert!(error.ends_with("not a regular file"), "{error}");
    let error = Checkpoint::load(&folder.path().join("absent")).unwrap_err().to_string();
    assert!(error.contains("absent: "), "{error}");
}

fn try_to_use(bytes: &[u8]) {
    if let Ok(checkpoint) = Checkpoint::from_bytes(bytes, "damaged") {
        let (mut model, mut adam) = (network(3), Adam::new(0.1));
        let fits = checkpoint.load_model(&mut model).is_ok();
        if checkpoint.load_optimizer(&mut adam).is_ok() && fits {
            // What was accepted can be gone on with.
            model.for_each_parameter(&mut |_, p| {
                p.set_grad(Some(Var::constant(p.value().zeros_like())))
            });
            adam.step(&mut model);
        }
    }
}

proptest! {
    #[test]
    fn damaged_checkpoints_are_refused_or_usable_but_never_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut damaged = checkpoint().to_bytes().unwrap();
        for (at, value) in changes {
            let at = at.index(damaged.len());
            damaged[at] = value;
        }
        if let Some(cut) = cut {
            damaged.truncate(cut.index(damaged.len() + 1));
        }
        try_to_use(&damaged);
    }

    /// Changes that leave the JSON whole: digits of shapes and offsets, letters of names and dtypes.
    #[test]
    fn headers_with_other_words_and_numbers_never_panic(
        changes in prop::collection::vec(
            (any::<prop::sample::Index>(), prop::sample::select(b"0123456789FI.exstwb".to_vec())),
            1..6,
        ),
    ) {
        let mut damaged = checkpoint().to_bytes().unwrap();
        let length = u64::from_le_bytes(*damaged.first_chunk().unwrap()) as usize;
        let places: Vec<usize> =
            (8..8 + length).filter(|&at| damaged[at].is_ascii_alphanumeric()).collect();
        for (at, value) in changes {
            damaged[*at.get(&places)] = value;
        }
        try_to_use(&damaged);
    }

    #[test]
    fn any_header_is_refused_or_read(
        dtype in prop::sample::select(vec!["F32", "F64", "I32", "F16", "I64", "F4", "C64"]),
        shape in prop::collection::vec(
            prop_oneof![0u64..5, Just(u64::MAX), (0u32..64).prop_map(|n| 1 << n)],
            0..10,
        ),
        offsets in (0u64..40, 0u64..40),
        n in 0usize..40,
    ) {
        let (start, end) = offsets;
        let header = format!(
            r#"{{"x":{{"dtype":"{dtype}","shape":{shape:?},"data_offsets":[{start},{end}]}}}}"#
        );
        let _ = read(&header, &vec![0; n]);
    }
}
