//! What the server can be told: one type, one table of limits, checked once before anything starts.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::{Features, Mapping, Rate, RateCard, ServeError};

/// What `promenade serve` was asked to do.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where everything is kept; created when it is not there.
    pub data_dir: PathBuf,
    /// The address to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// How long samples are kept; `None` keeps them for ever. Bound: at least [`RETENTION_MIN`].
    pub retention: Option<Duration>,
    /// Bytes that blocks, log and head chunks may take on disk together; beyond, the oldest blocks are removed. `None`
    /// sets no bound. Bound: at least [`RETENTION_BYTES_MIN`].
    pub retention_bytes: Option<u64>,
    /// The longest block that compaction makes; `None` is a tenth of the retention, at most 31 days. Two hours turn
    /// levelled compaction off, as a sidecar that uploads blocks needs. Bounds: [`BLOCK_LEN_MIN`] to [`BLOCK_LEN_MAX`].
    pub block_max: Option<Duration>,
    /// How far behind its series' newest sample a sample may be. Bound: at most [`OUT_OF_ORDER_WINDOW_MAX`].
    pub out_of_order_window: Duration,
    /// The catalog of the vendor APIs; `None` takes the embedded one.
    pub catalog: Option<PathBuf>,
    /// The time 95 % of requests should take at most: what scores and alerts are measured against. Bounds:
    /// [`LATENCY_TARGET_MIN`] to [`LATENCY_TARGET_MAX`].
    pub latency_target: Duration,
    /// Whether requests need no token; only on a loopback address.
    pub insecure_no_auth: bool,
    /// What things cost; without it costs are not recorded.
    pub rate_card: Option<Arc<RateCard>>,
    /// What is done to series when they are first seen.
    pub mapping: Arc<Mapping>,
    /// How often one token may ask one of the vendors' routes. Bounds: 1 to [`RATE_PER_HOUR_MAX`].
    pub rate: Rate,
    /// Whether a series that names no project is stamped with the default one. Without tokens it may stay as it was
    /// sent: then nobody but an operator ever sees it.
    pub stamps_default_project: bool,
    /// What changes the meaning of queries.
    pub features: Features,
    /// The bounds of everything else.
    pub limits: Limits,
}

/// A block covers two hours: a shorter retention would drop samples that are still in memory.
pub const RETENTION_MIN: Duration = Duration::from_secs(2 * 3600);
/// The log alone needs some room between two flushes.
pub const RETENTION_BYTES_MIN: u64 = 256 << 20;
/// What the head writes.
pub const BLOCK_LEN_MIN: Duration = Duration::from_secs(2 * 3600);
/// A quarter: beyond it one block is most of the store, and rewriting it is too.
pub const BLOCK_LEN_MAX: Duration = Duration::from_secs(92 * 24 * 3600);
/// A month: beyond it "late" means an import, which has its own way in.
pub const OUT_OF_ORDER_WINDOW_MAX: Duration = Duration::from_secs(31 * 24 * 3600);

/// Nothing that computes answers faster.
pub const LATENCY_TARGET_MIN: Duration = Duration::from_millis(1);
/// The longest bucket of the engines' histograms is of that order.
pub const LATENCY_TARGET_MAX: Duration = Duration::from_secs(3600);
/// A thousand a second: beyond it a limit limits nothing.
pub const RATE_PER_HOUR_MAX: u32 = 3_600_000;

impl Config {
    /// The defaults: tokens needed, 90 days, 24 hours.
    pub fn new(data_dir: impl Into<PathBuf>, listen: SocketAddr) -> Config {
        Config {
            data_dir: data_dir.into(),
            listen,
            retention: Some(Duration::from_secs(90 * 24 * 3600)),
            retention_bytes: None,
            block_max: None,
            out_of_order_window: Duration::from_secs(24 * 3600),
            catalog: None,
            latency_target: Duration::from_secs(1),
            insecure_no_auth: false,
            rate_card: None,
            mapping: Arc::new(Mapping::built_in()),
            rate: Rate::PerHour(3600),
            stamps_default_project: true,
            features: Features::default(),
            limits: Limits::default(),
        }
    }

    /// Every setting with its value; none of them is a secret.
    pub(crate) fn shown(&self) -> Vec<(String, String)> {
        let own = [
            ("data_dir", self.data_dir.display().to_string()),
            ("listen", self.listen.to_string()),
            ("retention", format!("{:?}", self.retention)),
            ("retention_bytes", format!("{:?}", self.retention_bytes)),
            ("block_max", format!("{:?}", self.block_max)),
            ("out_of_order_window", format!("{:?}", self.out_of_order_window)),
            ("insecure_no_auth", self.insecure_no_auth.to_string()),
        ];
        let all = own.into_iter().chain(self.limits.shown());
        all.map(|(name, value)| (name.replace('_', "-"), value)).collect()
    }

    /// Refuses what cannot be served safely, naming the value and its bound.
    pub(crate) fn check(&self) -> Result<(), ServeError> {
        let refuse = |what: String| Err(ServeError::Config(what));
        if self.insecure_no_auth && !self.listen.ip().is_loopback() {
            return refuse(format!(
                "{} is not a loopback address: without tokens only 127.0.0.1 or [::1] is served",
                self.listen
            ));
        }
        if !self.stamps_default_project && !self.insecure_no_auth {
            return refuse("series without a project would be invisible to every project's token".to_owned());
        }
        if let Some(retention) = self.retention.filter(|r| *r < RETENTION_MIN) {
            return refuse(format!("retention is {retention:?}, at least {RETENTION_MIN:?}"));
        }
        if let Some(bytes) = self.retention_bytes.filter(|bytes| *bytes < RETENTION_BYTES_MIN) {
            return refuse(format!("retention size is {bytes} bytes, at least {RETENTION_BYTES_MIN}"));
        }
        if let Some(len) = self.block_max.filter(|len| !(BLOCK_LEN_MIN..=BLOCK_LEN_MAX).contains(len)) {
            return refuse(format!("longest block is {len:?}, bounds {BLOCK_LEN_MIN:?} to {BLOCK_LEN_MAX:?}"));
        }
        if OUT_OF_ORDER_WINDOW_MAX < self.out_of_order_window {
            return refuse(format!(
                "out-of-order window is {:?}, at most {OUT_OF_ORDER_WINDOW_MAX:?}",
                self.out_of_order_window
            ));
        }
        if !(LATENCY_TARGET_MIN..=LATENCY_TARGET_MAX).contains(&self.latency_target) {
            let target = self.latency_target;
            return refuse(format!(
                "latency target is {target:?}, bounds {LATENCY_TARGET_MIN:?} to {LATENCY_TARGET_MAX:?}"
            ));
        }
        if let Rate::PerHour(n) = self.rate
            && !(1..=RATE_PER_HOUR_MAX).contains(&n)
        {
            return refuse(format!("rate limit is {n} an hour, bounds 1 to {RATE_PER_HOUR_MAX}"));
        }
        self.limits.check()
    }
}

/// Defines [`Limits`], its default and its check from one table.
macro_rules! limits {
    ($($(#[$doc:meta])* $name:ident: $kind:ty = $default:expr, $min:expr => $max:expr;)*) => {
        /// The bounds on connections, bodies and queries. Each entry: what, unit by its name or type, default, bounds.
        #[derive(Clone, Debug)]
        pub struct Limits { $($(#[$doc])* pub $name: $kind,)* }

        impl Default for Limits {
            fn default() -> Limits {
                Limits { $($name: $default,)* }
            }
        }

        impl Limits {
            fn check(&self) -> Result<(), ServeError> {
                $(if !($min..=$max).contains(&self.$name) {
                    let (name, value, min, max): (_, _, $kind, $kind) = (stringify!($name), self.$name, $min, $max);
                    return Err(ServeError::Config(format!("{name} is {value:?}, bounds {min:?} to {max:?}")));
                })*
                Ok(())
            }

            /// What of the queries' bytes keeps samples that they decoded, for those that come after them.
            pub(crate) fn decoded_bytes(&self) -> usize {
                self.queries_bytes_max / 8
            }

            /// Every bound with its value.
            fn shown(&self) -> Vec<(&'static str, String)> {
                vec![$((stringify!($name), format!("{:?}", self.$name)),)*]
            }
        }
    };
}

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
const GIB: usize = 1 << 30;
const MILLIS_10: Duration = Duration::from_millis(10);
const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

limits! {
    /// Open connections; further ones wait in the kernel's queue.
    connections_max: usize = 2048, 1 => 65_536;
    /// Bytes of a request's line and headers, then 431. Long queries belong into a POST body.
    head_bytes_max: usize = 64 * KIB, 8 * KIB => MIB;
    /// Header lines of a request, then 431.
    headers_max: usize = 100, 16 => 1000;
    /// Time from the first byte of a request's head to its last.
    head_timeout: Duration = secs(10), MILLIS_10 => secs(600);
    /// Time a connection may be silent between requests. Longer than the 90 s after which Go's clients close their end:
    /// a server that closes first may do so under a request that is on its way.
    idle_timeout: Duration = secs(120), MILLIS_10 => secs(3600);
    /// Time for which a client may take nothing of an answer that is there for it; then its connection is closed.
    stall_timeout: Duration = secs(30), MILLIS_10 => secs(600);
    /// Time for a whole request body, then 408.
    body_timeout: Duration = secs(30), MILLIS_10 => secs(600);
    /// Bytes of a form body, then 413.
    form_bytes_max: usize = 10 * MIB, 64 * KIB => 64 * MIB;
    /// Bytes of a write body, both as sent and decompressed, then 413.
    write_bytes_max: usize = 32 * MIB, 64 * KIB => 256 * MIB;
    /// Bytes of all write bodies in progress, sent and decompressed, then 503.
    writes_bytes_max: usize = 512 * MIB, MIB => 64 * GIB;
    /// Writes worked on at once; further ones wait. More than CPUs, because most of a write is waiting for the disk.
    writes_max: usize = 64, 1 => 512;
    /// Series a project may have in the head; samples of further ones are refused, 429.
    series_per_project_max: usize = 1_000_000, 1 => 100_000_000;
    /// Labels of a written series, the owner's not counted.
    labels_max: usize = 64, 8 => 1024;
    /// Bytes of a written label's name.
    label_name_bytes_max: usize = KIB, 64 => 64 * KIB;
    /// Bytes of a written label's value.
    label_value_bytes_max: usize = 4 * KIB, 64 => 64 * KIB;
    /// Exemplars kept for a project, the newest.
    exemplars_per_project_max: usize = 10_000, 1 => 10_000_000;
    /// How far a sample may lie ahead of the server's clock.
    future_max: Duration = secs(600), Duration::ZERO => secs(86_400);
    /// Time a query may take, waiting for its turn included; `timeout=` only lowers it.
    query_timeout: Duration = secs(120), MILLIS_10 => secs(3600);
    /// Queries worked on at once; 0 means two for each CPU. Further ones wait until their deadline.
    queries_max: usize = 0, 0 => 256;
    /// Bytes one query may hold.
    query_bytes_max: usize = 512 * MIB, MIB => 64 * GIB;
    /// Bytes all queries together may hold, an eighth of which keeps samples that were decoded.
    queries_bytes_max: usize = 2 * GIB, MIB => 256 * GIB;
    /// Samples one query may read.
    query_samples_max: u64 = 50_000_000, 1000 => 100_000_000_000;
    /// Bytes of one answer, not compressed, then 422.
    answer_bytes_max: usize = 512 * MIB, 64 * KIB => 64 * GIB;
    /// From how long on a query is logged, waiting for its turn included.
    slow_query: Duration = secs(10), Duration::ZERO => secs(3600);
    /// How far back an instant selector looks for a sample, unless `lookback_delta=` says otherwise.
    lookback: Duration = secs(300), secs(1) => secs(86_400);
    /// Time for requests in progress to end when the server stops.
    drain_timeout: Duration = secs(10), MILLIS_10 => secs(600);
    /// How long after a minute its samples are taken to be there, and what it used and cost is recorded.
    recorder_delay: Duration = secs(60), Duration::ZERO => secs(3600);
    /// How often due work of the store is looked for.
    maintenance_interval: Duration = secs(15), MILLIS_10 => secs(300);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_inside_their_bounds() {
        Config::new("data", SocketAddr::from(([0, 0, 0, 0], 9090))).check().unwrap();
    }

    #[test]
    fn each_bad_setting_is_refused_by_value_and_bound() {
        let good = Config::new("data", SocketAddr::from(([0, 0, 0, 0], 9090)));
        let limits = |change: fn(&mut Limits)| {
            let mut config = good.clone();
            change(&mut config.limits);
            config
        };
        let table = [
            (Config { insecure_no_auth: true, ..good.clone() }, "0.0.0.0:9090 is not a loopback address"),
            (Config { stamps_default_project: false, ..good.clone() }, "invisible to every project's token"),
            (Config { retention: Some(secs(60)), ..good.clone() }, "retention is 60s, at least 7200s"),
            (Config { retention_bytes: Some(1 << 20), ..good.clone() }, "retention size is 1048576 bytes, at least"),
            (Config { block_max: Some(secs(3600)), ..good.clone() }, "longest block is 3600s, bounds 7200s to"),
            (Config { out_of_order_window: secs(32 * 86_400), ..good.clone() }, "out-of-order window is 2764800s"),
            (Config { latency_target: secs(0), ..good.clone() }, "latency target is 0ns, bounds 1ms to 3600s"),
            (Config { rate: Rate::PerHour(0), ..good.clone() }, "rate limit is 0 an hour, bounds 1 to 3600000"),
            (limits(|l| l.connections_max = 0), "connections_max is 0, bounds 1 to 65536"),
            (limits(|l| l.query_timeout = secs(0)), "query_timeout is 0ns, bounds 10ms to 3600s"),
        ];
        for (config, expect) in table {
            let message = config.check().unwrap_err().to_string();
            assert!(message.contains(expect), "{message}");
        }
    }
}
