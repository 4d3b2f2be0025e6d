//! How long answers take over the real store: 200 endpoints with two replicas each, a day at one sample a minute.
//!
//! Runs when `PROMENADE_SPEED` is set, built with optimisation: `PROMENADE_SPEED=1 cargo test --release -p clouds --test
//! speed -- --nocapture`. It prints what it measured, and holds the bars.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "it is run for its figures")]

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

use clouds::huggingface::{self, EndpointMetrics, Exposition, REPLICA_LABEL};
use clouds::tensorone::monitoring::{self, PerformanceAsk, Targets};
use clouds::tensorone::{self, MetricsAsk};
use clouds::{Batch, Catalog, EndpointFacts, RateCard, Subject};
use model::{Budget, Labels, LabelsBuilder, Pool, Queryable, Sample, Scope, Stop, Timestamp};
use promql::Context;
use tsdb::{Db, Options, SeriesHandle, SeriesKey};

const END: Timestamp = 1_705_370_400_000;
const MINUTE_MS: i64 = 60_000;
const MINUTES: i64 = 1441;
const ENDPOINTS: usize = 200;
const BOUNDS: [&str; 22] = [
    "0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "1.5", "2", "2.5", "5", "10", "15", "20", "30", "60",
    "120", "240", "480", "960", "+Inf",
];
/// What one query may use by the server's defaults.
const QUERY_BYTES: u64 = 512 << 20;
const QUERY_SAMPLES: u64 = 50_000_000;

/// The labels of all series of one replica, each with how fast it grows in a minute; 0 for a gauge.
fn replica(endpoint: usize, replica: usize) -> Vec<(Labels, f64)> {
    let (id, name) = (format!("ep_{endpoint:04}"), format!("r{endpoint}-{replica}"));
    let region = ["us-east-1", "eu-west-1"][endpoint % 2];
    let cluster = format!("cluster-{}", endpoint % 5);
    let identity = Labels::from_pairs([
        ("endpoint_id", id.as_str()),
        ("replica_id", name.as_str()),
        ("region", region),
        ("cluster_id", cluster.as_str()),
        ("model_name", "llama"),
    ]);
    let mut series = Vec::new();
    let mut push = |name: &str, pairs: &[(&str, &str)], growth: f64| {
        let mut labels = LabelsBuilder::new(&identity);
        labels.set("__name__", name);
        for (name, value) in pairs {
            labels.set(name, value);
        }
        series.push((labels.build(), growth));
    };
    for (code, growth) in [("200", 50.0), ("400", 1.0), ("429", 1.0), ("500", 1.0), ("504", 1.0)] {
        push("inference_requests_total", &[("status_code", code)], growth);
    }
    for (at, le) in BOUNDS.iter().enumerate() {
        push("inference_request_duration_seconds_bucket", &[("le", le)], at as f64 * 2.5);
    }
    for (name, growth) in [
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
        ("inference_requests_in_flight", 0.0),
        ("inference_requests_queued", 0.0),
        ("inference_replica_gpus", 0.0),
        ("DCGM_FI_DEV_GPU_UTIL", 0.0),
        ("DCGM_FI_DEV_FB_USED", 0.0),
        ("DCGM_FI_DEV_FB_FREE", 0.0),
        ("DCGM_FI_DEV_GPU_TEMP", 0.0),
        ("DCGM_FI_PROF_PIPE_TENSOR_ACTIVE", 0.0),
        ("DCGM_FI_PROF_DRAM_ACTIVE", 0.0),
    ] {
        push(name, &[("container", "server")], growth);
    }
    for state in ["running", "initializing"] {
        push("inference_replica_state", &[("state", state)], 0.0);
    }
    for (category, phase) in [("compute", "inference"), ("compute", "idle"), ("storage", ""), ("network", "")] {
        push("inference_cost_usd_total", &[("category", category), ("phase", phase)], 0.01);
    }
    for le in BOUNDS {
        // What else an engine exports, and no answer reads.
        push("vllm:time_to_first_token_seconds_bucket", &[("le", le)], 3.0);
    }
    series
}

fn key(labels: &Labels) -> SeriesKey {
    let mut hashes = [0; 2];
    for (seed, hash) in hashes.iter_mut().enumerate() {
        let mut hasher = DefaultHasher::new();
        (seed, labels.as_bytes()).hash(&mut hasher);
        *hash = hasher.finish();
    }
    SeriesKey((u128::from(hashes[0]) << 64) | u128::from(hashes[1]))
}

fn fill(db: &Db) -> usize {
    let mut all: Vec<(Labels, f64)> = Vec::new();
    for endpoint in 0..ENDPOINTS {
        (0..2).for_each(|one| all.extend(replica(endpoint, one)));
    }
    let mut handles: Vec<SeriesHandle> = Vec::new();
    for minute in 0..MINUTES {
        let t = END - (MINUTES - 1 - minute) * MINUTE_MS;
        let mut appender = db.appender();
        for (at, (labels, growth)) in all.iter().enumerate() {
            if minute == 0 {
                handles.push(appender.series(key(labels), labels));
            }
            let v = if *growth > 0.0 { growth * minute as f64 } else { (minute * 7 % 60) as f64 };
            appender.sample(&handles[at], Sample { t, v });
        }
        appender.commit(t).unwrap();
    }
    all.len()
}

/// The best of five, as a budget of the server's size allows.
fn best<T>(store: &dyn Queryable, catalog: &Catalog, work: impl Fn(&Batch<'_>) -> T) -> Duration {
    let once = || {
        let budget = Budget::new(Stop::default(), Pool::new(4 * QUERY_BYTES), QUERY_BYTES, QUERY_SAMPLES);
        let ctx = Context { store, budget: &budget, lookback_ms: 300_000 };
        let started = Instant::now();
        work(&Batch::new(catalog, &ctx));
        (started.elapsed(), budget.samples())
    };
    let (took, samples) = (0..5).map(|_| once()).min().unwrap();
    println!("    {samples} samples read");
    took
}

fn answers(batch: &Batch<'_>, ids: &[String], ask: &MetricsAsk) -> usize {
    let facts = clouds::facts_from_labels(batch, tensorone::ENDPOINT_LABEL, ids, END).unwrap();
    assert_eq!(facts.len(), ids.len());
    let subject = Subject::members(tensorone::ENDPOINT_LABEL, ids.to_vec());
    let found = batch.run(&subject, &tensorone::needs(ask)).unwrap();
    let answer = |facts: &EndpointFacts| {
        let value = tensorone::metrics(ask, found.member(&facts.id), facts, &RateCard::default(), END);
        assert!(value["summary"]["totalExecutions"].as_i64().unwrap() > 0, "{value}");
        value.to_string().len()
    };
    facts.iter().map(answer).sum()
}

/// A scrape of one endpoint: its text's length.
fn scrape(batch: &Batch<'_>, id: &str) -> usize {
    let endpoint = Subject::members(tensorone::ENDPOINT_LABEL, vec![id.to_owned()]);
    let found = batch.run(&endpoint, &huggingface::needs(END)).unwrap();
    let replicas = Subject::each(REPLICA_LABEL).within(tensorone::ENDPOINT_LABEL, vec![id.to_owned()]);
    let replicas = batch.run(&replicas, &huggingface::replica_needs(END)).unwrap();
    let text = EndpointMetrics { endpoint: found.member(id), replicas: &replicas }.text(Exposition::OpenMetrics);
    assert!(text.contains("\nhttp_requests_total{") && text.contains("\ngpu_usage_percent{"), "{text}");
    text.len()
}

#[test]
fn answers_over_two_hundred_endpoints() {
    if std::env::var_os("PROMENADE_SPEED").is_none() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(disk::Dir::open(dir.path()).unwrap(), Options::default()).unwrap();
    let started = Instant::now();
    println!("{} series written in {:?}", fill(&db), started.elapsed());
    let (querier, catalog) = (db.querier(Scope::All), Catalog::embedded().unwrap());
    let ask = |text: &str| {
        let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
        MetricsAsk::parse(&pairs.map(|(a, b)| (a.to_owned(), b.to_owned())).collect::<Vec<_>>(), END).unwrap()
    };
    let ids = |n: usize| (0..n).map(|endpoint| format!("ep_{endpoint:04}")).collect::<Vec<_>>();

    let full = best(&querier, &catalog, |batch| answers(batch, &ids(1), &ask("timeframe=24h")));
    println!("full answer, 24h at 15m: {full:?}");
    let batch_of_two =
        best(&querier, &catalog, |batch| answers(batch, &ids(50), &ask("timeframe=24h&metrics=performance,costs")));
    println!("batch of 50, performance and costs: {batch_of_two:?}");
    let batch_full = best(&querier, &catalog, |batch| answers(batch, &ids(50), &ask("timeframe=24h")));
    println!("batch of 50, everything: {batch_full:?}");
    let scraped = best(&querier, &catalog, |batch| scrape(batch, "ep_0007"));
    println!("scrape of one endpoint: {scraped:?}");
    let performance = PerformanceAsk::parse(&[], END).unwrap();
    let platform = best(&querier, &catalog, |batch| {
        monitoring::performance(batch, &performance, Targets::default()).unwrap().to_string().len()
    });
    println!("performance of the platform, 1h at 1m: {platform:?}");
    assert!(full < Duration::from_millis(150), "{full:?}");
    assert!(batch_of_two < Duration::from_secs(2), "{batch_of_two:?}");
    assert!(batch_full < Duration::from_secs(2), "{batch_full:?}");
    assert!(scraped < Duration::from_millis(20), "{scraped:?}");
}
