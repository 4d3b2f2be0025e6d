//! Two answers to one query, compared: labels, times, values, class of error and annotations.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// Greatest relative difference of two values that are the same: sums in another order differ in the last digits.
const TOLERANCE: f64 = 1e-9;
/// What is left of a difference of equal numbers is not told from nothing below this.
const NOTHING: f64 = 1e-12;
/// How an answer says that it does not show all annotations; which ones it shows is then up to the server.
const OMITTED: &str = "annotations omitted";

/// What one server said.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Answer {
    /// The whole envelope of a success.
    Success(Value),
    /// The status and the type of an error, and its text for people.
    Error(u16, String, String),
}

impl Answer {
    /// Reads a body.
    pub(crate) fn read(status: u16, body: &[u8]) -> Answer {
        let json: Value = serde_json::from_slice(body).unwrap_or_default();
        if status == 200 && json["status"] == "success" {
            return Answer::Success(json);
        }
        let kind = json["errorType"].as_str().unwrap_or("not an answer of the API").to_owned();
        let text = json["error"].as_str().map_or_else(|| String::from_utf8_lossy(body).into_owned(), str::to_owned);
        Answer::Error(status, kind, text)
    }

    /// Whether there is a value.
    pub(crate) fn has_samples(&self) -> bool {
        match self {
            Answer::Success(json) => json["data"]["result"].as_array().is_none_or(|result| !result.is_empty()),
            Answer::Error(..) => false,
        }
    }

    /// Whether there is a warning or an info.
    pub(crate) fn is_annotated(&self) -> bool {
        matches!(self, Answer::Success(json) if json["warnings"].is_array() || json["infos"].is_array())
    }
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Answer::Success(json) => json.fmt(f),
            Answer::Error(status, kind, text) => write!(f, "{status} {kind}: {text}"),
        }
    }
}

/// How closely two answers must agree.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Strictness {
    /// Whether the expression itself says in which order its series come.
    pub(crate) is_ordered: bool,
    /// The minor version of the reference.
    pub(crate) minor: u32,
    /// Whether there is a subquery: of functions over one, Prometheus says that they stand at 1:1.
    pub(crate) has_subquery: bool,
}

/// The release whose annotations ours have the words and places of; of others they have to say the same.
const SAME_WORDS_MINOR: u32 = 14;
/// How annotations begin that older releases do not have or have by mistake, and the first one that is right. A negated
/// histogram was no gauge before 3.7.
const NEWER: &[(&str, u32)] = &[
    ("PromQL warning: conflicting counter resets", 7),
    ("PromQL warning: this native histogram metric is not a counter: \"\"", 7),
    ("PromQL warning: this native histogram metric is not a gauge: \"\"", 7),
    // Not beside floats.
    ("PromQL warning: vector contains a mix of histograms with exponential and custom", SAME_WORDS_MINOR),
];
/// How the remark begins that an operator does not take what it was given.
const INCOMPATIBLE: &str = "PromQL info: incompatible sample types encountered for binary operator ";
/// How errors begin that older releases do not always see, and the first one that does.
const NEWER_ERROR: (&str, u32) = ("multiple matches for labels", 9);
/// How errors begin that older releases have by mistake, of negated series that are never there at once.
const OLDER_ERROR: (&str, u32) = ("vector cannot contain metrics with the same labelset", 9);

/// The first difference of two answers.
pub(crate) fn difference(reference: &Answer, target: &Answer, strictness: Strictness) -> Option<String> {
    match (reference, target) {
        (Answer::Success(a), Answer::Success(b)) => {
            let data = data(&a["data"], &b["data"], strictness.is_ordered);
            let data = data.filter(|_| !meets_known_fault(a) && !is_infinite_average(a, b, strictness.minor));
            let annotations = |kind| annotations(a, b, kind, strictness);
            data.or_else(|| annotations("warnings")).or_else(|| annotations("infos"))
        }
        (Answer::Error(status, kind, _), Answer::Error(other, other_kind, _)) => {
            let same = (status, kind) == (other, other_kind);
            (!same).then(|| format!("error {status} {kind}, and {other} {other_kind}"))
        }
        (Answer::Success(_), Answer::Error(_, _, text)) => {
            let is_newer = text.starts_with(NEWER_ERROR.0) && strictness.minor < NEWER_ERROR.1;
            (!is_newer).then(|| "an error instead of a value".to_owned())
        }
        (Answer::Error(_, _, text), Answer::Success(_)) => {
            let is_older = text.starts_with(OLDER_ERROR.0) && strictness.minor < OLDER_ERROR.1;
            (!is_older).then(|| "a value instead of an error".to_owned())
        }
    }
}

fn data(a: &Value, b: &Value, is_ordered: bool) -> Option<String> {
    if a["resultType"] != b["resultType"] {
        return Some(format!("type {}, and {}", a["resultType"], b["resultType"]));
    }
    let (a, b) = (&a["result"], &b["result"]);
    if matches!(a, Value::Array(parts) if parts.first().is_some_and(Value::is_number)) {
        return point(a, b).map(|what| format!("the value: {what}"));
    }
    let (ours, theirs) = (by_labels(a), by_labels(b));
    if let Some(labels) = ours.keys().find(|labels| !theirs.contains_key(*labels)) {
        return Some(format!("{labels} is missing"));
    }
    if let Some(labels) = theirs.keys().find(|labels| !ours.contains_key(*labels)) {
        return Some(format!("{labels} is too much"));
    }
    let differ = |(labels, a): (&String, &&Value)| Some(format!("{labels}: {}", series(a, theirs[labels])?));
    ours.iter().find_map(differ).or_else(|| if is_ordered { order(a, b) } else { None })
}

fn by_labels(result: &Value) -> BTreeMap<String, &Value> {
    result.as_array().into_iter().flatten().map(|series| (series["metric"].to_string(), series)).collect()
}

/// Where the values of two sorted vectors differ; the order of equal ones is up to the server.
fn order(a: &Value, b: &Value) -> Option<String> {
    let values = |result: &Value| -> Vec<Value> {
        result.as_array().into_iter().flatten().map(|series| series["value"].clone()).collect()
    };
    let (a, b) = (values(a), values(b));
    let at = a.iter().zip(&b).position(|(a, b)| point(a, b).is_some())?;
    Some(format!("in another order from position {at} on"))
}

fn series(a: &Value, b: &Value) -> Option<String> {
    for key in ["value", "histogram"] {
        if a[key] != b[key]
            && let Some(what) = point(&a[key], &b[key])
        {
            return Some(format!("{key}: {what}"));
        }
    }
    for key in ["values", "histograms"] {
        let (a, b) = (a[key].as_array(), b[key].as_array());
        let (a, b) = (a.map_or(&[][..], Vec::as_slice), b.map_or(&[][..], Vec::as_slice));
        if let Some(what) = a.iter().zip(b).find_map(|(a, b)| point(a, b)) {
            return Some(format!("{key}: {what}"));
        }
        if a.len() != b.len() {
            return Some(format!("{} {key}, and {}", a.len(), b.len()));
        }
    }
    None
}

/// The difference of two pairs of a time and a value.
fn point(a: &Value, b: &Value) -> Option<String> {
    let same_time = a[0].as_f64() == b[0].as_f64() && a.is_array() == b.is_array();
    (!same_time || !same(&a[1], &b[1])).then(|| format!("{a}, and {b}"))
}

fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, value)| b.get(key).is_some_and(|other| same(value, other)))
        }
        (Value::String(a), Value::String(b)) => a == b || is_close(a, b),
        _ => a == b,
    }
}

fn is_close(a: &str, b: &str) -> bool {
    let (Ok(a), Ok(b)) = (a.parse::<f64>(), b.parse::<f64>()) else { return false };
    a == b || (a - b).abs() <= (TOLERANCE * a.abs().max(b.abs())).max(NOTHING) && (a - b).is_finite()
}

/// Whether Prometheus may have lost series: with the warning that two histograms were reset at different times, `+` and
/// `-` leave their result out, where aggregations and the documentation keep it. Seen in 3.14.
fn meets_known_fault(reference: &Value) -> bool {
    let texts = || reference["warnings"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let begins = ["addition", "subtraction"]
        .map(|op| format!("PromQL warning: conflicting counter resets during histogram {op}"));
    texts().any(|text| begins.iter().any(|begin| text.starts_with(begin)))
}

/// Whether an older release has no number for an average of infinite histograms, which is infinite. Seen in 3.5, mended
/// by 3.14.
fn is_infinite_average(reference: &Value, target: &Value, minor: u32) -> bool {
    let counts = |answer: &Value, text: &str| answer.to_string().contains(&format!("\"count\":\"{text}\""));
    minor < SAME_WORDS_MINOR && counts(reference, "NaN") && (counts(target, "+Inf") || counts(target, "-Inf"))
}

/// What an annotation says, without the names, numbers and places that some releases add.
fn gist(text: &str) -> &str {
    let cut = |text: &'_ str, at: &str| text.find(at).unwrap_or(text.len());
    let ends = [" (1:", " for metric name", ", from buckets"].map(|at| cut(text, at));
    &text[..ends.into_iter().min().unwrap_or(text.len())]
}

/// An annotation without the number of samples it is about, which Prometheus doubles with each step.
fn without_count(text: &str) -> &str {
    text.find(", over ").map_or(text, |at| &text[..at])
}

fn annotations(a: &Value, b: &Value, kind: &str, strictness: Strictness) -> Option<String> {
    let texts = |answer: &Value| -> BTreeSet<String> {
        let texts = answer[kind].as_array().into_iter().flatten().map(|text| text.as_str().unwrap_or("not a text"));
        let Strictness { minor, has_subquery, .. } = strictness;
        let same_words = SAME_WORDS_MINOR <= minor && !has_subquery;
        let is_known = |text: &&str| !NEWER.iter().any(|(begin, since)| text.starts_with(begin) && minor < *since);
        texts
            .filter(is_known)
            .map(|text| if same_words { without_count(text) } else { gist(text) }.to_owned())
            .collect()
    };
    let (a, b) = (texts(a), texts(b));
    let are_cut = [&a, &b].iter().all(|texts| texts.iter().any(|text| text.ends_with(OMITTED)));
    if are_cut || a == b {
        return None;
    }
    let (lost, mut gained): (Vec<_>, Vec<_>) = (a.difference(&b).collect(), b.difference(&a).collect());
    // Of the pairs at one step that an operator cannot take, Prometheus tells the last one alone.
    let operator =
        |text: &str| text.strip_prefix(INCOMPATIBLE).and_then(|rest| Some(rest.split_once(':')?.0.to_owned()));
    gained.retain(|text| operator(text).is_none_or(|op| !a.iter().any(|told| operator(told).as_ref() == Some(&op))));
    if lost.is_empty() && gained.is_empty() {
        return None;
    }
    Some(format!("{kind}: {lost:?}, and {gained:?}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn success(result: Value, warnings: Value) -> Answer {
        let kind = if result[0]["values"].is_array() { "matrix" } else { "vector" };
        let body = json!({"status": "success", "data": {"resultType": kind, "result": result}, "warnings": warnings});
        Answer::read(200, body.to_string().as_bytes())
    }

    fn vector(values: &[(&str, &str)]) -> Value {
        values.iter().map(|(a, v)| json!({"metric": {"a": a}, "value": [1, v]})).collect()
    }

    #[track_caller]
    fn check(a: &Answer, b: &Answer, is_ordered: bool, expected: &str) {
        let found = difference(a, b, Strictness { is_ordered, minor: 14, has_subquery: false }).unwrap_or_default();
        assert!(found.contains(expected) && found.is_empty() == expected.is_empty(), "{found:?}, not {expected:?}");
    }

    #[test]
    fn what_clients_can_see_is_a_difference() {
        let of = |values: &[(&str, &str)]| success(vector(values), Value::Null);
        let a = of(&[("1", "1.5"), ("2", "NaN")]);
        check(&a, &of(&[("2", "NaN"), ("1", "1.5000000000001")]), false, "");
        check(&a, &of(&[("2", "NaN"), ("1", "1.5")]), true, "another order");
        check(&a, &of(&[("2", "1"), ("1", "1.5")]), false, "{\"a\":\"2\"}: value");
        check(&a, &of(&[("1", "1.5")]), false, "{\"a\":\"2\"} is missing");
        check(&of(&[("1", "1.5")]), &a, false, "{\"a\":\"2\"} is too much");
        check(&of(&[("1", "+Inf")]), &of(&[("1", "1e300")]), false, "value");
        check(&of(&[("1", "0")]), &of(&[("1", "2e-13")]), false, "");
    }

    #[test]
    fn histograms_steps_and_annotations_are_compared() {
        let of = |count: &str, t: f64| {
            let histogram = json!({"count": count, "sum": "1", "buckets": [[0, "1", "2", count]]});
            success(json!([{"metric": {}, "values": [[1, "1"]], "histograms": [[t, histogram]]}]), json!(["w"]))
        };
        check(&of("2", 3.0), &of("2", 3.0), false, "");
        check(&of("2", 3.0), &of("2.1", 3.0), false, "histograms");
        check(&of("2", 3.0), &of("2", 3.5), false, "histograms");
        let told = |texts: Value| success(json!([]), texts);
        check(&told(json!(["a", "b"])), &told(json!(["b", "a"])), false, "");
        check(&told(json!(["a"])), &told(json!(["b"])), false, "warnings: [\"a\"], and [\"b\"]");
        let le = "bucket label \"le\" is missing";
        let (long, short) = (format!("{le} for metric name \"\" (1:1)"), format!("{le} (1:5)"));
        let loosely = Strictness { is_ordered: false, minor: 5, has_subquery: false };
        assert_eq!(difference(&told(json!([long])), &told(json!([short])), loosely), None);
        let collision = Answer::Error(422, "execution".to_owned(), OLDER_ERROR.0.to_owned());
        assert_eq!(difference(&collision, &told(json!([])), loosely), None);
        check(&collision, &told(json!([])), false, "a value instead of an error");
        check(&told(json!([long])), &told(json!([short])), false, "warnings");
        let pair = |types: &str| format!("{INCOMPATIBLE}\"+\": {types} (1:2)");
        let (one, both) = (told(json!([pair("a + b")])), told(json!([pair("a + b"), pair("b + a")])));
        check(&one, &both, false, "");
        check(&both, &one, false, "warnings");
        check(&told(json!([])), &one, false, "warnings");
        let cut = |text: &str| told(json!([text, "3 more warning annotations omitted"]));
        check(&cut("a"), &cut("b"), false, "");
    }

    #[test]
    fn errors_are_compared_by_class() {
        let error = |status, kind: &str| {
            Answer::read(status, json!({"status": "error", "errorType": kind, "error": "e"}).to_string().as_bytes())
        };
        check(&error(400, "bad_data"), &error(400, "bad_data"), false, "");
        check(&error(400, "bad_data"), &error(422, "execution"), false, "error 400 bad_data, and 422 execution");
        check(&error(400, "bad_data"), &success(json!([]), Value::Null), false, "a value instead of an error");
        assert_eq!(Answer::read(502, b"oops").to_string(), "502 not an answer of the API: oops");
    }
}
