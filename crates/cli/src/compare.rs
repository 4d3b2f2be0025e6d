//! `promenade bench`: the comparison with Prometheus and VictoriaMetrics on this machine, of speed and of answers.

use std::path::PathBuf;

use anyhow::Context;
use bench::Part;
use clap::{Args, Subcommand, ValueEnum};

use crate::print;

/// What `promenade bench` can be told.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct BenchArgs {
    #[command(subcommand)]
    command: Option<BenchCommand>,
    /// Directory with the binaries `prometheus` and `victoria-metrics`; without it only this program is measured
    #[arg(long, value_name = "DIR")]
    peers: Option<PathBuf>,
    /// Parts to run
    #[arg(long, value_name = "PART", value_delimiter = ',', default_values = ["history", "queries", "live"])]
    only: Vec<PartName>,
    /// How often each query is asked of each server in turn
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    repeat: u32,
    /// Tiny loads, to see that everything works; the figures mean nothing
    #[arg(long)]
    quick: bool,
    /// Directory for the servers' data while they run [default: the system's temporary one]
    #[arg(long, value_name = "DIR")]
    scratch: Option<PathBuf>,
    /// Directory that keeps the servers' data of the history; a run that finds data there only asks the queries
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum BenchCommand {
    /// Ask a Prometheus 3 and a promenade the same random queries over the same series, and show where they differ
    Diff(DiffArgs),
}

/// Both servers are given the same series first; start them empty, the Prometheus with `--web.enable-remote-write-receiver`
/// and `--enable-feature=promql-experimental-functions`.
#[derive(Args, Debug)]
struct DiffArgs {
    /// The Prometheus
    #[arg(long, value_name = "URL")]
    reference: String,
    /// The promenade
    #[arg(long, value_name = "URL")]
    target: String,
    /// An operator's token for the promenade; the environment variable PROMENADE_TOKEN unless given
    #[arg(long)]
    token: Option<String>,
    /// How many queries
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    queries: u64,
    /// Names the series and the queries
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// The number of the first query, to ask one again
    #[arg(long, value_name = "N", default_value_t = 0)]
    first: u64,
    /// When the series begin, in ms since 1970, to ask one again [default: an hour ago]
    #[arg(long, value_name = "MS")]
    base: Option<i64>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum PartName {
    /// A day of 8,712 series, 20 samples of a series at a time
    History,
    /// The query table over that day
    Queries,
    /// Half an hour of 90,750 series, one sample of each at a time, then kill -9
    Live,
    /// An hour of 100,188 series, one sample of each at a time, then kill -9
    Hour,
    /// Five minutes of a million series, then kill -9
    Large,
    /// The vendor APIs over a day of 200 endpoints, 31,200 series at a sample a minute: this program alone
    Clouds,
}

/// Runs the comparison and prints its table.
pub(crate) async fn run(args: BenchArgs) -> anyhow::Result<()> {
    if let Some(BenchCommand::Diff(args)) = args.command {
        return diff(args).await;
    }
    let part = |name: &PartName| match name {
        PartName::History => Part::History,
        PartName::Queries => Part::Queries,
        PartName::Live => Part::Live,
        PartName::Hour => Part::Hour,
        PartName::Large => Part::Large,
        PartName::Clouds => Part::Clouds,
    };
    let options = bench::Options {
        promenade: std::env::current_exe().context("the path of this program")?,
        peers: args.peers,
        scratch: args.scratch.unwrap_or_else(std::env::temp_dir),
        keep: args.keep,
        quick: args.quick,
        parts: args.only.iter().map(part).collect(),
        rounds: args.repeat,
    };
    print::line(&bench::run(&options).await?.to_string())
}

/// Compares answers; a difference is a failure.
async fn diff(args: DiffArgs) -> anyhow::Result<()> {
    let options = bench::DiffOptions {
        reference: args.reference,
        target: args.target,
        token: args.token.or_else(|| std::env::var("PROMENADE_TOKEN").ok()),
        seed: args.seed,
        first: args.first,
        queries: args.queries,
        base: args.base,
    };
    let report = bench::diff(&options).await?;
    print::line(&report.to_string())?;
    anyhow::ensure!(report.differences == 0, "the servers differ");
    Ok(())
}
