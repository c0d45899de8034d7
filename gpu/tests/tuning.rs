use std::sync::Mutex;

use plies_gpu::{Gpu, Options};
use plies_tensor::Tensor;

fn product(gpu: &Gpu) -> Vec<f32> {
    let [_, a] = super::draw(1, &[40, 300], &gpu.device());
    let [_, b] = super::draw(2, &[300, 36], &gpu.device());
    a.matmul(&b).to_vec().unwrap()
}

#[test]
fn what_was_measured_is_kept_and_what_is_no_such_file_is_left_aside() {
    let folder = tempfile::tempdir().unwrap();
    let open = || {
        let options = Options { tuning: Some(folder.path().into()), ..Options::default() };
        super::open_with(options)
    };
    let Some(gpu) = open() else { return };
    super::same(&gpu.device(), [&[40, 300], &[300, 36]], 1e-4, |[a, b]| a.matmul(b));
    let first = product(&gpu);
    assert_eq!(gpu.notices(), [""; 0]);
    let mut files = std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().path());
    let file = files.find(|file| file.extension().is_some_and(|end| end == "txt")).unwrap();
    // Another run takes the same plan, and measures nothing.
    let again = open().unwrap();
    let before = again.counters().dispatches;
    assert_eq!(product(&again), first);
    assert!(again.counters().dispatches - before <= 2);
    // A file that was changed is not believed.
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace(" = ", " = 1")).unwrap();
    static TOLD: Mutex<Vec<String>> = Mutex::new(Vec::new());
    let wary = super::open_with(Options {
        tuning: Some(folder.path().into()),
        on_notice: Some(|notice| TOLD.lock().unwrap().push(notice.to_owned())),
        ..Options::default()
    });
    let wary = wary.unwrap();
    let notices = wary.notices();
    assert!(notices.len() == 1 && notices[0].contains("left aside"), "{notices:?}");
    let kept = first.iter().zip(product(&wary));
    assert!(kept.into_iter().all(|(x, y)| (x - y).abs() < 1e-3));
    // Each was told once, however often the file was looked at.
    assert_eq!(*TOLD.lock().unwrap(), wary.notices());
}

#[test]
fn measuring_swallows_no_fault_and_has_none_of_its_own() {
    let temporary = tempfile::tempdir().unwrap();
    // Made where something is measured.
    let folder = temporary.path().join("tuning");
    let open = |memory| {
        let options = Options { tuning: Some(folder.clone()), memory, ..Options::default() };
        super::open_with(options)
    };
    // Too little room to try kernels in, but enough for the product.
    let Some(small) = open(Some(40 << 10)) else { return };
    super::same(&small.device(), [&[16, 64], &[64, 16]], 1e-4, |[a, b]| a.matmul(b));
    assert_eq!((small.notices(), folder.exists()), (vec![], false));
    // What went wrong before is told after.
    let gpu = open(None).unwrap();
    let x = Tensor::from([1f32, 2.0]).to_device(&gpu.device()).unwrap();
    let _wrong = x.gather(0, &Tensor::from([7]).to_device(&gpu.device()).unwrap());
    let [_, a] = super::draw(1, &[16, 64], &gpu.device());
    let product = a.matmul(&a.t());
    assert!(folder.exists());
    let fault = product.to_vec::<f32>().unwrap_err().to_string();
    assert!(fault.contains("gather: index 7 is out of range"), "{fault}");
    assert_eq!((product.to_vec::<f32>().unwrap().len(), gpu.notices()), (256, vec![]));
}

#[test]
fn a_product_without_room_for_parts_is_computed_in_one() {
    let options = Options { memory: Some(1 << 20), ..Options::default() };
    let Some(gpu) = super::open_with(options) else { return };
    super::same(&gpu.device(), [&[40, 3000], &[3000, 36]], 1e-4, |[a, b]| a.matmul(b));
}
