//! Models of PyTorch's users, in the files that `interop/make.py` has made: their weights load by their own
//! names, and give the same outputs.

use std::path::PathBuf;

use plies_autograd::Var;
use plies_nn::{Checkpoint, CheckpointError, Linear, Module, Pass, Sequential};
use plies_tensor::testing::assert_close;
use plies_tensor::{Rng, Tensor};

#[path = "../interop/models.rs"]
mod models;

fn open(name: &str) -> Checkpoint {
    let path = format!("{name}.safetensors");
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "interop", &path].iter().collect();
    Checkpoint::load(&path).unwrap()
}

fn whole(model: &dyn Module, io: &Checkpoint) -> Var {
    model.forward(&Var::constant(io.tensors()["x"].clone()), &mut Pass::eval())
}

fn tagged(model: &models::Tagger, io: &Checkpoint) -> Var {
    let lengths = io.tensors()["lengths"].to_vec::<i32>().unwrap();
    let lengths: Vec<usize> = lengths.into_iter().map(|n| n as usize).collect();
    model.run(&io.tensors()["x"], Some(&lengths), &mut Pass::eval())
}

fn check(y: &Var, io: &Checkpoint, name: &str) {
    assert_close(y.value(), &io.tensors()[name], 1e-5, 1e-5);
}

#[test]
fn weights_of_pytorch_load_by_name_and_give_the_same_outputs() {
    let rng = || Rng::new(9);
    let (mut mlp, io) = (models::mlp(&mut rng()), open("mlp_io"));
    open("mlp").load_model(&mut mlp).unwrap();
    check(&whole(&mlp, &io), &io, "y");

    let (mut cnn, io) = (models::cnn(&mut rng()), open("cnn_io"));
    open("cnn").load_model(&mut cnn).unwrap();
    check(&whole(&cnn, &io), &io, "y");
    let seen = cnn.named_buffers().into_iter().filter(|(name, _)| name.ends_with("tracked"));
    assert_eq!(seen.map(|(_, n)| n.item().unwrap()).collect::<Vec<_>>(), [3.0, 3.0]);

    let (mut tagger, io) = (models::Tagger::new(&mut rng()), open("tagger_io"));
    open("tagger").load_model(&mut tagger).unwrap();
    check(&tagged(&tagger, &io), &io, "y");
}

#[test]
fn half_precision_loads_and_so_do_names_behind_a_prefix() {
    let (mut mlp, io) = (models::mlp(&mut Rng::new(9)), open("mlp_io"));
    let file = open("mlp_module_f16");
    let error = file.load_model(&mut mlp).unwrap_err().to_string();
    assert!(
        error.contains("mlp_module_f16.safetensors: layers.0.weight, layers.0.bias"),
        "{error}"
    );
    assert!(error.contains("are missing; module.layers.0.bias, module.layers.0"), "{error}");
    file.part("module.").unwrap().load_model(&mut mlp).unwrap();
    check(&whole(&mlp, &io), &io, "y_half");

    let (mut tagger, io) = (models::Tagger::new(&mut Rng::new(9)), open("tagger_io"));
    open("tagger_module_bf16").part("module.").unwrap().load_model(&mut tagger).unwrap();
    check(&tagged(&tagger, &io), &io, "y_half");
}

#[test]
fn weights_alone_say_that_they_are_for_pytorch_and_come_back_bit_for_bit() {
    let file = open("cnn");
    let mut cnn = models::cnn(&mut Rng::new(9));
    file.load_model(&mut cnn).unwrap();
    let mut saved = Checkpoint::new();
    saved.put_model(&cnn);
    let bytes = saved.to_bytes().unwrap();
    let header = String::from_utf8_lossy(&bytes[8..60]).into_owned();
    assert!(header.starts_with(r#"{"__metadata__":{"format":"pt"},"#), "{header}");
    let again = Checkpoint::from_bytes(&bytes, "memory").unwrap();
    for (name, tensor) in file.tensors() {
        let (found, expected) = (&again.tensors()[name], tensor);
        assert_eq!((found.dtype(), found.dims()), (expected.dtype(), expected.dims()), "{name}");
        assert_close(found, expected, 0.0, 0.0);
    }
    assert!(file.tensors().keys().eq(again.tensors().keys()));
}

#[test]
fn a_part_of_a_model_loads_and_what_is_left_is_named() {
    let mut cnn = models::cnn(&mut Rng::new(9));
    let before = cnn.named_parameters().pop().unwrap().1.to_vec::<f32>().unwrap();
    // Another head, and no count of batches, as before PyTorch 0.4.1.
    let body = open("cnn").rename(|name| match name.strip_prefix("9.") {
        Some(rest) => Some(format!("head.{rest}")),
        None => (!name.ends_with("num_batches_tracked")).then(|| name.to_owned()),
    });
    let differences = body.unwrap().load_matching(&mut cnn).unwrap();
    assert_eq!(
        differences.to_string(),
        "9.weight, 9.bias, 1.num_batches_tracked and 5.num_batches_tracked are missing; \
         head.bias and head.weight do not exist in this model"
    );
    let parameters = cnn.named_parameters();
    assert_eq!(parameters[parameters.len() - 1].1.to_vec::<f32>().unwrap(), before);
    assert_close(parameters[0].1.value(), &open("cnn").tensors()["0.weight"], 0.0, 0.0);
}

#[test]
fn what_cannot_be_renamed_or_matched_is_said_in_one_line() {
    let refused = |result: Result<Checkpoint, CheckpointError>| result.unwrap_err().to_string();
    let mut file = Checkpoint::new();
    file.insert("a.weight", Tensor::from([[1f32, 2.0]]));
    file.insert("b.weight", Tensor::from([[1f32]]));
    assert_eq!(refused(file.part("module.")), "checkpoint: no name begins with \"module.\"");
    let same = file.rename(|_| Some("0.weight".to_owned()));
    assert_eq!(refused(same), "checkpoint: two tensors would be called 0.weight");
    let mut model = Sequential::new().push(Linear::new(1, 1, &mut Rng::new(1)));
    let before = model.named_parameters()[0].1.to_vec::<f32>().unwrap();
    let error = file.part("a.").unwrap().rename(|name| Some(format!("0.{name}"))).unwrap();
    let error = error.load_matching(&mut model).unwrap_err().to_string();
    assert_eq!(error, "checkpoint: parameter 0.weight is f32 [1, 2], this model needs f32 [1, 1]");
    assert_eq!(model.named_parameters()[0].1.to_vec::<f32>().unwrap(), before);
}
