//! The command line as typed: every command and option, with its help.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args, Parser, Subcommand};
use control::Scopes;
use server::{Features, Rate};

use crate::compare::BenchArgs;
use crate::demo::DemoArgs;
use crate::duration::{parse_duration, parse_limit};
use crate::endpoints::EndpointsCommand;
use crate::limits::LimitArgs;
use crate::own_limits::LimitsCommand;
use crate::size::parse_size;
use crate::tsdb::TsdbCommand;

/// A PromQL server for GPU-inference clouds.
#[derive(Debug, Parser)]
#[command(
    name = "promenade",
    version,
    propagate_version = true,
    subcommand_required = true,
    arg_required_else_help = true
)]
pub(crate) struct Cli {
    /// What to log on standard error: a level, or levels by crate such as `info,tsdb=debug` [default: info, and warn
    /// for the demo and tsdb]
    #[arg(long, global = true, value_name = "FILTER")]
    log: Option<String>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Cli {
    /// What to log, if the user did not say: the demo's screen is for its guide, and a tool's for what it does.
    pub(crate) fn log_filter(&self) -> &str {
        let default = if matches!(self.command, Command::Demo(_) | Command::Tsdb { .. }) { "warn" } else { "info" };
        self.log.as_deref().unwrap_or(default)
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the server
    #[command(after_help = SERVE_EXAMPLES)]
    Serve(ServeArgs),
    /// Run a server with a simulated fleet of inference engines, to look around in
    Demo(DemoArgs),
    /// Create and list projects, and limit them
    Projects {
        #[command(subcommand)]
        command: ProjectsCommand,
    },
    /// Register what runs behind which name, for the vendors' APIs
    Endpoints {
        #[command(subcommand)]
        command: EndpointsCommand,
    },
    /// Manage what lets agents and dashboards in
    Monitoring {
        #[command(subcommand)]
        command: MonitoringCommand,
    },
    /// Ask a running server one PromQL query
    #[command(after_help = QUERY_EXAMPLES)]
    Query(QueryArgs),
    /// Measure this program against Prometheus and VictoriaMetrics on this machine
    #[command(after_help = BENCH_EXAMPLES)]
    Bench(BenchArgs),
    /// Look through, print, write out or fill a data directory that no server has open
    Tsdb {
        #[command(subcommand)]
        command: TsdbCommand,
    },
    /// Print the version
    Version,
}

const SERVE_EXAMPLES: &str = "Examples:
  promenade serve
  promenade serve --data-dir /var/lib/promenade --listen 0.0.0.0:9090 --retention 30d
  promenade serve --retention forever --retention-size 2TB --series-max 5000000
  promenade serve --insecure-no-auth            (no tokens, on this machine alone)";

const QUERY_EXAMPLES: &str = "Examples:
  export PROMENADE_TOKEN=pm1_...
  promenade query up
  promenade query 'sum by (model_name) (rate(crusoe_inference_request_count[5m]))' --last 1h --step 1m";

const BENCH_EXAMPLES: &str = "Examples:
  promenade bench --quick                        (this program alone, seconds)
  promenade bench --peers /usr/bin               (all three, about ten minutes, 4 GB of disk)
  promenade bench --peers /usr/bin --only live
  promenade bench --only clouds                  (how long the vendor APIs take, about two minutes)
  promenade bench diff --reference http://127.0.0.1:9091 --target http://127.0.0.1:9090 --queries 10000";

const TOKEN_EXAMPLES: &str = "Examples:
  promenade monitoring tokens create --project acme --name grafana --scope read
  promenade monitoring tokens create --project acme --name agent --scope write --expires 90d
  promenade monitoring tokens create --operator --scope write,read,admin,delete --expires never";

/// The directory that holds everything; projects and tokens may be changed while a server runs on it.
#[derive(Debug, Args)]
pub(crate) struct DataDir {
    /// Directory of the server's data
    #[arg(long, value_name = "DIR", default_value = "./data")]
    pub(crate) data_dir: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    pub(crate) data: DataDir,
    /// Address to listen on; port 0 takes a free one, which the log names
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9090")]
    pub(crate) listen: SocketAddr,
    /// How long samples are kept, or `forever`
    #[arg(long, value_name = "DURATION", default_value = "90d", value_parser = parse_limit)]
    pub(crate) retention: Limit,
    /// How much disk blocks, log and head may take, such as 500GB or 64GiB; the oldest blocks go first [default: no
    /// bound]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub(crate) retention_size: Option<u64>,
    /// The longest block that compaction makes; 2h leaves blocks as the head wrote them, which a Thanos sidecar needs
    /// [default: a tenth of the retention, at most 31d]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(crate) block_max: Option<Duration>,
    /// How late a sample may come and still be stored
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = parse_duration)]
    pub(crate) out_of_order_window: Duration,
    /// Ask for no tokens; only on a loopback address
    #[arg(long)]
    pub(crate) insecure_no_auth: bool,
    /// Which expressions the vendor APIs' answers are made of, as YAML [default: the embedded catalog]
    #[arg(long, value_name = "FILE")]
    pub(crate) catalog: Option<PathBuf>,
    /// The time 95 % of requests should take at most; the vendor APIs' scores and alerts are measured against it
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = parse_duration)]
    pub(crate) latency_target: Duration,
    /// What GPUs, storage and traffic cost, as YAML: costs are recorded once a minute [default: no costs]
    #[arg(long, value_name = "FILE")]
    pub(crate) rate_card: Option<PathBuf>,
    /// Which series are written again under the names that clouds' users type: `default`, `off`, or YAML
    #[arg(long, value_name = "default|off|FILE", default_value = "default")]
    pub(crate) mapping: PathBuf,
    /// How often one token may ask one path of the vendors' APIs: `3600/1h`, or `documented` for what TensorOne's
    /// documents say (60/1h for metrics, 100/1h for logs)
    #[arg(long, value_name = "RATE", default_value = "3600/1h", value_parser = parse_rate)]
    pub(crate) rate_limit: Rate,
    /// Change the meaning of queries, by Prometheus' names: promql-delayed-name-removal, type-and-unit-labels,
    /// use-start-timestamps; repeat it or separate by commas
    #[arg(long, value_name = "NAMES", value_parser = parse_features)]
    pub(crate) enable_feature: Vec<String>,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
}

/// Reads `N/1h` or `documented`.
fn parse_rate(text: &str) -> Result<Rate, String> {
    if text == "documented" {
        return Ok(Rate::Documented);
    }
    let n = text.strip_suffix("/1h").and_then(|n| n.parse().ok());
    n.map(Rate::PerHour)
        .ok_or_else(|| "expected a number of requests an hour such as 3600/1h, or documented".to_owned())
}

/// Names of features, checked and kept as typed.
fn parse_features(names: &str) -> Result<String, String> {
    Features::default().enable(names).map(|()| names.to_owned())
}

/// A duration, or none: `forever`, `never`.
///
/// Q: Why not an `Option`? A: clap takes that for an option that may be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limit(pub(crate) Option<Duration>);

#[derive(Debug, Subcommand)]
pub(crate) enum ProjectsCommand {
    /// Create a project and print its id
    Create(CreateProjectArgs),
    /// List the projects
    List(DataDir),
    /// Set, show and unset what one project may have in place of what the server's flags say
    Limits {
        #[command(subcommand)]
        command: LimitsCommand,
    },
}

#[derive(Debug, Args)]
pub(crate) struct CreateProjectArgs {
    /// Name for people to read
    pub(crate) name: String,
    /// Id for paths and labels, of a-z, 0-9, '-' and '_'; made up unless given
    #[arg(long)]
    pub(crate) id: Option<String>,
    #[command(flatten)]
    pub(crate) data: DataDir,
}

#[derive(Debug, Subcommand)]
pub(crate) enum MonitoringCommand {
    /// Create, list and revoke monitoring tokens
    Tokens {
        #[command(subcommand)]
        command: TokensCommand,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokensCommand {
    /// Create a token and print it, once
    #[command(after_help = TOKEN_EXAMPLES)]
    Create(CreateTokenArgs),
    /// List tokens, without their secrets
    List(DataDir),
    /// Revoke a token; a running server refuses it within a second
    Revoke(RevokeTokenArgs),
}

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("reach").required(true)))]
pub(crate) struct CreateTokenArgs {
    /// Reach this project alone
    #[arg(long, value_name = "ID", group = "reach")]
    pub(crate) project: Option<String>,
    /// Reach every project
    #[arg(long, group = "reach")]
    pub(crate) operator: bool,
    /// Name for people to read
    #[arg(long, default_value = "")]
    pub(crate) name: String,
    /// What it allows: write, read, delete, logs:read, and for operators admin; analytics:read and endpoints:read
    /// alone let the vendors' APIs be asked, which read does too; repeat it or separate by commas [default:
    /// write,read]
    #[arg(long, value_name = "SCOPE")]
    pub(crate) scope: Vec<Scopes>,
    /// How long it is valid, or `never` for no end
    #[arg(long, value_name = "DURATION", default_value = "365d", value_parser = parse_limit)]
    pub(crate) expires: Limit,
    #[command(flatten)]
    pub(crate) data: DataDir,
}

#[derive(Debug, Args)]
pub(crate) struct RevokeTokenArgs {
    /// Key id, name, or the token itself
    pub(crate) token: String,
    #[command(flatten)]
    pub(crate) data: DataDir,
}

#[derive(Debug, Args)]
pub(crate) struct QueryArgs {
    /// The PromQL expression
    pub(crate) expr: String,
    /// The server, or the base of one of its projects
    #[arg(long, default_value = "http://127.0.0.1:9090")]
    pub(crate) url: String,
    /// Monitoring token; the environment variable PROMENADE_TOKEN unless given
    #[arg(long)]
    pub(crate) token: Option<String>,
    /// Evaluate at this time, in seconds since 1970 or RFC 3339, rather than now
    #[arg(long, conflicts_with = "last")]
    pub(crate) time: Option<String>,
    /// Evaluate at each step of the time up to now
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(crate) last: Option<Duration>,
    /// Step of --last
    #[arg(long, value_name = "DURATION", default_value = "1m", value_parser = parse_duration, requires = "last")]
    pub(crate) step: Duration,
    /// Print the server's JSON as it is
    #[arg(long)]
    pub(crate) json: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn documented_command_lines_are_read() {
        for line in [
            "promenade serve --data-dir d --listen 127.0.0.1:0 --retention 90d --out-of-order-window 24h",
            "promenade serve --insecure-no-auth --retention forever --log debug",
            "promenade serve --catalog catalog.yaml --latency-target 500ms",
            "promenade serve --rate-card prices.yaml --mapping off --rate-limit 60/1h",
            "promenade serve --mapping mapping.yaml --rate-limit documented",
            "promenade serve --enable-feature=promql-delayed-name-removal,native-histograms --enable-feature use-start-timestamps",
            "promenade serve --retention-size 512MiB --block-max 2h --future-max 10m --exemplars-max 1",
            "promenade serve --write-size-max 32MiB --series-max 9 --labels-max 64 --label-name-max 64 --label-value-max 64",
            "promenade projects create Acme --id acme --data-dir d",
            "promenade projects list --data-dir d",
            "promenade projects limits set acme --series-max 50000 --write-size-max 8MiB --data-dir d",
            "promenade projects limits show acme --data-dir d",
            "promenade projects limits unset acme series-max labels-max",
            "promenade projects limits unset acme --all",
            "promenade monitoring tokens create --data-dir d --project acme --name n --scope write,read --expires 90d",
            "promenade monitoring tokens create --operator --scope read --scope admin --expires never",
            "promenade monitoring tokens create --project a --scope analytics:read,endpoints:read",
            "promenade endpoints list --project acme --data-dir d",
            "promenade endpoints set ep_1 --project acme --slug acme/chat --model m --tier pt --region r --cluster c",
            "promenade endpoints set ep_1 --project acme --gpu-model H100 --gpus 8 --budget 1500 --warm-replicas 1",
            "promenade endpoints set ep_1 --project acme --clear budget,gpu-model",
            "promenade endpoints remove ep_1 --project acme",
            "promenade monitoring tokens list",
            "promenade monitoring tokens revoke abc",
            "promenade query up --url http://127.0.0.1:1 --token t --last 1h --step 15s --json",
            "promenade bench --peers p --only history,live,clouds --repeat 3 --quick --scratch s",
            "promenade bench diff --reference http://127.0.0.1:1 --target http://127.0.0.1:2 --seed 7 --queries 10000",
            "promenade demo --nodes 4 --listen 127.0.0.1:0 --data-dir d --hours 0.5 --seed 2",
            "promenade tsdb verify d",
            "promenade tsdb dump d --match up --match {job=\"a\"} --from 1767225600 --to 2026-01-01T00:00:00Z",
            "promenade tsdb export d --format openmetrics --output f.om",
            "promenade tsdb import d f.om --project acme",
            "promenade tsdb import d --prometheus p",
            "promenade version",
        ] {
            Cli::try_parse_from(line.split(' ')).unwrap_or_else(|error| panic!("{line}: {error}"));
        }
    }

    #[test]
    fn mistakes_are_told() {
        for (line, expect) in [
            ("promenade serve --retention 90", "such as 90d, 24h or 1h30m"),
            ("promenade serve --retention-size 9XB", "such as 500GB, 64GiB or a number of bytes"),
            ("promenade serve --rate-limit 60", "such as 3600/1h, or documented"),
            ("promenade serve --listen localhost", "invalid socket address"),
            ("promenade monitoring tokens create", "<--project <ID>|--operator>"),
            ("promenade monitoring tokens create --operator --project a", "cannot be used with"),
            ("promenade monitoring tokens create --operator --scope wriite", "unknown scope"),
            ("promenade endpoints set ep_1", "--project <ID>"),
            ("promenade endpoints set ep_1 --project a --gpus eight", "invalid digit"),
            ("promenade endpoints set ep_1 --project a --clear price", "possible values: model, tier, region"),
            ("promenade query up --step 1m", "--last"),
            ("promenade tsdb import d", "required"),
            ("promenade tsdb import d f --prometheus p", "cannot be used with"),
            ("promenade tsdb dump d --match up[5m]", "--match"),
            ("promenade tsdb dump d --from yesterday", "not a time such as"),
        ] {
            let error = Cli::try_parse_from(line.split(' ')).unwrap_err().to_string();
            assert!(error.contains(expect), "{line}: {error}");
        }
    }
}
