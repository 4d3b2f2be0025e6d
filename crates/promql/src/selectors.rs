//! Which series a query names, without evaluating it.

use model::Matcher;

use crate::expr::Expr;

/// The matchers of each selector in `expr`, in the order written.
pub(crate) fn selectors(expr: &Expr) -> Vec<Vec<Matcher>> {
    let mut found = Vec::new();
    collect(expr, &mut found);
    found
}

fn collect(expr: &Expr, found: &mut Vec<Vec<Matcher>>) {
    match expr {
        Expr::Number { .. } | Expr::Text { .. } => {}
        Expr::Selector(selector) => found.push(selector.matchers.clone()),
        Expr::Range(range) => found.push(range.selector.matchers.clone()),
        Expr::Subquery(subquery) => collect(&subquery.expr, found),
        Expr::Call(call) => call.args.iter().for_each(|arg| collect(arg, found)),
        Expr::Aggregate(aggregate) => {
            aggregate.param.iter().for_each(|param| collect(param, found));
            collect(&aggregate.expr, found);
        }
        Expr::Binary(binary) => {
            collect(&binary.lhs, found);
            collect(&binary.rhs, found);
        }
        Expr::Negate(_, inner) | Expr::Paren(_, inner) | Expr::Invariant(inner) => collect(inner, found),
    }
}

#[cfg(test)]
mod tests {
    use crate::{Query, TextLimits};

    #[test]
    fn every_selector_is_found_wherever_it_stands() {
        for (text, expect) in [
            ("1 + 1", ""),
            ("-(up)", r#"{__name__="up"}"#),
            (r#"rate(a{x="1"}[5m] offset 1h) / b"#, r#"{__name__="a", x="1"} {__name__="b"}"#),
            ("topk(scalar(k), sum(max_over_time(c[1h:1m] @ 7)))", r#"{__name__="k"} {__name__="c"}"#),
            (r#"histogram_quantile(0.9, {__name__=~"d|e"})"#, r#"{__name__=~"d|e"}"#),
        ] {
            let sets = Query::parse(text, &TextLimits::default()).unwrap().selectors().unwrap();
            let mut shown: Vec<String> = Vec::new();
            for set in sets {
                let mut matchers: Vec<String> = set.iter().map(ToString::to_string).collect();
                matchers.sort();
                shown.push(format!("{{{}}}", matchers.join(", ")));
            }
            assert_eq!(shown.join(" "), expect, "{text}");
        }
    }
}
