//! What a start costs after a crash: time and memory to replay the log of a fleet of 100,000 series.
//!
//! `replay_cost write DIR N` fills DIR with N samples of each, `replay_cost open DIR` opens it and prints figures of that
//! process.
#![expect(clippy::print_stdout, reason = "an example that prints figures")]

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use disk::Dir;
use model::{Labels, Sample, Timestamp};
use tsdb::{Db, Options, ReplayProgress, SeriesKey};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const TARGETS: usize = 100;
const SERIES_PER_TARGET: usize = 1000;
const INTERVAL_MS: i64 = 15_000;
/// 2026-01-01.
const START: Timestamp = 1_767_225_600_000;

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["write", path, scrapes] => write(path, scrapes.parse()?),
        ["open", path] => open(path),
        _ => bail!("say `write DIR N` or `open DIR`"),
    }
}

fn write(path: &str, scrapes: usize) -> anyhow::Result<()> {
    let db = Db::open(Dir::open(path)?, Options::default())?;
    for scrape in 0..scrapes {
        for target in 0..TARGETS {
            let mut appender = db.appender();
            // Targets are scraped one after the other, each at its own moment.
            let t = START + scrape as i64 * INTERVAL_MS + target as i64 * 160 + (scrape * 7 + target * 3) as i64 % 3;
            for i in 0..SERIES_PER_TARGET {
                let key = SeriesKey((target * SERIES_PER_TARGET + i) as u128);
                let series = match appender.known(key) {
                    Some(series) => series,
                    None => appender.series(key, &labels(target, i)),
                };
                appender.sample(&series, Sample { t, v: value(i, scrape, target) });
            }
            appender.commit(t)?;
        }
        db.image();
    }
    Ok(())
}

fn labels(target: usize, i: usize) -> Labels {
    let (instance, node) = (format!("10.0.{}.{}:9100", target / 10, target % 10), format!("node-{target:04}"));
    let (name, device) = (format!("fleet_metric_{}_total", i / 8), format!("gpu{}", i % 8));
    Labels::from_pairs([
        ("__name__", name.as_str()),
        ("project_id", "crusoe"),
        ("instance", &instance),
        ("job", "node"),
        ("node", &node),
        ("device", &device),
        ("region", "us-east1-a"),
        ("cluster", "train-1"),
        ("model", "llama-3.1-70b-instruct"),
        ("tier", "standard"),
    ])
}

/// A third counters of whole numbers, a third floats that grow, a third that hardly ever change.
fn value(i: usize, scrape: usize, target: usize) -> f64 {
    let step = (i * 31 + target * 17) % 97;
    match i % 3 {
        0 => (scrape * step) as f64,
        1 => 0.001 * (scrape * scrape % 1013) as f64 + step as f64 * scrape as f64,
        _ => step as f64,
    }
}

fn open(path: &str) -> anyhow::Result<()> {
    let (progress, done) = (ReplayProgress::default(), AtomicBool::new(false));
    let (db, seconds, peak) = thread::scope(|scope| {
        let watcher = scope.spawn(|| -> anyhow::Result<f64> {
            let mut peak: f64 = 0.0;
            while !done.load(Relaxed) {
                peak = peak.max(status_mib("RssAnon:")?);
                thread::sleep(Duration::from_millis(2));
            }
            Ok(peak)
        });
        let begun = Instant::now();
        let db = Db::open_with(Dir::open(path)?, Options::default(), &progress)?;
        let seconds = begun.elapsed().as_secs_f64();
        done.store(true, Relaxed);
        anyhow::Ok((db, seconds, watcher.join().expect("the watcher does not panic")?))
    })?;
    let resident = status_mib("RssAnon:")?;
    let (bytes, _) = progress.bytes();
    let series = db.stats().head_series;
    let cpu = cpu_seconds()?;
    println!("{series} series, {} MiB of log, ready after {seconds:.2} s, {cpu:.2} s of CPU time", bytes >> 20);
    println!("{resident} MiB of memory, at most {peak} MiB meanwhile ({:.2} x), the mapped log aside", peak / resident);
    Ok(())
}

fn status_mib(field: &str) -> anyhow::Result<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)).context("no such field")?;
    let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok((kib / 1024.0).round())
}

/// User and system time of this process; the kernel counts in hundredths of a second.
fn cpu_seconds() -> anyhow::Result<f64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let (_, fields) = stat.rsplit_once(')').context("no name")?;
    let ticks: Result<Vec<f64>, _> = fields.split_whitespace().skip(11).take(2).map(str::parse).collect();
    Ok(ticks?.iter().sum::<f64>() / 100.0)
}
