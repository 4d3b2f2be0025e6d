//! `/metrics`: the server's own figures in Prometheus' text format.

use std::fmt::{Display, Write};
use std::fs;
use std::sync::atomic::Ordering::Relaxed;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};

use tsdb::Stats;

use crate::error::ApiError;
use crate::state::App;

/// The text format's version that scrapers know.
const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
const QUANTILES: [f64; 3] = [0.5, 0.9, 0.99];
/// Clock ticks of `/proc/self/stat` in a second: the kernel's interface has said 100 on every architecture we build for.
const TICKS_PER_SECOND: f64 = 100.0;

/// Shows everything.
pub(crate) async fn show(State(app): State<App>) -> Result<Response, ApiError> {
    let mut text = Text::default();
    build(&mut text);
    requests(&mut text, &app);
    pools(&mut text, &app);
    ingest(&mut text, &app);
    if app.store().is_ready() {
        store(&mut text, &app.store().stats()?);
        let findings = app.store().db()?.integrity().len();
        text.gauge("promenade_integrity_findings", "Damages found since the start.", findings);
    }
    process(&mut text, &app);
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], text.0).into_response())
}

/// The text so far; families come one after the other, each with its help and type first.
#[derive(Default)]
struct Text(String);

impl Text {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        // Writing into a string cannot fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// One sample; `labels` is empty or the inside of the braces. Values of labels here need no escapes.
    fn sample(&mut self, name: &str, labels: &str, value: impl Display) {
        let _ = match labels {
            "" => writeln!(self.0, "{name} {value}"),
            labels => writeln!(self.0, "{name}{{{labels}}} {value}"),
        };
    }

    fn counter(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, "counter", help);
        self.sample(name, "", value);
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, "gauge", help);
        self.sample(name, "", value);
    }
}

fn build(text: &mut Text) {
    text.family("promenade_build_info", "gauge", "Version of the running server.");
    text.sample("promenade_build_info", concat!("version=\"", env!("CARGO_PKG_VERSION"), "\""), 1);
}

fn requests(text: &mut Text, app: &App) {
    let name = "promenade_http_requests_total";
    text.family(name, "counter", "Answered requests by route and status.");
    app.metrics().for_each_route(|route, metrics| {
        for (code, n) in &metrics.by_status {
            text.sample(name, &format!("handler=\"{route}\",code=\"{code}\""), n);
        }
    });
    let name = "promenade_http_request_duration_seconds";
    text.family(name, "summary", "Time to make an answer, over the last five to ten minutes.");
    app.metrics().for_each_route(|route, metrics| {
        for (q, latency) in QUANTILES.iter().zip(metrics.latencies(QUANTILES)) {
            text.sample(name, &format!("handler=\"{route}\",quantile=\"{q}\""), latency);
        }
        let handler = format!("handler=\"{route}\"");
        text.sample(&format!("{name}_sum"), &handler, metrics.total.as_secs_f64());
        text.sample(&format!("{name}_count"), &handler, metrics.count);
    });
}

fn pools(text: &mut Text, app: &App) {
    let queries = app.queries();
    text.gauge("promenade_query_memory_bytes", "Bytes held by the queries in progress.", queries.bytes_used());
    text.gauge("promenade_query_turns_free", "Queries that could start without waiting.", queries.turns_free());
    text.gauge("promenade_write_memory_bytes", "Bytes held by the writes in progress.", app.writes().bytes_used());
}

fn ingest(text: &mut Text, app: &App) {
    let ingest = &app.metrics().ingest;
    let (new, again) = (&ingest.written, &ingest.duplicates);
    for (name, help, counter) in [
        ("promenade_ingest_samples_total", "Float samples stored.", &new.floats),
        ("promenade_ingest_histograms_total", "Native histogram samples stored.", &new.histograms),
        ("promenade_ingest_exemplars_total", "Exemplars stored.", &new.exemplars),
        ("promenade_ingest_copies_total", "Float samples stored under further names.", &ingest.copies),
        ("promenade_ingest_refused_copies_total", "Float samples refused under further names.", &ingest.copies_refused),
        ("promenade_ingest_duplicate_samples_total", "Float samples received again.", &again.floats),
        ("promenade_ingest_duplicate_histograms_total", "Native histograms received again.", &again.histograms),
        ("promenade_ingest_duplicate_exemplars_total", "Exemplars received again.", &again.exemplars),
    ] {
        text.counter(name, help, counter.load(Relaxed));
    }
    let name = "promenade_ingest_refused_samples_total";
    text.family(name, "counter", "Samples and exemplars refused by reason.");
    for (reason, n) in ingest.refused.lock().iter() {
        text.sample(name, &format!("reason=\"{reason}\""), n);
    }
}

fn process(text: &mut Text, app: &App) {
    text.counter(
        "promenade_deleted_series_total",
        "Series that lost samples to deletions.",
        app.metrics().deleted_series.load(Relaxed),
    );
    text.counter(
        "promenade_maintenance_failures_total",
        "Maintenance rounds of the store that failed.",
        app.metrics().maintenance_failures.load(Relaxed),
    );
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of this millennium are exact in a float")]
    let recorded = app.metrics().recorded_until.load(Relaxed) as f64 / 1000.0;
    let help = "End of the newest minute whose usage and cost are recorded, since the Unix epoch, in seconds.";
    text.gauge("promenade_recorded_until_time_seconds", help, recorded);
    let failures = app.metrics().recorder_failures.load(Relaxed);
    text.counter("promenade_recorder_failures_total", "Rounds of the recorder that failed.", failures);
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of this millennium are exact in a float")]
    let started = app.metrics().started as f64 / 1000.0;
    text.gauge("process_start_time_seconds", "Start of the process since the Unix epoch, in seconds.", started);
    // Elsewhere than on Linux these files are missing, and so are the figures.
    if let Some(seconds) = fs::read_to_string("/proc/self/stat").ok().as_deref().and_then(cpu_seconds) {
        text.counter("process_cpu_seconds_total", "User and system CPU time spent, in seconds.", seconds);
    }
    if let Some(bytes) = fs::read_to_string("/proc/self/status").ok().as_deref().and_then(resident_bytes) {
        text.gauge("process_resident_memory_bytes", "Resident memory size in bytes.", bytes);
    }
    if let Ok(entries) = fs::read_dir("/proc/self/fd") {
        text.gauge("process_open_fds", "Number of open file descriptors.", entries.count());
    }
}

/// User and system time from `/proc/self/stat`; the fields follow the process' name, which may hold anything.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / TICKS_PER_SECOND)
}

fn resident_bytes(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

fn store(text: &mut Text, stats: &Stats) {
    text.gauge("promenade_head_series", "Series in the head.", stats.head_series);
    text.gauge("promenade_head_label_pairs", "Label pairs in the head.", stats.head_label_pairs);
    text.gauge("promenade_head_chunks", "Chunks in the head.", stats.head_chunks);
    text.gauge("promenade_head_chunk_bytes", "Bytes in the chunks of the head.", stats.head_chunk_bytes);
    if let Some(maxt) = stats.head_maxt {
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of this millennium are exact in a float")]
        let seconds = maxt as f64 / 1000.0;
        text.gauge("promenade_newest_sample_time_seconds", "Time of the newest sample of the store.", seconds);
    }
    text.counter(
        "promenade_ingest_out_of_order_samples_total",
        "Samples stored that were older than the newest of their series.",
        stats.samples_out_of_order,
    );
    text.gauge("promenade_wal_segment", "Current segment of the write-ahead log.", stats.wal_segment);
    text.counter("promenade_wal_bytes_total", "Bytes appended to the write-ahead log.", stats.wal_appended_bytes);
    text.counter("promenade_wal_syncs_total", "Syncs of the write-ahead log to the disk.", stats.wal_syncs);
    let failures = stats.wal_sync_failures;
    text.counter("promenade_wal_sync_failures_total", "Syncs of the write-ahead log that failed.", failures);
    let read_only = u8::from(stats.wal_read_only);
    text.gauge("promenade_wal_read_only", "Whether writes are refused until the log can be written again.", read_only);
    let hold = stats.longest_hold.as_secs_f64();
    text.gauge("promenade_head_longest_hold_seconds", "Longest time for which maintenance kept writes away.", hold);
    text.gauge("promenade_exemplars", "Exemplars kept.", stats.exemplars);
    text.counter("promenade_compactions_total", "Blocks merged, or written anew.", stats.compactions);
    text.gauge("promenade_blocks", "Blocks on disk.", stats.blocks);
    text.gauge("promenade_block_bytes", "Bytes of the blocks on disk.", stats.block_bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_files_are_read_whatever_the_process_is_called() {
        let stat = "42 (a) b) S 1 42 42 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 9 0 1 2 3";
        assert_eq!(cpu_seconds(stat), Some(3.0));
        assert_eq!(resident_bytes("Name:\tx\nVmRSS:\t    2048 kB\n"), Some(2_097_152));
        assert_eq!(cpu_seconds("42"), None);
    }
}
