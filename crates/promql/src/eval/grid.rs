//! The steps of an evaluation, and the windows that range selectors look through at each.

use model::Timestamp;

/// Evenly spaced evaluation times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grid {
    pub(crate) start: Timestamp,
    pub(crate) step_ms: i64,
    pub(crate) len: usize,
}

impl Grid {
    /// The grid of one step.
    pub(crate) fn instant(t: Timestamp) -> Grid {
        Grid { start: t, step_ms: 1, len: 1 }
    }

    /// Steps from `start` to `end`, both inside; `None` when there are more than `len_max`.
    pub(crate) fn between(start: Timestamp, end: Timestamp, step_ms: i64, len_max: usize) -> Option<Grid> {
        let step_ms = step_ms.max(1);
        if end < start {
            return Some(Grid { start, step_ms, len: 0 });
        }
        let steps = (i128::from(end) - i128::from(start)) / i128::from(step_ms) + 1;
        usize::try_from(steps).ok().filter(|len| *len <= len_max).map(|len| Grid { start, step_ms, len })
    }

    /// When step `step_idx` is.
    #[inline]
    pub(crate) fn time(self, step_idx: usize) -> Timestamp {
        self.start.saturating_add(self.step_ms.saturating_mul(step_idx as i64))
    }

    /// When the last step is; the start of an empty grid.
    pub(crate) fn last(self) -> Timestamp {
        self.time(self.len.saturating_sub(1))
    }
}

/// The windows of a selector over a grid: left-open, `(end - range, end]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Windows {
    pub(crate) grid: Grid,
    /// The time that `@` names, instead of each step's own.
    pub(crate) pinned: Option<Timestamp>,
    pub(crate) offset_ms: i64,
    pub(crate) range_ms: i64,
}

impl Windows {
    /// The last timestamp inside the window of step `step_idx`.
    #[inline]
    pub(crate) fn end(&self, step_idx: usize) -> Timestamp {
        self.pinned.unwrap_or_else(|| self.grid.time(step_idx)).saturating_sub(self.offset_ms)
    }

    /// The last timestamp before the window of step `step_idx`.
    #[inline]
    pub(crate) fn start(&self, step_idx: usize) -> Timestamp {
        self.end(step_idx).saturating_sub(self.range_ms)
    }
}

/// A pair of positions that follow windows along ascending timestamps.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cursor {
    /// First position inside the window.
    pub(crate) first: usize,
    /// First position after the window.
    pub(crate) end: usize,
    /// How far the end moved last: most series are sampled evenly, so that it moves about as far again.
    stride: usize,
}

impl Cursor {
    /// Moves the end alone on to the last timestamp not after `end`.
    #[inline]
    pub(crate) fn advance_end(&mut self, timestamps: &[Timestamp], end: Timestamp) {
        let next = behind(timestamps, self.end, self.stride, end);
        self.stride = next - self.end;
        self.end = next;
    }

    /// Moves on to the window `(start, end]`; windows must not go back.
    #[inline]
    pub(crate) fn advance(&mut self, timestamps: &[Timestamp], start: Timestamp, end: Timestamp) {
        self.advance_end(timestamps, end);
        self.first = behind(&timestamps[..self.end], self.first, self.stride, start);
    }
}

/// The position of the first timestamp after `t`, from position `at` on; probably `stride` further.
/// Cost: as many looks as the guess is wrong by, and fewer than twice as far as it goes.
#[inline]
fn behind(timestamps: &[Timestamp], at: usize, stride: usize, t: Timestamp) -> usize {
    let mut next = (at + stride).min(timestamps.len());
    while at < next && t < timestamps[next - 1] {
        next -= 1;
    }
    while next < timestamps.len() && timestamps[next] <= t {
        next += 1;
    }
    next
}
