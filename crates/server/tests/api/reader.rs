//! A reader as strict as Grafana's: what it would stumble over fails the test that saw it.

use serde_json::{Map, Value};

use crate::answer::Answer;

/// Checks an answer by everything known to break a client.
#[track_caller]
pub(crate) fn check(answer: &Answer) {
    let kind = answer.header("content-type");
    if kind.starts_with("application/x-ndjson") {
        return check_lines(answer);
    }
    if !kind.starts_with("application/json") {
        return;
    }
    assert_eq!(kind, "application/json", "the type stands alone");
    if answer.path.ends_with("/version") && answer.status == 200 {
        let json = answer.json();
        return assert!(json.as_object().unwrap().values().all(Value::is_string), "{json}");
    }
    let text = &answer.body;
    let json: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    let envelope = json.as_object().expect("an envelope");
    match envelope["status"].as_str() {
        Some("success") => {
            assert!((200..300).contains(&answer.status), "{}: {text}", answer.status);
            assert!(text.starts_with("{\"status\":\"success\",\"data\":"), "members in order: {text}");
            keys(envelope, &["status", "data", "warnings", "infos"]);
            check_data(answer, &envelope["data"], text);
        }
        Some("error") => {
            assert!(400 <= answer.status, "{}: {text}", answer.status);
            assert!(text.starts_with("{\"status\":\"error\",\"errorType\":\""), "members in order: {text}");
            keys(envelope, &["status", "errorType", "error"]);
            assert!(envelope["error"].as_str().is_some_and(|error| !error.is_empty()), "a reason: {text}");
        }
        _ => panic!("neither success nor error: {text}"),
    }
    for kind in ["warnings", "infos"] {
        let texts = envelope.get(kind).map(|texts| texts.as_array().expect("annotations are an array"));
        if let Some(texts) = texts {
            assert!(!texts.is_empty() && texts.iter().all(Value::is_string), "annotations are strings: {text}");
        }
    }
}

/// Lines that each are a whole, the last of which says how it went.
#[track_caller]
fn check_lines(answer: &Answer) {
    assert_eq!(answer.header("content-type"), "application/x-ndjson; charset=utf-8");
    assert!(answer.body.ends_with('\n'), "{}", answer.body);
    let lines = answer.json_lines();
    let (last, batches) = lines.split_last().expect("a last line");
    keys(last.as_object().unwrap(), &["status", "has_more"]);
    assert!(last["status"] == "success" && last["has_more"].is_boolean(), "{last}");
    assert!(!batches.is_empty(), "a batch, even of nothing");
    for batch in batches {
        keys(batch.as_object().unwrap(), &["results"]);
        let results = batch["results"].as_array().unwrap();
        assert!(results.iter().all(|result| result["name"].is_string()), "{batch}");
    }
}

#[track_caller]
fn check_data(answer: &Answer, data: &Value, text: &str) {
    // A tree has nodes without some of their parts; everywhere else clients fall over it.
    if !answer.path.ends_with("/parse_query") {
        no_null(data, text);
    }
    if answer.path.ends_with("/api/v1/metadata") {
        return check_metadata(data);
    }
    let Some(result_type) = data.get("resultType") else { return };
    assert!(text.contains("\"data\":{\"resultType\":\""), "the type comes before the result: {text}");
    keys(data.as_object().unwrap(), &["resultType", "result", "stats"]);
    let result = &data["result"];
    match result_type.as_str().unwrap() {
        "scalar" | "string" => check_pair(result),
        "vector" => result.as_array().unwrap().iter().for_each(|series| check_series(series, "value", "histogram")),
        "matrix" => result.as_array().unwrap().iter().for_each(|series| check_series(series, "values", "histograms")),
        other => panic!("unknown result type {other}"),
    }
}

/// Families with at least one description each, all of whose members are texts.
#[track_caller]
fn check_metadata(families: &Value) {
    for descriptions in families.as_object().unwrap().values() {
        let descriptions = descriptions.as_array().unwrap();
        assert!(!descriptions.is_empty(), "{families}");
        for description in descriptions {
            keys(description.as_object().unwrap(), &["type", "help", "unit"]);
            assert!(description.as_object().unwrap().values().all(Value::is_string), "{description}");
            assert!(description["type"].as_str().unwrap().bytes().all(|b| b.is_ascii_lowercase()), "{description}");
        }
    }
}

#[track_caller]
fn check_series(series: &Value, floats: &str, histograms: &str) {
    let series = series.as_object().unwrap();
    keys(series, &["metric", floats, histograms]);
    assert!(series["metric"].as_object().unwrap().values().all(Value::is_string), "labels are strings");
    match (series.get(floats), floats) {
        (Some(pair), "value") => check_pair(pair),
        (Some(pairs), _) => {
            let pairs = pairs.as_array().unwrap();
            assert!(!pairs.is_empty(), "a series without points");
            pairs.iter().for_each(check_pair);
            let times: Vec<f64> = pairs.iter().map(|pair| pair[0].as_f64().unwrap()).collect();
            assert!(times.windows(2).all(|pair| pair[0] < pair[1]), "times ascend: {times:?}");
        }
        (None, _) => assert!(series.contains_key(histograms), "neither floats nor histograms"),
    }
    match (series.get(histograms), histograms) {
        (None, _) => {}
        (Some(pair), "histogram") => check_histogram(pair),
        (Some(pairs), _) => {
            let pairs = pairs.as_array().unwrap();
            assert!(!pairs.is_empty(), "Grafana drops the floats of a series that has this member");
            pairs.iter().for_each(check_histogram);
        }
    }
}

/// A time, and texts; each bucket is a small number and three texts.
#[track_caller]
fn check_histogram(pair: &Value) {
    let pair = pair.as_array().unwrap();
    assert!(pair.len() == 2 && pair[0].is_number(), "{pair:?}");
    let histogram = pair[1].as_object().unwrap();
    keys(histogram, &["count", "sum", "buckets"]);
    assert!(histogram["count"].is_string() && histogram["sum"].is_string(), "{histogram:?}");
    for bucket in histogram.get("buckets").map_or(&Vec::new(), |buckets| buckets.as_array().unwrap()) {
        let bucket = bucket.as_array().unwrap();
        assert!(bucket.len() == 4 && bucket[0].as_u64().is_some_and(|layout| layout < 4), "{bucket:?}");
        assert!(bucket[1..].iter().all(Value::is_string), "{bucket:?}");
    }
}

/// Exactly a number and a text.
#[track_caller]
fn check_pair(pair: &Value) {
    let pair = pair.as_array().unwrap();
    assert_eq!(pair.len(), 2, "{pair:?}");
    assert!(pair[0].is_number() && pair[1].is_string(), "{pair:?}");
}

#[track_caller]
fn keys(object: &Map<String, Value>, known: &[&str]) {
    for key in object.keys() {
        assert!(known.contains(&key.as_str()), "unknown member {key}");
    }
}

#[track_caller]
fn no_null(value: &Value, text: &str) {
    match value {
        Value::Null => panic!("null: {text}"),
        Value::Array(items) => items.iter().for_each(|item| no_null(item, text)),
        Value::Object(members) => members.values().for_each(|member| no_null(member, text)),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
