//! What an operator may set about the store.

use crate::quotas::Quotas;

/// The width of a block written from the head. Thanos and Prometheus expect it.
pub(crate) const BLOCK_MS: i64 = 2 * 60 * 60 * 1000;

/// How long after the end of a block range its samples stay in the head, for those that come a little late.
pub(crate) const GRACE_MS: i64 = BLOCK_MS / 2;

/// Settings of a [`crate::Db`].
#[derive(Clone, Debug)]
pub struct Options {
    /// Blocks whose newest sample is older than this are removed; `None` keeps everything. Default: none.
    pub retention_ms: Option<i64>,
    /// The oldest blocks are removed while blocks and log together are larger than this; `None` keeps everything.
    /// Default: none.
    pub retention_bytes: Option<u64>,
    /// The widest block that compaction makes; two hours turn compaction into larger blocks off. `None` is a tenth of
    /// the retention, 31 days at most. Default: none.
    pub block_ms_max: Option<i64>,
    /// How much older than the newest sample of the store a sample may be. Default: 24 hours.
    pub out_of_order_window_ms: i64,
    /// How far a sample may lie ahead of the clock. Default: 10 minutes.
    pub future_ms: i64,
    /// Series of one project in the head; samples of more are refused. Default: 1,000,000.
    pub series_per_project_max: usize,
    /// Exemplars kept of one project; the oldest go first. Default: 10,000.
    pub exemplars_per_project_max: usize,
    /// What single projects may have in place of the two above; may change while the store is open.
    pub quotas: Quotas,
    /// Exemplars kept of all projects together: each may keep its even share, and one in any case. Default: 1,000,000.
    pub exemplars_max: usize,
    /// Bytes for decoded series in each block. Default: 8 MiB, room for about 16,000.
    pub series_cache_bytes: usize,
    /// Bytes for decoded samples of all blocks together. Default: 64 MiB.
    pub decoded_cache_bytes: usize,
    /// Bytes of full chunks in the head that leave the memory for a file together. Default: 4 MiB.
    pub head_chunk_file_bytes: usize,
    /// An image of the head is written once the log has grown by so many bytes, and by half of what the last image has.
    /// Default: 32 MiB.
    pub head_image_log_bytes: u64,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            retention_ms: None,
            retention_bytes: None,
            block_ms_max: None,
            out_of_order_window_ms: 24 * 60 * 60 * 1000,
            future_ms: 10 * 60 * 1000,
            series_per_project_max: 1_000_000,
            exemplars_per_project_max: 10_000,
            quotas: Quotas::default(),
            exemplars_max: 1_000_000,
            series_cache_bytes: 8 << 20,
            decoded_cache_bytes: 64 << 20,
            head_chunk_file_bytes: 4 << 20,
            head_image_log_bytes: 32 << 20,
        }
    }
}
