//! An endpoint's metrics as Prometheus text: cumulative, so that a scraper may compute rates.

use std::fmt::Write;

use super::tally::Tally;
use crate::{EndpointFacts, Row, View};

/// The bounds shown, as they are written.
const BOUNDS: [(&str, f64); 5] = [("0.5", 0.5), ("1.0", 1.0), ("2.0", 2.0), ("5.0", 5.0), ("10.0", 10.0)];

/// The text of one endpoint; families that nothing measures are left out.
pub fn exposition(view: View<'_>, facts: &EndpointFacts) -> String {
    let mut text = Text { out: String::new(), id: escape(&facts.id) };
    let requests = view.rows("requests.so_far");
    if !requests.is_empty() {
        let tally = Tally::at(requests, 0);
        text.family("tensorone_endpoint_requests_total", "counter", "Total number of requests");
        text.line("tensorone_endpoint_requests_total", &[("status", "success")], tally.successful);
        text.line("tensorone_endpoint_requests_total", &[("status", "error")], tally.failed());
    }
    latency(&mut text, view);
    if let Some(percent) = view.value("gpu.now") {
        text.family("tensorone_endpoint_gpu_utilization", "gauge", "GPU utilization percentage");
        text.line("tensorone_endpoint_gpu_utilization", &[], percent);
    }
    let costs = view.rows("cost.so_far");
    if !costs.is_empty() {
        text.family("tensorone_endpoint_cost_total", "counter", "Total cost in USD");
        for row in costs {
            let category = escape(row.label("category"));
            text.line("tensorone_endpoint_cost_total", &[("category", &category)], row.last().unwrap_or(0.0));
        }
    }
    text.out
}

fn latency(text: &mut Text, view: View<'_>) {
    let buckets = view.rows("latency.buckets.so_far");
    let (Some(sum), Some(count)) = (view.value("latency.sum.so_far"), view.value("latency.count.so_far")) else {
        return;
    };
    const NAME: &str = "tensorone_endpoint_latency_seconds";
    text.family(NAME, "histogram", "Request latency in seconds");
    let bucket = format!("{NAME}_bucket");
    for (shown, bound) in BOUNDS {
        if let Some(n) = at_bound(buckets, bound) {
            text.line(&bucket, &[("le", shown)], n);
        }
    }
    text.line(&bucket, &[("le", "+Inf")], count);
    text.line(&format!("{NAME}_sum"), &[], sum);
    text.line(&format!("{NAME}_count"), &[], count);
}

/// The requests up to a bound, if the source counts up to just that: "1" and "1.0" are one bound.
fn at_bound(buckets: &[Row], bound: f64) -> Option<f64> {
    let is_bound = |row: &&Row| row.label("le").parse::<f64>().is_ok_and(|le| (le - bound).abs() < 1e-9);
    let found: Vec<f64> = buckets.iter().filter(is_bound).filter_map(Row::last).collect();
    (!found.is_empty()).then(|| found.iter().sum())
}

struct Text {
    out: String,
    id: String,
}

impl Text {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let gap = if self.out.is_empty() { "" } else { "\n" };
        self.push(format_args!("{gap}# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    fn line(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        let id = std::mem::take(&mut self.id);
        self.push(format_args!("{name}{{endpoint_id=\"{id}\""));
        for (label, value) in labels {
            self.push(format_args!(",{label}=\"{value}\""));
        }
        self.push(format_args!("}} {value}\n"));
        self.id = id;
    }

    fn push(&mut self, text: std::fmt::Arguments<'_>) {
        let written = self.out.write_fmt(text);
        debug_assert!(written.is_ok(), "a string takes everything");
    }
}

/// A label value as it stands between quotes.
fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
