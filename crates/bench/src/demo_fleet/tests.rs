//! What the demo's fleet promises: reproducible, counters that fall only at restarts, every family described.

use std::collections::{BTreeMap, BTreeSet};

use model::{LabelsBuilder, is_stale};
use wire::remote_write::{BodyLimits, WriteRequest, WriteRequestEncoder};

use super::*;

const START: Timestamp = 1_795_305_600_000;

/// All samples of `scrapes` ticks by series.
fn run(options: DemoOptions, scrapes: i64) -> BTreeMap<String, Vec<(Timestamp, u64)>> {
    let mut fleet = DemoFleet::new(options, START);
    let (mut all, mut request) = (BTreeMap::<String, Vec<_>>::new(), WriteRequestEncoder::new());
    let mut labels = LabelsBuilder::default();
    for step in 0..scrapes {
        fleet.tick(START + step * INTERVAL_MS);
        if (step + 1) % SCRAPES_MAX as i64 != 0 && step + 1 < scrapes {
            continue;
        }
        let mut requests = fleet.requests();
        while requests.fill(SAMPLES_MAX, &mut request).is_some() {
            let body = request.finish();
            for series in WriteRequest::parse(&body, &BodyLimits::default()).unwrap().series() {
                labels.clear();
                series.labels(&mut labels).unwrap();
                let samples = series.samples().map(|sample| (sample.t, sample.v.to_bits()));
                all.entry(labels.build().to_string()).or_default().extend(samples);
            }
        }
        fleet.clear();
    }
    all
}

const ONE_NODE: DemoOptions = DemoOptions { project: 0, first_node: 1, nodes: 1, seed: 7 };

#[test]
fn one_seed_is_one_fleet() {
    assert_eq!(run(ONE_NODE, 5), run(ONE_NODE, 5));
    assert_ne!(run(ONE_NODE, 5), run(DemoOptions { seed: 8, ..ONE_NODE }, 5));
}

#[test]
fn hours_have_crashes_with_new_replicas_and_counters_fall_at_no_other_time() {
    let hours = run(ONE_NODE, 1_920);
    let replicas: BTreeSet<&str> = hours
        .keys()
        .filter(|name| name.starts_with("up{"))
        .filter_map(|name| name.split("replica_id=").nth(1))
        .collect();
    assert!((5..30).contains(&replicas.len()), "{} replicas in 8 hours", replicas.len());
    let mut starts = 0.0;
    for (name, samples) in &hours {
        let values: Vec<f64> =
            samples.iter().map(|(_, bits)| f64::from_bits(*bits)).filter(|value| !is_stale(*value)).collect();
        assert!(samples.is_sorted_by(|a, b| a.0 < b.0), "{name}: times");
        let falls = ["_total{", "_bucket{", "_count{", "http_requests{"].iter().any(|part| name.contains(part));
        assert!(!falls || values.is_sorted(), "{name} falls within one life");
        if name.starts_with("inference_cold_starts_total") {
            starts += values.last().unwrap();
        }
    }
    assert_eq!(starts + 3.0, replicas.len() as f64, "each start has its replica");
}

#[test]
fn every_series_has_a_described_family() {
    let known = metadata();
    let kinds: BTreeSet<&str> = known.values().map(|metadata| metadata.kind.as_str()).collect();
    assert_eq!(kinds, BTreeSet::from(["counter", "gauge", "histogram"]));
    for name in run(ONE_NODE, 1).keys() {
        let name = name.split('{').next().unwrap();
        let family = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
        let described = known.contains_key(name) || family.is_some_and(|family| known.contains_key(family));
        assert!(described, "{name} has no description");
    }
}

#[test]
fn traffic_keeps_gpus_busy_but_one() {
    let hours = run(ONE_NODE, 480);
    // A GPU stays the same whichever replica holds it.
    let mut gpus = BTreeMap::<&str, Vec<f64>>::new();
    for (name, samples) in hours.iter().filter(|(name, _)| name.starts_with("DCGM_FI_DEV_GPU_UTIL")) {
        let uuid = name.split("UUID=").nth(1).unwrap().split(',').next().unwrap();
        let values = samples.iter().map(|(_, bits)| f64::from_bits(*bits)).filter(|value| !is_stale(*value));
        gpus.entry(uuid).or_default().extend(values);
    }
    let mut utilisations: Vec<f64> =
        gpus.values().map(|values| values.iter().sum::<f64>() / values.len() as f64).collect();
    utilisations.sort_by(f64::total_cmp);
    assert_eq!(utilisations.len(), 8);
    assert!(utilisations[0] < 8.0 && utilisations[1] > 10.0 && utilisations[7] < 99.0, "{utilisations:?}");
}

#[test]
fn endpoints_are_those_of_the_series() {
    let fleet = DemoFleet::new(ONE_NODE, START);
    let endpoints: Vec<DemoEndpoint> = fleet.endpoints().collect();
    assert_eq!(endpoints.iter().map(|endpoint| endpoint.gpus).collect::<Vec<_>>(), [4, 2, 1]);
    let series = run(ONE_NODE, 1);
    for DemoEndpoint { id, slug, .. } in endpoints {
        let gpus = series.keys().filter(|name| name.starts_with("DCGM_FI_DEV_GPU_UTIL{") && name.contains(&id));
        assert!(gpus.clone().count() > 0 && gpus.clone().all(|name| name.contains(&format!("pod=\"{slug}-"))));
    }
}
