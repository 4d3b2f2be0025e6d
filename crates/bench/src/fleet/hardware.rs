//! Declares the series of GPUs and machines on a target and makes what moves them.

use model::{Metadata, MetricKind};

use crate::fleet::families::{
    CPU_MODES, CPU_SECONDS, DISK_FAMILIES, Family, GPU_FAMILIES, LOAD_FAMILIES, MEMORY_FAMILIES, NETWORK_FAMILIES,
};
use crate::fleet::signal::Signal;
use crate::fleet::target::Target;
use crate::rng::Rng;

/// GPUs of one node.
pub const GPUS_PER_NODE: usize = 8;
const CPUS: usize = 24;
const DISKS: usize = 4;
/// The driver every node runs.
const DRIVER: &str = "570.172.08";
/// Ethernet and one InfiniBand port a GPU.
const NETWORK_DEVICES: [&str; 9] = ["eth0", "ib0", "ib1", "ib2", "ib3", "ib4", "ib5", "ib6", "ib7"];

/// A kind of GPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GpuModel {
    /// 80 GB, 700 W.
    H100,
    /// 48 GB, 350 W.
    L40s,
}

impl GpuModel {
    /// The marketing name, as the driver reports it.
    pub fn name(self) -> &'static str {
        match self {
            GpuModel::H100 => "NVIDIA H100 80GB HBM3",
            GpuModel::L40s => "NVIDIA L40S",
        }
    }

    /// Watts at full load compared with the table's H100.
    fn power_share(self) -> f64 {
        match self {
            GpuModel::H100 => 1.0,
            GpuModel::L40s => 0.5,
        }
    }

    /// Memory compared with the table's H100.
    fn memory_share(self) -> f64 {
        match self {
            GpuModel::H100 => 1.0,
            GpuModel::L40s => 0.56,
        }
    }
}

/// Declares the series of one GPU; their values come from [`gpu_signals`].
pub fn declare_gpu(target: &mut Target, model: GpuModel, host: &str, slot: usize, rng: &mut Rng) {
    let (hi, lo) = (rng.next_u64(), rng.next_u64());
    let uuid = format!(
        "GPU-{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        hi >> 32,
        (hi >> 16) & 0xffff,
        hi & 0xffff,
        lo >> 48,
        lo & 0xffff_ffff_ffff
    );
    let (gpu, device) = (slot.to_string(), format!("nvidia{slot}"));
    let labels = [
        ("Hostname", host),
        ("gpu", &gpu),
        ("device", &device),
        ("UUID", &uuid),
        ("modelName", model.name()),
        ("DCGM_FI_DRIVER_VERSION", DRIVER),
    ];
    for family in &GPU_FAMILIES {
        target.declare(family.name, &labels);
    }
}

/// What moves the series of one GPU, in the order they are declared.
pub fn gpu_signals(model: GpuModel, rng: &mut Rng) -> Vec<Signal> {
    let share = |family: &Family| match family.name {
        name if name.contains("POWER") || name.contains("ENERGY") => model.power_share(),
        name if name.contains("_FB_") => model.memory_share(),
        _ => 1.0,
    };
    GPU_FAMILIES.iter().map(|family| started(&family.signal, share(family), rng)).collect()
}

/// Declares the series of one machine and makes what moves them.
pub fn declare_host(target: &mut Target, rng: &mut Rng) -> Vec<Signal> {
    let mut signals = Vec::new();
    for cpu in 0..CPUS {
        let cpu = cpu.to_string();
        for (mode, signal) in &CPU_MODES {
            target.declare(CPU_SECONDS, &[("cpu", &cpu), ("mode", mode)]);
            signals.push(started(signal, 1.0, rng));
        }
    }
    let mut declare = |families: &[Family], labels: &[(&str, &str)]| {
        for family in families {
            target.declare(family.name, labels);
            signals.push(started(&family.signal, 1.0, rng));
        }
    };
    declare(&MEMORY_FAMILIES, &[]);
    (0..DISKS).for_each(|disk| declare(&DISK_FAMILIES, &[("device", &format!("nvme{disk}n1"))]));
    NETWORK_DEVICES.iter().for_each(|device| declare(&NETWORK_FAMILIES, &[("device", device)]));
    declare(&LOAD_FAMILIES, &[]);
    signals
}

/// The descriptions of all GPU and machine families.
pub fn hardware_metadata() -> impl Iterator<Item = (&'static str, Metadata)> {
    let cpu =
        Metadata { kind: MetricKind::Counter, help: "Seconds the CPUs spent in each mode.".into(), unit: "".into() };
    let tables = [&GPU_FAMILIES[..], &MEMORY_FAMILIES, &DISK_FAMILIES, &NETWORK_FAMILIES, &LOAD_FAMILIES];
    tables.into_iter().flatten().map(|family| (family.name, family.metadata())).chain([(CPU_SECONDS, cpu)])
}

/// A signal at a random point of its life, scaled by `share`.
fn started(signal: &Signal, share: f64, rng: &mut Rng) -> Signal {
    match signal.clone() {
        Signal::Constant(value) => Signal::Constant((value * share).round()),
        Signal::Counter(mut counter) => {
            counter.mean *= share;
            counter.value = counter.mean * rng.between(1e4, 1e6);
            Signal::Counter(counter)
        }
        Signal::Walk(mut walk) => {
            (walk.low, walk.high) = (walk.low * share, walk.high * share);
            walk.value = walk.low + (walk.high - walk.low) * rng.unit();
            Signal::Walk(walk)
        }
        histogram @ Signal::Histogram(..) => histogram,
    }
}
