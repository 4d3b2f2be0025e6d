//! Who may do what: every route of the table by every kind of token, and projects that never see each other.

use std::time::Instant;

use control::{Access, Action, NewToken, Scopes};
use model::MetricKind;
use server::{Need, routes};

use crate::answer::Answer;
use crate::remote_write::sent::{Version, named};
use crate::stand::{Stand, base, body};

/// Whether the layer in front of the handlers let a request through.
fn is_let_through(answer: &Answer) -> bool {
    !matches!(answer.status, 401 | 403)
}

/// The status that a token must get on a route; `None` if it is let through.
fn refusal(stand: &Stand, token: &str, need: Need, project: Option<&str>) -> Option<u16> {
    let tokens = &stand.tokens;
    let (own, actions): (Option<&str>, &[Action]) = match token {
        _ if need == Need::Nothing => return None,
        t if t == tokens.acme => (Some("acme"), &[Action::Read, Action::Write]),
        t if t == tokens.other => (Some("other"), &[Action::Read, Action::Write]),
        t if t == tokens.acme_write_only => (Some("acme"), &[Action::Write]),
        t if t == tokens.acme_read_only => (Some("acme"), &[Action::Read]),
        t if t == tokens.operator => (None, &[Action::Read, Action::Write, Action::Admin, Action::Delete]),
        t if t == tokens.acme_delete_only => (Some("acme"), &[Action::Delete]),
        t if t == tokens.operator_read_only => (None, &[Action::Read]),
        _ => return Some(401),
    };
    let (action, operator_only) = match need {
        Need::Nothing => return None,
        Need::Token(action) => (action, false),
        Need::Operator(action) => (action, true),
    };
    let is_elsewhere = own.is_some() && project.is_some() && own != project;
    // Who reads series may see what is computed from them.
    let action = if action == Action::AnalyticsRead { Action::Read } else { action };
    let is_allowed = actions.contains(&action) && !is_elsewhere && !(operator_only && own.is_some());
    (!is_allowed).then_some(403)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_by_every_token() {
    let stand = Stand::start().await;
    let t = &stand.tokens;
    let garbage = format!("{}x", &t.acme[..t.acme.len() - 1]);
    let tokens =
        ["", "nonsense", &garbage, &t.expired, &t.acme, &t.other, &t.operator, &t.acme_write_only, &t.acme_read_only]
            .into_iter()
            .chain([t.operator_read_only.as_str(), &t.acme_delete_only]);
    let tokens: Vec<&str> = tokens.collect();
    let mut unauthorized = std::collections::BTreeSet::new();
    let mut checked = 0;
    for route in routes() {
        let path = route.path.replace("{name}", "job").replace("{id}", "1");
        let below = format!("{}{path}", base("acme"));
        let paths = [(path.as_str(), None), (below.trim_end_matches('/'), Some("acme"))];
        for ((path, project), method) in paths.into_iter().flat_map(|p| route.methods.iter().map(move |m| (p, m))) {
            // Below a project its root is the bare query path, which reads.
            let need = if route.path == "/" && project.is_some() { Need::Token(Action::Read) } else { route.need };
            for token in &tokens {
                let answer = Answer::of(stand.request(method, path, token)).await;
                let expect = refusal(&stand, token, need, project);
                let got = (!is_let_through(&answer)).then_some(answer.status);
                assert_eq!(got, expect, "{method} {path} with {token:.14}: {}", answer.body);
                assert!(answer.status < 500, "{method} {path}: {} {}", answer.status, answer.body);
                if expect == Some(401) {
                    assert!(answer.header("www-authenticate").starts_with("Bearer"), "{path}");
                    unauthorized.insert((format!("{:?}", route.dialect), answer.body));
                }
                checked += 1;
            }
        }
    }
    assert!(checked > 400, "{checked} cases");
    let dialects: std::collections::BTreeSet<_> = unauthorized.iter().map(|(dialect, _)| dialect).collect();
    assert_eq!(unauthorized.len(), dialects.len(), "one text for none, invalid and expired: {unauthorized:?}");
}

/// How a reading route is asked for everything it could show. A route that is not here has no rule, and fails the test.
fn asks(path: &str) -> &'static [&'static str] {
    const ALL: &str = "match[]={__name__=~\".%2B\"}&match[]={project_id=\"other\"}";
    match path {
        "/api/v1/query" => &[
            "query=up",
            "query=up{project_id=\"other\"}",
            "query={project_id=~\".*\",__name__=~\".%2B\"}",
            "query=up%20or%20up{project_id!=\"acme\"}",
            "query=count_values(\"v\",up)%20or%20sum by(job)(up)",
            "query=info(up,{__name__=~\".%2B\"})",
        ],
        "/api/v1/query_range" | "/api/v1/query-range" => &[
            "query={project_id=~\".*\",__name__=~\".%2B\"}&start=START&end=END&step=1",
            "query=absent(up{project_id!=\"acme\"})&start=START&end=END&step=1",
        ],
        "/api/v1/query_exemplars" => &["query=up", "query={job=~\".*\",__name__=~\".%2B\"}"],
        "/api/v1/format_query" | "/api/v1/parse_query" => &["query=up"],
        "/api/v1/labels" | "/api/v1/label/{name}/values" => &["", "match[]=up{project_id=\"other\"}", ALL],
        "/api/v1/series" | "/federate" => &[ALL, "match[]={job!=\"\"}", "match[]={project_id=\"other\"}"],
        "/api/v1/search/metric_names" => &["include_metadata=1", ALL],
        "/api/v1/search/label_names" => &["", ALL],
        "/api/v1/search/label_values" => &["label=job", "label=project_id", "label=job&match[]={project_id=\"other\"}"],
        "/api/v1/metadata" => &["", "metric=other_metric"],
        "/api/v1/targets/metadata" => &["", "match_target={project_id=\"other\"}"],
        "/api/v1/targets" => &["", "state=any", "scrapePool=other_secret"],
        "/api/v1/status/tsdb" => &["limit=10000"],
        "/v2/monitoring/performance" | "/v2/monitoring/performance/optimization" => &["timeRange=1h"],
        "/version"
        | "/api/v1/scrape_pools"
        | "/api/v1/rules"
        | "/api/v1/alerts"
        | "/api/v1/alertmanagers"
        | "/api/v1/notifications"
        | "/api/v1/notifications/live"
        | "/api/v1/features"
        | "/api/v1/status/buildinfo"
        | "/api/v1/status/config"
        | "/api/v1/user_limits"
        | "/api/v1/status/queries" => &[""],
        other => panic!("{other} reads: say here how it is asked, or that it needs an operator"),
    }
}

/// Generated from the table of routes: a new one that reads is in it.
#[tokio::test(flavor = "multi_thread")]
async fn projects_never_see_each_other() {
    let stand = Stand::start().await;
    let t = &stand.tokens;
    let now = server::now_ms();
    let samples = &[(now, 1.0)][..];
    for (token, secret) in [(&t.acme, "acme_secret"), (&t.other, "other_secret")] {
        let answer = stand.write(token, &[("up", &[("job", secret), (secret, "x")], samples)]).await;
        assert_eq!(answer.status, 204, "{}", answer.body);
        let exemplar = named("up").label("job", secret).exemplar(&[("trace_id", secret)], now, 1.0);
        let exemplar = Version::V1.body(&[exemplar.metadata(MetricKind::Gauge, secret, "")]);
        assert_eq!(stand.write_body("/api/v1/write", token, exemplar).await.status, 204);
    }
    let mut shown = 0;
    // Routes about one endpoint are asked in `access`.
    let reads = |route: &server::Route| {
        let is_about_all = route.need == Need::Token(Action::AnalyticsRead) && !route.path.contains('{');
        (route.need == Need::Token(Action::Read) || is_about_all) && route.methods.contains(&"GET")
    };
    for route in routes().filter(reads) {
        for ask in asks(route.path) {
            let ask =
                ask.replace("START", &(now / 1000 - 60).to_string()).replace("END", &(now / 1000 + 1).to_string());
            for name in ["job", "project_id", "__name__"] {
                let path = format!("{}?{ask}", route.path.replace("{name}", name));
                for prefix in ["", &base("acme")] {
                    let answer = stand.get(&format!("{prefix}{path}"), &t.acme).await;
                    assert!((200..300).contains(&answer.status), "{path}: {}", answer.body);
                    assert!(!answer.body.contains("other"), "{path}: {}", answer.body);
                    shown += usize::from(answer.body.contains("acme_secret"));
                }
                let narrowed = stand.get(&format!("{}{path}", base("acme")), &t.operator).await;
                assert!(!narrowed.body.contains("other"), "an operator on a project's path: {path}: {}", narrowed.body);
                if !route.path.contains("{name}") {
                    break;
                }
            }
        }
    }
    assert!(shown > 40, "{shown} answers show the project's own: too few to say anything of the others");
    let own = stand.get("/api/v1/query_exemplars?query=up", &t.acme).await;
    assert!(own.body.contains("acme_secret"), "{}", own.body);
    let all = stand.get("/api/v1/label/project_id/values", &t.operator).await;
    assert_eq!(all.data(), serde_json::json!(["acme", "other"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_are_stamped_with_their_owner() {
    let stand = Stand::start().await;
    let t = &stand.tokens;
    let samples = &[(server::now_ms(), 1.0)][..];
    let evil = [("m", &[("project_id", "other")][..], samples)];
    assert_eq!(stand.write(&t.acme, &evil).await.status, 204);
    let (path, body) = (format!("{}/api/v1/write", base("acme")), body(&[("n", &[("project_id", "other")], samples)]));
    assert_eq!(stand.write_body(&path, &t.operator, body).await.status, 204);
    let own = [("o", &[("project_id", "other")][..], samples), ("p", &[], samples)];
    assert_eq!(stand.write(&t.operator, &own).await.status, 204);
    let series = stand.get("/api/v1/series?match[]={__name__!=\"\"}", &t.operator).await.data();
    let expect = serde_json::json!([
        {"__name__": "m", "exported_project_id": "other", "project_id": "acme"},
        {"__name__": "n", "exported_project_id": "other", "project_id": "acme"},
        {"__name__": "o", "project_id": "other"},
        {"__name__": "p", "project_id": "default"},
    ]);
    assert_eq!(series, expect);
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_change_while_the_server_runs() {
    let stand = Stand::start().await;
    let control = server::open_control(stand.data_dir()).unwrap();
    let key_id = stand.tokens.acme.split('_').nth(1).unwrap().to_owned();
    assert_eq!(stand.get("/api/v1/labels", &stand.tokens.acme).await.status, 200);
    control.revoke_token(&key_id, server::now_ms()).unwrap();
    let revoked = Instant::now();
    while stand.get("/api/v1/labels", &stand.tokens.acme).await.status == 200 {
        assert!(revoked.elapsed().as_secs_f64() < 1.0, "a revoked token still works after a second");
        tokio::task::yield_now().await;
    }
    stand.get("/api/v1/labels", &stand.tokens.acme).await.refused(401, "unauthorized", "valid monitoring token");
}

/// A script that creates a token and uses it in its next line was refused until the registry's next look.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_token_works_at_once() {
    let stand = Stand::start().await;
    stand.get("/api/v1/labels", &stand.tokens.acme).await;
    let control = server::open_control(stand.data_dir()).unwrap();
    let new = NewToken { access: Access::Operator, name: String::new(), scopes: Scopes::WRITE_READ, expires_ms: None };
    let token = control.create_token(&new, server::now_ms()).unwrap().reveal();
    assert_eq!(stand.get("/api/v1/labels", &token).await.status, 200);
}

/// A fleet whose agents all start with a token that was just made: those that came between two looks at the registry
/// were refused.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_token_works_at_once_for_everybody() {
    let stand = Stand::start().await;
    let control = server::open_control(stand.data_dir()).unwrap();
    let new = NewToken { access: Access::Operator, name: String::new(), scopes: Scopes::WRITE_READ, expires_ms: None };
    let create = || control.create_token(&new, server::now_ms()).unwrap().reveal();
    let elsewhere = tempfile::tempdir().unwrap();
    let stranger = server::open_control(elsewhere.path()).unwrap().create_token(&new, 0).unwrap().reveal();
    for round in 0..5 {
        // Somebody else has just made the server look.
        stand.get("/api/v1/labels", &stranger).await.refused(401, "unauthorized", "valid monitoring token");
        let token = create();
        let ask = || Box::pin(stand.get("/api/v1/labels", &token));
        let answers = tokio::join!(ask(), ask(), ask(), ask(), ask(), ask(), ask(), ask());
        let statuses: [u16; 8] = <[_; 8]>::from(answers).map(|answer: Answer| answer.status);
        assert_eq!(statuses, [200; 8], "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_also_basic_passwords() {
    let stand = Stand::start().await;
    let request = stand.request("GET", "/api/v1/labels", "").basic_auth("anything", Some(&stand.tokens.acme));
    assert_eq!(Answer::of(request).await.status, 200);
    let url = stand.get(&format!("/api/v1/labels?token={}", stand.tokens.acme), "").await;
    assert_eq!(url.status, 401, "never from a URL, which gets logged");
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_projects_are_told_apart_for_operators_alone() {
    let stand = Stand::start().await;
    let path = format!("{}/api/v1/labels", base("Not%20an%20id"));
    stand.get(&path, &stand.tokens.operator).await.refused(404, "not_found", "project id");
    stand.get(&path, &stand.tokens.acme).await.refused(403, "forbidden", "does not give access");
    let path = format!("{}/api/v1/labels", base("nobody"));
    stand.get(&path, &stand.tokens.acme).await.refused(403, "forbidden", "does not give access");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_tokens_everyone_is_an_operator() {
    let stand = Stand::start_with(|config| config.insecure_no_auth = true).await;
    assert_eq!(stand.write("", &[("up", &[], &[(server::now_ms(), 1.0)])]).await.status, 204);
    for path in ["/api/v1/query?query=up", &format!("{}/api/v1/query?query=up", base("default")), "/metrics"] {
        assert_eq!(stand.get(path, "").await.status, 200, "{path}");
    }
    let request = stand.request("GET", "/api/v1/labels", "").header("origin", "http://elsewhere");
    let answer = Answer::of(request).await;
    assert_eq!(answer.header("access-control-allow-origin"), "", "other pages may not read what needs no token");
}
