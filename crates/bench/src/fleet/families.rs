//! Tables of the families GPU and node exporters show: name, type, help, and how the values move.

use model::{Metadata, MetricKind};

use crate::fleet::signal::{Counter, Signal, Walk};

/// One family of an exporter.
#[derive(Debug)]
pub struct Family {
    /// The metric name.
    pub name: &'static str,
    /// The type.
    pub kind: MetricKind,
    /// One sentence for people.
    pub help: &'static str,
    /// How a series of it starts.
    pub signal: Signal,
}

impl Family {
    /// The description sent to servers.
    pub fn metadata(&self) -> Metadata {
        Metadata { kind: self.kind, help: self.help.to_owned(), unit: String::new() }
    }
}

const fn family(name: &'static str, kind: MetricKind, help: &'static str, signal: Signal) -> Family {
    Family { name, kind, help, signal }
}

const fn gauge(name: &'static str, signal: Signal, help: &'static str) -> Family {
    family(name, MetricKind::Gauge, help, signal)
}

const fn counter(name: &'static str, signal: Signal, help: &'static str) -> Family {
    family(name, MetricKind::Counter, help, signal)
}

/// A walk that sits at `low` without load and at `high` under full load.
pub(super) const fn walk(low: f64, high: f64, stride: f64, scale: f64) -> Signal {
    Signal::Walk(Walk { value: (low + high) / 2.0, low, high, stride, scale })
}

/// A counter whose increments follow the load.
pub(super) const fn grows(mean: f64, scale: f64) -> Signal {
    Signal::Counter(Counter { value: 0.0, mean, slope: 1.8, spread: 1.0, scale })
}

/// A counter that ignores the load.
const fn ticks(mean: f64, scale: f64) -> Signal {
    Signal::Counter(Counter { value: 0.0, mean, slope: 0.0, spread: 1.0, scale })
}

const ZERO: Signal = Signal::Constant(0.0);
const GIB: f64 = 1_073_741_824.0;

/// The gauges and counters of one GPU, as for an H100. Source: dcgm-exporter `etc/*.csv`.
pub static GPU_FAMILIES: [Family; 24] = [
    gauge("DCGM_FI_DEV_SM_CLOCK", walk(1200.0, 1980.0, 0.05, 1.0), "SM clock frequency (in MHz)."),
    gauge("DCGM_FI_DEV_MEM_CLOCK", Signal::Constant(2619.0), "Memory clock frequency (in MHz)."),
    gauge("DCGM_FI_DEV_MEMORY_TEMP", walk(42.0, 82.0, 0.02, 1.0), "Memory temperature (in C)."),
    gauge("DCGM_FI_DEV_GPU_TEMP", walk(34.0, 74.0, 0.02, 1.0), "GPU temperature (in C)."),
    gauge("DCGM_FI_DEV_POWER_USAGE", walk(90.0, 680.0, 0.04, 1000.0), "Power draw (in W)."),
    counter("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", grows(5.8e6, 1.0), "Total energy consumption since boot (in mJ)."),
    counter("DCGM_FI_DEV_PCIE_REPLAY_COUNTER", ZERO, "Total number of PCIe retries."),
    gauge("DCGM_FI_DEV_GPU_UTIL", walk(0.0, 99.0, 0.06, 1.0), "GPU utilization (in %)."),
    gauge("DCGM_FI_DEV_MEM_COPY_UTIL", walk(0.0, 68.0, 0.05, 1.0), "Memory bandwidth utilization (in %)."),
    gauge("DCGM_FI_DEV_XID_ERRORS", ZERO, "Value of the last XID error encountered."),
    gauge("DCGM_FI_DEV_FB_FREE", walk(18_400.0, 15_900.0, 0.01, 1.0), "Framebuffer memory free (in MiB)."),
    gauge("DCGM_FI_DEV_FB_USED", walk(62_400.0, 64_900.0, 0.01, 1.0), "Framebuffer memory used (in MiB)."),
    gauge("DCGM_FI_DEV_FB_RESERVED", Signal::Constant(759.0), "Framebuffer memory reserved (in MiB)."),
    counter("DCGM_FI_DEV_NVLINK_BANDWIDTH_TOTAL", grows(4.1e5, 1.0), "Total number of NVLink bandwidth counters."),
    counter("DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS", ZERO, "Number of remapped rows for uncorrectable errors."),
    counter("DCGM_FI_DEV_CORRECTABLE_REMAPPED_ROWS", ZERO, "Number of remapped rows for correctable errors."),
    gauge("DCGM_FI_DEV_ROW_REMAP_FAILURE", ZERO, "Whether remapping of rows has failed."),
    gauge("DCGM_FI_DEV_VGPU_LICENSE_STATUS", ZERO, "vGPU license status."),
    gauge("DCGM_FI_PROF_GR_ENGINE_ACTIVE", walk(0.0, 0.98, 0.05, 1e6), "Ratio of time the graphics engine is active."),
    gauge("DCGM_FI_PROF_SM_ACTIVE", walk(0.0, 0.86, 0.05, 1e6), "Ratio of cycles an SM has a warp assigned."),
    gauge("DCGM_FI_PROF_PIPE_TENSOR_ACTIVE", walk(0.0, 0.46, 0.05, 1e6), "Ratio of cycles the tensor pipe is active."),
    gauge("DCGM_FI_PROF_DRAM_ACTIVE", walk(0.0, 0.62, 0.05, 1e6), "Ratio of cycles the memory interface is active."),
    gauge("DCGM_FI_PROF_PCIE_TX_BYTES", walk(2e5, 9e8, 0.06, 1.0), "PCIe bytes sent a second."),
    gauge("DCGM_FI_PROF_PCIE_RX_BYTES", walk(3e5, 1.4e9, 0.06, 1.0), "PCIe bytes received a second."),
];

/// Memory of a machine with 1 TiB. Source: node_exporter, `/proc/meminfo`.
pub(super) static MEMORY_FAMILIES: [Family; 16] = [
    gauge("node_memory_MemTotal_bytes", Signal::Constant(1008.0 * GIB), "Memory information field MemTotal_bytes."),
    gauge(
        "node_memory_MemFree_bytes",
        walk(420.0 * GIB, 120.0 * GIB, 0.01, PAGES),
        "Memory information field MemFree_bytes.",
    ),
    gauge(
        "node_memory_MemAvailable_bytes",
        walk(760.0 * GIB, 380.0 * GIB, 0.01, PAGES),
        "Memory information field MemAvailable_bytes.",
    ),
    gauge(
        "node_memory_Buffers_bytes",
        walk(0.4 * GIB, 1.1 * GIB, 0.01, PAGES),
        "Memory information field Buffers_bytes.",
    ),
    gauge(
        "node_memory_Cached_bytes",
        walk(210.0 * GIB, 290.0 * GIB, 0.01, PAGES),
        "Memory information field Cached_bytes.",
    ),
    gauge("node_memory_SwapCached_bytes", ZERO, "Memory information field SwapCached_bytes."),
    gauge(
        "node_memory_Active_bytes",
        walk(150.0 * GIB, 380.0 * GIB, 0.01, PAGES),
        "Memory information field Active_bytes.",
    ),
    gauge(
        "node_memory_Inactive_bytes",
        walk(190.0 * GIB, 230.0 * GIB, 0.01, PAGES),
        "Memory information field Inactive_bytes.",
    ),
    gauge("node_memory_Dirty_bytes", walk(0.0, 0.2 * GIB, 0.1, PAGES), "Memory information field Dirty_bytes."),
    gauge("node_memory_Writeback_bytes", ZERO, "Memory information field Writeback_bytes."),
    gauge(
        "node_memory_AnonPages_bytes",
        walk(130.0 * GIB, 340.0 * GIB, 0.01, PAGES),
        "Memory information field AnonPages_bytes.",
    ),
    gauge(
        "node_memory_Mapped_bytes",
        walk(14.0 * GIB, 18.0 * GIB, 0.01, PAGES),
        "Memory information field Mapped_bytes.",
    ),
    gauge(
        "node_memory_Shmem_bytes",
        walk(21.0 * GIB, 24.0 * GIB, 0.01, PAGES),
        "Memory information field Shmem_bytes.",
    ),
    gauge("node_memory_Slab_bytes", walk(9.0 * GIB, 12.0 * GIB, 0.01, PAGES), "Memory information field Slab_bytes."),
    gauge(
        "node_memory_PageTables_bytes",
        walk(0.7 * GIB, 1.2 * GIB, 0.01, PAGES),
        "Memory information field PageTables_bytes.",
    ),
    gauge("node_memory_HugePages_Total", ZERO, "Memory information field HugePages_Total."),
];
/// Memory comes in pages of 4 KiB.
const PAGES: f64 = 1.0 / 4096.0;

/// One disk. Source: node_exporter, `/proc/diskstats`.
pub(super) static DISK_FAMILIES: [Family; 5] = [
    counter("node_disk_read_bytes_total", grows(2.4e7, 1.0 / 512.0), "The total number of bytes read successfully."),
    counter(
        "node_disk_written_bytes_total",
        grows(9.1e6, 1.0 / 512.0),
        "The total number of bytes written successfully.",
    ),
    counter("node_disk_reads_completed_total", grows(190.0, 1.0), "The total number of reads completed successfully."),
    counter(
        "node_disk_writes_completed_total",
        grows(310.0, 1.0),
        "The total number of writes completed successfully.",
    ),
    counter("node_disk_io_time_seconds_total", grows(0.21, 1000.0), "Total seconds spent doing I/Os."),
];

/// One network device. Source: node_exporter, `/proc/net/dev`.
pub(super) static NETWORK_FAMILIES: [Family; 7] = [
    counter("node_network_receive_bytes_total", grows(3.3e8, 1.0), "Network device statistic receive_bytes."),
    counter("node_network_transmit_bytes_total", grows(2.9e8, 1.0), "Network device statistic transmit_bytes."),
    counter("node_network_receive_packets_total", grows(2.4e5, 1.0), "Network device statistic receive_packets."),
    counter("node_network_transmit_packets_total", grows(2.2e5, 1.0), "Network device statistic transmit_packets."),
    counter("node_network_receive_errs_total", ZERO, "Network device statistic receive_errs."),
    counter("node_network_transmit_errs_total", ZERO, "Network device statistic transmit_errs."),
    counter("node_network_receive_drop_total", ticks(0.02, 1.0), "Network device statistic receive_drop."),
];

/// The run queue. Source: node_exporter, `/proc/loadavg`.
pub(super) static LOAD_FAMILIES: [Family; 3] = [
    gauge("node_load1", walk(0.3, 26.0, 0.05, 100.0), "1m load average."),
    gauge("node_load5", walk(0.4, 25.0, 0.02, 100.0), "5m load average."),
    gauge("node_load15", walk(0.5, 24.0, 0.01, 100.0), "15m load average."),
];

/// Name and help of the family of CPU seconds; its modes are in [`CPU_MODES`].
pub(super) const CPU_SECONDS: &str = "node_cpu_seconds_total";

/// The modes of a CPU and how many of 15 seconds it spends in each at half load.
pub(super) static CPU_MODES: [(&str, Signal); 8] = [
    ("idle", Signal::Counter(Counter { value: 0.0, mean: 8.9, slope: -1.0, spread: 0.04, scale: 100.0 })),
    ("iowait", ticks(0.02, 100.0)),
    ("irq", ZERO),
    ("nice", ticks(0.001, 100.0)),
    ("softirq", grows(0.05, 100.0)),
    ("steal", ZERO),
    ("system", grows(0.9, 100.0)),
    ("user", grows(4.6, 100.0)),
];
