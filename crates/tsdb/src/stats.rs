//! Figures of the store, for metrics and status pages.

use std::sync::Arc;
use std::time::Duration;

use model::Timestamp;

use crate::block::Block;
use crate::error::Rejection;
use crate::head::{Head, Kinds};

/// What the store holds and has done since it was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Series in the head.
    pub head_series: usize,
    /// Label pairs in the head.
    pub head_label_pairs: usize,
    /// Chunks in the head.
    pub head_chunks: usize,
    /// Bytes in the head's chunks.
    pub head_chunk_bytes: usize,
    /// Exemplars that are kept.
    pub exemplars: usize,
    /// Oldest sample in the head, or older.
    pub head_mint: Option<Timestamp>,
    /// Newest sample of the store.
    pub head_maxt: Option<Timestamp>,
    /// Samples and exemplars written.
    pub written: Kinds,
    /// Samples that were there already.
    pub samples_duplicate: u64,
    /// Written samples that were older than the newest of their series.
    pub samples_out_of_order: u64,
    /// Samples refused, by reason.
    pub samples_refused: Vec<(Rejection, u64)>,
    /// The longest time for which maintenance kept writes away.
    pub longest_hold: Duration,
    /// The log's current segment.
    pub wal_segment: u64,
    /// Bytes appended to the log.
    pub wal_appended_bytes: u64,
    /// Syncs of the log.
    pub wal_syncs: u64,
    /// Those of them that failed.
    pub wal_sync_failures: u64,
    /// Whether the log takes nothing until it finds a file that works.
    pub wal_read_only: bool,
    /// Compactions done: blocks merged, or one written anew.
    pub compactions: u64,
    /// Blocks.
    pub blocks: usize,
    /// Bytes of all blocks.
    pub block_bytes: u64,
    /// Oldest timestamp of all blocks.
    pub blocks_mint: Option<Timestamp>,
}

impl Stats {
    pub(crate) fn collect(head: &Head, blocks: &[Arc<Block>]) -> Stats {
        let (figures, (chunks, bytes), log) = (head.stats(), head.size(), head.log().stats());
        Stats {
            head_series: figures.series,
            head_label_pairs: figures.label_pairs,
            head_chunks: chunks,
            head_chunk_bytes: bytes,
            exemplars: figures.exemplars,
            head_mint: figures.mint,
            head_maxt: figures.maxt,
            written: figures.written,
            samples_duplicate: figures.duplicates,
            samples_out_of_order: figures.out_of_order,
            samples_refused: Rejection::ALL.into_iter().zip(figures.refused).collect(),
            longest_hold: head.longest_hold(),
            wal_segment: log.segment,
            wal_appended_bytes: log.appended_bytes,
            wal_syncs: log.syncs,
            wal_sync_failures: log.sync_failures,
            wal_read_only: log.read_only,
            compactions: 0,
            blocks: blocks.len(),
            block_bytes: blocks.iter().map(|block| block.size_bytes()).sum(),
            blocks_mint: blocks.iter().map(|block| block.range().start).min(),
        }
    }
}
