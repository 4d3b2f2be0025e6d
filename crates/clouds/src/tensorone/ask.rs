//! What a request for an endpoint's metrics asks.

use model::Timestamp;

use super::Frame;
use super::parameters::{Parameters, Refusal};
use crate::Over;

/// The groups of metrics by name.
const GROUPS: [(&str, Group); 5] = [
    ("performance", Group::Performance),
    ("usage", Group::Usage),
    ("costs", Group::Costs),
    ("resources", Group::Resources),
    ("errors", Group::Errors),
];
const FORMATS: [(&str, Format); 3] = [("json", Format::Json), ("csv", Format::Csv), ("prometheus", Format::Prometheus)];

/// Metrics that come together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Group {
    Performance,
    Usage,
    Costs,
    Resources,
    /// The error rates of the performance group alone.
    Errors,
}

/// How the answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The vendor's object.
    Json,
    /// The time series as a table.
    Csv,
    /// Cumulative families as text.
    Prometheus,
}

/// A request for the metrics of one endpoint or several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricsAsk {
    /// When.
    pub frame: Frame,
    /// How it is written.
    pub format: Format,
    /// Whether only the four figures of the basic view are wanted.
    pub is_basic: bool,
    /// Whether the answer says which metrics it comes from.
    pub shows_sources: bool,
    /// How values are joined where the request may choose.
    pub(crate) aggregation: Option<(&'static str, Over)>,
    groups: Vec<Group>,
    wants_cost_details: bool,
}

impl MetricsAsk {
    /// Reads parameters as names and values; names that mean nothing here are left aside.
    pub fn parse(pairs: &[(String, String)], now: Timestamp) -> Result<MetricsAsk, Refusal> {
        let parameters = Parameters(pairs);
        let frame = Frame::parse(parameters, now)?;
        let mut groups = Vec::new();
        for name in parameters.list("metrics") {
            match GROUPS.iter().find(|(known, _)| *known == name) {
                Some((_, group)) if groups.contains(group) => {}
                Some((_, group)) => groups.push(*group),
                None => return Err(Refusal::not_listed("metrics", name, &GROUPS.map(|(known, _)| known))),
            }
        }
        let detail = parameters.one(&["costDetail"], &[("full", true), ("summary", false)])?;
        let wants_cost_details = detail.map_or(groups == [Group::Costs], |(_, full)| full);
        if groups.is_empty() {
            groups.extend(GROUPS.map(|(_, group)| group));
        }
        let view = parameters.one(&["view"], &[("basic", true), ("full", false)])?;
        Ok(MetricsAsk {
            frame,
            format: parameters.one(&["format"], &FORMATS)?.map_or(Format::Json, |(_, format)| format),
            is_basic: view.is_some_and(|(_, basic)| basic),
            shows_sources: parameters.one(&["debug"], &[("sources", ())])?.is_some(),
            aggregation: parameters.one(&["aggregation"], &Over::ALL)?,
            groups,
            wants_cost_details,
        })
    }

    /// The ask for the costs of `frame` in full, which other answers are made of too.
    pub(crate) fn of_costs(frame: Frame) -> MetricsAsk {
        MetricsAsk {
            frame,
            format: Format::Json,
            is_basic: false,
            shows_sources: false,
            aggregation: None,
            groups: vec![Group::Costs],
            wants_cost_details: true,
        }
    }

    /// Whether a group is part of the answer.
    pub(crate) fn has(&self, group: Group) -> bool {
        self.groups.contains(&group)
    }

    /// Whether costs are objects rather than numbers.
    pub(crate) fn has_cost_details(&self) -> bool {
        self.wants_cost_details
    }

    /// How gauges are joined over a bucket.
    pub(crate) fn over(&self) -> Over {
        self.aggregation.map_or(Over::Avg, |(_, over)| over)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(text: &str) -> Result<MetricsAsk, Refusal> {
        let pair = |pair: &str| pair.split_once('=').map(|(a, b)| (a.to_owned(), b.to_owned()));
        let pairs: Vec<_> = text.split('&').filter_map(pair).collect();
        MetricsAsk::parse(&pairs, 1_705_329_322_000)
    }

    #[test]
    fn costs_are_objects_when_nothing_else_is_asked() {
        for (text, full) in [
            ("", false),
            ("metrics=costs", true),
            ("metrics[]=costs", true),
            ("metrics=costs,usage", false),
            ("metrics=costs,usage&costDetail=full", true),
            ("metrics=costs&costDetail=summary", false),
        ] {
            assert_eq!(ask(text).unwrap().has_cost_details(), full, "{text}");
        }
    }

    #[test]
    fn unknown_values_are_refused_by_name() {
        for text in ["metrics=performance,latency", "format=xml", "aggregation=median", "view=tiny", "debug=1"] {
            let name = text.split('=').next().unwrap();
            let refusal = ask(text).unwrap_err();
            assert_eq!(refusal.parameter, name);
            assert!(!refusal.allowed.is_empty(), "{text}");
        }
        assert!(ask("metrics=errors&metrics=errors&format=csv&aggregation=p99&view=full&unknown=1").is_ok());
    }
}
