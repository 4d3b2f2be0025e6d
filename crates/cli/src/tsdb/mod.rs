//! `promenade tsdb`: a data directory that no server has open: looked through, printed, written out, and filled.

mod dump;
mod export;
mod import;
mod lines;
mod progress;
mod verify;

use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::{Args, Subcommand};
use disk::{Dir, DiskError};
use model::{Matcher, ProjectId, TimeRange, Timestamp};
use tsdb::{Db, Options, TsdbError};

const IMPORT_EXAMPLES: &str = "Examples:
  promenade tsdb import ./data history.om --project acme
  promenade tsdb import ./data --prometheus /var/lib/prometheus --project acme

Nothing becomes part of the data before all of it is read: after a failure or Ctrl-C, run it again.";

#[derive(Debug, Subcommand)]
pub(crate) enum TsdbCommand {
    /// Read every block, and say what is wrong; ends with 1 if something is
    Verify(VerifyArgs),
    /// Print samples, one a line: labels, value, milliseconds since 1970
    Dump(DumpArgs),
    /// Write float samples as OpenMetrics text, which `import` reads
    Export(ExportArgs),
    /// Take in samples of any age, from OpenMetrics text or a stopped Prometheus
    #[command(after_help = IMPORT_EXAMPLES)]
    Import(ImportArgs),
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// Data directory
    dir: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct DumpArgs {
    #[command(flatten)]
    selection: Selection,
}

#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    #[command(flatten)]
    selection: Selection,
    /// Format to write
    #[arg(long, value_enum, default_value = "openmetrics")]
    format: Format,
    /// File to write, rather than standard output
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Format {
    /// OpenMetrics 1.0 text
    Openmetrics,
}

#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// Data directory
    dir: PathBuf,
    /// OpenMetrics text, each sample with its time; `-` is standard input
    #[arg(required_unless_present = "prometheus", conflicts_with = "prometheus")]
    file: Option<PathBuf>,
    /// Data directory of a stopped Prometheus: its blocks and its log
    #[arg(long, value_name = "PROMDIR")]
    prometheus: Option<PathBuf>,
    /// Project that the series belong to; without it they keep their `project_id`, and are `default`'s if they have none
    #[arg(long, value_name = "ID", value_parser = parse_project)]
    project: Option<ProjectId>,
}

/// Some series of a data directory, and some of their samples.
#[derive(Debug, Args)]
struct Selection {
    /// Data directory
    dir: PathBuf,
    /// Series selector, such as '{job="node"}'; series that match any of several are taken, and all without one
    #[arg(long = "match", value_name = "SELECTOR", value_parser = parse_selector)]
    selectors: Vec<Selector>,
    /// Take samples from this time on, in seconds since 1970 or RFC 3339
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    from: Option<Timestamp>,
    /// Take samples up to this time
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    to: Option<Timestamp>,
}

/// The matchers of a series selector.
#[derive(Clone, Debug)]
struct Selector(Vec<Matcher>);

fn parse_selector(text: &str) -> Result<Selector, promql::ParseError> {
    promql::parse_selector(text).map(Selector)
}

fn parse_project(text: &str) -> Result<ProjectId, model::ProjectIdError> {
    ProjectId::parse(text)
}

fn parse_time(text: &str) -> Result<Timestamp, String> {
    if let Ok(seconds) = text.parse::<f64>()
        && seconds.abs() < 9e15
    {
        #[expect(clippy::cast_possible_truncation, reason = "checked above to fit")]
        return Ok((seconds * 1000.0).round() as i64);
    }
    text.parse::<jiff::Timestamp>()
        .map(jiff::Timestamp::as_millisecond)
        .map_err(|_| "not a time such as 1767225600, 1767225600.25 or 2026-01-01T00:00:00Z".to_owned())
}

impl Selection {
    fn range(&self) -> TimeRange {
        TimeRange { mint: self.from.unwrap_or(Timestamp::MIN), maxt: self.to.unwrap_or(Timestamp::MAX) }
    }
}

/// Does what the command line says.
pub(crate) fn run(command: TsdbCommand) -> anyhow::Result<()> {
    match command {
        TsdbCommand::Verify(args) => verify::run(&args.dir),
        TsdbCommand::Dump(args) => dump::run(&args.selection),
        TsdbCommand::Export(args) => export::run(&args),
        TsdbCommand::Import(args) => import::run(args),
    }
}

/// Opens a data directory that must be there: opening makes what is missing.
fn open_dir(path: &Path) -> anyhow::Result<Dir> {
    if !path.is_dir() {
        bail!("{} is not a directory", path.display());
    }
    Ok(Dir::open(path)?)
}

/// Opens the store in `path` as a server does: its log is replayed, and a torn end of it cut.
fn open_store(path: &Path) -> anyhow::Result<Db> {
    Db::open(open_dir(path)?, Options::default()).map_err(|e| in_use(path, e))
}

/// Says what to do about a directory that another process has open.
fn in_use(path: &Path, error: TsdbError) -> anyhow::Error {
    match &error {
        TsdbError::Disk(DiskError { op: "lock", .. }) => anyhow::Error::new(error).context(format!(
            "{} is in use: stop the server that has it open, or use its API: remote write for samples to come in, queries for those to go out",
            path.display()
        )),
        _ => anyhow::Error::new(error).context(format!("open {}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_typed() {
        for (text, ms) in [
            ("1767225600", 1_767_225_600_000),
            ("1767225600.25", 1_767_225_600_250),
            ("-1.5", -1500),
            ("2026-01-01T00:00:00Z", 1_767_225_600_000),
            ("2026-01-01T01:00:00.5+01:00", 1_767_225_600_500),
        ] {
            assert_eq!(parse_time(text), Ok(ms), "{text}");
        }
        for text in ["", "now", "NaN", "inf", "1e300", "2026-01-01"] {
            assert!(parse_time(text).is_err(), "{text}");
        }
    }
}
