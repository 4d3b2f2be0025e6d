//! Vectors whose series are computed one by one from a selection: what aggregations fold without holding them all.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use model::{
    Budget, Columns, Interrupt, Labels, METRIC_NAME, MatchOp, RangeSeries, SeriesSet, TimeRange, Timestamp, is_stale,
};

use super::raw::{drop_stale, keep_statistics};
use super::smoothed::smoothed;
use super::stage::ScalarStage;
use super::{
    Column, Cursor, Evaluator, Grid, PointRef, ScalarColumn, Series, Shared, Stage, Windows, columns_bytes,
    histogram_bytes, is_stale_histogram,
};
use crate::EvalError;
use crate::annotation::Notes;
use crate::expr::{Binary, Call, Expr, Extent, Offset, Selector, ValueType};
use crate::functions::{Body, Extended, RangeFunction, RangeInput, check_extent};
use crate::interpolate::Subject;

/// Chunks that a large selection is cut into. It does not follow the number of threads, so that sums come out the
/// same on every machine.
const CHUNKS: usize = 8;

/// Fewer series than this are not worth sharing out.
const PARALLEL_SERIES_MIN: usize = 4;

/// Work below which one thread is faster, in estimated samples. Source: about 0.4 ms of decoding, several times what it
/// takes to wake another thread.
const PARALLEL_SAMPLES_MIN: usize = 50_000;

/// A guess of the distance of samples, to estimate work before reading.
const SAMPLE_DISTANCE_MS: i64 = 15_000;

/// A vector that is computed series by series.
pub(crate) struct Stream<'e> {
    pub(crate) set: &'e dyn SeriesSet,
    pub(crate) grid: Grid,
    source: Source,
    stages: Vec<Stage>,
    /// Whether the series lose their metric name.
    pub(crate) drops_name: bool,
    /// Whether what names the series is one and the same for all, so that dropping it makes no two alike.
    one_name: bool,
    /// Whether histograms are told if they reset the one before.
    statistics_only: bool,
}

/// How a series' samples become its column.
enum Source {
    /// The last sample in the lookback window.
    Instant(Windows),
    /// The value between the samples around the step.
    Smoothed { windows: Windows, at: Offset },
    /// When the last sample was taken.
    Timestamp(Windows),
    /// Since when the last sample counts.
    StartTimestamp(Windows),
    /// A function of the samples in a range.
    Range { function: RangeFunction, windows: Windows, extended: Option<Extended>, args: Vec<ScalarColumn>, at: Offset },
}

/// Memory reused from series to series.
#[derive(Default)]
pub(crate) struct Scratch {
    columns: Columns,
    pub(crate) column: Column,
    pub(crate) notes: Notes,
    shared: Shared,
    /// Bytes charged for the largest series so far.
    charged: usize,
}

impl<'a> Evaluator<'a> {
    /// `expr` as a stream, if it is one.
    pub(crate) fn stream<'e>(&'e self, expr: &'e Expr, grid: Grid) -> Result<Option<Stream<'e>>, EvalError> {
        match expr {
            Expr::Paren(_, inner) => self.stream(inner, grid),
            Expr::Invariant(inner) if grid.len == 1 => self.stream(inner, grid),
            Expr::Selector(selector) => {
                let windows = self.windows(selector, self.ctx.lookback_ms, grid);
                let source = match self.extended(selector).filter(|extended| extended.extent == Extent::Smoothed) {
                    None => Source::Instant(windows),
                    // A window before the step and one as long after it.
                    Some(extended) => {
                        let (offset_ms, range_ms) = (windows.offset_ms, windows.range_ms);
                        let offset_ms = offset_ms.saturating_sub(extended.ahead_ms());
                        let range_ms = range_ms.saturating_add(extended.ahead_ms());
                        Source::Smoothed { windows: Windows { offset_ms, range_ms, ..windows }, at: selector.at }
                    }
                };
                Ok(Some(self.stream_of(selector, grid, source, false)))
            }
            Expr::Negate(_, inner) => Ok(self.stream(inner, grid)?.and_then(|stream| stream.with(|| Stage::Negate))),
            Expr::Call(call) => self.stream_of_call(call, grid),
            Expr::Binary(binary) => self.stream_of_binary(binary, grid),
            _ => Ok(None),
        }
    }

    pub(crate) fn windows(&self, selector: &Selector, range_ms: i64, grid: Grid) -> Windows {
        Windows { grid, pinned: self.span.pin(selector.pinned), offset_ms: selector.offset.ms, range_ms }
    }

    /// How far around its range a selector looks, when it is anchored or smoothed.
    pub(crate) fn extended(&self, selector: &Selector) -> Option<Extended> {
        selector.extent.map(|extent| Extended { extent, lookback_ms: self.ctx.lookback_ms })
    }

    fn stream_of<'e>(&'e self, selector: &'e Selector, grid: Grid, source: Source, drops_name: bool) -> Stream<'e> {
        let named = |m: &model::Matcher| m.name() == METRIC_NAME && m.op() == MatchOp::Equal;
        let one_name = self.late_names || (!self.naming.type_and_unit && selector.matchers.iter().any(named));
        let statistics_only = selector.statistics_only;
        Stream { set: self.set(selector), grid, source, stages: Vec::new(), drops_name, one_name, statistics_only }
    }

    fn stream_of_call<'e>(&'e self, call: &'e Call, grid: Grid) -> Result<Option<Stream<'e>>, EvalError> {
        match call.function.body {
            Body::Map(map) => Ok(self.stream(&call.args[0], grid)?.and_then(|s| s.with(|| Stage::Map(map)))),
            Body::HistogramMap(map) => {
                Ok(self.stream(&call.args[0], grid)?.and_then(|s| s.with(|| Stage::HistogramMap(map))))
            }
            Body::Range(function) => {
                let range_arg = call.args.iter().find_map(|arg| match arg.bare() {
                    Expr::Range(range) => Some(range),
                    _ => None,
                });
                let Some(range) = range_arg else { return Ok(None) };
                let at = call.args[0].bare().at();
                check_extent(call, &range.selector)?;
                let args = self.scalar_args(call, grid)?;
                let extended = self.extended(&range.selector);
                let windows = self.windows(&range.selector, range.range.ms, grid);
                let source = Source::Range { function, windows, extended, args, at };
                Ok(Some(self.stream_of(&range.selector, grid, source, !function.keeps_name)))
            }
            Body::Vector(_) if matches!(call.function.name, "timestamp" | "start_timestamp") => {
                let Expr::Selector(selector) = call.args[0].bare() else { return Ok(None) };
                let windows = self.windows(selector, self.ctx.lookback_ms, grid);
                let source = match call.function.name {
                    "timestamp" => Source::Timestamp(windows),
                    _ => Source::StartTimestamp(windows),
                };
                Ok(Some(self.stream_of(selector, grid, source, true)))
            }
            Body::Vector(_) | Body::Scalar(_) => Ok(None),
        }
    }

    /// The scalar arguments of a call, in order.
    pub(crate) fn scalar_args(&self, call: &Call, grid: Grid) -> Result<Vec<ScalarColumn>, EvalError> {
        let scalars = call.args.iter().filter(|arg| arg.value_type() == ValueType::Scalar);
        scalars.map(|arg| self.scalar(arg, grid)).collect()
    }

    fn stream_of_binary<'e>(&'e self, binary: &'e Binary, grid: Grid) -> Result<Option<Stream<'e>>, EvalError> {
        let (vector, scalar, scalar_left) = match (binary.lhs.value_type(), binary.rhs.value_type()) {
            (ValueType::Vector, ValueType::Scalar) => (&binary.lhs, &binary.rhs, false),
            (ValueType::Scalar, ValueType::Vector) => (&binary.rhs, &binary.lhs, true),
            _ => return Ok(None),
        };
        // The scalar is evaluated once, here or by whoever has no stream.
        let Some(stream) = self.stream(vector, grid)?.filter(Stream::is_foldable) else { return Ok(None) };
        let stage = self.scalar_stage(binary, scalar, scalar_left, grid)?;
        Ok(stream.with(|| Stage::Scalar(stage)))
    }

    /// The stage of an operator with a scalar on one side.
    pub(crate) fn scalar_stage(
        &self,
        binary: &Binary,
        scalar: &Expr,
        scalar_left: bool,
        grid: Grid,
    ) -> Result<ScalarStage, EvalError> {
        Ok(ScalarStage {
            op: binary.op,
            scalar: self.scalar(scalar, grid)?,
            scalar_left,
            returns_bool: binary.returns_bool,
            at: binary.lhs.at(),
        })
    }

    /// Computes all series of a stream.
    pub(crate) fn collect(&self, stream: &Stream<'_>) -> Result<Vec<Series>, EvalError> {
        let parts = self.fold(stream, Vec::new, |out: &mut Vec<Series>, labels, column| {
            self.charge(1, stream.grid)?;
            self.charge_histograms(column)?;
            let kept = std::mem::take(column);
            out.push(Series::new(labels.clone(), kept));
            Ok(())
        })?;
        let mut series: Vec<Series> = parts.into_iter().flatten().collect();
        if !stream.drops_name {
            return Ok(series);
        }
        let mut buf = String::new();
        for s in &mut series {
            self.ctx.budget.check()?;
            self.ctx.budget.charge(s.labels.as_bytes().len())?;
            self.drop_name(s, &mut buf);
        }
        if stream.one_name {
            return Ok(series);
        }
        let n_before = series.len();
        let merged = self.merge_same_labels(series, stream.grid)?;
        // A function of ranges forbids twins even where their points do not meet.
        if merged.len() < n_before && matches!(stream.source, Source::Range { .. }) {
            return Err(EvalError::Invalid(super::SAME_LABELS.to_owned()));
        }
        Ok(merged)
    }

    /// Feeds every series that has a point to `add`: all into one accumulator, or, when there is much to read, into
    /// one for each chunk of series, in the order of the series.
    pub(crate) fn fold<A: Send>(
        &self,
        stream: &Stream<'_>,
        new: impl Fn() -> A + Sync,
        add: impl Fn(&mut A, &Labels, &mut Column) -> Result<(), EvalError> + Sync,
    ) -> Result<Vec<A>, EvalError> {
        let n_series = stream.set.len();
        let fold_part = |part: std::ops::Range<usize>| -> Result<A, EvalError> {
            let (mut accumulator, mut scratch) = (new(), Scratch::default());
            for series_idx in part {
                if self.column(stream, series_idx, &mut scratch)? {
                    add(&mut accumulator, stream.set.labels(series_idx), &mut scratch.column)?;
                }
            }
            self.merge_notes(scratch.notes);
            self.ctx.budget.release(scratch.charged + scratch.shared.into_charged());
            Ok(accumulator)
        };
        if n_series < PARALLEL_SERIES_MIN || stream.samples_estimate() < PARALLEL_SAMPLES_MIN {
            return Ok(vec![fold_part(0..n_series)?]);
        }
        let chunk = n_series.div_ceil(CHUNKS);
        let parts = n_series.div_ceil(chunk);
        in_parallel(parts, |part| fold_part(part * chunk..((part + 1) * chunk).min(n_series)))
    }

    /// The samples themselves of a selection in `(start, end]`, staleness markers left out.
    pub(crate) fn raw_samples(
        &self,
        selector: &Selector,
        start: Timestamp,
        end: Timestamp,
    ) -> Result<Vec<RangeSeries>, EvalError> {
        let (set, budget, mut out) = (self.set(selector), self.ctx.budget, Vec::new());
        for series_idx in 0..set.len() {
            budget.check()?;
            let mut columns = Columns::default();
            set.read(series_idx, &mut columns, budget)?;
            budget.count_samples(columns.len())?;
            drop_stale(&mut columns);
            columns.keep(TimeRange { mint: start.saturating_add(1), maxt: end });
            if !columns.is_empty() {
                budget.charge(columns_bytes(1, columns.len() * 2))?;
                budget.charge(histogram_bytes(columns.histograms.iter()))?;
                out.push(RangeSeries { labels: set.labels(series_idx).clone(), columns });
            }
        }
        Ok(out)
    }

    /// Marks the steps whose window over a selection holds a sample.
    pub(crate) fn mark_present(
        &self,
        selector: &Selector,
        windows: &Windows,
        present: &mut [bool],
    ) -> Result<(), EvalError> {
        let (set, budget, mut columns) = (self.set(selector), self.ctx.budget, Columns::default());
        for series_idx in 0..set.len() {
            budget.check()?;
            set.read(series_idx, &mut columns, budget)?;
            budget.count_samples(columns.len())?;
            drop_stale(&mut columns);
            self.count_windows(&columns, windows);
            mark_windows(&columns, windows, present);
        }
        Ok(())
    }

    /// Computes one series into `scratch.column`; false when it has no point.
    fn column(&self, stream: &Stream<'_>, series_idx: usize, scratch: &mut Scratch) -> Result<bool, EvalError> {
        let budget = self.ctx.budget;
        budget.check()?;
        stream.set.read(series_idx, &mut scratch.columns, budget)?;
        let columns = &mut scratch.columns;
        budget.count_samples(columns.len())?;
        if columns.is_empty() {
            return Ok(false);
        }
        let bytes = samples_bytes(columns).saturating_add(columns_bytes(1, stream.grid.len));
        if scratch.charged < bytes {
            budget.charge(bytes - scratch.charged)?;
            scratch.charged = bytes;
        }
        if !self.start_timestamps {
            columns.starts.clear();
        }
        if stream.statistics_only {
            keep_statistics(&mut columns.histograms);
        }
        scratch.column.reset(stream.grid.len);
        match &stream.source {
            Source::Instant(windows) => {
                instant(columns, windows, &scratch.shared, budget, &mut scratch.column)?;
                self.count_points(&scratch.column);
            }
            Source::Timestamp(windows) => {
                timestamps(columns, windows, budget, &mut scratch.column)?;
                self.count_points(&scratch.column);
            }
            Source::StartTimestamp(windows) => {
                start_timestamps(columns, windows, budget, &mut scratch.column)?;
                self.count_points(&scratch.column);
            }
            // Prometheus does not count what it interpolates.
            Source::Smoothed { windows, at } => {
                drop_stale(columns);
                let metric = stream.set.labels(series_idx).metric_name().unwrap_or("");
                smoothed(columns, windows, Subject { at: *at, metric }, &mut scratch.column, &mut scratch.notes);
            }
            Source::Range { function, windows, extended, args, at } => {
                drop_stale(columns);
                self.count_windows(columns, &extended.map_or(*windows, |extended| extended.widen(*windows)));
                let labels = stream.set.labels(series_idx);
                let input = RangeInput {
                    columns,
                    windows: *windows,
                    extended: *extended,
                    naming: self.naming,
                    args,
                    labels,
                    at: *at,
                    budget,
                    shared: &scratch.shared,
                };
                (function.kernel)(&input, &mut scratch.column, &mut scratch.notes)?;
            }
        }
        if scratch.column.is_void() {
            return Ok(false);
        }
        for stage in &stream.stages {
            stage.apply(&mut scratch.column, &mut scratch.notes);
        }
        Ok(stream.stages.is_empty() || !scratch.column.is_void())
    }
}

impl Stream<'_> {
    /// The stream with one more stage; `None` when a name was dropped that could make two series alike.
    fn with(mut self, stage: impl FnOnce() -> Stage) -> Option<Self> {
        if self.drops_name && !self.one_name {
            return None;
        }
        let stage = stage();
        self.drops_name |= stage.drops_name();
        self.stages.push(stage);
        Some(self)
    }

    /// Whether the series may be folded without looking for twins.
    pub(crate) fn is_foldable(&self) -> bool {
        !self.drops_name || self.one_name
    }

    fn samples_estimate(&self) -> usize {
        let (Source::Instant(windows)
        | Source::Smoothed { windows, .. }
        | Source::Timestamp(windows)
        | Source::StartTimestamp(windows)
        | Source::Range { windows, .. }) = &self.source;
        let span_ms = windows.end(self.grid.len.saturating_sub(1)).saturating_sub(windows.start(0));
        let samples = usize::try_from(span_ms / SAMPLE_DISTANCE_MS).unwrap_or(0);
        self.set.len().saturating_mul(samples.max(self.grid.len))
    }
}

/// Computes `parts` results, in their order. The caller works too: what is small is done before a helper wakes.
fn in_parallel<A: Send>(
    parts: usize,
    compute: impl Fn(usize) -> Result<A, EvalError> + Sync,
) -> Result<Vec<A>, EvalError> {
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::with_capacity(parts)));
    let work = || {
        loop {
            let part = next.fetch_add(1, Relaxed);
            if parts <= part {
                return;
            }
            let result = compute(part);
            done.lock().expect("no holder of this lock panics").push((part, result));
        }
    };
    rayon::in_place_scope(|scope| {
        for _ in 1..rayon::current_num_threads().min(parts) {
            scope.spawn(|_| work());
        }
        work();
    });
    let mut done = done.into_inner().expect("no holder of this lock panics");
    done.sort_unstable_by_key(|(part, _)| *part);
    done.into_iter().map(|(_, result)| result).collect()
}

/// Marks the steps whose window holds a sample.
pub(crate) fn mark_windows(columns: &Columns, windows: &Windows, present: &mut [bool]) {
    let (mut floats, mut histograms) = (Cursor::default(), Cursor::default());
    for (step_idx, present) in present.iter_mut().enumerate() {
        let (start, end) = (windows.start(step_idx), windows.end(step_idx));
        floats.advance(&columns.timestamps, start, end);
        histograms.advance(&columns.histogram_timestamps, start, end);
        *present |= floats.first < floats.end || histograms.first < histograms.end;
    }
}

/// The point at each step by the lookback rule: the last sample in `(t - lookback, t]`, unless it ends the series.
/// Source: Prometheus `promql/engine.go`, `vectorSelectorSingle`. Cost: one pass over samples and steps; over steps alone
/// for floats at the times of the series before.
fn instant(
    columns: &Columns,
    windows: &Windows,
    shared: &Shared,
    budget: &Budget,
    out: &mut Column,
) -> Result<(), Interrupt> {
    if columns.histograms.is_empty() {
        // The marker that ends a series is the one that says "absent".
        for window in shared.bounds.borrow_mut().bounds(&columns.timestamps, windows, budget)? {
            out.floats[window.step_idx] = columns.values[window.end - 1];
        }
        return Ok(());
    }
    each_last(columns, windows, budget, |step_idx, _, point| out.set(step_idx, point))
}

/// The time of that sample, in seconds.
pub(crate) fn timestamps(
    columns: &Columns,
    windows: &Windows,
    budget: &Budget,
    out: &mut Column,
) -> Result<(), Interrupt> {
    each_last(columns, windows, budget, |step_idx, t, _| out.floats[step_idx] = t as f64 / 1000.0)
}

/// Since when that sample counts, in seconds, 0 when that is not known; nothing of a series that never told.
fn start_timestamps(columns: &Columns, windows: &Windows, budget: &Budget, out: &mut Column) -> Result<(), Interrupt> {
    if columns.starts.is_empty() {
        return Ok(());
    }
    let since = |t| columns.start_at(t) as f64 / 1000.0;
    each_last(columns, windows, budget, |step_idx, t, _| out.floats[step_idx] = since(t))
}

/// Steps between two looks at the budget.
const STEPS_PER_CHECK: usize = 4096;

fn each_last(
    columns: &Columns,
    windows: &Windows,
    budget: &Budget,
    mut found: impl FnMut(usize, i64, PointRef<'_>),
) -> Result<(), Interrupt> {
    let (mut floats, mut histograms) = (Cursor::default(), Cursor::default());
    for step_idx in 0..windows.grid.len {
        if step_idx.is_multiple_of(STEPS_PER_CHECK) {
            budget.check()?;
        }
        let (start, end) = (windows.start(step_idx), windows.end(step_idx));
        floats.advance_end(&columns.timestamps, end);
        histograms.advance_end(&columns.histogram_timestamps, end);
        let float = floats.end.checked_sub(1).map(|at| (columns.timestamps[at], at));
        let histogram = histograms.end.checked_sub(1).map(|at| (columns.histogram_timestamps[at], at));
        match (float, histogram) {
            (Some((t, at)), other) if t > start && other.is_none_or(|(other, _)| other < t) => {
                // Nothing is found at a marker, not even an older histogram.
                let live = Some(columns.values[at]).filter(|v| !is_stale(*v));
                live.into_iter().for_each(|v| found(step_idx, t, PointRef::Float(v)));
            }
            (_, Some((t, at))) if t > start && !is_stale_histogram(&columns.histograms[at]) => {
                found(step_idx, t, PointRef::Histogram(&columns.histograms[at]));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Bytes of a series' samples as they were read; vectors may have grown to twice what they hold.
fn samples_bytes(columns: &Columns) -> usize {
    let floats = columns.timestamps.capacity() * 2 * size_of::<f64>();
    let places = columns.histograms.capacity() * 2 * size_of::<f64>();
    floats + places + histogram_bytes(columns.histograms.iter())
}
