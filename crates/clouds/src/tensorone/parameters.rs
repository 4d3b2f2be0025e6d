//! Reading parameters: one of a list, several of a list, a time; what is refused says what would have been right.

use model::Timestamp;
use serde_json::{Value, json};

/// A parameter that cannot be read.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// The parameter's name.
    pub parameter: &'static str,
    /// What was given.
    pub value: String,
    /// What would have been right; empty where that cannot be listed.
    pub allowed: Vec<String>,
    /// Why it is refused, where the list does not say it.
    pub why: Option<String>,
}

/// Characters of a refused value that are shown again.
const SHOWN_CHARS: usize = 80;

impl Refusal {
    /// `value` is none of `allowed`.
    pub(crate) fn not_listed(parameter: &'static str, value: &str, allowed: &[&str]) -> Refusal {
        let allowed = allowed.iter().map(|one| (*one).to_owned()).collect();
        Refusal { parameter, value: shown(value), allowed, why: None }
    }

    /// `value` is refused for a reason.
    pub(crate) fn because(parameter: &'static str, value: &str, why: impl Into<String>) -> Refusal {
        Refusal { parameter, value: shown(value), allowed: Vec::new(), why: Some(why.into()) }
    }

    /// The sentence for people.
    pub fn message(&self) -> String {
        match &self.why {
            None => format!("Invalid {} specified", self.parameter),
            Some(why) => format!("Invalid {} specified: {why}", self.parameter),
        }
    }

    /// The details for programs.
    pub fn details(&self) -> Value {
        let mut details = json!({"parameter": self.parameter, "value": self.value});
        if !self.allowed.is_empty() {
            details["allowedValues"] = json!(self.allowed);
        }
        details
    }
}

fn shown(value: &str) -> String {
    value.chars().take(SHOWN_CHARS).collect()
}

/// Names and values as they came, in order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parameters<'a>(pub(crate) &'a [(String, String)]);

impl<'a> Parameters<'a> {
    /// The first value of any of `names` that is not empty.
    pub(crate) fn get(self, names: &[&str]) -> Option<&'a str> {
        let mut found = self.0.iter().filter(|(name, value)| names.contains(&name.as_str()) && !value.is_empty());
        found.next().map(|(_, value)| value.as_str())
    }

    /// What stands in `table` under the value of `names`, the first of which is the parameter's own.
    pub(crate) fn one<T: Copy>(
        self,
        names: &[&'static str],
        table: &[(&'static str, T)],
    ) -> Result<Option<(&'static str, T)>, Refusal> {
        let Some(value) = self.get(names) else { return Ok(None) };
        let found = table.iter().find(|(name, _)| *name == value);
        match found {
            Some((name, entry)) => Ok(Some((name, *entry))),
            None => {
                let allowed: Vec<&str> = table.iter().map(|(name, _)| *name).collect();
                Err(Refusal::not_listed(names[0], value, &allowed))
            }
        }
    }

    /// All values of a list in its three spellings: `n=a,b`, `n[]=a&n[]=b`, `n=a&n=b`.
    pub(crate) fn list(self, name: &str) -> Vec<&'a str> {
        let is_named = |given: &str| given == name || given.strip_suffix("[]") == Some(name);
        let values = self.0.iter().filter(|(given, _)| is_named(given)).flat_map(|(_, value)| value.split(','));
        values.map(str::trim).filter(|value| !value.is_empty()).collect()
    }

    /// The time of any of `names`.
    pub(crate) fn time(self, names: &[&'static str]) -> Result<Option<Timestamp>, Refusal> {
        let Some(value) = self.get(names) else { return Ok(None) };
        let why = "expected seconds since 1970 or a time such as 2024-01-15T00:00:00Z";
        parse_time(value).map(Some).ok_or_else(|| Refusal::because(names[0], value, why))
    }
}

/// Times beyond the year 9999 cannot be written back.
const SECONDS_MAX: i64 = 253_402_300_799;

/// Reads whole seconds since 1970, or RFC 3339; milliseconds.
pub fn parse_time(text: &str) -> Option<Timestamp> {
    let seconds = match text.parse::<i64>() {
        Ok(seconds) => seconds,
        Err(_) => text.parse::<jiff::Timestamp>().ok()?.as_second(),
    };
    (0..=SECONDS_MAX).contains(&seconds).then(|| seconds * 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_have_three_spellings() {
        let pairs = |text: &str| -> Vec<(String, String)> {
            let pair = |pair: &str| pair.split_once('=').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
            text.split('&').map(pair).collect()
        };
        for text in ["m=a,b", "m[]=a&m[]=b", "m=a&m=b", "m= a , b,&x=1", "m[]=a&m=b"] {
            assert_eq!(Parameters(&pairs(text)).list("m"), ["a", "b"], "{text}");
        }
    }

    #[test]
    fn times_are_seconds_or_rfc_3339() {
        for (text, expect) in [
            ("0", Some(0)),
            ("1705276800", Some(1_705_276_800_000)),
            ("2024-01-15T00:00:00Z", Some(1_705_276_800_000)),
            ("2024-01-15T01:00:00+01:00", Some(1_705_276_800_000)),
            ("-1", None),
            ("99999999999999", None),
            ("yesterday", None),
        ] {
            assert_eq!(parse_time(text), expect, "{text}");
        }
    }
}
