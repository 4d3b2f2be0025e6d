//! Aggregations that fold series into one column for each group: sum, avg, min, max, count, group, stddev, stdvar.

use model::{Labels, is_stale};

use super::group::Groups;
use super::histogram_sum::HistogramSums;
use super::{Column, Evaluator, Grid, Naming, Series, columns_bytes, wide};
use crate::EvalError;
use crate::annotation::{Notes, Remark};
use crate::expr::{Aggregate, AggregateOp, Offset};
use model::kahan;

impl Evaluator<'_> {
    /// Evaluates an aggregation.
    pub(crate) fn aggregate(&self, aggregate: &Aggregate, grid: Grid) -> Result<Vec<Series>, EvalError> {
        match aggregate.op {
            AggregateOp::Topk | AggregateOp::Bottomk | AggregateOp::Limitk | AggregateOp::LimitRatio => {
                self.pick(aggregate, grid)
            }
            AggregateOp::Quantile => self.quantile(aggregate, grid),
            AggregateOp::CountValues => self.count_values(aggregate, grid),
            _ => self.fold_groups(aggregate, grid),
        }
    }

    fn fold_groups(&self, aggregate: &Aggregate, grid: Grid) -> Result<Vec<Series>, EvalError> {
        let folding = Folding { op: aggregate.op, grid, at: aggregate.expr.bare().at() };
        let stream = self.stream(&aggregate.expr, grid)?.filter(|stream| stream.is_foldable());
        let folded = match stream {
            Some(stream) => {
                let nameless = stream.drops_name;
                let new = || Folded::new(aggregate, self.naming);
                let mut parts = self.fold(&stream, new, |folded, labels, column| {
                    folded.add(self, &folding, labels, nameless, column)
                })?;
                let mut all = if parts.is_empty() { Folded::new(aggregate, self.naming) } else { parts.remove(0) };
                for part in parts {
                    all.merge(self, &folding, part)?;
                }
                all
            }
            None => {
                let series = self.vector(&aggregate.expr, grid)?;
                let mut folded = Folded::new(aggregate, self.naming);
                for s in &series {
                    self.ctx.budget.check()?;
                    folded.add(self, &folding, &s.labels, s.nameless, &s.column)?;
                }
                self.discard(series, grid);
                folded
            }
        };
        let charged = folded.accumulators.len() * Accumulator::COLUMNS;
        let (series, notes) = folded.finish(&folding);
        self.merge_notes(notes);
        // Of an accumulator's columns one lives on in the answer.
        self.ctx.budget.release(columns_bytes(charged - series.len(), grid.len));
        for s in &series {
            self.charge_histograms(&s.column)?;
        }
        Ok(series)
    }
}

/// What all groups of one aggregation share.
struct Folding {
    op: AggregateOp,
    grid: Grid,
    /// Where the aggregated expression starts.
    at: Offset,
}

/// Groups and their running results.
struct Folded<'g> {
    groups: Groups<'g>,
    accumulators: Vec<Accumulator>,
    /// For each group, whether its name is to be dropped in the end.
    nameless: Vec<bool>,
    notes: Notes,
}

impl<'g> Folded<'g> {
    fn new(aggregate: &'g Aggregate, naming: Naming) -> Folded<'g> {
        Folded {
            groups: Groups::named(&aggregate.grouping, naming),
            accumulators: Vec::new(),
            nameless: Vec::new(),
            notes: Notes::default(),
        }
    }

    fn add(
        &mut self,
        evaluator: &Evaluator<'_>,
        folding: &Folding,
        labels: &Labels,
        nameless: bool,
        column: &Column,
    ) -> Result<(), EvalError> {
        let group_idx = self.groups.group_of(labels, nameless && !evaluator.late_names);
        if group_idx == self.accumulators.len() {
            evaluator.charge(Accumulator::COLUMNS, folding.grid)?;
            self.accumulators.push(Accumulator::new(folding));
            self.nameless.push(false);
        }
        self.nameless[group_idx] |= nameless && evaluator.late_names;
        self.accumulators[group_idx].add(folding, labels, column, &mut self.notes);
        Ok(())
    }

    /// Adds the groups of the next chunk of series.
    fn merge(&mut self, evaluator: &Evaluator<'_>, folding: &Folding, other: Folded<'_>) -> Result<(), EvalError> {
        let groups = other.groups.labels.into_iter().zip(other.accumulators).zip(other.nameless);
        for ((labels, accumulator), nameless) in groups {
            let group_idx = self.groups.group_of(&labels, false);
            if group_idx == self.accumulators.len() {
                self.accumulators.push(accumulator);
                self.nameless.push(nameless);
                continue;
            }
            self.nameless[group_idx] |= nameless;
            self.accumulators[group_idx].merge(folding, accumulator, &mut self.notes);
            evaluator.ctx.budget.release(columns_bytes(Accumulator::COLUMNS, folding.grid.len));
        }
        self.notes.merge(other.notes);
        Ok(())
    }

    fn finish(mut self, folding: &Folding) -> (Vec<Series>, Notes) {
        let mut out = Vec::with_capacity(self.accumulators.len());
        let groups = self.groups.labels.into_iter().zip(self.accumulators).zip(self.nameless);
        for ((labels, accumulator), nameless) in groups {
            let column = accumulator.finish(folding, &mut self.notes);
            if !column.is_void() {
                out.push(Series { labels, column, nameless });
            }
        }
        (out, self.notes)
    }
}

/// The running result of one group at every step.
///
/// Shape: `main` is the sum, extremum, count or sum of squared distances, absent until the first float; `aux` the
/// compensation or the mean; `count` the number of floats. Only what the operator needs is there.
struct Accumulator {
    main: Vec<f64>,
    aux: Vec<f64>,
    count: Vec<f64>,
    /// For each step, whether an average went over to the incremental mean because its sum would overflow.
    overflown: Option<Vec<bool>>,
    histograms: Option<Box<HistogramSums>>,
}

impl Accumulator {
    /// Columns of memory that one accumulator is charged for.
    const COLUMNS: usize = 3;

    fn new(folding: &Folding) -> Accumulator {
        let len = folding.grid.len;
        let aux = match folding.op {
            AggregateOp::Sum | AggregateOp::Avg | AggregateOp::Stddev | AggregateOp::Stdvar => len,
            _ => 0,
        };
        let count = match folding.op {
            AggregateOp::Avg | AggregateOp::Stddev | AggregateOp::Stdvar => len,
            _ => 0,
        };
        Accumulator {
            main: Column::absent(len).floats,
            aux: vec![0.0; aux],
            count: vec![0.0; count],
            overflown: None,
            histograms: None,
        }
    }

    fn add(&mut self, folding: &Folding, labels: &Labels, column: &Column, notes: &mut Notes) {
        match folding.op {
            AggregateOp::Sum => self.add_sum(&column.floats),
            AggregateOp::Avg => self.add_avg(&column.floats),
            AggregateOp::Min => fold_extremum(&mut self.main, &column.floats, |kept, v| kept > v),
            AggregateOp::Max => fold_extremum(&mut self.main, &column.floats, |kept, v| kept < v),
            AggregateOp::Stddev | AggregateOp::Stdvar => self.add_variance(&column.floats),
            _ => {
                for step_idx in (0..column.len()).filter(|step_idx| column.has(*step_idx)) {
                    self.count_one(folding.op, step_idx);
                }
                return;
            }
        }
        let Some(histograms) = &column.histograms else { return };
        if matches!(folding.op, AggregateOp::Sum | AggregateOp::Avg) {
            let sums = self
                .histograms
                .get_or_insert_with(|| Box::new(HistogramSums::new(folding.grid.len, folding.op == AggregateOp::Avg)));
            sums.add(histograms, labels, folding.at, notes);
        } else if histograms.iter().any(Option::is_some) {
            notes.add(folding.at, Remark::HistogramIgnoredInAggregation(folding.op.as_str()));
        }
    }

    fn count_one(&mut self, op: AggregateOp, step_idx: usize) {
        let kept = &mut self.main[step_idx];
        *kept = if op == AggregateOp::Count && !is_stale(*kept) { *kept + 1.0 } else { 1.0 };
    }

    fn add_sum(&mut self, floats: &[f64]) {
        // No branch: steps are worked on side by side.
        wide(|| {
            for ((sum, c), v) in self.main.iter_mut().zip(&mut self.aux).zip(floats) {
                let (first, absent) = (is_stale(*sum), is_stale(*v));
                let (total, new_c) = kahan::add(*v, *sum, *c);
                *c = if first | absent { *c } else { new_c };
                let total = if first { *v } else { total };
                *sum = if absent { *sum } else { total };
            }
        });
    }

    fn add_avg(&mut self, floats: &[f64]) {
        let overflows = |(sum, v): (&f64, &f64)| (sum + v).is_infinite();
        let overflows =
            || self.main.iter().zip(floats).map(overflows).fold(false, |found, overflows| found | overflows);
        if self.overflown.is_some() || wide(overflows) {
            return self.add_avg_overflowing(floats);
        }
        wide(|| {
            for (count, v) in self.count.iter_mut().zip(floats) {
                *count += if is_stale(*v) { 0.0 } else { 1.0 };
            }
        });
        self.add_sum(floats);
    }

    fn add_avg_overflowing(&mut self, floats: &[f64]) {
        for (step_idx, v) in floats.iter().enumerate().filter(|(_, v)| !is_stale(**v)) {
            self.count[step_idx] += 1.0;
            let n = self.count[step_idx];
            if is_stale(self.main[step_idx]) {
                self.main[step_idx] = *v;
                continue;
            }
            let (main, c) = (&mut self.main[step_idx], &mut self.aux[step_idx]);
            let incremental = self.overflown.as_ref().is_some_and(|overflown| overflown[step_idx]);
            if !incremental {
                let (sum, new_c) = kahan::add(*v, *main, *c);
                if !sum.is_infinite() {
                    (*main, *c) = (sum, new_c);
                    continue;
                }
                let len = floats.len();
                self.overflown.get_or_insert_with(|| vec![false; len])[step_idx] = true;
                *main /= n - 1.0;
                *c /= n - 1.0;
            }
            let q = (n - 1.0) / n;
            (*main, *c) = kahan::add(*v / n, q * *main, q * *c);
        }
    }

    /// Welford's algorithm, as Prometheus: a first value that is not finite makes all of it NaN.
    fn add_variance(&mut self, floats: &[f64]) {
        for (step_idx, v) in floats.iter().enumerate().filter(|(_, v)| !is_stale(**v)) {
            let (squares, mean, n) = (&mut self.main[step_idx], &mut self.aux[step_idx], &mut self.count[step_idx]);
            *n += 1.0;
            if is_stale(*squares) {
                *squares = if v.is_finite() { 0.0 } else { f64::NAN };
                *mean = *v;
                continue;
            }
            let delta = v - *mean;
            *mean += delta / *n;
            *squares += delta * (v - *mean);
        }
    }

    fn merge(&mut self, folding: &Folding, other: Accumulator, notes: &mut Notes) {
        match folding.op {
            AggregateOp::Min => fold_extremum(&mut self.main, &other.main, |kept, v| kept > v),
            AggregateOp::Max => fold_extremum(&mut self.main, &other.main, |kept, v| kept < v),
            op => {
                for step_idx in (0..self.main.len()).filter(|step_idx| !is_stale(other.main[*step_idx])) {
                    if is_stale(self.main[step_idx]) {
                        self.take(&other, step_idx);
                    } else {
                        self.merge_step(op, &other, step_idx);
                    }
                }
            }
        }
        match (&mut self.histograms, other.histograms) {
            (Some(sums), Some(others)) => sums.merge(*others, folding.at, notes),
            (None, others) => self.histograms = others,
            (Some(_), None) => {}
        }
    }

    /// Takes over a step that this chunk has not seen.
    fn take(&mut self, other: &Accumulator, step_idx: usize) {
        self.main[step_idx] = other.main[step_idx];
        if let (Some(aux), Some(from)) = (self.aux.get_mut(step_idx), other.aux.get(step_idx)) {
            *aux = *from;
        }
        if let (Some(count), Some(from)) = (self.count.get_mut(step_idx), other.count.get(step_idx)) {
            *count = *from;
        }
        if other.overflown.as_ref().is_some_and(|overflown| overflown[step_idx]) {
            let len = self.main.len();
            self.overflown.get_or_insert_with(|| vec![false; len])[step_idx] = true;
        }
    }

    fn merge_step(&mut self, op: AggregateOp, other: &Accumulator, step_idx: usize) {
        let v = other.main[step_idx];
        match op {
            AggregateOp::Sum => {
                let (sum, c) = kahan::add(v, self.main[step_idx], self.aux[step_idx]);
                (self.main[step_idx], self.aux[step_idx]) = (sum, c + other.aux[step_idx]);
            }
            AggregateOp::Avg => self.merge_avg(other, step_idx),
            AggregateOp::Count => self.main[step_idx] += v,
            AggregateOp::Stddev | AggregateOp::Stdvar => {
                let (n, m) = (self.count[step_idx], other.count[step_idx]);
                let delta = other.aux[step_idx] - self.aux[step_idx];
                self.main[step_idx] += v + delta * delta * n * m / (n + m);
                self.aux[step_idx] += delta * m / (n + m);
                self.count[step_idx] = n + m;
            }
            _ => {}
        }
    }

    fn merge_avg(&mut self, other: &Accumulator, step_idx: usize) {
        let (n, m) = (self.count[step_idx], other.count[step_idx]);
        let is_mean = |a: &Accumulator| a.overflown.as_ref().is_some_and(|overflown| overflown[step_idx]);
        self.count[step_idx] = n + m;
        if !is_mean(self) && !is_mean(other) {
            let (sum, c) = kahan::add(other.main[step_idx], self.main[step_idx], self.aux[step_idx]);
            if !sum.is_infinite() {
                (self.main[step_idx], self.aux[step_idx]) = (sum, c + other.aux[step_idx]);
                return;
            }
        }
        let mean = |a: &Accumulator, k: f64| {
            let (main, aux) = (a.main[step_idx], a.aux[step_idx]);
            if is_mean(a) { main + aux } else { main / k + aux / k }
        };
        let joined = mean(self, n) * (n / (n + m)) + mean(other, m) * (m / (n + m));
        (self.main[step_idx], self.aux[step_idx]) = (joined, 0.0);
        let len = self.main.len();
        self.overflown.get_or_insert_with(|| vec![false; len])[step_idx] = true;
    }

    fn finish(mut self, folding: &Folding, notes: &mut Notes) -> Column {
        for (step_idx, v) in self.main.iter_mut().enumerate().filter(|(_, v)| !is_stale(**v)) {
            match folding.op {
                AggregateOp::Sum => *v += self.aux[step_idx],
                AggregateOp::Avg if self.overflown.as_ref().is_some_and(|overflown| overflown[step_idx]) => {
                    *v += self.aux[step_idx];
                }
                AggregateOp::Avg => *v = *v / self.count[step_idx] + self.aux[step_idx] / self.count[step_idx],
                AggregateOp::Stdvar => *v /= self.count[step_idx],
                AggregateOp::Stddev => *v = (*v / self.count[step_idx]).sqrt(),
                _ => {}
            }
        }
        let mut column = Column { floats: self.main, histograms: None };
        if let Some(sums) = self.histograms {
            sums.finish(&mut column, folding.at, notes);
        }
        column
    }
}

/// Keeps the value that `loses` does not let go; NaN gives way to anything.
#[inline]
fn fold_extremum(kept: &mut [f64], floats: &[f64], loses: impl Fn(f64, f64) -> bool) {
    wide(|| {
        for (kept, v) in kept.iter_mut().zip(floats) {
            let gives_way = !is_stale(*v) & (loses(*kept, *v) | kept.is_nan());
            *kept = if gives_way { *v } else { *kept };
        }
    });
}
