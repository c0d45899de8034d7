use std::panic::{AssertUnwindSafe, catch_unwind};

use plies_gpu::{Gpu, Options};
use plies_tensor::{DType, Device, Tensor, formula};

fn message(act: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(act)).expect_err("it should have panicked");
    *panic.downcast::<String>().expect("a message")
}

#[test]
fn an_index_that_names_nothing_is_reported_where_a_value_is_read() {
    let Some(gpu) = super::open() else { return };
    let device = gpu.device();
    let x = Tensor::from([1f32, 2.0, 3.0]).to_device(&device).unwrap();
    let index = Tensor::from([0, 7]).to_device(&device).unwrap();
    let y = x.gather(0, &index);
    let fault = y.to_vec::<f32>().unwrap_err().to_string();
    let expected = "gather: index 7 is out of range for an axis of 3 elements";
    assert_eq!(fault, format!("{}: {expected}", device.name()));
    // Reported once; nothing outside was read.
    assert_eq!(y.to_vec::<f32>().unwrap(), [1.0, 0.0]);
    let source = Tensor::from([10f32, 20.0]).to_device(&device).unwrap();
    let sums = x.scatter_add(0, &index, &source);
    let fault = device.synchronize().unwrap_err().to_string();
    assert!(fault.contains("scatter_add: index 7 is out of range"), "{fault}");
    assert_eq!(sums.to_vec::<f32>().unwrap(), [11.0, 2.0, 3.0]);
}

#[test]
fn a_fault_is_told_by_the_next_read_whatever_was_fetched_before() {
    let Some(gpu) = super::open() else { return };
    let device = gpu.device();
    let x = Tensor::from([1f32, 2.0, 3.0]).to_device(&device).unwrap();
    let at = |i: i32| x.gather(0, &Tensor::from([i]).to_device(&device).unwrap());
    let told = |read: plies_tensor::Result<Vec<f32>>| read.unwrap_err().to_string();
    // By one that was begun later than another.
    let _seven = at(7);
    let (early, late) = (x.fetch(), x.fetch());
    assert!(told(late.to_vec()).contains("gather: index 7"));
    assert_eq!(early.to_vec::<f32>().unwrap(), [1.0, 2.0, 3.0]);
    // Though nobody reads what it would have come with; the first of several.
    let _eight = at(8);
    drop(x.fetch());
    let _nine = at(9);
    drop(x.fetch());
    assert!(told(x.to_vec()).contains("gather: index 8"));
    assert!(device.synchronize().is_ok());
    // Of two that nobody read between.
    let _both = [at(5), at(6)];
    assert!(told(x.to_vec()).contains("gather: index 5"));
    assert!(device.synchronize().is_ok());
    // Memory that was missing.
    let options = Options { memory: Some(1 << 16), ..Options::default() };
    let Some(small) = super::open_with(options) else { return };
    drop(Tensor::zeros([100_000], DType::F32, &small.device()).fetch());
    assert!(small.device().synchronize().unwrap_err().to_string().contains("out of memory"));
    assert!(small.device().synchronize().is_ok());
}

#[test]
fn f64_is_refused_by_name() {
    let Some(gpu) = super::open() else { return };
    let device = gpu.device();
    assert!(!device.supports(DType::F64) && device.supports(DType::I32));
    let refused = message(|| drop(Tensor::zeros([2], DType::F64, &device)));
    assert_eq!(refused, format!("{} has no f64; cast with to_dtype first", device.name()));
    let x = Tensor::zeros([1], DType::F32, &device);
    assert_eq!(x.item().unwrap(), 0.0);
}

#[test]
fn memory_that_is_used_up_is_given_back_first_and_then_an_error_of_what_needed_it() {
    let options = Options { memory: Some(1 << 20), ..Options::default() };
    let Some(gpu) = super::open_with(options) else { return };
    let device = gpu.device();
    let zeros = |n: usize| Tensor::zeros([n], DType::F32, &device);
    // What an earlier size has left makes room for another.
    drop(zeros(200_000));
    let mut kept = zeros(150_000);
    let few = zeros(3);
    let full = &kept + 1.0;
    let derived = full.sum_all() * 2.0;
    // Whatever is made from it is an error each time, and of nobody else.
    for lost in [&derived, &full, &derived] {
        let fault = lost.to_vec::<f32>().unwrap_err().to_string();
        let expected = "map: out of memory: no 600000 bytes beside ";
        assert!(fault.starts_with(&format!("{}: {expected}", device.name())), "{fault}");
    }
    assert_eq!(kept.sum_all().item().unwrap(), 0.0);
    // With more room it goes on.
    drop((full, derived, few));
    Tensor::update(&mut [&mut kept], formula!(|x| x + 1.0), &[], &[]);
    assert_eq!(kept.sum_all().item().unwrap(), 150_000.0);
    // From the host, and more than a buffer holds.
    let host = Tensor::zeros([200_000], DType::F32, &Device::cpu()).to_device(&device).unwrap();
    let fault = device.synchronize().unwrap_err().to_string();
    assert!(fault.contains("write: out of memory"), "{fault}");
    assert!(device.synchronize().is_ok() && host.to_vec::<f32>().is_err());
    let huge = zeros(gpu.summary().largest_buffer as usize / 4 + 1);
    let fault = huge.sum_all().item().unwrap_err().to_string();
    assert!(fault.contains("more than a buffer of this device holds"), "{fault}");
}

#[test]
fn what_is_fetched_is_what_was_there_and_waits_only_where_it_is_read() {
    let Some(gpu) = super::open() else { return };
    let device = gpu.device();
    let mut x = Tensor::zeros([5], DType::F32, &device);
    let before = gpu.counters().submissions;
    let fetched: Vec<_> = (0..20)
        .map(|_| {
            Tensor::update(&mut [&mut x], formula!(|x| x + 1.0), &[], &[]);
            x.slice(0, 2..4).fetch()
        })
        .collect();
    assert_eq!(gpu.counters().submissions, before);
    for (i, fetch) in fetched.into_iter().enumerate().rev() {
        assert!(!fetch.is_here());
        assert_eq!(fetch.to_vec::<f32>().unwrap(), [i as f32 + 1.0; 2]);
    }
    // One that nobody reads does no harm.
    let _ = x.fetch();
    assert_eq!(x.to_vec::<f32>().unwrap(), [20.0; 5]);
    // Nor does it change when its memory becomes somebody else's.
    let ours = Tensor::from_vec(vec![1.0f32], [1]).to_device(&device).unwrap();
    let fetch = ours.fetch();
    drop(ours);
    let theirs = Tensor::from_vec(vec![2.0f32], [1]).to_device(&device).unwrap();
    assert_eq!(fetch.item().unwrap(), 1.0);
    assert_eq!(theirs.item().unwrap(), 2.0);
}

#[test]
fn a_binding_that_no_part_of_a_buffer_fits_is_refused() {
    let Some(_) = super::open() else { return };
    let adapter = std::env::var("PLIES_GPU").ok();
    let options = Options { adapter, binding: Some(3), ..Options::default() };
    let error = Gpu::open(&options).unwrap_err().to_string();
    assert!(error.contains("a binding of 3 bytes"), "{error}");
}

#[test]
fn an_adapter_that_is_not_there_is_an_error_with_those_that_are() {
    let options = Options { adapter: Some("Voodoo 2".into()), ..Options::default() };
    let error = Gpu::open(&options).unwrap_err().to_string();
    assert!(error.starts_with("no GPU named `Voodoo 2`; "), "{error}");
    assert!(error.contains("or use the CPU"), "{error}");
}
