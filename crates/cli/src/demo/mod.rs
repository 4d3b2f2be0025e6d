//! `promenade demo`: a server on fresh data, two projects whose simulated fleets write through its real endpoint.

mod fleets;
mod guide;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use bench::clock::now_ms;
use bench::demo_fleet::DemoEndpoint;
use bench::fleet::INTERVAL_MS;
use clap::Args;
use control::{Access, Action, Control, Endpoint, NewToken, Scopes, TokenText};
use indicatif::{ProgressBar, ProgressStyle};
use model::{ProjectId, Timestamp};
use server::{RateCard, Server};
use tokio::sync::oneshot;

use self::fleets::Fleets;
use self::guide::Guide;

/// One for each project at least; 64 nodes push about 9,000 samples a second.
const NODES: std::ops::RangeInclusive<i64> = 2..=64;
/// Inside the window in which the server takes late samples.
const HOURS_MAX: f64 = 22.0;
/// The projects of the demo: id and display name.
const PROJECTS: [(&str, &str); 2] = [("acme-chat", "Acme chat assistants"), ("lumen-labs", "Lumen labs research")];

/// What the demo's GPUs and traffic cost.
const PRICES: &str = include_str!("prices.yaml");
/// What an endpoint of the demo may cost in a month, for each of its GPUs and nodes.
const BUDGET_USD: f64 = 7_500.0;

/// What `promenade demo` can be told.
#[derive(Args, Clone, Debug)]
pub(crate) struct DemoArgs {
    /// GPU nodes to simulate, half of them for each of two projects
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(NODES))]
    nodes: u32,
    /// Address to listen on
    #[arg(long, default_value = "127.0.0.1:9090")]
    listen: SocketAddr,
    /// Empty directory for the data, kept at the end [default: a temporary one, removed at the end]
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// Hours of history to write before live samples begin
    #[arg(long, default_value_t = 6.0, value_parser = parse_hours)]
    hours: f64,
    /// Seed of everything random in the fleet
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn parse_hours(text: &str) -> Result<f64> {
    let hours: f64 = text.parse()?;
    if !(0.0..=HOURS_MAX).contains(&hours) {
        bail!("{hours} hours, at most {HOURS_MAX}");
    }
    Ok(hours)
}

/// A project with the token its fleet writes and its people read with.
struct Project {
    id: ProjectId,
    token: String,
}

/// Runs the demo until `shutdown` is ready: serve, backfill, print how to query, then push every 15 seconds.
pub(crate) async fn run(args: DemoArgs, shutdown: impl Future<Output = ()>) -> Result<()> {
    let temporary = match args.data_dir {
        None => Some(tempfile::Builder::new().prefix("promenade-demo-").tempdir()?),
        Some(_) => None,
    };
    let data_dir =
        args.data_dir.as_deref().or(temporary.as_ref().map(|dir| dir.path())).context("no data directory")?;
    let (projects, operator) = prepare(data_dir, now_ms())?;
    let prices = RateCard::parse(PRICES).map_err(|what| anyhow!("the demo's rate card: {what}"))?;
    let config = server::Config { rate_card: Some(Arc::new(prices)), ..server::Config::new(data_dir, args.listen) };
    let server = Server::bind(config).await?;
    let address = server.address();
    let (stop, stopped) = oneshot::channel::<()>();
    let mut serving = tokio::spawn(server.run(async {
        // An error means the sender is gone, which is a reason to stop as well.
        let _ = stopped.await;
    }));

    let guide = Guide { address, projects: &projects, operator: &operator, kept: temporary.is_none(), data_dir };
    tokio::select! {
        ended = &mut serving => ended?.context("the server ended by itself")?,
        pushed = simulate(&args, &guide) => pushed?,
        () = shutdown => {}
    }
    drop(stop);
    if !serving.is_finished() {
        serving.await??;
    }
    if let Some(dir) = temporary {
        dir.close().context("removing the demo's data")?;
    }
    Ok(())
}

/// Makes the directory, the projects, a token for each, and an operator's read-only token.
fn prepare(data_dir: &Path, now: Timestamp) -> Result<(Vec<Project>, String)> {
    std::fs::create_dir_all(data_dir).with_context(|| format!("data directory {}", data_dir.display()))?;
    if std::fs::read_dir(data_dir)?.next().is_some() {
        bail!("data directory {} is not empty: the demo starts from nothing", data_dir.display());
    }
    let control = Control::open(&server::control_path(data_dir))?;
    let token = |access: Access, scopes: Scopes| {
        let new = NewToken { access, name: "demo".to_owned(), scopes, expires_ms: None };
        control.create_token(&new, now).map(TokenText::reveal)
    };
    let project = |(id, name): (&str, &str)| -> Result<Project> {
        let id = control.create_project(name, Some(ProjectId::parse(id)?), now)?.id;
        let token = token(Access::Project(id.clone()), Scopes::WRITE_READ)?;
        Ok(Project { id, token })
    };
    let projects = PROJECTS.into_iter().map(project).collect::<Result<_>>()?;
    Ok((projects, token(Access::Operator, Action::Read.as_str().parse()?)?))
}

/// An endpoint of a fleet as its operator registers it.
fn registered(project: &Project, nodes: u32, endpoint: &DemoEndpoint) -> Endpoint {
    let gpus = u32::try_from(endpoint.gpus).unwrap_or(1);
    Endpoint {
        model: Some(endpoint.model.to_owned()),
        gpu_model: Some(endpoint.gpu_model.to_owned()),
        gpu_count: Some(gpus),
        budget_usd_month: Some(BUDGET_USD * f64::from(gpus * nodes)),
        warm_replicas: Some(1),
        ..Endpoint::new(project.id.clone(), &endpoint.id, project.id.as_str(), endpoint.slug)
    }
}

/// Backfills, prints the guide, then pushes for ever.
async fn simulate(args: &DemoArgs, guide: &Guide<'_>) -> Result<()> {
    let url = format!("http://{}/api/v1/write", guide.address);
    // Scrapes are spread over the interval after their tick, so the newest complete tick is one interval back.
    let complete = || now_ms().div_euclid(INTERVAL_MS) * INTERVAL_MS - INTERVAL_MS;
    let to = complete();
    #[expect(clippy::cast_possible_truncation, reason = "at most 22 hours")]
    let from = to - (args.hours * 3_600_000.0) as i64 / INTERVAL_MS * INTERVAL_MS;
    let mut fleets = Fleets::new(args, guide.projects, &url, from)?;
    let control = Control::open(&server::control_path(guide.data_dir))?;
    for (project, nodes, endpoint) in fleets.endpoints(guide.projects) {
        control.set_endpoint(&registered(project, nodes, &endpoint))?;
    }

    let bar = ProgressBar::new((to - from).unsigned_abs());
    bar.set_style(ProgressStyle::with_template("writing history {wide_bar} {percent}% {elapsed}")?);
    let begun = Instant::now();
    fleets.backfill(from, to, &bar).await?;
    bar.finish_and_clear();
    guide.print(args, fleets.samples(), begun.elapsed())?;

    let mut next = to;
    loop {
        while next <= complete() {
            fleets.push(next).await;
            next += INTERVAL_MS;
        }
        tokio::time::sleep(Duration::from_millis(
            (next + 2 * INTERVAL_MS - now_ms()).clamp(100, INTERVAL_MS).unsigned_abs(),
        ))
        .await;
    }
}
