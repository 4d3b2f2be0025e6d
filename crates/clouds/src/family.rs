//! The families: everything an answer can ask the catalog for, each with its unit.

/// Defines [`Family`] and its names from one table.
macro_rules! families {
    ($($(#[$doc:meta])* $variant:ident = $name:literal;)*) => {
        /// Something that is measured; the catalog says how. Unless said otherwise a family has one value for each
        /// member, and counts what happened in the window.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Family { $($(#[$doc])* $variant,)* }

        impl Family {
            /// Every family.
            pub const ALL: &'static [Family] = &[$(Family::$variant,)*];

            /// The name in catalogs and in `?debug=sources`.
            pub fn as_str(self) -> &'static str {
                match self { $(Family::$variant => $name,)* }
            }
        }
    };
}

families! {
    /// Requests done, by `status_code` (`2xx` where only the class is known) and perhaps `reason`.
    Requests = "requests";
    /// Requests a second over five minutes, joined over the window by the method asked for.
    RequestRateJoined = "request_rate_joined";
    /// Seconds that requests took, summed.
    LatencySum = "latency_sum";
    /// Requests whose seconds are summed.
    LatencyCount = "latency_count";
    /// Requests by the upper bound of their latency in seconds, `le`, cumulative over the bounds.
    LatencyBuckets = "latency_buckets";
    /// Latency in seconds, by `quantile`: 0.5, 0.9, 0.95, 0.99 and 1.
    LatencyQuantiles = "latency_quantiles";
    /// Seconds that requests waited, summed.
    QueueSum = "queue_sum";
    /// Requests whose waiting is summed.
    QueueCount = "queue_count";
    /// Seconds that requests spent on GPUs, summed.
    InferenceSum = "inference_sum";
    /// Tokens generated.
    OutputTokens = "output_tokens";
    /// Tokens a second over five minutes, joined over the window by the method asked for.
    OutputTokenRateJoined = "output_token_rate_joined";
    /// Replicas started.
    ColdStarts = "cold_starts";
    /// Seconds that starts took, summed, by `phase`.
    ColdStartSum = "cold_start_sum";
    /// Starts whose seconds are summed, by `phase`.
    ColdStartCount = "cold_start_count";
    /// USD, by `category`, `phase` and `detail`.
    Cost = "cost";
    /// Requests in progress in a replica, the mean over window and replicas.
    InFlightMean = "in_flight_mean";
    /// Replica-seconds without a request in progress.
    IdleSeconds = "idle_seconds";
    /// Share of replica time with requests in progress, percent.
    BusyShare = "busy_share";
    /// Bytes of requests.
    InputBytes = "input_bytes";
    /// Bytes of responses.
    OutputBytes = "output_bytes";
    /// Answers from a cache.
    CacheHits = "cache_hits";
    /// Answers that no cache had.
    CacheMisses = "cache_misses";
    /// Requests in progress or waiting, now.
    Pending = "pending";
    /// Requests waiting, now.
    Queued = "queued";
    /// GPU-hours held by replicas.
    GpuHours = "gpu_hours";
    /// Hours of replicas starting or running.
    ReplicaHours = "replica_hours";
    /// Replicas running, now.
    ReplicasRunning = "replicas_running";
    /// Replicas wanted, now.
    ReplicasTarget = "replicas_target";
    /// The least number of replicas autoscaling keeps, now.
    ReplicasMin = "replicas_min";
    /// The greatest number of replicas autoscaling makes, now.
    ReplicasMax = "replicas_max";
    /// GPUs in use, percent: the mean over GPUs of each one's window joined by the method asked for.
    GpuUtilization = "gpu_utilization";
    /// GPUs in use, percent: the mean over GPUs at each time, joined over the window by the method asked for.
    GpuUtilizationJoined = "gpu_utilization_joined";
    /// GPU memory in use, percent of all of it, each GPU's window joined by the method asked for.
    GpuMemory = "gpu_memory";
    /// GPU memory in use, percent at each time, joined over the window by the method asked for.
    GpuMemoryJoined = "gpu_memory_joined";
    /// Bytes in use on the fullest GPU at each time, joined over the window by the method asked for.
    GpuMemoryUsedJoined = "gpu_memory_used_joined";
    /// Bytes of memory of the largest GPU, now.
    GpuMemoryTotal = "gpu_memory_total";
    /// Degrees Celsius of the hottest GPU in the window.
    GpuTemperature = "gpu_temperature";
    /// TFLOP/s of one GPU, the mean over the window, where the engine estimates it.
    GpuFlops = "gpu_flops";
    /// Share of time that tensor pipes were busy, 0 to 1.
    GpuTensorActive = "gpu_tensor_active";
    /// GB/s to and from the memory of one GPU, the mean over the window, where the engine estimates it.
    GpuBandwidth = "gpu_bandwidth";
    /// Share of time that the memory was busy, 0 to 1.
    GpuMemoryActive = "gpu_memory_active";
    /// 1 for each GPU model in use, by `gpu_model`.
    GpuModel = "gpu_model";
    /// CPU in use by an endpoint, percent of its limit, the mean over the window.
    EndpointCpu = "endpoint_cpu";
    /// The same over five minutes, joined over the window by the method asked for.
    EndpointCpuJoined = "endpoint_cpu_joined";
    /// Memory in use by an endpoint, percent of its limit, now.
    EndpointMemory = "endpoint_memory";
    /// Bytes an endpoint may use, now.
    EndpointMemoryTotal = "endpoint_memory_total";
    /// CPU in use by machines, percent over five minutes, joined over the window by the method asked for.
    HostCpuJoined = "host_cpu_joined";
    /// Memory in use by machines, percent, joined over the window by the method asked for.
    HostMemoryJoined = "host_memory_joined";
    /// Bytes a second that machines receive, over five minutes, joined over the window.
    NetworkIn = "network_in";
    /// Bytes a second that machines send, over five minutes, joined over the window.
    NetworkOut = "network_out";
    /// Milliseconds of a round trip, joined over the window.
    NetworkLatency = "network_latency";
    /// Bytes a second read from disks, over five minutes, joined over the window.
    DiskRead = "disk_read";
    /// Bytes a second written to disks, over five minutes, joined over the window.
    DiskWrite = "disk_write";
    /// Disk operations a second, over five minutes, joined over the window.
    DiskOps = "disk_ops";
    /// Requests waiting, joined over the window by the method asked for.
    QueuedJoined = "queued_joined";
    /// Percent of the window in which targets could be scraped.
    UpShare = "up_share";
    /// 1 for each set of placement labels that hardware has, by `region`.
    Hardware = "hardware";
    /// 1 for each set of labels that say what an endpoint is.
    EndpointInfo = "endpoint_info";
    /// Requests since counting began, by `status_code`.
    RequestsSoFar = "requests_so_far";
    /// Requests since counting began by `le`, cumulative over the bounds.
    LatencyBucketsSoFar = "latency_buckets_so_far";
    /// Seconds that requests took since counting began.
    LatencySumSoFar = "latency_sum_so_far";
    /// Requests of those seconds.
    LatencyCountSoFar = "latency_count_so_far";
    /// USD since counting began, by `category`.
    CostSoFar = "cost_so_far";
    /// GPUs in use, percent: the mean over GPUs, now.
    GpuUtilizationNow = "gpu_utilization_now";
    /// GPU memory in use, percent of all of it, now.
    GpuMemoryNow = "gpu_memory_now";
    /// Neuron cores in use, percent, now.
    NeuronUtilizationNow = "neuron_utilization_now";
    /// Neuron memory in use, percent, now.
    NeuronMemoryNow = "neuron_memory_now";
}

impl Family {
    /// The family of that name.
    pub fn parse(name: &str) -> Option<Family> {
        Family::ALL.iter().copied().find(|family| family.as_str() == name)
    }
}
