//! Functions of histograms, classic and native alike.

use hashbrown::HashMap;
use model::{Histogram, Labels, LabelsBuilder, METRIC_NAME, is_stale};

use super::classic::{self, CumulativeBucket};
use super::native::{self, About};
use crate::EvalError;
use crate::annotation::{Forced, Notes, Remark};
use crate::eval::{Column, Evaluator, GROUP_BYTES, Grid, ScalarColumn, Series};
use crate::expr::{Call, Expr, Offset};
use model::kahan;

/// The label that holds a classic bucket's upper bound.
const BUCKET_LABEL: &str = "le";

pub(super) fn count(h: &Histogram) -> f64 {
    h.count
}

pub(super) fn sum(h: &Histogram) -> f64 {
    h.sum
}

pub(super) fn avg(h: &Histogram) -> f64 {
    h.sum / h.count
}

pub(super) fn stddev(h: &Histogram) -> f64 {
    stdvar(h).sqrt()
}

/// Each bucket counts at its middle: geometric for exponential buckets, arithmetic for custom ones.
pub(super) fn stdvar(h: &Histogram) -> f64 {
    let mean = h.sum / h.count;
    let (mut squares, mut c) = (0.0, 0.0);
    for bucket in h.buckets().iter().filter(|bucket| bucket.count != 0.0) {
        let middle = if h.is_custom() {
            (bucket.upper + bucket.lower) / 2.0
        } else if bucket.lower <= 0.0 && bucket.upper >= 0.0 {
            0.0
        } else {
            (bucket.upper * bucket.lower).sqrt().copysign(bucket.upper)
        };
        let delta = middle - mean;
        (squares, c) = kahan::add(bucket.count * delta * delta, squares, c);
    }
    (squares + c) / h.count
}

pub(super) fn quantile(evaluator: &Evaluator<'_>, call: &Call, grid: Grid) -> Result<Vec<Series>, EvalError> {
    let q = evaluator.scalar(&call.args[0], grid)?;
    let of = Of::Quantiles(vec![(q.clone(), None)]);
    let series = over_histograms(evaluator, &call.args[1], &of, grid)?;
    note_quantile(evaluator, &q, call.args[0].bare().at(), grid);
    Ok(series)
}

pub(super) fn quantiles(evaluator: &Evaluator<'_>, call: &Call, grid: Grid) -> Result<Vec<Series>, EvalError> {
    let label = evaluator.text(&call.args[1])?;
    let (mut all, mut asked) = (Vec::new(), Vec::new());
    for arg in &call.args[2..] {
        let q = evaluator.scalar(arg, grid)?;
        asked.push((q.clone(), arg.bare().at()));
        all.push((q, Some(label.to_owned())));
    }
    let series = over_histograms(evaluator, &call.args[0], &Of::Quantiles(all), grid)?;
    asked.iter().for_each(|(q, at)| note_quantile(evaluator, q, *at, grid));
    Ok(series)
}

pub(super) fn fraction(evaluator: &Evaluator<'_>, call: &Call, grid: Grid) -> Result<Vec<Series>, EvalError> {
    let lower = evaluator.scalar(&call.args[0], grid)?;
    let upper = evaluator.scalar(&call.args[1], grid)?;
    over_histograms(evaluator, &call.args[2], &Of::Fraction(lower, upper), grid)
}

fn note_quantile(evaluator: &Evaluator<'_>, q: &ScalarColumn, at: Offset, grid: Grid) {
    for step_idx in 0..grid.len {
        let q = q.at(step_idx);
        if q.is_nan() || !(0.0..=1.0).contains(&q) {
            evaluator.note(at, Remark::InvalidQuantile(q));
        }
    }
}

/// What is asked of each histogram.
enum Of {
    /// Quantiles, each with the label that tells it from the others.
    Quantiles(Vec<(ScalarColumn, Option<String>)>),
    Fraction(ScalarColumn, ScalarColumn),
}

/// One histogram of the vector: classic buckets, or a series of native ones, or both under the same labels.
#[derive(Default)]
struct Group {
    /// Positions of bucket series and their bounds, ascending by bound.
    buckets: Vec<(f64, usize)>,
    /// Position of the series with native histograms.
    native: Option<usize>,
}

fn over_histograms(evaluator: &Evaluator<'_>, arg: &Expr, of: &Of, grid: Grid) -> Result<Vec<Series>, EvalError> {
    let series = evaluator.vector(arg, grid)?;
    let mut job = Job { evaluator, series: &series, at: arg.bare().at(), grid, notes: Notes::default() };
    let group_bytes = series.len().saturating_mul(GROUP_BYTES);
    evaluator.ctx.budget.charge(group_bytes)?;
    let groups = job.groups()?;
    let (mut out, mut buf) = (Vec::new(), String::new());
    for (labels, group) in &groups {
        let wanted = match of {
            Of::Quantiles(all) => all.len(),
            Of::Fraction(..) => 1,
        };
        for idx in 0..wanted {
            let column = job.column(group, labels, of, idx)?;
            if column.is_void() {
                continue;
            }
            evaluator.charge(1, grid)?;
            let mut result = Series::new(labels.clone(), column);
            if let Of::Quantiles(all) = of
                && let (q, Some(label)) = &all[idx]
            {
                result.labels = with_quantile(labels, label, q.at(0));
            }
            evaluator.drop_name(&mut result, &mut buf);
            out.push(result);
        }
    }
    evaluator.merge_notes(job.notes);
    drop(groups);
    evaluator.ctx.budget.release(group_bytes);
    evaluator.discard(series, grid);
    if evaluator.late_names { Ok(out) } else { evaluator.merge_same_labels(out, grid) }
}

/// Labels with the quantile as OpenMetrics writes it: a whole number keeps a zero behind the point.
fn with_quantile(labels: &Labels, label: &str, q: f64) -> Labels {
    let mut text = crate::print::number_text(q);
    if q.is_finite() && !text.contains('.') {
        text.push_str(".0");
    }
    let mut builder = LabelsBuilder::new(labels);
    builder.set(label, &text);
    builder.build()
}

struct Job<'a> {
    evaluator: &'a Evaluator<'a>,
    series: &'a [Series],
    at: Offset,
    grid: Grid,
    notes: Notes,
}

impl Job<'_> {
    /// Finds each histogram of the vector; bounds are read once.
    fn groups(&mut self) -> Result<Vec<(Labels, Group)>, EvalError> {
        let mut by_labels: HashMap<Labels, usize, ahash::RandomState> = HashMap::default();
        let mut groups: Vec<(Labels, Group)> = Vec::new();
        let mut group_of = |labels: Labels, groups: &mut Vec<(Labels, Group)>| match by_labels.get(&labels) {
            Some(at) => *at,
            None => {
                groups.push((labels.clone(), Group::default()));
                by_labels.insert(labels, groups.len() - 1);
                groups.len() - 1
            }
        };
        let mut buf = String::new();
        for (series_idx, s) in self.series.iter().enumerate() {
            self.evaluator.ctx.budget.check()?;
            if s.column.histograms.is_some() {
                let at = group_of(s.labels.clone(), &mut groups);
                groups[at].1.native = Some(series_idx);
            }
            if s.column.floats.iter().all(|v| is_stale(*v)) {
                continue;
            }
            let le = s.labels.get(BUCKET_LABEL).unwrap_or("");
            match go_float(le) {
                Some(bound) => {
                    let rest = s.labels.iter().filter(|(name, _)| *name != BUCKET_LABEL);
                    let at = group_of(Labels::from_sorted(rest, &mut buf), &mut groups);
                    groups[at].1.buckets.push((bound, series_idx));
                }
                None => {
                    let name = self.name(&s.labels);
                    self.notes.add(self.at, Remark::BadBucketLabel { le, name });
                }
            }
        }
        for (_, group) in &mut groups {
            group.buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        }
        Ok(groups)
    }

    /// The metric name where remarks tell it: only if names are kept so long.
    fn name<'l>(&self, labels: &'l Labels) -> &'l str {
        if self.evaluator.late_names { labels.get(METRIC_NAME).unwrap_or("") } else { "" }
    }

    fn column(&mut self, group: &Group, labels: &Labels, of: &Of, idx: usize) -> Result<Column, EvalError> {
        let mut column = Column::absent(self.grid.len);
        let mut buckets: Vec<CumulativeBucket> = Vec::with_capacity(group.buckets.len());
        for step_idx in 0..self.grid.len {
            self.evaluator.ctx.budget.check()?;
            buckets.clear();
            for (upper, series_idx) in &group.buckets {
                let count = self.series[*series_idx].column.floats[step_idx];
                if !is_stale(count) {
                    buckets.push(CumulativeBucket { upper: *upper, count });
                }
            }
            let native = group.native.and_then(|at| self.series[at].column.histogram(step_idx));
            match (native, buckets.is_empty()) {
                (None, true) => {}
                (Some(_), false) => self.notes.add(self.at, Remark::MixedClassicNative(self.name(labels))),
                (Some(histogram), true) => {
                    column.floats[step_idx] = self.native(histogram, labels, of, idx, step_idx);
                }
                (None, false) => column.floats[step_idx] = self.classic(&mut buckets, labels, of, idx, step_idx),
            }
        }
        Ok(column)
    }

    fn native(&mut self, histogram: &Histogram, labels: &Labels, of: &Of, idx: usize, step_idx: usize) -> f64 {
        let about = About { at: self.at, name: self.name(labels) };
        match of {
            Of::Quantiles(all) => native::quantile(all[idx].0.at(step_idx), histogram, about, &mut self.notes),
            Of::Fraction(lower, upper) => {
                native::fraction(lower.at(step_idx), upper.at(step_idx), histogram, about, &mut self.notes)
            }
        }
    }

    fn classic(
        &mut self,
        buckets: &mut Vec<CumulativeBucket>,
        labels: &Labels,
        of: &Of,
        idx: usize,
        step_idx: usize,
    ) -> f64 {
        match of {
            Of::Fraction(lower, upper) => classic::fraction(lower.at(step_idx), upper.at(step_idx), buckets),
            Of::Quantiles(all) => {
                let (value, flattened) = classic::quantile(all[idx].0.at(step_idx), buckets);
                if let Some(flattened) = flattened {
                    let forced = Forced {
                        t: self.grid.time(step_idx),
                        bucket_min: flattened.bucket_min,
                        bucket_max: flattened.bucket_max,
                        diff_max: flattened.diff_max,
                    };
                    self.notes.add(self.at, Remark::ForcedMonotonicity(forced, self.name(labels)));
                }
                value
            }
        }
    }
}

/// A bound as Go reads floats: `+Inf`, `inf`, `1e3`, `.5`.
fn go_float(text: &str) -> Option<f64> {
    let plain = !text.is_empty() && text.trim() == text;
    text.parse::<f64>().ok().filter(|v| plain && !v.is_nan())
}
