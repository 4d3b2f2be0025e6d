//! Which expressions an endpoint's answer needs, group by group.

use model::Timestamp;
use promql::Steps;

use super::MetricsAsk;
use super::ask::{Format, Group};
use super::frame::{DAY_MS, Frame, HOUR_MS, MINUTE_MS};
use crate::{Family, Need, Over};

/// The window of the peak's rate: sources that are scraped each minute have several samples in it.
pub(crate) const PEAK_WINDOW_MS: i64 = 5 * MINUTE_MS;
/// Days of which costs are told apart, at least: a week has one of each kind.
const DAYS_MIN: i64 = 7;
/// And at most: what a month's projection is made of.
const DAYS_MAX: i64 = 30;

/// The needs of `ask`, each name once.
pub fn needs(ask: &MetricsAsk) -> Vec<Need> {
    let mut list = List { frame: &ask.frame, over: ask.over(), needs: Vec::new() };
    if ask.format == Format::Prometheus {
        list.so_far();
        return list.needs;
    }
    list.summary();
    if ask.is_basic {
        return list.needs;
    }
    if ask.has(Group::Performance) || ask.has(Group::Errors) {
        list.each("requests.each", Family::Requests);
    }
    if ask.has(Group::Performance) {
        list.performance(ask.aggregation.is_some());
        list.cold_starts();
    }
    if ask.has(Group::Usage) {
        list.usage();
    }
    if ask.has(Group::Costs) {
        list.costs();
    }
    if ask.has(Group::Resources) {
        list.resources();
    }
    list.needs
}

/// The start of the calendar month in UTC that holds `t`, and the days it has after `t`.
pub(crate) fn month(t: Timestamp) -> (Timestamp, f64) {
    let Ok(time) = jiff::Timestamp::from_millisecond(t) else { return (t, 0.0) };
    let date = time.to_zoned(jiff::tz::TimeZone::UTC).date();
    let midnight = |date: jiff::civil::Date| {
        let zoned = date.to_zoned(jiff::tz::TimeZone::UTC);
        zoned.map_or(t, |zoned| zoned.timestamp().as_millisecond())
    };
    let end = midnight(date.last_of_month()) + DAY_MS;
    #[expect(clippy::cast_precision_loss, reason = "less than a month of milliseconds")]
    let days_left = (end - t) as f64 / DAY_MS as f64;
    (midnight(date.first_of_month()), days_left)
}

struct List<'a> {
    frame: &'a Frame,
    over: Over,
    needs: Vec<Need>,
}

impl List<'_> {
    fn push(&mut self, need: Need) {
        if self.needs.iter().all(|known| known.name != need.name) {
            self.needs.push(need);
        }
    }

    /// The whole frame as one window.
    fn whole(&mut self, name: &'static str, family: Family) {
        self.push(Need::at(name, family, self.frame.end, self.frame.window_ms()));
    }

    /// Each bucket.
    fn each(&mut self, name: &'static str, family: Family) {
        self.push(Need::each(name, family, self.frame.steps(), self.frame.step_ms).joined(self.over));
    }

    /// The last window of that length, and the one before it.
    fn pair(&mut self, name: &'static str, family: Family, window_ms: i64) {
        let end = self.frame.end;
        self.push(Need::each(name, family, Steps { start: end - window_ms, end, step_ms: window_ms }, window_ms));
    }

    /// Each of the days before the frame's end.
    fn days(&mut self, name: &'static str, family: Family) {
        let n_days = (self.frame.window_ms() / DAY_MS).clamp(DAYS_MIN, DAYS_MAX);
        let end = self.frame.end;
        let steps = Steps { start: end - (n_days - 1) * DAY_MS, end, step_ms: DAY_MS };
        self.push(Need::each(name, family, steps, DAY_MS));
    }

    fn summary(&mut self) {
        self.whole("requests", Family::Requests);
        self.whole("latency.sum", Family::LatencySum);
        self.whole("latency.count", Family::LatencyCount);
        self.whole("latency.quantiles", Family::LatencyQuantiles);
        self.whole("queue.sum", Family::QueueSum);
        self.whole("queue.count", Family::QueueCount);
        self.whole("cold_starts", Family::ColdStarts);
        self.whole("cost", Family::Cost);
        self.whole("replicas", Family::ReplicasRunning);
    }

    fn performance(&mut self, is_joined: bool) {
        self.each("latency.sum.each", Family::LatencySum);
        self.each("latency.count.each", Family::LatencyCount);
        self.each("latency.quantiles.each", Family::LatencyQuantiles);
        self.each("latency.buckets.each", Family::LatencyBuckets);
        self.each("tokens.each", Family::OutputTokens);
        if is_joined {
            self.each("requests.joined", Family::RequestRateJoined);
            self.each("tokens.joined", Family::OutputTokenRateJoined);
        }
        self.pair("latency.sum.hours", Family::LatencySum, HOUR_MS);
        self.pair("latency.count.hours", Family::LatencyCount, HOUR_MS);
        self.pair("latency.sum.days", Family::LatencySum, DAY_MS);
        self.pair("latency.count.days", Family::LatencyCount, DAY_MS);
        self.push(Need::each("requests.peak", Family::Requests, peak_steps(self.frame), peak_window_ms(self.frame)));
    }

    fn cold_starts(&mut self) {
        self.whole("cold.sum", Family::ColdStartSum);
        self.whole("cold.count", Family::ColdStartCount);
        self.whole("replica_hours", Family::ReplicaHours);
        self.fine("replicas.fine", Family::ReplicasRunning);
    }

    /// Each of the steps through the frame at which changes are looked for.
    fn fine(&mut self, name: &'static str, family: Family) {
        let steps = self.frame.fine_steps();
        self.push(Need::each(name, family, steps, steps.step_ms));
    }

    fn usage(&mut self) {
        if let Some(hours) = self.frame.hours() {
            self.push(Need::each("requests.hours", Family::Requests, hours, HOUR_MS));
            self.push(Need::each("latency.sum.byhour", Family::LatencySum, hours, HOUR_MS));
            self.push(Need::each("latency.count.byhour", Family::LatencyCount, hours, HOUR_MS));
        }
        self.whole("inference.sum", Family::InferenceSum);
        self.whole("idle", Family::IdleSeconds);
        self.whole("busy", Family::BusyShare);
        self.whole("in_flight", Family::InFlightMean);
        self.whole("gpu", Family::GpuUtilization);
        self.peak("gpu.memory.peak", Family::GpuMemoryJoined);
        self.whole("input", Family::InputBytes);
        self.whole("output", Family::OutputBytes);
        self.whole("cache.hits", Family::CacheHits);
        self.whole("cache.misses", Family::CacheMisses);
    }

    fn peak(&mut self, name: &'static str, family: Family) {
        self.push(Need::at(name, family, self.frame.end, self.frame.window_ms()).joined(Over::Max));
    }

    fn p95(&mut self, name: &'static str, family: Family) {
        self.push(Need::at(name, family, self.frame.end, self.frame.window_ms()).joined(Over::P95));
    }

    fn costs(&mut self) {
        self.each("cost.each", Family::Cost);
        self.days("cost.days", Family::Cost);
        self.days("cold_starts.days", Family::ColdStarts);
        self.pair("cost.daily", Family::Cost, DAY_MS);
        self.pair("cost.weekly", Family::Cost, 7 * DAY_MS);
        let end = self.frame.end;
        self.push(Need::at("cost.month", Family::Cost, end, (end - month(end).0).max(MINUTE_MS)));
        self.push(Need::at("cost.week", Family::Cost, end, 7 * DAY_MS));
        self.whole("gpu_hours", Family::GpuHours);
        self.whole("replica_hours", Family::ReplicaHours);
        self.whole("replicas.min", Family::ReplicasMin);
        self.whole("gpu.model", Family::GpuModel);
        self.p95("gpu.p95", Family::GpuUtilizationJoined);
        self.p95("gpu.memory.used.p95", Family::GpuMemoryUsedJoined);
        self.whole("cache.hits", Family::CacheHits);
        self.whole("cache.misses", Family::CacheMisses);
        self.fine("replicas.fine", Family::ReplicasRunning);
    }

    fn resources(&mut self) {
        self.whole("gpu", Family::GpuUtilization);
        self.peak("gpu.peak", Family::GpuUtilizationJoined);
        self.each("gpu.each", Family::GpuUtilization);
        self.whole("gpu.memory", Family::GpuMemory);
        self.peak("gpu.memory.peak", Family::GpuMemoryJoined);
        self.each("gpu.memory.each", Family::GpuMemory);
        self.each("gpu.temperature.each", Family::GpuTemperature);
        self.whole("gpu.memory.total", Family::GpuMemoryTotal);
        self.whole("gpu.model", Family::GpuModel);
        self.whole("gpu.flops", Family::GpuFlops);
        self.whole("gpu.tensor", Family::GpuTensorActive);
        self.whole("gpu.bandwidth", Family::GpuBandwidth);
        self.whole("gpu.dram", Family::GpuMemoryActive);
        self.whole("cpu", Family::EndpointCpu);
        self.peak("cpu.peak", Family::EndpointCpuJoined);
        self.whole("memory", Family::EndpointMemory);
        self.whole("memory.total", Family::EndpointMemoryTotal);
        self.whole("replicas.target", Family::ReplicasTarget);
        self.whole("replicas.min", Family::ReplicasMin);
        self.whole("replicas.max", Family::ReplicasMax);
        self.fine("target.fine", Family::ReplicasTarget);
        self.fine("replicas.fine", Family::ReplicasRunning);
        self.fine("pending.fine", Family::Pending);
        self.fine("gpu.fine", Family::GpuUtilization);
    }

    /// The cumulative families; the window means nothing to them.
    fn so_far(&mut self) {
        self.whole("requests.so_far", Family::RequestsSoFar);
        self.whole("latency.buckets.so_far", Family::LatencyBucketsSoFar);
        self.whole("latency.sum.so_far", Family::LatencySumSoFar);
        self.whole("latency.count.so_far", Family::LatencyCountSoFar);
        self.whole("cost.so_far", Family::CostSoFar);
        let now = Need::at("gpu.now", Family::GpuUtilization, self.frame.end, PEAK_WINDOW_MS);
        self.push(now);
    }
}

/// The window of the rates whose greatest is the peak: five minutes, or a bucket where the frame is longer than a day.
pub(crate) fn peak_window_ms(frame: &Frame) -> i64 {
    if frame.window_ms() <= DAY_MS { PEAK_WINDOW_MS } else { frame.step_ms }
}

/// When those rates are looked at.
pub(crate) fn peak_steps(frame: &Frame) -> Steps {
    let (window_ms, step_ms) =
        if frame.window_ms() <= DAY_MS { (PEAK_WINDOW_MS, MINUTE_MS) } else { (frame.step_ms, frame.step_ms) };
    let first = (frame.start + window_ms).min(frame.end);
    Steps { start: first + (frame.end - first) % step_ms, end: frame.end, step_ms }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_start_at_midnight_utc() {
        let at = |text: &str| super::super::parse_time(text).unwrap();
        let (start, left) = month(at("2024-02-15T12:00:00Z"));
        assert_eq!((start, left), (at("2024-02-01T00:00:00Z"), 14.5));
    }

    #[test]
    fn every_need_has_its_name_to_itself() {
        for text in ["", "costs", "usage", "errors", "performance"] {
            let pairs = [("metrics".to_owned(), text.to_owned()), ("aggregation".to_owned(), "max".to_owned())];
            let needs = needs(&MetricsAsk::parse(&pairs, 1_705_329_322_000).unwrap());
            let mut names: Vec<&str> = needs.iter().map(|need| need.name).collect();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), needs.len(), "{text}");
        }
    }
}
