//! Parts of dates in UTC, and the times of samples.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use model::Labels;

use crate::EvalError;
use crate::eval::{Column, Evaluator, Grid, Series, Stage};
use crate::expr::Call;

type Vectors = Result<Vec<Series>, EvalError>;

pub(super) fn year(evaluator: &Evaluator<'_>, call: &Call, grid: Grid) -> Vectors {
    parts(evaluator, call, grid, |t| f64::from(t.year()))
}

pub(super) fn month(evaluator: &Evaluator<'_>, call: &Call, grid: Grid) -> Vectors {
    parts(evaluator, call, grid, |t| f64::from(t.month()))
}

pub(super) fn day_of_month(evaluator: &Evaluator<'_>, call: &Call, grid: Grid) -> Vectors {
    parts(evaluator, call, grid, |t| f64::from(t.day()))
}

pub(super) fn day_of_week(evaluator: &Evaluator<'_>, call: &Call, grid: Grid) -> Vectors {
    parts(evaluator, call, grid, |t| f64::from(t.weekday().to_sunday_zero_offset()))
}

pub(super) fn day_of_year(evaluator: &Evaluator<'_>, call: &Call, grid: Grid) -> Vectors {
    parts(evaluator, call, grid, |t| f64::from(t.day_of_year()))
}

pub(super) fn days_in_month(evaluator: &Evaluator<'_>, call: &Call, grid: Grid) -> Vectors {
    parts(evaluator, call, grid, |t| f64::from(Date::days_in_month(t.date())))
}

pub(super) fn hour(evaluator: &Evaluator<'_>, call: &Call, grid: Grid) -> Vectors {
    parts(evaluator, call, grid, |t| f64::from(t.hour()))
}

pub(super) fn minute(evaluator: &Evaluator<'_>, call: &Call, grid: Grid) -> Vectors {
    parts(evaluator, call, grid, |t| f64::from(t.minute()))
}

/// The part of each value as a Unix time, or of each step's time without an argument.
fn parts(evaluator: &Evaluator<'_>, call: &Call, grid: Grid, part: fn(&Zoned) -> f64) -> Vectors {
    let Some(arg) = call.args.first() else {
        evaluator.charge(1, grid)?;
        let mut column = Column::absent(grid.len);
        for (step_idx, v) in column.floats.iter_mut().enumerate() {
            *v = of_seconds(grid.time(step_idx) / 1000, part);
        }
        return Ok(vec![Series::new(Labels::empty(), column)]);
    };
    let series = evaluator.vector(arg, grid)?;
    #[expect(clippy::cast_possible_truncation, reason = "saturates, and dates end long before")]
    let of_value = move |v: f64, _| of_seconds(v as i64, part);
    evaluator.map_series(series, &Stage::MapWith(Box::new(of_value)), grid)
}

/// The part of a date; NaN outside the years -9999 to 9999.
fn of_seconds(seconds: i64, part: fn(&Zoned) -> f64) -> f64 {
    match Timestamp::from_second(seconds) {
        Ok(t) => part(&t.to_zoned(TimeZone::UTC)),
        Err(_) => f64::NAN,
    }
}

/// `start_timestamp` of anything but a selector: a computed value has none.
pub(super) fn start_timestamp(_: &Evaluator<'_>, _: &Call, _: Grid) -> Vectors {
    Ok(Vec::new())
}

/// `timestamp` of anything but a selector: the time of the step where there is a value.
pub(super) fn timestamp(evaluator: &Evaluator<'_>, call: &Call, grid: Grid) -> Vectors {
    let mut series = evaluator.vector(&call.args[0], grid)?;
    for s in &mut series {
        for step_idx in (0..grid.len).filter(|step_idx| s.column.histogram(*step_idx).is_some()).collect::<Vec<_>>() {
            s.column.set(step_idx, crate::eval::PointRef::Float(0.0));
        }
    }
    let time = move |_: f64, step_idx| grid.time(step_idx) as f64 / 1000.0;
    evaluator.map_series(series, &Stage::MapWith(Box::new(time)), grid)
}
