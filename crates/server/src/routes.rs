//! The one table of routes: which methods, which path, what is needed, and who answers.

use axum::Router;
use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{RawPathParams, Request, State};
use axum::handler::Handler;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use control::Action;
use tower::ServiceExt;
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{And, NotForContentType, Predicate, SizeAbove};

use crate::auth::{Gate, Need, admit};
use crate::dialect::Dialect;
use crate::metrics::Pending;
use crate::rates::Topic;
use crate::state::App;
use crate::{
    absent, admin, cors, exemplars, exposition, features, federate, huggingface, labels, language, limits, metadata,
    pages, paths, queries, query, read, search, series, status, targets, tensorone, write,
};

/// Where a project's whole API is found again; Grafana takes it as a Prometheus server's URL.
pub(crate) const PROJECT_BASE: &str = "/v1alpha5/projects/{project_id}/metrics/timeseries";

/// One of TensorOne's paths.
const OPTIMIZATION: &str = "/v2/monitoring/performance/optimization";

/// Answers shorter than this go out as they are: one Ethernet packet with its headers.
const COMPRESSED_BYTES_MIN: u64 = 1024;

/// One line of the table, as far as it can be shown.
#[derive(Clone, Debug)]
pub struct Route {
    /// The methods answered; HEAD goes with GET.
    pub methods: &'static [&'static str],
    /// The path, with parameters in braces.
    pub path: &'static str,
    /// What a caller must have.
    pub need: Need,
    /// In whose words it refuses.
    pub dialect: Dialect,
}

struct Entry {
    route: Route,
    handler: MethodRouter<App>,
}

/// Every route of the server, each at the root and again below the project's base.
pub fn routes() -> impl Iterator<Item = Route> {
    table().into_iter().map(|entry| entry.route)
}

const GET: &[&str] = &["GET"];
const POST: &[&str] = &["POST"];
const DELETE: &[&str] = &["DELETE"];
const POST_PUT: &[&str] = &["POST", "PUT"];
/// Reading endpoints take a form as well: expressions outgrow URLs, and some clients post to all of them.
const READ: &[&str] = &["GET", "POST"];

fn table() -> Vec<Entry> {
    use Action::{Admin, AnalyticsRead, Delete, Read, Write};
    use Need::{Nothing, Operator, Token};
    vec![
        entry(GET, "/", Nothing, pages::root),
        entry(GET, "/-/healthy", Nothing, pages::healthy),
        entry(GET, "/-/ready", Nothing, pages::ready),
        entry(GET, "/metrics", Operator(Read), exposition::show),
        entry(GET, "/version", Token(Read), status::version),
        entry(GET, "/federate", Token(Read), federate::show),
        entry(POST, "/api/v1/write", Token(Write), write::write),
        entry(POST, "/api/v1/push", Token(Write), write::write),
        entry(POST, "/api/v1/read", Token(Read), read::read),
        entry(READ, "/api/v1/query", Token(Read), query::instant),
        entry(READ, "/api/v1/query_range", Token(Read), query::range),
        entry(READ, "/api/v1/query-range", Token(Read), query::range),
        entry(READ, "/api/v1/query_exemplars", Token(Read), exemplars::list),
        entry(READ, "/api/v1/format_query", Token(Read), language::format),
        entry(READ, "/api/v1/parse_query", Token(Read), language::parse),
        entry(READ, "/api/v1/labels", Token(Read), labels::names),
        entry(READ, "/api/v1/label/{name}/values", Token(Read), labels::values),
        entry(READ, "/api/v1/series", Token(Read), series::list),
        entry(READ, "/api/v1/metadata", Token(Read), metadata::list),
        entry(READ, "/api/v1/search/metric_names", Token(Read), search::metric_names),
        entry(READ, "/api/v1/search/label_names", Token(Read), search::label_names),
        entry(READ, "/api/v1/search/label_values", Token(Read), search::label_values),
        entry(READ, "/api/v1/targets", Token(Read), targets::list),
        entry(READ, "/api/v1/targets/metadata", Token(Read), targets::metadata),
        entry(READ, "/api/v1/scrape_pools", Token(Read), targets::pools),
        entry(READ, "/api/v1/rules", Token(Read), absent::rules),
        entry(READ, "/api/v1/alerts", Token(Read), absent::alerts),
        tensorone(entry(GET, "/v2/endpoints/{endpoint_id}/metrics", Token(AnalyticsRead), tensorone::endpoint)),
        tensorone(entry(POST, "/v2/endpoints/metrics/batch", Token(AnalyticsRead), tensorone::batch)),
        tensorone(entry(GET, "/v2/monitoring/performance", Token(AnalyticsRead), tensorone::performance)),
        tensorone(entry(GET, OPTIMIZATION, Token(AnalyticsRead), tensorone::optimization)),
        huggingface(entry(
            GET,
            "/v2/endpoint/{namespace}/{name}/open-metrics",
            Token(AnalyticsRead),
            huggingface::open_metrics,
        )),
        huggingface(entry(GET, "/v2/endpoint/{namespace}/{name}/metrics", Token(AnalyticsRead), huggingface::all)),
        huggingface(entry(
            POST,
            "/v2/endpoint/{namespace}/{name}/metrics/{metric}",
            Token(AnalyticsRead),
            huggingface::one,
        )),
        entry(READ, "/api/v1/alertmanagers", Token(Read), absent::alertmanagers),
        entry(READ, "/api/v1/notifications", Token(Read), absent::notifications),
        entry(GET, "/api/v1/notifications/live", Token(Read), absent::live_notifications),
        entry(READ, "/api/v1/features", Token(Read), features::list),
        entry(GET, "/api/v1/openapi.yaml", Nothing, pages::openapi),
        entry(READ, "/api/v1/user_limits", Token(Read), limits::show),
        entry(READ, "/api/v1/status/buildinfo", Token(Read), status::buildinfo),
        entry(READ, "/api/v1/status/config", Token(Read), targets::config),
        entry(READ, "/api/v1/status/flags", Operator(Read), status::flags),
        entry(READ, "/api/v1/status/queries", Token(Read), queries::list),
        entry(DELETE, "/api/v1/status/queries/{id}", Token(Read), queries::end),
        entry(READ, "/api/v1/status/runtimeinfo", Operator(Read), status::runtimeinfo),
        entry(READ, "/api/v1/status/tsdb", Token(Read), status::tsdb),
        entry(READ, "/api/v1/status/tsdb/blocks", Operator(Read), status::blocks),
        entry(READ, "/api/v1/status/walreplay", Operator(Read), status::walreplay),
        entry(READ, "/api/v1/status/integrity", Operator(Read), status::integrity),
        entry(POST_PUT, "/api/v1/admin/tsdb/flush", Operator(Admin), admin::flush),
        entry(POST_PUT, "/api/v1/admin/tsdb/delete_series", Token(Delete), admin::delete_series),
        entry(POST_PUT, "/api/v1/admin/tsdb/clean_tombstones", Operator(Admin), admin::clean_tombstones),
        entry(POST_PUT, "/api/v1/admin/tsdb/snapshot", Operator(Admin), admin::snapshot),
    ]
}

fn entry<T: 'static>(
    methods: &'static [&'static str],
    path: &'static str,
    need: Need,
    handler: impl Handler<T, App>,
) -> Entry {
    let filter = methods.iter().map(|method| filter(method)).reduce(MethodFilter::or).unwrap_or(MethodFilter::GET);
    Entry { route: Route { methods, path, need, dialect: Dialect::Prometheus }, handler: on(filter, handler) }
}

/// A route that refuses in TensorOne's words and counts against its limits.
fn tensorone(mut entry: Entry) -> Entry {
    entry.route.dialect = Dialect::TensorOne(Topic::Metrics);
    entry
}

/// A route that refuses in Hugging Face's words.
fn huggingface(mut entry: Entry) -> Entry {
    entry.route.dialect = Dialect::HuggingFace;
    entry
}

fn filter(method: &str) -> MethodFilter {
    match method {
        "POST" => MethodFilter::POST,
        "PUT" => MethodFilter::PUT,
        "DELETE" => MethodFilter::DELETE,
        _ => MethodFilter::GET,
    }
}

/// The table as a service, with the layers that all routes share.
pub(crate) fn router(app: &App) -> Router {
    let mut router = Router::new();
    for Entry { route, handler } in table() {
        let guarded = guard(app, &route, handler);
        let below = match route.path {
            "/" => None,
            path => Some(format!("{PROJECT_BASE}{path}")),
        };
        router = router.route(route.path, guarded.clone());
        if let Some(below) = below {
            router = router.route(&below, guarded);
        }
    }
    let base = Entry {
        route: Route {
            methods: READ,
            path: PROJECT_BASE,
            need: Need::Token(Action::Read),
            dialect: Dialect::Prometheus,
        },
        handler: on(MethodFilter::GET.or(MethodFilter::POST), query::base),
    };
    let base = guard(app, &base.route, base.handler);
    let table = router
        .route(PROJECT_BASE, base)
        .fallback(pages::not_found)
        .layer(compression())
        .layer(from_fn_with_state(app.clone(), cors::allow))
        .with_state(app.clone());
    // A layer would see the path when the route is chosen already; a fallback comes before the choice.
    Router::new().fallback_service(table.map_request(paths::normalise))
}

/// Gzip for those who list it, and nothing else: Grafana hands a browser's list on and reads gzip alone.
///
/// Below a packet's size it saves nothing; beyond, the fastest level gives most of the saving. Streamed chunks are
/// compressed already, and their readers look at frames.
fn compression() -> CompressionLayer<And<SizeAbove, NotForContentType>> {
    let layer = CompressionLayer::new().gzip(true).quality(CompressionLevel::Fastest);
    let streamed = NotForContentType::const_new("application/x-streamed-protobuf");
    layer.compress_when(SizeAbove::new(COMPRESSED_BYTES_MIN).and(streamed))
}

/// Puts the checks and counts of one route around its handler.
fn guard(app: &App, route: &Route, handler: MethodRouter<App>) -> MethodRouter<App> {
    let gate = Gate { app: app.clone(), need: route.need, dialect: route.dialect, path: route.path };
    handler.route_layer(from_fn_with_state(gate, guarded))
}

/// The layer around every route: counts the request, checks whether it may be made, and has refusals in the route's
/// words. It is one, since a layer costs more than what is done in it.
async fn guarded(
    State(gate): State<Gate>,
    path: Result<RawPathParams, RawPathParamsRejection>,
    request: Request,
    next: Next,
) -> Response {
    let (pending, dialect) = (Pending::new(gate.app.clone(), gate.path), gate.dialect);
    let response = match admit(gate, path, request).await {
        Ok(request) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    };
    pending.answered(dialect.speak(response))
}
