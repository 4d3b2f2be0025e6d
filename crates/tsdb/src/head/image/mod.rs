//! The head image: what the head had when the log had come to a place, in one file, so that a start reads the log from there.
//!
//! It is never the truth, the log is: all of it stays until blocks have its samples, and an image of which anything is
//! not as it should be is removed, with the head chunk files it refers to, before the log is read from its beginning.
//!
//! Why a head made of an image and of the log behind that place is the head that the whole log makes: the series are
//! copied one by one while commits go on, so the copy of a series has all changes from before the place and some of those
//! behind it. To apply changes again changes nothing: at each timestamp the first value since the last deletion
//! counts, and it is the same whether or not the copy has it already. Flushes wait while an image is written, and remove
//! the last one before they begin, so that no image brings back what has left the head.

mod layout;
mod read;
mod write;

pub(crate) use layout::IMAGE_FILE;
pub(crate) use read::{Image, remove};
pub(super) use read::{Loaded, LoadedSeries};
pub(super) use write::write;
