//! Scores of the whole platform, by fixed formulas.

use super::Targets;

/// Utilisation in percent up to which there is room.
const ROOM_PERCENT: f64 = 80.0;
/// Availability in percent below which nothing is healthy, and the width of the scale above it.
const AVAILABILITY_MIN: f64 = 95.0;
const AVAILABILITY_WIDTH: f64 = 4.9;

/// How well the platform performs, 0 to 100: how fast it answers, and how much room its fullest resource has. What is
/// not known does not count; `None` if nothing is.
pub(crate) fn performance(p95_s: Option<f64>, utilizations: [Option<f64>; 3], targets: Targets) -> Option<f64> {
    let target = targets.latency_s;
    let speed = p95_s.map(|p95| (100.0 * (4.0 * target - p95) / (3.0 * target)).clamp(0.0, 100.0));
    let room = utilizations.into_iter().flatten().map(saturation).reduce(f64::min);
    match (speed, room) {
        (Some(speed), Some(room)) => Some(0.6 * speed + 0.4 * room),
        (one, other) => one.or(other),
    }
}

/// 100 up to four fifths, then down to 0 at full use.
fn saturation(percent: f64) -> f64 {
    (100.0 * (100.0 - percent) / (100.0 - ROOM_PERCENT)).clamp(0.0, 100.0)
}

/// How healthy the platform is, 0 to 100: available, performing, without alerts.
pub(crate) fn health(
    availability: Option<f64>,
    performance: Option<f64>,
    n_medium: usize,
    n_high: usize,
) -> Option<f64> {
    let (availability, performance) = (availability?, performance?);
    let available = (100.0 * (availability - AVAILABILITY_MIN) / AVAILABILITY_WIDTH).clamp(0.0, 100.0);
    #[expect(clippy::cast_precision_loss, reason = "at most thousands of alerts")]
    let calm = (100.0 - 10.0 * n_medium as f64 - 25.0 * n_high as f64).max(0.0);
    Some(0.5 * available + 0.3 * performance + 0.2 * calm)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_follow_their_formulas() {
        let targets = Targets { latency_s: 1.0 };
        let near = |value: Option<f64>, expect: f64| assert!((value.unwrap() - expect).abs() < 1e-9, "{value:?}");
        // Fast and idle; at four times the target; half way; 90 % is half of the room above 80 %.
        near(performance(Some(1.0), [Some(10.0), None, Some(80.0)], targets), 100.0);
        near(performance(Some(4.0), [Some(10.0), None, None], targets), 40.0);
        near(performance(Some(2.5), [Some(90.0), Some(20.0), None], targets), 0.6 * 50.0 + 0.4 * 50.0);
        near(performance(None, [None, None, Some(95.0)], targets), 25.0);
        near(performance(Some(2.5), [None; 3], targets), 50.0);
        assert_eq!(performance(None, [None; 3], targets), None);
        near(health(Some(99.9), Some(100.0), 0, 0), 100.0);
        near(health(Some(97.45), Some(80.0), 2, 1), 25.0 + 24.0 + 0.2 * 55.0);
        near(health(Some(90.0), Some(0.0), 9, 9), 0.0);
        assert_eq!(health(None, Some(1.0), 0, 0), None);
    }
}
