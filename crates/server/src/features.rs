//! `/api/v1/features`: what the server can do, by the names that Prometheus' clients look for.

use std::collections::BTreeMap;

use axum::response::Response;

use crate::error::ApiError;
use crate::reply;

/// What is there beside functions, by category. What is not listed is not there.
const FEATURES: &[(&str, &[&str])] = &[
    (
        "api",
        &[
            "admin",
            "exclude_alerts",
            "label_values_match",
            "query_stats",
            "query_warnings",
            "remote_write_receiver",
            "search",
            "search_fuzz_alg_jarowinkler",
            "search_fuzz_alg_subsequence",
            "time_range_labels",
            "time_range_series",
        ],
    ),
    (
        "promql",
        &[
            "anchored",
            "at_modifier",
            "bool",
            "by",
            "duration_expr",
            "experimental_functions",
            "fill",
            "fill_left",
            "fill_right",
            "group_left",
            "group_right",
            "ignoring",
            "negative_offset",
            "offset",
            "on",
            "per_query_lookback_delta",
            "per_step_stats",
            "smoothed",
            "subqueries",
            "utf8_names",
            "without",
        ],
    ),
    (
        "promql_operators",
        &[
            "!=",
            "!~",
            "%",
            "*",
            "+",
            "-",
            "/",
            "<",
            "<=",
            "=",
            "==",
            "=~",
            ">",
            ">=",
            "</",
            ">/",
            "@",
            "^",
            "and",
            "atan2",
            "avg",
            "bottomk",
            "count",
            "count_values",
            "group",
            "limit_ratio",
            "limitk",
            "max",
            "min",
            "or",
            "quantile",
            "stddev",
            "stdvar",
            "sum",
            "topk",
            "unless",
        ],
    ),
    ("tsdb", &["delayed_compaction", "exemplars", "native_histograms", "out_of_order"]),
];

/// Lists the features, each `true`.
pub(crate) async fn list() -> Result<Response, ApiError> {
    let enabled = |name: &'static str| (name, true);
    let mut features: BTreeMap<&str, BTreeMap<&str, bool>> =
        FEATURES.iter().map(|(category, names)| (*category, names.iter().copied().map(enabled).collect())).collect();
    features.insert("promql_functions", promql::functions().map(|(name, _)| enabled(name)).collect());
    reply::small(&features)
}
