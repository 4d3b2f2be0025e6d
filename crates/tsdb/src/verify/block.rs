//! One block: all its series, chunks and postings.

use model::{Labels, TimeRange};
use roaring::RoaringBitmap;

use super::{Check, Report};
use crate::block::{Block, BlockError, BlockSeries, BlockStats, ChunkMeta};
use crate::chunk;

/// Checks everything inside `block`.
pub(super) fn verify(block: &Block, report: &mut Report) {
    let (meta, name) = (block.meta(), block.meta().ulid.to_string());
    let sources = &meta.compaction.sources;
    if sources.is_empty() || meta.compaction.level == 1 && !sources.contains(&meta.ulid) {
        let found = sources.len();
        report.tell(Check::Sources, &name, format!("the block itself is not among its {found} sources"));
    }
    if !block.index().sections_are_in_order() {
        report.tell(Check::SectionOrder, format!("{name}/index"), "sections are not one behind the other");
    }
    let mut counted = BlockStats::default();
    let (refs, pairs) = verify_series(block, &mut counted, report);
    verify_postings(block, &refs, pairs, report);
    let said = (meta.stats.num_series, meta.stats.num_chunks, meta.stats.num_samples);
    let found = (counted.num_series, counted.num_chunks, counted.num_samples);
    if said != found {
        let what = format!("series, chunks and samples are {found:?} and not {said:?}");
        report.tell(Check::Counts, format!("{name}/meta.json"), what);
    }
    report.series += counted.num_series;
    report.chunks += counted.num_chunks;
    report.samples += counted.num_samples;
}

/// Checks the series and their chunks. Returns their references and the number of their label pairs.
fn verify_series(block: &Block, counted: &mut BlockStats, report: &mut Report) -> (RoaringBitmap, u64) {
    let index = format!("{}/index", block.meta().ulid);
    let (mut refs, mut pairs, mut last) = (RoaringBitmap::new(), 0, Labels::empty());
    let found = match block.read_series() {
        Ok(found) => found,
        Err(e) => {
            report.tell(Check::Readable, index, e.to_string());
            return (refs, pairs);
        }
    };
    for series in found {
        let series = match series {
            Ok(series) => series,
            Err(e) => {
                report.tell(Check::Readable, &index, e.to_string());
                continue;
            }
        };
        if series.labels <= last {
            report.tell(Check::SeriesOrder, &index, format!("series {} comes after {last}", series.labels));
        }
        if series.chunks.is_empty() {
            report.tell(Check::SeriesChunks, &index, format!("series {} has no chunk", series.labels));
        }
        for meta in &series.chunks {
            counted.num_samples += verify_chunk(block, &series, meta, report);
        }
        refs.insert(series.reference);
        pairs += series.labels.len() as u64;
        counted.num_chunks += series.chunks.len() as u64;
        counted.num_series += 1;
        last = series.labels;
    }
    (refs, pairs)
}

/// Checks one chunk and returns the number of its samples.
fn verify_chunk(block: &Block, series: &BlockSeries, meta: &ChunkMeta, report: &mut Report) -> u64 {
    let (name, range) = (block.meta().ulid.to_string(), block.range());
    let (ChunkMeta { mint, maxt, .. }, labels) = (*meta, &series.labels);
    if !range.contains(mint) || !range.contains(maxt) {
        let what = format!("chunk [{mint}, {maxt}] of {labels} leaves [{}, {})", range.start, range.end);
        report.tell(Check::ChunkBounds, &name, what);
    }
    let (encoding, bytes) = match block.chunk(meta) {
        Ok(chunk) => chunk,
        Err(e @ BlockError::Unsupported { .. }) => {
            report.tell(Check::ChunkEncoding, name, e.to_string());
            return 0;
        }
        Err(e) => {
            report.tell(Check::Readable, name, e.to_string());
            return 0;
        }
    };
    match chunk::samples(encoding, bytes, TimeRange::ALL) {
        Err(e) => report.tell(Check::ChunkSamples, name, format!("chunk [{mint}, {maxt}] of {labels}: {e}")),
        Ok(samples) => {
            let times = samples.first().map(|(t, _)| *t).zip(samples.last().map(|(t, _)| *t));
            let ascend = samples.is_sorted_by(|(a, _), (b, _)| a < b);
            if times != Some((mint, maxt)) || !ascend {
                let what = format!("chunk [{mint}, {maxt}] of {labels} has samples at {times:?}");
                report.tell(Check::ChunkSamples, name, what);
            }
            return samples.len() as u64;
        }
    }
    0
}

/// Checks that each pair's list names series there are, and that all lists together name as many as there are pairs.
fn verify_postings(block: &Block, refs: &RoaringBitmap, pairs: u64, report: &mut Report) {
    let (file, index) = (format!("{}/index", block.meta().ulid), block.index());
    let mut named = 0;
    for name in index.names() {
        for value in index.values(name) {
            match value.and_then(|value| Ok((value.text(), value.references()?))) {
                Ok((text, listed)) => {
                    named += listed.len();
                    if !listed.is_subset(refs) {
                        report.tell(Check::Postings, &file, format!("{name}={text:?} names series that are not there"));
                    }
                }
                Err(e) => report.tell(Check::Readable, &file, e.to_string()),
            }
        }
    }
    if named != pairs {
        report.tell(
            Check::Postings,
            file,
            format!("the lists name {named} series where the series have {pairs} labels"),
        );
    }
}
