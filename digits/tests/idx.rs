//! The IDX reader against whole, wrong and hostile files.

use std::{
    fs,
    io::{Read, Write},
    path::Path,
};

use flate2::{Compression, write::GzEncoder};
use plies_digits::idx::{self, PIXELS};
use proptest::prelude::*;

fn images_file(count: u32, images: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, 3];
    for dim in [count, 28, 28] {
        bytes.extend(dim.to_be_bytes());
    }
    bytes.extend(images);
    bytes
}

fn labels_file(count: u32, labels: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, 1];
    bytes.extend(count.to_be_bytes());
    bytes.extend(labels);
    bytes
}

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// `count` images of which every pixel is another.
fn pixels(count: usize) -> Vec<u8> {
    (0..count * PIXELS).map(|i| (i * 31 % 251) as u8).collect()
}

fn images_error(bytes: &[u8]) -> String {
    idx::read_images(Path::new("images"), bytes).unwrap_err().to_string()
}

fn labels_error(bytes: &[u8]) -> String {
    idx::read_labels(Path::new("labels"), bytes).unwrap_err().to_string()
}

#[test]
fn raw_and_compressed_files_read_the_same() {
    let (images, labels) = (images_file(3, &pixels(3)), labels_file(3, &[7, 0, 9]));
    for (images, labels) in [(images.clone(), labels.clone()), (gz(&images), gz(&labels))] {
        assert_eq!(idx::read_images(Path::new("i"), &images[..]).unwrap(), pixels(3));
        assert_eq!(idx::read_labels(Path::new("l"), &labels[..]).unwrap(), [7, 0, 9]);
    }
}

#[test]
fn several_gzip_members_are_one_file() {
    let file = labels_file(4, &[1, 2, 3, 4]);
    let members = [gz(&file[..9]), gz(&file[9..])].concat();
    assert_eq!(idx::read_labels(Path::new("l"), &members[..]).unwrap(), [1, 2, 3, 4]);
}

#[test]
fn swapped_files_are_named_as_such() {
    assert_eq!(
        images_error(&labels_file(1, &[1])),
        "images: holds labels (magic 0x00000801), expected images (0x00000803); are the two files \
         swapped?"
    );
    assert_eq!(
        labels_error(&images_file(1, &pixels(1))),
        "labels: holds images (magic 0x00000803), expected labels (0x00000801); are the two files \
         swapped?"
    );
}

#[test]
fn each_fault_is_named() {
    let short = images_file(2, &pixels(2));
    let cut = &short[..short.len() - 5];
    let huge = labels_file(u32::MAX, &[0]);
    let damaged = {
        let mut bytes = gz(&images_file(1, &pixels(1)));
        let checksum = bytes.len() - 6;
        bytes[checksum] ^= 1;
        bytes
    };
    let compressed = gz(&short);
    let rows = [
        (images_error(b"PK\x03\x04 a zip file, say"), "its magic is 0x504b0304"),
        (labels_error(b"PK\x03\x04 a zip file, say"), "expected 0x00000801"),
        (images_error(b""), "ends within its header"),
        (images_error(&[0, 0, 8]), "ends within its header"),
        (images_error(&[0x1f, 0x8b]), "ends within its header"),
        (images_error(&[0x1f, 0x8b, 7, 7, 7, 7, 7, 7, 7, 7, 7]), "gzip stream is damaged"),
        (images_error(cut), "is cut short: 1563 bytes after the header of 1568"),
        (images_error(&compressed[..compressed.len() / 2]), "is cut short"),
        (images_error(&compressed[..compressed.len() - 3]), "gzip stream is damaged"),
        (images_error(&[&short[..], &[0]].concat()), "goes on after the 1568 bytes"),
        (images_error(&damaged), "gzip stream is damaged"),
        (labels_error(&huge), "promises 4294967295 examples"),
        (labels_error(&labels_file(0, &[])), "promises 0 examples"),
        (images_error(&[0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 32, 0, 0, 0, 32]), "32 x 32 pixels"),
        (labels_error(&labels_file(3, &[1, 10, 2])), "label 10 at index 1 is not in 0 to 9"),
    ];
    for (message, part) in rows {
        assert!(message.contains(part), "{message:?} lacks {part:?}");
        assert!(!message.contains('\n'), "{message:?} is one line");
    }
}

#[test]
fn as_many_labels_as_images_are_wanted() {
    let error = idx::read_examples(
        (Path::new("dir/images"), &images_file(2, &pixels(2))[..]),
        (Path::new("dir/labels"), &labels_file(3, &[1, 2, 3])[..]),
    );
    let message = error.unwrap_err().to_string();
    assert_eq!(message, "dir/labels: holds 3 labels, but dir/images holds 2 images");
}

#[test]
fn a_gzip_bomb_is_not_unpacked() {
    // 2 GiB of zeros in 2 MB, behind a header that promises one image.
    struct Counting<R>(R, usize);
    impl<R: Read> Read for Counting<R> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let n = self.0.read(buffer)?;
            self.1 += n;
            Ok(n)
        }
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&images_file(1, &pixels(1))).unwrap();
    for _ in 0..256 {
        encoder.write_all(&vec![0; 1 << 20]).unwrap();
    }
    let bomb = encoder.finish().unwrap();
    let mut source = Counting(&bomb[..], 0);
    let error = idx::read_images(Path::new("bomb"), &mut source).unwrap_err().to_string();
    assert!(error.contains("goes on after the 784 bytes"), "{error}");
    assert!(source.1 < bomb.len() / 4, "{} of {} bytes were read", source.1, bomb.len());
}

/// A promise of a million images with nothing behind it costs no memory.
#[test]
fn memory_grows_with_what_arrives() {
    let message = images_error(&images_file(1 << 20, &[0; 100]));
    assert!(message.contains("100 bytes after the header of 822083584"), "{message}");
}

fn write_four(folder: &Path, names: [&str; 4]) {
    fs::write(folder.join(names[0]), images_file(3, &pixels(3))).unwrap();
    fs::write(folder.join(names[1]), labels_file(3, &[1, 2, 3])).unwrap();
    fs::write(folder.join(names[2]), gz(&images_file(1, &pixels(1)))).unwrap();
    fs::write(folder.join(names[3]), gz(&labels_file(1, &[4]))).unwrap();
}

#[test]
fn a_folder_may_use_any_of_the_usual_names() {
    let rows = [
        [
            "train-images-idx3-ubyte",
            "train-labels-idx1-ubyte.gz",
            "t10k-images-idx3-ubyte.gz",
            "t10k-labels-idx1-ubyte",
        ],
        [
            "train-images.idx3-ubyte",
            "train-labels.idx1-ubyte",
            "t10k-images.idx3-ubyte",
            "t10k-labels.idx1-ubyte",
        ],
        [
            "emnist-digits-train-images-idx3-ubyte",
            "emnist-digits-train-labels-idx1-ubyte",
            "emnist-digits-test-images-idx3-ubyte.gz",
            "emnist-digits-test-labels-idx1-ubyte.gz",
        ],
    ];
    for names in rows {
        let folder = tempfile::tempdir().unwrap();
        write_four(folder.path(), names);
        let (train, test) = idx::read_folder(folder.path()).unwrap();
        assert_eq!((train.labels, test.labels), (vec![1, 2, 3], vec![4]));
        if names[0].starts_with("emnist") {
            let first: Vec<u8> = (0..28).map(|row| test.pixels[row * 28]).collect();
            assert_eq!(first, pixels(1)[..28], "EMNIST's images come out upright");
        } else {
            assert_eq!(test.pixels, pixels(1));
        }
    }
}

#[test]
fn a_folder_without_the_files_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let message = idx::read_folder(folder.path()).unwrap_err().to_string();
    assert!(message.contains("holds no train-images-idx3-ubyte(.gz)"), "{message}");
    let nowhere = folder.path().join("nowhere");
    let message = idx::read_folder(&nowhere).unwrap_err().to_string();
    assert!(message.contains("nowhere: No such file"), "{message}");
    let file = folder.path().join("file");
    fs::write(&file, "x").unwrap();
    assert!(idx::read_folder(&file).unwrap_err().to_string().contains("is not a folder"));
}

#[test]
fn examples_are_cut_from_either_end() {
    let mut examples = idx::Examples { pixels: pixels(5), labels: vec![0, 1, 2, 3, 4] };
    let last = examples.split_off_last(2);
    assert_eq!((last.labels, last.pixels), (vec![3, 4], pixels(5)[3 * PIXELS..].to_vec()));
    examples.truncate(usize::MAX);
    assert_eq!(examples.len(), 3);
    examples.truncate(1);
    assert_eq!(examples.image(0), &pixels(1)[..]);
    assert_eq!((examples.split_off_last(9).len(), examples.is_empty()), (1, true));
}

/// A file with a few bytes changed, cut somewhere, possibly compressed before or after that.
fn mutated(whole: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    let length = whole.len();
    let changes = prop::collection::vec((0..length, any::<u8>()), 0..4);
    // Most faults that matter are in the header.
    let header = prop::collection::vec((0..16.min(length), any::<u8>()), 0..3);
    (changes, header, 0..=length, any::<bool>(), 0..3u8).prop_map(
        move |(changes, header, cut, keep, compress)| {
            let mut bytes = whole.clone();
            if compress == 1 {
                bytes = gz(&bytes);
            }
            for (at, value) in changes.into_iter().chain(header) {
                let at = at % bytes.len();
                bytes[at] = value;
            }
            if !keep {
                bytes.truncate(cut);
            }
            if compress == 2 { gz(&bytes) } else { bytes }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn mutated_images_never_panic(bytes in mutated(images_file(2, &pixels(2)))) {
        if let Ok(images) = idx::read_images(Path::new("images"), &bytes[..]) {
            prop_assert!(images.len() % PIXELS == 0 && !images.is_empty());
        }
    }

    #[test]
    fn mutated_labels_never_panic(bytes in mutated(labels_file(5, &[0, 1, 2, 3, 9]))) {
        if let Ok(labels) = idx::read_labels(Path::new("labels"), &bytes[..]) {
            prop_assert!(labels.iter().all(|&label| label < 10));
        }
    }

    #[test]
    fn any_bytes_at_all_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = idx::read_images(Path::new("images"), &bytes[..]);
        let _ = idx::read_labels(Path::new("labels"), &bytes[..]);
    }
}
