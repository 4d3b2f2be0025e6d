//! Values that `fill` puts where a match group has series on one side alone.

use model::{Budget, Interrupt, Labels};

use super::{Column, Series};
use crate::expr::Fill;

/// The stand-ins of one match group, at the steps where one side has a point and the other has none.
#[derive(Default)]
pub(super) struct Fillers {
    /// Stands on the many side.
    pub(super) many: Option<Series>,
    /// Stands on the one side.
    pub(super) one: Option<Series>,
}

impl Fill {
    /// How many columns the stand-ins of a group may take.
    pub(super) fn columns(self) -> usize {
        usize::from(self.left.is_some()) + usize::from(self.right.is_some())
    }

    /// The stand-ins of the group of these labels. They have no step in common, so they never meet each other.
    pub(super) fn fillers(
        self,
        labels: &Labels,
        many: &[&Series],
        one: &[&Series],
        len: usize,
        budget: &Budget,
    ) -> Result<Fillers, Interrupt> {
        let has = |side: &[&Series], step_idx: usize| side.iter().any(|s| s.column.has(step_idx));
        let filler = |value: Option<f64>, absent: &[&Series], present: &[&Series]| {
            let Some(value) = value else { return Ok(None) };
            let mut column = Column::absent(len);
            for (step_idx, float) in column.floats.iter_mut().enumerate() {
                budget.check()?;
                if has(present, step_idx) && !has(absent, step_idx) {
                    *float = value;
                }
            }
            Ok((!column.is_void()).then(|| Series::new(labels.clone(), column)))
        };
        // As in Prometheus, the left value is the many side's even where `group_right` swaps the sides.
        Ok(Fillers { many: filler(self.left, many, one)?, one: filler(self.right, one, many)? })
    }
}
