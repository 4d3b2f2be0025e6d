//! The benchmark's fleet: GPU nodes and inference replicas whose samples follow from a seed and nothing else.

mod families;
mod hardware;
mod replica;
mod request;
mod signal;
mod target;

use std::ops::Range;

use model::{Labels, Timestamp};

pub use families::{Family, GPU_FAMILIES};
pub use hardware::{GPUS_PER_NODE, GpuModel, declare_gpu, declare_host, gpu_signals, hardware_metadata};
pub use request::Requests;
pub use signal::{Counter, Histogram, Signal, Walk};
pub use target::{Scrape, Target};

use crate::rng::Rng;

/// Time between two scrapes of a target.
pub const INTERVAL_MS: i64 = 15_000;
/// Series of one node with its replicas.
pub const SERIES_PER_NODE: usize = 726;
/// Replicas on one node.
const REPLICAS_PER_NODE: u32 = 2;
/// Projects the nodes belong to, in turn.
const PROJECTS: u32 = 4;
/// Regions the nodes stand in, in turn.
const REGIONS: [&str; 3] = ["us-east1-a", "eu-iceland1-a", "us-southcentral1-a"];
/// Models the replicas serve, in turn.
const MODELS: [&str; 3] = ["meta-llama/Llama-3.3-70B-Instruct", "Qwen/Qwen3-32B", "openai/gpt-oss-20b"];
const DAY_MS: i64 = 86_400_000;

/// A part of the fleet and the scrapes not yet cleared.
///
/// Cost: about 8 bytes a series for each of `capacity` scrapes, and the label bytes.
#[derive(Debug)]
pub struct Fleet {
    nodes: Vec<Node>,
}

/// The targets of one machine.
#[derive(Debug)]
struct Node {
    /// Where in its day this node is, as a share of a day.
    phase: f64,
    rng: Rng,
    targets: Vec<Driven>,
}

/// A target and what moves its series.
#[derive(Debug)]
struct Driven {
    target: Target,
    signals: Vec<Signal>,
}

impl Fleet {
    /// The nodes of `range` in the fleet of `seed`, with room for `capacity` scrapes.
    ///
    /// A node's samples do not depend on the range it came in.
    pub fn new(range: Range<u32>, seed: u64, capacity: usize) -> Fleet {
        Fleet { nodes: range.map(|index| Node::new(index, seed, capacity)).collect() }
    }

    /// How many series there are.
    pub fn series_count(&self) -> usize {
        self.targets().map(Target::series_count).sum()
    }

    /// Scrapes every target for the tick at `t`.
    pub fn tick(&mut self, t: Timestamp) {
        for node in &mut self.nodes {
            #[expect(clippy::cast_precision_loss, reason = "a day has fewer than 2^53 ms")]
            let hour_share = t.rem_euclid(DAY_MS) as f64 / DAY_MS as f64;
            let day = (std::f64::consts::TAU * (hour_share + node.phase)).sin();
            for driven in &mut node.targets {
                let load = (0.55 + 0.3 * day + node.rng.between(-0.1, 0.1)).clamp(0.0, 1.0);
                let mut scrape = driven.target.scrape(t, &mut node.rng);
                for signal in &mut driven.signals {
                    signal.advance(&mut node.rng, load, &mut scrape);
                }
            }
        }
    }

    /// The scrapes held, cut into write requests.
    pub fn requests(&self) -> Requests<'_> {
        Requests::new(self.targets())
    }

    /// Forgets the scrapes held.
    pub fn clear(&mut self) {
        self.nodes.iter_mut().flat_map(|node| &mut node.targets).for_each(|driven| driven.target.clear());
    }

    fn targets(&self) -> impl Iterator<Item = &Target> {
        self.nodes.iter().flat_map(|node| &node.targets).map(|driven| &driven.target)
    }
}

impl Node {
    fn new(index: u32, seed: u64, capacity: usize) -> Node {
        let mut rng = Rng::part(seed, u64::from(index));
        let host = format!("gpu-node-{index:05}");
        let project = format!("prj-{:04}", index % PROJECTS);
        let region = REGIONS[index as usize % REGIONS.len()];
        let target = |job: &str, port: u32, extra: &[(&str, &str)], rng: &mut Rng| {
            let instance = format!("{host}:{port}");
            let own = [("instance", instance.as_str()), ("job", job), ("project_id", &project), ("region", region)];
            let identity = Labels::from_pairs(own.into_iter().chain(extra.iter().copied()));
            Target::new(&identity, capacity, rng)
        };
        let mut gpus = target("dcgm-exporter", 9400, &[], &mut rng);
        let mut gpu = Vec::new();
        for slot in 0..GPUS_PER_NODE {
            declare_gpu(&mut gpus, GpuModel::H100, &host, slot, &mut rng);
            gpu.extend(gpu_signals(GpuModel::H100, &mut rng));
        }
        let mut machine = target("node-exporter", 9100, &[], &mut rng);
        let signals = declare_host(&mut machine, &mut rng);
        let mut targets = vec![Driven { target: gpus, signals: gpu }, Driven { target: machine, signals }];
        for slot in 0..REPLICAS_PER_NODE {
            let model = MODELS[(index * REPLICAS_PER_NODE + slot) as usize % MODELS.len()];
            let endpoint = format!("ep_{:016x}", Rng::part(seed, u64::from(index / PROJECTS) << 32).next_u64());
            let replica = replica_name(&mut rng);
            let own = [("endpoint_id", endpoint.as_str()), ("model_name", model), ("replica_id", &replica)];
            let mut engine = target("inference", 8000 + slot, &own, &mut rng);
            let signals = replica::declare(&mut engine, &mut rng);
            targets.push(Driven { target: engine, signals });
        }
        Node { phase: rng.unit() * 0.2, rng, targets }
    }
}

/// A replica's id as orchestrators make them: a deployment's hash and a suffix.
pub fn replica_name(rng: &mut Rng) -> String {
    const LETTERS: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz123456789";
    let mut bits = rng.next_u64();
    let mut take = |n: usize| -> String {
        (0..n)
            .map(|_| {
                let letter = LETTERS[(bits & 31) as usize];
                bits >>= 5;
                char::from(letter)
            })
            .collect()
    };
    format!("{}-{}", take(7), take(5))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use wire::remote_write::WriteRequestEncoder;

    use super::*;

    /// Every request of `steps` ticks of the nodes, as protobuf bytes and sample counts.
    fn requests(nodes: Range<u32>, seed: u64, steps: usize) -> Vec<(Vec<u8>, usize)> {
        let mut fleet = Fleet::new(nodes, seed, steps);
        (0..steps).for_each(|step| fleet.tick(1_700_000_000_000 + step as i64 * INTERVAL_MS));
        let (mut out, mut request, mut cut) = (Vec::new(), WriteRequestEncoder::new(), fleet.requests());
        while let Some(n_samples) = cut.fill(2_000, &mut request) {
            out.push((request.finish(), n_samples));
        }
        out
    }

    #[test]
    fn a_node_has_its_series_all_different() {
        let mut fleet = Fleet::new(5..7, 1, 1);
        assert_eq!(fleet.series_count(), 2 * SERIES_PER_NODE);
        fleet.tick(0);
        let all: Vec<&[u8]> =
            fleet.targets().flat_map(|target| (0..target.series_count()).map(|idx| target.label_bytes(idx))).collect();
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
        let mean_bytes = all.iter().map(|labels| labels.len()).sum::<usize>() / all.len();
        assert!((180..320).contains(&mean_bytes), "{mean_bytes} bytes of labels a series");
    }

    #[test]
    fn one_seed_is_one_fleet_however_it_is_split() {
        let whole = requests(0..2, 9, 3);
        assert_eq!(whole, requests(0..2, 9, 3));
        assert_ne!(whole, requests(0..2, 10, 3));
        let halves = [requests(0..1, 9, 3), requests(1..2, 9, 3)].concat();
        let bytes = |parts: &[(Vec<u8>, usize)]| parts.iter().flat_map(|(bytes, _)| bytes.clone()).collect::<Vec<u8>>();
        assert_eq!(bytes(&whole), bytes(&halves));
    }

    #[test]
    fn requests_are_full_but_the_last() {
        for (nodes, steps, expected) in [(3, 1, vec![2_000, 178]), (1, 20, vec![2_000; 7])] {
            let sizes: Vec<usize> = requests(0..nodes, 1, steps).into_iter().map(|(_, n)| n).collect();
            assert_eq!(sizes[..expected.len()], expected);
            assert_eq!(sizes.iter().sum::<usize>(), nodes as usize * SERIES_PER_NODE * steps);
        }
    }

    #[test]
    fn counters_and_buckets_never_fall_and_a_target_has_one_time() {
        let mut fleet = Fleet::new(0..1, 4, 40);
        (0..40).for_each(|step| fleet.tick(step * INTERVAL_MS));
        for target in fleet.targets() {
            let times: Vec<Timestamp> = target.samples(0).iter().map(|sample| sample.t).collect();
            assert!(times.windows(2).all(|w| (w[1] - w[0] - INTERVAL_MS).abs() <= 4), "{times:?}");
            for idx in 0..target.series_count() {
                let samples = target.samples(idx);
                assert!(samples.iter().map(|sample| sample.t).eq(times.iter().copied()));
                let values: Vec<f64> = samples.iter().map(|sample| sample.v).collect();
                let labels = String::from_utf8_lossy(target.label_bytes(idx)).into_owned();
                let counter = ["_total", "_bucket", "_count", "http_requests"].iter().any(|end| labels.contains(end));
                assert!(values.iter().all(|v| v.is_finite() && *v >= 0.0), "{labels}");
                assert!(!counter || values.is_sorted(), "{labels}: {values:?}");
            }
        }
    }
}
