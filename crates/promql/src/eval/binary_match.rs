//! Arithmetic and comparison between vectors: one-to-one and many-to-one matching by labels.

use hashbrown::HashMap;
use model::{Budget, Labels, LabelsBuilder, is_stale};

use super::group::Groups;
use super::operator::{self, Outcome};
use super::{Column, Evaluator, GROUP_BYTES, Grid, Series, columns_bytes};
use crate::EvalError;
use crate::annotation::Notes;
use crate::expr::{Binary, BinaryOp, Cardinality, Grouping};

impl Evaluator<'_> {
    /// The operator between the series of `lhs` and `rhs` that match.
    pub(crate) fn matched(
        &self,
        binary: &Binary,
        lhs: &[Series],
        rhs: &[Series],
        grid: Grid,
    ) -> Result<Vec<Series>, EvalError> {
        let fill = binary.matching.fill;
        if (lhs.is_empty() || rhs.is_empty()) && !fill.is_given() {
            return Ok(Vec::new());
        }
        let swapped = binary.matching.cardinality == Cardinality::OneToMany;
        let (many, one) = if swapped { (rhs, lhs) } else { (lhs, rhs) };
        let grouping = Grouping { without: !binary.matching.on, labels: binary.matching.labels.clone() };
        let mut groups = Groups::new(&grouping);
        let mut ones: Vec<Vec<&Series>> = Vec::new();
        for s in one {
            let group_idx = groups.group_of(&s.labels, false);
            ones.resize_with(ones.len().max(group_idx + 1), Vec::new);
            ones[group_idx].push(s);
        }
        let group_bytes = (lhs.len() + rhs.len()).saturating_mul(GROUP_BYTES);
        self.ctx.budget.charge(group_bytes)?;
        check_one_side(many, &ones, &groups.labels, binary, grid.len, self.ctx.budget)?;
        let mut manys: Vec<Vec<&Series>> = vec![Vec::new(); ones.len()];
        for s in many {
            let group_idx = groups.group_of(&s.labels, false);
            if fill.right.is_some() {
                // The one side is filled in for groups that it has no series of.
                manys.resize_with(manys.len().max(group_idx + 1), Vec::new);
            }
            if let Some(members) = manys.get_mut(group_idx) {
                members.push(s);
            }
        }
        ones.resize_with(manys.len(), Vec::new);
        let mut join = Join { evaluator: self, binary, swapped, grid, notes: Notes::default(), out: Vec::new() };
        for ((many, one), labels) in manys.iter().zip(&ones).zip(&groups.labels) {
            if !fill.is_given() {
                join.group(many, one)?;
                continue;
            }
            self.charge(fill.columns(), grid)?;
            let fillers = fill.fillers(labels, many, one, grid.len, self.ctx.budget)?;
            let many: Vec<&Series> = many.iter().copied().chain(&fillers.many).collect();
            let one: Vec<&Series> = one.iter().copied().chain(&fillers.one).collect();
            join.group(&many, &one)?;
            self.ctx.budget.release(columns_bytes(fill.columns(), grid.len));
        }
        self.merge_notes(join.notes);
        self.ctx.budget.release(group_bytes);
        Ok(join.out)
    }
}

/// No two series of the one side may be in one group at one step, if the other side has any point there or may be
/// filled in.
fn check_one_side(
    many: &[Series],
    ones: &[Vec<&Series>],
    group_labels: &[Labels],
    binary: &Binary,
    len: usize,
    budget: &Budget,
) -> Result<(), EvalError> {
    if ones.iter().all(|group| group.len() < 2) {
        return Ok(());
    }
    let (swapped, filled) = (binary.matching.cardinality == Cardinality::OneToMany, binary.matching.fill.is_given());
    let mut needed = vec![filled; len];
    for s in many.iter().filter(|_| !filled) {
        budget.check()?;
        needed.iter_mut().enumerate().for_each(|(step_idx, needed)| *needed |= s.column.has(step_idx));
    }
    for (group, labels) in ones.iter().zip(group_labels).filter(|(group, _)| group.len() > 1) {
        for step_idx in (0..len).filter(|step_idx| needed[*step_idx]) {
            budget.check()?;
            let mut present = group.iter().filter(|s| s.column.has(step_idx));
            if let (Some(a), Some(b)) = (present.next(), present.next()) {
                let (mut a, mut b) = (braced(&a.labels), braced(&b.labels));
                if a > b {
                    (a, b) = (b, a);
                }
                let (group, side) = (braced(labels), if swapped { "left" } else { "right" });
                return Err(EvalError::Invalid(format!(
                    "found duplicate series for the match group {group} on the {side} hand-side of the operation: \
                     [{a}, {b}];many-to-many matching not allowed: matching labels must be unique on one side"
                )));
            }
        }
    }
    Ok(())
}

/// Labels as Prometheus shows them in errors: all in braces.
fn braced(labels: &Labels) -> String {
    let pairs: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    format!("{{{}}}", pairs.join(", "))
}

struct Join<'a> {
    evaluator: &'a Evaluator<'a>,
    binary: &'a Binary,
    swapped: bool,
    grid: Grid,
    notes: Notes,
    out: Vec<Series>,
}

impl Join<'_> {
    fn group(&mut self, many: &[&Series], one: &[&Series]) -> Result<(), EvalError> {
        let one_to_one = self.binary.matching.cardinality == Cardinality::OneToOne;
        // Which steps are taken: by the group for one-to-one, by the result's labels else.
        let mut taken: HashMap<Option<Labels>, Vec<bool>, ahash::RandomState> = HashMap::default();
        let can_clash = many.len() > 1 && self.can_clash(one_to_one, many);
        for m in many {
            for o in one {
                self.evaluator.ctx.budget.check()?;
                let labels = self.result_labels(&m.labels, &o.labels);
                let mut column = Column::absent(self.grid.len);
                if !can_clash {
                    self.pair(m, o, &mut column, |_| Ok(()))?;
                } else {
                    let key = if one_to_one { None } else { Some(labels.clone()) };
                    let taken = taken.entry(key).or_insert_with(|| vec![false; self.grid.len]);
                    self.pair(m, o, &mut column, |step_idx| {
                        if std::mem::replace(&mut taken[step_idx], true) { Err(clash(one_to_one)) } else { Ok(()) }
                    })?;
                }
                if !column.is_void() {
                    self.evaluator.charge(1, self.grid)?;
                    self.evaluator.charge_histograms(&column)?;
                    let nameless = self.binary.returns_bool && self.evaluator.late_names;
                    self.out.push(Series { labels, column, nameless });
                }
            }
        }
        Ok(())
    }

    /// Many series of a large group differ in their labels unless `group_left` overwrites one of them.
    fn can_clash(&self, one_to_one: bool, many: &[&Series]) -> bool {
        let drops = self.binary.op.drops_name() || self.binary.returns_bool;
        let same_name = || many.windows(2).all(|pair| pair[0].labels.metric_name() == pair[1].labels.metric_name());
        one_to_one || !self.binary.matching.include.is_empty() || (drops && !same_name())
    }

    fn pair(
        &mut self,
        many: &Series,
        one: &Series,
        out: &mut Column,
        mut take: impl FnMut(usize) -> Result<(), EvalError>,
    ) -> Result<(), EvalError> {
        let (op, returns_bool) = (self.binary.op, self.binary.returns_bool);
        let (lhs, rhs) = if self.swapped { (one, many) } else { (many, one) };
        if lhs.column.histograms.is_none() && rhs.column.histograms.is_none() {
            return floats(op, returns_bool, &lhs.column.floats, &rhs.column.floats, &mut out.floats, take);
        }
        let at = self.binary.lhs.at();
        for step_idx in 0..self.grid.len {
            let (Some(l), Some(r)) = (lhs.column.get(step_idx), rhs.column.get(step_idx)) else { continue };
            let Some((outcome, keep)) = operator::points(op, l, r, at, &mut self.notes) else { continue };
            take(step_idx)?;
            match outcome {
                _ if returns_bool => out.floats[step_idx] = f64::from(u8::from(keep)),
                _ if !keep => {}
                Outcome::Float(float) => out.floats[step_idx] = float,
                Outcome::Histogram(histogram) => out.set_histogram(step_idx, histogram),
            }
        }
        Ok(())
    }

    fn result_labels(&self, many: &Labels, one: &Labels) -> Labels {
        let matching = &self.binary.matching;
        let mut builder = LabelsBuilder::new(many);
        if self.binary.op.drops_name() || (self.binary.returns_bool && !self.evaluator.late_names) {
            self.evaluator.naming.remove_from(&mut builder);
        }
        if matching.cardinality == Cardinality::OneToOne {
            builder.retain(|name| matching.labels.iter().any(|label| label == name) == matching.on);
        }
        for name in &matching.include {
            builder.set(name, one.get(name).unwrap_or(""));
        }
        builder.build()
    }
}

fn clash(one_to_one: bool) -> EvalError {
    EvalError::Invalid(
        if one_to_one {
            "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)"
        } else {
            "multiple matches for labels: grouping labels must ensure unique matches"
        }
        .to_owned(),
    )
}

fn floats(
    op: BinaryOp,
    returns_bool: bool,
    lhs: &[f64],
    rhs: &[f64],
    out: &mut [f64],
    mut take: impl FnMut(usize) -> Result<(), EvalError>,
) -> Result<(), EvalError> {
    for (step_idx, ((l, r), out)) in lhs.iter().zip(rhs).zip(out).enumerate() {
        if is_stale(*l) || is_stale(*r) {
            continue;
        }
        take(step_idx)?;
        if !op.is_comparison() {
            *out = operator::scalars(op, *l, *r);
            continue;
        }
        let holds = operator::compare(op, *l, *r);
        if returns_bool {
            *out = f64::from(u8::from(holds));
        } else if holds {
            *out = *l;
        }
    }
    Ok(())
}
