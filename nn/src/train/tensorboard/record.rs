//! Records in a file, each with check sums by which a reader knows that it is whole.
//!
//! length (u64) · mask(crc32c(length)) (u32) · bytes · mask(crc32c(bytes)) (u32), all little endian, where
//! mask(c) = rotate_right(c, 15) + 0xa282ead8

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;

use plies_tensor::Error;
use prost::Message;

/// A file that records are appended to.
#[derive(Debug)]
pub(super) struct RecordFile {
    path: PathBuf,
    file: File,
}

impl RecordFile {
    /// A new file.
    pub(super) fn create(path: PathBuf) -> Result<Self, Error> {
        match OpenOptions::new().append(true).create_new(true).open(&path) {
            Ok(file) => Ok(RecordFile { path, file }),
            Err(source) => Err(Error::Io { path, source }),
        }
    }

    /// Appends a message, in one piece.
    pub(super) fn write(&mut self, message: &impl Message) -> Result<(), Error> {
        let record = record(&message.encode_to_vec());
        let at = |source| Error::Io { path: self.path.clone(), source };
        self.file.write_all(&record).map_err(at)
    }
}

/// The bytes of a record.
pub(super) fn record(bytes: &[u8]) -> Vec<u8> {
    let length = (bytes.len() as u64).to_le_bytes();
    [&length[..], &masked_crc(&length), bytes, &masked_crc(bytes)].concat()
}

fn masked_crc(bytes: &[u8]) -> [u8; 4] {
    let mask = |crc: u32| crc.rotate_right(15).wrapping_add(0xa282_ead8);
    mask(crc32c::crc32c(bytes)).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::super::event::{Content, Event, Number, SessionLog, Summary, Value};
    use super::super::histogram::histogram;
    use super::*;

    /// `tests/golden/tfevents.py` writes the same events with TensorBoard's own writer.
    #[test]
    fn events_are_the_bytes_that_tensorboard_writes() {
        let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/tensorboard.tfevents");
        let numbers = plies_tensor::Tensor::from([
            -2.5f64, -0.1, -1e-13, 0.0, 0.0, 1e-12, 0.3, 0.3, 1.0, 7.5, 1e21,
        ]);
        let value = |tag: &str, number| Value { tag: tag.to_owned(), number: Some(number) };
        let values = vec![
            value("loss/batch", Number::Simple(0.625)),
            value("empty", Number::Simple(0.0)),
            value("parameter/0.weight", Number::Histogram(histogram(&numbers).unwrap().unwrap())),
        ];
        let events = [
            Event {
                wall_time: 1700000000.25,
                step: 0,
                content: Some(Content::FileVersion("brain.Event:2".to_owned())),
            },
            Event {
                wall_time: 1700000000.5,
                step: 41,
                content: Some(Content::SessionLog(SessionLog::START)),
            },
            Event {
                wall_time: 1700000001.0,
                step: 300,
                content: Some(Content::Summary(Summary { value: values })),
            },
        ];
        let written: Vec<u8> =
            events.iter().flat_map(|event| record(&event.encode_to_vec())).collect();
        assert!(written == std::fs::read(golden).unwrap());
    }
}
