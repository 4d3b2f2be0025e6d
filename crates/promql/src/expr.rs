//! The expression tree that the evaluator walks; it knows nothing of the parser it came from.

use model::{Matcher, Timestamp};

use crate::functions::Function;
use crate::span::Span;

/// The type of an expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueType {
    /// One number at each step.
    Scalar,
    /// A set of series with one point at each step.
    Vector,
    /// A set of series with a range of samples at each step.
    Matrix,
    /// A text.
    String,
}

impl ValueType {
    /// The name Prometheus' errors use.
    pub fn describe(self) -> &'static str {
        match self {
            ValueType::Scalar => "scalar",
            ValueType::Vector => "instant vector",
            ValueType::Matrix => "range vector",
            ValueType::String => "string",
        }
    }
}

/// Where an expression starts in the query text, in bytes; 0 when that is not known.
pub(crate) type Offset = usize;

/// A PromQL expression.
#[derive(Clone, Debug)]
pub(crate) enum Expr {
    Number {
        value: f64,
        at: Offset,
    },
    Text {
        text: String,
        /// As it was written, quotes included.
        literal: String,
        at: Offset,
    },
    Selector(Selector),
    Range(RangeSelector),
    Subquery(Box<Subquery>),
    Call(Call),
    Aggregate(Box<Aggregate>),
    Binary(Box<Binary>),
    /// With the place of the sign.
    Negate(Offset, Box<Expr>),
    /// With the place of the opening parenthesis.
    Paren(Offset, Box<Expr>),
    /// A part that has one value for all steps: made by `prepare`, evaluated once.
    Invariant(Box<Expr>),
}

/// What `@` pins a selector to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum At {
    Time(Timestamp),
    Start,
    End,
}

/// How a selector uses the samples around its time or range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// The last sample before a range counts as its start.
    Anchored,
    /// Values are interpolated.
    Smoothed,
}

impl Extent {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Extent::Anchored => "anchored",
            Extent::Smoothed => "smoothed",
        }
    }

    /// The modifier of that name, in any case.
    pub(crate) fn parse(name: &str) -> Option<Extent> {
        [Extent::Anchored, Extent::Smoothed].into_iter().find(|extent| extent.as_str().eq_ignore_ascii_case(name))
    }
}

/// An instant vector selector.
#[derive(Clone, Debug)]
pub(crate) struct Selector {
    /// Position among the query's selectors, in source order.
    pub(crate) selector_idx: usize,
    /// The metric name, when it was written before the braces.
    pub(crate) name: Option<String>,
    /// All matchers, the name's among them.
    pub(crate) matchers: Vec<Matcher>,
    pub(crate) offset: Span,
    pub(crate) pinned: Option<At>,
    pub(crate) extent: Option<Extent>,
    /// Whether nobody looks at the buckets of its histograms: then they are left out, and consecutive histograms say
    /// themselves if one resets the other.
    pub(crate) statistics_only: bool,
    pub(crate) at: Offset,
}

/// A range vector selector.
#[derive(Clone, Debug)]
pub(crate) struct RangeSelector {
    pub(crate) selector: Selector,
    pub(crate) range: Span,
}

/// `expr[range:step]`.
#[derive(Clone, Debug)]
pub(crate) struct Subquery {
    pub(crate) expr: Expr,
    pub(crate) range: Span,
    pub(crate) step: Option<Span>,
    pub(crate) offset: Span,
    pub(crate) pinned: Option<At>,
}

/// The step of a subquery that names none. Source: Prometheus' default evaluation interval.
const SUBQUERY_STEP_MS: i64 = 60_000;

impl Subquery {
    pub(crate) fn step_ms(&self) -> i64 {
        self.step.as_ref().map_or(SUBQUERY_STEP_MS, |step| step.ms)
    }
}

/// A function call.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) function: &'static Function,
    pub(crate) args: Vec<Expr>,
    pub(crate) at: Offset,
}

/// An aggregation operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AggregateOp {
    Sum,
    Avg,
    Min,
    Max,
    Count,
    Group,
    Stddev,
    Stdvar,
    Topk,
    Bottomk,
    Quantile,
    CountValues,
    Limitk,
    LimitRatio,
}

impl AggregateOp {
    pub(crate) const ALL: [AggregateOp; 14] = [
        AggregateOp::Sum,
        AggregateOp::Avg,
        AggregateOp::Min,
        AggregateOp::Max,
        AggregateOp::Count,
        AggregateOp::Group,
        AggregateOp::Stddev,
        AggregateOp::Stdvar,
        AggregateOp::Topk,
        AggregateOp::Bottomk,
        AggregateOp::Quantile,
        AggregateOp::CountValues,
        AggregateOp::Limitk,
        AggregateOp::LimitRatio,
    ];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            AggregateOp::Sum => "sum",
            AggregateOp::Avg => "avg",
            AggregateOp::Min => "min",
            AggregateOp::Max => "max",
            AggregateOp::Count => "count",
            AggregateOp::Group => "group",
            AggregateOp::Stddev => "stddev",
            AggregateOp::Stdvar => "stdvar",
            AggregateOp::Topk => "topk",
            AggregateOp::Bottomk => "bottomk",
            AggregateOp::Quantile => "quantile",
            AggregateOp::CountValues => "count_values",
            AggregateOp::Limitk => "limitk",
            AggregateOp::LimitRatio => "limit_ratio",
        }
    }

    /// The operator of that name, in any case.
    pub(crate) fn parse(name: &str) -> Option<AggregateOp> {
        AggregateOp::ALL.into_iter().find(|op| op.as_str().eq_ignore_ascii_case(name))
    }
}

/// `op by|without (labels) (param, expr)`.
#[derive(Clone, Debug)]
pub(crate) struct Aggregate {
    pub(crate) op: AggregateOp,
    pub(crate) expr: Expr,
    pub(crate) param: Option<Expr>,
    pub(crate) grouping: Grouping,
    pub(crate) at: Offset,
}

/// Which labels survive.
#[derive(Clone, Debug, Default)]
pub(crate) struct Grouping {
    pub(crate) without: bool,
    /// In the order written.
    pub(crate) labels: Vec<String>,
}

/// A binary operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BinaryOp {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Pow,
    Atan2,
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    /// Cuts a histogram off above a number.
    TrimUpper,
    /// Cuts a histogram off below a number.
    TrimLower,
    And,
    Or,
    Unless,
}

impl BinaryOp {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            BinaryOp::Add => "+",
            BinaryOp::Sub => "-",
            BinaryOp::Mul => "*",
            BinaryOp::Div => "/",
            BinaryOp::Mod => "%",
            BinaryOp::Pow => "^",
            BinaryOp::Atan2 => "atan2",
            BinaryOp::Equal => "==",
            BinaryOp::NotEqual => "!=",
            BinaryOp::Less => "<",
            BinaryOp::LessEqual => "<=",
            BinaryOp::Greater => ">",
            BinaryOp::GreaterEqual => ">=",
            BinaryOp::TrimUpper => "</",
            BinaryOp::TrimLower => ">/",
            BinaryOp::And => "and",
            BinaryOp::Or => "or",
            BinaryOp::Unless => "unless",
        }
    }

    pub(crate) fn is_comparison(self) -> bool {
        use BinaryOp::{Equal, Greater, GreaterEqual, Less, LessEqual, NotEqual};
        matches!(self, Equal | NotEqual | Less | LessEqual | Greater | GreaterEqual)
    }

    pub(crate) fn is_set(self) -> bool {
        matches!(self, BinaryOp::And | BinaryOp::Or | BinaryOp::Unless)
    }

    /// Whether the result is no longer what the metric name says.
    pub(crate) fn drops_name(self) -> bool {
        !self.is_comparison() && !self.is_set() && !self.is_trim()
    }

    pub(crate) fn is_trim(self) -> bool {
        matches!(self, BinaryOp::TrimUpper | BinaryOp::TrimLower)
    }
}

/// `lhs op rhs`.
#[derive(Clone, Debug)]
pub(crate) struct Binary {
    pub(crate) op: BinaryOp,
    pub(crate) lhs: Expr,
    pub(crate) rhs: Expr,
    pub(crate) matching: Matching,
    pub(crate) returns_bool: bool,
}

/// How the series of two vectors find each other.
#[derive(Clone, Debug, Default)]
pub(crate) struct Matching {
    /// `on` rather than `ignoring`.
    pub(crate) on: bool,
    /// In the order written.
    pub(crate) labels: Vec<String>,
    /// Whether `on` or `ignoring` was written.
    pub(crate) written: bool,
    pub(crate) cardinality: Cardinality,
    /// Labels that `group_left` or `group_right` takes from the one side.
    pub(crate) include: Vec<String>,
    pub(crate) fill: Fill,
}

/// The values of points that a match lacks on one side.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Fill {
    pub(crate) left: Option<f64>,
    pub(crate) right: Option<f64>,
}

impl Fill {
    pub(crate) fn is_given(self) -> bool {
        self.left.is_some() || self.right.is_some()
    }
}

/// How many series of each side may share a match.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Cardinality {
    #[default]
    OneToOne,
    ManyToOne,
    OneToMany,
    ManyToMany,
}

impl Expr {
    /// The type of the expression's value.
    pub(crate) fn value_type(&self) -> ValueType {
        match self {
            Expr::Number { .. } => ValueType::Scalar,
            Expr::Text { .. } => ValueType::String,
            Expr::Selector(_) | Expr::Aggregate(_) => ValueType::Vector,
            Expr::Range(_) | Expr::Subquery(_) => ValueType::Matrix,
            Expr::Call(call) => call.function.returns,
            Expr::Binary(binary) => match (binary.lhs.value_type(), binary.rhs.value_type()) {
                (ValueType::Scalar, ValueType::Scalar) => ValueType::Scalar,
                _ => ValueType::Vector,
            },
            Expr::Negate(_, inner) | Expr::Paren(_, inner) | Expr::Invariant(inner) => inner.value_type(),
        }
    }

    /// Where the expression starts.
    pub(crate) fn at(&self) -> Offset {
        match self {
            Expr::Number { at, .. } | Expr::Text { at, .. } => *at,
            Expr::Selector(selector) => selector.at,
            Expr::Range(range) => range.selector.at,
            Expr::Subquery(subquery) => subquery.expr.at(),
            Expr::Call(call) => call.at,
            Expr::Aggregate(aggregate) => aggregate.at,
            Expr::Binary(binary) => binary.lhs.at(),
            Expr::Negate(at, _) | Expr::Paren(at, _) => *at,
            Expr::Invariant(inner) => inner.at(),
        }
    }

    /// The expression without the parentheses and marks around it.
    pub(crate) fn bare(&self) -> &Expr {
        match self {
            Expr::Paren(_, inner) | Expr::Invariant(inner) => inner.bare(),
            other => other,
        }
    }
}
