//! What is parsed, how it is refused, and what limits hold: the scripts of `promqltest` cover the meaning.

mod support;

use expect_test::{Expect, expect};
use model::{Budget, Interrupt, Pool, Stop, Value};
use promql::{Answer, Context, EvalError, Query, Steps, TextLimits, parse_selector};
use support::Memory;

#[track_caller]
fn check_print(text: &str, expected: Expect) {
    let printed = match Query::parse(text, &TextLimits::default()) {
        Ok(query) => query.to_string(),
        Err(error) => error.to_string(),
    };
    expected.assert_eq(&printed);
}

#[test]
fn queries_of_real_clients_are_understood() {
    check_print("up\r\n", expect!["up"]);
    check_print("up{job='a'}", expect![[r#"up{job="a"}"#]]);
    check_print("vllm:e2e_request_latency_seconds_sum", expect!["vllm:e2e_request_latency_seconds_sum"]);
    check_print(r#"{"http.status", "a.b"=~"x.*"}"#, expect![[r#"{"a.b"=~"x.*",__name__="http.status"}"#]]);
    check_print("rate(x[1h0m0s])", expect!["rate(x[1h])"]);
    check_print("rate(x[300])", expect!["rate(x[5m])"]);
    check_print("delta(x[1w])", expect!["delta(x[1w])"]);
    check_print(r"x{a=~`\d+`}", expect![[r#"x{a=~"\\d+"}"#]]);
    check_print("sum (x) by (a, \"b.c\") # all", expect![[r#"sum by (a, "b.c") (x)"#]]);
    check_print("max_over_time(x[5m:] offset -1d @ end())", expect!["max_over_time(x[5m:] @ end() offset -1d)"]);
    check_print("rate(x[2m * (10 + 5)] offset -(1m + 30s))", expect!["rate(x[30m] offset -1m30s)"]);
    check_print(
        "x[2 * step():range() / 2] offset (step() - 1m)",
        expect!["x[2 * step():range() / 2] offset (step() - 60)"],
    );
    check_print("rate({a=\"b\"}[5m] offset 1m ANCHORED)", expect![[r#"rate({a="b"}[5m] offset 1m anchored)"#]]);
    check_print(
        "x offset ((-2) ^ step() - -(1m + range()))",
        expect!["x offset (((-2) ^ step()) - (-(60 + range())))"],
    );
    check_print("x @ start() smoothed + smoothed", expect!["x @ start() smoothed + smoothed"]);
    check_print("anchored anchored + on (a) anchored", expect!["anchored anchored + on (a) anchored"]);
    check_print("x offset 1m + 2", expect!["x offset 1m + 2"]);
    check_print("sum by (sum) (sum)", expect!["sum by (sum) (sum)"]);
    check_print("x{on=\"1\", bool!=\"\", or=~\"a\"}", expect![[r#"x{bool!="",on="1",or=~"a"}"#]]);
}

#[test]
fn operators_bind_as_in_prometheus() {
    check_print("-a ^ 2", expect!["-a ^ 2"]);
    check_print("2 ^ 3 ^ 2", expect!["2 ^ 3 ^ 2"]);
    check_print("a or b and c == 1 + 2 * 3", expect!["a or b and c == 1 + 2 * 3"]);
    check_print("a / on (x) group_left (y) b", expect!["a / on (x) group_left (y) b"]);
    check_print("a + on (x) fill_left(-2) fill_right(1) b", expect!["a + on (x) fill_left (-2) fill_right (1) b"]);
    check_print("fill == bool fill(-Inf) fill_left", expect!["fill == bool fill (-Inf) fill_left"]);
    check_print("1h + 0x10 + 010 + 1_000", expect!["3600 + 16 + 8 + 1000"]);
}

#[test]
fn refusals_name_the_place() {
    check_print("", expect!["1:1: parse error: no expression found in input"]);
    check_print("a +", expect!["1:4: parse error: unexpected end of input"]);
    check_print("sum(a", expect!["1:6: parse error: unclosed left parenthesis"]);
    check_print("a\n  b", expect![[r#"2:3: parse error: unexpected "b""#]]);
    check_print(
        "x{a=b}",
        expect![[r#"1:5: parse error: unexpected identifier "b" in label matching, expected string"#]],
    );
    check_print(
        "x{a}",
        expect![[r#"1:4: parse error: unexpected "}" in label matching, expected label matching operator"#]],
    );
    check_print("{a=\"\"}", expect!["1:1: parse error: vector selector must contain at least one non-empty matcher"]);
    check_print("x{__name__=\"y\"}", expect![[r#"1:1: parse error: metric name must not be set twice: "x" or "y""#]]);
    check_print(
        "rate(x)",
        expect![[r#"1:1: parse error: expected type range vector in call to function "rate", got instant vector"#]],
    );
    check_print("x[0s]", expect!["1:3: parse error: duration must be greater than 0"]);
    check_print("x offset 1e300", expect!["1:10: parse error: duration out of range"]);
    check_print("x @ 1e300", expect!["1:5: parse error: timestamp out of bounds for @ modifier"]);
    check_print("x[1m / 0]", expect!["1:3: parse error: division by zero"]);
    check_print("x[1m - 60]", expect!["1:3: parse error: duration must be greater than 0"]);
    check_print(
        "x[5m + y]",
        expect![[r#"1:8: parse error: unexpected "y", expected number, duration, step(), or range()"#]],
    );
    check_print(
        "rate(x[5m:1m] anchored)",
        expect!["1:15: parse error: anchored modifier is not supported for subqueries"],
    );
    check_print(
        "x smoothed @ 5 anchored",
        expect!["1:16: parse error: anchored and smoothed modifiers cannot be used together"],
    );
    check_print("sum(x) smoothed", expect!["1:16: parse error: unexpected end of input"]);
    check_print("x[Inf]", expect!["1:3: parse error: duration out of range"]);
    check_print(
        "a and fill(1) b",
        expect!["1:1: parse error: filling in missing series not allowed for set operators"],
    );
    check_print(
        "a + fill(1) 2",
        expect!["1:1: parse error: filling in missing series only allowed between instant vectors"],
    );
    check_print("a + fill(1m) b", expect!["1:10: parse error: expected a number to fill with"]);
    check_print("nosuch(x)", expect![[r#"1:1: parse error: unknown function with name "nosuch""#]]);
}

#[test]
fn texts_beyond_the_limits_are_refused_before_parsing() {
    let limits = TextLimits::default();
    for (text, part) in [
        (format!("x{}", " ".repeat(64 << 10)), "bytes, limit"),
        (format!("{}x{}", "(".repeat(129), ")".repeat(129)), "nests deeper"),
        (vec!["1"; 1002].join("+"), "more operators"),
        (format!("{}1", "-".repeat(1001)), "more operators"),
    ] {
        let error = Query::parse(&text, &limits).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn the_deepest_queries_run_on_a_small_stack() {
    let chain = vec!["x"; 1001].join("+");
    let negated = format!("{}x", "-".repeat(1000));
    let nested = format!("{}x{}", "abs(".repeat(128), ")".repeat(128));
    let summed = format!("{}x{}", "sum(".repeat(128), ")".repeat(128));
    let small = std::thread::Builder::new().stack_size(2 << 20).spawn(move || {
        let store = Memory::default().with(&[("__name__", "x"), ("a", "b")], 60_000, [1.0]);
        [chain, negated, nested, summed].map(|text| {
            let query = Query::parse(&text, &TextLimits::default()).unwrap();
            let budget = Budget::unlimited();
            let ctx = Context { store: &store, budget: &budget, lookback_ms: 300_000 };
            match query.instant(0, &ctx).unwrap().value {
                Value::Vector(vector) => vector.len(),
                other => panic!("not a vector: {other:?}"),
            }
        })
    });
    assert_eq!(small.unwrap().join().unwrap(), [1; 4]);
}

#[test]
fn a_selector_for_match_is_bare() {
    assert_eq!(parse_selector("up{job=\"a\"}").unwrap().len(), 2);
    for text in ["up offset 5m", "up[5m]", "sum(up)", "1", "up @ 1"] {
        assert!(parse_selector(text).is_err(), "{text}");
    }
}

#[test]
fn budgets_end_queries() {
    let store = Memory::default().with(&[("__name__", "x")], 1000, (0..1000).map(f64::from));
    let query = Query::parse("sum_over_time(x[10m:1ms])", &TextLimits::default()).unwrap();
    let steps = Steps { start: 0, end: 1_000_000, step_ms: 1000 };
    let run = |budget: &Budget| query.range(steps, &Context { store: &store, budget, lookback_ms: 300_000 });
    let small = Budget::new(Stop::default(), Pool::new(u64::MAX), 1 << 20, u64::MAX);
    assert_eq!(run(&small), Err(EvalError::Interrupted(Interrupt::QueryBytes { limit: 1 << 20 })));
    let few = Budget::new(Stop::default(), Pool::new(u64::MAX), u64::MAX, 10);
    assert_eq!(run(&few), Err(EvalError::Interrupted(Interrupt::Samples { limit: 10 })));
    let stop = Stop::default();
    stop.cancel();
    let canceled = Budget::new(stop, Pool::new(u64::MAX), u64::MAX, u64::MAX);
    assert_eq!(run(&canceled), Err(EvalError::Interrupted(Interrupt::Canceled)));
}

#[test]
fn what_a_query_charged_beyond_its_answer_is_given_back() {
    let mut store = Memory::default();
    for idx in 0..50 {
        let label = idx.to_string();
        store = store.with(&[("__name__", "x_total"), ("a", &label)], 15_000, (0..240).map(f64::from));
    }
    let steps = Steps { start: 600_000, end: 3_000_000, step_ms: 60_000 };
    for text in [
        "sum by (a) (rate(x_total[5m]))",
        "sum(rate(x_total[5m]) / x_total) > 0",
        "x_total and x_total unless x_total{a=\"1\"}",
        "topk(3, x_total * 2) or abs(x_total)",
        "max_over_time(sum(x_total)[10m:1m])",
        "quantile(0.5, x_total @ end())",
    ] {
        let query = Query::parse(text, &TextLimits::default()).unwrap();
        let budget = Budget::unlimited();
        let answer = query.range(steps, &Context { store: &store, budget: &budget, lookback_ms: 300_000 }).unwrap();
        let Value::Matrix(series) = answer.value else { panic!("not a matrix") };
        // One column for each series of the answer, and a few of the accumulators that made it.
        let bound = (series.len() as u64 + 3) * 2 * (41 * 8 + 448) + 3 * 50 * (41 * 8 + 448);
        assert!(budget.bytes() <= bound, "{text}: {} bytes for {} series", budget.bytes(), series.len());
    }
}

#[test]
fn samples_are_counted_as_they_are_looked_at_and_as_they_are_read() {
    let store = Memory::default().with(&[("__name__", "x"), ("a", "b")], 15_000, (0..240).map(f64::from));
    let steps = Steps { start: 600_000, end: 720_000, step_ms: 60_000 };
    // The numbers of Prometheus 3.14.
    for (text, queryable, read) in [
        ("1", [0, 0, 0], [0, 0, 0]),
        ("x", [1, 1, 1], [1, 1, 1]),
        ("abs(timestamp(x)) - 1", [1, 1, 1], [1, 1, 1]),
        ("sum by (a) (x) * scalar(x)", [2, 2, 2], [2, 2, 2]),
        ("x @ end() + x", [2, 2, 2], [2, 1, 1]),
        ("rate(x[5m])", [20, 20, 20], [20, 4, 4]),
        ("sum(rate(x[30s]))", [2, 2, 2], [2, 2, 2]),
        ("rate(x[5m] @ 600)", [20, 20, 20], [20, 0, 0]),
        ("absent_over_time(x[1m])", [4, 4, 4], [4, 4, 4]),
        // Of a subquery the function sees its points, and each of them took a sample to read.
        ("max_over_time(x[2m:30s])", [4, 4, 4], [4, 2, 2]),
        ("max_over_time(rate(x[1m])[2m:30s])", [4, 4, 4], [10, 4, 4]),
    ] {
        let query = Query::parse(text, &TextLimits::default()).unwrap().with_sample_counts();
        let budget = Budget::unlimited();
        let answer = query.range(steps, &Context { store: &store, budget: &budget, lookback_ms: 300_000 }).unwrap();
        let counts = answer.samples.unwrap();
        assert_eq!((counts.queryable.as_slice(), counts.read.as_slice()), (&queryable[..], &read[..]), "{text}");
    }
}

#[test]
fn names_are_dropped_at_once_unless_told_otherwise() {
    let store = Memory::default().with(&[("__name__", "x_total"), ("a", "b")], 60_000, (0..11).map(f64::from)).with(
        &[("__name__", "y_total"), ("a", "b")],
        60_000,
        (0..11).map(f64::from),
    );
    let run = |query: Query| {
        let budget = Budget::unlimited();
        match query.instant(600_000, &Context { store: &store, budget: &budget, lookback_ms: 300_000 }) {
            Ok(Answer { value: Value::Vector(vector), .. }) => {
                vector.iter().map(|s| s.labels.to_string()).collect::<Vec<_>>().join(" ")
            }
            Ok(other) => panic!("not a vector: {other:?}"),
            Err(error) => error.to_string(),
        }
    };
    let twins = "vector cannot contain metrics with the same labelset";
    for (text, at_once, late) in [
        ("{a=\"b\"}", r#"x_total{a="b"} y_total{a="b"}"#, r#"x_total{a="b"} y_total{a="b"}"#),
        ("-{a=\"b\"}", twins, twins),
        ("rate({a=\"b\"}[5m])", twins, twins),
        ("sum(rate({a=\"b\"}[5m]))", twins, "{}"),
        ("abs(x_total) or abs(y_total)", r#"{a="b"}"#, r#"{a="b"}"#),
        ("sum by (__name__) (rate({a=\"b\"}[5m]) * 2)", twins, twins),
        (
            "label_replace(rate(x_total[5m]), \"n\", \"$1\", \"__name__\", \"(.*)\")",
            r#"{a="b"}"#,
            r#"{a="b", n="x_total"}"#,
        ),
        ("last_over_time(x_total[5m]) > 1", r#"x_total{a="b"}"#, r#"x_total{a="b"}"#),
        ("x_total > bool 1", r#"{a="b"}"#, r#"{a="b"}"#),
    ] {
        let query = Query::parse(text, &TextLimits::default()).unwrap();
        assert_eq!(run(query.clone()), at_once, "{text}");
        assert_eq!(run(query.with_late_names()), late, "{text} with late names");
    }
}

#[test]
fn type_and_unit_go_with_the_name_when_told_so() {
    let gauge = [("__name__", "x_total"), ("__type__", "gauge"), ("__unit__", "s"), ("a", "b")];
    let store = Memory::default().with(&gauge, 60_000, (0..11).map(f64::from));
    let run = |query: Query| {
        let budget = Budget::unlimited();
        let answer = query.instant(600_000, &Context { store: &store, budget: &budget, lookback_ms: 300_000 }).unwrap();
        let Value::Vector(vector) = answer.value else { panic!("not a vector") };
        (vector[0].labels.to_string(), answer.infos)
    };
    let info = "PromQL info: metric might not be a counter, __type__ label is not set to \"counter\" or \"histogram\", \
                got \"gauge\": \"x_total\" (1:6)";
    for (text, kept, dropped, infos) in [
        ("x_total > 1", r#"x_total{__type__="gauge", __unit__="s", a="b"}"#, None, vec![]),
        ("-x_total", r#"{__type__="gauge", __unit__="s", a="b"}"#, Some(r#"{a="b"}"#), vec![]),
        ("x_total / x_total", r#"{__type__="gauge", __unit__="s", a="b"}"#, Some(r#"{a="b"}"#), vec![]),
        ("rate(x_total[5m])", r#"{__type__="gauge", __unit__="s", a="b"}"#, Some(r#"{a="b"}"#), vec![info.to_owned()]),
        ("sum without (a) (rate(x_total[5m] smoothed))", r#"{__type__="gauge", __unit__="s"}"#, Some("{}"), vec![]),
    ] {
        let query = Query::parse(text, &TextLimits::default()).unwrap();
        assert_eq!(run(query.clone()), (kept.to_owned(), vec![]), "{text}");
        let (labels, found) = run(query.with_type_and_unit_labels());
        assert_eq!(labels, dropped.unwrap_or(kept), "{text} with types and units");
        assert!(infos.is_empty() || infos == found, "{text}: {found:?}");
    }
}

#[test]
fn large_selections_are_folded_in_chunks_with_the_same_result() {
    let mut store = Memory::default();
    for idx in 0..200 {
        let label = idx.to_string();
        store = store.with(&[("__name__", "x"), ("a", &label)], 15_000, (0..2000).map(|v| f64::from(v * idx) * 0.1));
    }
    let steps = Steps { start: 0, end: 30_000_000, step_ms: 60_000 };
    let run = |text: &str| {
        let query = Query::parse(text, &TextLimits::default()).unwrap();
        let budget = Budget::unlimited();
        query.range(steps, &Context { store: &store, budget: &budget, lookback_ms: 300_000 }).unwrap().value
    };
    for op in ["sum", "avg", "min", "max", "count", "group", "stddev", "stdvar"] {
        let folded = run(&format!("{op}(x)"));
        assert_eq!(folded, run(&format!("{op}(x)")), "{op} differs from run to run");
        // `or` keeps the vector from being folded while it is read.
        let (Value::Matrix(folded), Value::Matrix(plain)) = (folded, run(&format!("{op}(x or y)"))) else {
            panic!("not matrices")
        };
        let pairs = folded[0].columns.values.iter().zip(&plain[0].columns.values);
        assert_eq!(folded[0].columns.timestamps, plain[0].columns.timestamps);
        for (a, b) in pairs {
            assert!((a - b).abs() <= 1e-9 * a.abs().max(1.0), "{op}: {a} and {b}");
        }
    }
}
