//! `promenade query`: one PromQL query over HTTP, its answer as lines.

use std::env;

use anyhow::{Context, bail};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use crate::args::QueryArgs;
use crate::{print, serve};

/// The environment variable that holds the token, so that it need not be on the command line.
const TOKEN_VARIABLE: &str = "PROMENADE_TOKEN";

/// Asks and prints.
pub(crate) fn run(args: &QueryArgs) -> anyhow::Result<()> {
    let (path, form) = request(args);
    let url = format!("{}{path}", args.url.trim_end_matches('/'));
    let token = args.token.clone().or_else(|| env::var(TOKEN_VARIABLE).ok());
    let (status, body) = serve::block_on(post(&url, form, token))?;
    if args.json {
        print::line(&body)?;
    }
    let answer: Value = serde_json::from_str(&body).with_context(|| format!("{url} answered {status} without JSON"))?;
    if answer["status"] != "success" {
        bail!("{status}: {}", answer["error"].as_str().unwrap_or("no reason given"));
    }
    if args.json {
        return Ok(());
    }
    for kind in ["warnings", "infos"] {
        for text in answer[kind].as_array().into_iter().flatten() {
            print::note(&format!("{kind}: {}", text.as_str().unwrap_or_default()));
        }
    }
    print_result(&answer["data"])
}

/// The path and the form that ask for what the command line says.
fn request(args: &QueryArgs) -> (&'static str, String) {
    let mut form = format!("query={}", utf8_percent_encode(&args.expr, NON_ALPHANUMERIC));
    let mut add = |name: &str, value: &str| {
        form.push_str(&format!("&{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC)));
    };
    if let Some(last) = args.last {
        let end = server::now_ms();
        let start = end.saturating_sub(i64::try_from(last.as_millis()).unwrap_or(i64::MAX));
        add("start", &seconds(start));
        add("end", &seconds(end));
        add("step", &args.step.as_secs_f64().to_string());
        return ("/api/v1/query_range", form);
    }
    if let Some(time) = &args.time {
        add("time", time);
    }
    ("/api/v1/query", form)
}

fn seconds(ms: i64) -> String {
    format!("{}.{:03}", ms / 1000, ms % 1000)
}

async fn post(url: &str, form: String, token: Option<String>) -> anyhow::Result<(reqwest::StatusCode, String)> {
    let mut request =
        reqwest::Client::new().post(url).header("content-type", "application/x-www-form-urlencoded").body(form);
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    let response = request.send().await.with_context(|| format!("ask {url}"))?;
    let status = response.status();
    Ok((status, response.text().await.with_context(|| format!("read the answer of {url}"))?))
}

/// Prints a result as lines: one for each series of a vector, one for each point of a matrix.
fn print_result(data: &Value) -> anyhow::Result<()> {
    let result = &data["result"];
    if !matches!(data["resultType"].as_str(), Some("vector" | "matrix")) {
        return print::line(point(result).1);
    }
    for series in result.as_array().into_iter().flatten() {
        let labels = labels(&series["metric"]);
        for sample in series["values"].as_array().into_iter().flatten().chain(series.get("value")) {
            let (t, v) = point(sample);
            print::line(&format!("{labels} {v} @{t}"))?;
        }
    }
    Ok(())
}

/// The time and the value of a point.
fn point(pair: &Value) -> (&Value, &str) {
    (&pair[0], pair[1].as_str().unwrap_or_default())
}

/// Labels as PromQL writes them.
fn labels(metric: &Value) -> String {
    let pairs = metric.as_object().into_iter().flatten();
    model::Labels::from_pairs(pairs.filter_map(|(name, value)| Some((name.as_str(), value.as_str()?)))).to_string()
}
