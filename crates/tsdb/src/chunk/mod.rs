//! Chunks: the compressed samples of one series over a short time, byte for byte as Prometheus encodes them.

mod appender;
mod bit_reader;
mod bit_writer;
mod histogram;
pub(crate) mod varint;
pub mod xor;

use std::sync::Arc;

use model::{Columns, Histogram, SampleValue, TimeRange, Timestamp};
use thiserror::Error;

pub use appender::{ChunkAppender, encode};
pub use xor::XorAppender;
pub(crate) use xor::XorState;

/// Samples in a chunk that is full. Source: Prometheus `tsdb/head_append.go`, `samplesPerChunk`.
pub(crate) const SAMPLES_PER_CHUNK: u16 = 120;

/// From here on a float cannot tell a whole number from the next one.
const WHOLE_MAX: f64 = (1_u64 << f64::MANTISSA_DIGITS) as f64;

/// How a chunk's bytes are encoded; the number is the one on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Encoding {
    /// Floats.
    Xor = 1,
    /// Native histograms with integer counts.
    Histogram = 2,
    /// Native histograms with float counts.
    FloatHistogram = 3,
}

impl Encoding {
    /// The encoding with this number on disk.
    pub fn from_byte(byte: u8) -> Option<Encoding> {
        match byte {
            1 => Some(Encoding::Xor),
            2 => Some(Encoding::Histogram),
            3 => Some(Encoding::FloatHistogram),
            _ => None,
        }
    }

    /// The encoding's number on disk.
    pub fn byte(self) -> u8 {
        self as u8
    }
}

/// A finished chunk on its way into a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedChunk {
    /// When its first sample was taken.
    pub mint: Timestamp,
    /// When its last sample was taken.
    pub maxt: Timestamp,
    /// How `bytes` are encoded.
    pub encoding: Encoding,
    /// The encoded samples, their count in front.
    pub bytes: Vec<u8>,
}

impl EncodedChunk {
    /// The number of samples its bytes claim to hold: in every encoding, the big-endian number they start with.
    pub fn num_samples(&self) -> u16 {
        num_samples(&self.bytes)
    }
}

/// Appends the samples of a chunk that lie in `range` to the columns of their kind.
///
/// Shape: `into` keeps what it holds; timestamps ascend within the chunk.
/// Errors: bytes that no encoder makes; `into` is then as before.
pub fn decode(encoding: Encoding, bytes: &[u8], range: TimeRange, into: &mut Columns) -> Result<(), ChunkError> {
    match encoding {
        Encoding::Xor => xor::decode(bytes, range, into),
        Encoding::Histogram | Encoding::FloatHistogram => {
            let (timestamps, histograms): (Vec<_>, Vec<_>) = histograms(encoding, bytes, range)?.into_iter().unzip();
            into.histogram_timestamps.extend(timestamps);
            into.histograms.extend(histograms);
            Ok(())
        }
    }
}

/// The samples of a chunk that lie in `range`, ascending, each of the kind it was written as.
///
/// Errors: bytes that no encoder makes.
pub fn samples(
    encoding: Encoding,
    bytes: &[u8],
    range: TimeRange,
) -> Result<Vec<(Timestamp, SampleValue)>, ChunkError> {
    if encoding == Encoding::Xor {
        let mut columns = Columns::default();
        xor::decode(bytes, range, &mut columns)?;
        return Ok(columns.timestamps.into_iter().zip(columns.values.into_iter().map(SampleValue::Float)).collect());
    }
    let value = |histogram: Arc<Histogram>| match encoding {
        Encoding::Histogram if is_exact(&histogram) => SampleValue::Histogram(histogram),
        Encoding::Histogram | Encoding::FloatHistogram | Encoding::Xor => SampleValue::FloatHistogram(histogram),
    };
    Ok(histograms(encoding, bytes, range)?.into_iter().map(|(t, histogram)| (t, value(histogram))).collect())
}

/// The histograms of a chunk that lie in `range`; a chunk of floats has none.
fn histograms(
    encoding: Encoding,
    bytes: &[u8],
    range: TimeRange,
) -> Result<Vec<(Timestamp, Arc<Histogram>)>, ChunkError> {
    match encoding {
        Encoding::Xor => Ok(Vec::new()),
        Encoding::Histogram => histogram::decode::<histogram::Whole>(bytes, range),
        Encoding::FloatHistogram => histogram::decode::<xor::XorValue>(bytes, range),
    }
}

/// Whether all counts are below 2^53, so that no whole number was rounded.
fn is_exact(histogram: &Histogram) -> bool {
    let totals = [histogram.count, histogram.zero_count];
    let counts = totals.iter().chain(&histogram.positive_buckets).chain(&histogram.negative_buckets);
    counts.into_iter().all(|count| count.abs() < WHOLE_MAX)
}

/// The number of samples that a chunk's bytes claim to hold; none when there is not even a header.
pub(crate) fn num_samples(bytes: &[u8]) -> u16 {
    bytes.first_chunk().map_or(0, |header| u16::from_be_bytes(*header))
}

/// Why a chunk could not be decoded.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum ChunkError {
    /// The bytes are not what any encoder writes.
    #[error("corrupt chunk: {what}")]
    Corrupt {
        /// What is wrong with them.
        what: &'static str,
    },
}

#[cfg(test)]
mod tests;
