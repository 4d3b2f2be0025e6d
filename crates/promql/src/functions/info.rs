//! `info`: adds labels of info series, such as `target_info`, to the series of the same target.

use std::collections::BTreeSet;

use hashbrown::{HashMap, HashSet};
use model::{Columns, Labels, LabelsBuilder, METRIC_NAME, MatchOp, Matcher, TimeRange, Timestamp};

use crate::EvalError;
use crate::eval::{Column, Evaluator, Grid, Series, Windows};
use crate::expr::{Call, Expr};

/// The labels that tell targets apart.
const IDENTIFYING: [&str; 2] = ["instance", "job"];

/// The info metric that is meant when none is named.
const TARGET_INFO: &str = "target_info";

/// Length of a pattern of label values up to which the store is asked for them; beyond it they are sorted out here.
const PATTERN_BYTES_MAX: usize = 4 << 10;

pub(super) fn info(evaluator: &Evaluator<'_>, call: &Call, grid: Grid) -> Result<Vec<Series>, EvalError> {
    let base = evaluator.vector(&call.args[0], grid)?;
    let asked: &[Matcher] = match call.args.get(1).map(Expr::bare) {
        Some(Expr::Selector(selector)) => &selector.matchers,
        _ => &[],
    };
    let (names, wanted): (Vec<Matcher>, Vec<Matcher>) = asked.iter().cloned().partition(|m| m.name() == METRIC_NAME);
    let names = effective_names(names)?;
    let is_info = |s: &Series| names.iter().all(|m| m.matches_labels(&s.labels));
    let ignored: Vec<bool> = base.iter().map(is_info).collect();
    let windows = windows(evaluator, &call.args[0], grid);
    let infos = find(evaluator, &base, &ignored, &names, &wanted, &windows)?;
    let names: BTreeSet<&str> = infos.keys().map(|[name, ..]| name.as_str()).collect();
    let mut join = Join { evaluator, infos: &infos, names, wanted: &wanted, grid, out: Vec::new() };
    for (s, ignored) in base.iter().zip(ignored) {
        evaluator.ctx.budget.check()?;
        join.add(s, ignored)?;
    }
    let out = join.out;
    evaluator.discard(base, grid);
    evaluator.merge_same_labels(out, grid)
}

/// Matchers on the info metric's name; only negative ones mean every `_info` metric but those.
fn effective_names(mut names: Vec<Matcher>) -> Result<Vec<Matcher>, EvalError> {
    if names.is_empty() {
        names.push(Matcher::equal(METRIC_NAME, TARGET_INFO));
    } else if names.iter().all(|m| m.op().is_negative()) {
        names.push(matcher(METRIC_NAME, ".+_info")?);
    }
    Ok(names)
}

fn matcher(name: &str, pattern: &str) -> Result<Matcher, EvalError> {
    Matcher::new(name, MatchOp::Regex, pattern).map_err(|error| EvalError::Invalid(error.to_string()))
}

/// Where info series are looked up: as the first selector of the argument is shifted.
fn windows(evaluator: &Evaluator<'_>, arg: &Expr, grid: Grid) -> Windows {
    let (pinned, offset_ms) = first_shift(evaluator, arg).unwrap_or((None, 0));
    Windows { grid, pinned, offset_ms, range_ms: evaluator.ctx.lookback_ms }
}

fn first_shift(evaluator: &Evaluator<'_>, expr: &Expr) -> Option<(Option<Timestamp>, i64)> {
    let pin = |pinned| evaluator.span.pin(pinned);
    match expr {
        Expr::Number { .. } | Expr::Text { .. } => None,
        Expr::Selector(selector) => Some((pin(selector.pinned), selector.offset.ms)),
        Expr::Range(range) => Some((pin(range.selector.pinned), range.selector.offset.ms)),
        Expr::Subquery(subquery) => match first_shift(evaluator, &subquery.expr)? {
            (None, offset_ms) => Some((pin(subquery.pinned), offset_ms.saturating_add(subquery.offset.ms))),
            pinned => Some(pinned),
        },
        Expr::Call(call) => call.args.iter().find_map(|arg| first_shift(evaluator, arg)),
        Expr::Aggregate(aggregate) => first_shift(evaluator, &aggregate.expr),
        Expr::Binary(binary) => first_shift(evaluator, &binary.lhs).or_else(|| first_shift(evaluator, &binary.rhs)),
        Expr::Negate(_, inner) | Expr::Paren(_, inner) | Expr::Invariant(inner) => first_shift(evaluator, inner),
    }
}

/// An info series: when its sample at each step was taken, in seconds.
struct Info {
    labels: Labels,
    taken: Column,
}

/// Info series by metric name and identifying labels.
type Infos = HashMap<[String; 3], Vec<Info>, ahash::RandomState>;

fn signature(name: &str, labels: &Labels) -> [String; 3] {
    let [instance, job] = IDENTIFYING.map(|label| labels.get(label).unwrap_or("").to_owned());
    [name.to_owned(), instance, job]
}

fn find(
    evaluator: &Evaluator<'_>,
    base: &[Series],
    ignored: &[bool],
    names: &[Matcher],
    wanted: &[Matcher],
    windows: &Windows,
) -> Result<Infos, EvalError> {
    let mut matchers: Vec<Matcher> = names.iter().chain(wanted).cloned().collect();
    let mut values: Vec<(&str, HashSet<&str>)> = Vec::new();
    for label in IDENTIFYING {
        let enriched = base.iter().zip(ignored).filter(|(_, ignored)| !**ignored);
        let found: HashSet<&str> = enriched.filter_map(|(s, _)| s.labels.get(label)).collect();
        if !found.is_empty() {
            matchers.extend(pattern_of(label, &found)?);
            values.push((label, found));
        }
    }
    let mut infos = Infos::default();
    if values.is_empty() {
        return Ok(infos);
    }
    let last = windows.end(windows.grid.len.saturating_sub(1));
    let range = TimeRange { mint: windows.start(0).saturating_add(1), maxt: last };
    let budget = evaluator.ctx.budget;
    let set = evaluator.ctx.store.select(&matchers, range, budget)?.series;
    let mut columns = Columns::default();
    for series_idx in 0..set.len() {
        budget.check()?;
        let labels = set.labels(series_idx);
        if !values.iter().all(|(label, found)| labels.get(label).is_some_and(|value| found.contains(value))) {
            continue;
        }
        set.read(series_idx, &mut columns, budget)?;
        budget.count_samples(columns.len())?;
        if !columns.histograms.is_empty() {
            return Err(EvalError::Invalid("info sample should be float".to_owned()));
        }
        let mut taken = Column::absent(windows.grid.len);
        crate::eval::timestamps(&columns, windows, budget, &mut taken)?;
        evaluator.count_points(&taken);
        if !taken.is_void() {
            evaluator.charge(1, windows.grid)?;
            let key = signature(labels.metric_name().unwrap_or(""), labels);
            infos.entry(key).or_default().push(Info { labels: labels.clone(), taken });
        }
    }
    Ok(infos)
}

fn pattern_of(label: &str, values: &HashSet<&str>) -> Result<Option<Matcher>, EvalError> {
    let mut quoted: Vec<String> = values.iter().map(|value| escaped(value)).collect();
    quoted.sort();
    let pattern = quoted.join("|");
    if pattern.len() > PATTERN_BYTES_MAX { Ok(None) } else { matcher(label, &pattern).map(Some) }
}

/// A text as a pattern that matches it alone.
fn escaped(text: &str) -> String {
    let special = |c: char| r"\.+*?()|[]{}^$#&-~".contains(c);
    text.chars().flat_map(|c| special(c).then_some('\\').into_iter().chain([c])).collect()
}

struct Join<'a> {
    evaluator: &'a Evaluator<'a>,
    infos: &'a Infos,
    /// The names of info metrics, in order.
    names: BTreeSet<&'a str>,
    wanted: &'a [Matcher],
    grid: Grid,
    out: Vec<Series>,
}

impl<'a> Join<'a> {
    /// Adds one series under the labels that its target's info series give it at each step.
    fn add(&mut self, base: &Series, ignored: bool) -> Result<(), EvalError> {
        let groups = if ignored { Vec::new() } else { self.groups_of(&base.labels) };
        let mut columns: Vec<(Vec<Option<usize>>, Option<Series>)> = Vec::new();
        for step_idx in 0..self.grid.len {
            let Some(point) = base.column.get(step_idx) else { continue };
            let mut chosen = Vec::with_capacity(groups.len());
            for group in &groups {
                chosen.push(newest(group, step_idx)?);
            }
            let at = match columns.iter().position(|(other, _)| *other == chosen) {
                Some(at) => at,
                None => {
                    let series = self.labelled(base, ignored, &groups, &chosen)?;
                    columns.push((chosen, series));
                    columns.len() - 1
                }
            };
            if let Some(series) = &mut columns[at].1 {
                series.column.set(step_idx, point);
            }
        }
        self.out.extend(columns.into_iter().filter_map(|(_, series)| series));
        Ok(())
    }

    fn groups_of(&self, labels: &Labels) -> Vec<&'a [Info]> {
        let group = |name: &&str| self.infos.get(&signature(name, labels)).map(Vec::as_slice);
        self.names.iter().filter_map(group).collect()
    }

    /// An empty column under the joined labels; `None` when labels are asked for that no info series gives.
    fn labelled(
        &self,
        base: &Series,
        ignored: bool,
        groups: &[&[Info]],
        chosen: &[Option<usize>],
    ) -> Result<Option<Series>, EvalError> {
        let mut added = LabelsBuilder::default();
        let found = groups.iter().zip(chosen).filter_map(|(group, chosen)| chosen.map(|at| &group[at]));
        for (name, value) in found.flat_map(|info| info.labels.iter()) {
            let asked = self.wanted.is_empty() || self.wanted.iter().any(|m| m.name() == name);
            if name == METRIC_NAME || !asked {
                continue;
            }
            if added.get(name).is_some_and(|other| other != value) {
                return Err(EvalError::Invalid(format!("conflicting label: {name}")));
            }
            if base.labels.get(name).is_none() {
                added.set(name, value);
            }
        }
        let nothing_found = chosen.iter().all(Option::is_none);
        if !ignored && nothing_found && self.wanted.iter().any(|m| !m.matches_empty()) {
            return Ok(None);
        }
        let mut labels = LabelsBuilder::new(&base.labels);
        for (name, value) in added.build().iter() {
            labels.set(name, value);
        }
        self.evaluator.charge(1, self.grid)?;
        let column = Column::absent(self.grid.len);
        Ok(Some(Series { labels: labels.build(), column, nameless: base.nameless }))
    }
}

/// The info series whose sample at a step is the newest.
fn newest(group: &[Info], step_idx: usize) -> Result<Option<usize>, EvalError> {
    let mut best: Option<(usize, f64)> = None;
    for (at, info) in group.iter().enumerate().filter(|(_, info)| info.taken.has(step_idx)) {
        let taken = info.taken.floats[step_idx];
        match best {
            Some((other, other_taken)) if other_taken == taken => {
                #[expect(clippy::cast_possible_truncation, reason = "a timestamp in ms, divided by 1000 before")]
                let t = (taken * 1000.0).round() as i64;
                return Err(EvalError::Invalid(format!(
                    "found duplicate series for info metric: existing {} @ {t}, new {} @ {t}",
                    group[other].labels, info.labels
                )));
            }
            Some((_, other_taken)) if other_taken > taken => {}
            _ => best = Some((at, taken)),
        }
    }
    Ok(best.map(|(at, _)| at))
}
