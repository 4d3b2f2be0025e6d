//! TEMPORARY shape of the block API so that head, querier and server compile meanwhile: the block engineer replaces this whole file and keeps these names (the lead's code in flush.rs, merged.rs, querier.rs, db.rs uses them).
#![expect(missing_docs, reason = "temporary")]
use std::sync::Arc;
use model::*;
use crate::chunk::*;
#[derive(Debug, thiserror::Error)]
pub enum BlockError { #[error(transparent)] Interrupted(#[from] Interrupt), #[error("x")] X, #[error(transparent)] Disk(#[from] disk::DiskError) }
pub struct Block; pub struct BlockMeta { pub ulid: ulid::Ulid }
#[derive(Clone,Copy,Debug)]
pub struct WalCover { pub segment: u64, pub before: Timestamp }
#[derive(Clone,Copy,Debug)]
pub struct ChunkMeta { pub mint: Timestamp, pub maxt: Timestamp, pub reference: u64 }
pub struct BlockSeries { pub labels: Labels, pub chunks: Box<[ChunkMeta]> }
pub struct BlockSpec { pub ulid: ulid::Ulid, pub range: BlockRange, pub sources: Vec<ulid::Ulid>, pub level: u32, pub wal_cover: Option<WalCover> }
pub struct SeriesChunks { pub labels: Labels, pub chunks: Vec<EncodedChunk> }
pub fn write_block(_: &disk::Dir, _: BlockSpec, _: impl Iterator<Item=Result<SeriesChunks, BlockError>>) -> Result<BlockMeta, BlockError> { Err(BlockError::X) }
impl BlockMeta { pub fn wal_cover(&self) -> Option<WalCover> { None } }
impl Block { pub fn open(_: &disk::Dir, _: &str, _: usize) -> Result<Block, BlockError> { Err(BlockError::X) }
 pub fn range(&self) -> BlockRange { BlockRange{start:0,end:0} } pub fn meta(&self) -> &BlockMeta { panic!() } pub fn size_bytes(&self) -> u64 { 0 }
 pub fn chunk(&self, _: &ChunkMeta) -> Result<(Encoding, &[u8]), BlockError> { Err(BlockError::X) }
 pub fn select(&self, _: &[Matcher], _: TimeRange, _: &Budget) -> Result<Vec<Arc<BlockSeries>>, BlockError> { Ok(vec![]) } }
