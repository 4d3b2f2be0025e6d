//! `load_with_nhcb`: makes native histograms with custom bounds of the classic `_bucket`, `_count` and `_sum` series.

use std::collections::BTreeMap;

use model::{CUSTOM_BUCKETS_SCHEMA, Histogram, Labels, LabelsBuilder, METRIC_NAME, Span};

use crate::series::{SeriesLine, Slot};

/// What the classic series say at one interval.
#[derive(Default)]
struct Classic {
    /// Bound and cumulative count.
    buckets: Vec<(f64, f64)>,
    count: Option<f64>,
    sum: f64,
}

/// One native histogram: its labels, the slot it stands in, and the histogram.
pub(crate) type Converted = (Labels, usize, Histogram);

/// The native histograms that the classic series among `lines` describe.
pub(crate) fn convert(lines: &[SeriesLine]) -> Result<Vec<Converted>, String> {
    let mut families: BTreeMap<Labels, BTreeMap<usize, Classic>> = BTreeMap::new();
    for line in lines {
        let Some((kind, labels)) = role(&line.labels) else { continue };
        let family = families.entry(labels).or_default();
        for (slot_idx, slot) in line.slots.iter().enumerate() {
            let Slot::Float(v) = slot else { continue };
            let classic = family.entry(slot_idx).or_default();
            match kind {
                Role::Bucket(bound) => classic.buckets.push((bound, *v)),
                Role::Count => classic.count = Some(*v),
                Role::Sum => classic.sum = *v,
            }
        }
    }
    let mut all = Vec::new();
    for (labels, family) in families {
        for (slot_idx, classic) in family {
            let histogram = classic.native(&labels)?;
            all.push((labels.clone(), slot_idx, histogram));
        }
    }
    Ok(all)
}

#[derive(Clone, Copy)]
enum Role {
    Bucket(f64),
    Count,
    Sum,
}

/// The part that a series plays in a classic histogram, and that histogram's labels.
fn role(labels: &Labels) -> Option<(Role, Labels)> {
    let name = labels.metric_name()?;
    let (role, base) = if let Some(base) = name.strip_suffix("_bucket") {
        let bound: f64 = labels.get("le")?.parse().ok()?;
        (Role::Bucket(bound), base)
    } else if let Some(base) = name.strip_suffix("_count") {
        (Role::Count, base)
    } else {
        (Role::Sum, name.strip_suffix("_sum")?)
    };
    if matches!(role, Role::Bucket(bound) if bound.is_nan()) {
        return None;
    }
    Some((role, LabelsBuilder::new(labels).remove("le").set(METRIC_NAME, base).build()))
}

impl Classic {
    fn native(mut self, labels: &Labels) -> Result<Histogram, String> {
        self.buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        // One bound spelled in several ways is one bucket: the first counts.
        self.buckets.dedup_by_key(|(bound, _)| *bound);
        let last = self.buckets.last().copied();
        let count = self.count.or(last.map(|(_, count)| count)).unwrap_or(0.0);
        if last.is_none_or(|(bound, _)| bound != f64::INFINITY) {
            self.buckets.push((f64::INFINITY, count));
        }
        let mut before = 0.0;
        let mut counts = Vec::with_capacity(self.buckets.len());
        for (bound, cumulative) in &self.buckets {
            if *cumulative < before {
                return Err(format!("{labels}: bucket {bound} counts {cumulative}, the one below it {before}"));
            }
            counts.push(cumulative - before);
            before = *cumulative;
        }
        if count != before {
            return Err(format!("{labels}: count is {count}, the last bucket says {before}"));
        }
        let length = u32::try_from(counts.len()).map_err(|_| format!("{labels}: too many buckets"))?;
        Ok(Histogram {
            schema: CUSTOM_BUCKETS_SCHEMA,
            count,
            sum: self.sum,
            positive_spans: vec![Span { offset: 0, length }],
            positive_buckets: counts,
            custom_bounds: self
                .buckets
                .iter()
                .map(|(bound, _)| *bound)
                .filter(|bound| *bound != f64::INFINITY)
                .collect(),
            ..Histogram::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::histogram::print;

    #[test]
    fn buckets_become_differences_between_custom_bounds() {
        let lines: Vec<_> = [r#"ttft_bucket{le="+Inf"} 9"#, r#"ttft_bucket{le="0.5"} 4"#, "ttft_sum 7.5", "other 1"]
            .map(|line| SeriesLine::parse(line).unwrap())
            .into();
        let converted = convert(&lines).unwrap();
        let texts: Vec<_> = converted.iter().map(|(labels, slot, h)| format!("{labels} {slot} {}", print(h))).collect();
        assert_eq!(texts, ["ttft 0 {{schema:-53 count:9 sum:7.5 custom_values:[0.5] offset:0 buckets:[4 5]}}"]);
    }

    #[test]
    fn one_bound_in_several_spellings_is_one_bucket() {
        let lines: Vec<_> = [r#"m_bucket{le="0.2"} 4"#, r#"m_bucket{le="2e-1"} 4"#, r#"m_bucket{le="+Inf"} 5"#]
            .map(|line| SeriesLine::parse(line).unwrap())
            .into();
        let converted = convert(&lines).unwrap();
        assert_eq!(print(&converted[0].2), "{{schema:-53 count:5 sum:0 custom_values:[0.2] offset:0 buckets:[4 1]}}");
    }

    #[test]
    fn counts_that_fall_are_refused() {
        let lines: Vec<_> =
            [r#"m_bucket{le="1"} 4"#, r#"m_bucket{le="2"} 3"#].map(|line| SeriesLine::parse(line).unwrap()).into();
        assert!(convert(&lines).is_err());
    }
}
