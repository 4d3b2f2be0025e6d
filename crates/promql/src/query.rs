//! A query from its text to its answer.

use std::borrow::Cow;
use std::sync::{Mutex, PoisonError};

use model::{
    Budget, Columns, InstantSeries, Labels, Matcher, Point, Queryable, RangeSeries, TimeRange, Timestamp, Value,
};

use crate::annotation::Notes;
use crate::eval::{
    Column, Evaluator, Grid, Naming, PointRef, QuerySpan, STEPS_MAX, SampleCounts, Selections, Series, Tallies, samples,
};
use crate::expr::{AggregateOp, Expr, RangeSelector};
use crate::functions::extend;
use crate::functions::order::decides_order;
use crate::lower::Lowered;
use crate::pretty::pretty;
use crate::selectors::selectors;
use crate::settle::settle;
use crate::stack::{depth, with_stack};
use crate::{EvalError, ParseError, TextLimits, ValueType, ast, check, lower, prepare, scan};

/// A parsed and checked query, to be evaluated any number of times.
#[derive(Clone, Debug)]
pub struct Query {
    text: String,
    expr: Expr,
    n_selectors: usize,
    /// Whether a length of time in the expression has to be computed for each evaluation.
    follows_query: bool,
    depth: usize,
    late_names: bool,
    start_timestamps: bool,
    counts_samples: bool,
    naming: Naming,
}

/// The steps of a range query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Steps {
    /// First step.
    pub start: Timestamp,
    /// No step is after it.
    pub end: Timestamp,
    /// Distance in ms, at least 1.
    pub step_ms: i64,
}

/// What a query is evaluated with.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// Where series come from.
    pub store: &'a dyn Queryable,
    /// What the query may use.
    pub budget: &'a Budget,
    /// How far back a selector looks for a sample, in ms.
    pub lookback_ms: i64,
}

/// A query's result and what to know about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The result.
    pub value: Value,
    /// Why it may be wrong or incomplete.
    pub warnings: Vec<String>,
    /// Why it may not be what was meant.
    pub infos: Vec<String>,
    /// Samples looked at, if the query was to count them.
    pub samples: Option<SampleCounts>,
}

/// Reads a bare selector such as `up{job="a"}`: what `match[]` holds.
pub fn parse_selector(text: &str) -> Result<Vec<Matcher>, ParseError> {
    let query = Query::parse(text, &TextLimits::default())?;
    match &query.expr {
        Expr::Selector(selector)
            if selector.offset.ms == 0
                && selector.offset.expr.is_none()
                && selector.pinned.is_none()
                && selector.extent.is_none() =>
        {
            Ok(selector.matchers.clone())
        }
        other => Err(ParseError::at(text, other.at(), "expected a series selector without modifiers")),
    }
}

impl Query {
    /// Parses and checks a query.
    ///
    /// Errors: texts beyond `limits`, and what Prometheus would refuse.
    pub fn parse(text: &str, limits: &TextLimits) -> Result<Query, ParseError> {
        limits.check_length(text)?;
        let tokens = scan::scan(text)?;
        limits.check_tokens(text, &tokens)?;
        // Every level of the tree stems from at least one token.
        let parsed = with_stack(tokens.len() / 2, || {
            let Lowered { expr, n_selectors, follows_query } = lower::parse(text, &tokens)?;
            check::check(text, &expr)?;
            let expr = prepare::prepare(expr);
            let depth = depth(&expr);
            Ok(Query {
                text: text.to_owned(),
                expr,
                n_selectors,
                follows_query,
                depth,
                late_names: false,
                start_timestamps: false,
                counts_samples: false,
                naming: Naming::default(),
            })
        });
        parsed.unwrap_or_else(|message| Err(ParseError::at(text, 0, message)))
    }

    /// Keeps metric names through the evaluation and drops them from the answer, as Prometheus does with its feature
    /// `promql-delayed-name-removal`. By default a name goes when the value is no longer what it names.
    #[must_use]
    pub fn with_late_names(mut self) -> Query {
        self.late_names = true;
        self
    }

    /// Takes the labels `__type__` and `__unit__` for what they are: they go where the metric name goes, and the type
    /// instead of the name's ending tells whether a metric is a counter.
    #[must_use]
    pub fn with_type_and_unit_labels(mut self) -> Query {
        self.naming.type_and_unit = true;
        self
    }

    /// Takes a sample's start timestamp as a zero there: a reset that no value shows, and where a rate begins. By
    /// default, as without Prometheus' feature `use-start-timestamps`, a rate is computed of the values alone.
    #[must_use]
    pub fn with_start_timestamps(mut self) -> Query {
        self.start_timestamps = true;
        self
    }

    /// Counts the samples it looks at, as Prometheus' statistics do, which takes a little time.
    #[must_use]
    pub fn with_sample_counts(mut self) -> Query {
        self.counts_samples = true;
        self
    }

    /// The type of the answer.
    pub fn value_type(&self) -> ValueType {
        self.expr.value_type()
    }

    /// The matchers of each selector, in the order written: which series the query names, whatever it does with them.
    ///
    /// Errors: the system has no thread for a deep expression.
    pub fn selectors(&self) -> Result<Vec<Vec<Matcher>>, EvalError> {
        with_stack(self.depth, || selectors(&self.expr)).map_err(EvalError::Storage)
    }

    /// What an evaluation at `steps` would read: the matchers of each selector and the range of time it needs. An
    /// evaluation at one time is one step there.
    ///
    /// Errors: lengths of time that cannot be computed, too many steps, no thread for a deep expression.
    pub fn reads(&self, steps: Steps, lookback_ms: i64) -> Result<Vec<(Vec<Matcher>, TimeRange)>, EvalError> {
        let span = QuerySpan { start: steps.start, end: steps.end, step_ms: steps.step_ms.max(1) };
        let Some(grid) = Grid::between(steps.start, steps.end, steps.step_ms, STEPS_MAX) else {
            return Err(EvalError::Invalid(format!("query has more than {STEPS_MAX} steps")));
        };
        let wanted = with_stack(self.depth, || {
            let mut expr = Cow::Borrowed(&self.expr);
            if self.follows_query {
                settle(expr.to_mut(), &span)?;
            }
            Ok(Selections::wanted(&expr, grid, span, lookback_ms))
        });
        wanted.unwrap_or_else(|message| Err(EvalError::Storage(message)))
    }

    /// The query over as many lines as it takes to read it.
    ///
    /// Errors: the system has no thread for a deep expression.
    pub fn pretty(&self) -> Result<String, EvalError> {
        with_stack(self.depth, || pretty(&self.expr, 0)).map_err(EvalError::Storage)
    }

    /// The query's tree as JSON, as Prometheus' `parse_query` answers it.
    ///
    /// Errors: the system has no thread for a deep expression.
    pub fn tree(&self) -> Result<Vec<u8>, EvalError> {
        // Written, and let go, where there is room for its depth.
        let written = with_stack(self.depth, || serde_json::to_vec(&ast::node(&self.expr)));
        written.map_err(EvalError::Storage)?.map_err(|error| EvalError::Storage(error.to_string()))
    }

    /// Evaluates at one time.
    pub fn instant(&self, t: Timestamp, ctx: &Context<'_>) -> Result<Answer, EvalError> {
        let span = QuerySpan { start: t, end: t, step_ms: 1 };
        self.run(Grid::instant(t), span, ctx, |evaluator, expr, grid| instant_value(evaluator, expr, grid, t))
    }

    /// Evaluates at each step.
    ///
    /// Errors: an expression that is no scalar and no instant vector.
    pub fn range(&self, steps: Steps, ctx: &Context<'_>) -> Result<Answer, EvalError> {
        let span = QuerySpan { start: steps.start, end: steps.end, step_ms: steps.step_ms.max(1) };
        let Some(grid) = Grid::between(steps.start, steps.end, steps.step_ms, STEPS_MAX) else {
            return Err(EvalError::Invalid(format!("query has more than {STEPS_MAX} steps")));
        };
        self.run(grid, span, ctx, range_value)
    }

    fn run(
        &self,
        grid: Grid,
        span: QuerySpan,
        ctx: &Context<'_>,
        evaluate: impl FnOnce(&Evaluator<'_>, &Expr, Grid) -> Result<Value, EvalError> + Send,
    ) -> Result<Answer, EvalError> {
        let done = with_stack(self.depth, || {
            let mut expr = Cow::Borrowed(&self.expr);
            if self.follows_query {
                settle(expr.to_mut(), &span)?;
            }
            let (selections, mut warnings) = Selections::new(&expr, self.n_selectors, grid, span, ctx)?;
            let notes = Mutex::new(Notes::default());
            let evaluator = Evaluator {
                ctx,
                span,
                selections,
                notes,
                tallies: self.counts_samples.then(|| Tallies::new(grid.len)),
                late_names: self.late_names,
                start_timestamps: self.start_timestamps,
                naming: self.naming,
            };
            let value = evaluate(&evaluator, &expr, grid)?;
            let samples = evaluator.tallies.as_ref().map(Tallies::counts);
            let notes = evaluator.notes.into_inner().unwrap_or_else(PoisonError::into_inner);
            let (more, infos) = notes.into_texts(&self.text);
            warnings.extend(more);
            for told in ctx.budget.warnings() {
                if !warnings.contains(&told) {
                    warnings.push(told);
                }
            }
            Ok(Answer { value, warnings, infos, samples })
        });
        done.unwrap_or_else(|message| Err(EvalError::Storage(message)))
    }
}

impl std::fmt::Display for Query {
    /// The query in one line and one spelling.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.expr.fmt(f)
    }
}

/// Whether the expression itself says in which order its elements are shown.
fn keeps_order(expr: &Expr) -> bool {
    match expr.bare() {
        Expr::Call(call) => decides_order(call.function.name),
        Expr::Aggregate(aggregate) => matches!(aggregate.op, AggregateOp::Topk | AggregateOp::Bottomk),
        _ => false,
    }
}

/// Columns over a grid as series of points, sorted by labels.
fn to_matrix(evaluator: &Evaluator<'_>, series: Vec<Series>, grid: Grid) -> Result<Value, EvalError> {
    let mut out = Vec::with_capacity(series.len());
    for s in series {
        evaluator.ctx.budget.check()?;
        // A point of a column is its value alone, a sample has its time too: what is charged now stays.
        evaluator.charge(1, grid)?;
        let mut columns = Columns::default();
        samples(&s.column, grid, &mut columns);
        if !columns.is_empty() {
            out.push(RangeSeries { labels: s.labels, columns });
        }
    }
    let out = evaluator.sorted(out, |a: &RangeSeries, b| a.labels.cmp(&b.labels))?;
    Ok(Value::Matrix(out))
}

/// The samples of a range selector or subquery at one time.
fn matrix_value(evaluator: &Evaluator<'_>, expr: &Expr, grid: Grid) -> Result<Value, EvalError> {
    match expr.bare() {
        Expr::Range(RangeSelector { selector, range }) => {
            let windows = evaluator.windows(selector, range.ms, grid);
            let extended = evaluator.extended(selector);
            let wide = extended.map_or(windows, |extended| extended.widen(windows));
            let mut out = evaluator.raw_samples(selector, wide.start(0), wide.end(0))?;
            if let Some(extended) = extended {
                for series in &mut out {
                    extend(extended, &mut series.columns, windows.start(0), windows.end(0))?;
                }
                out.retain(|series| !series.columns.is_empty());
            }
            out.iter().for_each(|series| evaluator.count_answer(&series.columns));
            let out = evaluator.sorted(out, |a, b| a.labels.cmp(&b.labels))?;
            Ok(Value::Matrix(out))
        }
        Expr::Subquery(subquery) => {
            let (series, fine, _) = evaluator.subquery(subquery, grid, true)?;
            let series = evaluator.drop_late_names(series, fine)?;
            to_matrix(evaluator, series, fine)
        }
        other => Err(evaluator.mistyped(other)),
    }
}

fn instant_value(evaluator: &Evaluator<'_>, expr: &Expr, grid: Grid, t: Timestamp) -> Result<Value, EvalError> {
    match expr.value_type() {
        ValueType::String => Ok(Value::String { t, text: evaluator.text(expr)?.to_owned() }),
        ValueType::Scalar => Ok(Value::Scalar { t, v: evaluator.scalar(expr, grid)?.at(0) }),
        ValueType::Matrix => matrix_value(evaluator, expr, grid),
        ValueType::Vector => {
            let series = evaluator.vector(expr, grid)?;
            let mut series = evaluator.drop_late_names(series, grid)?;
            if !keeps_order(expr) {
                series = evaluator.sorted(series, |a, b| a.labels.cmp(&b.labels))?;
            }
            let point = |s: Series| {
                let point = match s.column.get(0)? {
                    PointRef::Float(float) => Point::Float(float),
                    PointRef::Histogram(histogram) => Point::Histogram(histogram.clone()),
                };
                Some(InstantSeries { labels: s.labels, t, point })
            };
            Ok(Value::Vector(series.into_iter().filter_map(point).collect()))
        }
    }
}

fn range_value(evaluator: &Evaluator<'_>, expr: &Expr, grid: Grid) -> Result<Value, EvalError> {
    match expr.value_type() {
        ValueType::Vector => {
            let series = evaluator.vector(expr, grid)?;
            let series = evaluator.drop_late_names(series, grid)?;
            to_matrix(evaluator, series, grid)
        }
        ValueType::Scalar => {
            let scalar = evaluator.scalar(expr, grid)?;
            let floats = (0..grid.len).map(|step_idx| scalar.at(step_idx)).collect();
            let column = Column { floats, histograms: None };
            evaluator.charge(1, grid)?;
            to_matrix(evaluator, vec![Series::new(Labels::empty(), column)], grid)
        }
        other => Err(EvalError::Invalid(format!(
            "invalid expression type {:?} for range query, must be Scalar or instant Vector",
            other.describe()
        ))),
    }
}
