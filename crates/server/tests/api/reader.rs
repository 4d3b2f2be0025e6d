//! A reader as strict as Grafana's: what it would stumble over fails the test that saw it.

use serde_json::{Map, Value};

use crate::answer::Answer;

/// Checks an answer with a JSON body by everything known to break a client.
#[track_caller]
pub(crate) fn check(answer: &Answer) {
    assert_eq!(answer.header("content-type"), "application/json", "the type stands alone");
    let text = &answer.body;
    let json: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    let envelope = json.as_object().expect("an envelope");
    match envelope["status"].as_str() {
        Some("success") => {
            assert!((200..300).contains(&answer.status), "{}: {text}", answer.status);
            assert!(text.starts_with("{\"status\":\"success\",\"data\":"), "members in order: {text}");
            keys(envelope, &["status", "data", "warnings", "infos"]);
            check_data(&envelope["data"], text);
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

#[track_caller]
fn check_data(data: &Value, text: &str) {
    no_null(data, text);
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
