//! The load of the vendor APIs' figures: a day of endpoints with two replicas each, a sample a minute.

use anyhow::Result;
use model::{Sample, Timestamp};
use wire::remote_write::{WriteRequestEncoder, encode_labels};

use crate::push::Push;
use crate::rng::Rng;

pub(crate) const MINUTE_MS: i64 = 60_000;
/// Replicas of an endpoint.
const REPLICAS: usize = 2;
/// Minutes of a series in one request; the series of a hundred make one of 2,000 samples.
const CONSECUTIVE: i64 = 20;
/// Samples of a request.
const SAMPLES_MAX: usize = 2_000;
/// Upper bounds of latency in seconds.
const BOUNDS: [&str; 22] = [
    "0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1.0", "1.5", "2.0", "2.5", "5.0", "10.0", "15.0", "20.0",
    "30.0", "60.0", "120.0", "240.0", "480.0", "960.0", "+Inf",
];
/// What a replica counts, and how fast it grows in a minute.
const COUNTERS: [(&str, f64); 11] = [
    ("inference_request_duration_seconds_sum", 100.0),
    ("inference_request_duration_seconds_count", 54.0),
    ("inference_request_queue_seconds_sum", 5.0),
    ("inference_request_queue_seconds_count", 54.0),
    ("inference_request_inference_seconds_sum", 90.0),
    ("inference_output_tokens_total", 11_000.0),
    ("inference_request_bytes_total", 200_000.0),
    ("inference_response_bytes_total", 50_000.0),
    ("inference_response_cache_hits_total", 10.0),
    ("inference_response_cache_misses_total", 44.0),
    ("container_cpu_usage_seconds_total", 60.0),
];
/// What a replica's gauges are at most.
const GAUGES: [(&str, f64); 10] = [
    ("inference_requests_in_flight", 8.0),
    ("inference_requests_queued", 2.0),
    ("inference_replica_gpus", 1.0),
    ("container_memory_working_set_bytes", 6e10),
    ("DCGM_FI_DEV_GPU_UTIL", 100.0),
    ("DCGM_FI_DEV_FB_USED", 40_000.0),
    ("DCGM_FI_DEV_FB_FREE", 41_559.0),
    ("DCGM_FI_DEV_GPU_TEMP", 80.0),
    ("DCGM_FI_PROF_PIPE_TENSOR_ACTIVE", 1.0),
    ("DCGM_FI_PROF_DRAM_ACTIVE", 1.0),
];

/// The id of an endpoint.
pub(crate) fn id(endpoint: usize) -> String {
    format!("ep_{endpoint:04}")
}

/// The name of an endpoint, as Hugging Face's paths have it.
pub(crate) fn name(endpoint: usize) -> String {
    format!("chat-{endpoint:04}")
}

/// A series in the making.
struct Growing {
    labels: Vec<u8>,
    /// By how much it grows in a minute; 0 for a gauge.
    growth: f64,
    /// What a gauge is at most.
    most: f64,
    value: f64,
}

impl Growing {
    fn next(&mut self, rng: &mut Rng) -> f64 {
        self.value = match self.growth {
            0.0 => (self.most * rng.between(0.5, 1.0)).round(),
            growth => self.value + (growth * rng.between(0.5, 1.5)).round(),
        };
        self.value
    }
}

/// Some of the endpoints, and the connection that writes their samples.
pub(crate) struct Endpoints {
    push: Push,
    all: Vec<Growing>,
    rng: Rng,
    /// The next minute to be written.
    next: Timestamp,
}

impl Endpoints {
    /// `endpoints`, of which nothing before `start` is written.
    pub(crate) fn new(push: Push, endpoints: std::ops::Range<usize>, start: Timestamp) -> Endpoints {
        let rng = Rng::part(1, endpoints.start as u64);
        let all = endpoints.flat_map(|endpoint| (0..REPLICAS).flat_map(move |n| replica(endpoint, n))).collect();
        Endpoints { push, all, rng, next: start }
    }

    /// Writes the minutes that are missing up to `end`.
    pub(crate) async fn write_to(&mut self, end: Timestamp) -> Result<()> {
        let mut request = WriteRequestEncoder::new();
        while self.next <= end {
            let last = end.min(self.next + (CONSECUTIVE - 1) * MINUTE_MS);
            let times = (self.next..=last).step_by(usize::try_from(MINUTE_MS)?);
            for series in &mut self.all {
                let samples: Vec<Sample> = times.clone().map(|t| Sample { t, v: series.next(&mut self.rng) }).collect();
                request.push_encoded(&series.labels, &samples);
                if SAMPLES_MAX <= request.n_samples() {
                    send(&mut self.push, &mut request).await?;
                }
            }
            self.next = last + MINUTE_MS;
        }
        send(&mut self.push, &mut request).await
    }
}

async fn send(push: &mut Push, request: &mut WriteRequestEncoder) -> Result<()> {
    let n_samples = request.n_samples();
    push.send(request.finish_compressed()?, n_samples).await
}

/// The series of one replica: 56 that answers read, and 22 of an engine's that none reads.
fn replica(endpoint: usize, replica: usize) -> Vec<Growing> {
    let (id, name, replica_id) = (id(endpoint), name(endpoint), format!("r{endpoint:04}-{replica}"));
    let (region, cluster) = (["us-east-1", "eu-west-1"][endpoint % 2], format!("cluster-{}", endpoint % 5));
    let identity = [
        ("endpoint_id", id.as_str()),
        ("endpoint", &name),
        ("replica_id", &replica_id),
        ("region", region),
        ("cluster_id", &cluster),
        ("model_name", "llama"),
    ];
    let mut series = Vec::new();
    let mut add = |name: &str, more: &[(&str, &str)], growth: f64, most: f64| {
        let labels = encode_labels([("__name__", name)].iter().chain(&identity).chain(more).copied());
        series.push(Growing { labels, growth, most, value: 0.0 });
    };
    for (code, growth) in [("200", 50.0), ("400", 1.0), ("429", 1.0), ("500", 1.0), ("504", 1.0)] {
        add("inference_requests_total", &[("status_code", code)], growth, 0.0);
    }
    for (at, le) in BOUNDS.iter().enumerate() {
        let share = at as f64 / (BOUNDS.len() - 1) as f64;
        add("inference_request_duration_seconds_bucket", &[("le", le)], 54.0 * share + 0.1, 0.0);
        add("vllm:time_to_first_token_seconds_bucket", &[("le", le)], 54.0 * share + 0.1, 0.0);
    }
    COUNTERS.iter().for_each(|(name, growth)| add(name, &[("container", "server")], *growth, 0.0));
    GAUGES.iter().for_each(|(name, most)| add(name, &[("container", "server")], 0.0, *most));
    for (state, most) in [("running", 1.0), ("initializing", 0.0)] {
        add("inference_replica_state", &[("state", state)], 0.0, most);
    }
    for (resource, most) in [("cpu", 16.0), ("memory", 128e9)] {
        add("kube_pod_container_resource_limits", &[("resource", resource)], 0.0, most);
    }
    for (category, phase) in [("compute", "inference"), ("compute", "idle"), ("storage", ""), ("network", "")] {
        add("inference_cost_usd_total", &[("category", category), ("phase", phase)], 10.0, 0.0);
    }
    series
}
