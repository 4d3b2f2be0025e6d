//! The rest of Prometheus' API: expressions without evaluation, targets, federation, search, and status by project.

use model::MetricKind;
use serde_json::json;

use crate::answer::Answer;
use crate::remote_write::sent::{Version, named};
use crate::stand::{Stand, base};

#[tokio::test(flavor = "multi_thread")]
async fn expressions_are_formatted_and_parsed() {
    let stand = Stand::start().await;
    let token = &stand.tokens.acme;
    let pretty = stand.get("/api/v1/format_query?query=sum(up)by(job)", token).await;
    assert_eq!(pretty.data(), json!("sum by (job) (up)"));
    let tree = stand.post("/api/v1/parse_query", token, "query=up > bool 1").await.data();
    assert_eq!(tree["type"], "binaryExpr");
    assert_eq!(tree["lhs"]["name"], "up");
    assert_eq!(tree["rhs"], json!({"type": "numberLiteral", "val": "1"}));
    for path in ["format_query", "parse_query"] {
        let path = format!("/api/v1/{path}?query=up(");
        stand.get(&path, token).await.refused(400, "bad_data", "invalid parameter \"query\": 1:4: parse error");
    }
}

/// `up` of two jobs, 30 s apart, and a family with metadata; returns the newest time.
async fn with_targets() -> (Stand, i64) {
    let stand = Stand::start().await;
    let now = server::now_ms() / 1000 * 1000 - 1000;
    let labels = |job: &'static str| [("job", job), ("instance", "i")];
    let (a, b) = (labels("a"), labels("b"));
    let series = [
        ("up", &a[..], &[(now - 30_000, 1.0), (now, 1.0)][..]),
        ("up", &b[..], &[(now, 0.0)]),
        ("up", &[("job", "gone")], &[(now - 60_000, 1.0), (now, f64::from_bits(0x7ff0_0000_0000_0002))]),
        ("up", &[("job", "long gone")], &[(now - 3_600_000, 1.0)]),
    ];
    assert_eq!(stand.write(&stand.tokens.acme, &series).await.status, 204);
    let counter = named("hits_total").label("job", "a").label("instance", "i").sample(now, 5.0);
    let body = Version::V1.body(&[counter.metadata(MetricKind::Counter, "Hits.", "")]);
    assert_eq!(stand.write_body("/api/v1/write", &stand.tokens.acme, body).await.status, 204);
    (stand, now)
}

#[tokio::test(flavor = "multi_thread")]
async fn targets_are_what_up_says_of_late() {
    let (stand, now) = with_targets().await;
    let token = &stand.tokens.acme;
    let all = stand.get("/api/v1/targets", token).await.data();
    assert_eq!((&all["droppedTargets"], &all["droppedTargetCounts"]), (&json!([]), &json!({})));
    let active = all["activeTargets"].as_array().unwrap();
    assert_eq!(active.len(), 2, "{all}");
    let own = json!({"instance": "i", "job": "a", "project_id": "acme"});
    assert_eq!(active[0]["labels"], own);
    for (target, health, interval) in [(&active[0], "up", "30s"), (&active[1], "down", "")] {
        assert_eq!((&target["health"], &target["scrapeInterval"]), (&json!(health), &json!(interval)), "{target}");
    }
    let scraped: jiff::Timestamp = active[0]["lastScrape"].as_str().unwrap().parse().unwrap();
    assert_eq!(scraped.as_millisecond(), now);
    let count = |data: serde_json::Value| data["activeTargets"].as_array().unwrap().len();
    for (params, n) in [("state=dropped", 0), ("state=ANY", 2), ("scrapePool=b", 1), ("scrapePool=c", 0)] {
        let data = stand.get(&format!("/api/v1/targets?{params}"), token).await.data();
        assert_eq!(count(data), n, "{params}");
    }
    stand.get("/api/v1/targets?state=x", token).await.refused(400, "bad_data", "\"state\"");
    assert_eq!(count(stand.get("/api/v1/targets", &stand.tokens.other).await.data()), 0);
    assert_eq!(stand.get("/api/v1/scrape_pools", token).await.data(), json!({"scrapePools": ["a", "b"]}));
    let described = json!([{"target": own, "metric": "hits_total", "type": "counter", "help": "Hits.", "unit": ""}]);
    assert_eq!(stand.get("/api/v1/targets/metadata", token).await.data(), described);
    let one = stand.get("/api/v1/targets/metadata?metric=hits_total", token).await.data();
    assert_eq!(one, json!([{"target": own, "type": "counter", "help": "Hits.", "unit": ""}]), "named in the question");
    let none = stand.get("/api/v1/targets/metadata?match_target={job=%22b%22}", token).await.data();
    assert_eq!(none, json!([]));
    let config = stand.get("/api/v1/status/config", token).await.data();
    let config: serde_json::Value = serde_yaml_ng::from_str(config["yaml"].as_str().unwrap()).unwrap();
    assert_eq!(config["scrape_configs"][0], json!({"job_name": "a", "scrape_interval": "30s"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn newest_samples_are_federated_as_text() {
    let (stand, now) = with_targets().await;
    let token = &stand.tokens.acme;
    let path = "/federate?match[]=up&match[]={job=%22a%22}";
    let up = |job: &str, v: u8| format!("up{{instance=\"i\",job=\"{job}\",project_id=\"acme\"}} {v}");
    let hits = "hits_total{instance=\"i\",job=\"a\",project_id=\"acme\"} 5";
    let text = stand.get(path, token).await;
    assert_eq!(text.header("content-type"), "text/plain; version=0.0.4; charset=utf-8; escaping=underscores");
    let (a, b) = (up("a", 1), up("b", 0));
    let expect = format!("# TYPE hits_total untyped\n{hits} {now}\n# TYPE up untyped\n{a} {now}\n{b} {now}\n");
    assert_eq!(text.body, expect);
    let request = stand.request("GET", &format!("{}{path}", base("acme")), token);
    let text = Answer::of(request.header("accept", "application/openmetrics-text;version=1.0.0")).await;
    assert!(text.header("content-type").starts_with("application/openmetrics-text; version=1.0.0"));
    let s = now / 1000;
    let expect = format!("# TYPE hits_total unknown\n{hits} {s}\n# TYPE up unknown\n{a} {s}\n{b} {s}\n# EOF\n");
    assert_eq!(text.body, expect);
    assert_eq!(stand.get("/federate", token).await.body, "", "nothing is selected");
    stand.get("/federate?match[]=up(", token).await.refused(400, "bad_data", "match[]");
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_found_by_what_they_resemble() {
    let (stand, _) = with_targets().await;
    let token = &stand.tokens.acme;
    for (ask, results, has_more) in [
        ("metric_names?search[]=hit", json!([{"name": "hits_total"}]), false),
        ("metric_names?search[]=HT&case_sensitive=false", json!([{"name": "hits_total"}]), false),
        ("metric_names?search[]=HT", json!([]), false),
        ("metric_names?sort_by=alpha&sort_dir=dsc&limit=1", json!([{"name": "up"}]), true),
        (
            "metric_names?search[]=up&search[]=hits&sort_by=score&include_score=1&limit=1",
            json!([{"name": "up", "score": 1.0}]),
            true,
        ),
        (
            "metric_names?search[]=hits_totla&fuzz_alg=jarowinkler&fuzz_threshold=90",
            json!([{"name": "hits_total"}]),
            false,
        ),
        (
            "metric_names?search[]=hits&include_metadata=true",
            json!([{"name": "hits_total", "type": "counter", "help": "Hits."}]),
            false,
        ),
        ("label_names?search[]=job", json!([{"name": "job"}]), false),
        ("label_names?match[]=nothing", json!([]), false),
        ("label_values?label=job&match[]=up{job=~\"a|b\"}", json!([{"name": "a"}, {"name": "b"}]), false),
    ] {
        let path = format!("/api/v1/search/{}", ask.replace('"', "%22"));
        for answer in [stand.get(&path, token).await, stand.post(&path, token, "").await] {
            let lines = answer.json_lines();
            assert_eq!(lines[0]["results"], results, "{ask}: {}", answer.body);
            assert_eq!(lines[1], json!({"status": "success", "has_more": has_more}), "{ask}");
        }
    }
    let batches = stand.get("/api/v1/search/label_values?label=job&batch_size=2", token).await.json_lines();
    let sizes: Vec<_> = batches.iter().filter_map(|line| Some(line["results"].as_array()?.len())).collect();
    assert_eq!(sizes, [2, 2], "{batches:?}");
    for (ask, message) in [
        ("label_values", "missing required parameter \"label\""),
        ("metric_names?sort_by=x", "\"sort_by\""),
        ("metric_names?sort_dir=asc", "only valid when sort_by"),
        ("metric_names?sort_by=alpha&sort_dir=x", "\"sort_dir\""),
        ("metric_names?sort_by=score", "requires search[]"),
        ("metric_names?fuzz_threshold=101", "\"fuzz_threshold\""),
        ("metric_names?fuzz_alg=x", "\"fuzz_alg\""),
        ("metric_names?include_score=x", "\"include_score\""),
        ("metric_names?limit=-1", "\"limit\""),
        ("metric_names?start=2&end=1", "must not be before"),
        ("metric_names?match[]={", "match[]"),
        (&format!("metric_names?{}", "search[]=a&".repeat(33)), "33 terms, limit 32"),
    ] {
        stand.get(&format!("/api/v1/search/{ask}"), token).await.refused(400, "bad_data", message);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_sees_what_is_many_of_its_own() {
    let stand = Stand::start().await;
    let t = &stand.tokens;
    let now = server::now_ms();
    let samples = &[(now, 1.0)][..];
    let own = [("a", &[("l", "xyz")][..], samples), ("b", &[("l", "1")], samples), ("b", &[("l", "2")], samples)];
    assert_eq!(stand.write(&t.acme, &own).await.status, 204);
    assert_eq!(stand.write(&t.other, &[("other", &[("m", "1")], &[(now - 5000, 1.0)])]).await.status, 204);
    let tsdb = stand.get("/api/v1/status/tsdb", &t.acme).await.data();
    let head = json!({"numSeries": 3, "numLabelPairs": 6, "chunkCount": 3, "minTime": now, "maxTime": now});
    assert_eq!(tsdb["headStats"], head);
    let list = |pairs: &[(&str, u64)]| -> serde_json::Value {
        pairs.iter().map(|(name, value)| json!({"name": name, "value": value})).collect()
    };
    assert_eq!(tsdb["seriesCountByMetricName"], list(&[("b", 2), ("a", 1)]));
    assert_eq!(tsdb["labelValueCountByLabelName"], list(&[("l", 3), ("__name__", 2), ("project_id", 1)]));
    assert_eq!(tsdb["memoryInBytesByLabelName"], list(&[("project_id", 12), ("l", 5), ("__name__", 3)]));
    let top = stand.get("/api/v1/status/tsdb?limit=1", &t.acme).await.data();
    assert_eq!(top["seriesCountByLabelValuePair"], list(&[("project_id=acme", 3)]));
    let all = stand.get("/api/v1/status/tsdb", &t.operator).await.data();
    assert_eq!((&all["headStats"]["numSeries"], &all["headStats"]["minTime"]), (&json!(4), &json!(now - 5000)));
    for limit in ["0", "10001", "x"] {
        let path = format!("/api/v1/status/tsdb?limit={limit}");
        stand.get(&path, &t.acme).await.refused(400, "bad_data", "\"limit\"");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_see_the_process_and_its_blocks() {
    let stand = Stand::start().await;
    let t = &stand.tokens;
    assert_eq!(stand.write(&t.acme, &[("m", &[], &[(server::now_ms(), 1.0)])]).await.status, 204);
    let runtime = stand.get("/api/v1/status/runtimeinfo", &t.operator).await.data();
    for key in ["startTime", "serverTime", "CWD", "hostname", "lastConfigTime", "storageRetention", "GOGC", "GODEBUG"] {
        assert!(runtime[key].is_string(), "{key}: {runtime}");
    }
    for key in ["corruptionCount", "goroutineCount", "GOMAXPROCS", "GOMEMLIMIT"] {
        assert!(runtime[key].is_u64(), "{key}: {runtime}");
    }
    assert_eq!(runtime["reloadConfigSuccess"], true);
    let flags = stand.get("/api/v1/status/flags", &t.operator).await.data();
    assert_eq!(flags["queries-bytes-max"], "2147483648", "{flags}");
    assert!(flags.as_object().unwrap().values().all(serde_json::Value::is_string), "{flags}");
    assert_eq!(stand.get("/api/v1/status/tsdb/blocks", &t.operator).await.data(), json!({"blocks": []}));
    let flush = stand.request("POST", "/api/v1/admin/tsdb/flush", &t.operator);
    assert_eq!(Answer::of(flush).await.status, 204);
    let blocks = stand.get("/api/v1/status/tsdb/blocks", &t.operator).await.data();
    assert_eq!(blocks["blocks"][0]["stats"]["numSeries"], 1, "{blocks}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_there_is_not_is_said_in_the_right_shape() {
    let stand = Stand::start().await;
    let token = &stand.tokens.acme;
    let none = json!({"activeAlertmanagers": [], "droppedAlertmanagers": []});
    assert_eq!(stand.get("/api/v1/alertmanagers", token).await.data(), none);
    assert_eq!(stand.get("/api/v1/notifications", token).await.data(), json!([]));
    assert_eq!(stand.get("/api/v1/notifications/live", token).await.status, 204);
    let features = stand.get("/api/v1/features", token).await.data();
    let flags = features.as_object().unwrap().values().flat_map(|category| category.as_object().unwrap().values());
    assert!(flags.into_iter().all(|flag| *flag == true), "{features}");
    assert_eq!(features["promql_functions"]["rate"], true);
    let version = stand.get("/version", token).await.json();
    assert_eq!(version["version"], stand.get("/api/v1/status/buildinfo", token).await.data()["version"]);
}
