//! What could be saved: each suggestion by a fixed formula over measured costs, and left out where it saves little.

use serde_json::{Value, json};

use super::costs::{self, Amounts};
use super::metrics::Answer;
use super::numbers::{cents, ratio, round, usd, variation};
use super::usage::cache;

/// The share of cold-start costs that warm replicas save.
const WARM_SHARE: f64 = 0.9;
/// Up to this utilisation, 95 % of the time, a smaller GPU is enough.
const SMALL_GPU_PERCENT: f64 = 60.0;
/// How full a smaller GPU's memory may become.
const SMALL_GPU_MEMORY: f64 = 0.9;
/// The share of hits that a cache of repeated requests can reach.
const HIT_SHARE: f64 = 0.5;
/// Savings below this share of the total are not worth a word.
const SHARE_MIN: f64 = 0.01;

/// One way to spend less.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Suggestion {
    pub(crate) category: &'static str,
    pub(crate) description: &'static str,
    pub(crate) implementation: String,
    pub(crate) savings_cents: i64,
    pub(crate) effort: &'static str,
    pub(crate) confidence: Option<f64>,
}

/// What the formulas are computed from.
#[derive(Clone, Debug)]
pub(crate) struct Basis {
    pub(crate) total: f64,
    pub(crate) inference: f64,
    pub(crate) cold_start: f64,
    pub(crate) idle: f64,
    /// USD of one replica for one hour.
    pub(crate) replica_hour: Option<f64>,
    /// Replicas a warm pool would keep.
    pub(crate) warm_replicas: f64,
    /// Hours in which no replica ran.
    pub(crate) gap_hours: f64,
    /// The share of replica hours that the least number of replicas takes.
    pub(crate) floor_share: f64,
    /// A smaller GPU that is enough: its model, and its price as a share of today's.
    pub(crate) smaller_gpu: Option<(String, f64)>,
    /// The share of requests that a cache answers, where that is measured.
    pub(crate) hit_share: Option<f64>,
}

/// The suggestions about one endpoint.
pub(crate) fn suggestions(answer: &Answer<'_>, amounts: Option<&Amounts>) -> Vec<Suggestion> {
    let Some(amounts) = amounts else { return Vec::new() };
    let starts: Vec<f64> = answer.view.line("cold_starts.days").to_vec();
    let of_starts = variation(&starts).map(|variation| (1.0 - variation).clamp(0.0, 1.0));
    let of_costs = variation(&costs::daily(answer)).map(|variation| (1.0 - variation).clamp(0.0, 1.0));
    let mut list = list(&basis(answer, amounts), answer.ask.has_cost_details());
    for suggestion in &mut list {
        let is_about_starts = matches!(suggestion.category, "cold_starts" | "warm_pools");
        suggestion.confidence = if is_about_starts { of_starts } else { of_costs };
    }
    list
}

fn basis(answer: &Answer<'_>, amounts: &Amounts) -> Basis {
    let view = answer.view;
    let replica_hours = view.value("replica_hours");
    let floor_hours = view.value("replicas.min").map(|min| min * answer.ask.frame.days() * 24.0);
    Basis {
        total: usd(amounts.total),
        inference: amounts.inference(),
        cold_start: amounts.cold_start(),
        idle: amounts.idle(),
        replica_hour: replica_hour(answer, amounts),
        warm_replicas: f64::from(answer.facts.warm_replicas.unwrap_or(1)),
        gap_hours: costs::gaps(answer).0,
        floor_share: ratio(floor_hours, replica_hours).unwrap_or(0.0).clamp(0.0, 1.0),
        smaller_gpu: smaller_gpu(answer),
        hit_share: cache(answer).2.map(|percent| percent / 100.0),
    }
}

/// USD of one replica for one hour: by the rate card, or what it cost in the frame.
pub(crate) fn replica_hour(answer: &Answer<'_>, amounts: &Amounts) -> Option<f64> {
    let gpu = answer.gpu_model().and_then(|model| answer.rates.price(&model));
    let by_card = gpu.zip(answer.facts.gpu_count).map(|(gpu, count)| gpu.usd_hour * f64::from(count));
    by_card.or_else(|| ratio(Some(amounts.compute()), answer.view.value("replica_hours")))
}

/// The next smaller GPU of the rate card, if use and memory would fit.
fn smaller_gpu(answer: &Answer<'_>) -> Option<(String, f64)> {
    let now = answer.rates.price(&answer.gpu_model()?)?;
    let smaller = answer.rates.next_smaller(now)?;
    let is_idle = answer.view.value("gpu.p95")? <= SMALL_GPU_PERCENT;
    let fits = answer.view.value("gpu.memory.used.p95")? <= SMALL_GPU_MEMORY * smaller.vram_bytes;
    (is_idle && fits).then(|| (smaller.model.clone(), smaller.usd_hour / now.usd_hour))
}

/// The suggestions worth a word; their categories' names follow the shape of the answer.
pub(crate) fn list(basis: &Basis, is_detailed: bool) -> Vec<Suggestion> {
    let one = |category, description, implementation: String, savings: Option<f64>, effort| {
        let savings_cents = cents(savings.filter(|savings| *savings > 0.0 && SHARE_MIN * basis.total <= *savings)?);
        let suggestion = Suggestion { category, description, implementation, savings_cents, effort, confidence: None };
        (savings_cents > 0).then_some(suggestion)
    };
    let warm =
        WARM_SHARE * basis.cold_start - basis.warm_replicas * basis.gap_hours * basis.replica_hour.unwrap_or(0.0);
    let sized = basis.smaller_gpu.as_ref().map(|(_, share)| basis.inference * (1.0 - share));
    let smaller = basis.smaller_gpu.as_ref().map_or("", |(model, _)| model);
    let cached = basis.hit_share.map(|hits| basis.inference * (HIT_SHARE - hits).max(0.0));
    let (warm_pools, sizing) =
        if is_detailed { ("warm_pools", "resource_rightsizing") } else { ("cold_starts", "resource_sizing") };
    let pool = format!("Enable warm pool with {} instances", basis.warm_replicas);
    let all = [
        one(warm_pools, "Enable warm pools to reduce cold start costs", pool, Some(warm), "low"),
        one(
            "idle_time",
            "Implement auto-scaling to reduce idle time",
            "Configure auto-scaling policies".to_owned(),
            Some(basis.idle * (1.0 - basis.floor_share)),
            "medium",
        ),
        one(
            sizing,
            "Right-size GPU allocation based on usage patterns",
            format!("Move replicas to {smaller}"),
            sized,
            "high",
        ),
        one(
            "data_caching",
            "Implement result caching for repeated requests",
            "Enable a cache of responses".to_owned(),
            cached,
            "medium",
        ),
    ];
    all.into_iter().flatten().collect()
}

/// The `optimization` object, with the keys of both of the vendor's shapes.
pub(crate) fn render(items: &[Suggestion]) -> Value {
    let shown: Vec<Value> = items.iter().map(shown).collect();
    let savings = usd(items.iter().map(|item| item.savings_cents).sum());
    json!({
        "potentialSavings": savings,
        "totalPotentialSavings": savings,
        "suggestions": shown,
        "recommendations": shown,
    })
}

fn shown(item: &Suggestion) -> Value {
    json!({
        "category": item.category,
        "description": item.description,
        "savings": usd(item.savings_cents),
        "effort": item.effort,
        "confidence": item.confidence.map(|confidence| round(confidence, 2)),
        "implementation": item.implementation,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn basis() -> Basis {
        Basis {
            total: 100.0,
            inference: 60.0,
            cold_start: 10.0,
            idle: 20.0,
            replica_hour: Some(2.0),
            warm_replicas: 1.0,
            gap_hours: 1.5,
            floor_share: 0.25,
            smaller_gpu: Some(("l40s".to_owned(), 0.4)),
            hit_share: Some(0.2),
        }
    }

    fn savings(basis: &Basis) -> Vec<(&'static str, i64)> {
        list(basis, false).iter().map(|item| (item.category, item.savings_cents)).collect()
    }

    #[test]
    fn savings_follow_their_formulas() {
        let expect = [
            ("cold_starts", 600),      // 0.9 * 10 - 1 * 2 * 1.5
            ("idle_time", 1500),       // 20 * (1 - 0.25)
            ("resource_sizing", 3600), // 60 * (1 - 0.4)
            ("data_caching", 1800),    // 60 * (0.5 - 0.2)
        ];
        assert_eq!(savings(&basis()), expect);
    }

    #[test]
    fn what_saves_little_or_is_not_measured_is_left_out() {
        let few = Basis { cold_start: 1.0, gap_hours: 0.0, idle: 1.0, smaller_gpu: None, hit_share: None, ..basis() };
        assert_eq!(savings(&few), [], "0.9 and 0.75 are below 1 % of 100");
        let dear = Basis { gap_hours: 5.0, hit_share: Some(0.5), ..basis() };
        assert_eq!(savings(&dear), [("idle_time", 1500), ("resource_sizing", 3600)]);
    }

    #[test]
    fn both_shapes_have_the_same_items() {
        let value = render(&list(&basis(), true));
        assert_eq!(value["suggestions"], value["recommendations"]);
        assert_eq!(value["potentialSavings"], json!(75.0));
        assert_eq!(value["suggestions"][0]["category"], "warm_pools");
        assert_eq!(value["suggestions"][2]["category"], "resource_rightsizing");
    }
}
