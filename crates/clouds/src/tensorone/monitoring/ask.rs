//! What a request for the platform's performance asks.

use model::Timestamp;

use crate::tensorone::frame::{DAY_MS, Frame, HOUR_MS, MINUTE_MS};
use crate::tensorone::parameters::{Parameters, Refusal};
use crate::{Over, Subject};

/// The kinds of resources by name; of some there are none here.
const RESOURCES: [(&str, &[Kind]); 7] = [
    ("all", &[Kind::Cluster, Kind::Endpoint]),
    ("clusters", &[Kind::Cluster]),
    ("endpoints", &[Kind::Endpoint]),
    ("training", &[]),
    ("ai-services", &[]),
    ("storage", &[]),
    ("network", &[]),
];

/// The lengths that can be asked for.
const TIME_RANGES: [(&str, i64); 7] = [
    ("5m", 5 * MINUTE_MS),
    ("15m", 15 * MINUTE_MS),
    ("1h", HOUR_MS),
    ("6h", 6 * HOUR_MS),
    ("24h", DAY_MS),
    ("7d", 7 * DAY_MS),
    ("30d", 30 * DAY_MS),
];

/// Lengths of buckets.
const GRANULARITIES: [(&str, i64); 6] = [
    ("10s", 10_000),
    ("1m", MINUTE_MS),
    ("5m", 5 * MINUTE_MS),
    ("15m", 15 * MINUTE_MS),
    ("1h", HOUR_MS),
    ("1d", DAY_MS),
];

/// The metrics by name.
const METRICS: [(&str, Metric); 9] = [
    ("cpu_utilization", Metric::Cpu),
    ("memory_utilization", Metric::Memory),
    ("gpu_utilization", Metric::Gpu),
    ("disk_io", Metric::DiskIo),
    ("network_io", Metric::NetworkIo),
    ("response_time", Metric::ResponseTime),
    ("throughput", Metric::Throughput),
    ("error_rate", Metric::ErrorRate),
    ("queue_depth", Metric::QueueDepth),
];
/// The metrics of a request that names none.
const USUAL: [Metric; 4] = [Metric::Cpu, Metric::Memory, Metric::Gpu, Metric::ResponseTime];
/// Ids and regions of one request.
const LISTED_MAX: usize = 500;
/// The buckets of one series. Source: what Prometheus answers at most.
const BUCKETS_MAX: i64 = 11_000;

/// Things that have performance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Cluster,
    Endpoint,
}

/// What a point of a time series may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Metric {
    Cpu,
    Memory,
    Gpu,
    /// MB/s read and written.
    DiskIo,
    /// Gbit/s in and out.
    NetworkIo,
    /// Milliseconds.
    ResponseTime,
    /// Requests a second.
    Throughput,
    /// Percent.
    ErrorRate,
    /// Requests waiting.
    QueueDepth,
}

impl Metric {
    /// The key of its values.
    pub(crate) fn as_str(self) -> &'static str {
        METRICS.iter().find(|(_, metric)| *metric == self).map_or("", |(name, _)| name)
    }
}

/// A request for performance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PerformanceAsk {
    /// When; the label is the range's name.
    pub frame: Frame,
    pub(crate) kinds: &'static [Kind],
    pub(crate) metrics: Vec<Metric>,
    pub(crate) over: Over,
    pub(crate) ids: Vec<String>,
    pub(crate) regions: Vec<String>,
    /// Whether the answer says which metrics it comes from.
    pub(crate) shows_sources: bool,
}

/// A request for what could be better.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptimizationAsk {
    pub(crate) performance: PerformanceAsk,
    pub(crate) wants_bottlenecks: bool,
    pub(crate) wants_recommendations: bool,
}

impl PerformanceAsk {
    /// Reads parameters as names and values; names that mean nothing here are left aside.
    pub fn parse(pairs: &[(String, String)], now: Timestamp) -> Result<PerformanceAsk, Refusal> {
        PerformanceAsk::parse_with(Parameters(pairs), ("1h", HOUR_MS), ("1m", MINUTE_MS), now)
    }

    fn parse_with(
        parameters: Parameters<'_>,
        usual_range: (&'static str, i64),
        usual_granularity: (&'static str, i64),
        now: Timestamp,
    ) -> Result<PerformanceAsk, Refusal> {
        let frame = frame(parameters, usual_range, usual_granularity, now)?;
        let mut metrics = Vec::new();
        for name in parameters.list("metrics") {
            match METRICS.iter().find(|(known, _)| *known == name) {
                Some((_, metric)) if metrics.contains(metric) => {}
                Some((_, metric)) => metrics.push(*metric),
                None => return Err(Refusal::not_listed("metrics", name, &METRICS.map(|(known, _)| known))),
            }
        }
        Ok(PerformanceAsk {
            frame,
            kinds: parameters.one(&["resource"], &RESOURCES)?.map_or(RESOURCES[0].1, |(_, kinds)| kinds),
            metrics: if metrics.is_empty() { USUAL.to_vec() } else { metrics },
            over: parameters.one(&["aggregation"], &Over::ALL)?.map_or(Over::Avg, |(_, over)| over),
            ids: listed(parameters, "resourceIds")?,
            regions: listed(parameters, "regions")?,
            shows_sources: parameters.one(&["debug"], &[("sources", ())])?.is_some(),
        })
    }

    /// One answer for each value of `label`, or for those asked for.
    pub(crate) fn each(&self, label: &str) -> Subject {
        let subject =
            if self.ids.is_empty() { Subject::each(label) } else { Subject::members(label, self.ids.clone()) };
        subject.within("region", self.regions.clone())
    }
}

impl OptimizationAsk {
    /// Reads parameters as names and values; names that mean nothing here are left aside.
    pub fn parse(pairs: &[(String, String)], now: Timestamp) -> Result<OptimizationAsk, Refusal> {
        let parameters = Parameters(pairs);
        let switch = |name| {
            let words = [("true", true), ("false", false), ("True", true), ("False", false), ("1", true), ("0", false)];
            Ok::<_, Refusal>(parameters.one(&[name], &words)?.is_none_or(|(_, on)| on))
        };
        Ok(OptimizationAsk {
            performance: PerformanceAsk::parse_with(parameters, ("24h", DAY_MS), ("15m", 15 * MINUTE_MS), now)?,
            wants_bottlenecks: switch("analyzeBottlenecks")?,
            wants_recommendations: switch("includeRecommendations")?,
        })
    }

    /// When.
    pub fn frame(&self) -> &Frame {
        &self.performance.frame
    }
}

fn frame(
    parameters: Parameters<'_>,
    usual_range: (&'static str, i64),
    usual: (&'static str, i64),
    now: Timestamp,
) -> Result<Frame, Refusal> {
    let (label, length_ms) = parameters.one(&["timeRange", "timeframe"], &TIME_RANGES)?.unwrap_or(usual_range);
    let fits = |step_ms: i64| step_ms <= length_ms && length_ms / step_ms <= BUCKETS_MAX;
    let (granularity, step_ms) = match parameters.one(&["granularity"], &GRANULARITIES)? {
        Some((_, step_ms)) if fits(step_ms) => GRANULARITIES.iter().copied().find(|(_, ms)| *ms == step_ms),
        Some((name, _)) => {
            let allowed: Vec<&str> =
                GRANULARITIES.iter().filter(|(_, step_ms)| fits(*step_ms)).map(|(name, _)| *name).collect();
            return Err(Refusal::not_listed("granularity", name, &allowed));
        }
        None if fits(usual.1) => Some(usual),
        None => GRANULARITIES.iter().copied().find(|(_, step_ms)| fits(*step_ms)),
    }
    .unwrap_or(usual);
    let end = now.div_euclid(step_ms.min(MINUTE_MS)) * step_ms.min(MINUTE_MS);
    Frame { label, start: end - length_ms, end, granularity, step_ms }.whole()
}

fn listed(parameters: Parameters<'_>, name: &'static str) -> Result<Vec<String>, Refusal> {
    let values = parameters.list(name);
    if LISTED_MAX < values.len() {
        return Err(Refusal::because(name, "", format!("{} values, at most {LISTED_MAX}", values.len())));
    }
    Ok(values.into_iter().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(text: &str) -> Result<PerformanceAsk, Refusal> {
        let pair = |pair: &str| pair.split_once('=').map(|(a, b)| (a.to_owned(), b.to_owned()));
        let pairs: Vec<_> = text.split('&').filter_map(pair).collect();
        PerformanceAsk::parse(&pairs, 1_705_329_322_000)
    }

    #[test]
    fn frames_have_defaults_that_fit() {
        for (text, label, granularity) in [
            ("", "1h", "1m"),
            ("timeRange=5m", "5m", "1m"),
            ("timeRange=30d", "30d", "5m"),
            ("timeframe=24h&granularity=10s", "24h", "10s"),
            ("timeRange=7d&granularity=1h", "7d", "1h"),
        ] {
            let frame = ask(text).unwrap().frame;
            assert_eq!((frame.label, frame.granularity), (label, granularity), "{text}");
        }
    }

    #[test]
    fn unknown_values_are_refused_with_what_would_fit() {
        for (text, parameter, n_allowed) in [
            ("timeRange=2y", "timeRange", 7),
            ("timeRange=30d&granularity=1m", "granularity", 4),
            ("timeRange=5m&granularity=1h", "granularity", 3),
            ("resource=moons", "resource", 7),
            ("metrics[]=cpu_utilization&metrics[]=cpu", "metrics", 9),
            ("aggregation=median", "aggregation", 6),
        ] {
            let refusal = ask(text).unwrap_err();
            assert_eq!((refusal.parameter, refusal.allowed.len()), (parameter, n_allowed), "{text}");
        }
        let many = vec!["x"; LISTED_MAX + 1].join(",");
        assert_eq!(ask(&format!("resourceIds={many}")).unwrap_err().parameter, "resourceIds");
    }
}
