//! `promenade endpoints`: what runs behind which name, and what it may cost.

use anyhow::{Context, bail};
use clap::{Args, Subcommand, ValueEnum};
use control::{Endpoint, Place};
use model::ProjectId;

use crate::args::DataDir;
use crate::print;

const SET_EXAMPLES: &str = "Examples:
  promenade endpoints set ep_1234567890abcdef --project acme --slug acme/chat-70b --model meta-llama/Llama-3.3-70B-Instruct
  promenade endpoints set ep_1234567890abcdef --project acme --gpu-model H100 --gpus 8 --budget 1500 --warm-replicas 1
  promenade endpoints set ep_1234567890abcdef --project acme --clear budget
  promenade endpoints set ep_1234567890abcdef --project acme --on vm/0b9c1f,gpu/gpu-node-7/0,gpu/gpu-node-7/1";

/// What `promenade endpoints` does.
#[derive(Debug, Subcommand)]
pub(crate) enum EndpointsCommand {
    /// List the registered endpoints
    List(ListArgs),
    /// Register an endpoint, or change one: what is not given stays as it is
    #[command(after_help = SET_EXAMPLES)]
    Set(Box<SetArgs>),
    /// Forget an endpoint; its series stay, and the APIs find it by their labels
    Remove(RemoveArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Those of this project alone
    #[arg(long, value_name = "ID")]
    project: Option<String>,
    #[command(flatten)]
    data: DataDir,
}

#[derive(Debug, Args)]
pub(crate) struct SetArgs {
    /// Id of the endpoint: the value of the label endpoint_id of its series, as TensorOne's paths have it
    id: String,
    /// Project that owns it
    #[arg(long, value_name = "ID")]
    project: String,
    /// Name in Hugging Face's paths [default: PROJECT/ID]
    #[arg(long, value_name = "NAMESPACE/NAME")]
    slug: Option<String>,
    /// Model it serves
    #[arg(long)]
    model: Option<String>,
    /// Service tier, such as pt
    #[arg(long)]
    tier: Option<String>,
    /// Region it runs in
    #[arg(long)]
    region: Option<String>,
    /// Cluster it runs on
    #[arg(long)]
    cluster: Option<String>,
    /// GPUs it runs on, as the rate card calls them
    #[arg(long, value_name = "NAME")]
    gpu_model: Option<String>,
    /// GPUs of one replica
    #[arg(long, value_name = "N")]
    gpus: Option<u32>,
    /// What it may cost in a calendar month
    #[arg(long, value_name = "USD", allow_negative_numbers = true)]
    budget: Option<f64>,
    /// Replicas kept running without traffic
    #[arg(long, value_name = "N")]
    warm_replicas: Option<u32>,
    /// Machines and GPUs that it has to itself: vm/ID, node/NAME or gpu/NODE/INDEX; their series are its own
    #[arg(long, value_name = "PLACE", value_delimiter = ',')]
    on: Vec<String>,
    /// Forget a value; repeat it or separate by commas
    #[arg(long, value_name = "FIELD", value_delimiter = ',')]
    clear: Vec<Field>,
    #[command(flatten)]
    data: DataDir,
}

#[derive(Debug, Args)]
pub(crate) struct RemoveArgs {
    /// Id of the endpoint
    id: String,
    /// Project that owns it
    #[arg(long, value_name = "ID")]
    project: String,
    #[command(flatten)]
    data: DataDir,
}

/// What need not be known of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Field {
    Model,
    Tier,
    Region,
    Cluster,
    GpuModel,
    Gpus,
    Budget,
    WarmReplicas,
    Places,
}

/// Does what was asked.
pub(crate) fn run(command: EndpointsCommand) -> anyhow::Result<()> {
    match command {
        EndpointsCommand::List(args) => list(&args),
        EndpointsCommand::Set(args) => set(*args),
        EndpointsCommand::Remove(args) => remove(&args),
    }
}

fn list(args: &ListArgs) -> anyhow::Result<()> {
    let project = args.project.as_deref().map(ProjectId::parse).transpose()?;
    let endpoints = server::open_control(&args.data.data_dir)?.endpoints(project.as_ref())?;
    let rows: Vec<_> = endpoints.into_iter().map(row).collect();
    let header = [
        "ID",
        "PROJECT",
        "SLUG",
        "MODEL",
        "TIER",
        "REGION",
        "CLUSTER",
        "GPUS",
        "BUDGET USD/MONTH",
        "WARM REPLICAS",
        "ON",
    ];
    print::table(header, &rows)
}

fn row(endpoint: Endpoint) -> [String; 11] {
    let text = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    let number = |value: Option<u32>| value.map_or_else(|| "-".to_owned(), |n| n.to_string());
    let gpus = match (endpoint.gpu_count, endpoint.gpu_model) {
        (None, model) => text(model),
        (Some(n), model) => format!("{n} x {}", text(model)),
    };
    let on = match endpoint.places.as_slice() {
        [] => "-".to_owned(),
        [place] => place.as_str().to_owned(),
        [place, others @ ..] => format!("{} and {} more", place.as_str(), others.len()),
    };
    [
        endpoint.id,
        endpoint.project.to_string(),
        format!("{}/{}", endpoint.namespace, endpoint.name),
        text(endpoint.model),
        text(endpoint.tier),
        text(endpoint.region),
        text(endpoint.cluster),
        gpus,
        endpoint.budget_usd_month.map_or_else(|| "-".to_owned(), |usd| format!("{usd:.2}")),
        number(endpoint.warm_replicas),
        on,
    ]
}

fn set(args: SetArgs) -> anyhow::Result<()> {
    let project = ProjectId::parse(&args.project)?;
    let control = server::open_control(&args.data.data_dir)?;
    let before = control.endpoint(&project, &args.id)?;
    let is_new = before.is_none();
    let endpoint = before.unwrap_or_else(|| Endpoint::new(project.clone(), &args.id, project.as_str(), &args.id));
    let endpoint = changed(endpoint, args)?;
    control.set_endpoint(&endpoint)?;
    let done = if is_new { "registered" } else { "changed" };
    print::note(&format!("endpoint {} of project {} is {done}", endpoint.id, endpoint.project));
    Ok(())
}

fn remove(args: &RemoveArgs) -> anyhow::Result<()> {
    let project = ProjectId::parse(&args.project)?;
    server::open_control(&args.data.data_dir)?.remove_endpoint(&project, &args.id)?;
    print::note(&format!("endpoint {} of project {project} is removed; its series stay", args.id));
    Ok(())
}

/// The endpoint with what was given, and without what was cleared.
fn changed(before: Endpoint, args: SetArgs) -> anyhow::Result<Endpoint> {
    let (namespace, name) = match args.slug.as_deref() {
        None => (before.namespace, before.name),
        Some(slug) => {
            let (namespace, name) = slug
                .split_once('/')
                .with_context(|| format!("--slug {slug:?} must be NAMESPACE/NAME, such as acme/chat-70b"))?;
            (namespace.to_owned(), name.to_owned())
        }
    };
    let places = args.on.iter().map(|place| Place::parse(place)).collect::<Result<Vec<_>, _>>()?;
    let mut endpoint = Endpoint {
        namespace,
        name,
        model: args.model.or(before.model),
        tier: args.tier.or(before.tier),
        region: args.region.or(before.region),
        cluster: args.cluster.or(before.cluster),
        gpu_model: args.gpu_model.or(before.gpu_model),
        gpu_count: args.gpus.or(before.gpu_count),
        budget_usd_month: args.budget.or(before.budget_usd_month),
        warm_replicas: args.warm_replicas.or(before.warm_replicas),
        places: if places.is_empty() { before.places } else { places },
        id: before.id,
        project: before.project,
    };
    for field in args.clear {
        match field {
            Field::Model => endpoint.model = None,
            Field::Tier => endpoint.tier = None,
            Field::Region => endpoint.region = None,
            Field::Cluster => endpoint.cluster = None,
            Field::GpuModel => endpoint.gpu_model = None,
            Field::Gpus => endpoint.gpu_count = None,
            Field::Budget => endpoint.budget_usd_month = None,
            Field::WarmReplicas => endpoint.warm_replicas = None,
            Field::Places => endpoint.places.clear(),
        }
    }
    if endpoint.gpu_count.is_some() && endpoint.gpu_model.is_none() {
        bail!("--gpus needs --gpu-model: a rate card has a price for each kind of GPU");
    }
    Ok(endpoint)
}
