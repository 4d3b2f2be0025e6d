//! What is known of an endpoint beside its series: the server fills it from its registry, or from labels alone.

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
