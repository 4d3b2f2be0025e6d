//! One comparison: the same loads and queries for every system that is there, one report at the end.

mod agreement;
mod ask;
mod clouds;
mod endpoints;
mod load;
mod peers;
mod queries;
mod report;
mod usage;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use model::{BlockRange, Timestamp};
use serde_json::Value;

use self::agreement::agree;
use self::ask::{Asker, measure};
use self::load::{Ingested, Load, ingest};
use self::peers::{Peer, Place, Restart, System};
use self::queries::QUERIES;
pub use self::report::Report;
use self::usage::tree_bytes;
use crate::clock::now_ms;
use crate::fleet::{INTERVAL_MS, SERIES_PER_NODE};

/// The fleet of every comparison.
const SEED: u64 = 1;
/// The file beside kept data that says when it ends, written once all of it is there.
const KEPT_END: &str = "end";
const MIB: f64 = 1_048_576.0;
/// Starts of each system after a crash; the median counts.
const RESTARTS: usize = 3;
/// How long Prometheus may take to notice that its head should be compacted: it looks once a minute.
const BLOCK_MAX: Duration = Duration::from_secs(120);
/// How often it is looked how much memory a server has.
const MEMORY_INTERVAL: Duration = Duration::from_millis(50);
/// VictoriaMetrics makes samples searchable at once and writes them to disk within five seconds.
const FLUSH_WAIT: Duration = Duration::from_secs(6);
/// How much of time a block has that is written from memory.
const BLOCK_MS: i64 = 2 * 3_600_000;
/// Counts some samples of every node: 1 of the machine, 8 of the GPUs and 10 of the replicas for each scrape.
const COUNT: &str = r#"sum(count_over_time({__name__=~"node_load1|DCGM_FI_DEV_GPU_UTIL|http_requests"}[2h]))"#;
const COUNTED_PER_SCRAPE: f64 = 19.0;

/// A part of the comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// A day of a small fleet.
    History,
    /// The query table over it.
    Queries,
    /// Half an hour of a fleet of 90,750 series, then a crash.
    Live,
    /// An hour of a fleet of 100,188 series, then a crash.
    Hour,
    /// Five minutes of a fleet of a million series, then a crash.
    Large,
    /// The vendor APIs over a day of 200 endpoints; ours alone.
    Clouds,
}

/// What to compare.
#[derive(Clone, Debug)]
pub struct Options {
    /// Promenade's binary.
    pub promenade: PathBuf,
    /// Directory with the binaries of the peers; those not there are left out.
    pub peers: Option<PathBuf>,
    /// Where the servers' data goes while they run.
    pub scratch: PathBuf,
    /// Where the data of the history stays, to be asked again by a later run.
    pub keep: Option<PathBuf>,
    /// Tiny loads, to see that everything works; the figures mean nothing.
    pub quick: bool,
    /// The parts to run.
    pub parts: Vec<Part>,
    /// How often each query is asked of each server in turn.
    pub rounds: u32,
}

/// Runs the comparison; what it is doing goes to standard error.
pub async fn run(options: &Options) -> Result<Report> {
    let systems = present(options)?;
    let mut report = Report::new();
    for (system, binary) in &systems {
        report.add_system(*system, system.version(binary)?);
    }
    let part = |part| options.parts.contains(&part);
    if part(Part::History) || part(Part::Queries) {
        history(options, &systems, &mut report).await?;
    }
    let quick = options.quick.then_some(Load { nodes: 8, scrapes: 8, consecutive: 1, connections: 2 });
    if part(Part::Live) {
        let load = quick.unwrap_or(Load { nodes: 125, scrapes: 120, consecutive: 1, connections: 2 });
        live("live", load, options, &systems, &mut report).await?;
    }
    if part(Part::Hour) {
        let load = quick.unwrap_or(Load { nodes: 138, scrapes: 240, consecutive: 1, connections: 2 });
        live("hour", load, options, &systems, &mut report).await?;
    }
    if part(Part::Large) {
        let load = quick.unwrap_or(Load { nodes: 1_375, scrapes: 20, consecutive: 1, connections: 2 });
        live("large", load, options, &systems, &mut report).await?;
    }
    if part(Part::Clouds) {
        clouds::run(&options.promenade, &options.scratch, options.quick, &mut report).await?;
    }
    Ok(report)
}

/// The systems whose binaries are there.
fn present(options: &Options) -> Result<Vec<(System, PathBuf)>> {
    let mut found = vec![(System::Promenade, options.promenade.clone())];
    if let Some(dir) = &options.peers {
        let peers = System::ALL.into_iter().skip(1).map(|system| (system, dir.join(system.binary())));
        found.extend(peers.filter(|(_, binary)| binary.is_file()));
        if found.len() == 1 {
            bail!("no prometheus and no victoria-metrics in {}", dir.display());
        }
    }
    Ok(found)
}

/// The newest tick whose scrapes are all a minute old: no server hides them, none is in the future.
fn newest_tick() -> Timestamp {
    (now_ms() - 60_000 - INTERVAL_MS).div_euclid(INTERVAL_MS) * INTERVAL_MS
}

/// The newest of those ticks for which all scrapes of `load` belong into one block. Otherwise those who write a block for
/// each two hours would have two to keep, and those who do not only one.
fn newest_tick_of_one_block(load: Load) -> Timestamp {
    let tick = newest_tick();
    let block = BlockRange::around(tick, BLOCK_MS).start;
    let scraped_ms = i64::try_from(load.scrapes).unwrap_or(i64::MAX).saturating_mul(INTERVAL_MS);
    // The scrapes of a tick come within the interval behind it.
    if block < tick - scraped_ms { tick } else { block - 2 * INTERVAL_MS }
}

async fn history(options: &Options, systems: &[(System, PathBuf)], report: &mut Report) -> Result<()> {
    let load = match options.quick {
        true => Load { nodes: 4, scrapes: 240, consecutive: 20, connections: 2 },
        false => Load { nodes: 12, scrapes: 5_760, consecutive: 20, connections: 2 },
    };
    let kept = options.keep.as_deref().map(kept_end).transpose()?.flatten();
    let end = kept.unwrap_or_else(newest_tick);
    let place = options.keep.as_deref().map_or(Place::Passing(&options.scratch), Place::Kept);
    let mut peers = Vec::new();
    for (system, binary) in systems {
        say(&format!("history: {}", system.name()))?;
        let peer = Peer::start(*system, binary, place).await?;
        if kept.is_some() {
            peer.wait_idle().await?;
            peers.push(peer);
            continue;
        }
        let before = peer.cpu()?;
        let ingested = ingest(&peer, load, end, SEED).await?;
        settle(&peer, load).await?;
        report_ingest(report, "history", *system, &ingested);
        let samples = ingested.sent.samples as f64;
        report.set("history, CPU us/sample until idle", *system, (peer.cpu()? - before).as_secs_f64() * 1e6 / samples);
        if let Some(bytes) = block_bytes_per_sample(&peer, samples)? {
            report.set("bytes/sample in blocks", *system, bytes);
        }
        peers.push(peer);
    }
    if let Some(dir) = &options.keep {
        std::fs::write(dir.join(KEPT_END), end.to_string())?;
    }
    if options.parts.contains(&Part::Queries) {
        queries(&peers, end + INTERVAL_MS, options.rounds, report).await?;
    }
    Ok(())
}

/// When the history that `dir` keeps ends; nothing where there is none.
fn kept_end(dir: &Path) -> Result<Option<Timestamp>> {
    match std::fs::read_to_string(dir.join(KEPT_END)) {
        Ok(text) => Ok(Some(text.trim().parse().with_context(|| dir.join(KEPT_END).display().to_string())?)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

async fn queries(peers: &[Peer], end: Timestamp, rounds: u32, report: &mut Report) -> Result<()> {
    let askers: Vec<Asker<'_>> = peers.iter().map(|peer| Asker::new(peer, end)).collect::<Result<_>>()?;
    let mut differ = Vec::new();
    for query in &QUERIES {
        say(&format!("query: {}", query.name))?;
        let mut answers = Vec::new();
        for asker in &askers {
            answers.push(asker.answer(query.ask).await?);
        }
        if let [ours, theirs, ..] = answers.as_slice()
            && peers.get(1).is_some_and(|peer| peer.system == System::Prometheus)
            && !agree(ours, theirs)
        {
            differ.push(query.name);
        }
        for (peer, cost) in peers.iter().zip(measure(&askers, query, rounds).await?) {
            report.set_query(query.name, peer.system, cost);
        }
    }
    report.close_queries();
    let same = QUERIES.len() - differ.len();
    report.note(match differ.as_slice() {
        [] => format!("All {same} answers equal Prometheus'."),
        differ => format!("{same} of {} answers equal Prometheus'; not: {}.", QUERIES.len(), differ.join(", ")),
    });
    Ok(())
}

/// Loads every system and kills it, then starts each of them on its own load in turn, since the machine's speed drifts.
async fn live(
    name: &str,
    load: Load,
    options: &Options,
    systems: &[(System, PathBuf)],
    report: &mut Report,
) -> Result<()> {
    let mut loaded = Vec::new();
    for (system, binary) in systems {
        say(&format!("{name}: {}", system.name()))?;
        let end = newest_tick_of_one_block(load);
        let mut peer = Peer::start(*system, binary, Place::Passing(&options.scratch)).await?;
        let (ingested, steady) = with_memory(&peer, ingest(&peer, load, end, SEED)).await?;
        report_ingest(report, name, *system, &ingested);
        report.set(&format!("{name}, anonymous MiB"), *system, steady as f64 / MIB);
        report.set(&format!("{name}, peak MiB"), *system, peer.memory()?.peak as f64 / MIB);
        peer.kill()?;
        loaded.push(Loaded { peer, end, steady, restarts: Vec::new() });
    }
    for _ in 0..RESTARTS {
        for Loaded { peer, restarts, .. } in &mut loaded {
            say(&format!("{name}: {} after kill -9", peer.system.name()))?;
            restarts.push(peer.restart().await?);
            peer.kill()?;
        }
    }
    for Loaded { mut peer, end, steady, mut restarts } in loaded {
        let system = peer.system;
        let mut set = |what: &str, value| report.set(&format!("{name}, {what}"), system, value);
        restarts.sort_by_key(|restart| restart.ready);
        let median = restarts[RESTARTS / 2];
        set("s to ready after kill -9", median.ready.as_secs_f64());
        set("CPU s to ready after kill -9", median.cpu.as_secs_f64());
        let peak = restarts.iter().map(|restart| restart.anonymous_peak).max().unwrap_or_default();
        set("anonymous MiB until ready, at most", peak as f64 / MIB);
        set("anonymous until ready / before kill -9", peak as f64 / steady as f64);
        peer.restart().await?;
        let kept = Asker::new(&peer, end + INTERVAL_MS)?.number(COUNT).await?.unwrap_or(0.0);
        let expected = f64::from(load.nodes) * load.scrapes as f64 * COUNTED_PER_SCRAPE;
        set("% kept after kill -9", 100.0 * kept / expected);
        flush(&peer).await?;
        let samples = load.scrapes as f64 * f64::from(load.nodes) * SERIES_PER_NODE as f64;
        if let Some(bytes) = block_bytes_per_sample(&peer, samples)? {
            set("bytes/sample in blocks", bytes);
        }
    }
    Ok(())
}

/// Does `work`, and looks meanwhile how many bytes of memory the server has that no file backs: the median of the last
/// quarter of the time, since it goes up and down with what is collected or written out.
async fn with_memory<T>(peer: &Peer, work: impl Future<Output = Result<T>>) -> Result<(T, u64)> {
    let (mut ticks, mut seen) = (tokio::time::interval(MEMORY_INTERVAL), Vec::new());
    let mut work = pin!(work);
    let done = loop {
        tokio::select! {
            done = &mut work => break done?,
            _ = ticks.tick() => seen.push(peer.memory()?.anonymous),
        }
    };
    let mut late = seen.split_off(seen.len() * 3 / 4);
    late.sort_unstable();
    Ok((done, late.get(late.len() / 2).copied().context("memory was not looked at")?))
}

/// A system that was loaded and killed.
struct Loaded {
    peer: Peer,
    /// The last tick of its load.
    end: Timestamp,
    /// Bytes of memory that no file backs, before it was killed.
    steady: u64,
    restarts: Vec<Restart>,
}

fn report_ingest(report: &mut Report, name: &str, system: System, ingested: &Ingested) {
    report.set(&format!("{name} ingest, CPU us/sample"), system, ingested.cpu_us());
    report.set(&format!("{name} ingest, 1000 samples/s"), system, ingested.rate() / 1e3);
}

/// Brings a loaded server to rest, with all its samples in blocks, and those merged as far as it does so by itself.
async fn settle(peer: &Peer, load: Load) -> Result<()> {
    if peer.system == System::Prometheus && i64::try_from(load.scrapes)? * INTERVAL_MS > 4 * 3_600_000 {
        let begun = Instant::now();
        while begun.elapsed() < BLOCK_MAX && blocks(&peer.data_dir()).is_empty() {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        peer.wait_idle().await?;
    }
    flush(peer).await?;
    peer.wait_idle().await
}

/// Has a server write what it has in memory to blocks. Prometheus does so for a snapshot, which is then its blocks.
async fn flush(peer: &Peer) -> Result<()> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    let request = match peer.system {
        System::Promenade => client.post(format!("{}/api/v1/admin/tsdb/flush", peer.base())),
        System::Prometheus => client.post(format!("{}/api/v1/admin/tsdb/snapshot", peer.base())),
        System::VictoriaMetrics => client.get(format!("{}/internal/force_flush", peer.base())),
    };
    let request = match &peer.token {
        Some(token) => request.bearer_auth(token),
        None => request,
    };
    request.send().await?.error_for_status()?;
    // Ours merges the new blocks at the next tick.
    if peer.system != System::Prometheus {
        tokio::time::sleep(FLUSH_WAIT).await;
    }
    Ok(())
}

/// Bytes a sample takes at rest, index included; `None` while there is no block.
fn block_bytes_per_sample(peer: &Peer, samples: f64) -> Result<Option<f64>> {
    if peer.system == System::VictoriaMetrics {
        return Ok(Some(tree_bytes(&peer.data_dir()) as f64 / samples));
    }
    let (mut bytes, mut held) = (0, 0);
    let dir = match peer.system {
        System::Prometheus => peer.data_dir().join("snapshots"),
        _ => peer.data_dir(),
    };
    for block in blocks(&dir) {
        let meta: Value = serde_json::from_slice(&std::fs::read(block.join("meta.json"))?)?;
        held += meta["stats"]["numSamples"].as_u64().unwrap_or(0);
        bytes += tree_bytes(&block);
    }
    Ok((held > 0).then(|| bytes as f64 / held as f64))
}

/// The directories below `dir` that hold a block: those with a `meta.json`.
fn blocks(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let below = entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir());
    below.flat_map(|path| if path.join("meta.json").is_file() { vec![path] } else { blocks(&path) }).collect()
}

fn say(what: &str) -> Result<()> {
    Ok(writeln!(std::io::stderr(), "{what}")?)
}
