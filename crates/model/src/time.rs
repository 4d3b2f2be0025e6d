//! Timestamps and the two kinds of range over them; the clock itself lives in `server`.

use std::ops::Range;

/// Milliseconds since the Unix epoch, signed as on the wire.
pub type Timestamp = i64;

/// A query's range: closed at both ends.
///
/// Invariant: none; a range with `mint > maxt` is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimeRange {
    /// First timestamp inside.
    pub mint: Timestamp,
    /// Last timestamp inside.
    pub maxt: Timestamp,
}

impl TimeRange {
    /// Every timestamp there is.
    pub const ALL: TimeRange = TimeRange { mint: i64::MIN, maxt: i64::MAX };

    /// Whether `t` lies inside.
    #[inline]
    pub fn contains(self, t: Timestamp) -> bool {
        self.mint <= t && t <= self.maxt
    }

    /// Where those inside stand among `ascending` timestamps.
    #[inline]
    pub fn positions(self, ascending: &[Timestamp]) -> Range<usize> {
        let start = ascending.partition_point(|t| *t < self.mint);
        start..ascending.partition_point(|t| *t <= self.maxt).max(start)
    }

    /// Whether the two closed ranges share a timestamp.
    #[inline]
    pub fn overlaps(self, other: TimeRange) -> bool {
        self.mint <= other.maxt && other.mint <= self.maxt
    }
}

/// A block's range: `start` inside, `end` outside, as in a block's meta.json.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlockRange {
    /// First timestamp inside.
    pub start: Timestamp,
    /// First timestamp after the range.
    pub end: Timestamp,
}

impl BlockRange {
    /// The range of `width_ms` aligned to the epoch that holds `t`.
    ///
    /// Near the ends of `i64` the range is clamped rather than wrapped.
    pub fn around(t: Timestamp, width_ms: i64) -> BlockRange {
        let number = t.div_euclid(width_ms);
        let end = number.saturating_add(1).saturating_mul(width_ms);
        BlockRange { start: number.saturating_mul(width_ms), end }
    }

    /// The same timestamps as a closed range.
    #[inline]
    pub fn closed(self) -> TimeRange {
        TimeRange { mint: self.start, maxt: self.end.saturating_sub(1) }
    }

    /// Whether `t` lies inside.
    #[inline]
    pub fn contains(self, t: Timestamp) -> bool {
        self.start <= t && t < self.end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_around_any_time_hold_it_and_do_not_overlap() {
        for t in [i64::MIN, i64::MIN + 1, -101, -100, -1, 0, 99, 100, i64::MAX - 1] {
            let range = BlockRange::around(t, 100);
            assert!(range.contains(t), "{t}: {range:?}");
            if range.end != i64::MAX {
                assert_eq!(BlockRange::around(range.end, 100).start, range.end, "{t}");
            }
        }
        assert_eq!(BlockRange::around(-1, 100), BlockRange { start: -100, end: 0 });
    }
}
