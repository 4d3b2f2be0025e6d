//! Bytes to model and back: remote write and read, metrics as text, Prometheus' JSON; no socket, no HTTP.

mod error;
pub mod exposition;
mod field;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
pub mod json;
pub mod remote_read;
pub mod remote_write;

pub use error::{
    ExemplarFault, ExpositionError, HistogramFault, LabelError, LabelFault, ReadError, UnsupportedMedia, WireError,
};

/// The messages of `proto/` as generated: the oracle of tests, never the receive path.
#[doc(hidden)]
pub mod proto {
    include!(concat!(env!("OUT_DIR"), "/prometheus.rs"));

    /// Those of remote write 2.0.
    pub mod v2 {
        include!(concat!(env!("OUT_DIR"), "/io.prometheus.write.v2.rs"));
    }
}
