//! NumPy's files, made by `data/make.py`, and damaged files.

use plies_tensor::Tensor;
use proptest::prelude::*;

#[test]
fn numpy_files_are_read() {
    let read = |bytes: &[u8]| Tensor::from_npy_bytes(bytes, "file").unwrap();
    let quarters = [0.0, 0.25, 0.5, 0.75, 1.0, 1.25];
    let f4 = read(include_bytes!("data/f4.npy"));
    assert_eq!(f4.dims(), [2, 3]);
    assert_eq!(f4.to_vec::<f32>().unwrap(), quarters.map(|x| x as f32));
    for bytes in
        [&include_bytes!("data/f8_fortran.npy")[..], include_bytes!("data/f8_big_endian.npy")]
    {
        assert_eq!(read(bytes).to_vec::<f64>().unwrap(), quarters);
    }
    assert_eq!(read(include_bytes!("data/i8.npy")).to_vec::<i32>().unwrap(), [-1, 2, 3, i32::MAX]);
    assert_eq!(read(include_bytes!("data/bool.npy")).to_vec::<i32>().unwrap(), [1, 0]);
    assert_eq!(read(include_bytes!("data/scalar.npy")).item().unwrap(), 2.5);
    assert_eq!(read(include_bytes!("data/empty.npy")).dims(), [0, 3]);
    let error = Tensor::from_npy_bytes(include_bytes!("data/i8_too_large.npy"), "big.npy");
    assert_eq!(
        error.unwrap_err().to_string(),
        "big.npy: element 1 is 2147483648, which does not fit into i32"
    );
}

#[test]
fn our_bytes_are_numpys_bytes() {
    for bytes in [
        &include_bytes!("data/f4.npy")[..],
        include_bytes!("data/empty.npy"),
        include_bytes!("data/scalar.npy"),
    ] {
        assert_eq!(Tensor::from_npy_bytes(bytes, "file").unwrap().to_npy_bytes().unwrap(), bytes);
    }
}

#[test]
fn a_file_is_written_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.npy");
    Tensor::from([1f32]).write_npy(&path).unwrap();
    assert_eq!(Tensor::read_npy(&path).unwrap().item().unwrap(), 1.0);
    let error = Tensor::from([2f32]).write_npy(path.join("below")).unwrap_err().to_string();
    assert!(error.contains("x.npy"), "{error}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    let error = Tensor::read_npy(folder.path().join("none.npy")).unwrap_err().to_string();
    assert!(error.contains("none.npy"), "{error}");
}

#[cfg(feature = "npz")]
#[test]
fn archives_are_read_and_written() {
    for bytes in [&include_bytes!("data/stored.npz")[..], include_bytes!("data/compressed.npz")] {
        let arrays = Tensor::from_npz_bytes(bytes, "file").unwrap();
        assert_eq!(arrays.keys().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(arrays["a"].dims(), [2, 3]);
        assert_eq!(arrays["b"].to_vec::<i32>().unwrap(), [1, 2]);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.npz");
        Tensor::write_npz(&path, arrays.iter().map(|(name, t)| (name.as_str(), t))).unwrap();
        let back = Tensor::read_npz(&path).unwrap();
        assert_eq!(back["a"].to_vec::<f32>().unwrap(), arrays["a"].to_vec::<f32>().unwrap());
    }
}

fn damage(mut bytes: Vec<u8>, changes: &[(usize, u8)], cut: Option<usize>) -> Vec<u8> {
    for &(at, value) in changes {
        let n = bytes.len();
        bytes[at % n] = value;
    }
    if let Some(cut) = cut {
        bytes.truncate(cut);
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn damaged_files_are_refused_or_read_but_never_panic(
        changes in prop::collection::vec((0usize..600, any::<u8>()), 0..6),
        cut in prop::option::of(0usize..400),
    ) {
        for bytes in [&include_bytes!("data/f4.npy")[..], include_bytes!("data/i8.npy")] {
            let _ = Tensor::from_npy_bytes(&damage(bytes.to_vec(), &changes, cut), "damaged");
        }
        #[cfg(feature = "npz")]
        {
            let bytes = include_bytes!("data/compressed.npz").to_vec();
            let _ = Tensor::from_npz_bytes(&damage(bytes, &changes, cut), "damaged");
        }
    }

    #[test]
    fn headers_of_any_size_allocate_nothing(dims in prop::collection::vec(any::<usize>(), 0..10)) {
        let list = dims.iter().map(|d| format!("{d},")).collect::<String>();
        let header = format!("{{'descr': '<f8', 'fortran_order': True, 'shape': ({list})}}\n");
        let mut bytes = b"\x93NUMPY\x02\x00".to_vec();
        bytes.extend((header.len() as u32).to_le_bytes());
        bytes.extend(header.as_bytes());
        prop_assume!(!dims.is_empty() && !dims.contains(&0));
        prop_assert!(Tensor::from_npy_bytes(&bytes, "huge").is_err());
    }
}

#[test]
fn every_float_survives_the_trip() {
    let values = [f32::NAN, f32::INFINITY, -0.0, f32::MIN_POSITIVE, 1e-45, f32::MAX];
    let bytes = Tensor::from(values).to_npy_bytes().unwrap();
    let back = Tensor::from_npy_bytes(&bytes, "trip").unwrap().to_vec::<f32>().unwrap();
    let bits = |values: &[f32]| values.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&back), bits(&values));
}
