//! What endpoints used in one minute: questions to the store, and the rules that turn answers into amounts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use control::EndpointView;
use model::{Budget, Labels, METRIC_NAME, PROJECT_LABEL, Point, ProjectId, Timestamp, Value};
use promql::{Context, EvalError, Query, TextLimits};
use tsdb::Querier;

use super::card::RateCard;

/// How far back the state of a replica is looked for: scrapes may be a minute apart, and one may be lost.
const LOOKBACK_MS: i64 = 150_000;

/// Bounds that TensorOne's histogram has, as it writes them. Source: TensorOne's documents.
const BOUNDS: [&str; 6] = ["0.5", "1.0", "2.0", "5.0", "10.0", "+Inf"];

/// The questions, parsed once. Counts are anchored, so that minutes add up to hours: the last sample before a minute
/// counts as its start.
static QUESTIONS: LazyLock<Questions> = LazyLock::new(Questions::new);

struct Questions {
    /// In order of preference: an endpoint that answers one is not asked the next.
    requests: Vec<Query>,
    latency: [Query; 3],
    gpu_utilization: Query,
    gpus: Vec<Query>,
    gpu_models: Vec<Query>,
    states: Query,
    in_flight: Query,
    first_token: Query,
}

impl Questions {
    fn new() -> Questions {
        let parse = |text: &str| {
            Query::parse(text, &TextLimits::default()).expect("the recorder's questions are parsed by its tests")
        };
        let by = "project_id, endpoint_id, replica_id";
        let increase = |by: &str, selector: &str| {
            format!("sum by (project_id, endpoint_id, {by}) (increase({selector}[1m] anchored))")
        };
        let duration = |suffix: &str| {
            parse(&increase("le", &format!("inference_request_duration_seconds_{suffix}{{endpoint_id!=\"\"}}")))
        };
        let failed = |reason: &str, pattern: &str, selector: &str| {
            let counted = increase(reason, selector);
            let all = format!("label_replace({counted}, \"status_code\", \"200\", \"\", \"\")");
            parse(&format!("label_replace({all}, \"status_code\", \"500\", \"{reason}\", \"{pattern}\")"))
        };
        Questions {
            requests: vec![
                parse(&increase("status_code", "inference_requests_total{endpoint_id!=\"\"}")),
                parse(&format!(
                    "label_replace({}, \"status_code\", \"$1\", \"response_code\", \"(.*)\")",
                    increase("response_code", "istio_requests_total{endpoint_id!=\"\",reporter=\"destination\"}")
                )),
                failed("finished_reason", "abort|error", "vllm:request_success_total{endpoint_id!=\"\"}"),
                failed("method", "nothing fails here", "tgi_request_success{endpoint_id!=\"\"}"),
            ],
            latency: ["bucket", "sum", "count"].map(duration),
            gpu_utilization: parse(
                "avg by (project_id, endpoint_id) (DCGM_FI_DEV_GPU_UTIL{endpoint_id!=\"\"})
                 or avg by (project_id, endpoint_id) (100 * nvidia_smi_utilization_gpu_ratio{endpoint_id!=\"\"})
                 or avg by (project_id, endpoint_id) (gpu_gfx_activity{endpoint_id!=\"\"})
                 or avg by (project_id, endpoint_id) (100 * nv_gpu_utilization{endpoint_id!=\"\"})",
            ),
            gpus: vec![
                parse(&format!("sum by ({by}) (inference_replica_gpus{{endpoint_id!=\"\"}})")),
                parse(&format!("count by ({by}) (DCGM_FI_DEV_GPU_UTIL{{endpoint_id!=\"\",replica_id!=\"\"}})")),
            ],
            gpu_models: vec![
                parse(&format!(
                    "group by ({by}, gpu_model) (inference_replica_info{{endpoint_id!=\"\",gpu_model!=\"\"}})"
                )),
                parse(&format!(
                    "label_replace(group by ({by}, modelName) (DCGM_FI_DEV_GPU_UTIL{{endpoint_id!=\"\",modelName!=\"\"}}), \
                     \"gpu_model\", \"$1\", \"modelName\", \"(.*)\")"
                )),
            ],
            states: parse(&format!(
                "max by ({by}, state) (inference_replica_state{{endpoint_id!=\"\",state=~\"initializing|running\"}}) == 1"
            )),
            in_flight: parse(&format!("sum by ({by}) (inference_requests_in_flight{{endpoint_id!=\"\"}})")),
            first_token: parse(
                "histogram_quantile(0.5, sum by (project_id, model_name, service_tier, le) \
                 (irate(crusoe_inference_histogram_first_token_latency_bucket[300s])))",
            ),
        }
    }
}

/// What is added to counters and what gauges are set to, by the labels of the series.
#[derive(Debug, Default)]
pub(super) struct Minute {
    pub(super) added: BTreeMap<Labels, f64>,
    pub(super) gauges: BTreeMap<Labels, f64>,
    /// GPUs that cost something and have no price.
    pub(super) unpriced: BTreeSet<String>,
}

/// Who asks, when.
pub(super) struct Asking<'a> {
    pub(super) querier: &'a Querier<'a>,
    pub(super) endpoints: &'a EndpointView,
    pub(super) budget: &'a Budget,
    /// The end of the minute.
    pub(super) at: Timestamp,
}

impl Asking<'_> {
    /// Everything that is recorded of the minute.
    pub(super) fn minute(&self, card: Option<&RateCard>) -> Result<Minute, EvalError> {
        let mut minute = Minute::default();
        self.requests(&mut minute)?;
        self.latency(&mut minute)?;
        for (labels, v) in self.ask(&QUESTIONS.gpu_utilization)? {
            minute.set("tensorone_endpoint_gpu_utilization", &labels, &[], v);
        }
        for (labels, v) in self.ask(&QUESTIONS.first_token)? {
            minute.set("crusoe_inference_first_token_latency", &labels, &[], v);
        }
        if let Some(card) = card {
            self.compute(card, &mut minute)?;
            self.items(card, &mut minute)?;
        }
        Ok(minute)
    }

    fn ask(&self, query: &Query) -> Result<Vec<(Labels, f64)>, EvalError> {
        let ctx = Context { store: self.querier, budget: self.budget, lookback_ms: LOOKBACK_MS };
        let Value::Vector(series) = query.instant(self.at, &ctx)?.value else { return Ok(Vec::new()) };
        let floats = series.into_iter().filter_map(|series| match series.point {
            Point::Float(v) if v.is_finite() => Some((series.labels, v)),
            Point::Float(_) | Point::Histogram(_) => None,
        });
        Ok(floats.collect())
    }

    fn requests(&self, minute: &mut Minute) -> Result<(), EvalError> {
        let mut answered = BTreeSet::new();
        for query in &QUESTIONS.requests {
            let rows = self.ask(query)?;
            for (labels, n) in &rows {
                let code = labels.get("status_code").unwrap_or_default();
                let status = match code.as_bytes().first() {
                    Some(b'2' | b'3') => "success",
                    Some(b'4' | b'5') => "error",
                    _ => continue,
                };
                if !answered.contains(&owner(labels)) {
                    minute.add("tensorone_endpoint_requests_total", labels, &[("status", status)], *n);
                }
            }
            answered.extend(rows.iter().map(|(labels, _)| owner(labels)));
        }
        Ok(())
    }

    fn latency(&self, minute: &mut Minute) -> Result<(), EvalError> {
        let [buckets, sums, counts] = &QUESTIONS.latency;
        for (labels, n) in self.ask(buckets)? {
            let bound = labels.get("le").and_then(|le| le.parse::<f64>().ok());
            let known = BOUNDS.into_iter().find(|text| text.parse().ok() == bound && bound.is_some());
            if let Some(le) = known {
                minute.add("tensorone_endpoint_latency_seconds_bucket", &labels, &[("le", le)], n);
            }
        }
        for (query, name) in
            [(sums, "tensorone_endpoint_latency_seconds_sum"), (counts, "tensorone_endpoint_latency_seconds_count")]
        {
            for (labels, n) in self.ask(query)? {
                minute.add(name, &labels, &[], n);
            }
        }
        Ok(())
    }

    /// What each replica's GPUs cost: the minute is a cold start's while it is initializing, idle without a request in
    /// flight, and else inference.
    fn compute(&self, card: &RateCard, minute: &mut Minute) -> Result<(), EvalError> {
        let by_replica = |rows: Vec<(Labels, f64)>| -> BTreeMap<Replica, (Labels, f64)> {
            rows.into_iter().map(|(labels, v)| (replica(&labels), (labels, v))).collect()
        };
        let mut gpus = BTreeMap::new();
        for query in QUESTIONS.gpus.iter().rev() {
            gpus.extend(by_replica(self.ask(query)?));
        }
        let mut models = BTreeMap::new();
        for query in QUESTIONS.gpu_models.iter().rev() {
            models.extend(by_replica(self.ask(query)?));
        }
        let states = by_replica(self.ask(&QUESTIONS.states)?);
        let in_flight = by_replica(self.ask(&QUESTIONS.in_flight)?);
        for (replica, (labels, _)) in &states {
            // A replica of which nobody counts the GPUs has as many as its endpoint says.
            if !gpus.contains_key(replica)
                && let Some(n) = self.endpoint(labels).and_then(|endpoint| endpoint.gpu_count)
            {
                gpus.insert(replica.clone(), (labels.clone(), f64::from(n)));
            }
        }
        for (replica, (labels, n)) in &gpus {
            let endpoint = self.endpoint(labels);
            let seen = models.get(replica).and_then(|(labels, _)| labels.get("gpu_model"));
            let registered = endpoint.as_ref().and_then(|endpoint| endpoint.gpu_model.as_deref());
            let model = seen.or(registered);
            let tier = endpoint.as_ref().and_then(|endpoint| endpoint.tier.as_deref());
            let Some(usd) = card.gpu_usd_minute(model, tier) else {
                minute.unpriced.insert(model.unwrap_or("of unknown model").to_owned());
                continue;
            };
            let state = states.get(replica).and_then(|(labels, _)| labels.get("state"));
            let is_idle = in_flight.get(replica).is_some_and(|(_, n)| *n <= 0.0);
            let phase = match state {
                Some("initializing") => "cold_start",
                _ if is_idle => "idle",
                _ => "inference",
            };
            minute.cost(labels, "compute", &[("phase", phase), ("detail", "gpu")], n * usd);
        }
        Ok(())
    }

    fn items(&self, card: &RateCard, minute: &mut Minute) -> Result<(), EvalError> {
        for item in card.items() {
            for (labels, usage) in self.ask(&item.usage)? {
                if labels.get("endpoint_id").is_some() && usage >= 0.0 {
                    minute.cost(&labels, item.category.as_str(), &[("detail", &item.detail)], usage * item.usd);
                }
            }
        }
        Ok(())
    }

    fn endpoint(&self, labels: &Labels) -> Option<std::sync::Arc<control::Endpoint>> {
        let project = ProjectId::parse(labels.get(PROJECT_LABEL)?).ok()?;
        self.endpoints.by_id(&project, labels.get("endpoint_id")?)
    }
}

/// Project, endpoint and replica.
type Replica = [String; 3];

fn replica(labels: &Labels) -> Replica {
    [PROJECT_LABEL, "endpoint_id", "replica_id"].map(|name| labels.get(name).unwrap_or_default().to_owned())
}

fn owner(labels: &Labels) -> [String; 2] {
    [PROJECT_LABEL, "endpoint_id"].map(|name| labels.get(name).unwrap_or_default().to_owned())
}

impl Minute {
    fn add(&mut self, name: &str, of: &Labels, labels: &[(&str, &str)], amount: f64) {
        *self.added.entry(recorded(name, of, labels)).or_default() += amount;
    }

    fn set(&mut self, name: &str, of: &Labels, labels: &[(&str, &str)], v: f64) {
        self.gauges.insert(recorded(name, of, labels), v);
    }

    /// A cost is recorded in full, and in total for TensorOne.
    fn cost(&mut self, of: &Labels, category: &str, labels: &[(&str, &str)], usd: f64) {
        let mut all = vec![("category", category)];
        all.extend_from_slice(labels);
        self.add("inference_cost_usd_total", of, &all, usd);
        self.add("tensorone_endpoint_cost_total", of, &[("category", category)], usd);
    }
}

/// The labels of a recorded series: whose it is, and what tells it from others.
fn recorded(name: &str, of: &Labels, labels: &[(&str, &str)]) -> Labels {
    let owner = [PROJECT_LABEL, "endpoint_id", "model_name", "service_tier"];
    let owner = owner.into_iter().filter_map(|label| Some((label, of.get(label)?)));
    Labels::from_pairs(owner.chain(labels.iter().copied()).chain([(METRIC_NAME, name)]))
}
