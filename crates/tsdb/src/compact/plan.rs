//! Which blocks should become one: a pure function of what is there.

use model::BlockRange;
use ulid::Ulid;

use crate::options::BLOCK_MS;

/// Each range of compaction is so many times as wide as the one before. Source: Prometheus `tsdb/db.go`, the ranges
/// that it passes to its compactor.
const RANGE_FACTOR: i64 = 3;

/// What planning needs to know of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) ulid: Ulid,
    pub(crate) range: BlockRange,
    /// It should be written anew: something in it is deleted, or cannot be read.
    pub(crate) rewrite: bool,
    /// It must stay as it is, since it is not uploaded yet.
    pub(crate) pinned: bool,
}

/// The widths of blocks, from the head's on, none wider than `widest_ms`.
pub(crate) fn widths(widest_ms: i64) -> Vec<i64> {
    let wider = |width: &i64| width.checked_mul(RANGE_FACTOR).filter(|width| *width <= widest_ms);
    std::iter::successors(Some(BLOCK_MS), wider).collect()
}

/// The blocks to be merged next, the oldest first; one alone is to be written anew. Nothing when all is well.
///
/// First those that overlap, since each sample twice costs every reader. Then those that fill a wider range, or share one
/// that lies behind the newest block. The newest block is left alone: its neighbours are still to come. Then single ones.
pub(crate) fn plan(blocks: &[Candidate], widths: &[i64]) -> Option<Vec<Ulid>> {
    let mut blocks: Vec<Candidate> = blocks.iter().copied().filter(|block| !block.pinned).collect();
    blocks.sort_unstable_by_key(|block| (block.range.start, block.range.end, block.ulid));
    let chosen = overlapping(&blocks)
        .or_else(|| widths.iter().skip(1).find_map(|width| filled(&blocks, *width)))
        .or_else(|| blocks.iter().find(|block| block.rewrite).map(std::slice::from_ref))?;
    Some(chosen.iter().map(|block| block.ulid).collect())
}

/// The first blocks, sorted by their start, of which each overlaps one before it.
fn overlapping(blocks: &[Candidate]) -> Option<&[Candidate]> {
    let mut first = 0;
    while let Some(block) = blocks.get(first) {
        let (mut count, mut end) = (1, block.range.end);
        while let Some(next) = blocks.get(first + count).filter(|next| next.range.start < end) {
            end = end.max(next.range.end);
            count += 1;
        }
        if count > 1 {
            return blocks.get(first..first + count);
        }
        first += 1;
    }
    None
}

/// The first blocks that lie in one aligned range of `width_ms` and fill it, or lie behind the newest block.
fn filled(blocks: &[Candidate], width_ms: i64) -> Option<&[Candidate]> {
    let newest = blocks.last()?.range.start;
    let parent = |block: &Candidate| BlockRange::around(block.range.start, width_ms);
    blocks.chunk_by(|a, b| parent(a) == parent(b)).find_map(|together| {
        let fits = |block: &&Candidate| block.range.end <= parent(block).end;
        // Sorted, so those that are too wide for the range stand at its end.
        let count = together.iter().take_while(fits).count();
        let together = together.get(..count).filter(|together| together.len() > 1)?;
        let (first, last) = (together.first()?.range, together.last()?.range);
        (last.end - first.start == width_ms || last.end <= newest).then_some(together)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: i64 = 3_600_000;

    /// Blocks by their hours, `start..end`; `!` marks one to be rewritten, `#` one that is pinned. Names are positions.
    fn blocks(text: &str) -> Vec<Candidate> {
        let block = |(i, word): (usize, &str)| {
            let hours = word.trim_end_matches(['!', '#']);
            let (start, end) = hours.split_once("..").unwrap();
            let hour = |text: &str| text.parse::<i64>().unwrap() * HOUR_MS;
            Candidate {
                ulid: Ulid(i as u128),
                range: BlockRange { start: hour(start), end: hour(end) },
                rewrite: word.ends_with('!'),
                pinned: word.ends_with('#'),
            }
        };
        text.split_whitespace().enumerate().map(block).collect()
    }

    #[test]
    fn widths_are_times_three_up_to_the_widest() {
        for (widest, expected) in [
            (0, vec![2]),
            (2, vec![2]),
            (6, vec![2, 6]),
            (100, vec![2, 6, 18, 54]),
            (744, vec![2, 6, 18, 54, 162, 486]),
        ] {
            assert_eq!(widths(widest * HOUR_MS), expected.iter().map(|h| h * HOUR_MS).collect::<Vec<_>>(), "{widest}");
        }
    }

    #[test]
    fn plans() {
        for (given, expected) in [
            ("", None),
            ("0..2", None),
            ("0..2 2..4", None),
            // Three fill the range, though one of them is the newest.
            ("0..2 2..4 4..6", Some("0 1 2")),
            // With a gap, once a newer one is there.
            ("0..2 4..6", Some("0 1")),
            ("0..2 2..4 6..8", Some("0 1")),
            ("2..4 4..6", None),
            ("2..4 4..6 6..8", Some("0 1")),
            ("0..2 6..8 8..10", None),
            ("0..2 6..8 8..10 12..14", Some("1 2")),
            // In any order.
            ("4..6 0..2 2..4", Some("1 2 0")),
            // Wider ones.
            ("0..6 6..12 12..18", Some("0 1 2")),
            ("0..6 6..12 12..14 14..16 18..20", Some("2 3")),
            ("0..6 6..12 12..16 18..20", Some("0 1 2")),
            ("0..18 18..36 36..54", None),
            // A block that crosses the range's end is left out.
            ("0..2 2..8 8..10", None),
            // Before the epoch.
            ("-6..-4 -4..-2 -2..0", Some("0 1 2")),
            // Overlaps come first, chains of them as a whole.
            ("0..2 2..4 4..6 6..8 7..8", Some("3 4")),
            ("0..2 1..4 3..6 6..8", Some("0 1 2")),
            ("0..6 2..4 6..8", Some("0 1")),
            ("0..2 0..2", Some("0 1")),
            // Single ones last.
            ("0..2 2..4 4..6!", Some("0 1 2")),
            ("0..2! 2..4", Some("0")),
            ("0..2 2..4!", Some("1")),
            // What is pinned is not there.
            ("0..2# 2..4 4..6", None),
            ("0..2 0..2# 2..4!#", None),
        ] {
            let expected = expected.map(|all| all.split(' ').map(|i| Ulid(i.parse().unwrap())).collect::<Vec<_>>());
            assert_eq!(plan(&blocks(given), &widths(18 * HOUR_MS)), expected, "{given}");
        }
    }

    #[test]
    fn two_hours_alone_leave_blocks_as_they_are() {
        let narrow = widths(BLOCK_MS);
        assert_eq!(plan(&blocks("0..2 2..4 4..6 6..8"), &narrow), None);
        assert_eq!(plan(&blocks("0..2 0..2 2..4"), &narrow), Some(vec![Ulid(0), Ulid(1)]));
    }
}
