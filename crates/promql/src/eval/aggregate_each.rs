//! Aggregations that look at all values of a group together: quantile and count_values.

use hashbrown::HashMap;
use model::{Labels, LabelsBuilder, is_stale};

use super::aggregate_pick::bounds;
use super::group::Groups;
use super::{Column, Evaluator, GROUP_BYTES, Grid, PointRef, Series};
use crate::EvalError;
use crate::annotation::Remark;
use crate::expr::{Aggregate, Expr};
use crate::functions::labels::is_label_name;
use crate::functions::quantile::quantile;
use crate::print::number_text;

impl Evaluator<'_> {
    pub(crate) fn quantile(&self, aggregate: &Aggregate, grid: Grid) -> Result<Vec<Series>, EvalError> {
        let param = self.param(aggregate, grid)?;
        let (least, most, has_nan) = bounds(&param, grid.len);
        let series = self.vector(&aggregate.expr, grid)?;
        let at = aggregate.param.as_ref().map_or(0, |param| param.bare().at());
        for (wrong, q) in [(has_nan, f64::NAN), (most > 1.0, most), (least < 0.0, least)] {
            if wrong {
                self.note(at, Remark::InvalidQuantile(q));
            }
        }
        if series.iter().any(|s| s.column.histograms.is_some()) {
            self.note(aggregate.expr.bare().at(), Remark::HistogramIgnoredInAggregation("quantile"));
        }
        let group_bytes = series.len().saturating_mul(GROUP_BYTES);
        self.ctx.budget.charge(group_bytes)?;
        let mut groups = Groups::new(&aggregate.grouping);
        let mut members: Vec<Vec<&Series>> = Vec::new();
        for s in &series {
            let group_idx = groups.group_of(&s.labels, false);
            members.resize_with(members.len().max(group_idx + 1), Vec::new);
            members[group_idx].push(s);
        }
        let (mut out, mut values) = (Vec::new(), Vec::new());
        for (labels, members) in groups.labels.into_iter().zip(members) {
            self.charge(1, grid)?;
            let mut column = Column::absent(grid.len);
            for step_idx in 0..grid.len {
                self.ctx.budget.check()?;
                values.clear();
                values.extend(members.iter().map(|s| s.column.floats[step_idx]).filter(|v| !is_stale(*v)));
                if !values.is_empty() {
                    column.floats[step_idx] = quantile(param.at(step_idx), &mut values);
                }
            }
            if !column.is_void() {
                out.push(Series { labels, column, nameless: members.iter().any(|s| s.nameless) });
            }
        }
        self.discard(series, grid);
        self.ctx.budget.release(group_bytes);
        Ok(out)
    }

    pub(crate) fn count_values(&self, aggregate: &Aggregate, grid: Grid) -> Result<Vec<Series>, EvalError> {
        let Some(param) = &aggregate.param else { return Err(self.mistyped(&aggregate.expr)) };
        let label = self.text(param)?;
        if !is_label_name(label) {
            return Err(EvalError::Invalid(invalid_label_name(param, label)));
        }
        let mut grouping = aggregate.grouping.clone();
        if !grouping.without && !grouping.labels.iter().any(|name| name == label) {
            grouping.labels.push(label.to_owned());
        }
        let series = self.vector(&aggregate.expr, grid)?;
        let mut groups = Groups::new(&grouping);
        let mut columns: Vec<Column> = Vec::new();
        let mut group_of: HashMap<(usize, String), usize, ahash::RandomState> = HashMap::default();
        for (series_idx, s) in series.iter().enumerate() {
            for step_idx in 0..grid.len {
                self.ctx.budget.check()?;
                let text = match s.column.get(step_idx) {
                    None => continue,
                    Some(PointRef::Float(float)) => number_text(float),
                    Some(PointRef::Histogram(histogram)) => histogram.to_string(),
                };
                let key = (series_idx, text);
                let group_idx = match group_of.get(&key) {
                    Some(group_idx) => *group_idx,
                    None => {
                        self.ctx.budget.charge(GROUP_BYTES + key.1.len())?;
                        let group_idx = groups.group_of(&with_label(&s.labels, label, &key.1), false);
                        group_of.insert(key, group_idx);
                        group_idx
                    }
                };
                if group_idx == columns.len() {
                    self.charge(1, grid)?;
                    columns.push(Column::absent(grid.len));
                }
                let count = &mut columns[group_idx].floats[step_idx];
                *count = if is_stale(*count) { 1.0 } else { *count + 1.0 };
            }
        }
        self.discard(series, grid);
        let groups = groups.labels.into_iter().zip(columns);
        Ok(groups.map(|(labels, column)| Series::new(labels, column)).collect())
    }
}

/// Says which name is refused: bytes that are not UTF-8 only show in the text as it was written.
fn invalid_label_name(param: &Expr, label: &str) -> String {
    match param.bare() {
        Expr::Text { literal, .. } if label.contains(char::REPLACEMENT_CHARACTER) => {
            format!("invalid label name {literal}")
        }
        _ => format!("invalid label name {label:?}"),
    }
}

fn with_label(labels: &Labels, name: &str, value: &str) -> Labels {
    let mut builder = LabelsBuilder::new(labels);
    builder.set(name, value);
    builder.build()
}
