//! What a batch found: for each need and each member of the subject, rows of values on the need's steps.

use std::collections::BTreeMap;

use hashbrown::HashMap;
use model::{Labels, LabelsBuilder, Value};

use crate::{Alternate, Family, When};

/// One series of an expression's value.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Its labels.
    pub labels: Labels,
    /// A value for each step, NaN where there is none; one value for an expression at one time.
    pub values: Vec<f64>,
}

impl Row {
    /// The value of a label, empty when it is absent.
    pub fn label(&self, name: &str) -> &str {
        self.labels.get(name).unwrap_or("")
    }

    /// The value at the last step, if it is a number.
    pub fn last(&self) -> Option<f64> {
        self.values.last().copied().filter(|value| value.is_finite())
    }
}

/// The rows of one need, by member.
pub(crate) type Rows = HashMap<String, Vec<Row>, ahash::RandomState>;

/// All values of a batch.
#[derive(Clone, Debug, Default)]
pub struct Found {
    pub(crate) rows: HashMap<&'static str, Rows, ahash::RandomState>,
    /// For each member and family, the alternate that answered.
    pub(crate) sources: BTreeMap<String, BTreeMap<Family, Source>>,
    /// What PromQL or the store said about the values, each once.
    pub(crate) warnings: Vec<String>,
}

/// The alternate that answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) name: String,
    pub(crate) unit: Option<String>,
}

/// The values about one member.
#[derive(Clone, Copy)]
pub struct View<'a> {
    found: &'a Found,
    member: &'a str,
}

impl Found {
    /// The values about `member`: a value of the subject's label, or the empty text where nothing tells apart.
    pub fn member<'a>(&'a self, member: &'a str) -> View<'a> {
        View { found: self, member }
    }

    /// Members of which anything was found, sorted.
    pub fn members(&self) -> impl Iterator<Item = &str> {
        self.sources.keys().map(String::as_str)
    }

    /// What the answer's reader should know about the values.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

impl<'a> View<'a> {
    /// The rows of a need, none if nothing was found.
    pub fn rows(&self, need: &str) -> &'a [Row] {
        self.found.rows.get(need).and_then(|rows| rows.get(self.member)).map_or(&[], Vec::as_slice)
    }

    /// The number a need has at its only or last step, if it is one row.
    pub fn value(&self, need: &str) -> Option<f64> {
        match self.rows(need) {
            [row] => row.last(),
            _ => None,
        }
    }

    /// The values of a need with one row at each step; empty if nothing was found.
    pub fn line(&self, need: &str) -> &'a [f64] {
        match self.rows(need) {
            [row] => &row.values,
            _ => &[],
        }
    }

    /// The source that answered for a family.
    pub fn source(&self, family: Family) -> Option<&'a str> {
        self.found.sources.get(self.member)?.get(&family).map(|source| source.name.as_str())
    }

    /// What the source counts, where that is not what the family's name says.
    pub fn unit(&self, family: Family) -> Option<&'a str> {
        self.found.sources.get(self.member)?.get(&family)?.unit.as_deref()
    }

    /// Every family with the source that answered.
    pub fn sources(&self) -> impl Iterator<Item = (Family, &'a str)> {
        let sources = self.found.sources.get(self.member).into_iter().flatten();
        sources.map(|(family, source)| (*family, source.name.as_str()))
    }
}

/// The rows of an expression's value, in the order of labels, each with at least one number.
pub(crate) fn rows_of(value: Value, when: When, alternate: &Alternate) -> Vec<Row> {
    let scale = alternate.scale;
    let mut rows = numbers(value, when, scale);
    if alternate.le_scale != 1.0 {
        for row in &mut rows {
            rescale_bound(&mut row.labels, alternate.le_scale);
        }
    }
    rows
}

/// Multiplies the bound in the label `le`; `+Inf` stays what it is.
fn rescale_bound(labels: &mut Labels, scale: f64) {
    if let Some(bound) = labels.get("le").and_then(|le| le.parse::<f64>().ok()).filter(|bound| bound.is_finite()) {
        let mut builder = LabelsBuilder::new(labels);
        builder.set("le", &(bound * scale).to_string());
        *labels = builder.build();
    }
}

fn numbers(value: Value, when: When, scale: f64) -> Vec<Row> {
    let steps = when.steps();
    let n_steps = usize::try_from((steps.end - steps.start) / steps.step_ms.max(1) + 1).unwrap_or(1);
    match value {
        Value::Scalar { v, .. } => vec![Row { labels: Labels::empty(), values: vec![v * scale; n_steps] }],
        Value::String { .. } => Vec::new(),
        Value::Vector(series) => {
            let rows = series.into_iter().filter_map(|series| match series.point {
                model::Point::Float(v) if !v.is_nan() => Some(Row { labels: series.labels, values: vec![v * scale] }),
                model::Point::Float(_) | model::Point::Histogram(_) => None,
            });
            rows.collect()
        }
        Value::Matrix(series) => {
            let rows = series.into_iter().filter_map(|series| {
                let mut values = vec![f64::NAN; n_steps];
                for (t, v) in series.columns.timestamps.iter().zip(&series.columns.values) {
                    let step_idx = usize::try_from((t - steps.start) / steps.step_ms).ok();
                    if let Some(value) = step_idx.and_then(|step_idx| values.get_mut(step_idx)) {
                        *value = v * scale;
                    }
                }
                values.iter().any(|v| !v.is_nan()).then_some(Row { labels: series.labels, values })
            });
            rows.collect()
        }
    }
}
