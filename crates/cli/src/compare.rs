//! `promenade bench`: the comparison with Prometheus and VictoriaMetrics on this machine.

use std::path::PathBuf;

use anyhow::Context;
use bench::Part;
use clap::{Args, ValueEnum};

use crate::print;

/// What `promenade bench` can be told.
#[derive(Args, Debug)]
pub(crate) struct BenchArgs {
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
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum PartName {
    /// A day of 8,712 series, 20 samples of a series at a time
    History,
    /// The query table over that day
    Queries,
    /// Half an hour of 90,750 series, one sample of each at a time, then kill -9
    Live,
    /// Five minutes of a million series, then kill -9
    Large,
}

/// Runs the comparison and prints its table.
pub(crate) async fn run(args: BenchArgs) -> anyhow::Result<()> {
    let part = |name: &PartName| match name {
        PartName::History => Part::History,
        PartName::Queries => Part::Queries,
        PartName::Live => Part::Live,
        PartName::Large => Part::Large,
    };
    let options = bench::Options {
        promenade: std::env::current_exe().context("the path of this program")?,
        peers: args.peers,
        scratch: args.scratch.unwrap_or_else(std::env::temp_dir),
        quick: args.quick,
        parts: args.only.iter().map(part).collect(),
        rounds: args.repeat,
    };
    print::line(&bench::run(&options).await?.to_string())
}
