//! Reads every byte of a store's blocks and log and checks it against the rules of the format, those of Thanos included.

mod block;

use std::collections::BTreeSet;

use disk::Dir;
use ulid::Ulid;

use crate::block::{Block, BlockMeta, Caches};
use crate::error::TsdbError;
use crate::integrity::{Finding, Findings};
use crate::wal;

/// So many problems are quoted; the others are counted.
const PROBLEMS_MAX: usize = 1000;

/// A rule that every block keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Check {
    /// All checksums are right, and what is under them has the shape it should have.
    Readable,
    /// The sources name the block itself if it was never merged, and some block in any case: Thanos deletes others.
    Sources,
    /// No two blocks have the same sources, or one of them all of the other's: Thanos hides one of the two.
    SharedSources,
    /// Blocks share no time: Thanos' compactor halts.
    BlockOverlap,
    /// The index has its sections in the order that Thanos cuts it by.
    SectionOrder,
    /// Series ascend by their labels, each once, none without a label.
    SeriesOrder,
    /// Every series has a chunk.
    SeriesChunks,
    /// Chunks lie inside their block: Thanos' compactor halts.
    ChunkBounds,
    /// Chunks hold the samples that the index says: their first and last time, ascending.
    ChunkSamples,
    /// Chunks are of a kind that Thanos knows.
    ChunkEncoding,
    /// Postings name each series under each of its label pairs, and no other.
    Postings,
    /// `meta.json` counts what is there.
    Counts,
}

impl Check {
    /// The rule's name in a report.
    pub fn name(self) -> &'static str {
        match self {
            Check::Readable => "readable",
            Check::Sources => "sources",
            Check::SharedSources => "shared-sources",
            Check::BlockOverlap => "block-overlap",
            Check::SectionOrder => "section-order",
            Check::SeriesOrder => "series-order",
            Check::SeriesChunks => "series-chunks",
            Check::ChunkBounds => "chunk-bounds",
            Check::ChunkSamples => "chunk-samples",
            Check::ChunkEncoding => "chunk-encoding",
            Check::Postings => "postings",
            Check::Counts => "counts",
        }
    }
}

/// A rule that is broken somewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The rule.
    pub check: Check,
    /// The block or file, relative to the data directory.
    pub file: String,
    /// What was found.
    pub what: String,
}

/// What a verification read, and what it found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Blocks that could be opened.
    pub blocks: u64,
    /// Series in them.
    pub series: u64,
    /// Chunks in them.
    pub chunks: u64,
    /// Samples in them.
    pub samples: u64,
    /// Records of the log, its checkpoint included.
    pub records: u64,
    /// The first problems, block by block.
    pub problems: Vec<Problem>,
    /// Problems beyond those.
    pub problems_unquoted: u64,
}

impl Report {
    fn tell(&mut self, check: Check, file: impl Into<String>, what: impl Into<String>) {
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(Problem { check, file: file.into(), what: what.into() });
        } else {
            self.problems_unquoted += 1;
        }
    }
}

/// Verifies all blocks and the log in the data directory `dir`. Nothing is changed. Cost: reads and decodes everything once.
pub fn verify(dir: &Dir) -> Result<Report, TsdbError> {
    let (mut report, mut metas) = (Report::default(), Vec::new());
    let is_block = |name: &str| Ulid::from_string(name).is_ok();
    for entry in dir.list()?.into_iter().filter(|entry| entry.is_dir && is_block(&entry.name)) {
        let findings = Findings::default();
        match Block::open_telling(dir, &entry.name, &Caches::new(0, 0), findings.clone()) {
            Ok(block) => {
                report.blocks += 1;
                for Finding { file, what, .. } in findings.all() {
                    report.tell(Check::Readable, file, what);
                }
                block::verify(&block, &mut report);
                metas.push(block.meta().clone());
            }
            Err(e) => report.tell(Check::Readable, entry.name, e.to_string()),
        }
    }
    between(&mut metas, &mut report);
    report.records = wal::verify(dir, &mut |file, what| report.tell(Check::Readable, file, what))?;
    Ok(report)
}

/// Checks blocks against each other.
fn between(metas: &mut [BlockMeta], report: &mut Report) {
    metas.sort_by_key(|meta| (meta.min_time, meta.ulid));
    let mut last: Option<&BlockMeta> = None;
    for meta in metas.iter() {
        if let Some(last) = last.filter(|last| meta.min_time < last.max_time) {
            let what = format!("starts at {} before block {} ends at {}", meta.min_time, last.ulid, last.max_time);
            report.tell(Check::BlockOverlap, meta.ulid.to_string(), what);
        }
        last = last.filter(|last| last.max_time > meta.max_time).or(Some(meta));
    }
    let sources = |meta: &BlockMeta| meta.compaction.sources.iter().copied().collect::<BTreeSet<Ulid>>();
    let all: Vec<(Ulid, BTreeSet<Ulid>)> = metas.iter().map(|meta| (meta.ulid, sources(meta))).collect();
    for (own, of_own) in all.iter().filter(|(_, of_own)| !of_own.is_empty()) {
        if let Some((other, _)) = all.iter().find(|(other, of_other)| other != own && of_own.is_subset(of_other)) {
            report.tell(
                Check::SharedSources,
                own.to_string(),
                format!("all its sources are those of block {other} too"),
            );
        }
    }
}

#[cfg(test)]
mod tests;
