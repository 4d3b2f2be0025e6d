//! `promenade serve`: settings from the command line, the runtime, and the signals that end it.

use std::future::Future;
use std::io::{self, IsTerminal};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use server::{Config, Features, Mapping, RateCard};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::args::ServeArgs;

/// What threads that outlive the server are given to end; after an orderly close none is left.
const THREADS_END: Duration = Duration::from_secs(1);

/// Sends the log to standard error. A line that cannot be written, as when that is a file on a full disk, is lost: the
/// default is to complain on standard error, and to panic when that fails too.
pub(crate) fn start_log(filter: &str) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(filter).with_context(|| format!("--log {filter}"))?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .log_internal_errors(false)
        .init();
    Ok(())
}

/// Runs the server until SIGINT or SIGTERM.
pub(crate) fn run(args: ServeArgs) -> anyhow::Result<()> {
    let mut features = Features::default();
    for names in &args.enable_feature {
        features.enable(names).map_err(anyhow::Error::msg)?;
    }
    let config = Config {
        retention: args.retention.0,
        retention_bytes: args.retention_size,
        block_max: args.block_max,
        out_of_order_window: args.out_of_order_window,
        insecure_no_auth: args.insecure_no_auth,
        catalog: args.catalog,
        latency_target: args.latency_target,
        rate_card: args.rate_card.as_deref().map(rate_card).transpose()?.map(Arc::new),
        mapping: Arc::new(mapping(&args.mapping)?),
        rate: args.rate_limit,
        features,
        limits: args.limits.into(),
        ..Config::new(args.data.data_dir, args.listen)
    };
    block_on(async {
        let shutdown = shutdown_signal()?;
        server::serve(config, shutdown).await?;
        Ok(())
    })
}

fn rate_card(path: &Path) -> anyhow::Result<RateCard> {
    RateCard::parse(&read(path)?).map_err(|what| anyhow!("--rate-card {}: {what}", path.display()))
}

/// The rules by name, or those of a file.
fn mapping(choice: &Path) -> anyhow::Result<Mapping> {
    match choice.to_str() {
        Some("default") => Ok(Mapping::built_in()),
        Some("off") => Ok(Mapping::off()),
        _ => Mapping::parse(&read(choice)?).map_err(|what| anyhow!("--mapping {}: {what}", choice.display())),
    }
}

fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))
}

/// Runs `work` on a runtime of its own.
///
/// It has a thread for two CPUs: those move bytes only, since all else is done on pools. Whenever one of several is
/// woken, it wakes the next to look for more, which costs more than most requests.
pub(crate) fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let threads = std::thread::available_parallelism().map_or(1, |cpus| cpus.get().div_ceil(2));
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(threads).enable_all().build().context("start the runtime")?;
    let outcome = runtime.block_on(work);
    runtime.shutdown_timeout(THREADS_END);
    outcome
}

/// Ready once the process is asked to end. Signals are caught from now on, not only when this is awaited.
pub(crate) fn shutdown_signal() -> anyhow::Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt()).context("catch SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("catch SIGTERM")?;
    Ok(async move {
        let name = tokio::select! {
            _ = interrupt.recv() => "SIGINT",
            _ = terminate.recv() => "SIGTERM",
        };
        tracing::info!("{name}: stopping");
    })
}
