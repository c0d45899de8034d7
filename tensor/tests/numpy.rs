//! NumPy's files, made by `data/make.py`, and damaged files.

use plies_tensor::{DType, Tensor};
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
        "big.npy: element [1] is 2147483648, which does not fit into i32; save \
         array.astype('float64') instead"
    );
    let f2 = read(include_bytes!("data/f2.npy"));
    let f2: Vec<f64> = f2.to_dtype(DType::F64).to_vec().unwrap();
    let expected =
        [0.0, 0.0, 1.0, -2.5, 65504.0, 5.960_464_477_539_063e-8, 6.097_555_160_522_461e-5];
    assert_eq!(f2[..7], expected);
    assert!(f2[1].is_sign_negative() && f2[7] == 0.333_251_953_125);
    assert!(f2[8] == f64::INFINITY && f2[9].is_nan());
    let i2 = read(include_bytes!("data/i2_big_endian.npy"));
    assert_eq!(i2.to_vec::<i32>().unwrap(), [-2, 258]);
    assert_eq!(read(include_bytes!("data/version_3.npy")).to_vec::<f32>().unwrap()[5], 1.25);
}

#[test]
fn an_error_says_what_is_wrong_and_what_to_do() {
    let reason = |bytes: &[u8]| Tensor::from_npy_bytes(bytes, "file").unwrap_err().to_string();
    let f4 = include_bytes!("data/f4.npy");
    for (bytes, parts) in [
        (
            &include_bytes!("data/u8_too_large.npy")[..],
            ["[0, 2] is 18446744073709551615", "astype"],
        ),
        (include_bytes!("data/records.npy"), ["records", "array of its own"]),
        (include_bytes!("data/complex.npy"), ["'<c8'", "astype('float32')"]),
        (include_bytes!("data/stored.npz"), ["archive", "Tensor::read_npz"]),
        (b"", ["ends after 0 bytes", "npy"]),
        (b"\x93NUM", ["ends after 4 bytes", "npy"]),
        (b"GIF89a..............", ["GIF89a", "NUMPY"]),
        (&f4[..11], ["file", "ends too early"]),
        (&f4[..f4.len() - 1], ["shape [2, 3] of f4 needs 24 bytes, 23 follow", "cut off"]),
        (&[&f4[..], b"!"].concat(), ["24 bytes, 25 follow", "appended"]),
    ] {
        let reason = reason(bytes);
        assert!(parts.iter().all(|part| reason.contains(part)), "{reason}: {parts:?}");
    }
}

#[test]
fn threads_that_write_one_file_do_not_mix() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.npy");
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let path = &path;
            scope.spawn(move || {
                for _ in 0..10 {
                    let n = 1000 * (thread + 1);
                    Tensor::from(vec![thread as f32; n]).write_npy(path).unwrap();
                    let read = Tensor::read_npy(path).unwrap().to_vec::<f32>().unwrap();
                    assert_eq!(read.len(), 1000 * (read[0] as usize + 1));
                }
            });
        }
    });
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
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

#[cfg(feature = "npz")]
#[test]
fn a_large_array_is_chunked_and_compressed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.npz");
    let x = Tensor::arange(100_001).to_dtype(DType::F64) / 8.0;
    let zeros = x.zeros_like();
    Tensor::write_npz(&path, [("x", &x), ("zeros", &zeros)]).unwrap();
    let first = std::fs::read(&path).unwrap();
    let back = Tensor::read_npz(&path).unwrap();
    assert_eq!(back["x"].to_vec::<f64>().unwrap(), x.to_vec::<f64>().unwrap());
    assert_eq!(back["zeros"].to_vec::<f64>().unwrap(), zeros.to_vec::<f64>().unwrap());
    Tensor::write_npz(&path, [("x", &x), ("zeros", &zeros)]).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), first);
    let twice = Tensor::write_npz(&path, [("x", &x), ("x", &x)]).unwrap_err().to_string();
    assert!(twice.contains("x.npz"), "{twice}");
    assert_eq!(std::fs::read(&path).unwrap(), first);
}

#[cfg(feature = "npz")]
#[test]
fn a_member_that_claims_too_much_is_refused_before_memory_is_asked_for() {
    let mut bytes = include_bytes!("data/compressed.npz").to_vec();
    // The unpacked size of the first member in the central directory.
    let entry = bytes.windows(4).position(|w| w == b"PK\x01\x02").unwrap();
    bytes[entry + 24..entry + 28].copy_from_slice(&[0, 0, 0, 0x7f]);
    let reason = Tensor::from_npz_bytes(&bytes, "bomb.npz").unwrap_err().to_string();
    assert!(reason.contains("bomb.npz[a]") && reason.contains("cannot unpack"), "{reason}");
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

    #[test]
    fn empty_tensors_with_dimensions_of_any_size_are_refused_or_usable(
        mut dims in prop::collection::vec((any::<usize>(), 0..usize::BITS), 0..8)
            .prop_map(|dims| dims.into_iter().map(|(d, by)| d >> by).collect::<Vec<_>>()),
        at in any::<prop::sample::Index>(),
        fortran_order in any::<bool>(),
    ) {
        dims.insert(at.index(dims.len() + 1), 0);
        let list = dims.iter().map(|d| format!("{d},")).collect::<String>();
        let order = if fortran_order { "True" } else { "False" };
        let header = format!("{{'descr': '<f8', 'fortran_order': {order}, 'shape': ({list})}}\n");
        let mut bytes = b"\x93NUMPY\x02\x00".to_vec();
        bytes.extend((header.len() as u32).to_le_bytes());
        bytes.extend(header.as_bytes());
        let room = dims.iter().try_fold(8isize, |n, &d| n.checked_mul(d.max(1).try_into().ok()?));
        match Tensor::from_npy_bytes(&bytes, "empty") {
            Ok(empty) => {
                prop_assert!(room.is_some());
                prop_assert_eq!(empty.dims(), dims);
                prop_assert_eq!(empty.to_string(), "[]");
                prop_assert!(Tensor::from_npy_bytes(&empty.to_npy_bytes().unwrap(), "").is_ok());
            }
            Err(error) => prop_assert!(room.is_none(), "{}", error),
        }
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
