//! Draws expressions that a PromQL engine can be asked: of the right types, and of what the reference knows.

use crate::Rng;
use crate::differ::data::{CLASSIC, DETAILED, DISTINCT, FEW_VALUES, FLOATS, HISTOGRAMS, Known, LENGTH_S, MIXED};
use crate::differ::expr::{Expr, Kind};

/// Functions of the numbers of a vector.
const MATH: &[&str] = &[
    "abs", "acos", "acosh", "asin", "asinh", "atan", "atanh", "ceil", "cos", "cosh", "deg", "exp", "floor", "ln",
    "log10", "log2", "rad", "round", "sgn", "sin", "sinh", "sqrt", "tan", "tanh",
];
/// Functions of the times that a vector's numbers are.
const DATES: &[&str] =
    &["day_of_month", "day_of_week", "day_of_year", "days_in_month", "hour", "minute", "month", "year"];
/// Functions of a range that give histograms for histograms.
const OVER_TIME: &[Known] = &[
    ("rate", 0),
    ("increase", 0),
    ("delta", 0),
    ("irate", 0),
    ("idelta", 0),
    ("last_over_time", 0),
    ("avg_over_time", 0),
    ("sum_over_time", 0),
    ("first_over_time", 7),
];
/// Functions of a range that give numbers.
const OVER_TIME_NUMBERS: &[Known] = &[
    ("changes", 0),
    ("count_over_time", 0),
    ("deriv", 0),
    ("mad_over_time", 14),
    ("max_over_time", 0),
    ("min_over_time", 0),
    ("present_over_time", 0),
    ("resets", 0),
    ("stddev_over_time", 0),
    ("stdvar_over_time", 0),
    ("ts_of_first_over_time", 7),
    ("ts_of_last_over_time", 5),
    ("ts_of_max_over_time", 5),
    ("ts_of_min_over_time", 5),
];
const HISTOGRAM_NUMBERS: &[&str] =
    &["histogram_avg", "histogram_count", "histogram_stddev", "histogram_stdvar", "histogram_sum"];
const AGGREGATES: &[&str] = &["sum", "avg", "min", "max", "count", "group", "stddev", "stdvar"];
const LABELS: &[&str] = &["job", "instance", "cpu", "le", "version", "project_id"];
const RANGES: &[&str] = &["20s", "1m", "2m", "5m", "10m", "97s", "30m"];

/// What may be in a vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flavor {
    /// Numbers alone, in every part of the expression.
    Numbers,
    /// Mostly numbers.
    Any,
    /// Mostly histograms.
    Histograms,
}

/// Draws one expression.
pub(crate) struct Grammar<'a> {
    /// Where chance comes from.
    pub(crate) rng: &'a mut Rng,
    /// The minor version of the reference.
    pub(crate) minor: u32,
    /// Whether it is for a range query.
    pub(crate) is_range: bool,
    /// When the series begin, in seconds.
    pub(crate) base_s: i64,
}

impl Grammar<'_> {
    /// A whole query.
    pub(crate) fn query(&mut self) -> Expr {
        let depth = 1 + self.below(4);
        match self.below(20) {
            0 => self.scalar(depth),
            1 if !self.is_range => self.matrix(1, Flavor::Any),
            2 if !self.is_range => self.sorted(depth),
            3..=8 => self.vector(depth, Flavor::Histograms),
            _ => self.vector(depth, Flavor::Any),
        }
    }

    fn below(&mut self, n: u32) -> u32 {
        self.rng.below(n)
    }

    fn chance(&mut self, share: f64) -> bool {
        self.rng.unit() < share
    }

    fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        let n = u32::try_from(items.len()).unwrap_or(u32::MAX);
        items[self.below(n) as usize]
    }

    /// A name that the reference knows.
    fn known(&mut self, all: &[Known]) -> &'static str {
        loop {
            let (name, since) = self.pick(all);
            if since <= self.minor {
                return name;
            }
        }
    }

    /// The order of a vector is decided by the outermost expression.
    fn sorted(&mut self, depth: u32) -> Expr {
        match self.below(3) {
            0 => {
                let name = self.pick(&["sort", "sort_desc"]);
                Expr::new(Kind::Vector, format!("{name}(#)"), [self.vector(depth, Flavor::Numbers)])
            }
            1 => {
                let name = self.pick(&["sort_by_label", "sort_by_label_desc"]);
                let label = self.pick(LABELS);
                Expr::new(Kind::Vector, format!("{name}(#, \"{label}\")"), [self.vector(depth, Flavor::Any)])
            }
            _ => self.top(),
        }
    }

    fn vector(&mut self, depth: u32, flavor: Flavor) -> Expr {
        if depth == 0 || self.chance(0.08) {
            return self.selector(flavor);
        }
        // The newest release has what others hide behind features or do not know.
        if 14 <= self.minor && self.chance(0.08) {
            return self.newest(depth, flavor);
        }
        let n = if flavor == Flavor::Histograms { 12 } else { 20 };
        match self.below(n) {
            0..=2 => self.over_time(depth, flavor),
            3..=5 => self.aggregate(depth, flavor),
            6..=8 => self.binary(depth, flavor),
            9 => self.relabeled(depth, flavor),
            10 => self.set(depth, flavor),
            11 => {
                let text = self.pick(&["-#", "(#)"]);
                Expr::new(Kind::Vector, text, [self.vector(depth - 1, flavor)])
            }
            12..=13 => self.over_time_number(depth, flavor),
            14..=15 => self.of_histogram(depth, flavor),
            16 => self.clamped(depth, flavor),
            17 => self.special(depth, flavor),
            _ => self.math(depth, flavor),
        }
    }

    /// What an expression of numbers may be made of.
    fn inner(&mut self, flavor: Flavor) -> Flavor {
        match flavor {
            Flavor::Numbers => Flavor::Numbers,
            Flavor::Any => self.pick(&[Flavor::Any, Flavor::Any, Flavor::Any, Flavor::Any, Flavor::Histograms]),
            Flavor::Histograms => self.pick(&[Flavor::Histograms, Flavor::Histograms, Flavor::Histograms, Flavor::Any]),
        }
    }

    fn over_time(&mut self, depth: u32, flavor: Flavor) -> Expr {
        let name = self.known(OVER_TIME);
        let inner = self.inner(flavor);
        Expr::new(Kind::Vector, format!("{name}(#)"), [self.matrix(depth - 1, inner)])
    }

    fn over_time_number(&mut self, depth: u32, flavor: Flavor) -> Expr {
        let inner = self.inner(flavor);
        let range = self.matrix(depth - 1, inner);
        match self.below(8) {
            0 => {
                let quantile = self.quantile();
                Expr::new(Kind::Vector, "quantile_over_time(#, #)", [quantile, range])
            }
            1 => {
                let ahead = self.scalar(0);
                Expr::new(Kind::Vector, "predict_linear(#, #)", [range, ahead])
            }
            2 => {
                let (smoothing, trend) = (self.pick(&["0.1", "0.5", "0.9"]), self.pick(&["0.2", "0.7", "1.5"]));
                let text = format!("double_exponential_smoothing(#, {smoothing}, {trend})");
                Expr::new(Kind::Vector, text, [range])
            }
            3 => Expr::new(Kind::Vector, "absent_over_time(#)", [range]),
            _ => {
                let name = self.known(OVER_TIME_NUMBERS);
                Expr::new(Kind::Vector, format!("{name}(#)"), [range])
            }
        }
    }

    fn aggregate(&mut self, depth: u32, flavor: Flavor) -> Expr {
        let grouping = self.grouping();
        if flavor != Flavor::Histograms && self.chance(0.3) {
            return self.aggregate_with_parameter(depth, flavor, &grouping);
        }
        let names = if flavor == Flavor::Histograms { &["sum", "avg", "sum", "count"][..] } else { AGGREGATES };
        let name = self.pick(names);
        let inner = self.inner(flavor);
        Expr::new(Kind::Vector, format!("{name}{grouping}(#)"), [self.vector(depth - 1, inner)])
    }

    fn aggregate_with_parameter(&mut self, depth: u32, flavor: Flavor, grouping: &str) -> Expr {
        match self.below(5) {
            0 => self.top(),
            1 => {
                let (quantile, inner) = (self.quantile(), self.inner(flavor));
                let of = self.vector(depth - 1, inner);
                Expr::new(Kind::Vector, format!("quantile{grouping}(#, #)"), [quantile, of])
            }
            2 => {
                let name = self.pick(&[FEW_VALUES, "target_info", "odd"]);
                let of = self.modified(Kind::Vector, name.to_owned());
                let label = self.pick(&["value", "instance", "cpu"]);
                Expr::new(Kind::Vector, format!("count_values{grouping}(\"{label}\", #)"), [of])
            }
            3 => {
                // Which elements these are is up to the server.
                let (k, inner) = (self.pick(&["0", "1", "2", "1000"]), self.inner(flavor));
                let of = self.vector(depth - 1, inner);
                Expr::new(Kind::Vector, format!("count(limitk{grouping}({k}, #))"), [of])
            }
            _ => {
                let (ratio, inner) = (self.pick(&["0.5", "-0.5", "0.2", "1", "0"]), self.inner(flavor));
                let of = self.vector(depth - 1, inner);
                Expr::new(Kind::Vector, format!("limit_ratio{grouping}({ratio}, #)"), [of])
            }
        }
    }

    /// The largest of values that differ by more than their last digits.
    fn top(&mut self) -> Expr {
        let (name, k, grouping) =
            (self.pick(&["topk", "bottomk"]), self.pick(&["1", "3", "1000", "0"]), self.grouping());
        let range = self.pick(RANGES);
        let of = match self.below(3) {
            0 => self.modified(Kind::Vector, DISTINCT.to_owned()),
            1 => {
                let of = self.modified(Kind::Matrix, format!("{DISTINCT}[{range}]"));
                Expr::new(Kind::Vector, "avg_over_time(#)", [of])
            }
            _ => {
                let of = self.modified(Kind::Matrix, format!("{DETAILED}[{range}]"));
                Expr::new(Kind::Vector, "deriv(#)", [of])
            }
        };
        Expr::new(Kind::Vector, format!("{name}{grouping}({k}, #)"), [of])
    }

    fn grouping(&mut self) -> String {
        match self.below(4) {
            0 => String::new(),
            1 => format!(" without ({}) ", self.labels()),
            _ => format!(" by ({}) ", self.labels()),
        }
    }

    fn labels(&mut self) -> String {
        let n = self.below(3);
        let labels: Vec<&str> = (0..n).map(|_| self.pick(LABELS)).collect();
        labels.join(", ")
    }

    fn binary(&mut self, depth: u32, flavor: Flavor) -> Expr {
        let op = match self.below(3) {
            0 => self.pick(&["==", "!=", ">", "<", ">=", "<=", "== bool", "!= bool", "> bool", "< bool", ">= bool"]),
            _ => self.pick(&["+", "-", "*", "/", "%", "^", "atan2"]),
        };
        let op = if flavor == Flavor::Histograms { self.pick(&["+", "-", "*", "/", "==", "!=", op]) } else { op };
        let inner = self.inner(flavor);
        let left = self.vector(depth - 1, inner);
        // What the last digit of a large number changes of what a division leaves is not to be compared.
        let is_large = op == "%" && flavor != Flavor::Histograms;
        let left = if is_large { Expr::new(Kind::Vector, "clamp(#, -99, 99)", [left]) } else { left };
        match self.below(5) {
            0 => Expr::new(Kind::Vector, format!("(# {op} #)"), [left, self.scalar(1)]),
            1 if op != "%" => Expr::new(Kind::Vector, format!("(# {op} #)"), [self.scalar(1), left]),
            2 => {
                let matching = self.matching(true);
                let right = self.vector(depth - 1, inner);
                Expr::new(Kind::Vector, format!("(# {op} {matching} #)"), [left, right])
            }
            3 => {
                // An expression and a part of it have the same labels more often than two that know nothing of each other.
                let text = self.pick(&["sum by (job, instance) (#)", "avg by (job) (#)", "abs(#)", "(#)"]);
                let right = left.clone();
                let matching = self.pick(&["", "on (job, instance)", "ignoring (le, cpu)", "on (job) group_left"]);
                let right = Expr::new(Kind::Vector, text, [right]);
                Expr::new(Kind::Vector, format!("(# {op} {matching} #)"), [left, right])
            }
            _ => {
                let right = self.vector(depth - 1, inner);
                Expr::new(Kind::Vector, format!("(# {op} #)"), [left, right])
            }
        }
    }

    fn newest(&mut self, depth: u32, flavor: Flavor) -> Expr {
        let range = self.pick(RANGES);
        match self.below(7) {
            0 => {
                let (name, selector) =
                    (self.pick(&["rate", "increase", "delta", "changes", "resets"]), self.bare_selector(flavor));
                let modifier = self.modifier();
                Expr::new(Kind::Vector, format!("{name}({selector}[{range}] anchored{modifier})"), [])
            }
            1 => {
                let (name, selector) = (self.pick(&["rate", "increase", "delta"]), self.bare_selector(flavor));
                let modifier = self.modifier();
                Expr::new(Kind::Vector, format!("{name}({selector}[{range}] smoothed{modifier})"), [])
            }
            2 => {
                let op = self.pick(&["</", ">/"]);
                Expr::new(Kind::Vector, format!("(# {op} #)"), [self.vector(depth - 1, flavor), self.scalar(0)])
            }
            3 => {
                let (op, fill) = (
                    self.pick(&["+", "-", "/", "==", "> bool"]),
                    self.pick(&["fill (0)", "fill_left (1)", "fill_right (2)"]),
                );
                let matching = self.pick(&["", "on (job, instance)", "ignoring (le)", "on (job) group_left (cpu)"]);
                let (left, right) = (self.vector(depth - 1, Flavor::Numbers), self.vector(depth - 1, Flavor::Numbers));
                Expr::new(Kind::Vector, format!("(# {op} {matching} {fill} #)"), [left, right])
            }
            4 => {
                let (a, b) = (self.quantile(), self.quantile());
                let of = self.vector(depth - 1, Flavor::Histograms);
                Expr::new(Kind::Vector, "histogram_quantiles(#, \"q\", #, #)", [of, a, b])
            }
            5 => {
                let (name, a, b) = (self.pick(&["min_of", "max_of"]), self.scalar(1), self.scalar(1));
                let least = Expr::new(Kind::Scalar, format!("{name}(#, #)"), [a, b]);
                Expr::new(Kind::Vector, "(# * #)", [self.vector(depth - 1, flavor), least])
            }
            _ => {
                let (selector, name) = (self.bare_selector(flavor), self.known(OVER_TIME));
                let length = self.pick(&[
                    "5m - 30s",
                    "step() + 1m",
                    "max_of(step(), 2m)",
                    "range() / 2 + 20s",
                    "2 * 45s",
                    "5m ^ 1",
                ]);
                Expr::new(Kind::Vector, format!("{name}({selector}[{length}])"), [])
            }
        }
    }

    fn matching(&mut self, may_group: bool) -> String {
        let (word, labels) = (self.pick(&["on", "ignoring"]), self.labels());
        let group = match self.below(4) {
            0 if may_group => format!("group_left ({})", self.labels()),
            1 if may_group => format!("group_right ({})", self.labels()),
            _ => String::new(),
        };
        format!("{word} ({labels}) {group}")
    }

    fn set(&mut self, depth: u32, flavor: Flavor) -> Expr {
        let (op, inner) = (self.pick(&["and", "or", "unless"]), self.inner(flavor));
        let matching = if self.chance(0.5) { self.matching(false) } else { String::new() };
        let (left, right) = (self.vector(depth - 1, inner), self.vector(depth - 1, inner));
        Expr::new(Kind::Vector, format!("(# {op} {matching} #)"), [left, right])
    }

    fn relabeled(&mut self, depth: u32, flavor: Flavor) -> Expr {
        let (to, from, other) = (self.pick(&["x", "job", "le"]), self.pick(LABELS), self.pick(LABELS));
        let pattern = self.pick(&["(.*)", "(a|0)(.*)", "b", "", "(?P<all>.+)"]);
        let replacement = self.pick(&["$1", "x-$1", "$2$1", "${all}", "", "constant"]);
        let text = match self.chance(0.5) {
            true => format!("label_replace(#, \"{to}\", \"{replacement}\", \"{from}\", \"{pattern}\")"),
            false => format!("label_join(#, \"{to}\", \"-\", \"{from}\", \"{other}\")"),
        };
        Expr::new(Kind::Vector, text, [self.vector(depth - 1, flavor)])
    }

    fn of_histogram(&mut self, depth: u32, flavor: Flavor) -> Expr {
        let is_fraction_known = 8 <= self.minor;
        let of = match self.below(4) {
            0 => {
                let (name, range) = (self.pick(CLASSIC), self.pick(RANGES));
                let of = self.modified(Kind::Matrix, format!("{name}[{range}]"));
                let rate = Expr::new(Kind::Vector, "rate(#)", [of]);
                let text = self.pick(&["#", "sum by (le) (#)", "sum by (le, job) (#)", "sum by (job) (#)"]);
                Expr::new(Kind::Vector, text, [rate])
            }
            _ if flavor == Flavor::Numbers => self.selector(Flavor::Histograms),
            _ => self.vector(depth - 1, Flavor::Histograms),
        };
        match self.below(3) {
            0 => {
                let quantile = self.quantile();
                Expr::new(Kind::Vector, "histogram_quantile(#, #)", [quantile, of])
            }
            // Before 3.8 a lower bound in the first bucket gave no number.
            1 if is_fraction_known => {
                let (low, high) =
                    (self.pick(&["-Inf", "-1", "0", "0.3", "2"]), self.pick(&["0", "0.5", "1.5", "7", "+Inf"]));
                Expr::new(Kind::Vector, format!("histogram_fraction({low}, {high}, #)"), [of])
            }
            _ => {
                let name = self.pick(HISTOGRAM_NUMBERS);
                // These need no buckets, and before 3.9 an operator in them may get those of one side alone.
                let is_read_without = matches!(name, "histogram_avg" | "histogram_count" | "histogram_sum");
                let of = if is_read_without && self.minor < 9 { self.selector(Flavor::Histograms) } else { of };
                Expr::new(Kind::Vector, format!("{name}(#)"), [of])
            }
        }
    }

    fn clamped(&mut self, depth: u32, flavor: Flavor) -> Expr {
        let of = self.vector(depth - 1, flavor);
        match self.below(4) {
            0 => Expr::new(Kind::Vector, "clamp_min(#, #)", [of, self.scalar(0)]),
            1 => Expr::new(Kind::Vector, "clamp_max(#, #)", [of, self.scalar(0)]),
            2 => Expr::new(Kind::Vector, "round(#, #)", [of, self.scalar(0)]),
            _ => Expr::new(Kind::Vector, "clamp(#, #, #)", [of, self.scalar(0), self.scalar(0)]),
        }
    }

    fn special(&mut self, depth: u32, flavor: Flavor) -> Expr {
        match self.below(5) {
            0 => Expr::new(Kind::Vector, "vector(#)", [self.scalar(1)]),
            1 => Expr::new(Kind::Vector, "absent(#)", [self.vector(depth - 1, flavor)]),
            2 => {
                let name = self.pick(DATES);
                match self.chance(0.3) {
                    true => Expr::new(Kind::Vector, format!("{name}()"), []),
                    false => {
                        let of = self.selector(flavor);
                        let time = self.timestamp(of);
                        Expr::new(Kind::Vector, format!("{name}(#)"), [time])
                    }
                }
            }
            3 if 14 <= self.minor => {
                let of = self.vector(depth - 1, flavor);
                let labels = self.pick(&["", ", {version=~\".+\"}", ", {version=\"2\"}"]);
                Expr::new(Kind::Vector, format!("info(#{labels})"), [of])
            }
            _ => {
                let of = self.vector(depth - 1, flavor);
                self.timestamp(of)
            }
        }
    }

    fn timestamp(&mut self, of: Expr) -> Expr {
        let time = Expr::new(Kind::Vector, "timestamp(#)", [of]);
        if !meets_known_fault(&time.to_string()) {
            return time;
        }
        let of = Expr::new(Kind::Vector, DISTINCT, []);
        Expr::new(Kind::Vector, "timestamp(#)", [of])
    }

    fn math(&mut self, depth: u32, flavor: Flavor) -> Expr {
        let name = self.pick(MATH);
        // What the last digit of a large number changes of its angle is not to be compared.
        let text = if matches!(name, "sin" | "cos" | "tan") {
            format!("{name}(clamp(#, -99, 99))")
        } else {
            format!("{name}(#)")
        };
        Expr::new(Kind::Vector, text, [self.vector(depth - 1, flavor)])
    }

    /// A range selector or a subquery.
    fn matrix(&mut self, depth: u32, flavor: Flavor) -> Expr {
        if depth == 0 || self.chance(0.7) {
            let selector = self.bare_selector(flavor);
            let range = self.pick(RANGES);
            return self.modified(Kind::Matrix, format!("{selector}[{range}]"));
        }
        // Before 3.6 a subquery of histograms in a range query gives each step the histograms of the last one, and before
        // 3.9 a rate of histograms is taken for a counter.
        let flavor = if self.minor < 9 { Flavor::Numbers } else { flavor };
        let (range, step) = (self.pick(RANGES), self.pick(&["", "15s", "30s", "1m", "7s"]));
        let modifier = self.modifier();
        Expr::new(Kind::Matrix, format!("(#)[{range}:{step}]{modifier}"), [self.vector(depth - 1, flavor)])
    }

    fn selector(&mut self, flavor: Flavor) -> Expr {
        let selector = self.bare_selector(flavor);
        self.modified(Kind::Vector, selector)
    }

    fn bare_selector(&mut self, flavor: Flavor) -> String {
        let of_histograms = match flavor {
            Flavor::Numbers => false,
            Flavor::Any => self.chance(0.15),
            Flavor::Histograms => self.chance(0.85),
        };
        let name = match of_histograms {
            true if self.chance(0.15) => MIXED,
            true => self.known(HISTOGRAMS),
            false => match self.below(12) {
                0 => DETAILED,
                1 => self.pick(CLASSIC),
                2 => "nothing",
                _ => self.pick(FLOATS),
            },
        };
        let matchers = match self.below(8) {
            0 => "{job=\"a\"}",
            1 => "{instance=~\"0|1\"}",
            2 => "{job!=\"b\"}",
            3 => "{instance!~\".*[12]\",job=~\"a|c\"}",
            4 => "{cpu=\"\"}",
            _ => "",
        };
        format!("{name}{matchers}")
    }

    /// A selector, now and then of another time.
    fn modified(&mut self, kind: Kind, selector: String) -> Expr {
        let modifier = self.modifier();
        Expr::new(kind, selector + &modifier, [])
    }

    fn modifier(&mut self) -> String {
        let at = self.base_s + i64::from(self.below(LENGTH_S * 11 / 10));
        match self.below(16) {
            0 => " offset 1m".to_owned(),
            1 => " offset -90s".to_owned(),
            2 => format!(" @ {at}"),
            3 => " @ start()".to_owned(),
            4 => format!(" offset 17s @ {at}.5"),
            5 => " @ end() offset 5m".to_owned(),
            _ => String::new(),
        }
    }

    fn quantile(&mut self) -> Expr {
        let text = self.pick(&["0.5", "0.9", "0.99", "0", "1", "-0.1", "1.1", "NaN", "0.25"]);
        Expr::new(Kind::Scalar, text, [])
    }

    fn scalar(&mut self, depth: u32) -> Expr {
        let literal = self.pick(&["0", "1", "2", "0.5", "-1", "10", "1e3", "-0.25", "NaN", "Inf", "-Inf", "0x10", "3"]);
        match self.below(if depth == 0 { 6 } else { 10 }) {
            6 => Expr::new(Kind::Scalar, "time()", []),
            7 => Expr::new(Kind::Scalar, "pi()", []),
            8 => Expr::new(Kind::Scalar, "scalar(#)", [self.vector(depth - 1, Flavor::Any)]),
            9 => {
                let op = self.pick(&["+", "-", "*", "/", "%", "^", "atan2", "== bool", "< bool"]);
                Expr::new(Kind::Scalar, format!("(# {op} #)"), [self.scalar(depth - 1), self.scalar(depth - 1)])
            }
            _ => Expr::new(Kind::Scalar, literal, []),
        }
    }
}

/// Whether Prometheus may answer an expression wrongly: `timestamp` of a selector with `@` and `offset` reads the samples
/// that both select, and then looks in them for the time of `@` alone. Seen in 3.5 and 3.14.
pub(crate) fn meets_known_fault(text: &str) -> bool {
    text.contains("timestamp(") && text.contains(" @ ") && text.contains("offset")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(minor: u32) -> Vec<String> {
        let draw = |n| {
            let mut rng = Rng::part(1, n);
            Grammar { rng: &mut rng, minor, is_range: n % 2 == 0, base_s: 1_700_000_000 }.query().to_string()
        };
        (0..3000).map(draw).collect()
    }

    #[test]
    fn a_seed_names_its_queries_and_an_old_reference_is_not_asked_what_it_does_not_know() {
        assert_eq!(texts(14), texts(14));
        let all = [texts(5).join("\n"), texts(14).join("\n")];
        for (name, since) in OVER_TIME.iter().chain(OVER_TIME_NUMBERS) {
            assert_eq!(all.each_ref().map(|text| text.contains(&format!("{name}("))), [*since <= 5, true], "{name}");
        }
    }

    #[test]
    fn everything_is_drawn() {
        let text = texts(14).join("\n");
        let families =
            FLOATS.iter().chain(CLASSIC).chain([&DETAILED, &MIXED]).chain(HISTOGRAMS.iter().map(|(name, _)| name));
        let operators = ["atan2", "== bool", "group_left", "group_right", "unless", "@ start()", "offset -90s", "[1m:"];
        for name in
            MATH.iter().chain(DATES).chain(AGGREGATES).chain(HISTOGRAM_NUMBERS).chain(families).chain(&operators)
        {
            assert!(text.contains(name), "{name}");
        }
    }
}
