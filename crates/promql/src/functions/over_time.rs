//! Functions of all samples in a range: the `*_over_time` family, changes and resets.

use std::collections::VecDeque;
use std::sync::Arc;

use model::{Histogram, HistogramError, HistogramTotal, Timestamp};

use super::extended::anchored;
use super::quantile::{MovingQuantile, quantile as quantile_of};
use super::range::{RangeInput, Window};
use super::starts::Started;
use crate::EvalError;
use crate::annotation::{Notes, Remark};
use crate::eval::{Column, Resets, Windows, wide};
use model::kahan;

type Done = Result<(), EvalError>;

pub(super) fn sum(input: &RangeInput<'_>, out: &mut Column, notes: &mut Notes) -> Done {
    totals(input, out, notes, false, |values| {
        let (total, c) = values.iter().fold((0.0, 0.0), |(total, c), v| kahan::add(*v, total, c));
        if total.is_infinite() { total } else { total + c }
    })
}

pub(super) fn avg(input: &RangeInput<'_>, out: &mut Column, notes: &mut Notes) -> Done {
    totals(input, out, notes, true, mean)
}

/// The mean by a compensated sum, or incrementally from where the sum would overflow.
fn mean(values: &[f64]) -> f64 {
    let (mut sum, mut c, mut n, mut incremental) = (values[0], 0.0, 1.0, false);
    for v in &values[1..] {
        n += 1.0;
        if !incremental {
            let (new_sum, new_c) = kahan::add(*v, sum, c);
            if !new_sum.is_infinite() {
                (sum, c) = (new_sum, new_c);
                continue;
            }
            incremental = true;
            sum /= n - 1.0;
            c /= n - 1.0;
        }
        let q = (n - 1.0) / n;
        (sum, c) = kahan::add(v / n, q * sum, q * c);
    }
    if incremental { sum + c } else { sum / n + c / n }
}

/// Sums or averages of windows that hold one kind of sample.
fn totals(
    input: &RangeInput<'_>,
    out: &mut Column,
    notes: &mut Notes,
    average: bool,
    of_floats: impl Fn(&[f64]) -> f64,
) -> Done {
    input.each_window(|window| match (window.values, window.histograms) {
        (values, []) => out.floats[window.step_idx] = of_floats(values),
        ([], histograms) => {
            if let Some(total) = total_of_histograms(input, histograms, average, notes) {
                out.set_histogram(window.step_idx, Arc::new(total));
            }
        }
        _ => input.note_mixed(notes),
    })
}

fn total_of_histograms(
    input: &RangeInput<'_>,
    histograms: &[Arc<Histogram>],
    average: bool,
    notes: &mut Notes,
) -> Option<Histogram> {
    let first = if average { HistogramTotal::averaging } else { HistogramTotal::summing };
    let mut total = first(&histograms[0]);
    let (mut resets, mut reconciled) = (Resets::default(), false);
    resets.see(&histograms[0]);
    for histogram in &histograms[1..] {
        resets.see(histogram);
        match total.add(histogram) {
            Ok(merged) => reconciled |= merged,
            Err(HistogramError::IncompatibleSchemas) => {
                notes.add(input.at, Remark::MixedExponentialCustom(input.name()));
                return None;
            }
        }
    }
    if resets.collide() {
        notes.add(input.at, Remark::CounterResetCollision("aggregation"));
    }
    if reconciled {
        notes.add(input.at, Remark::CustomBucketsReconciled("aggregation"));
    }
    Some(total.finish())
}

pub(super) fn count(input: &RangeInput<'_>, out: &mut Column, _: &mut Notes) -> Done {
    input.each_window(|window| {
        out.floats[window.step_idx] = (window.values.len() + window.histograms.len()) as f64;
    })
}

pub(super) fn present(input: &RangeInput<'_>, out: &mut Column, _: &mut Notes) -> Done {
    input.each_window(|window| out.floats[window.step_idx] = 1.0)
}

pub(super) fn max(input: &RangeInput<'_>, out: &mut Column, notes: &mut Notes) -> Done {
    if overlaps_little(input) {
        return input.each_float_window(notes, |window, _| {
            out.floats[window.step_idx] = extreme(window.values, f64::NEG_INFINITY, |v, kept| v > kept);
        });
    }
    extremes(input, out, notes, |kept, v| kept < v, |values, at| values[at])
}

pub(super) fn min(input: &RangeInput<'_>, out: &mut Column, notes: &mut Notes) -> Done {
    if overlaps_little(input) {
        return input.each_float_window(notes, |window, _| {
            out.floats[window.step_idx] = extreme(window.values, f64::INFINITY, |v, kept| v < kept);
        });
    }
    extremes(input, out, notes, |kept, v| kept > v, |values, at| values[at])
}

/// Whether no sample is in so many windows that looking at all of each takes longer than a queue.
fn overlaps_little(input: &RangeInput<'_>) -> bool {
    const WINDOWS_MAX: i64 = 16;
    let Windows { grid, pinned, range_ms, .. } = input.windows;
    grid.len as i64 <= WINDOWS_MAX || (pinned.is_none() && range_ms / WINDOWS_MAX <= grid.step_ms)
}

/// The value that no other one `beats`, the first of equals; every value but NaN beats `least` or equals it.
/// Cost: less than a nanosecond a value, as it is several extremes side by side.
#[inline]
fn extreme(values: &[f64], least: f64, beats: impl Fn(f64, f64) -> bool + Copy) -> f64 {
    let keep = |kept: &mut f64, v: &f64| *kept = if beats(*v, *kept) { *v } else { *kept };
    let lanes = wide(|| {
        let mut lanes = [least; 8];
        let (rows, rest) = values.as_chunks();
        rows.iter().for_each(|row: &[f64; 8]| lanes.iter_mut().zip(row).for_each(|(kept, v)| keep(kept, v)));
        lanes.iter_mut().zip(rest).for_each(|(kept, v)| keep(kept, v));
        lanes
    });
    let [mut kept, others @ ..] = lanes;
    others.iter().for_each(|v| keep(&mut kept, v));
    if kept != 0.0 && kept != least {
        return kept;
    }
    // Zeros have signs, and there may be nothing but NaN: both need the order.
    values.iter().copied().reduce(|kept, v| if beats(v, kept) || kept.is_nan() { v } else { kept }).unwrap_or(f64::NAN)
}

pub(super) fn ts_of_max(input: &RangeInput<'_>, out: &mut Column, notes: &mut Notes) -> Done {
    let timestamps = &input.columns.timestamps;
    extremes(input, out, notes, |kept, v| kept <= v, |_, at| timestamps[at] as f64 / 1000.0)
}

pub(super) fn ts_of_min(input: &RangeInput<'_>, out: &mut Column, notes: &mut Notes) -> Done {
    let timestamps = &input.columns.timestamps;
    extremes(input, out, notes, |kept, v| kept >= v, |_, at| timestamps[at] as f64 / 1000.0)
}

/// The extreme of each window by a queue of candidates, each of which leaves once.
///
/// A later value that `covers` an earlier one makes it useless. NaN is the extreme only where there is nothing else;
/// then it is the last one that counts.
fn extremes(
    input: &RangeInput<'_>,
    out: &mut Column,
    notes: &mut Notes,
    covers: impl Fn(f64, f64) -> bool,
    result: impl Fn(&[f64], usize) -> f64,
) -> Done {
    let values = &input.columns.values;
    let mut candidates: VecDeque<usize> = VecDeque::new();
    let mut entered = 0;
    input.each_float_window(notes, |window, _| {
        let end = window.first + window.values.len();
        for at in entered.max(window.first)..end {
            while candidates.back().is_some_and(|last| covers(values[*last], values[at])) {
                candidates.pop_back();
            }
            if !values[at].is_nan() {
                candidates.push_back(at);
            }
        }
        entered = end;
        while candidates.front().is_some_and(|first| *first < window.first) {
            candidates.pop_front();
        }
        let at = candidates.front().copied().unwrap_or(end - 1);
        out.floats[window.step_idx] = result(values, at);
    })
}

pub(super) fn first(input: &RangeInput<'_>, out: &mut Column, _: &mut Notes) -> Done {
    input.each_window(|window| match (window.timestamps.first(), window.histogram_timestamps.first()) {
        (Some(float), histogram) if histogram.is_none_or(|histogram| float < histogram) => {
            out.floats[window.step_idx] = window.values[0];
        }
        _ => out.set_histogram(window.step_idx, window.histograms[0].clone()),
    })
}

pub(super) fn last(input: &RangeInput<'_>, out: &mut Column, _: &mut Notes) -> Done {
    input.each_window(|window| match (window.timestamps.last(), window.histogram_timestamps.last()) {
        (Some(float), histogram) if histogram.is_none_or(|histogram| float > histogram) => {
            out.floats[window.step_idx] = window.values[window.values.len() - 1];
        }
        _ => out.set_histogram(window.step_idx, window.histograms[window.histograms.len() - 1].clone()),
    })
}

pub(super) fn ts_of_first(input: &RangeInput<'_>, out: &mut Column, _: &mut Notes) -> Done {
    input.each_window(|window| {
        let first = window.timestamps.first().into_iter().chain(window.histogram_timestamps.first()).min();
        out.floats[window.step_idx] = first.map_or(f64::NAN, |t| *t as f64 / 1000.0);
    })
}

pub(super) fn ts_of_last(input: &RangeInput<'_>, out: &mut Column, _: &mut Notes) -> Done {
    input.each_window(|window| {
        let last = window.timestamps.last().into_iter().chain(window.histogram_timestamps.last()).max();
        out.floats[window.step_idx] = last.map_or(f64::NAN, |t| *t as f64 / 1000.0);
    })
}

pub(super) fn stddev(input: &RangeInput<'_>, out: &mut Column, notes: &mut Notes) -> Done {
    input.each_float_window(notes, |window, _| out.floats[window.step_idx] = variance(window.values).sqrt())
}

pub(super) fn stdvar(input: &RangeInput<'_>, out: &mut Column, notes: &mut Notes) -> Done {
    input.each_float_window(notes, |window, _| out.floats[window.step_idx] = variance(window.values))
}

/// Welford's algorithm with compensated sums.
fn variance(values: &[f64]) -> f64 {
    let (mut n, mut mean, mut mean_c, mut squares, mut squares_c) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for v in values {
        n += 1.0;
        let delta = v - (mean + mean_c);
        (mean, mean_c) = kahan::add(delta / n, mean, mean_c);
        (squares, squares_c) = kahan::add(delta * (v - (mean + mean_c)), squares, squares_c);
    }
    (squares + squares_c) / n
}

pub(super) fn quantile(input: &RangeInput<'_>, out: &mut Column, notes: &mut Notes) -> Done {
    let mut moving = MovingQuantile::default();
    input.each_window(|window| {
        if window.values.is_empty() {
            return;
        }
        let q = input.args[0].at(window.step_idx);
        if q.is_nan() || !(0.0..=1.0).contains(&q) {
            notes.add(input.at, Remark::InvalidQuantile(q));
        }
        input.note_ignored(&window, notes);
        let inside = window.first..window.first + window.values.len();
        out.floats[window.step_idx] = moving.at(q, &input.columns.values, inside);
    })
}

pub(super) fn mad(input: &RangeInput<'_>, out: &mut Column, notes: &mut Notes) -> Done {
    let mut buf = Vec::new();
    input.each_float_window(notes, |window, _| {
        // Without NaN there is a median; with one there is none.
        if window.values.iter().any(|v| v.is_nan()) {
            out.floats[window.step_idx] = f64::NAN;
            return;
        }
        buf.clear();
        buf.extend_from_slice(window.values);
        let median = quantile_of(0.5, &mut buf);
        for v in &mut buf {
            *v = (*v - median).abs();
        }
        out.floats[window.step_idx] = quantile_of(0.5, &mut buf);
    })
}

/// How one sample follows another.
enum Step<'a> {
    Floats(f64, f64),
    Histograms(&'a Histogram, &'a Histogram),
    Kinds,
}

pub(super) fn resets(input: &RangeInput<'_>, out: &mut Column, _: &mut Notes) -> Done {
    let columns = input.columns;
    let restarts = |[before, after]: [Timestamp; 2]| {
        !columns.starts.is_empty() && Started::new(columns, after).resets(Started::new(columns, before))
    };
    count_steps(input, out, |times, step| match step {
        Step::Floats(before, after) => after < before || restarts(times),
        Step::Histograms(before, after) => restarts(times) || after.detect_reset(before),
        Step::Kinds => true,
    })
}

pub(super) fn changes(input: &RangeInput<'_>, out: &mut Column, _: &mut Notes) -> Done {
    count_steps(input, out, |_, step| match step {
        Step::Floats(before, after) => after != before && !(after.is_nan() && before.is_nan()),
        Step::Histograms(before, after) => !after.same_as(before),
        Step::Kinds => true,
    })
}

/// How many steps from sample to sample are as `counts` says of their times and values. Of floats alone, each pair is looked at once and
/// windows subtract running counts.
fn count_steps(input: &RangeInput<'_>, out: &mut Column, counts: impl Fn([Timestamp; 2], Step<'_>) -> bool) -> Done {
    let (values, timestamps) = (&input.columns.values, &input.columns.timestamps);
    if let Some(extended) = input.extended {
        let wide = RangeInput { windows: extended.widen(input.windows), ..*input };
        return wide.each_window(|window| {
            if let Some(window) = anchored(extended, &window) {
                out.floats[window.step_idx] = count_mixed(&window, &counts) as f64;
            }
        });
    }
    let mut running = Vec::with_capacity(values.len());
    let mut n = 0u32;
    for (at, v) in values.iter().enumerate() {
        n += u32::from(at > 0 && counts([timestamps[at - 1], timestamps[at]], Step::Floats(values[at - 1], *v)));
        running.push(n);
    }
    input.each_window(|window| {
        out.floats[window.step_idx] = if window.histograms.is_empty() {
            f64::from(running[window.first + window.values.len() - 1] - running[window.first])
        } else {
            count_mixed(&window, &counts) as f64
        };
    })
}

fn count_mixed(window: &Window<'_>, counts: impl Fn([Timestamp; 2], Step<'_>) -> bool) -> usize {
    let floats = window.timestamps.iter().zip(window.values).map(|(t, v)| (*t, Ok(*v)));
    let histograms = window.histogram_timestamps.iter().zip(window.histograms).map(|(t, h)| (*t, Err(&**h)));
    let mut samples: Vec<(i64, Result<f64, &Histogram>)> = floats.chain(histograms).collect();
    samples.sort_by_key(|(t, _)| *t);
    let steps = samples.windows(2).filter(|pair| {
        let step = match (pair[0].1, pair[1].1) {
            (Ok(before), Ok(after)) => Step::Floats(before, after),
            (Err(before), Err(after)) => Step::Histograms(before, after),
            _ => Step::Kinds,
        };
        counts([pair[0].0, pair[1].0], step)
    });
    steps.count()
}
