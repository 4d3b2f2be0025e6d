//! A project's own limits, as the writers of that project and of others meet them.

use std::time::{Duration, Instant};

use control::Limit;
use model::ProjectId;
use serde_json::{Value, json};
use wire::remote_write::compress;

use crate::answer::Answer;
use crate::remote_write::case::written;
use crate::remote_write::sent::{Sent, Version, named};
use crate::stand::{Stand, base};

/// What `projects limits set` does, and then waits until the server says so, which it must within a second.
async fn set(stand: &Stand, project: &str, limits: &[(Limit, u64)]) {
    let id = ProjectId::parse(project).unwrap();
    let control = server::open_control(stand.data_dir()).unwrap();
    control.unset_limits(&id, &Limit::ALL).unwrap();
    control.set_limits(&id, limits, server::now_ms()).unwrap();
    let expected: Vec<Value> = limits.iter().map(|(limit, value)| json!([limit.name(), value])).collect();
    let set = Instant::now();
    while own(stand, project).await != expected {
        assert!(set.elapsed() < Duration::from_secs(1), "{project}: {limits:?} after a second");
        tokio::task::yield_now().await;
    }
}

/// The limits of its own that the API shows of a project.
async fn own(stand: &Stand, project: &str) -> Vec<Value> {
    let limits = stand.get(&format!("{}/api/v1/user_limits", base(project)), &stand.tokens.operator).await.data();
    let own = limits["limits"].as_array().unwrap().iter().filter(|limit| limit["own"] == true);
    own.map(|limit| json!([limit["name"], limit["value"]])).collect()
}

async fn write(stand: &Stand, token: &str, version: Version, sent: &[Sent]) -> Answer {
    let request = stand.request("POST", "/api/v1/write", token).header("content-type", version.content_type());
    Answer::of(request.body(version.body(sent))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_has_as_many_series_as_its_own_limit_says() {
    let stand = Stand::start_with(|config| config.limits.series_per_project_max = 3).await;
    let (now, tokens) = (server::now_ms(), &stand.tokens);
    let sent: Vec<Sent> = ["a", "b", "c", "d"].map(|name| named(name).sample(now, 1.0)).to_vec();
    set(&stand, "acme", &[(Limit::Series, 2)]).await;
    for (token, stored) in [(&tokens.acme, 2), (&tokens.other, 3)] {
        let answer = write(&stand, token, Version::V2, &sent).await;
        assert_eq!((answer.status, written(&answer)), (429, Some([stored, 0, 0])), "{}", answer.body);
        assert!(answer.body.contains(&format!("series_limit {}", 4 - stored)), "{}", answer.body);
    }
    set(&stand, "acme", &[(Limit::Series, 100)]).await;
    assert_eq!(write(&stand, &tokens.acme, Version::V1, &sent).await.status, 204, "raised, what was refused comes in");
    assert_eq!(write(&stand, &tokens.other, Version::V1, &sent).await.status, 429, "and nobody else's");
    set(&stand, "acme", &[]).await;
    let more = write(&stand, &tokens.acme, Version::V1, &[named("e").sample(now, 1.0)]).await;
    assert_eq!(more.status, 429, "the server's again: {}", more.body);
    assert_eq!(write(&stand, &tokens.acme, Version::V1, &sent).await.status, 204, "what is there goes on");
    // An operator who names the owner in the series is held to the owner's limit.
    set(&stand, "acme", &[(Limit::Series, 4)]).await;
    let of_acme = named("f").label("project_id", "acme").sample(now, 1.0);
    assert_eq!(write(&stand, &tokens.operator, Version::V1, &[of_acme]).await.status, 429);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writes_size_is_its_projects() {
    let stand = Stand::start().await;
    const SIZE: u32 = 64 << 10;
    set(&stand, "acme", &[(Limit::WriteSize, SIZE.into())]).await;
    let noise: Vec<u8> = (0..=SIZE).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    let plain = vec![0; noise.len()];
    for (what, body) in [("as sent", noise), ("decompressed", compress(&plain).unwrap())] {
        for version in Version::BOTH {
            let post = |token: &str| {
                let request = stand.request("POST", "/api/v1/write", token);
                Answer::of(request.header("content-type", version.content_type()).body(body.clone()))
            };
            let refused = post(&stand.tokens.acme).await;
            assert_eq!(refused.status, 413, "{what}: {}", refused.body);
            assert!(refused.body.contains("65536"), "{what} names the limit: {}", refused.body);
            assert_eq!(post(&stand.tokens.other).await.status, 400, "{what}: read, and found to be no message");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_and_times_are_held_to_the_projects_limits() {
    let stand = Stand::start().await;
    let (now, tokens) = (server::now_ms(), &stand.tokens);
    const MINUTE: i64 = 60_000;
    let many: Vec<String> = (0..8).map(|n| format!("label_{n}")).collect();
    let labelled = |name: &str| many.iter().fold(named(name), |sent, label| sent.label(label, "x")).sample(now, 1.0);
    let long = "x".repeat(65);
    assert_eq!(write(&stand, &tokens.acme, Version::V1, &[named("newest").sample(now, 1.0)]).await.status, 204);
    for (limit, value, sent, told) in [
        (Limit::Labels, 8, labelled("many"), "9 labels, limit 8"),
        (Limit::LabelName, 64, named("name").label(&long, "x").sample(now, 1.0), "label name of 65 bytes, limit 64"),
        (
            Limit::LabelValue,
            64,
            named("value").label("a", &long).sample(now, 1.0),
            "value of 65 bytes of label \"a\", limit 64",
        ),
        (Limit::OutOfOrderWindow, 5 * MINUTE as u64, named("late").sample(now - 6 * MINUTE, 1.0), "too_old"),
        (Limit::Future, MINUTE as u64, named("early").sample(now + 2 * MINUTE, 1.0), "too_far_in_future"),
    ] {
        set(&stand, "acme", &[(limit, value)]).await;
        let mixed = [named("good").sample(now, 1.0), sent.clone()];
        for version in Version::BOTH {
            let refused = write(&stand, &tokens.acme, version, &mixed).await;
            assert_eq!(refused.status, 400, "{limit:?}: {}", refused.body);
            assert!(refused.body.contains(told), "{limit:?}: {}", refused.body);
            assert!(refused.body.contains("refused 1 of 2"), "{limit:?}: {}", refused.body);
        }
        // The others', and the operator's on behalf of all.
        for token in [&tokens.other, &tokens.operator] {
            let stored = write(&stand, token, Version::V2, &mixed).await;
            assert_eq!((stored.status, written(&stored)), (204, Some([2, 0, 0])), "{limit:?}: {}", stored.body);
        }
        let path = format!("{}/api/v1/write", base("acme"));
        let narrowed = stand.write_body(&path, &tokens.operator, Version::V1.body(&mixed)).await;
        assert_eq!(narrowed.status, 400, "{limit:?}: an operator on the project's path writes as the project");
    }
    // More than the server's: late and long come in.
    let generous =
        [(Limit::LabelValue, 64 << 10), (Limit::OutOfOrderWindow, 30 * 86_400_000), (Limit::Future, 3_600_000)];
    set(&stand, "acme", &generous).await;
    for sent in [
        named("value").label("a", &"x".repeat(5000)).sample(now, 1.0),
        named("late").sample(now - 20 * 24 * 60 * MINUTE, 1.0),
        named("early").sample(now + 20 * MINUTE, 1.0),
    ] {
        let stored = write(&stand, &tokens.acme, Version::V1, std::slice::from_ref(&sent)).await;
        assert_eq!(stored.status, 204, "{}", stored.body);
        assert_eq!(write(&stand, &tokens.other, Version::V1, &[sent]).await.status, 400);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn exemplars_are_kept_as_many_as_the_project_may_have() {
    let mut stand = Stand::start_with(|config| config.limits.exemplars_per_project_max = 5).await;
    let now = server::now_ms();
    set(&stand, "acme", &[(Limit::Exemplars, 8)]).await;
    let sent: Vec<Sent> = (0..12).map(|n| named("m").exemplar(&[("id", &n.to_string())], now + n, 1.0)).collect();
    let kept = async |stand: &Stand, token: &str| {
        let series = stand.get("/api/v1/query_exemplars?query=m", token).await.data();
        series[0]["exemplars"].as_array().unwrap().len()
    };
    for token in [&stand.tokens.acme, &stand.tokens.other] {
        assert_eq!(write(&stand, token, Version::V2, &sent).await.status, 204);
    }
    assert_eq!((kept(&stand, &stand.tokens.acme).await, kept(&stand, &stand.tokens.other).await), (8, 5));
    // The log is replayed with the same limits: nothing that was kept is lost.
    stand.stop().await;
    stand.restart().await;
    assert_eq!((kept(&stand, &stand.tokens.acme).await, kept(&stand, &stand.tokens.other).await), (8, 5));
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_are_shown_to_their_project_and_all_of_them_to_operators() {
    let stand = Stand::start().await;
    let now = server::now_ms();
    set(&stand, "acme", &[(Limit::Series, 7)]).await;
    set(&stand, "other", &[(Limit::Labels, 9)]).await;
    assert_eq!(write(&stand, &stand.tokens.acme, Version::V1, &[named("m").sample(now, 1.0)]).await.status, 204);
    let acme = stand.get("/api/v1/user_limits", &stand.tokens.acme).await.data();
    assert_eq!(acme["project"], "acme");
    let row = |data: &Value, name: &str| {
        data["limits"].as_array().unwrap().iter().find(|limit| limit["name"] == name).unwrap().clone()
    };
    assert_eq!(
        row(&acme, "series-max"),
        json!({"name": "series-max", "value": 7, "unit": "count", "own": true, "used": 1})
    );
    assert_eq!(row(&acme, "labels-max"), json!({"name": "labels-max", "value": 64, "unit": "count", "own": false}));
    assert_eq!(row(&acme, "future-max"), json!({"name": "future-max", "value": 600_000, "unit": "ms", "own": false}));
    assert!(acme.get("projects").is_none() && !acme.to_string().contains("other"), "{acme}");
    let all = stand.get("/api/v1/user_limits", &stand.tokens.operator).await.data();
    assert_eq!(all["projects"], json!({"acme": {"series-max": 7}, "other": {"labels-max": 9}}));
    assert!(all.get("project").is_none(), "{all}");
    assert_eq!(row(&all, "series-max")["value"], 1_000_000);
}
