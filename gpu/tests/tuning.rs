use plies_gpu::{Gpu, Options};

/// A folder that is gone afterwards.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        Folder(std::env::temp_dir().join(format!("plies-gpu-{name}-{}", std::process::id())))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn product(gpu: &Gpu) -> Vec<f32> {
    let [_, a] = super::draw(1, &[40, 300], &gpu.device());
    let [_, b] = super::draw(2, &[300, 36], &gpu.device());
    a.matmul(&b).to_vec().unwrap()
}

#[test]
fn what_was_measured_is_kept_and_what_is_no_such_file_is_left_aside() {
    let folder = Folder::new("tuning");
    let open = || {
        let options = Options { tuning: Some(folder.0.clone()), ..Options::default() };
        super::open_with(options)
    };
    let Some(gpu) = open() else { return };
    super::same(&gpu.device(), [&[40, 300], &[300, 36]], 1e-4, |[a, b]| a.matmul(b));
    let first = product(&gpu);
    assert_eq!(gpu.notices(), [""; 0]);
    let file = std::fs::read_dir(&folder.0).unwrap().next().unwrap().unwrap().path();
    // Another run takes the same plan, and measures nothing.
    let again = open().unwrap();
    let before = again.counters().dispatches;
    assert_eq!(product(&again), first);
    assert!(again.counters().dispatches - before <= 2);
    // A file that was changed is not believed.
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace(" = ", " = 1")).unwrap();
    let wary = open().unwrap();
    let notices = wary.notices();
    assert!(notices.len() == 1 && notices[0].contains("left aside"), "{notices:?}");
    let kept = first.iter().zip(product(&wary));
    assert!(kept.into_iter().all(|(x, y)| (x - y).abs() < 1e-3));
}
