//! What the demo tells its user once the history is written: tokens, URLs, and curl lines that work when pasted.

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use super::{DemoArgs, Project};

/// A model of the first project, for queries about one model.
const MODEL: &str = "meta-llama/Llama-3.3-70B-Instruct";

/// Everything the guide names.
pub(super) struct Guide<'a> {
    pub(super) address: SocketAddr,
    pub(super) projects: &'a [Project],
    pub(super) operator: &'a str,
    pub(super) data_dir: &'a Path,
    /// Whether the data stays at the end.
    pub(super) kept: bool,
}

impl Guide<'_> {
    /// Prints the guide to standard output.
    pub(super) fn print(&self, args: &DemoArgs, samples: u64, took: Duration) -> Result<()> {
        let mut out = std::io::stdout().lock();
        writeln!(
            out,
            "{} hours of {} GPU nodes: {samples} samples written in {:.1} s through http://{}/api/v1/write\n",
            args.hours,
            args.nodes,
            took.as_secs_f64(),
            self.address
        )?;
        for project in self.projects {
            writeln!(out, "project {:<12} token {}", project.id.as_str(), project.token)?;
        }
        writeln!(out, "{:<20} token {} (operator, read only)\n", "all projects", self.operator)?;
        for project in self.projects {
            writeln!(out, "Grafana, Prometheus server URL  {}", self.crusoe_url(project))?;
        }
        writeln!(out, "Grafana, HTTP header            Authorization: Bearer TOKEN")?;
        for (title, line) in self.curl_lines() {
            writeln!(out, "\n{title}:\n{line}")?;
        }
        let end = if self.kept { "keeps the data in" } else { "removes" };
        writeln!(
            out,
            "\nNew samples arrive every 15 seconds. Ctrl-C ends the demo and {end} {}.",
            self.data_dir.display()
        )?;
        Ok(out.flush()?)
    }

    /// The base URL of a project, as Crusoe documents it.
    fn crusoe_url(&self, project: &Project) -> String {
        format!("http://{}/v1alpha5/projects/{}/metrics/timeseries", self.address, project.id)
    }

    /// Titles and commands.
    fn curl_lines(&self) -> Vec<(&'static str, String)> {
        let Some(project) = self.projects.first() else { return Vec::new() };
        let (id, token, url) = (&project.id, &project.token, self.crusoe_url(project));
        let ttft = format!(
            "histogram_quantile(0.5, sum by (model_name, le) (irate(crusoe_inference_histogram_first_token_latency_bucket\
             {{project_id=\"{id}\", model_name=\"{MODEL}\"}}[300s])))"
        );
        let rate = format!("sum by (model_name) (rate(crusoe_inference_request_count{{project_id=\"{id}\"}}[300s]))");
        let gpus = "avg by (Hostname) (avg_over_time(DCGM_FI_DEV_GPU_UTIL[10m]))";
        vec![
            (
                "Median time to first token now",
                format!("curl -G {url} --data-urlencode 'query={ttft}' -H 'Authorization: Bearer {token}'"),
            ),
            (
                "Requests a second of each model in the last hour",
                format!(
                    "curl -G {url} --data-urlencode 'query={rate}' -d start=$(($(date +%s)-3600)) -d end=$(date +%s) \
                     -d step=300 -H 'Authorization: Bearer {token}'"
                ),
            ),
            (
                "GPU utilisation of all projects' nodes",
                format!(
                    "curl -G http://{}/api/v1/query --data-urlencode 'query={gpus}' -H 'Authorization: Bearer {}'",
                    self.address, self.operator
                ),
            ),
        ]
    }
}
