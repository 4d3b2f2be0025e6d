//! A hand-made fleet: two replicas of one endpoint on one node, sampled each minute for fifty hours.

use model::{Labels, LabelsBuilder, Timestamp};
use promqltest::MemoryStore;

pub(crate) const MINUTE_MS: i64 = 60_000;
pub(crate) const HOUR_MS: i64 = 3_600_000;
pub(crate) const DAY_MS: i64 = 24 * HOUR_MS;
/// 2024-01-16T02:00:00Z, a Tuesday.
pub(crate) const END: Timestamp = 1_705_370_400_000;
/// Minutes of samples, the last one at [`END`].
const MINUTES: i64 = 50 * 60;
/// The minute at which the second replica is replaced: its counters begin again.
const RESTART: i64 = 2_222;
pub(crate) const ENDPOINT: &str = "ep_1";
pub(crate) const BOUNDS: [f64; 8] = [0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, f64::INFINITY];

/// All series with their samples.
pub(crate) struct Fleet {
    pub(crate) series: Vec<(Labels, Vec<(Timestamp, f64)>)>,
}

impl Fleet {
    /// A fleet whose traffic, load and prices are multiplied by `factor`.
    pub(crate) fn new(factor: f64) -> Fleet {
        let mut fleet = Fleet { series: Vec::new() };
        for replica in 0..2 {
            fleet.add_replica(replica, factor);
        }
        fleet.add_endpoint(factor);
        fleet.add_node(factor);
        fleet
    }

    pub(crate) fn store(&self) -> MemoryStore {
        let mut store = MemoryStore::default();
        for (labels, samples) in &self.series {
            samples.iter().for_each(|(t, v)| store.push_float(labels, *t, *v).unwrap());
        }
        store
    }

    /// The samples of every series of that name whose labels have all of `pairs`.
    pub(crate) fn samples<'a>(
        &'a self,
        name: &'a str,
        pairs: &'a [(&'a str, &'a str)],
    ) -> impl Iterator<Item = &'a [(Timestamp, f64)]> {
        let hit = move |labels: &Labels| {
            labels.metric_name() == Some(name) && pairs.iter().all(|(n, v)| labels.get(n) == Some(v))
        };
        self.series.iter().filter(move |(labels, _)| hit(labels)).map(|(_, samples)| samples.as_slice())
    }

    fn push(&mut self, name: &str, identity: &Labels, pairs: &[(&str, &str)], value: impl Fn(i64) -> f64) {
        let mut labels = LabelsBuilder::new(identity);
        labels.set("__name__", name);
        for (name, value) in pairs {
            labels.set(name, value);
        }
        let start = END - (MINUTES - 1) * MINUTE_MS;
        let samples = (0..MINUTES).map(|minute| (start + minute * MINUTE_MS, value(minute))).collect();
        self.series.push((labels.build(), samples));
    }

    /// A counter that grows by `growth(minute)` each minute, and begins again where the replica does.
    fn push_counter(
        &mut self,
        name: &str,
        identity: &Labels,
        pairs: &[(&str, &str)],
        restarts: bool,
        growth: impl Fn(i64) -> f64,
    ) {
        let mut totals = Vec::new();
        let mut total = 0.0;
        for minute in 0..MINUTES {
            total = if restarts && minute == RESTART { 0.0 } else { total + growth(minute) };
            totals.push(total);
        }
        self.push(name, identity, pairs, |minute| totals[usize::try_from(minute).unwrap()]);
    }

    fn add_replica(&mut self, replica: i64, factor: f64) {
        let name = ["r-one", "r-two"][usize::from(replica == 1)];
        let identity = Labels::from_pairs([
            ("endpoint_id", ENDPOINT),
            ("endpoint", "chat"),
            ("replica_id", name),
            ("region", "us-east-1"),
            ("cluster_id", "cluster-1"),
            ("service_tier", "premium"),
        ]);
        let restarts = replica == 1;
        // Traffic follows the hour of the day, so that there is a pattern; whole numbers add up exactly.
        let traffic = move |minute: i64| {
            let hour = (END / MINUTE_MS - MINUTES + 1 + minute) / 60 % 24;
            (factor * (3.0 + (hour % 12) as f64)).round()
        };
        let codes = [
            ("200", 40),
            ("204", 2),
            ("400", 2),
            ("422", 1),
            ("408", 1),
            ("429", 1),
            ("500", 1),
            ("503", 1),
            ("504", 1),
        ];
        for (code, weight) in codes {
            let growth = move |minute| traffic(minute) * f64::from(weight);
            self.push_counter("inference_requests_total", &identity, &[("status_code", code)], restarts, growth);
        }
        let all = move |minute| 50.0 * traffic(minute);
        // The share of requests up to each bound, in fiftieths.
        let shares = [5.0, 12.0, 25.0, 38.0, 45.0, 48.0, 50.0, 50.0];
        for (bound, share) in BOUNDS.iter().zip(shares) {
            let le = if bound.is_infinite() { "+Inf".to_owned() } else { bound.to_string() };
            let growth = move |minute| share * traffic(minute);
            let name = "inference_request_duration_seconds_bucket";
            self.push_counter(name, &identity, &[("le", &le)], restarts, growth);
        }
        let histogram = |fleet: &mut Fleet, name: &str, mean_s: f64| {
            let (sum, count) = (format!("{name}_sum"), format!("{name}_count"));
            fleet.push_counter(&sum, &identity, &[], restarts, move |minute| mean_s * all(minute));
            fleet.push_counter(&count, &identity, &[], restarts, all);
        };
        histogram(self, "inference_request_duration_seconds", 1.75 + replica as f64 / 4.0);
        histogram(self, "inference_request_queue_seconds", 0.125);
        histogram(self, "inference_request_inference_seconds", 1.5);
        for (name, each) in [
            ("inference_output_tokens_total", 220.0),
            ("inference_request_bytes_total", 4_096.0),
            ("inference_response_bytes_total", 1_024.0),
            ("inference_response_cache_hits_total", 0.25),
            ("inference_response_cache_misses_total", 0.75),
        ] {
            self.push_counter(name, &identity, &[], restarts, move |minute| each * all(minute));
        }
        self.push("inference_requests_in_flight", &identity, &[], move |minute| {
            if minute % 10 < 2 { 0.0 } else { 1.0 + replica as f64 }
        });
        self.push("inference_requests_queued", &identity, &[], |minute| f64::from(minute % 7 == 0));
        self.push("inference_replica_gpus", &identity, &[], |_| 1.0);
        for state in ["running", "initializing"] {
            // Ten minutes after its restart the second replica runs again.
            let starts = move |minute: i64| restarts && (RESTART..RESTART + 10).contains(&minute);
            let value = move |minute| f64::from(starts(minute) == (state == "initializing"));
            self.push("inference_replica_state", &identity, &[("state", state)], value);
        }
        let gpu = [("gpu", if replica == 0 { "0" } else { "1" }), ("modelName", "NVIDIA H100 80GB HBM3")];
        let load = move |minute: i64| (40.0 * factor + (minute % 30) as f64).min(99.0);
        self.push("DCGM_FI_DEV_GPU_UTIL", &identity, &gpu, load);
        self.push("DCGM_FI_DEV_FB_USED", &identity, &gpu, move |minute| 40_000.0 + 100.0 * (minute % 50) as f64);
        self.push("DCGM_FI_DEV_FB_FREE", &identity, &gpu, move |minute| 41_559.0 - 100.0 * (minute % 50) as f64);
        self.push("DCGM_FI_DEV_GPU_TEMP", &identity, &gpu, move |minute| 55.0 + (minute % 9) as f64);
        self.push("DCGM_FI_PROF_PIPE_TENSOR_ACTIVE", &identity, &gpu, |minute| 0.25 + (minute % 4) as f64 / 16.0);
        self.push("DCGM_FI_PROF_DRAM_ACTIVE", &identity, &gpu, |minute| 0.5 + (minute % 2) as f64 / 8.0);
        let container = [("container", "server"), ("pod", name)];
        let cpu = move |minute: i64| 60.0 * (1.0 + (minute % 3) as f64);
        self.push_counter("container_cpu_usage_seconds_total", &identity, &container, restarts, cpu);
        self.push("container_memory_working_set_bytes", &identity, &container, |_| 24e9);
        self.push("kube_pod_container_resource_limits", &identity, &[("resource", "cpu"), ("pod", name)], |_| 8.0);
        self.push("kube_pod_container_resource_limits", &identity, &[("resource", "memory"), ("pod", name)], |_| 32e9);
    }

    fn add_endpoint(&mut self, factor: f64) {
        let identity = Labels::from_pairs([
            ("endpoint_id", ENDPOINT),
            ("endpoint", "chat"),
            ("region", "us-east-1"),
            ("cluster_id", "cluster-1"),
        ]);
        let target = |minute: i64| if (2_000..2_300).contains(&minute) { 3.0 } else { 2.0 };
        self.push("inference_replicas_target", &identity, &[], target);
        self.push("inference_replicas_min", &identity, &[], |_| 1.0);
        self.push("inference_replicas_max", &identity, &[], |_| 4.0);
        let started = |minute: i64| f64::from(minute == RESTART || minute % 500 == 499);
        self.push_counter("inference_cold_starts_total", &identity, &[], false, started);
        for (phase, seconds) in
            [("container_start", 12.5), ("dependency_load", 3.0), ("model_load", 18.75), ("total", 34.25)]
        {
            let pairs = [("phase", phase)];
            self.push_counter("inference_cold_start_seconds_sum", &identity, &pairs, false, move |minute| {
                seconds * started(minute)
            });
            self.push_counter("inference_cold_start_seconds_count", &identity, &pairs, false, started);
        }
        let costs = [
            ("compute", "inference", "", 0.064),
            ("compute", "cold_start", "", 0.008),
            ("compute", "idle", "", 0.016),
            ("storage", "", "models", 0.002),
            ("storage", "", "outputs", 0.001),
            ("network", "", "ingress", 0.000_5),
            ("network", "", "egress", 0.001_5),
            ("other", "", "monitoring", 0.000_75),
            ("other", "", "logging", 0.000_25),
        ];
        for (category, phase, detail, usd) in costs {
            let pairs = [("category", category), ("phase", phase), ("detail", detail)];
            // The second day is dearer than the first.
            let growth = move |minute: i64| factor * usd * if minute < MINUTES - 1440 { 1.0 } else { 1.25 };
            self.push_counter("inference_cost_usd_total", &identity, &pairs, false, growth);
        }
    }

    fn add_node(&mut self, factor: f64) {
        let identity = Labels::from_pairs([
            ("cluster_id", "cluster-1"),
            ("cluster_name", "Cluster One"),
            ("node", "n1"),
            ("region", "us-east-1"),
        ]);
        for (mode, share) in [("idle", 0.5 / factor), ("user", 1.0 - 0.5 / factor)] {
            let growth =
                move |minute: i64| 60.0 * (share + (minute % 5) as f64 * if mode == "idle" { -0.01 } else { 0.01 });
            self.push_counter("node_cpu_seconds_total", &identity, &[("cpu", "0"), ("mode", mode)], false, growth);
        }
        self.push("node_memory_MemTotal_bytes", &identity, &[], |_| 1e12);
        self.push("node_memory_MemAvailable_bytes", &identity, &[], |minute| 4e11 - 1e9 * (minute % 100) as f64);
        let load = move |minute: i64| (50.0 * factor + (minute % 60) as f64).min(100.0);
        self.push("DCGM_FI_DEV_GPU_UTIL", &identity, &[("gpu", "7")], load);
        for (name, device, per_second) in [
            ("node_network_receive_bytes_total", "eth0", 287.5e6),
            ("node_network_receive_bytes_total", "lo", 9e9),
            ("node_network_transmit_bytes_total", "eth0", 587.5e6),
            ("node_disk_read_bytes_total", "nvme0n1", 850e6),
            ("node_disk_written_bytes_total", "nvme0n1", 420e6),
            ("node_disk_reads_completed_total", "nvme0n1", 8_000.0),
            ("node_disk_writes_completed_total", "nvme0n1", 4_500.0),
        ] {
            // Unevenly, so that it matters which minutes a rate is over.
            let growth = move |minute: i64| 60.0 * per_second * (0.9 + (minute % 3) as f64 / 10.0);
            self.push_counter(name, &identity, &[("device", device)], false, growth);
        }
        self.push("probe_icmp_duration_seconds", &identity, &[("phase", "rtt")], |minute| {
            0.0123 + (minute % 5) as f64 / 1e4
        });
        self.push("up", &identity, &[("job", "node")], |_| 1.0);
    }
}
