//! Aggregations that pick series out of each group: topk, bottomk, limitk, limit_ratio.

use std::cmp::Ordering;

use model::is_stale;

use super::group::Groups;
use super::{Column, Evaluator, GROUP_BYTES, Grid, ScalarColumn, Series};
use crate::EvalError;
use crate::annotation::Remark;
use crate::expr::{Aggregate, AggregateOp};

impl Evaluator<'_> {
    /// Evaluates topk, bottomk, limitk or limit_ratio. At one step the series come group by group in order of rank.
    pub(crate) fn pick(&self, aggregate: &Aggregate, grid: Grid) -> Result<Vec<Series>, EvalError> {
        let param = self.param(aggregate, grid)?;
        let (least, most, has_nan) = bounds(&param, grid.len);
        // Before the parameter is judged, and even if nothing is to be picked: what is wrong inside is told either way.
        let series = self.vector(&aggregate.expr, grid)?;
        match aggregate.op {
            AggregateOp::LimitRatio => {
                if has_nan {
                    return Err(EvalError::Invalid("Ratio value is NaN".to_owned()));
                }
                let at = aggregate.param.as_ref().map_or(0, |param| param.bare().at());
                if most > 1.0 {
                    self.note(at, Remark::InvalidRatio { found: most, capped: 1.0 });
                }
                if least < -1.0 {
                    self.note(at, Remark::InvalidRatio { found: least, capped: -1.0 });
                }
            }
            _ if most < 1.0 && !has_nan => {
                self.discard(series, grid);
                return Ok(Vec::new());
            }
            _ => check_k(least, most, has_nan)?,
        }
        let group_bytes = series.len().saturating_mul(GROUP_BYTES);
        self.ctx.budget.charge(group_bytes)?;
        let mut groups = Groups::new(&aggregate.grouping);
        let mut members: Vec<Vec<usize>> = Vec::new();
        for (series_idx, s) in series.iter().enumerate() {
            let group_idx = groups.group_of(&s.labels, false);
            members.resize_with(members.len().max(group_idx + 1), Vec::new);
            members[group_idx].push(series_idx);
        }
        let picker = Picker { op: aggregate.op, series: &series };
        self.note_histograms(aggregate, &series);
        let mut kept: Vec<Column> = vec![Column::default(); series.len()];
        let mut order = Vec::new();
        for step_idx in 0..grid.len {
            self.ctx.budget.check()?;
            for group in &members {
                self.ctx.budget.check()?;
                for series_idx in picker.pick(group, step_idx, param.at(step_idx)) {
                    let column = &mut kept[series_idx];
                    if column.floats.is_empty() {
                        self.charge(1, grid)?;
                        *column = Column::absent(grid.len);
                        order.push(series_idx);
                    }
                    if let Some(point) = series[series_idx].column.get(step_idx) {
                        column.set(step_idx, point);
                    }
                }
            }
        }
        let result = order.into_iter().map(|series_idx| Series {
            labels: series[series_idx].labels.clone(),
            column: std::mem::take(&mut kept[series_idx]),
            nameless: series[series_idx].nameless,
        });
        let result: Vec<Series> = result.collect();
        for s in &result {
            self.charge_histograms(&s.column)?;
        }
        self.discard(series, grid);
        self.ctx.budget.release(group_bytes);
        Ok(result)
    }

    /// The parameter of an aggregation over the steps.
    pub(crate) fn param(&self, aggregate: &Aggregate, grid: Grid) -> Result<ScalarColumn, EvalError> {
        match &aggregate.param {
            Some(param) => self.scalar(param, grid),
            None => Err(EvalError::Invalid(format!("{} needs a parameter", aggregate.op.as_str()))),
        }
    }

    fn note_histograms(&self, aggregate: &Aggregate, series: &[Series]) {
        let ranks = matches!(aggregate.op, AggregateOp::Topk | AggregateOp::Bottomk);
        if ranks && series.iter().any(|s| s.column.histograms.is_some()) {
            self.note(aggregate.at, Remark::HistogramIgnoredInAggregation(aggregate.op.as_str()));
        }
    }
}

/// The least and the greatest of a parameter's values, and whether one is NaN.
pub(crate) fn bounds(param: &ScalarColumn, len: usize) -> (f64, f64, bool) {
    let (mut least, mut most, mut has_nan) = (f64::INFINITY, f64::NEG_INFINITY, false);
    for step_idx in 0..len {
        let v = param.at(step_idx);
        has_nan |= v.is_nan();
        least = least.min(v);
        most = most.max(v);
    }
    (least, most, has_nan)
}

/// The bound of whole numbers that Prometheus reads a count into.
const COUNT_BOUND: f64 = 9_223_372_036_854_775_807.0;

fn check_k(least: f64, most: f64, has_nan: bool) -> Result<(), EvalError> {
    let refuse = |message: String| Err(EvalError::Invalid(message));
    if has_nan {
        return refuse("Parameter value is NaN".to_owned());
    }
    if least <= -COUNT_BOUND {
        return refuse(format!("Scalar value {least} underflows int64"));
    }
    if most >= COUNT_BOUND {
        return refuse(format!("Scalar value {most} overflows int64"));
    }
    Ok(())
}

struct Picker<'a> {
    op: AggregateOp,
    series: &'a [Series],
}

impl Picker<'_> {
    /// The members of a group that are picked at a step, best first.
    fn pick(&self, group: &[usize], step_idx: usize, param: f64) -> Vec<usize> {
        let column = |series_idx: usize| &self.series[series_idx].column;
        if self.op == AggregateOp::LimitRatio {
            let ratio = param.clamp(-1.0, 1.0);
            let sampled = |i: &usize| column(*i).has(step_idx) && is_sampled(&self.series[*i], ratio);
            return group.iter().copied().filter(sampled).collect();
        }
        #[expect(clippy::cast_possible_truncation, reason = "saturates, and a group is smaller")]
        let k = param.max(0.0) as usize;
        if self.op == AggregateOp::Limitk {
            return group.iter().copied().filter(|i| column(*i).has(step_idx)).take(k).collect();
        }
        let float = |i: usize| column(i).floats[step_idx];
        let mut picked: Vec<usize> = group.iter().copied().filter(|i| !is_stale(float(*i))).collect();
        let descending = self.op == AggregateOp::Topk;
        picked.sort_by(|a, b| rank(float(*a), float(*b), descending));
        picked.truncate(k);
        picked
    }
}

/// The order of ranks: NaN last, equals as they came.
fn rank(a: f64, b: f64, descending: bool) -> Ordering {
    match (a.is_nan(), b.is_nan()) {
        (true, true) => Ordering::Equal,
        (true, false) => Ordering::Greater,
        (false, true) => Ordering::Less,
        (false, false) => {
            let order = a.partial_cmp(&b).unwrap_or(Ordering::Equal);
            if descending { order.reverse() } else { order }
        }
    }
}

/// Whether a series falls into the share `ratio`; a negative share is the complement of the positive one.
fn is_sampled(series: &Series, ratio: f64) -> bool {
    let offset = labels_hash(series) as f64 / u64::MAX as f64;
    if ratio >= 0.0 { offset < ratio } else { offset >= 1.0 + ratio }
}

/// The hash Prometheus gives to labels, so that both pick the same series. Source: `model/labels`, string labels:
/// each text after its length, one byte below 255, else 255 and three bytes.
fn labels_hash(series: &Series) -> u64 {
    let mut bytes = Vec::new();
    for text in series.labels.iter().flat_map(|(name, value)| [name, value]) {
        match u8::try_from(text.len()) {
            Ok(len) if len < u8::MAX => bytes.push(len),
            _ => {
                bytes.push(u8::MAX);
                bytes.extend_from_slice(&(text.len() as u64).to_le_bytes()[..3]);
            }
        }
        bytes.extend_from_slice(text.as_bytes());
    }
    xxhash_rust::xxh64::xxh64(&bytes, 0)
}
