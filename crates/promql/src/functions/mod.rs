//! The table of functions: one entry gives a function its name, types, description and implementation.

mod absent;
mod classic;
mod extended;
mod extended_rate;
mod histogram;
mod info;
#[cfg(test)]
mod interrupts;
pub(crate) mod labels;
mod math;
mod native;
pub(crate) mod order;
mod over_time;
pub(crate) mod quantile;
mod range;
mod rate;
mod reach;
mod regression;
mod scalars;
mod starts;
mod time;

pub(crate) use extended::{Extended, check_extent, extend};
pub(crate) use range::{RangeFunction, RangeInput, RangeKernel};
pub(crate) use reach::Reach;

use model::Histogram;

use crate::EvalError;
use crate::eval::{Evaluator, Grid, ScalarColumn, Series};
use crate::expr::{Call, ValueType};

/// One function of the language.
#[derive(Debug)]
pub(crate) struct Function {
    pub(crate) name: &'static str,
    pub(crate) args: &'static [ValueType],
    /// Which of `args` may be left out or repeated.
    pub(crate) optional: Optional,
    pub(crate) returns: ValueType,
    /// One sentence for people.
    pub(crate) doc: &'static str,
    pub(crate) body: Body,
}

/// How the number of arguments may differ from the number of types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Optional {
    /// Not at all.
    Nothing,
    /// The last type may be absent, or be there up to this many times.
    LastUpTo(usize),
    /// The last type may be absent or repeated without bound.
    LastRepeated,
}

/// How a function computes.
#[derive(Clone, Copy)]
pub(crate) enum Body {
    /// A function of each float by itself.
    Map(fn(f64) -> f64),
    /// A number for each native histogram.
    HistogramMap(fn(&Histogram) -> f64),
    /// A function of the samples in a range.
    Range(RangeFunction),
    /// A function of vectors.
    Vector(VectorBody),
    /// A function whose result is a scalar.
    Scalar(ScalarBody),
}

type VectorBody = fn(&Evaluator<'_>, &Call, Grid) -> Result<Vec<Series>, EvalError>;
type ScalarBody = fn(&Evaluator<'_>, &Call, Grid) -> Result<ScalarColumn, EvalError>;

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Body::Map(_) => "Map",
            Body::HistogramMap(_) => "HistogramMap",
            Body::Range(_) => "Range",
            Body::Vector(_) => "Vector",
            Body::Scalar(_) => "Scalar",
        })
    }
}

impl Function {
    /// The least and, if bounded, the greatest number of arguments.
    pub(crate) fn arity(&self) -> (usize, Option<usize>) {
        let n = self.args.len();
        match self.optional {
            Optional::Nothing => (n, Some(n)),
            Optional::LastUpTo(times) => (n - 1, Some(n - 1 + times)),
            Optional::LastRepeated => (n - 1, None),
        }
    }

    /// The type of argument `arg_idx`.
    pub(crate) fn arg_type(&self, arg_idx: usize) -> ValueType {
        self.args.get(arg_idx).or(self.args.last()).copied().unwrap_or(ValueType::Vector)
    }

    /// Whether equal arguments give another result at another step.
    pub(crate) fn follows_time(&self) -> bool {
        const FOLLOWING: [&str; 15] = [
            "days_in_month",
            "day_of_month",
            "day_of_week",
            "day_of_year",
            "end",
            "hour",
            "minute",
            "month",
            "year",
            "predict_linear",
            "range",
            "start",
            "step",
            "time",
            "timestamp",
        ];
        FOLLOWING.contains(&self.name)
    }
}

/// The function of that name.
pub(crate) fn lookup(name: &str) -> Option<&'static Function> {
    TABLE.binary_search_by(|function| function.name.cmp(name)).ok().map(|at| &TABLE[at])
}

/// The name and one sentence of every function, sorted by name.
pub fn functions() -> impl Iterator<Item = (&'static str, &'static str)> {
    TABLE.iter().map(|function| (function.name, function.doc))
}

const S: ValueType = ValueType::Scalar;
const V: ValueType = ValueType::Vector;
const M: ValueType = ValueType::Matrix;
const T: ValueType = ValueType::String;

const fn map(name: &'static str, map: fn(f64) -> f64, doc: &'static str) -> Function {
    Function { name, args: &[V], optional: Optional::Nothing, returns: V, doc, body: Body::Map(map) }
}

const fn of_histogram(name: &'static str, map: fn(&Histogram) -> f64, doc: &'static str) -> Function {
    Function { name, args: &[V], optional: Optional::Nothing, returns: V, doc, body: Body::HistogramMap(map) }
}

const fn range(name: &'static str, kernel: RangeKernel, doc: &'static str) -> Function {
    range_with(name, &[M], kernel, doc)
}

const fn range_with(
    name: &'static str,
    args: &'static [ValueType],
    kernel: RangeKernel,
    doc: &'static str,
) -> Function {
    let function = RangeFunction { kernel, keeps_name: false };
    Function { name, args, optional: Optional::Nothing, returns: V, doc, body: Body::Range(function) }
}

const fn range_named(name: &'static str, kernel: RangeKernel, doc: &'static str) -> Function {
    let function = RangeFunction { kernel, keeps_name: true };
    Function { name, args: &[M], optional: Optional::Nothing, returns: V, doc, body: Body::Range(function) }
}

const fn vector(name: &'static str, args: &'static [ValueType], body: VectorBody, doc: &'static str) -> Function {
    Function { name, args, optional: Optional::Nothing, returns: V, doc, body: Body::Vector(body) }
}

const fn scalar(name: &'static str, args: &'static [ValueType], body: ScalarBody, doc: &'static str) -> Function {
    Function { name, args, optional: Optional::Nothing, returns: S, doc, body: Body::Scalar(body) }
}

const fn date(name: &'static str, body: VectorBody, doc: &'static str) -> Function {
    Function { name, args: &[V], optional: Optional::LastUpTo(1), returns: V, doc, body: Body::Vector(body) }
}

const fn with(function: Function, optional: Optional) -> Function {
    Function { optional, ..function }
}

/// All functions, sorted by name.
static TABLE: [Function; 90] = [
    map("abs", f64::abs, "Absolute value."),
    vector("absent", &[V], absent::absent, "1 where the vector has no element."),
    vector("absent_over_time", &[M], absent::absent_over_time, "1 where the range has no sample."),
    map("acos", f64::acos, "Arc cosine."),
    map("acosh", f64::acosh, "Inverse hyperbolic cosine."),
    map("asin", f64::asin, "Arc sine."),
    map("asinh", math::asinh, "Inverse hyperbolic sine."),
    map("atan", f64::atan, "Arc tangent."),
    map("atanh", f64::atanh, "Inverse hyperbolic tangent."),
    range("avg_over_time", over_time::avg, "Mean of the samples in the range."),
    map("ceil", f64::ceil, "Least whole number not below."),
    range("changes", over_time::changes, "How often the value changed in the range."),
    vector("clamp", &[V, S, S], math::clamp, "Values limited to a least and a greatest one."),
    vector("clamp_max", &[V, S], math::clamp_max, "Values limited to a greatest one."),
    vector("clamp_min", &[V, S], math::clamp_min, "Values limited to a least one."),
    map("cos", f64::cos, "Cosine."),
    map("cosh", f64::cosh, "Hyperbolic cosine."),
    range("count_over_time", over_time::count, "Number of samples in the range."),
    date("day_of_month", time::day_of_month, "Day of the month in UTC, 1 to 31."),
    date("day_of_week", time::day_of_week, "Day of the week in UTC, 0 is Sunday."),
    date("day_of_year", time::day_of_year, "Day of the year in UTC, 1 to 366."),
    date("days_in_month", time::days_in_month, "Number of days of the month in UTC."),
    map("deg", math::deg, "Radians as degrees."),
    range("delta", rate::delta, "Difference between the ends of the range, extrapolated to all of it."),
    range("deriv", regression::deriv, "Slope per second by linear regression."),
    range_with(
        "double_exponential_smoothing",
        &[M, S, S],
        regression::double_exponential_smoothing,
        "Smoothed value by smoothing and trend factor.",
    ),
    scalar("end", &[], scalars::end, "Last time of the query, in seconds."),
    map("exp", f64::exp, "Exponential function."),
    range_named("first_over_time", over_time::first, "Oldest sample in the range."),
    map("floor", f64::floor, "Greatest whole number not above."),
    of_histogram("histogram_avg", histogram::avg, "Mean of a native histogram's observations."),
    of_histogram("histogram_count", histogram::count, "Number of a native histogram's observations."),
    vector("histogram_fraction", &[S, S, V], histogram::fraction, "Share of observations between two bounds."),
    vector("histogram_quantile", &[S, V], histogram::quantile, "Quantile of a classic or native histogram."),
    with(
        vector(
            "histogram_quantiles",
            &[V, T, S, S],
            histogram::quantiles,
            "Several quantiles of a histogram, each under its label value.",
        ),
        Optional::LastUpTo(9),
    ),
    of_histogram("histogram_stddev", histogram::stddev, "Estimated standard deviation of a native histogram."),
    of_histogram("histogram_stdvar", histogram::stdvar, "Estimated variance of a native histogram."),
    of_histogram("histogram_sum", histogram::sum, "Sum of a native histogram's observations."),
    date("hour", time::hour, "Hour of the day in UTC."),
    range("idelta", rate::idelta, "Difference between the last two samples."),
    range("increase", rate::increase, "Increase of a counter over the range."),
    with(
        vector("info", &[V, V], info::info, "Adds labels of the info series of the same target."),
        Optional::LastUpTo(1),
    ),
    range("irate", rate::irate, "Rate per second between the last two samples."),
    with(vector("label_join", &[V, T, T, T], labels::join, "Joins label values into one."), Optional::LastRepeated),
    vector("label_replace", &[V, T, T, T, T], labels::replace, "Sets a label from another one by a pattern."),
    range_named("last_over_time", over_time::last, "Newest sample in the range."),
    map("ln", f64::ln, "Natural logarithm."),
    map("log10", f64::log10, "Decimal logarithm."),
    map("log2", f64::log2, "Binary logarithm."),
    range("mad_over_time", over_time::mad, "Median absolute deviation in the range."),
    scalar("max_of", &[S, S], scalars::max_of, "The greater of two scalars."),
    range("max_over_time", over_time::max, "Greatest sample in the range."),
    scalar("min_of", &[S, S], scalars::min_of, "The lesser of two scalars."),
    range("min_over_time", over_time::min, "Least sample in the range."),
    date("minute", time::minute, "Minute of the hour in UTC."),
    date("month", time::month, "Month of the year in UTC, 1 to 12."),
    scalar("pi", &[], scalars::pi, "The number pi."),
    range_with("predict_linear", &[M, S], regression::predict_linear, "Value some seconds ahead by regression."),
    range("present_over_time", over_time::present, "1 for series with a sample in the range."),
    range_with("quantile_over_time", &[S, M], over_time::quantile, "Quantile of the samples in the range."),
    map("rad", math::rad, "Degrees as radians."),
    scalar("range", &[], scalars::range, "Length of the query's time range, in seconds."),
    range("rate", rate::rate, "Increase of a counter per second."),
    range("resets", over_time::resets, "Number of counter resets in the range."),
    with(vector("round", &[V, S], math::round, "Values rounded to a multiple."), Optional::LastUpTo(1)),
    scalar("scalar", &[V], scalars::scalar, "The only element of a vector, NaN if there is not just one."),
    map("sgn", math::sgn, "Sign."),
    map("sin", f64::sin, "Sine."),
    map("sinh", f64::sinh, "Hyperbolic sine."),
    vector("sort", &[V], order::sort, "Elements in ascending order."),
    with(
        vector("sort_by_label", &[V, T], order::sort_by_label, "Elements in the order of labels."),
        Optional::LastRepeated,
    ),
    with(
        vector("sort_by_label_desc", &[V, T], order::sort_by_label_desc, "Elements in reverse order of labels."),
        Optional::LastRepeated,
    ),
    vector("sort_desc", &[V], order::sort_desc, "Elements in descending order."),
    map("sqrt", f64::sqrt, "Square root."),
    scalar("start", &[], scalars::start, "First time of the query, in seconds."),
    vector("start_timestamp", &[V], time::start_timestamp, "Since when each sample counts, in seconds; 0 for unknown."),
    range("stddev_over_time", over_time::stddev, "Standard deviation of the samples in the range."),
    range("stdvar_over_time", over_time::stdvar, "Variance of the samples in the range."),
    scalar("step", &[], scalars::step, "Distance of the query's steps, in seconds."),
    range("sum_over_time", over_time::sum, "Sum of the samples in the range."),
    map("tan", f64::tan, "Tangent."),
    map("tanh", f64::tanh, "Hyperbolic tangent."),
    scalar("time", &[], scalars::time, "Time of the step, in seconds."),
    vector("timestamp", &[V], time::timestamp, "Time of each sample, in seconds."),
    range("ts_of_first_over_time", over_time::ts_of_first, "Time of the oldest sample in the range."),
    range("ts_of_last_over_time", over_time::ts_of_last, "Time of the newest sample in the range."),
    range("ts_of_max_over_time", over_time::ts_of_max, "Time of the last greatest sample in the range."),
    range("ts_of_min_over_time", over_time::ts_of_min, "Time of the last least sample in the range."),
    vector("vector", &[S], scalars::vector, "A scalar as a vector without labels."),
    date("year", time::year, "Year in UTC."),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_described() {
        assert!(TABLE.windows(2).all(|pair| pair[0].name < pair[1].name), "lookup needs ascending names");
        assert!(TABLE.iter().all(|function| function.doc.ends_with('.')));
        assert!(lookup("rate").is_some() && lookup("rat").is_none());
    }
}
