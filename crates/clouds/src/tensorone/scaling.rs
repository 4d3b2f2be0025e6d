//! Scaling events: the steps at which the wanted number of replicas changed, why, and how long it took.

use model::Timestamp;
use promql::Steps;
use serde_json::{Value, json};

use super::frame::MINUTE_MS;
use super::metrics::Answer;
use super::numbers::{time, to_i64};

/// Requests for each replica, in progress or waiting, beyond which a replica is added. Source: the default of Hugging
/// Face's autoscaler, as are the next two.
const PENDING_MAX: f64 = 1.5;
/// GPU utilisation in percent beyond which a replica is added.
const GPU_PERCENT_MAX: f64 = 80.0;
/// Time without a request after which replicas are removed.
const IDLE_MS: i64 = 15 * MINUTE_MS;
/// Events of one answer, the latest.
const EVENTS_MAX: usize = 100;

/// What is known at each step.
#[derive(Clone, Copy, Debug)]
struct Lines<'a> {
    steps: Steps,
    target: &'a [f64],
    running: &'a [f64],
    pending: &'a [f64],
    gpu: &'a [f64],
}

/// One change.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Event {
    t: Timestamp,
    from: f64,
    to: f64,
    reason: &'static str,
    /// Until as many replicas ran as wanted; `None` if that never was.
    seconds: Option<i64>,
}

/// The events of the frame, oldest first.
pub(crate) fn events(answer: &Answer<'_>) -> Value {
    let lines = Lines {
        steps: answer.ask.frame.fine_steps(),
        target: answer.view.line("target.fine"),
        running: answer.view.line("replicas.fine"),
        pending: answer.view.line("pending.fine"),
        gpu: answer.view.line("gpu.fine"),
    };
    let shown = changes(&lines).into_iter().map(|event| {
        json!({
            "timestamp": time(event.t),
            "action": if event.from < event.to { "scale_up" } else { "scale_down" },
            "from": to_i64(event.from),
            "to": to_i64(event.to),
            "reason": event.reason,
            "duration": event.seconds,
        })
    });
    Value::Array(shown.collect())
}

fn changes(lines: &Lines<'_>) -> Vec<Event> {
    let mut events = Vec::new();
    let mut before: Option<f64> = None;
    for (at, to) in lines.target.iter().copied().enumerate().filter(|(_, target)| target.is_finite()) {
        if let Some(from) = before.replace(to).filter(|from| *from != to) {
            let t = lines.time(at);
            let reached = lines.running.iter().skip(at).position(|running| *running == to);
            let seconds = reached.map(|steps| (lines.time(at + steps) - t) / 1000);
            events.push(Event { t, from, to, reason: lines.reason(at, from), seconds });
        }
    }
    events.split_off(events.len().saturating_sub(EVENTS_MAX))
}

impl Lines<'_> {
    fn time(&self, at: usize) -> Timestamp {
        self.steps.start + i64::try_from(at).unwrap_or(0) * self.steps.step_ms
    }

    /// Why the target changed at a step, by what the step before it saw or the step itself.
    fn reason(&self, at: usize, replicas: f64) -> &'static str {
        let seen = |line: &[f64]| {
            let window = at.saturating_sub(1)..=at;
            window.filter_map(|at| line.get(at).copied()).filter(|value| value.is_finite()).reduce(f64::max)
        };
        if seen(self.pending).is_some_and(|pending| PENDING_MAX * replicas < pending) {
            return "High request volume";
        }
        if seen(self.gpu).is_some_and(|gpu| GPU_PERCENT_MAX < gpu) {
            return "High GPU utilization";
        }
        let idle_steps = usize::try_from(IDLE_MS / self.steps.step_ms).unwrap_or(0).max(1);
        let idle = self.pending.get((at + 1).saturating_sub(idle_steps)..=at).unwrap_or_default();
        if idle.len() == idle_steps && idle.iter().all(|pending| *pending == 0.0) {
            return "Idle timeout";
        }
        "Unknown"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_have_their_reasons_and_durations() {
        let mut target = vec![2.0; 60];
        target[10..30].fill(4.0);
        target[30..32].fill(f64::NAN);
        target[32..50].fill(5.0);
        target[50..].fill(1.0);
        let mut running = target.clone();
        running[10..13].fill(2.0);
        running[32..].fill(4.0);
        let mut pending = vec![1.0; 60];
        pending[9] = 8.0;
        pending[33..].fill(0.0);
        let mut gpu = vec![50.0; 60];
        gpu[31] = 95.0;
        let steps = Steps { start: 0, end: 59 * MINUTE_MS, step_ms: MINUTE_MS };
        let lines = Lines { steps, target: &target, running: &running, pending: &pending, gpu: &gpu };
        let event = |minute: i64, from, to, reason, seconds| Event { t: minute * MINUTE_MS, from, to, reason, seconds };
        assert_eq!(
            changes(&lines),
            [
                event(10, 2.0, 4.0, "High request volume", Some(180)),
                event(32, 4.0, 5.0, "High GPU utilization", None),
                event(50, 5.0, 1.0, "Idle timeout", None),
            ]
        );
        let quiet = Lines { pending: &[], gpu: &[], ..lines };
        assert!(changes(&quiet).iter().all(|event| event.reason == "Unknown"));
    }
}
