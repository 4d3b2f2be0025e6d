//! What things cost: the rate card as it is written in YAML, read strictly and checked.

use std::collections::{BTreeMap, BTreeSet};

use promql::{Query, TextLimits};
use serde::Deserialize;

/// Bytes of a rate card.
const CARD_BYTES_MAX: usize = 1 << 20;
/// Entries of one list.
const ENTRIES_MAX: usize = 256;
/// A price beyond this is a typing error.
const USD_MAX: f64 = 1e6;
/// Bytes of a name.
const NAME_BYTES_MAX: usize = 64;

/// Prices: of a GPU for an hour, and of everything else that is measured.
#[derive(Clone, Debug)]
pub struct RateCard {
    gpus: Vec<Gpu>,
    other_gpu_usd_hour: Option<f64>,
    tiers: BTreeMap<String, f64>,
    items: Vec<Item>,
}

/// A kind of GPU.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Gpu {
    /// Part of the model's name that tells it apart, such as `H100`; compared without case.
    model: String,
    /// USD for one GPU for one hour.
    usd_hour: f64,
    /// Its memory in 10^9 bytes.
    memory_gb: f64,
}

/// Something else that costs.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) category: Category,
    pub(super) detail: String,
    /// USD for what [`Item::usage`] says of one minute.
    pub(super) usd: f64,
    /// How much of it each endpoint used, in the minute before the time of evaluation.
    pub(super) usage: Query,
}

/// What money is spent on, beside GPUs.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "lowercase")]
pub(super) enum Category {
    Storage,
    Network,
    Other,
}

impl Category {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Category::Storage => "storage",
            Category::Network => "network",
            Category::Other => "other",
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CardFile {
    #[serde(default)]
    gpus: Vec<Gpu>,
    #[serde(default)]
    other_gpu_usd_hour: Option<f64>,
    #[serde(default)]
    tiers: BTreeMap<String, f64>,
    #[serde(default)]
    items: Vec<ItemFile>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ItemFile {
    category: Category,
    detail: String,
    usd: f64,
    per: Per,
    usage: String,
}

/// What a price is for.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Per {
    /// One of what the usage counts in a minute.
    Unit,
    /// One of what the usage says there is, for an hour.
    Hour,
    /// The same for a month of 730 hours.
    Month,
}

impl Per {
    /// Which part of the price a minute costs.
    fn minutes(self) -> f64 {
        match self {
            Per::Unit => 1.0,
            Per::Hour => 60.0,
            Per::Month => 730.0 * 60.0,
        }
    }
}

impl RateCard {
    /// Reads a card in YAML; the error names what is wrong and where.
    pub fn parse(text: &str) -> Result<RateCard, String> {
        if CARD_BYTES_MAX < text.len() {
            return Err(format!("rate card is {} bytes, at most {CARD_BYTES_MAX}", text.len()));
        }
        let CardFile { gpus, other_gpu_usd_hour, tiers, items } =
            serde_yaml_ng::from_str(text).map_err(|error| error.to_string())?;
        for (what, n) in [("gpus", gpus.len()), ("tiers", tiers.len()), ("items", items.len())] {
            if ENTRIES_MAX < n {
                return Err(format!("{what}: {n} entries, at most {ENTRIES_MAX}"));
            }
        }
        if gpus.is_empty() && items.is_empty() && other_gpu_usd_hour.is_none() {
            return Err("a rate card needs a price: `gpus`, `other_gpu_usd_hour` or `items`".to_owned());
        }
        check_gpus(&gpus)?;
        other_gpu_usd_hour.map_or(Ok(()), |usd| check_usd("other_gpu_usd_hour", usd))?;
        tiers.iter().try_for_each(|(tier, factor)| check_usd(&format!("tiers: {tier}"), *factor))?;
        let items = items.into_iter().enumerate().map(|(at, item)| item.check(at)).collect::<Result<Vec<_>, _>>()?;
        let mut seen = BTreeSet::new();
        if let Some(twice) = items.iter().find(|item| !seen.insert((item.category, item.detail.as_str()))) {
            return Err(format!("items: {} {} is there twice", twice.category.as_str(), twice.detail));
        }
        Ok(RateCard { gpus, other_gpu_usd_hour, tiers, items })
    }

    /// The prices as the vendors' answers need them.
    pub(crate) fn prices(&self) -> clouds::RateCard {
        let price = |gpu: &Gpu| clouds::GpuPrice {
            model: gpu.model.clone(),
            usd_hour: gpu.usd_hour,
            vram_bytes: gpu.memory_gb * 1e9,
        };
        clouds::RateCard { gpus: self.gpus.iter().map(price).collect() }
    }

    pub(super) fn items(&self) -> &[Item] {
        &self.items
    }

    /// USD for one GPU for one minute: that of the longest name that `model` contains, else that of any other GPU.
    pub(super) fn gpu_usd_minute(&self, model: Option<&str>, tier: Option<&str>) -> Option<f64> {
        let model = model.unwrap_or_default().to_lowercase();
        let fits = self.gpus.iter().filter(|gpu| model.contains(&gpu.model.to_lowercase()));
        let named = fits.max_by_key(|gpu| gpu.model.len()).map(|gpu| gpu.usd_hour);
        let factor = tier.and_then(|tier| self.tiers.get(tier)).copied().unwrap_or(1.0);
        named.or(self.other_gpu_usd_hour).map(|usd_hour| usd_hour * factor / 60.0)
    }
}

fn check_gpus(gpus: &[Gpu]) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    for (at, gpu) in gpus.iter().enumerate() {
        let place = format!("gpus[{at}]");
        if gpu.model.is_empty() || NAME_BYTES_MAX < gpu.model.len() {
            return Err(format!("{place}: model {:?} must be 1 to {NAME_BYTES_MAX} bytes", gpu.model));
        }
        if !seen.insert(gpu.model.to_lowercase()) {
            return Err(format!("{place}: {} is there twice", gpu.model));
        }
        check_usd(&place, gpu.usd_hour)?;
        if !(1.0..=1e5).contains(&gpu.memory_gb) {
            return Err(format!("{place}: memory_gb is {}, bounds 1 to 100000", gpu.memory_gb));
        }
    }
    Ok(())
}

/// Prices and their factors are no less than nothing.
fn check_usd(place: &str, usd: f64) -> Result<(), String> {
    if (0.0..=USD_MAX).contains(&usd) { Ok(()) } else { Err(format!("{place}: {usd} is not within 0 to {USD_MAX}")) }
}

impl ItemFile {
    fn check(self, at: usize) -> Result<Item, String> {
        let ItemFile { category, detail, usd, per, usage } = self;
        let place = format!("items[{at}]");
        check_usd(&place, usd)?;
        if detail.is_empty() || NAME_BYTES_MAX < detail.len() || !detail.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Err(format!("{place}: detail {detail:?} must be 1 to {NAME_BYTES_MAX} letters and digits"));
        }
        let usage = Query::parse(&usage, &TextLimits::default()).map_err(|error| format!("{place}: usage: {error}"))?;
        if usage.value_type() != promql::ValueType::Vector {
            let found = usage.value_type().describe();
            return Err(format!("{place}: usage must be an instant vector, not a {found}"));
        }
        Ok(Item { category, detail, usd: usd / per.minutes(), usage })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CARD: &str = "
gpus:
  - {model: H100, usd_hour: 10, memory_gb: 80}
  - {model: H100 NVL, usd_hour: 12, memory_gb: 94}
other_gpu_usd_hour: 1.2
tiers: {pt: 0.5}
items:
  - category: network
    detail: egress
    usd: 0.09
    per: unit
    usage: sum by (project_id, endpoint_id) (increase(inference_response_bytes_total[1m] anchored)) / 1e9
";

    #[test]
    fn the_longest_name_in_a_model_decides_its_price() {
        let card = RateCard::parse(CARD).unwrap();
        let hour = |model: Option<&str>, tier: Option<&str>| card.gpu_usd_minute(model, tier).map(|usd| usd * 60.0);
        assert_eq!(hour(Some("NVIDIA H100 80GB HBM3"), None), Some(10.0));
        assert_eq!(hour(Some("nvidia h100 nvl"), None), Some(12.0));
        assert_eq!(hour(Some("NVIDIA L4"), None), Some(1.2));
        assert_eq!(hour(None, Some("pt")), Some(0.6));
        assert_eq!(hour(Some("H100"), Some("pt")), Some(5.0));
        assert_eq!(hour(Some("H100"), Some("unheard of")), Some(10.0));
        let only_h100 = RateCard::parse("gpus: [{model: H100, usd_hour: 10, memory_gb: 80}]").unwrap();
        assert_eq!(only_h100.gpu_usd_minute(Some("L4"), None), None, "what has no price is not billed");
    }

    #[test]
    fn what_is_no_rate_card_is_refused_by_place_and_reason() {
        let item = |rest: &str| format!("items: [{{category: other, detail: logging, usd: 1, per: hour, {rest}}}]");
        for (text, expect) in [
            ("{}", "a rate card needs a price"),
            ("gpu: []", "unknown field `gpu`"),
            ("gpus: [{model: H100, memory_gb: 80}]", "missing field `usd_hour`"),
            ("gpus: [{model: H100, usd_hour: 1}]", "missing field `memory_gb`"),
            ("gpus: [{model: H100, usd_hour: -1, memory_gb: 80}]", "gpus[0]: -1 is not within 0 to 1000000"),
            ("gpus: [{model: H100, usd_hour: .nan, memory_gb: 80}]", "gpus[0]: NaN"),
            (
                "gpus: [{model: H100, usd_hour: 1, memory_gb: 80}, {model: h100, usd_hour: 2, memory_gb: 80}]",
                "gpus[1]: h100 is there twice",
            ),
            ("gpus: [{model: '', usd_hour: 1, memory_gb: 80}]", "gpus[0]: model \"\""),
            ("gpus: [{model: L4, usd_hour: 1, memory_gb: 0}]", "gpus[0]: memory_gb is 0"),
            ("other_gpu_usd_hour: 1\ntiers: {pt: -2}", "tiers: pt: -2"),
            (&item("usage: up, price: 2"), "unknown field `price`"),
            (&item("usage: sum(("), "items[0]: usage: "),
            (&item("usage: '1'"), "items[0]: usage must be an instant vector, not a scalar"),
            ("items: [{category: food, detail: a, usd: 1, per: hour, usage: up}]", "unknown variant `food`"),
            ("items: [{category: other, detail: a b, usd: 1, per: hour, usage: up}]", "items[0]: detail \"a b\""),
            ("items: [{category: other, detail: a, usd: 1, per: day, usage: up}]", "unknown variant `day`"),
        ] {
            let refused = RateCard::parse(text).unwrap_err();
            assert!(refused.contains(expect), "{text}: {refused}");
        }
        let twice = "{category: other, detail: a, usd: 1, per: hour, usage: up}";
        let refused = RateCard::parse(&format!("items: [{twice}, {twice}]")).unwrap_err();
        assert_eq!(refused, "items: other a is there twice");
    }
}
