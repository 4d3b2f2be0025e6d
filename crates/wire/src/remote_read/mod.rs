//! Remote read: a question into matchers, and series into either kind of answer.

mod chunked;
mod media;
mod request;
mod response;

pub use chunked::{ChunkEncoding, FRAME_BYTES_TYPICAL, ReadChunk, push_frames};
pub use media::{SAMPLES_CONTENT_TYPE, STREAMED_CONTENT_TYPE};
pub use request::{ReadAnswer, ReadQuery, ReadRequest};
pub use response::ReadResponseEncoder;
