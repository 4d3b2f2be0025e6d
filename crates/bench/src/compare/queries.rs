//! The query table of the comparison, as data.

/// What is asked of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    /// `/api/v1/query` at the end of the history.
    Instant(&'static str),
    /// `/api/v1/query_range` over the last hours with a step in seconds.
    Range {
        /// The expression.
        expr: &'static str,
        /// Hours before the end of the history.
        hours: i64,
        /// Seconds between two points.
        step_s: i64,
    },
    /// A path over the last 24 hours, with its own parameters.
    Path(&'static str),
}

/// One line of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Query {
    /// The line's name.
    pub(crate) name: &'static str,
    /// What is asked.
    pub(crate) ask: Ask,
}

const fn range(name: &'static str, hours: i64, step_s: i64, expr: &'static str) -> Query {
    Query { name, ask: Ask::Range { expr, hours, step_s } }
}

const fn instant(name: &'static str, expr: &'static str) -> Query {
    Query { name, ask: Ask::Instant(expr) }
}

const fn path(name: &'static str, path: &'static str) -> Query {
    Query { name, ask: Ask::Path(path) }
}

const REQUEST_RATE: &str = r#"sum by (model_name) (rate(crusoe_inference_request_count{project_id="prj-0001"}[300s]))"#;
const OUTPUT_TOKENS: &str =
    r#"sum by (model_name) (rate(crusoe_inference_output_token_count{project_id="prj-0001"}[300s]))"#;
const INPUT_TOKENS: &str =
    r#"sum by (model_name) (rate(crusoe_inference_input_token_count{project_id="prj-0001"}[300s]))"#;
const TPOT_P50: &str = r#"histogram_quantile(0.5, sum by (model_name, le) (irate(crusoe_inference_histogram_output_token_latency_bucket{project_id="prj-0001"}[300s])))"#;
const TTFT_P50: &str = r#"histogram_quantile(0.5, sum by (model_name, le) (irate(crusoe_inference_histogram_first_token_latency_bucket{project_id="prj-0001"}[300s])))"#;
const TTFT_P99: &str =
    "histogram_quantile(0.99, sum by (le) (rate(crusoe_inference_histogram_first_token_latency_bucket[5m])))";
const ERRORS: &str =
    r#"sum by (instance) (rate(http_requests{status_code=~"5.."}[5m])) / sum by (instance) (rate(http_requests[5m]))"#;

/// Every line; `prj-0001` has a quarter of the fleet. The five Crusoe queries are those of its monitoring page.
pub(crate) static QUERIES: [Query; 21] = [
    range("request rate 1h", 1, 15, REQUEST_RATE),
    range("request rate 24h", 24, 300, REQUEST_RATE),
    range("input tokens 24h", 24, 300, INPUT_TOKENS),
    range("output tokens 24h", 24, 300, OUTPUT_TOKENS),
    range("TTFT p50 1h", 1, 15, TTFT_P50),
    range("TTFT p50 24h", 24, 300, TTFT_P50),
    range("TPOT p50 24h", 24, 300, TPOT_P50),
    range("fleet TTFT p99 24h", 24, 60, TTFT_P99),
    range("fleet GPU util 24h", 24, 60, "avg by (region) (DCGM_FI_DEV_GPU_UTIL)"),
    range("GPU temp max 24h", 24, 300, "max by (Hostname) (max_over_time(DCGM_FI_DEV_GPU_TEMP[10m]))"),
    range("CPU busy 6h", 6, 60, r#"sum by (instance) (rate(node_cpu_seconds_total{mode!="idle"}[5m]))"#),
    range("CPU all 24h", 24, 60, "sum by (mode) (rate(node_cpu_seconds_total[5m]))"),
    instant("topk instant", r#"topk(5, sum by (instance) (rate(node_cpu_seconds_total{mode!="idle"}[5m])))"#),
    instant("regex instant", r#"count({__name__=~"DCGM_FI_DEV_.*", Hostname=~"gpu-node-0000[1-4].*"})"#),
    range("raw 24h", 24, 15, r#"DCGM_FI_DEV_POWER_USAGE{Hostname=~"gpu-node-00001.*"}"#),
    range("error ratio 1h", 1, 15, ERRORS),
    range("subquery 24h", 24, 300, "max_over_time(sum(rate(tensorone_endpoint_requests_total[5m]))[1h:1m])"),
    range("quantile 6h", 6, 60, "quantile_over_time(0.95, tensorone_endpoint_gpu_utilization[15m])"),
    path("labels", "labels?"),
    path("label values", "label/instance/values?"),
    path("series", "series?match[]=DCGM_FI_DEV_GPU_UTIL"),
];
