//! Binary operators between vectors: which series meet is in `binary_match`, here are the sides and the set operators.

use super::group::Groups;
use super::{Evaluator, GROUP_BYTES, Grid, Series, Stage, columns_bytes};
use crate::EvalError;
use crate::expr::{Binary, BinaryOp, Grouping, ValueType};

impl Evaluator<'_> {
    /// Evaluates a binary expression of which at least one side is a vector.
    pub(crate) fn binary(&self, binary: &Binary, grid: Grid) -> Result<Vec<Series>, EvalError> {
        match (binary.lhs.value_type(), binary.rhs.value_type()) {
            (ValueType::Vector, ValueType::Vector) => {}
            (ValueType::Vector, _) => {
                let series = self.vector(&binary.lhs, grid)?;
                let stage = self.scalar_stage(binary, &binary.rhs, false, grid)?;
                return self.map_series(series, &Stage::Scalar(stage), grid);
            }
            _ => {
                let stage = self.scalar_stage(binary, &binary.lhs, true, grid)?;
                let series = self.vector(&binary.rhs, grid)?;
                return self.map_series(series, &Stage::Scalar(stage), grid);
            }
        }
        let lhs = self.vector(&binary.lhs, grid)?;
        let rhs = self.vector(&binary.rhs, grid)?;
        if binary.op.is_set() {
            return self.set_operation(binary, lhs, rhs, grid);
        }
        let result = self.matched(binary, &lhs, &rhs, grid)?;
        self.discard(lhs, grid);
        self.discard(rhs, grid);
        self.merge_same_labels(result, grid)
    }

    fn set_operation(
        &self,
        binary: &Binary,
        lhs: Vec<Series>,
        rhs: Vec<Series>,
        grid: Grid,
    ) -> Result<Vec<Series>, EvalError> {
        let grouping = Grouping { without: !binary.matching.on, labels: binary.matching.labels.clone() };
        let mut groups = Groups::new(&grouping);
        let lhs_groups: Vec<usize> = lhs.iter().map(|s| groups.group_of(&s.labels, false)).collect();
        let rhs_groups: Vec<usize> = rhs.iter().map(|s| groups.group_of(&s.labels, false)).collect();
        let n_groups = groups.labels.len();
        let group_bytes = (lhs.len() + rhs.len()).saturating_mul(GROUP_BYTES);
        let presence_bytes = n_groups.saturating_mul(grid.len).saturating_add(group_bytes);
        self.ctx.budget.charge(presence_bytes)?;
        let kept = match binary.op {
            BinaryOp::And => {
                let present = self.presence(&rhs, &rhs_groups, n_groups, grid.len)?;
                self.mask(lhs, &lhs_groups, grid, |group_idx, step_idx| present[group_idx * grid.len + step_idx])?
            }
            BinaryOp::Unless => {
                let present = self.presence(&rhs, &rhs_groups, n_groups, grid.len)?;
                self.mask(lhs, &lhs_groups, grid, |group_idx, step_idx| !present[group_idx * grid.len + step_idx])?
            }
            _ => {
                let present = self.presence(&lhs, &lhs_groups, n_groups, grid.len)?;
                let keep = |group_idx: usize, step_idx: usize| !present[group_idx * grid.len + step_idx];
                let mut all = lhs;
                all.extend(self.mask(rhs, &rhs_groups, grid, keep)?);
                if self.late_names { all } else { self.merge_same_labels(all, grid)? }
            }
        };
        self.ctx.budget.release(presence_bytes);
        if binary.op != BinaryOp::Or {
            // The right side only said which points stay.
            self.ctx.budget.release(columns_bytes(rhs_groups.len(), grid.len));
        }
        Ok(kept)
    }

    /// For each group and step, whether a series has a point.
    fn presence(
        &self,
        series: &[Series],
        groups: &[usize],
        n_groups: usize,
        len: usize,
    ) -> Result<Vec<bool>, EvalError> {
        let mut present = vec![false; n_groups * len];
        for (s, group_idx) in series.iter().zip(groups) {
            self.ctx.budget.check()?;
            for (step_idx, present) in present[group_idx * len..][..len].iter_mut().enumerate() {
                *present |= s.column.has(step_idx);
            }
        }
        Ok(present)
    }

    /// Keeps the points that `keep` says, and the series that still have one.
    fn mask(
        &self,
        series: Vec<Series>,
        groups: &[usize],
        grid: Grid,
        keep: impl Fn(usize, usize) -> bool,
    ) -> Result<Vec<Series>, EvalError> {
        let n_before = series.len();
        let mut out = Vec::with_capacity(n_before);
        for (mut s, group_idx) in series.into_iter().zip(groups) {
            self.ctx.budget.check()?;
            for step_idx in 0..grid.len {
                if !keep(*group_idx, step_idx) {
                    s.column.unset(step_idx);
                }
            }
            if !s.column.is_void() {
                out.push(s);
            }
        }
        self.ctx.budget.release(columns_bytes(n_before - out.len(), grid.len));
        Ok(out)
    }
}
