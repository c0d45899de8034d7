//! Reads IDX files, the format of MNIST, EMNIST and Fashion-MNIST.
//!
//! Layout, big-endian: two zero bytes, a type byte (`08` = unsigned byte), the rank R, R dimensions
//! of 32 bits, then the values in row-major order. A file may be gzip-compressed; its first two
//! bytes tell, not its name.
//!
//! Every file is taken as hostile: the header is read and checked before any value, at most one
//! byte more than it declares is ever decompressed, and memory grows with what arrives, not with
//! what is promised.

use std::{
    fs::{self, File},
    io::{self, BufReader, Read},
    path::{Path, PathBuf},
};

use flate2::read::MultiGzDecoder;
use thiserror::Error;

/// Rows of an image.
pub const ROWS: usize = 28;
/// Columns of an image.
pub const COLS: usize = 28;
/// Pixels of an image.
pub const PIXELS: usize = ROWS * COLS;
/// Classes: the labels are 0 to 9.
pub const N_CLASSES: usize = 10;
/// No more examples than this are read from one file (EMNIST's largest set has 814,255).
pub const MAX_COUNT: usize = 1 << 20;

const LABELS_MAGIC: u32 = 0x0000_0801;
const IMAGES_MAGIC: u32 = 0x0000_0803;

/// What is wrong with a file of examples: the file, and the [`Fault`].
#[derive(Debug, Error)]
#[error("{}: {fault}", file.display())]
pub struct IdxError {
    /// The file, as it was named.
    pub file: PathBuf,
    /// What is wrong with it.
    pub fault: Fault,
}

/// The faults that an IDX file may have; each says what to do where that is not plain.
#[derive(Debug, Error)]
pub enum Fault {
    /// The operating system would not give the file.
    #[error("{0}")]
    Unreadable(io::Error),
    /// A folder misses one of the four files.
    #[error("holds no {wanted}(.gz); four IDX files are wanted: images and labels, train and test")]
    Missing {
        /// The canonical name that was looked for.
        wanted: &'static str,
    },
    /// `--data` names something that is not a folder.
    #[error("is not a folder; name the folder that holds the four IDX files")]
    NotAFolder,
    /// A labels file where an images file belongs.
    #[error(
        "holds labels (magic 0x00000801), expected images (0x00000803); are the two files swapped?"
    )]
    LabelsForImages,
    /// An images file where a labels file belongs.
    #[error(
        "holds images (magic 0x00000803), expected labels (0x00000801); are the two files swapped?"
    )]
    ImagesForLabels,
    /// The first four bytes are those of neither.
    #[error("is no IDX file of {kind}: its magic is {found:#010x}, expected {expected:#010x}")]
    Magic {
        /// "images" or "labels".
        kind: &'static str,
        /// The first four bytes of the file.
        found: u32,
        /// What they should have been.
        expected: u32,
    },
    /// The images have another size than the networks read.
    #[error("its images have {rows} x {cols} pixels; 28 x 28 are wanted")]
    ImageSize {
        /// Rows by the header.
        rows: u32,
        /// Columns by the header.
        cols: u32,
    },
    /// The count is zero, or past [`MAX_COUNT`].
    #[error("its header promises {0} examples; from 1 to 1048576 are read")]
    Count(u32),
    /// The file ends before what its header promises.
    #[error(
        "is cut short: {found} bytes after the header of {expected}; copy or download it again"
    )]
    Truncated {
        /// Bytes that were there after the header.
        found: u64,
        /// Bytes that the header promises.
        expected: u64,
    },
    /// The header itself is cut.
    #[error("is cut short: it ends within its header; copy or download it again")]
    NoHeader,
    /// The file goes on after what its header promises.
    #[error("goes on after the {expected} bytes that its header promises; header or data is wrong")]
    Trailing {
        /// Bytes that the header promises.
        expected: u64,
    },
    /// The compressed stream is damaged.
    #[error("its gzip stream is damaged ({0}); copy or download it again")]
    Gzip(io::Error),
    /// A label that is not a digit.
    #[error("label {value} at index {index} is not in 0 to 9")]
    Label {
        /// The label.
        value: u8,
        /// Its place, from 0.
        index: usize,
    },
    /// As many labels as images are wanted.
    #[error("holds {labels} labels, but {} holds {images} images", images_file.display())]
    Counts {
        /// Labels in this file.
        labels: usize,
        /// Images in the other.
        images: usize,
        /// The other file.
        images_file: PathBuf,
    },
}

/// Images with their labels, in the order of the files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Examples {
    /// One byte a pixel, row-major, [`PIXELS`] for each image; 0 is background, 255 is ink.
    pub pixels: Vec<u8>,
    /// 0 to 9, one for each image.
    pub labels: Vec<u8>,
}

impl Examples {
    /// The number of examples.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The pixels of one image.
    ///
    /// # Panics
    /// Panics when there are not as many images.
    pub fn image(&self, index: usize) -> &[u8] {
        &self.pixels[index * PIXELS..(index + 1) * PIXELS]
    }

    /// Keeps the first `count` examples; does nothing when there are no more than that.
    pub fn truncate(&mut self, count: usize) {
        self.labels.truncate(count);
        self.pixels.truncate(count.saturating_mul(PIXELS));
    }

    /// Takes the last `count` examples out, at most all of them.
    pub fn split_off_last(&mut self, count: usize) -> Examples {
        let kept = self.len().saturating_sub(count);
        Examples {
            labels: self.labels.split_off(kept),
            pixels: self.pixels.split_off(kept * PIXELS),
        }
    }
}

/// Reads an images file: `[count, 28, 28]` unsigned bytes. `name` is for the messages.
///
/// # Errors
/// Whatever [`Fault`] the bytes have.
pub fn read_images(name: &Path, source: impl Read) -> Result<Vec<u8>, IdxError> {
    images(source).map_err(|fault| IdxError { file: name.into(), fault })
}

/// Reads a labels file: `[count]` unsigned bytes, each 0 to 9. `name` is for the messages.
///
/// # Errors
/// Whatever [`Fault`] the bytes have.
pub fn read_labels(name: &Path, source: impl Read) -> Result<Vec<u8>, IdxError> {
    labels(source).map_err(|fault| IdxError { file: name.into(), fault })
}

/// Reads images and their labels, and checks that there are as many of each.
///
/// # Errors
/// Whatever [`Fault`] either file has.
pub fn read_examples(
    (images_name, images): (&Path, impl Read),
    (labels_name, labels): (&Path, impl Read),
) -> Result<Examples, IdxError> {
    let pixels = read_images(images_name, images)?;
    let labels = read_labels(labels_name, labels)?;
    let images = pixels.len() / PIXELS;
    if images != labels.len() {
        return Err(IdxError {
            file: labels_name.into(),
            fault: Fault::Counts { labels: labels.len(), images, images_file: images_name.into() },
        });
    }
    Ok(Examples { pixels, labels })
}

/// The training and the test set of a folder.
///
/// The four files have MNIST's names, with or without `.gz`, with `-` or `.` before `idx`, or those
/// of EMNIST (`emnist-digits-train-images-idx3-ubyte` and so on; `emnist-mnist-` too). EMNIST's
/// images lie transposed in its files; here they come out upright.
///
/// # Errors
/// The first [`Fault`] of any of the four files.
pub fn read_folder(folder: &Path) -> Result<(Examples, Examples), IdxError> {
    let [train_images, train_labels, test_images, test_labels] = find_all(folder)?;
    Ok((read_split(train_images, train_labels)?, read_split(test_images, test_labels)?))
}

/// The files that [`read_folder`] reads.
///
/// # Errors
/// The first that is not there.
pub fn files(folder: &Path) -> Result<[PathBuf; 4], IdxError> {
    Ok(find_all(folder)?.map(|(file, _)| file))
}

/// Images and labels to train with, images and labels to test with; whether images lie transposed.
fn find_all(folder: &Path) -> Result<[(PathBuf, bool); 4], IdxError> {
    // What is in a folder that cannot be listed cannot be told from what is not there.
    match folder.metadata() {
        Ok(found) if found.is_dir() => fs::read_dir(folder).map(drop),
        Ok(_) => return Err(IdxError { file: folder.into(), fault: Fault::NotAFolder }),
        Err(error) => Err(error),
    }
    .map_err(|error| IdxError { file: folder.into(), fault: Fault::Unreadable(error) })?;
    Ok([
        find(folder, "train-images-idx3-ubyte")?,
        find(folder, "train-labels-idx1-ubyte")?,
        find(folder, "t10k-images-idx3-ubyte")?,
        find(folder, "t10k-labels-idx1-ubyte")?,
    ])
}

fn read_split(
    (images_file, transposed): (PathBuf, bool),
    (labels_file, _): (PathBuf, bool),
) -> Result<Examples, IdxError> {
    let mut examples =
        read_examples((&images_file, open(&images_file)?), (&labels_file, open(&labels_file)?))?;
    if transposed {
        examples.pixels.chunks_exact_mut(PIXELS).for_each(transpose);
    }
    Ok(examples)
}

/// The file of a folder that goes by this canonical name or one of its variants, and whether its
/// images lie transposed.
fn find(folder: &Path, canonical: &'static str) -> Result<(PathBuf, bool), IdxError> {
    let emnist = canonical.replace("t10k", "test");
    let names = [
        (canonical.to_owned(), false),
        (format!("emnist-digits-{emnist}"), true),
        (format!("emnist-mnist-{emnist}"), true),
    ];
    for (name, transposed) in names {
        for name in [name.clone(), name.replace("-idx", ".idx")] {
            for ending in ["", ".gz"] {
                let file = folder.join(format!("{name}{ending}"));
                if file.is_file() {
                    return Ok((file, transposed));
                }
            }
        }
    }
    Err(IdxError { file: folder.into(), fault: Fault::Missing { wanted: canonical } })
}

fn open(file: &Path) -> Result<File, IdxError> {
    File::open(file)
        .map_err(|error| IdxError { file: file.into(), fault: Fault::Unreadable(error) })
}

fn transpose(image: &mut [u8]) {
    for row in 0..ROWS {
        for col in row + 1..COLS {
            image.swap(row * COLS + col, col * ROWS + row);
        }
    }
}

fn images(source: impl Read) -> Result<Vec<u8>, Fault> {
    let mut source = Source::open(source)?;
    match source.u32()? {
        IMAGES_MAGIC => {}
        LABELS_MAGIC => return Err(Fault::LabelsForImages),
        found => return Err(Fault::Magic { kind: "images", found, expected: IMAGES_MAGIC }),
    }
    let [count, rows, cols] = [source.u32()?, source.u32()?, source.u32()?];
    if (rows as usize, cols as usize) != (ROWS, COLS) {
        return Err(Fault::ImageSize { rows, cols });
    }
    source.values(count, PIXELS)
}

fn labels(source: impl Read) -> Result<Vec<u8>, Fault> {
    let mut source = Source::open(source)?;
    match source.u32()? {
        LABELS_MAGIC => {}
        IMAGES_MAGIC => return Err(Fault::ImagesForLabels),
        found => return Err(Fault::Magic { kind: "labels", found, expected: LABELS_MAGIC }),
    }
    let count = source.u32()?;
    let labels = source.values(count, 1)?;
    match labels.iter().position(|&label| usize::from(label) >= N_CLASSES) {
        Some(index) => Err(Fault::Label { value: labels[index], index }),
        None => Ok(labels),
    }
}

/// The raw or decompressed bytes of a file, front to back.
struct Source<'a> {
    bytes: Box<dyn Read + 'a>,
    compressed: bool,
}

impl<'a> Source<'a> {
    fn open(source: impl Read + 'a) -> Result<Source<'a>, Fault> {
        let mut source = BufReader::new(source);
        let mut start = Vec::new();
        source.by_ref().take(2).read_to_end(&mut start).map_err(Fault::Unreadable)?;
        let compressed = start == [0x1f, 0x8b];
        let source = io::Cursor::new(start).chain(source);
        let bytes: Box<dyn Read> =
            if compressed { Box::new(MultiGzDecoder::new(source)) } else { Box::new(source) };
        Ok(Source { bytes, compressed })
    }

    fn u32(&mut self) -> Result<u32, Fault> {
        let mut word = Vec::with_capacity(4);
        self.read(4, &mut word)?;
        word.try_into().map(u32::from_be_bytes).map_err(|_| Fault::NoHeader)
    }

    /// All `count * size` values after the header, and no byte more.
    fn values(mut self, count: u32, size: usize) -> Result<Vec<u8>, Fault> {
        if count == 0 || count as usize > MAX_COUNT {
            return Err(Fault::Count(count));
        }
        // At most 2^20 * 784, so neither the product nor the sum overflows.
        let expected = u64::from(count) * size as u64;
        let mut values = Vec::new();
        // The byte too many proves that the end is reached, and makes gzip compare its checksum.
        self.read(expected + 1, &mut values)?;
        match (values.len() as u64).cmp(&expected) {
            std::cmp::Ordering::Less => {
                Err(Fault::Truncated { found: values.len() as u64, expected })
            }
            std::cmp::Ordering::Greater => Err(Fault::Trailing { expected }),
            std::cmp::Ordering::Equal => Ok(values),
        }
    }

    /// Appends at most `count` bytes; fewer when the stream ends, cleanly or not, before.
    fn read(&mut self, count: u64, into: &mut Vec<u8>) -> Result<(), Fault> {
        match self.bytes.by_ref().take(count).read_to_end(into) {
            Ok(_) => Ok(()),
            // A cut gzip stream: what came before the cut says by how much. One that is cut in
            // its checksum, after the last value, is damaged all the same.
            Err(error)
                if self.compressed
                    && error.kind() == io::ErrorKind::UnexpectedEof
                    && (into.len() as u64) + 1 < count =>
            {
                Ok(())
            }
            Err(error) if self.compressed => Err(Fault::Gzip(error)),
            Err(error) => Err(Fault::Unreadable(error)),
        }
    }
}
