//! The content types of answers.

/// Of a samples answer, whose encoding is snappy.
pub const SAMPLES_CONTENT_TYPE: &str = "application/x-protobuf";

/// Of a stream of chunk frames, which is not compressed.
pub const STREAMED_CONTENT_TYPE: &str = "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse";
