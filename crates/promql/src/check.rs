//! Types: which expression may stand where. The messages are those of Prometheus.

use crate::ParseError;
use crate::expr::{Aggregate, AggregateOp, Binary, Call, Cardinality, Expr, ValueType};

/// Checks `expr` and all below it.
pub(crate) fn check(source: &str, expr: &Expr) -> Result<(), ParseError> {
    let checker = Checker { source };
    checker.expr(expr).map(|_| ())
}

struct Checker<'a> {
    source: &'a str,
}

impl Checker<'_> {
    fn refuse<T>(&self, expr: &Expr, message: String) -> Result<T, ParseError> {
        Err(ParseError::at(self.source, expr.at(), message))
    }

    fn expect(&self, expr: &Expr, found: ValueType, wanted: ValueType, context: &str) -> Result<(), ParseError> {
        if found == wanted {
            return Ok(());
        }
        let message = format!("expected type {} in {context}, got {}", wanted.describe(), found.describe());
        self.refuse(expr, message)
    }

    fn expr(&self, expr: &Expr) -> Result<ValueType, ParseError> {
        match expr {
            Expr::Number { .. } => Ok(ValueType::Scalar),
            Expr::Text { .. } => Ok(ValueType::String),
            Expr::Selector(_) => Ok(ValueType::Vector),
            Expr::Range(_) => Ok(ValueType::Matrix),
            Expr::Paren(_, inner) | Expr::Invariant(inner) => self.expr(inner),
            Expr::Negate(_, inner) => match self.expr(inner)? {
                found @ (ValueType::Scalar | ValueType::Vector) => Ok(found),
                found => {
                    let what = "unary expression only allowed on expressions of type scalar or instant vector";
                    self.refuse(inner, format!("{what}, got {:?}", found.describe()))
                }
            },
            Expr::Subquery(subquery) => match self.expr(&subquery.expr)? {
                ValueType::Vector => Ok(ValueType::Matrix),
                found => {
                    let what = "subquery is only allowed on instant vector";
                    self.refuse(&subquery.expr, format!("{what}, got {} instead", found.describe()))
                }
            },
            Expr::Call(call) => self.call(expr, call),
            Expr::Aggregate(aggregate) => self.aggregate(aggregate),
            Expr::Binary(binary) => self.binary(expr, binary),
        }
    }

    fn call(&self, expr: &Expr, call: &Call) -> Result<ValueType, ParseError> {
        let function = call.function;
        let (name, n) = (function.name, call.args.len());
        let (least, most) = function.arity();
        if n < least || most.is_some_and(|most| n > most) {
            let bound = match most {
                Some(most) if most == least => format!("{least}"),
                _ if n < least => format!("at least {least}"),
                most => format!("at most {}", most.unwrap_or(usize::MAX)),
            };
            return self.refuse(expr, format!("expected {bound} argument(s) in call to {name:?}, got {n}"));
        }
        for (idx, arg) in call.args.iter().enumerate() {
            let found = self.expr(arg)?;
            let wanted = function.arg_type(idx);
            self.expect(arg, found, wanted, &format!("call to function {name:?}"))?;
        }
        if let ("info", Some(labels)) = (name, call.args.get(1)) {
            match labels {
                Expr::Selector(selector) if selector.name.is_none() => {}
                other => return self.refuse(other, "expected label selectors only".to_owned()),
            }
        }
        Ok(function.returns)
    }

    fn aggregate(&self, aggregate: &Aggregate) -> Result<ValueType, ParseError> {
        let found = self.expr(&aggregate.expr)?;
        self.expect(&aggregate.expr, found, ValueType::Vector, "aggregation expression")?;
        if let Some(param) = &aggregate.param {
            let found = self.expr(param)?;
            let wanted = if aggregate.op == AggregateOp::CountValues { ValueType::String } else { ValueType::Scalar };
            self.expect(param, found, wanted, "aggregation parameter")?;
        }
        Ok(ValueType::Vector)
    }

    fn binary(&self, expr: &Expr, binary: &Binary) -> Result<ValueType, ParseError> {
        let (lhs, rhs) = (self.expr(&binary.lhs)?, self.expr(&binary.rhs)?);
        let op = binary.op;
        for (side, found) in [(&binary.lhs, lhs), (&binary.rhs, rhs)] {
            if !matches!(found, ValueType::Scalar | ValueType::Vector) {
                let what = "binary expression must contain only scalar and instant vector types";
                return self.refuse(side, what.to_owned());
            }
        }
        let both_vectors = lhs == ValueType::Vector && rhs == ValueType::Vector;
        let both_scalars = lhs == ValueType::Scalar && rhs == ValueType::Scalar;
        if binary.returns_bool && !op.is_comparison() {
            return self.refuse(expr, "bool modifier can only be used on comparison operators".to_owned());
        }
        if op.is_comparison() && both_scalars && !binary.returns_bool {
            return self.refuse(expr, "comparisons between scalars must use BOOL modifier".to_owned());
        }
        if op.is_set() && !both_vectors {
            let message = format!("set operator {:?} not allowed in binary scalar expression", op.as_str());
            return self.refuse(expr, message);
        }
        let matching = &binary.matching;
        if !both_vectors && matching.written && !matching.labels.is_empty() {
            return self.refuse(expr, "vector matching only allowed between instant vectors".to_owned());
        }
        if !both_vectors && matching.fill.is_given() {
            let message = "filling in missing series only allowed between instant vectors";
            return self.refuse(expr, message.to_owned());
        }
        if op.is_set() && matching.cardinality != Cardinality::ManyToMany {
            return self.refuse(expr, format!("no grouping allowed for {:?} operation", op.as_str()));
        }
        if op.is_set() && matching.fill.is_given() {
            return self.refuse(expr, "filling in missing series not allowed for set operators".to_owned());
        }
        if matching.on
            && let Some(label) = matching.labels.iter().find(|label| matching.include.contains(label))
        {
            let message = format!("label {label:?} must not occur in ON and GROUP clause at once");
            return self.refuse(expr, message);
        }
        Ok(if both_scalars { ValueType::Scalar } else { ValueType::Vector })
    }
}
