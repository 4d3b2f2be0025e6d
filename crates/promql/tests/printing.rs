//! Expressions over several lines, and as trees: both as Prometheus shows them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use expect_test::{Expect, expect};
use promql::{Query, TextLimits};
use serde_json::{Value, json};

#[track_caller]
fn check_pretty(text: &str, expected: Expect) {
    let query = Query::parse(text, &TextLimits::default()).unwrap();
    let pretty = query.pretty().unwrap();
    let again = Query::parse(&pretty, &TextLimits::default()).unwrap();
    assert_eq!(again.to_string(), query.to_string(), "the meaning stays");
    expected.assert_eq(&pretty);
}

fn tree(text: &str) -> Value {
    serde_json::from_slice(&Query::parse(text, &TextLimits::default()).unwrap().tree().unwrap()).unwrap()
}

#[test]
fn what_is_short_stays_in_one_line() {
    check_pretty("sum(rate(x[5m]))by(job)", expect!["sum by (job) (rate(x[5m]))"]);
    check_pretty("a*ignoring()b", expect!["a * b"]);
    check_pretty("a*ignoring()group_left()b", expect!["a * ignoring () group_left () b"]);
    check_pretty("1e6 + 0.00001", expect!["1000000 + 0.00001"]);
    check_pretty("sum by (b, a) (x{d='1',c!='2'})", expect![[r#"sum by (b, a) (x{c!="2",d="1"})"#]]);
}

#[test]
fn what_is_long_is_broken_at_its_outermost_parts() {
    let long = "a_metric_with_quite_a_long_name_for_one{label=\"value\"}";
    check_pretty(
        &format!("topk by (job) (3, sum by (job, label) (rate({long}[5m])) / on (job) group_left (x) {long})"),
        expect![[r#"
            topk by (job) (
              3,
                sum by (job, label) (rate(a_metric_with_quite_a_long_name_for_one{label="value"}[5m]))
              / on (job) group_left (x)
                a_metric_with_quite_a_long_name_for_one{label="value"}
            )"#]],
    );
    check_pretty(
        &format!("label_replace(-({long} > bool {long}), \"a\", \"$1\", \"b\", \"(.*)\")"),
        expect![[r#"
            label_replace(
              -(
                  a_metric_with_quite_a_long_name_for_one{label="value"}
                > bool
                  a_metric_with_quite_a_long_name_for_one{label="value"}
              ),
              "a",
              "$1",
              "b",
              "(.*)"
            )"#]],
    );
    check_pretty(
        &format!("max_over_time((vector(1) + {long} + {long})[1h:5m] offset 1d)"),
        expect![[r#"
            max_over_time(
              (
                  vector(1) + a_metric_with_quite_a_long_name_for_one{label="value"}
                +
                  a_metric_with_quite_a_long_name_for_one{label="value"}
              )[1h:5m] offset 1d
            )"#]],
    );
}

#[test]
fn trees_have_every_part() {
    let selector = |name: &str, matchers: Value| {
        json!({"type": "vectorSelector", "name": name, "offset": 0, "matchers": matchers, "timestamp": null,
            "startOrEnd": null, "anchored": false, "smoothed": false})
    };
    let named = |name: &str| json!({"name": "__name__", "value": name, "type": "="});
    let (a, b) = (selector("a", json!([named("a")])), selector("b", json!([named("b")])));
    assert_eq!(tree("a"), a);
    assert_eq!(
        tree("a * on (x) group_left (y) b"),
        json!({"type": "binaryExpr", "op": "*", "lhs": a, "rhs": b, "bool": false, "matching": {
            "card": "many-to-one", "labels": ["x"], "on": true, "include": ["y"],
            "fillValues": {"lhs": null, "rhs": null}}})
    );
    assert_eq!(tree("a and b")["matching"]["card"], "many-to-many");
    assert_eq!(tree("1 == bool 2")["matching"], Value::Null);
    assert_eq!(
        tree("rate(a{x!~\"y\"}[5m] @ 10.5 offset -1m)"),
        json!({"type": "call", "func": {"name": "rate", "argTypes": ["matrix"], "variadic": 0, "returnType": "vector"},
            "args": [{"type": "matrixSelector", "name": "a", "range": 300_000, "offset": -60_000, "timestamp": 10_500,
                "matchers": [{"name": "x", "value": "y", "type": "!~"}, named("a")], "startOrEnd": null,
                "anchored": false, "smoothed": false}]})
    );
    assert_eq!(
        tree("quantile without (x) (0.9, -a)"),
        json!({"type": "aggregation", "op": "quantile", "without": true, "grouping": ["x"],
            "param": {"type": "numberLiteral", "val": "0.9"}, "expr": {"type": "unaryExpr", "op": "-", "expr": a}})
    );
    assert_eq!(
        tree("(a)[1h:5m] @ end()"),
        json!({"type": "subquery", "expr": {"type": "parenExpr", "expr": a}, "range": 3_600_000, "step": 300_000,
            "offset": 0, "timestamp": null, "startOrEnd": "end"})
    );
    assert_eq!(tree("label_join(a, \"b\", \"\", \"c\")")["func"]["variadic"], -1);
    assert_eq!(tree("round(a)")["func"]["variadic"], 1);
    assert_eq!(tree("\"x\\n\""), json!({"type": "stringLiteral", "val": "x\n"}));
}

#[test]
fn deep_expressions_are_shown_whole() {
    let query = Query::parse(&vec!["a"; 900].join(" + "), &TextLimits::default()).unwrap();
    assert!(query.tree().unwrap().len() > 900 * 100);
    assert_eq!(query.pretty().unwrap().matches('+').count(), 899);
}
