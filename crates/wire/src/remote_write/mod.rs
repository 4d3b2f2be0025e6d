//! Remote write 1.0 and 2.0, both ends: a body into borrowed series, and series into a body.

mod body;
mod encoder;
mod encoder_v2;
mod exemplar;
mod histogram;
mod histogram_encoder;
mod labels;
mod media;
mod metadata;
mod request;
mod symbols;
mod v1;
mod v2;

pub use body::{compress, decompress};
pub use encoder::{SeriesContent, WriteRequestEncoder, encode_labels};
pub use encoder_v2::WriteRequestV2Encoder;
pub(crate) use exemplar::check_labels as check_exemplar_labels;
pub(crate) use histogram_encoder::push_histogram;
pub(crate) use labels::{push_label, set_labels};
pub use media::{WriteMessage, check_content_encoding, write_message};
pub use metadata::FamilyMetadata;
pub use request::{TimeSeries, WriteRequest};

/// What one request may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyLimits {
    /// Bytes after decompression.
    pub decompressed_bytes_max: usize,
    /// Series, and separately entries of metadata.
    pub series_max: usize,
    /// Samples, histograms and exemplars together.
    pub samples_max: usize,
    /// Strings in the symbol table of 2.0.
    pub symbols_max: usize,
    /// What one series' labels may be.
    pub labels: LabelLimits,
}

impl Default for BodyLimits {
    /// 32 MiB as Prometheus and VictoriaMetrics accept; the counts are far above the 2,000 samples that senders batch.
    fn default() -> BodyLimits {
        BodyLimits {
            decompressed_bytes_max: 32 << 20,
            series_max: 100_000,
            samples_max: 1_000_000,
            symbols_max: 1_000_000,
            labels: LabelLimits::default(),
        }
    }
}

/// What the labels of one series may be; a series beyond is refused and the others are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LabelLimits {
    /// Labels.
    pub labels_max: usize,
    /// Bytes of a name.
    pub name_bytes_max: usize,
    /// Bytes of a value; never more than 64 KiB whatever is set here.
    pub value_bytes_max: usize,
}

impl Default for LabelLimits {
    fn default() -> LabelLimits {
        LabelLimits { labels_max: 64, name_bytes_max: 1024, value_bytes_max: 4096 }
    }
}
