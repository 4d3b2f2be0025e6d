//! The tree of an expression as JSON, in the shape that Prometheus' `parse_query` answers and its tree views read.

use model::Matcher;
use serde_json::{Value, json};

use crate::ValueType;
use crate::expr::{At, Binary, Call, Cardinality, Expr, Extent, Selector};
use crate::functions::{Function, Optional};
use crate::print::number_text;

/// The node of `expr` and all below it.
///
/// Source: Prometheus `web/api/v1/translate_ast.go`. A length of time that follows the query is 0, as it is there.
pub(crate) fn node(expr: &Expr) -> Value {
    match expr {
        Expr::Number { value, .. } => of_kind("numberLiteral", [("val", number_text(*value).into())]),
        Expr::Text { text, .. } => of_kind("stringLiteral", [("val", text.as_str().into())]),
        Expr::Selector(selector) => series("vectorSelector", selector, None),
        Expr::Range(range) => series("matrixSelector", &range.selector, Some(range.range.ms)),
        Expr::Subquery(subquery) => of_kind(
            "subquery",
            [
                ("expr", node(&subquery.expr)),
                ("range", subquery.range.ms.into()),
                ("step", subquery.step.as_ref().map_or(0, |step| step.ms).into()),
                ("offset", subquery.offset.ms.into()),
                ("timestamp", timestamp(subquery.pinned).into()),
                ("startOrEnd", start_or_end(subquery.pinned).into()),
            ],
        ),
        Expr::Call(call) => call_node(call),
        Expr::Aggregate(aggregate) => of_kind(
            "aggregation",
            [
                ("op", aggregate.op.as_str().into()),
                ("expr", node(&aggregate.expr)),
                ("param", aggregate.param.as_ref().map_or(Value::Null, node)),
                ("grouping", aggregate.grouping.labels.clone().into()),
                ("without", aggregate.grouping.without.into()),
            ],
        ),
        Expr::Binary(binary) => binary_node(binary),
        Expr::Negate(_, inner) => of_kind("unaryExpr", [("op", "-".into()), ("expr", node(inner))]),
        Expr::Paren(_, inner) => of_kind("parenExpr", [("expr", node(inner))]),
        Expr::Invariant(inner) => node(inner),
    }
}

/// A node. Its parts are moved into it: `json!` would copy all that is below, at every level once more.
fn of_kind<const N: usize>(kind: &str, parts: [(&str, Value); N]) -> Value {
    let all = parts.into_iter().chain([("type", kind.into())]);
    Value::Object(all.map(|(name, part)| (name.to_owned(), part)).collect())
}

fn series(kind: &str, selector: &Selector, range_ms: Option<i64>) -> Value {
    let mut node = of_kind(
        kind,
        [
            ("name", selector.name.as_deref().unwrap_or("").into()),
            ("offset", selector.offset.ms.into()),
            ("matchers", selector.matchers.iter().map(matcher).collect()),
            ("timestamp", timestamp(selector.pinned).into()),
            ("startOrEnd", start_or_end(selector.pinned).into()),
            ("anchored", (selector.extent == Some(Extent::Anchored)).into()),
            ("smoothed", (selector.extent == Some(Extent::Smoothed)).into()),
        ],
    );
    if let (Some(range_ms), Some(members)) = (range_ms, node.as_object_mut()) {
        members.insert("range".to_owned(), range_ms.into());
    }
    node
}

fn matcher(matcher: &Matcher) -> Value {
    json!({"name": matcher.name(), "value": matcher.value(), "type": matcher.op().as_str()})
}

fn timestamp(pinned: Option<At>) -> Option<i64> {
    match pinned {
        Some(At::Time(t)) => Some(t),
        Some(At::Start | At::End) | None => None,
    }
}

fn start_or_end(pinned: Option<At>) -> Option<&'static str> {
    match pinned {
        Some(At::Start) => Some("start"),
        Some(At::End) => Some("end"),
        Some(At::Time(_)) | None => None,
    }
}

fn call_node(call: &Call) -> Value {
    let Function { name, args, optional, returns, .. } = call.function;
    let variadic = match optional {
        Optional::Nothing => 0,
        Optional::LastUpTo(times) => i64::try_from(*times).unwrap_or(i64::MAX),
        Optional::LastRepeated => -1,
    };
    let types: Vec<&str> = args.iter().map(|arg| type_name(*arg)).collect();
    let function = json!({"name": name, "argTypes": types, "variadic": variadic, "returnType": type_name(*returns)});
    of_kind("call", [("func", function), ("args", call.args.iter().map(node).collect())])
}

fn binary_node(binary: &Binary) -> Value {
    let is_vector = |side: &Expr| side.value_type() == ValueType::Vector;
    // Where one side is a number, nothing is matched.
    let matching = (is_vector(&binary.lhs) && is_vector(&binary.rhs)).then(|| {
        let matching = &binary.matching;
        json!({
            "card": match matching.cardinality {
                Cardinality::OneToOne => "one-to-one",
                Cardinality::ManyToOne => "many-to-one",
                Cardinality::OneToMany => "one-to-many",
                Cardinality::ManyToMany => "many-to-many",
            },
            "labels": matching.labels,
            "on": matching.on,
            "include": matching.include,
            "fillValues": {"lhs": matching.fill.left, "rhs": matching.fill.right},
        })
    });
    of_kind(
        "binaryExpr",
        [
            ("op", binary.op.as_str().into()),
            ("lhs", node(&binary.lhs)),
            ("rhs", node(&binary.rhs)),
            ("matching", matching.unwrap_or_default()),
            ("bool", binary.returns_bool.into()),
        ],
    )
}

fn type_name(value_type: ValueType) -> &'static str {
    match value_type {
        ValueType::Scalar => "scalar",
        ValueType::Vector => "vector",
        ValueType::Matrix => "matrix",
        ValueType::String => "string",
    }
}
