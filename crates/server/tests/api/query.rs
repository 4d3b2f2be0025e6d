//! Queries: parameters as clients really send them, answers as they really read them.

use serde_json::json;

use crate::answer::Answer;
use crate::stand::{Stand, base};

/// A stand with `up` of two jobs, each 30 s for ten minutes up to a round minute, and that minute in seconds.
async fn with_up() -> (Stand, i64) {
    let stand = Stand::start().await;
    let end = server::now_ms() / 60_000 * 60_000;
    let samples = |v: f64| (0..=20).map(|i| (end - i * 30_000, v)).rev().collect::<Vec<_>>();
    let series = [("up", &[("job", "a")][..], &samples(1.0)[..]), ("up", &[("job", "b")], &samples(0.5))];
    assert_eq!(stand.write(&stand.tokens.acme, &series).await.status, 204);
    (stand, end / 1000)
}

#[tokio::test(flavor = "multi_thread")]
async fn instant_queries_answer_every_type() {
    let (stand, end) = with_up().await;
    for (query, lines) in [
        ("up", vec![format!("up{{job=\"a\"}} 1@{end}"), format!("up{{job=\"b\"}} 0.5@{end}")]),
        ("sum(up)", vec![format!("{{}} 1.5@{end}")]),
        ("1%2B1", vec![format!("2@{end}")]),
        ("%22text%22", vec![format!("text@{end}")]),
        ("up{job='a'}[60s]", vec![format!("up{{job=\"a\"}} 1@{} 1@{end}", end - 30)]),
        ("nothing", vec![]),
        ("sum(%0D%0Aup)%0D%0A", vec![format!("{{}} 1.5@{end}")]),
    ] {
        let answer = stand.get(&format!("/api/v1/query?query={query}&time={end}"), &stand.tokens.acme).await;
        assert_eq!(answer.lines(), lines, "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn range_queries_answer_each_step() {
    let (stand, end) = with_up().await;
    let start = end - 120;
    let expect = vec![format!("{{}} 1.5@{start} 1.5@{} 1.5@{end}", start + 60)];
    for path in ["/api/v1/query_range", "/api/v1/query-range", &base("acme")] {
        let url = format!("{path}?query=sum(up)&start={start}&end={end}&step=1m0s");
        assert_eq!(stand.get(&url, &stand.tokens.acme).await.lines(), expect, "{path}");
        let form = format!("query=sum(up)&start={start}.000&end={end}&step=60.000");
        assert_eq!(stand.post(path, &stand.tokens.acme, &form).await.lines(), expect, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bare_project_path_is_instant_or_range_or_a_page() {
    let (stand, end) = with_up().await;
    let (base, token) = (base("acme"), &stand.tokens.acme);
    let instant = stand.get(&format!("{base}?query=up&time={end}"), token).await;
    assert_eq!(instant.data()["resultType"], "vector");
    let range = stand.get(&format!("{base}?query=up&start={}&end={end}&step=30", end - 60), token).await;
    assert_eq!(range.data()["resultType"], "matrix");
    stand.get(&format!("{base}?query=up&start={end}"), token).await.refused(400, "bad_data", "\"end\"");
    for path in [base.clone(), format!("{base}/")] {
        let page = stand.get(&path, token).await;
        assert_eq!(page.status, 200, "{path}");
        assert!(page.header("content-type").starts_with("text/html"), "{path}");
    }
    stand.post(&base, token, "").await.refused(400, "bad_data", "parse error");
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_come_from_url_and_body_whatever_the_type() {
    let (stand, end) = with_up().await;
    let token = &stand.tokens.acme;
    let url = format!("/api/v1/query?query=up&time={end}");
    // An empty POST without a type, all parameters in the URL.
    assert_eq!(Answer::of(stand.request("POST", &url, token)).await.lines().len(), 2);
    for content_type in ["", "text/plain", "application/json", "application/x-www-form-urlencoded; charset=UTF-8"] {
        let mut request = stand.request("POST", &url, token).body("query=sum(up)&timeout=&unknown=1");
        if !content_type.is_empty() {
            request = request.header("content-type", content_type);
        }
        assert_eq!(Answer::of(request).await.lines(), [format!("{{}} 1.5@{end}")], "the body wins: {content_type}");
    }
    let both = stand.post("/api/v1/series?match[]=up{job=%22a%22}", token, "match[]=up{job=\"b\"}").await;
    assert_eq!(both.data().as_array().unwrap().len(), 2, "lists unite");
}

#[tokio::test(flavor = "multi_thread")]
async fn slashes_and_methods_are_forgiven() {
    let (stand, end) = with_up().await;
    let (token, base) = (&stand.tokens.acme, base("acme"));
    for path in ["//api/v1/query", "/api/v1/query/", "/api//v1///query//", &format!("{base}//api/v1/query")] {
        for method in ["GET", "POST", "HEAD"] {
            let url = format!("{path}?query=up&time={end}");
            let answer = Answer::of(stand.request(method, &url, token)).await;
            assert_eq!(answer.status, 200, "{method} {path}: {}", answer.body);
        }
    }
    let wrong = Answer::of(stand.request("DELETE", "/api/v1/series", token)).await;
    assert_eq!(wrong.status, 405);
    assert_eq!(wrong.header("allow"), "GET,HEAD,POST");
    let get = stand.get("/api/v1/write", token).await;
    assert_eq!((get.status, get.header("allow")), (405, "POST"));
    for path in ["/nothing", "/api/v1/nothing", "/api/v2/query", &format!("{base}/nothing")] {
        let answer = stand.get(path, token).await;
        assert_eq!((answer.status, answer.body.as_str()), (404, "404 page not found\n"), "{path}");
        assert!(answer.header("content-type").starts_with("text/plain"), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_parameters_are_refused_by_name() {
    let stand = Stand::start().await;
    let range = "/api/v1/query_range?query=up&";
    for (path, message) in [
        ("/api/v1/query", "invalid parameter \"query\": 1:1: parse error"),
        ("/api/v1/query?query=", "invalid parameter \"query\""),
        ("/api/v1/query?query=up{", "parse error"),
        ("/api/v1/query?query=up&time=x", "invalid parameter \"time\": cannot parse \"x\" to a valid timestamp"),
        ("/api/v1/query?query=up&time=NaN", "\"time\""),
        ("/api/v1/query?query=up&time=1e300", "\"time\""),
        ("/api/v1/query?query=up&timeout=x", "\"timeout\""),
        ("/api/v1/query?query=up&timeout=-1", "\"timeout\""),
        ("/api/v1/query?query=up&limit=-1", "\"limit\""),
        ("/api/v1/query?query=up&limit=x", "\"limit\""),
        ("/api/v1/query?query=up&lookback_delta=0", "\"lookback_delta\""),
        ("/api/v1/query?query=%ff", "UTF-8"),
        (&format!("{range}end=1&step=1"), "\"start\""),
        (&format!("{range}start=1&step=1"), "\"end\""),
        (&format!("{range}start=1&end=2"), "\"step\""),
        (&format!("{range}start=2&end=1&step=1"), "must not be before"),
        (&format!("{range}start=1&end=2&step=0"), "\"step\""),
        (&format!("{range}start=1&end=2&step=-1"), "\"step\""),
        (&format!("{range}start=1&end=2&step=0.0001"), "\"step\""),
        (&format!("{range}start=1&end=2&step=999999999999y"), "\"step\""),
        (&format!("{range}start=0&end=11001&step=1"), "11,000 points"),
        ("/api/v1/query_range?query=up[5m]&start=1&end=2&step=1", "query"),
        ("/api/v1/labels?match[]=", "match[]"),
        ("/api/v1/labels?match[]={job=\"\"}", "at least one non-empty matcher"),
        ("/api/v1/labels?start=2&end=1", "must not be before"),
        ("/api/v1/series", "no match[] parameter provided"),
        ("/api/v1/series?match[]={a=~\".*\"}", "at least one non-empty matcher"),
        ("/api/v1/series?match[]=up&limit=1.5", "\"limit\""),
        ("/api/v1/label/U____/values?match[]=up(", "match[]"),
        ("/api/v1/label/U__/values", "invalid label name"),
        ("/api/v1/label/%ff/values", "UTF-8"),
        ("/api/v1/query_exemplars?query=up(", "query"),
    ] {
        let answer = stand.get(path, &stand.tokens.acme).await;
        answer.refused(400, "bad_data", message);
    }
    let most = stand.get(&format!("{range}start=0&end=11000&step=1"), &stand.tokens.acme).await;
    assert_eq!(most.status, 200, "11,001 points pass: {}", most.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn impossible_queries_are_unprocessable() {
    let (stand, end) = with_up().await;
    let url = format!("/api/v1/query?time={end}&query=up%20*%20on()%20up");
    stand.get(&url, &stand.tokens.acme).await.refused(422, "execution", "many");
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_of_a_query_end_it() {
    let stand = Stand::start_with(|config| config.limits.query_samples_max = 1000).await;
    let now = server::now_ms();
    let samples: Vec<_> = (0..2000).map(|i| (now - 2_000_000 + i * 1000, 1.0)).collect();
    assert_eq!(stand.write(&stand.tokens.acme, &[("m", &[], &samples)]).await.status, 204);
    let answer = stand.get("/api/v1/query?query=count_over_time(m[1h])", &stand.tokens.acme).await;
    answer.refused(422, "execution", "too many samples");
    let heavy = "/api/v1/query?timeout=1ms&query=sum(sum_over_time(vector(1)[10000h:1s]))";
    let answer = stand.get(heavy, &stand.tokens.acme).await;
    assert!([422, 503].contains(&answer.status), "{}", answer.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn results_are_cut_with_a_warning() {
    let (stand, end) = with_up().await;
    let token = &stand.tokens.acme;
    let range = format!("/api/v1/query_range?query=up&start={}&end={end}&step=30&limit=1", end - 60);
    let instant = format!("/api/v1/query?query=up&time={end}&limit=1");
    for url in [
        &range,
        &instant,
        "/api/v1/labels?limit=1",
        "/api/v1/label/job/values?limit=1",
        "/api/v1/series?match[]=up&limit=1",
    ] {
        let answer = stand.get(url, token).await;
        assert_eq!(answer.json()["warnings"], json!(["results truncated due to limit"]), "{url}: {}", answer.body);
        let uncut = stand.get(&url.replace("limit=1", "limit=0"), token).await;
        assert!(uncut.json().get("warnings").is_none(), "{url}: {}", uncut.body);
    }
    let scalar = stand.get(&format!("/api/v1/query?query=1&time={end}&limit=1"), token).await;
    assert!(scalar.json().get("warnings").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn lookback_and_time_formats() {
    let (stand, end) = with_up().await;
    let token = &stand.tokens.acme;
    let rfc_3339 = jiff::Timestamp::from_second(end).unwrap().to_string();
    for (params, n) in [
        (format!("time={end}.0005"), 2),
        (format!("time={rfc_3339}"), 2),
        (format!("time={}", end + 60), 2),
        (format!("time={}&lookback_delta=30s", end + 60), 0),
        (format!("time={}&lookback_delta=600", end + 360), 2),
        ("time=4".to_owned(), 0),
        (format!("time={}", end * 1000), 0),
        ("time=-292273086-05-16T16:47:06Z".to_owned(), 0),
        ("time=292277025-08-18T07:12:54.999999999Z".to_owned(), 0),
    ] {
        let answer = stand.get(&format!("/api/v1/query?query=up&{params}"), token).await;
        assert_eq!(answer.lines().len(), n, "{params}: {}", answer.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stats_are_shown_on_request() {
    let (stand, end) = with_up().await;
    let url = format!("/api/v1/query?query=sum_over_time(up[5m])&time={end}");
    let plain = stand.get(&url, &stand.tokens.acme).await;
    assert!(plain.data().get("stats").is_none());
    let stats = stand.get(&format!("{url}&stats=true"), &stand.tokens.acme).await.data()["stats"].clone();
    assert_eq!(stats["samples"]["totalQueryableSamples"], 20, "{stats}");
    assert!(stats["samples"].get("samplesReadPerStep").is_none(), "{stats}");
    assert!(stats["timings"]["execTotalTime"].is_number(), "{stats}");
    // Five minutes of samples every 30 s at each step: a step of a minute reads what two samples of each series add.
    let range = format!("query=sum_over_time(up[5m])&start={}&end={end}&step=60&stats=all", end - 60);
    let stats = stand.get(&format!("/api/v1/query_range?{range}"), &stand.tokens.acme).await.data()["stats"].clone();
    let samples = &stats["samples"];
    let per_step = |n: [u64; 2]| serde_json::json!([[end - 60, n[0]], [end, n[1]]]);
    assert_eq!(samples["totalQueryableSamplesPerStep"], per_step([20, 20]), "{stats}");
    assert_eq!(samples["samplesReadPerStep"], per_step([20, 4]), "{stats}");
    assert_eq!((&samples["totalQueryableSamples"], &samples["samplesRead"]), (&40.into(), &24.into()), "{stats}");
}

#[tokio::test(flavor = "multi_thread")]
async fn gzip_when_listed_and_nothing_else() {
    let stand = Stand::start().await;
    let now = server::now_ms();
    let label_values: Vec<String> = (0..100).map(|i| format!("value-{i}")).collect();
    let labels: Vec<_> = label_values.iter().map(|value| [("l", value.as_str())]).collect();
    let samples = [(now, 1.0)];
    let series: Vec<_> = labels.iter().map(|labels| ("m", &labels[..], &samples[..])).collect();
    assert_eq!(stand.write(&stand.tokens.acme, &series).await.status, 204);
    let mut bodies = Vec::new();
    for (accepted, encoding) in
        [("gzip", "gzip"), ("gzip, deflate, br, zstd", "gzip"), ("deflate", ""), ("br, zstd", ""), ("", "")]
    {
        let request = stand.request("GET", "/api/v1/label/l/values", &stand.tokens.acme);
        let answer = Answer::of(request.header("accept-encoding", accepted)).await;
        assert_eq!(answer.header("content-encoding"), encoding, "{accepted}");
        let vary: Vec<_> = answer.headers.get_all("vary").iter().map(|v| v.to_str().unwrap().to_lowercase()).collect();
        assert!(vary.iter().any(|v| v.contains("accept-encoding")), "{vary:?}");
        bodies.push(answer.body);
    }
    assert!(bodies.windows(2).all(|pair| pair[0] == pair[1]));
}

#[tokio::test(flavor = "multi_thread")]
async fn other_origins_may_ask_with_a_token() {
    let stand = Stand::start().await;
    let request = stand.request("OPTIONS", "/api/v1/query", "").header("origin", "http://grafana.example");
    let preflight = Answer::of(request).await;
    assert_eq!(preflight.status, 204, "a preflight carries no token");
    let request = stand.request("GET", "/api/v1/labels", &stand.tokens.acme).header("origin", "http://x.example");
    for answer in [preflight, Answer::of(request).await] {
        assert_eq!(answer.header("access-control-allow-origin"), "*");
        assert_eq!(answer.header("access-control-allow-methods"), "GET, POST, OPTIONS");
        assert_eq!(answer.header("access-control-allow-headers"), "Accept, Authorization, Content-Type, Origin");
        assert_eq!(answer.header("access-control-expose-headers"), "Date");
    }
    let same = stand.get("/api/v1/labels", &stand.tokens.acme).await;
    assert_eq!(same.header("access-control-allow-origin"), "");
    assert!(same.headers.get_all("vary").iter().any(|v| v == "Origin"));
}
