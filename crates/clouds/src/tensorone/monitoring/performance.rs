//! `GET /v2/monitoring/performance`: the answer, put together.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::alerts::{self, Alert};
use super::ask::PerformanceAsk;
use super::platform::Figures;
use super::{Failure, Targets, overall, platform, resource};
use crate::Batch;
use crate::tensorone::frame::Frame;
use crate::tensorone::numbers::{number, time, whole};
use crate::tensorone::{Refusal, sources};

/// Points of all resources' time series together.
const POINTS_MAX: i64 = 1_000_000;

/// The answer to `ask`.
///
/// Errors: more points than one answer holds; what the batch says.
pub fn performance(batch: &Batch<'_>, ask: &PerformanceAsk, targets: Targets) -> Result<Value, Failure> {
    let (mut shown, mut alerts, mut told) = (Vec::new(), Vec::<Alert>::new(), BTreeMap::new());
    for kind in ask.kinds {
        let resources = resource::find(batch, ask, *kind)?;
        if resources.members.is_empty() {
            continue;
        }
        check_points(ask, resources.members.len())?;
        let found = batch.run(&resource::subject(ask, &resources), &resource::needs(ask))?;
        for member in &resources.members {
            let view = found.member(&member.id);
            alerts.extend(alerts::about(&member.id, view, ask, targets));
            shown.push(resource::render(ask, resources.kind, member, view));
            if ask.shows_sources {
                told.insert(member.id.clone(), sources(view));
            }
        }
    }
    let found = batch.run(&platform::subject(ask), &platform::needs(ask))?;
    let view = found.member("");
    let figures = Figures::of(ask, view);
    let last_bucket = ask.frame.end - ask.frame.step_ms;
    let mut answer = json!({
        "timeRange": time_range(&ask.frame),
        "overall": overall_of(&figures, &alerts, targets),
        "resources": shown,
        "aggregatedMetrics": platform::aggregated(ask, view, &figures),
        "alerts": alerts.iter().map(|alert| alert.render(last_bucket)).collect::<Vec<_>>(),
    });
    if ask.shows_sources {
        told.insert("platform".to_owned(), sources(view));
        answer["sources"] = json!(told);
    }
    Ok(answer)
}

fn check_points(ask: &PerformanceAsk, n_resources: usize) -> Result<(), Failure> {
    let n_buckets = ask.frame.window_ms() / ask.frame.step_ms;
    let points = i64::try_from(n_resources).unwrap_or(i64::MAX).saturating_mul(n_buckets);
    if points <= POINTS_MAX {
        return Ok(());
    }
    let why = format!("{points} points of {n_resources} resources, at most {POINTS_MAX}");
    Err(Failure::Refused(Refusal::because("granularity", ask.frame.granularity, why)))
}

/// The `timeRange` object.
pub(super) fn time_range(frame: &Frame) -> Value {
    json!({"start": time(frame.start), "end": time(frame.end), "granularity": frame.granularity})
}

fn overall_of(figures: &Figures, alerts: &[Alert], targets: Targets) -> Value {
    let performance = overall::performance(figures.p95_s, figures.utilizations, targets);
    let n_high = alerts.iter().filter(|alert| alert.is_high).count();
    let health = overall::health(figures.availability, performance, alerts.len() - n_high, n_high);
    json!({
        "healthScore": whole(health),
        "performanceScore": whole(performance),
        "availabilityScore": number(figures.availability, 1),
        "averageResponseTime": number(figures.response_ms, 0),
        "totalThroughput": number(figures.throughput, 1),
        "errorRate": number(figures.error_rate, 1),
    })
}
