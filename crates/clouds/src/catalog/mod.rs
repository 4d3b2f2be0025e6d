//! The catalog: for each family an ordered list of expressions over real metric names, read from YAML.
//!
//! The embedded one is `catalog.yaml` beside this file; its head explains the placeholders.

mod template;

use std::collections::BTreeMap;

use promql::{Query, Steps, TextLimits};
use serde::Deserialize;

use crate::catalog::template::Template;
use crate::{CatalogError, Family, Need, Subject, When};

/// The catalog that is used unless an operator gives another.
const DEFAULT: &str = include_str!("catalog.yaml");

/// Which expressions measure what.
#[derive(Clone, Debug)]
pub struct Catalog {
    families: BTreeMap<Family, Vec<Alternate>>,
}

/// One way to measure a family.
#[derive(Clone, Debug)]
pub struct Alternate {
    /// What answers are said to come from: the metric's name.
    pub source: String,
    /// What every value is multiplied with, to have the family's unit.
    pub scale: f64,
    /// What bounds in the label `le` are multiplied with, to be seconds.
    pub(crate) le_scale: f64,
    /// What is counted, where it is not what the family's name says.
    pub unit: Option<String>,
    template: Template,
}

/// The YAML, as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    families: BTreeMap<String, Vec<WrittenAlternate>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenAlternate {
    source: String,
    expr: String,
    #[serde(default = "one")]
    scale: f64,
    #[serde(default = "one")]
    le_scale: f64,
    unit: Option<String>,
}

fn one() -> f64 {
    1.0
}

impl Catalog {
    /// The embedded catalog. Its test parses it, so this cannot fail in a build that passed.
    pub fn embedded() -> Result<Catalog, CatalogError> {
        Catalog::parse(DEFAULT)
    }

    /// Reads and checks a catalog: every family, no other key, and every expression as PromQL.
    pub fn parse(yaml: &str) -> Result<Catalog, CatalogError> {
        let written: Written = serde_yaml_ng::from_str(yaml).map_err(|error| CatalogError::Shape(error.to_string()))?;
        let mut families = BTreeMap::new();
        for (name, alternates) in written.families {
            let Some(family) = Family::parse(&name) else {
                return Err(CatalogError::Shape(format!("families: unknown family {name:?}")));
            };
            let alternates = alternates.into_iter().map(|alternate| alternate.check(family));
            families.insert(family, alternates.collect::<Result<Vec<_>, _>>()?);
        }
        match Family::ALL.iter().find(|family| !families.contains_key(*family)) {
            Some(family) => Err(CatalogError::Missing { family: family.as_str() }),
            None => Ok(Catalog { families }),
        }
    }

    /// The ways to measure `family`, the best first.
    pub fn alternates(&self, family: Family) -> &[Alternate] {
        self.families.get(&family).map_or(&[], Vec::as_slice)
    }
}

impl WrittenAlternate {
    fn check(self, family: Family) -> Result<Alternate, CatalogError> {
        let (family_name, source_name) = (family.as_str(), self.source.clone());
        for scale in [self.scale, self.le_scale] {
            if !scale.is_finite() || scale == 0.0 {
                return Err(CatalogError::Scale { family: family_name, source_name, scale });
            }
        }
        let template = Template::parse(&self.expr).map_err(|placeholder| CatalogError::Placeholder {
            family: family_name,
            source_name: source_name.clone(),
            placeholder,
        })?;
        let alternate =
            Alternate { source: self.source, scale: self.scale, le_scale: self.le_scale, unit: self.unit, template };
        // With and without a label to tell answers apart: the two differ in the lists of labels.
        for subject in [Subject::everything(), Subject::each("endpoint_id")] {
            let when = When::Steps(Steps { start: 0, end: 0, step_ms: 1 });
            let need = Need { name: "", family, window_ms: 60_000, over: crate::Over::P95, when };
            Query::parse(&alternate.expression(&subject, &need), &TextLimits::default()).map_err(|error| {
                CatalogError::Expression { family: family_name, source_name: source_name.clone(), error }
            })?;
        }
        Ok(alternate)
    }
}

impl Alternate {
    /// The expression about `subject` for `need`, as text.
    pub fn expression(&self, subject: &Subject, need: &Need) -> String {
        self.template.fill(subject, need)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_catalog_is_whole() {
        Catalog::embedded().unwrap();
    }

    /// The embedded catalog with one piece of text replaced.
    fn changed(from: &str, to: &str) -> String {
        assert!(DEFAULT.contains(from), "{from}");
        Catalog::parse(&DEFAULT.replacen(from, to, 1)).unwrap_err().to_string()
    }

    #[test]
    fn mistakes_are_named() {
        for (from, to, expect) in [
            ("\nfamilies:", "\nfamilys:", "unknown field `familys`"),
            ("\n  requests:", "\n  reqests:", "unknown family \"reqests\""),
            ("source: inference_requests_total", "scale: x\n      source: inference_requests_total", "scale"),
            (
                "source: inference_requests_total",
                "scael: 1\n      source: inference_requests_total",
                "unknown field `scael`",
            ),
            ("source: inference_requests_total", "scale: 0\n      source: inference_requests_total", "scale is 0"),
            ("inference_requests_total{$sel}", "inference_requests_total{$slx}", "unknown placeholder $slx"),
            ("inference_requests_total{$sel}", "inference_requests_total{$sel", "\"inference_requests_total\": 1:"),
        ] {
            let error = changed(from, to);
            assert!(error.contains(expect), "{to}: {error}");
        }
    }
}
