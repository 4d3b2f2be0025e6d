//! Administration: deleting within one's own scope, snapshots, and what was found damaged.

use crate::answer::Answer;
use crate::stand::{Stand, base};

const DELETE: &str = "/api/v1/admin/tsdb/delete_series";

/// The names of the series that a token sees.
async fn names(stand: &Stand, token: &str) -> serde_json::Value {
    stand.get("/api/v1/label/__name__/values", token).await.data()
}

#[tokio::test(flavor = "multi_thread")]
async fn deleted_series_are_gone_from_every_answer_and_stay_gone() {
    let stand = Stand::start().await;
    let (t, now) = (&stand.tokens, server::now_ms());
    let samples = &[(now - 7_200_000, 1.0), (now, 2.0)][..];
    for token in [&t.acme, &t.other] {
        let written = [("kept", &[("job", "a")][..], samples), ("gone", &[("job", "b")], samples)];
        assert_eq!(stand.write(token, &written).await.status, 204);
    }
    let form = "match[]=gone&match[]={job=\"b\",project_id=\"other\"}";
    assert_eq!(stand.post(DELETE, &t.acme_delete_only, form).await.status, 204);
    for _ in 0..2 {
        for path in [
            "query?query=gone",
            "query?query=gone[1d]",
            "series?match[]=gone",
            "label/job/values?match[]=gone",
            "labels?match[]=gone",
        ] {
            let data = stand.get(&format!("/api/v1/{path}"), &t.acme).await.data();
            let found = data.get("result").unwrap_or(&data);
            assert_eq!(found, &serde_json::json!([]), "{path}");
        }
        assert_eq!(names(&stand, &t.acme).await, serde_json::json!(["kept"]));
        assert_eq!(names(&stand, &t.other).await, serde_json::json!(["gone", "kept"]), "another project's stay");
        let flush = stand.request("POST", "/api/v1/admin/tsdb/flush", &t.operator);
        assert_eq!(Answer::of(flush).await.status, 204);
    }
    let again = [("gone", &[("job", "b")][..], samples)];
    assert_eq!(stand.write(&t.acme, &again).await.status, 204);
    assert_eq!(names(&stand, &t.acme).await, serde_json::json!(["gone", "kept"]), "what comes later is new");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_is_deleted_and_the_rest_stays() {
    let stand = Stand::start().await;
    let (t, now) = (&stand.tokens, server::now_ms() / 1000 * 1000);
    let samples: Vec<_> = (0..10).map(|i| (now - 10_000 + 1000 * i, 1.0)).collect();
    assert_eq!(stand.write(&t.acme, &[("m", &[], &samples)]).await.status, 204);
    let (start, end) = (now / 1000 - 8, now / 1000 - 5);
    let path = format!("{}{DELETE}?match[]=m&start={start}&end={end}", base("acme"));
    assert_eq!(Answer::of(stand.request("PUT", &path, &t.operator)).await.status, 204);
    let lines = stand.get("/api/v1/query?query=count_over_time(m[1m])", &t.acme).await.lines();
    assert!(lines[0].starts_with("{} 6@"), "both ends are inside: {lines:?}");
}

/// The bytes of what was deleted leave the disk, not only the answers.
#[tokio::test(flavor = "multi_thread")]
async fn clean_tombstones_rewrites_what_was_deleted_from() {
    let stand = Stand::start().await;
    let (t, now) = (&stand.tokens, server::now_ms());
    let samples = &[(now, 1.0)][..];
    let written = [("kept", &[][..], samples), ("gone", &[("secret", "hunter2hunter2")], samples)];
    assert_eq!(stand.write(&t.acme, &written).await.status, 204);
    let admin = async |name: &str, form| stand.post(&format!("/api/v1/admin/tsdb/{name}"), &t.operator, form).await;
    let indexes_with_secret = || {
        let blocks = std::fs::read_dir(stand.data_dir()).unwrap().flatten();
        let indexes = blocks.filter_map(|block| std::fs::read(block.path().join("index")).ok());
        indexes.filter(|index| index.windows(14).any(|bytes| bytes == b"hunter2hunter2")).count()
    };
    assert_eq!(admin("flush", "").await.status, 204);
    assert_eq!(indexes_with_secret(), 1);
    assert_eq!(admin("delete_series", "match[]=gone").await.status, 204);
    assert_eq!(admin("clean_tombstones", "").await.status, 204);
    assert_eq!(indexes_with_secret(), 0);
    assert_eq!(names(&stand, &t.acme).await, serde_json::json!(["kept"]));
    let metrics = stand.get("/metrics", &t.operator).await.body;
    for line in ["promenade_deleted_series_total 1", "promenade_compactions_total 1"] {
        assert!(metrics.contains(&format!("\n{line}\n")), "{line}: {metrics}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_needs_a_selector_and_is_never_a_get() {
    let stand = Stand::start().await;
    let t = &stand.tokens;
    for (form, message) in [
        ("", "no match[] parameter"),
        ("match[]=", "match[]"),
        ("match[]={job=~\".*\"}", "at least one non-empty matcher"),
        ("match[]=m&start=2&end=1", "end timestamp must not be before start"),
        ("match[]=m&start=soon", "cannot parse"),
    ] {
        stand.post(DELETE, &t.operator, form).await.refused(400, "bad_data", message);
    }
    for path in [DELETE, "/api/v1/admin/tsdb/snapshot", "/api/v1/admin/tsdb/flush"] {
        let answer = stand.get(&format!("{path}?match[]=m"), &t.operator).await;
        assert_eq!((answer.status, answer.header("allow")), (405, "PUT,POST"), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_is_a_store_of_its_own() {
    let stand = Stand::start().await;
    let (t, now) = (&stand.tokens, server::now_ms());
    assert_eq!(stand.write(&t.acme, &[("m", &[], &[(now, 42.0)])]).await.status, 204);
    let take = async |form| stand.post("/api/v1/admin/tsdb/snapshot", &t.operator, form).await;
    let blocks = |name: &serde_json::Value| {
        let dir = stand.data_dir().join("snapshots").join(name.as_str().unwrap());
        let entries = std::fs::read_dir(dir).unwrap().flatten();
        entries.filter(|entry| entry.path().join("meta.json").exists()).count()
    };
    let without_head = take("skip_head=true").await.data();
    assert_eq!(blocks(&without_head["name"]), 0);
    let whole = take("").await.data();
    assert_eq!(blocks(&whole["name"]), 1);
    assert_ne!(without_head["name"], whole["name"]);
    take("skip_head=perhaps").await.refused(400, "bad_data", "skip_head");
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_is_told_with_its_place() {
    let mut stand = Stand::start().await;
    let (operator, now) = (stand.tokens.operator.clone(), server::now_ms());
    assert_eq!(stand.write(&stand.tokens.acme, &[("m", &[], &[(now, 1.0)])]).await.status, 204);
    let flush = stand.request("POST", "/api/v1/admin/tsdb/flush", &operator);
    assert_eq!(Answer::of(flush).await.status, 204);
    let whole = stand.get("/api/v1/status/integrity", &operator).await.data();
    assert_eq!(whole, serde_json::json!({"findings": []}));
    stand.stop().await;
    let entries = std::fs::read_dir(stand.data_dir()).unwrap().flatten();
    let block = entries.map(|entry| entry.path()).find(|path| path.join("meta.json").exists()).unwrap();
    // What the index says stands nowhere else; a damaged meta.json would cost nothing.
    std::fs::write(block.join("index"), "no index").unwrap();
    stand.restart().await;
    let damaged = stand.get("/api/v1/status/integrity", &operator).await.data();
    let finding = &damaged["findings"][0];
    let name = block.file_name().unwrap().to_str().unwrap();
    assert!(finding["file"].as_str().unwrap().contains(name), "{damaged}");
    assert!(
        !finding["what"].as_str().unwrap().is_empty() && !finding["lost"].as_str().unwrap().is_empty(),
        "{damaged}"
    );
    let metrics = stand.get("/metrics", &operator).await.body;
    assert!(metrics.contains("\npromenade_integrity_findings 1\n"), "{metrics}");
    let query = stand.get("/api/v1/query?query=m", &stand.tokens.acme).await.json();
    assert!(query["warnings"][0].as_str().unwrap().contains(name), "{query}");
}
