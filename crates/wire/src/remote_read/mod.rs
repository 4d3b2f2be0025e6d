//! Remote read: a question into matchers, and series into either kind of answer.

mod chunked;
mod request;
mod response;

pub use chunked::{ChunkEncoding, FRAME_BYTES_TYPICAL, ReadChunk, push_frames};
pub use request::{ReadAnswer, ReadQuery, ReadRequest};
pub use response::ReadResponseEncoder;
