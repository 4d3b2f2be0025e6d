//! The store: head, WAL, blocks, and one querier over all of them.

pub mod block;
pub mod chunk;
pub mod index;
