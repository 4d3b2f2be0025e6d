//! What is known of an endpoint beside its series: the server fills it from its registry, or from labels alone.

use std::collections::BTreeMap;

use model::{Labels, TimeRange, Timestamp};
use promql::EvalError;

use crate::{Batch, Subject};

/// Facts about one endpoint; what nobody said is absent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EndpointFacts {
    /// Its id, the value of the label `endpoint_id`.
    pub id: String,
    /// Its name for people.
    pub name: Option<String>,
    /// The service tier, such as `premium`.
    pub tier: Option<String>,
    /// Where it runs.
    pub region: Option<String>,
    /// The cluster it runs on.
    pub cluster: Option<String>,
    /// The GPU of its replicas, such as `NVIDIA H100 80GB HBM3` or `h100`.
    pub gpu_model: Option<String>,
    /// GPUs of one replica.
    pub gpu_count: Option<u32>,
    /// What a calendar month may cost.
    pub budget_usd_month: Option<f64>,
    /// Replicas that a warm pool would keep.
    pub warm_replicas: Option<u32>,
}

impl EndpointFacts {
    /// An endpoint of which nothing but the id is known.
    pub fn new(id: &str) -> EndpointFacts {
        EndpointFacts { id: id.to_owned(), ..EndpointFacts::default() }
    }

    /// Takes from a series' labels what is not known yet.
    fn learn(&mut self, labels: &Labels) {
        let known = [
            ("endpoint", &mut self.name),
            ("service_tier", &mut self.tier),
            ("region", &mut self.region),
            ("cluster_id", &mut self.cluster),
            ("gpu_model", &mut self.gpu_model),
        ];
        for (name, fact) in known {
            if fact.is_none() {
                *fact = labels.get(name).map(str::to_owned);
            }
        }
    }
}

/// The times before `now` in which an endpoint is looked for, one after the other, ms: most are found in the last hour,
/// and the series of months need not be gone through for them.
const LOOK_BACK_MS: [i64; 3] = [3_600_000, 86_400_000, 90 * 86_400_000];

/// What the series say of those of `ids` that have any, in the order of `ids`.
pub fn facts_from_labels(
    batch: &Batch<'_>,
    label: &str,
    ids: &[String],
    now: Timestamp,
) -> Result<Vec<EndpointFacts>, EvalError> {
    let mut known: BTreeMap<String, EndpointFacts> = BTreeMap::new();
    for back_ms in LOOK_BACK_MS {
        let missing: Vec<String> = ids.iter().filter(|id| !known.contains_key(*id)).cloned().collect();
        if missing.is_empty() {
            break;
        }
        let range = TimeRange { mint: now.saturating_sub(back_ms), maxt: now };
        for labels in batch.labels(&Subject::members(label, missing), range)? {
            let Some(id) = labels.get(label).filter(|id| ids.iter().any(|wanted| wanted == id)) else { continue };
            known.entry(id.to_owned()).or_insert_with(|| EndpointFacts::new(id)).learn(&labels);
        }
    }
    Ok(ids.iter().filter_map(|id| known.remove(id)).collect())
}

/// What one GPU costs and holds.
#[derive(Clone, Debug, PartialEq)]
pub struct GpuPrice {
    /// Part of the model's name that tells it apart, such as `h100`; compared without case.
    pub model: String,
    /// USD for one GPU for one hour.
    pub usd_hour: f64,
    /// Bytes of its memory.
    pub vram_bytes: f64,
}

/// The prices an operator configured; empty when there are none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RateCard {
    /// GPUs in any order.
    pub gpus: Vec<GpuPrice>,
}

impl RateCard {
    /// The entry for a GPU of that model name: the longest one that the name contains.
    pub fn price(&self, gpu_model: &str) -> Option<&GpuPrice> {
        let wanted = gpu_model.to_lowercase();
        let fits = self.gpus.iter().filter(|gpu| wanted.contains(&gpu.model.to_lowercase()));
        fits.max_by_key(|gpu| gpu.model.len())
    }

    /// The largest GPU that is cheaper and holds less than `than`.
    pub fn next_smaller(&self, than: &GpuPrice) -> Option<&GpuPrice> {
        let smaller = self.gpus.iter().filter(|gpu| gpu.vram_bytes < than.vram_bytes && gpu.usd_hour < than.usd_hour);
        smaller.max_by(|a, b| a.vram_bytes.total_cmp(&b.vram_bytes).then(b.usd_hour.total_cmp(&a.usd_hour)))
    }
}
