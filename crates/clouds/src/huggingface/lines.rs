//! `metrics/{metric}`: one figure of an endpoint over time, under the names that Hugging Face's API has for them.

use model::Timestamp;
use promql::Steps;
use serde_json::{Value, json};

use crate::tensorone::Refusal;
use crate::{Family, Need, Row, View};

/// Points of one line: what a screen can show, and what range queries answer.
const POINTS_MAX: i64 = 11_000;
/// Points of a line if the request names no step.
const POINTS_DEFAULT: i64 = 60;
/// The finest step that is chosen for a request.
const STEP_S_MIN: i64 = 60;
/// The range of a request that names none.
const RANGE_S: i64 = 3600;

/// A figure by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its name in paths.
    pub name: &'static str,
    /// The unit of its values.
    pub unit: &'static str,
    figure: Figure,
}

/// What a figure is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Figure {
    /// A family's value at each step.
    Gauge(Family),
    /// Requests in each step.
    Count,
    /// A quantile of the latency in each step.
    Quantile(&'static str),
    /// The mean latency in each step.
    MeanLatency,
    /// Requests a second of which the status begins so.
    Throughput(char),
    /// Their share of all requests, percent.
    Share(char),
}

const fn metric(name: &'static str, unit: &'static str, figure: Figure) -> Metric {
    Metric { name, unit, figure }
}

/// Every figure. Source: the names of Hugging Face's API, version 2.
pub const METRICS: [Metric; 20] = [
    metric("pending-requests", "requests", Figure::Gauge(Family::Pending)),
    metric("request-count", "requests", Figure::Count),
    metric("median-latency", "seconds", Figure::Quantile("0.5")),
    metric("p95-latency", "seconds", Figure::Quantile("0.95")),
    metric("average-latency", "seconds", Figure::MeanLatency),
    metric("success-throughput", "requests/second", Figure::Throughput('2')),
    metric("bad-request-throughput", "requests/second", Figure::Throughput('4')),
    metric("server-error-throughput", "requests/second", Figure::Throughput('5')),
    metric("success-rate", "percent", Figure::Share('2')),
    metric("bad-request-rate", "percent", Figure::Share('4')),
    metric("server-error-rate", "percent", Figure::Share('5')),
    metric("cpu-usage", "percent", Figure::Gauge(Family::EndpointCpu)),
    metric("memory-usage", "percent", Figure::Gauge(Family::EndpointMemory)),
    metric("gpu-usage", "percent", Figure::Gauge(Family::GpuUtilizationNow)),
    metric("gpu-memory-usage", "percent", Figure::Gauge(Family::GpuMemoryNow)),
    metric("neuron-usage", "percent", Figure::Gauge(Family::NeuronUtilizationNow)),
    metric("neuron-memory-usage", "percent", Figure::Gauge(Family::NeuronMemoryNow)),
    metric("ready-replicas", "replicas", Figure::Gauge(Family::ReplicasRunning)),
    metric("running-replicas", "replicas", Figure::Gauge(Family::ReplicasRunning)),
    metric("target-replicas", "replicas", Figure::Gauge(Family::ReplicasTarget)),
];

/// When the lines are asked for, and which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinesAsk {
    metrics: Vec<&'static Metric>,
    steps: Steps,
}

impl LinesAsk {
    /// One figure, or all for no name, from `from` to `to` each `step` seconds; what is not said is chosen.
    ///
    /// Each point is about the step that ends with it; points lie on whole multiples of the step.
    pub fn new(
        metric: Option<&str>,
        from: Option<i64>,
        to: Option<i64>,
        step: Option<i64>,
        now: Timestamp,
    ) -> Result<LinesAsk, Refusal> {
        let metrics = match metric {
            None => METRICS.iter().collect(),
            Some(name) => match METRICS.iter().find(|metric| metric.name == name) {
                Some(metric) => vec![metric],
                None => return Err(Refusal::not_listed("metric", name, &METRICS.map(|metric| metric.name))),
            },
        };
        let to = check_time("to", to)?.unwrap_or(now / 1000);
        let from = check_time("from", from)?.unwrap_or(to - RANGE_S);
        if to <= from {
            return Err(Refusal::because("to", &to.to_string(), "it must be after `from`"));
        }
        let step = match step {
            None => ((to - from) / POINTS_DEFAULT).max(STEP_S_MIN),
            Some(step) if step >= 1 => step,
            Some(step) => return Err(Refusal::because("step", &step.to_string(), "it must be at least 1 second")),
        };
        if POINTS_MAX < (to - from) / step {
            let why = format!("more than {POINTS_MAX} points; use a larger step or a shorter range");
            return Err(Refusal::because("step", &step.to_string(), why));
        }
        let (start, end) = ((from + step - 1).div_euclid(step) * step, to.div_euclid(step) * step);
        if end < start {
            return Err(Refusal::because("step", &step.to_string(), "no multiple of it lies in the range"));
        }
        Ok(LinesAsk { metrics, steps: Steps { start: start * 1000, end: end * 1000, step_ms: step * 1000 } })
    }

    /// What must be known of the endpoint.
    pub fn needs(&self) -> Vec<Need> {
        let mut needs: Vec<Need> = Vec::new();
        for (name, family) in self.metrics.iter().flat_map(|metric| metric.figure.families()) {
            if needs.iter().all(|need| need.name != name) {
                needs.push(Need::each(name, family, self.steps, self.steps.step_ms.max(family_window_ms(family))));
            }
        }
        needs
    }

    /// The answer for one figure: its unit and a point for each step, null where nothing was measured.
    pub fn one(&self, view: View<'_>) -> Value {
        let lines = self.metrics.iter().map(|metric| self.line(metric, view));
        let mut answer = lines.into_iter().next().unwrap_or_default();
        self.add_range(&mut answer);
        answer
    }

    /// The answer for all figures.
    pub fn all(&self, view: View<'_>) -> Value {
        let lines: Vec<Value> = self.metrics.iter().map(|metric| self.line(metric, view)).collect();
        let mut answer = json!({"metrics": lines});
        self.add_range(&mut answer);
        answer
    }

    fn add_range(&self, answer: &mut Value) {
        answer["from"] = json!(self.steps.start / 1000);
        answer["to"] = json!(self.steps.end / 1000);
        answer["step"] = json!(self.steps.step_ms / 1000);
    }

    fn line(&self, metric: &Metric, view: View<'_>) -> Value {
        let values = metric.figure.values(view, self.steps.step_ms);
        let n_steps = (self.steps.end - self.steps.start) / self.steps.step_ms + 1;
        let point = |at: i64| {
            let value = usize::try_from(at).ok().and_then(|at| values.get(at)).filter(|value| value.is_finite());
            json!([(self.steps.start + at * self.steps.step_ms) / 1000, value])
        };
        json!({"metric": metric.name, "unit": metric.unit, "values": (0..n_steps).map(point).collect::<Vec<_>>()})
    }
}

/// Seconds since 1970 up to the year 9999.
fn check_time(name: &'static str, seconds: Option<i64>) -> Result<Option<i64>, Refusal> {
    match seconds {
        Some(seconds) if !(0..=253_402_300_799).contains(&seconds) => {
            Err(Refusal::because(name, &seconds.to_string(), "expected seconds since 1970"))
        }
        seconds => Ok(seconds),
    }
}

/// The least window: processor time is a rate, which needs two samples that may be a minute apart.
fn family_window_ms(family: Family) -> i64 {
    if family == Family::EndpointCpu { 300_000 } else { 0 }
}

impl Figure {
    /// What it is made of, by the name of the need.
    fn families(self) -> Vec<(&'static str, Family)> {
        match self {
            Figure::Gauge(family) => vec![(family.as_str(), family)],
            Figure::Count | Figure::Throughput(_) | Figure::Share(_) => vec![("requests", Family::Requests)],
            Figure::Quantile(_) => vec![("quantiles", Family::LatencyQuantiles)],
            Figure::MeanLatency => {
                vec![("latency_sum", Family::LatencySum), ("latency_count", Family::LatencyCount)]
            }
        }
    }

    /// A value for each step, NaN where there is none.
    fn values(self, view: View<'_>, step_ms: i64) -> Vec<f64> {
        let requests = |class: Option<char>| sums(view.rows("requests"), class);
        match self {
            Figure::Gauge(family) => view.line(family.as_str()).to_vec(),
            Figure::Count => requests(None),
            Figure::Quantile(quantile) => {
                let wanted = quantile.parse::<f64>();
                let row = view.rows("quantiles").iter().find(|row| row.label("quantile").parse::<f64>() == wanted);
                row.map(|row| row.values.clone()).unwrap_or_default()
            }
            Figure::MeanLatency => divided(view.line("latency_sum"), view.line("latency_count"), 1.0),
            Figure::Throughput(class) => {
                #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
                let seconds = step_ms as f64 / 1000.0;
                requests(Some(class)).into_iter().map(|n| n / seconds).collect()
            }
            Figure::Share(class) => divided(&requests(Some(class)), &requests(None), 100.0),
        }
    }
}

/// The requests of one class of status codes, or of all. Where any were counted, none of a class is none at all.
fn sums(rows: &[Row], class: Option<char>) -> Vec<f64> {
    let n_steps = rows.iter().map(|row| row.values.len()).max().unwrap_or(0);
    let total = |at: usize| {
        let counted: Vec<(&Row, f64)> =
            rows.iter().filter_map(|row| Some((row, *row.values.get(at)?))).filter(|(_, n)| n.is_finite()).collect();
        if counted.is_empty() {
            return f64::NAN;
        }
        let of_class = counted.iter().filter(|(row, _)| class.is_none_or(|c| row.label("status_code").starts_with(c)));
        of_class.map(|(_, n)| n).sum()
    };
    (0..n_steps).map(total).collect()
}

/// `factor * a / b` at each step, NaN where `b` is nothing.
fn divided(a: &[f64], b: &[f64], factor: f64) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| if *b == 0.0 { f64::NAN } else { factor * a / b }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_completed_and_bounded() {
        let now = 1_705_329_322_000;
        let steps = |from, to, step| {
            let steps = LinesAsk::new(None, from, to, step, now).unwrap().steps;
            (steps.start / 1000, steps.end / 1000, steps.step_ms / 1000)
        };
        assert_eq!(steps(None, None, None), (1_705_325_760, 1_705_329_300, 60));
        assert_eq!(steps(Some(1_705_000_000), Some(1_705_086_400), None), (1_705_000_320, 1_705_085_280, 1440));
        assert_eq!(steps(Some(7), Some(100), Some(10)), (10, 100, 10));
        for (metric, from, to, step, parameter) in [
            (Some("p50-latency"), None, None, None, "metric"),
            (None, Some(10), Some(10), None, "to"),
            (None, Some(-1), Some(10), None, "from"),
            (None, Some(1), Some(i64::MAX), None, "to"),
            (None, Some(0), Some(1_000_000), Some(10), "step"),
            (None, Some(0), Some(100), Some(0), "step"),
            (None, Some(61), Some(70), Some(60), "step"),
        ] {
            let refusal = LinesAsk::new(metric, from, to, step, now).unwrap_err();
            assert_eq!(refusal.parameter, parameter, "{refusal:?}");
        }
    }

    #[test]
    fn a_class_without_requests_is_zero_only_where_others_have_some() {
        let row = |code: &str, values: &[f64]| Row {
            labels: model::Labels::from_pairs([("status_code", code)]),
            values: values.to_vec(),
        };
        let rows = [row("200", &[5.0, f64::NAN, 0.0]), row("404", &[f64::NAN, f64::NAN, 0.0])];
        assert_eq!(sums(&rows, Some('4'))[0], 0.0);
        assert!(sums(&rows, Some('4'))[1].is_nan());
        assert_eq!(sums(&rows, None)[0], 5.0);
        assert!(divided(&sums(&rows, Some('2')), &sums(&rows, None), 100.0)[2].is_nan(), "a share of nothing");
    }
}
