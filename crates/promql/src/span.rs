//! Lengths of time that a query computes: `[2m * 15]`, `offset (step() / 2)`.

/// Longest duration, in ms: about 292 years, far from where sums of times overflow.
pub(crate) const DURATION_MS_MAX: i64 = i64::MAX / 1_000_000;

/// A length of time.
///
/// Q: Why both? A: most are known from the text alone; those that follow the query's step or range get their `ms`
/// anew before each evaluation, and nothing else has to know.
#[derive(Clone, Debug, Default)]
pub(crate) struct Span {
    pub(crate) ms: i64,
    /// How to compute it, when it is not known from the text.
    pub(crate) expr: Option<Box<SpanExpr>>,
}

/// An expression whose value is a number of seconds.
#[derive(Clone, Debug)]
pub(crate) enum SpanExpr {
    Seconds(f64),
    /// The distance of the query's steps.
    Step,
    /// The length of the query's time range.
    Range,
    Negate(Box<SpanExpr>),
    Binary(SpanOp, Box<SpanExpr>, Box<SpanExpr>),
}

/// What joins two lengths of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SpanOp {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Pow,
    Lesser,
    Greater,
}

impl SpanOp {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            SpanOp::Add => "+",
            SpanOp::Sub => "-",
            SpanOp::Mul => "*",
            SpanOp::Div => "/",
            SpanOp::Mod => "%",
            SpanOp::Pow => "^",
            SpanOp::Lesser => "min_of",
            SpanOp::Greater => "max_of",
        }
    }
}

impl SpanExpr {
    pub(crate) fn negated(self) -> SpanExpr {
        match self {
            SpanExpr::Seconds(seconds) => SpanExpr::Seconds(-seconds),
            expr => SpanExpr::Negate(Box::new(expr)),
        }
    }

    /// Whether the value is the same in every query.
    pub(crate) fn is_constant(&self) -> bool {
        match self {
            SpanExpr::Seconds(_) => true,
            SpanExpr::Step | SpanExpr::Range => false,
            SpanExpr::Negate(inner) => inner.is_constant(),
            SpanExpr::Binary(_, lhs, rhs) => lhs.is_constant() && rhs.is_constant(),
        }
    }

    /// The value in seconds, in a query of this step and this range.
    fn seconds(&self, step_ms: i64, range_ms: i64) -> Result<f64, &'static str> {
        Ok(match self {
            SpanExpr::Seconds(seconds) => *seconds,
            SpanExpr::Step => step_ms as f64 / 1000.0,
            SpanExpr::Range => range_ms as f64 / 1000.0,
            SpanExpr::Negate(inner) => -inner.seconds(step_ms, range_ms)?,
            SpanExpr::Binary(op, lhs, rhs) => {
                let (lhs, rhs) = (lhs.seconds(step_ms, range_ms)?, rhs.seconds(step_ms, range_ms)?);
                match op {
                    SpanOp::Add => lhs + rhs,
                    SpanOp::Sub => lhs - rhs,
                    SpanOp::Mul => lhs * rhs,
                    SpanOp::Div if rhs == 0.0 => return Err("division by zero"),
                    SpanOp::Div => lhs / rhs,
                    SpanOp::Mod if rhs == 0.0 => return Err("modulo by zero"),
                    SpanOp::Mod => lhs % rhs,
                    SpanOp::Pow => lhs.powf(rhs),
                    SpanOp::Lesser if lhs.is_nan() || rhs.is_nan() => f64::NAN,
                    SpanOp::Lesser => lhs.min(rhs),
                    SpanOp::Greater if lhs.is_nan() || rhs.is_nan() => f64::NAN,
                    SpanOp::Greater => lhs.max(rhs),
                }
            }
        })
    }

    /// The value in whole milliseconds; `step_ms` and `range_ms` are those of the query.
    pub(crate) fn ms(&self, step_ms: i64, range_ms: i64) -> Result<i64, &'static str> {
        let seconds = self.seconds(step_ms, range_ms)?;
        let literal = matches!(self, SpanExpr::Seconds(_));
        if seconds.is_nan() || (seconds.is_infinite() && !literal) {
            return Err("duration is NaN or infinite");
        }
        // A literal is rounded; what is computed is cut off, as Prometheus does.
        let exact = seconds * 1000.0;
        let whole = if literal { exact.round() } else { exact.trunc() };
        if whole.abs() > DURATION_MS_MAX as f64 {
            return Err("duration out of range");
        }
        #[expect(clippy::cast_possible_truncation, reason = "checked to be in range")]
        Ok(whole as i64)
    }
}
