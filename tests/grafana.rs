//! What ships for Grafana and Docker: well formed, true to the command line, and no panel without data.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use bench::clock::now_ms;
use bench::demo_fleet::{self, DemoFleet, DemoOptions};
use bench::fleet::INTERVAL_MS;
use bench::push::Push;
use serde_json::Value;

/// History pushed for the dashboards: more than the longest short window in them.
const HISTORY_MS: i64 = 60 * 60_000;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn yaml(path: &str) -> Value {
    let text = std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    serde_yaml_ng::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every dashboard with its file's name.
fn dashboards() -> Vec<(String, Value)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(root().join("grafana/dashboards")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        found.push((name, serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()));
    }
    assert!(!found.is_empty());
    found
}

fn list<'a>(value: &'a Value, key: &str) -> Vec<&'a Value> {
    value[key].as_array().into_iter().flatten().collect()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// The panels of a dashboard, those inside rows too.
fn panels(dashboard: &Value) -> Vec<&Value> {
    list(dashboard, "panels").into_iter().flat_map(|panel| [vec![panel], list(panel, "panels")].concat()).collect()
}

#[test]
fn dashboards_keep_the_conventions() {
    let (mut uids, mut problems) = (BTreeSet::new(), Vec::new());
    for (name, dashboard) in dashboards() {
        let mut complain = |what: String| problems.push(format!("{name}: {what}"));
        if !dashboard["id"].is_null() || !uids.insert(text(&dashboard, "uid").to_owned()) {
            complain("needs `id: null` and a uid of its own".into());
        }
        if dashboard.get("__inputs").is_some() {
            complain("`__inputs` is for imports by hand: provisioned files use the variable `datasource`".into());
        }
        let mut ids = BTreeSet::new();
        let mut places = BTreeSet::new();
        for panel in panels(&dashboard) {
            let title = text(panel, "title");
            if !ids.insert(panel["id"].as_u64()) || !places.insert(panel["gridPos"].to_string()) {
                complain(format!("{title}: id or place of another panel"));
            }
            if text(panel, "type") == "row" {
                continue;
            }
            if text(panel, "description").is_empty() || title.is_empty() {
                complain(format!("panel {:?} needs a title and a description", panel["id"]));
            }
            if text(&panel["fieldConfig"]["defaults"], "unit").is_empty() {
                complain(format!("{title}: needs a unit"));
            }
            for target in [vec![panel], list(panel, "targets")].concat() {
                if text(&target["datasource"], "uid") != "${datasource}" {
                    complain(format!("{title}: must use the variable `datasource`"));
                }
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn provisioning_names_what_compose_mounts() {
    let compose = yaml("docker-compose.yml");
    let grafana = &compose["services"]["grafana"];
    let mounts: Vec<(&str, &str)> =
        list(grafana, "volumes").iter().filter_map(|mount| mount.as_str()?.split_once(':')).collect();
    for (from, _) in mounts.iter().filter(|(from, _)| from.starts_with("./")) {
        assert!(root().join(from).exists(), "{from} is mounted and not there");
    }
    let provider = yaml("grafana/provisioning/dashboards/promenade.yml");
    let folder = text(&provider["providers"][0]["options"], "path").to_owned();
    assert!(mounts.iter().any(|(_, to)| to.trim_end_matches(":ro") == folder), "{folder} is not mounted");

    let source = &yaml("grafana/provisioning/datasources/promenade.yml")["datasources"][0];
    let command = list(grafana, "entrypoint").iter().map(|part| part.to_string()).collect::<String>();
    for (setting, variable) in [
        (text(source, "url"), "PROMENADE_URL"),
        (text(source, "url"), "PROMENADE_PROJECT"),
        (text(&source["secureJsonData"], "httpHeaderValue1"), "PROMENADE_TOKEN"),
    ] {
        assert!(setting.contains(&format!("${{{variable}}}")), "{setting} must use {variable}");
        let given = grafana["environment"].get(variable).is_some() || command.contains(&format!("export {variable}="));
        assert!(given, "compose gives Grafana no {variable}");
    }
    for (name, dashboard) in dashboards() {
        let current = list(&dashboard["templating"], "list").into_iter().find(|v| text(v, "name") == "datasource");
        assert_eq!(text(&current.unwrap()["current"], "value"), text(source, "uid"), "{name}");
    }
}

#[test]
fn compose_is_whole_and_calls_commands_that_exist() {
    let compose = yaml("docker-compose.yml");
    let services = compose["services"].as_object().unwrap();
    for (name, service) in services {
        for dependency in service["depends_on"].as_object().into_iter().flat_map(|map| map.keys()) {
            assert!(services.contains_key(dependency), "{name} depends on {dependency}");
        }
        for mount in list(service, "volumes").iter().filter_map(|mount| mount.as_str()) {
            let from = mount.split(':').next().unwrap();
            assert!(from.starts_with(['.', '/']) || compose["volumes"].get(from).is_some(), "{name}: no volume {from}");
        }
        for config in list(service, "configs") {
            assert!(compose["configs"].get(text(config, "source")).is_some(), "{name}: {config}");
        }
    }
    let script = text_of(&compose["services"]["bootstrap"]["command"]);
    let serve = format!("promenade {}", text_of(&compose["services"]["promenade"]["command"]));
    let mut commands: Vec<&str> = script.lines().chain([serve.as_str()]).collect();
    commands = commands.iter().flat_map(|line| line.split(['|', ';', '>', '&'])).map(str::trim).collect();
    commands.retain(|line| line.starts_with("promenade "));
    assert!(commands.len() >= 4, "{commands:?}");
    for command in commands {
        known(command);
    }
}

fn text_of(command: &Value) -> String {
    command.as_array().unwrap().iter().map(|part| part.as_str().unwrap()).collect::<Vec<_>>().join(" ")
}

/// Asks the binary for the help of a command and looks for each option of it.
fn known(command: &str) {
    let words: Vec<&str> = command.split_whitespace().skip(1).collect();
    let names = words.iter().take_while(|word| word.chars().all(|c| c.is_ascii_lowercase()));
    let help = Command::new(env!("CARGO_BIN_EXE_promenade")).args(names).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    for option in words.iter().filter(|word| word.starts_with("--")) {
        assert!(help.contains(option), "`{command}`: no {option} in\n{help}");
    }
}

#[test]
fn the_scrape_configuration_names_services() {
    let compose = yaml("docker-compose.yml");
    let scrape: Value = serde_yaml_ng::from_str(text(&compose["configs"]["scrape"], "content")).unwrap();
    for job in list(&scrape, "scrape_configs") {
        for target in list(&job["static_configs"][0], "targets") {
            let host = target.as_str().unwrap().split(':').next().unwrap();
            assert!(compose["services"].get(host).is_some(), "no service {host}");
        }
    }
}

#[test]
fn the_image_is_built_from_what_is_there() {
    let dockerfile = std::fs::read_to_string(root().join("Dockerfile")).unwrap();
    for line in dockerfile.lines().filter(|line| line.starts_with("COPY ") && !line.contains("--from=")) {
        let words: Vec<&str> = line.split_whitespace().skip(1).collect();
        for source in &words[..words.len() - 1] {
            assert!(root().join(source).exists(), "`{line}`: no {source}");
        }
    }
    let command = dockerfile.lines().find_map(|line| line.strip_prefix("CMD ")).unwrap();
    known(&format!("promenade {}", text_of(&serde_json::from_str(command).unwrap())));
    let toolchain = std::fs::read_to_string(root().join("rust-toolchain.toml")).unwrap();
    let image = dockerfile.lines().find_map(|line| line.strip_prefix("FROM rust:")).unwrap();
    let version = image.split('-').next().unwrap();
    assert!(
        toolchain.contains(&format!("channel = \"{version}")),
        "rust:{version} is not the toolchain of {toolchain}"
    );
}

/// A server with an hour of the demo's fleet in it.
struct Shown {
    base: String,
    token: String,
    now_s: i64,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_expression_of_every_dashboard_has_an_answer() {
    let dir = tempfile::tempdir().unwrap();
    let control = control::Control::open(&server::control_path(dir.path())).unwrap();
    let now = now_ms();
    let project = control.create_project("shown", None, now).unwrap().id;
    let new = control::NewToken {
        access: control::Access::Project(project.clone()),
        name: String::new(),
        scopes: control::Scopes::WRITE_READ,
        expires_ms: None,
    };
    let token = control.create_token(&new, now).unwrap().reveal();
    let server = server::Server::bind(server::Config::new(dir.path(), ([127, 0, 0, 1], 0).into())).await.unwrap();
    let address = server.address();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(server.run(async {
        let _ = stopped.await;
    }));

    let to = now.div_euclid(INTERVAL_MS) * INTERVAL_MS - INTERVAL_MS;
    let options = DemoOptions { project: 0, first_node: 1, nodes: 1, seed: 3 };
    let mut fleet = DemoFleet::new(options, to - HISTORY_MS);
    let mut push = Push::new(&format!("http://{address}/api/v1/write"), Some(&token)).unwrap();
    demo_fleet::backfill(&mut fleet, &mut push, to - HISTORY_MS, to, |_| {}).await.unwrap();

    let base = format!("http://{address}/v1alpha5/projects/{project}/metrics/timeseries");
    let shown = Shown { base, token, now_s: to / 1000 };
    let mut problems = Vec::new();
    let mut asked = 0;
    for (name, dashboard) in dashboards() {
        for panel in panels(&dashboard) {
            for target in list(panel, "targets") {
                asked += 1;
                if let Err(problem) = shown.ask(text(target, "expr"), target["instant"] == true).await {
                    problems.push(format!("{name}, {}: {problem}", text(panel, "title")));
                }
            }
        }
        for annotation in list(&dashboard["annotations"], "list").iter().filter(|a| a.get("expr").is_some()) {
            shown.query("query_range", text(annotation, "expr")).await.unwrap();
        }
        for variable in list(&dashboard["templating"], "list").iter().filter(|v| text(v, "type") == "query") {
            asked += 1;
            if let Err(problem) = shown.label_values(text(variable, "definition")).await {
                problems.push(format!("{name}, variable {}: {problem}", text(variable, "name")));
            }
        }
    }
    stop.send(()).unwrap();
    tokio::time::timeout(Duration::from_secs(30), serving).await.unwrap().unwrap().unwrap();
    assert!(problems.is_empty(), "{} of {asked}:\n{}", problems.len(), problems.join("\n"));
    assert!(50 < asked, "only {asked} expressions");
}

impl Shown {
    /// Asks as Grafana would for a panel over the last 15 minutes; an error or no number is a problem.
    async fn ask(&self, expr: &str, instant: bool) -> Result<(), String> {
        let data = self.query(if instant { "query" } else { "query_range" }, expr).await?;
        let samples = list(&data, "result").into_iter().flat_map(|series| match instant {
            true => vec![&series["value"]],
            false => list(series, "values"),
        });
        let mut numbers = samples.filter_map(|sample| sample[1].as_str()?.parse::<f64>().ok());
        if numbers.any(|number| !number.is_nan()) { Ok(()) } else { Err(format!("no number: {expr}")) }
    }

    /// Asks the query endpoint for one instant, or `query_range` for the last 15 minutes.
    async fn query(&self, endpoint: &str, expr: &str) -> Result<Value, String> {
        let times = match endpoint {
            "query" => format!("time={}", self.now_s),
            _ => format!("start={}&end={}&step=15", self.now_s - 900, self.now_s),
        };
        self.post(endpoint, &format!("{times}&query={}", encoded(&filled(expr)))).await
    }

    /// Asks for what `label_values(selector, label)` offers.
    async fn label_values(&self, definition: &str) -> Result<(), String> {
        let inside = definition.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')'));
        let (selector, label) = inside.and_then(|inside| inside.rsplit_once(", ")).ok_or("not label_values(x, y)")?;
        let times = format!("start={}&end={}", self.now_s - 900, self.now_s);
        let body = format!("{times}&match[]={}", encoded(&filled(selector)));
        let values = self.post(&format!("label/{label}/values"), &body).await?;
        if values.as_array().is_some_and(|values| !values.is_empty()) {
            Ok(())
        } else {
            Err(format!("no {definition}"))
        }
    }

    /// Posts a form; an error is a problem.
    async fn post(&self, endpoint: &str, form: &str) -> Result<Value, String> {
        let client = reqwest::Client::builder().no_proxy().build().map_err(|error| error.to_string())?;
        let request = client.post(format!("{}/api/v1/{endpoint}", self.base)).bearer_auth(&self.token);
        let request = request.header("Content-Type", "application/x-www-form-urlencoded").body(form.to_owned());
        let answer = request.send().await.map_err(|error| error.to_string())?;
        let status = answer.status();
        let text = answer.text().await.map_err(|error| error.to_string())?;
        let answer: Value = serde_json::from_str(&text).map_err(|error| format!("{status}: {error}: {text}"))?;
        if answer["status"] == "success" {
            Ok(answer["data"].clone())
        } else {
            Err(format!("{status}: {text}: {form}"))
        }
    }
}

/// The expression with Grafana's variables filled in: everything selected.
fn filled(expr: &str) -> String {
    let mut expr = expr.to_owned();
    for (variable, value) in [
        ("$__rate_interval", "1m"),
        ("$__interval", "15s"),
        ("$__range", "900s"),
        ("$gpu_hour_usd", "2.5"),
        ("$project_id", ".*"),
        ("$model_name", ".*"),
        ("$service_tier", ".*"),
        ("$hostname", ".*"),
    ] {
        expr = expr.replace(variable, value);
    }
    assert!(!expr.contains('$'), "unknown variable in {expr}");
    expr
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
