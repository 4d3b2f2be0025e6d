//! The vendors' paths: bare keys, scopes, limits and unknown endpoints, each refused in the vendor's words.

use control::{Access, Endpoint, NewToken, Scopes};
use model::ProjectId;
use serde_json::json;
use server::Rate;

use crate::answer::Answer;
use crate::stand::{Stand, base};

const METRICS: &str = "/v2/endpoints/ep_1/metrics?view=basic";

fn token(stand: &Stand, project: &str, scopes: &str) -> String {
    let control = server::open_control(stand.data_dir()).unwrap();
    let access = Access::Project(ProjectId::parse(project).unwrap());
    let scopes = scopes.parse::<Scopes>().unwrap();
    let new = NewToken { access, name: String::new(), scopes, expires_ms: None };
    control.create_token(&new, server::now_ms()).unwrap().reveal()
}

fn register(stand: &Stand, project: &str, id: &str) {
    let control = server::open_control(stand.data_dir()).unwrap();
    control.set_endpoint(&Endpoint::new(ProjectId::parse(project).unwrap(), id, project, "chat")).unwrap();
}

/// Asks with the header as given.
async fn with_header(stand: &Stand, path: &str, header: &str) -> Answer {
    Answer::of(stand.request("GET", path, "").header("authorization", header)).await
}

/// Asks until the server has seen a change of the registry.
async fn until(stand: &Stand, path: &str, token: &str, status: u16) -> Answer {
    let begun = std::time::Instant::now();
    loop {
        let answer = stand.get(path, token).await;
        if answer.status == status {
            return answer;
        }
        assert!(begun.elapsed().as_secs() < 10, "{path}: {} {}", answer.status, answer.body);
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_may_stand_alone_on_tensorones_paths_and_nowhere_else() {
    let stand = Stand::start().await;
    let key = &stand.tokens.acme;
    register(&stand, "acme", "ep_1");
    until(&stand, METRICS, key, 200).await;
    for header in [key.clone(), format!("Bearer {key}")] {
        assert_eq!(with_header(&stand, METRICS, &header).await.status, 200, "{header:.10}");
    }
    for path in ["/api/v1/labels", "/v2/endpoint/acme/chat/open-metrics"] {
        assert_eq!(with_header(&stand, path, key).await.status, 401, "{path}");
        assert_eq!(with_header(&stand, path, &format!("Bearer {key}")).await.status, 200, "{path}");
    }
    for header in ["nonsense", "Bearer nonsense", &format!("{key}x")] {
        let answer = with_header(&stand, METRICS, header).await;
        let json = answer.json();
        assert_eq!((answer.status, &json["error"]), (401, &json!("UNAUTHORIZED")), "{}", answer.body);
        assert_eq!(json.as_object().unwrap().keys().collect::<Vec<_>>(), ["details", "error", "message"]);
        assert!(answer.header("www-authenticate").starts_with("Bearer"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_scope_is_named_with_those_that_are_there() {
    let stand = Stand::start().await;
    let keys = token(&stand, "acme", "endpoints:read,endpoints:execute");
    let answer = until(&stand, METRICS, &keys, 403).await;
    assert_eq!(
        answer.json(),
        json!({
            "error": "INSUFFICIENT_PERMISSIONS",
            "message": "Metrics access requires analytics:read permission",
            "details": {
                "requiredPermission": "analytics:read",
                "currentPermissions": ["endpoints:read", "endpoints:execute"]
            }
        })
    );
    let analyst = token(&stand, "acme", "analytics:read");
    register(&stand, "acme", "ep_1");
    until(&stand, METRICS, &analyst, 200).await;
    stand.get("/api/v1/labels", &analyst).await.refused(403, "forbidden", "token lacks scope read");
    assert_eq!(stand.get(METRICS, &stand.tokens.acme_read_only).await.status, 200, "reading series suffices");
    let elsewhere = format!("{}{METRICS}", base("other"));
    let answer = stand.get(&elsewhere, &analyst).await;
    assert_eq!((answer.status, &answer.json()["error"]), (403, &json!("INSUFFICIENT_PERMISSIONS")), "{}", answer.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_projects_endpoint_is_as_unknown_as_none() {
    let stand = Stand::start().await;
    register(&stand, "other", "ep_1");
    let samples = &[(server::now_ms(), 1.0)][..];
    let identity = [("endpoint_id", "ep_2"), ("endpoint", "hidden")];
    stand.write(&stand.tokens.other, &[("inference_requests_total", &identity, samples)]).await;
    until(&stand, METRICS, &stand.tokens.other, 200).await;
    let ask = async |path: &str| stand.get(path, &stand.tokens.acme).await;
    for (foreign, unknown, known) in [
        ("/v2/endpoints/ep_1/metrics", "/v2/endpoints/ep_9/metrics", "ep_1"),
        ("/v2/endpoints/ep_2/metrics", "/v2/endpoints/ep_9/metrics", "ep_2"),
        ("/v2/endpoint/other/chat/open-metrics", "/v2/endpoint/no/body/open-metrics", "chat"),
        ("/v2/endpoint/other/hidden/open-metrics", "/v2/endpoint/no/body/open-metrics", "hidden"),
    ] {
        let (foreign, unknown) = (ask(foreign).await, ask(unknown).await);
        assert_eq!((foreign.status, unknown.status), (404, 404), "{}", foreign.body);
        assert_eq!(foreign.body.replace(known, "ep_9"), unknown.body, "the same words");
    }
    assert_eq!(ask("/v2/endpoints/ep_1/metrics").await.json()["error"], "ENDPOINT_NOT_FOUND");
    let discovered = stand.get("/v2/endpoint/other/hidden/open-metrics", &stand.tokens.other).await;
    assert_eq!(discovered.status, 200, "its own project finds it by its labels: {}", discovered.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_says_whose_endpoint_is_meant() {
    let stand = Stand::start().await;
    register(&stand, "acme", "ep_1");
    register(&stand, "other", "ep_1");
    let operator = &stand.tokens.operator;
    let answer = until(&stand, METRICS, operator, 400).await;
    assert!(answer.body.contains("endpoints of 2 projects are called this"), "{}", answer.body);
    assert_eq!(stand.get(&format!("{}{METRICS}", base("other")), operator).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_too_often_is_told_when_to_come_back() {
    let stand = Stand::start_with(|config| config.rate = Rate::Documented).await;
    register(&stand, "acme", "ep_1");
    until(&stand, METRICS, &stand.tokens.acme_read_only, 200).await;
    let mut refused = None;
    for n in 0..61 {
        let answer = stand.get(&format!("/v2/endpoints/ep_1/metrics?timeframe=1h&n={n}"), &stand.tokens.acme).await;
        if answer.status != 200 {
            refused = Some((n, answer));
            break;
        }
        // Each minute gives one back, and answers that are kept are free.
    }
    if let Some((n, answer)) = &refused {
        assert_eq!((*n, answer.status), (60, 429), "{}", answer.body);
        let json = answer.json();
        let retry_after = json["details"]["retryAfter"].as_u64().unwrap();
        assert!((1..=60).contains(&retry_after), "{retry_after}");
        assert_eq!(answer.header("retry-after"), retry_after.to_string());
        assert_eq!(
            (&json["error"], &json["message"]),
            (&json!("RATE_LIMIT_EXCEEDED"), &json!("Too many metrics requests"))
        );
        assert_eq!((&json["details"]["limit"], &json["details"]["window"]), (&json!(60), &json!("1h")));
    }
    let mut statuses = Vec::new();
    for _ in 0..61 {
        statuses.push(stand.get("/v2/endpoint/acme/chat/open-metrics", &stand.tokens.acme).await.status);
    }
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 60, "each route has its own bucket");
    assert_eq!(statuses.last(), Some(&429));
    assert_eq!(stand.get("/api/v1/labels", &stand.tokens.acme).await.status, 200, "Prometheus' paths are not limited");
    assert_eq!(stand.get("/v2/endpoint/acme/chat/open-metrics", &stand.tokens.operator).await.status, 200);
}
