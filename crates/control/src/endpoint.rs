//! An endpoint as it is registered: who owns it, what it is called by each vendor's API, and what it runs on.

use model::ProjectId;
use thiserror::Error;

use crate::Place;

/// Bytes of an endpoint's id, of its namespace and of its name.
const SLUG_BYTES_MAX: usize = 128;
/// Bytes of a model's, tier's, region's, cluster's or GPU's name.
const TEXT_BYTES_MAX: usize = 200;
/// GPUs of one replica: beyond the largest machine there is, and small enough for any product.
const GPUS_MAX: u32 = 4096;
/// Replicas kept warm.
const WARM_REPLICAS_MAX: u32 = 100_000;
/// Places of one endpoint: every GPU of a thousand nodes.
const PLACES_MAX: usize = 8192;
/// A budget beyond this is a typing error, and cents are still exact in a float.
const BUDGET_USD_MAX: f64 = 1e12;

/// An endpoint: one model behind one name.
///
/// The three vendors call it by different names: Crusoe by its project and model, Hugging Face by `namespace/name`,
/// TensorOne by its id. One row carries them all. What nobody has said is `None`.
#[derive(Clone, Debug, PartialEq)]
pub struct Endpoint {
    /// Its id, the value of the label `endpoint_id`; unique in its project.
    pub id: String,
    /// The first part of its slug; the slug is unique in its project.
    pub namespace: String,
    /// The second part of its slug, the value of the label `endpoint`.
    pub name: String,
    /// Whose it is.
    pub project: ProjectId,
    /// The model served.
    pub model: Option<String>,
    /// The service tier, such as `pt`.
    pub tier: Option<String>,
    /// Where it runs.
    pub region: Option<String>,
    /// On which cluster.
    pub cluster: Option<String>,
    /// The marketing name of its GPUs.
    pub gpu_model: Option<String>,
    /// GPUs of one replica.
    pub gpu_count: Option<u32>,
    /// What it may cost in a calendar month, in USD.
    pub budget_usd_month: Option<f64>,
    /// Replicas kept running without traffic.
    pub warm_replicas: Option<u32>,
    /// Machines and GPUs that it has to itself.
    pub places: Vec<Place>,
}

/// Why an endpoint cannot be registered as it is.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum EndpointError {
    /// An id or a part of the slug would not fit into a path or a label.
    #[error(
        "{field} {value:?} must be 1 to {SLUG_BYTES_MAX} of a-z, A-Z, 0-9, '-', '_', '.' and ':', with a letter or digit first"
    )]
    Slug {
        /// Which one.
        field: &'static str,
        /// What was given, cut to a bound.
        value: String,
    },
    /// A text is empty, too long or not printable.
    #[error("{field} {value:?} must be 1 to {TEXT_BYTES_MAX} bytes without control characters")]
    Text {
        /// Which one.
        field: &'static str,
        /// What was given, cut to a bound.
        value: String,
    },
    /// A place has none of the forms there are.
    #[error("place {value:?} must be vm/ID, node/NAME or gpu/NODE/INDEX, without spaces and commas")]
    Place {
        /// What was given, cut to a bound.
        value: String,
    },
    /// A number is outside its bounds.
    #[error("{field} is {value}, bounds {min} to {max}")]
    Number {
        /// Which one.
        field: &'static str,
        /// What was given.
        value: f64,
        /// The least.
        min: f64,
        /// The most.
        max: f64,
    },
}

impl Endpoint {
    /// An endpoint of which only the names are known.
    pub fn new(project: ProjectId, id: &str, namespace: &str, name: &str) -> Endpoint {
        Endpoint {
            id: id.to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            project,
            model: None,
            tier: None,
            region: None,
            cluster: None,
            gpu_model: None,
            gpu_count: None,
            budget_usd_month: None,
            warm_replicas: None,
            places: Vec::new(),
        }
    }

    /// Refuses what would not fit into a path, a label or a sum.
    pub(crate) fn check(&self) -> Result<(), EndpointError> {
        check_slug("endpoint id", &self.id)?;
        check_slug("namespace", &self.namespace)?;
        check_slug("name", &self.name)?;
        for (field, text) in [
            ("model", &self.model),
            ("tier", &self.tier),
            ("region", &self.region),
            ("cluster", &self.cluster),
            ("gpu model", &self.gpu_model),
        ] {
            text.as_deref().map_or(Ok(()), |text| check_text(field, text))?;
        }
        #[expect(clippy::cast_precision_loss, reason = "at most millions")]
        check_number("places", Some(self.places.len() as f64), 0.0, PLACES_MAX as f64)?;
        let gpu_count = self.gpu_count.map(f64::from);
        check_number("gpu count", gpu_count, 1.0, f64::from(GPUS_MAX))?;
        check_number("warm replicas", self.warm_replicas.map(f64::from), 0.0, f64::from(WARM_REPLICAS_MAX))?;
        check_number("monthly budget", self.budget_usd_month, 0.01, BUDGET_USD_MAX)
    }
}

fn check_slug(field: &'static str, value: &str) -> Result<(), EndpointError> {
    let fits = value.len() <= SLUG_BYTES_MAX
        && value.starts_with(|c: char| c.is_ascii_alphanumeric())
        && value.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':'));
    if fits { Ok(()) } else { Err(EndpointError::Slug { field, value: cut(value) }) }
}

fn check_text(field: &'static str, value: &str) -> Result<(), EndpointError> {
    let fits = (1..=TEXT_BYTES_MAX).contains(&value.len()) && !value.chars().any(char::is_control);
    if fits { Ok(()) } else { Err(EndpointError::Text { field, value: cut(value) }) }
}

/// A number that is not finite is outside every bound.
fn check_number(field: &'static str, value: Option<f64>, min: f64, max: f64) -> Result<(), EndpointError> {
    match value {
        Some(value) if !(min..=max).contains(&value) => Err(EndpointError::Number { field, value, min, max }),
        _ => Ok(()),
    }
}

fn cut(value: &str) -> String {
    value.chars().take(TEXT_BYTES_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_refused_by_field_and_bound() {
        let good = Endpoint {
            budget_usd_month: Some(1500.0),
            gpu_count: Some(8),
            model: Some("meta-llama/Llama-3.3-70B-Instruct".to_owned()),
            ..Endpoint::new(ProjectId::parse("acme").unwrap(), "ep_1234567890abcdef", "acme", "chat-70b")
        };
        assert_eq!(good.check(), Ok(()));
        let change = |change: fn(&mut Endpoint)| {
            let mut endpoint = good.clone();
            change(&mut endpoint);
            endpoint.check().unwrap_err().to_string()
        };
        for (message, expect) in [
            (change(|e| e.id.clear()), "endpoint id \"\" must be 1 to 128"),
            (change(|e| e.id = "ep/1".to_owned()), "endpoint id \"ep/1\""),
            (change(|e| e.namespace = "..".to_owned()), "namespace \"..\""),
            (change(|e| e.name = "x".repeat(129)), "name \"xxx"),
            (change(|e| e.model = Some(String::new())), "model \"\" must be 1 to 200 bytes"),
            (change(|e| e.region = Some("a\nb".to_owned())), "region \"a\\nb\""),
            (change(|e| e.gpu_count = Some(0)), "gpu count is 0, bounds 1 to 4096"),
            (change(|e| e.budget_usd_month = Some(f64::NAN)), "monthly budget is NaN, bounds 0.01 to"),
            (change(|e| e.budget_usd_month = Some(-5.0)), "monthly budget is -5"),
            (change(|e| e.warm_replicas = Some(100_001)), "warm replicas is 100001"),
        ] {
            assert!(message.contains(expect), "{message}");
        }
    }
}
