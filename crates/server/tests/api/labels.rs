//! Label names, label values and series, as dashboards ask for them.

use serde_json::json;

use crate::stand::Stand;

async fn with_series() -> Stand {
    let stand = Stand::start().await;
    let now = server::now_ms();
    let series = [
        ("http_requests_total", &[("job", "api"), ("http.status", "200")][..], &[(now, 1.0)][..]),
        ("http_requests_total", &[("job", "api"), ("http.status", "500")], &[(now, 1.0)]),
        ("up", &[("job", "node")], &[(now - 7_200_000, 1.0)]),
    ];
    assert_eq!(stand.write(&stand.tokens.acme, &series).await.status, 204);
    stand
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_sorted_and_narrowed_by_selectors_and_time() {
    let stand = with_series().await;
    // Narrowing by time may be as coarse as a block, as in Prometheus: only what is surely outside is tested.
    for (path, expect) in [
        ("/api/v1/labels", json!(["__name__", "http.status", "job", "project_id"])),
        ("/api/v1/labels?match[]=up", json!(["__name__", "job", "project_id"])),
        ("/api/v1/labels?match[]={__name__=~\"up\",job=\"a\"}", json!([])),
        ("/api/v1/label/__name__/values", json!(["http_requests_total", "up"])),
        ("/api/v1/label/__name__/values?limit=40000&start=1&end=2", json!([])),
        ("/api/v1/labels?start=1&end=2", json!([])),
        ("/api/v1/label/__name__/values?match[]={__name__=~\".*requests.*\"}", json!(["http_requests_total"])),
        ("/api/v1/label/job/values?match[]=up&match[]=http_requests_total", json!(["api", "node"])),
        ("/api/v1/label/U__http_2e_status/values", json!(["200", "500"])),
        ("/api/v1/label/http.status/values?match[]={\"http.status\"!=\"\"}", json!(["200", "500"])),
        ("/api/v1/label/%68ttp%2Estatus/values", json!(["200", "500"])),
        ("/api/v1/label/a%2Fb/values", json!([])),
        ("/api/v1/label/..%2F..%2Fquery/values", json!([])),
        ("/api/v1/series?match[]=up", json!([{"__name__": "up", "job": "node", "project_id": "acme"}])),
        ("/api/v1/series?match[]=up&start=1&end=2", json!([])),
    ] {
        let path = path.replace('"', "%22");
        assert_eq!(stand.get(&path, &stand.tokens.acme).await.data(), expect, "GET {path}");
        assert_eq!(stand.post(&path, &stand.tokens.acme, "").await.data(), expect, "POST {path}");
    }
}
