//! One copy of one series: from which name to which, how it is scaled, which labels it gets.

use std::collections::{BTreeMap, HashMap, HashSet};

use model::{Labels, LabelsBuilder, METRIC_NAME, Metadata, MetricKind};

use super::file::{CopyKind, MappingFile};

/// The bound of a classic bucket.
const BOUND: &str = "le";
/// What the label `service_tier` says where nobody says it: an empty label would be an absent one.
const TIER: (&str, &str) = ("service_tier", "on_demand");
/// The families whose users select by tier.
const TIERED: &str = "crusoe_";

/// A copy of the series of one name.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// Tells it from all others.
    pub(super) number: usize,
    /// The rule that it comes from.
    pub(super) rule: usize,
    /// The position of its original among the rule's alternatives.
    pub(super) rank: usize,
    /// The name of the copy's series.
    pub(super) target: String,
    family: String,
    kind: CopyKind,
    pub(super) factor: f64,
    /// What bounds of buckets are multiplied with.
    bound_factor: f64,
    labels: BTreeMap<String, Vec<String>>,
    only: BTreeMap<String, String>,
}

/// The series of a histogram: suffix, and whether its values are in the family's unit. The last is the native one, of
/// which there is a copy in the same unit only: bounds of exponential buckets cannot be multiplied.
const HISTOGRAM: [(&str, bool); 4] = [("_bucket", false), ("_sum", true), ("_count", false), ("", true)];

/// Every plan by the name of its original, and the names of all copies.
pub(super) fn plans(file: &MappingFile) -> (HashMap<String, Vec<Plan>>, HashSet<String>) {
    let (mut plans, mut targets, mut number) = (HashMap::<String, Vec<Plan>>::new(), HashSet::new(), 0);
    for (rule, copy) in file.copies.iter().enumerate() {
        let series: &[(&str, bool)] = match copy.kind {
            CopyKind::Counter | CopyKind::Gauge => &[("", true)],
            #[expect(clippy::float_cmp, reason = "1 is what is not scaled at all")]
            CopyKind::Histogram if copy.scale == 1.0 => &HISTOGRAM,
            CopyKind::Histogram => &HISTOGRAM[..3],
        };
        for (rank, from) in copy.from.iter().enumerate() {
            for (family, (suffix, is_scaled)) in copy.to.iter().flat_map(|to| series.iter().map(move |s| (to, s))) {
                let plan = Plan {
                    number,
                    rule,
                    rank,
                    target: format!("{family}{suffix}"),
                    family: family.clone(),
                    kind: copy.kind,
                    factor: if *is_scaled { copy.scale } else { 1.0 },
                    bound_factor: copy.scale,
                    labels: copy.labels.clone(),
                    only: copy.only.clone(),
                };
                number += 1;
                targets.insert(plan.target.clone());
                for spelling in spellings(file, from) {
                    plans.entry(format!("{spelling}{suffix}")).or_default().push(plan.clone());
                }
            }
        }
    }
    (plans, targets)
}

/// A name in every way it is written.
fn spellings(file: &MappingFile, name: &str) -> Vec<String> {
    let known = file.spellings.iter().find_map(|(prefix, others)| Some((name.strip_prefix(prefix.as_str())?, others)));
    let others = known.into_iter().flat_map(|(rest, others)| others.iter().map(move |other| format!("{other}{rest}")));
    std::iter::once(name.to_owned()).chain(others).collect()
}

impl Plan {
    /// Whether a series of the original's name is copied.
    pub(super) fn applies_to(&self, labels: &Labels) -> bool {
        self.only.iter().all(|(name, value)| labels.get(name) == Some(value))
    }

    /// The labels of the copy.
    pub(super) fn labels(&self, original: &Labels) -> Labels {
        let mut labels = LabelsBuilder::new(original);
        labels.set(METRIC_NAME, &self.target);
        for (name, from) in &self.labels {
            if original.get(name).is_none()
                && let Some(value) = from.iter().find_map(|from| original.get(from))
            {
                labels.set(name, value);
            }
        }
        if self.target.starts_with(TIERED) && original.get(TIER.0).is_none() {
            labels.set(TIER.0, TIER.1);
        }
        #[expect(clippy::float_cmp, reason = "1 is what is not scaled at all")]
        if self.bound_factor != 1.0
            && let Some(bound) = original.get(BOUND).and_then(|bound| scaled(bound, self.bound_factor))
        {
            labels.set(BOUND, &bound);
        }
        labels.build()
    }

    /// The family's name and what it is.
    pub(super) fn family(&self) -> (String, Metadata) {
        let kind = match self.kind {
            CopyKind::Counter => MetricKind::Counter,
            CopyKind::Gauge => MetricKind::Gauge,
            CopyKind::Histogram => MetricKind::Histogram,
        };
        let help = "Written by the server from the engine's own metric.".to_owned();
        (self.family.clone(), Metadata { kind, help, unit: String::new() })
    }
}

/// A bound in another unit, as clients write it: to 12 digits, and whole ones with a point.
///
/// Q: Why 12 digits? A: 300 ms times 0.001 must be 0.3 and not 0.30000000000000004, or the same bound has two names.
fn scaled(bound: &str, factor: f64) -> Option<String> {
    let scaled = bound.parse::<f64>().ok().filter(|bound| bound.is_finite())? * factor;
    let rounded: f64 = format!("{scaled:.11e}").parse().ok()?;
    Some(format!("{rounded:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_change_their_unit_and_keep_one_text() {
        for (bound, factor, expect) in [
            ("300", 0.001, Some("0.3")),
            ("2500.0", 0.001, Some("2.5")),
            ("0.5", 0.001, Some("0.0005")),
            ("1000", 0.001, Some("1.0")),
            ("7", 1e-6, Some("7e-6")),
            ("+Inf", 0.001, None),
            ("x", 0.001, None),
        ] {
            assert_eq!(scaled(bound, factor).as_deref(), expect, "{bound}");
        }
    }
}
