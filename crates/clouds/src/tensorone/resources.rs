//! The `resources` section: GPUs, CPU and memory, and scaling.

use serde_json::{Value, json};

use super::metrics::Answer;
use super::numbers::{number, ratio, time, to_i64, whole};
use super::scaling;

/// Memory sizes that GPUs are sold with, GB.
const MARKETED_GB: [i64; 19] = [4, 6, 8, 12, 16, 20, 24, 32, 40, 48, 64, 80, 94, 96, 128, 141, 180, 192, 288];

/// What a GPU can do at most: dense bf16 TFLOP/s and GB/s. Source: the makers' data sheets. The first whose words are
/// all in the model's name counts.
const PEAKS: [(&[&str], f64, f64); 10] = [
    (&["a100", "40gb"], 312.0, 1555.0),
    (&["a100"], 312.0, 2039.0),
    (&["a10g"], 70.0, 600.0),
    (&["h200"], 989.0, 4800.0),
    (&["h100"], 989.0, 3350.0),
    (&["b200"], 2250.0, 8000.0),
    (&["mi300x"], 1307.0, 5300.0),
    (&["l40s"], 362.0, 864.0),
    (&["l4"], 121.0, 300.0),
    (&["a10"], 125.0, 600.0),
];

/// What a GPU of that model can do at most: TFLOP/s and GB/s.
fn peaks(model: &str) -> Option<(f64, f64)> {
    let model = model.to_lowercase();
    let found = PEAKS.iter().find(|(words, _, _)| words.iter().all(|word| model.contains(word)));
    found.map(|(_, flops, bandwidth)| (*flops, *bandwidth))
}

/// The section.
pub(crate) fn resources(answer: &Answer<'_>) -> Value {
    let view = answer.view;
    json!({
        "gpu": {
            "utilization": {
                "average": number(view.value("gpu"), 1),
                "peak": number(view.value("gpu.peak"), 1),
                "timeSeries": gpu_series(answer),
            },
            "memory": {
                "average": number(view.value("gpu.memory"), 1),
                "peak": number(view.value("gpu.memory.peak"), 1),
                "allocated": view.value("gpu.memory.total").map(|bytes| format!("{}GB", marketed_gb(bytes))),
                "efficiency": number(
                    ratio(view.value("gpu.memory"), view.value("gpu.memory.peak")).map(|share| 100.0 * share), 1),
            },
            "performance": performance(answer),
        },
        "cpu": {
            "utilization": {"average": number(view.value("cpu"), 1), "peak": number(view.value("cpu.peak"), 1)},
            "memory": {
                "usage": number(view.value("memory"), 1),
                "available": view.value("memory.total").map(|bytes| format!("{}GB", to_i64(bytes / 1e9))),
            },
        },
        "scaling": {
            "events": scaling::events(answer),
            "currentInstances": whole(view.value("replicas")),
            "targetInstances": whole(view.value("replicas.target")),
            "autoScalingEnabled": view.value("replicas.min").zip(view.value("replicas.max")).map(|(min, max)| min < max),
        },
    })
}

fn gpu_series(answer: &Answer<'_>) -> Value {
    let view = answer.view;
    let (used, memory, heat) = (view.line("gpu.each"), view.line("gpu.memory.each"), view.line("gpu.temperature.each"));
    let points = answer.buckets().map(|(at, start)| {
        json!({
            "timestamp": time(start),
            "utilization": number(used.get(at).copied(), 1),
            "memoryUsage": number(memory.get(at).copied(), 1),
            "temperature": number(heat.get(at).copied(), 1),
        })
    });
    Value::Array(points.collect())
}

fn performance(answer: &Answer<'_>) -> Value {
    let peaks = answer.gpu_model().and_then(|model| peaks(&model));
    let measured = |estimate: &str, active: &str, peak: Option<f64>| {
        let by_share = answer.view.value(active).zip(peak).map(|(share, peak)| share * peak);
        answer.view.value(estimate).or(by_share)
    };
    let flops = measured("gpu.flops", "gpu.tensor", peaks.map(|(flops, _)| flops));
    let bandwidth = measured("gpu.bandwidth", "gpu.dram", peaks.map(|(_, bandwidth)| bandwidth));
    json!({
        "flops": number(flops, 1),
        "memoryBandwidth": number(bandwidth, 1),
        "efficiency": number(peaks.and_then(|peaks| roofline(flops, bandwidth, peaks)), 1),
    })
}

/// How near a GPU is to the nearer of its two limits, percent.
fn roofline(flops: Option<f64>, bandwidth: Option<f64>, (peak_flops, peak_bandwidth): (f64, f64)) -> Option<f64> {
    let shares = [flops.map(|flops| flops / peak_flops), bandwidth.map(|bandwidth| bandwidth / peak_bandwidth)];
    shares.into_iter().flatten().reduce(f64::max).map(|share| 100.0 * share)
}

/// The size in GB that memory of so many bytes is sold as.
fn marketed_gb(bytes: f64) -> i64 {
    let gib = bytes / f64::from(1 << 30);
    #[expect(clippy::cast_precision_loss, reason = "at most hundreds")]
    let distance = |gb: i64| (gb as f64 - gib).abs();
    let nearest = MARKETED_GB.into_iter().min_by(|a, b| distance(*a).total_cmp(&distance(*b)));
    // Beyond all of them the number is what it is.
    nearest.filter(|nearest| distance(*nearest) <= 0.1 * gib).unwrap_or_else(|| to_i64(gib))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_named_as_it_is_sold() {
        let mib = 1_048_576.0;
        for (bytes, expect) in
            [(81_559.0 * mib, 80), (40_960.0 * mib, 40), (143_771.0 * mib, 141), (24_564.0 * mib, 24), (4e12, 3725)]
        {
            assert_eq!(marketed_gb(bytes), expect, "{bytes}");
        }
    }

    #[test]
    fn the_nearer_limit_counts() {
        let h100 = peaks("NVIDIA H100 80GB HBM3").unwrap();
        assert_eq!(h100, (989.0, 3350.0));
        assert_eq!(peaks("NVIDIA A100-SXM4-40GB"), Some((312.0, 1555.0)));
        assert_eq!(peaks("NVIDIA L40S"), Some((362.0, 864.0)));
        assert_eq!(peaks("Voodoo2"), None);
        assert_eq!(roofline(Some(494.5), Some(670.0), h100), Some(50.0));
        assert_eq!(roofline(None, Some(670.0), h100), Some(20.0));
        assert_eq!(roofline(None, None, h100), None);
    }
}
