//! The mapping as it is written in YAML, read strictly and checked.

use std::collections::BTreeMap;

use serde::Deserialize;

/// Copies a file may ask for: a few times what all engines together need.
const COPIES_MAX: usize = 1000;
/// Alternatives and names of one copy.
const NAMES_MAX: usize = 16;
/// Bytes of a mapping file.
const FILE_BYTES_MAX: usize = 1 << 20;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MappingFile {
    #[serde(default)]
    pub(super) spellings: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    pub(super) unprefix: Unprefix,
    #[serde(default)]
    pub(super) renames: Vec<Rename>,
    #[serde(default)]
    pub(super) identity: Vec<String>,
    #[serde(default)]
    pub(super) copies: Vec<Copy>,
    #[serde(default)]
    pub(super) projects: BTreeMap<String, ProjectMapping>,
}

/// Labels to be put back, and the beginnings of the families whose.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Unprefix {
    pub(super) families: Vec<String>,
    pub(super) labels: Vec<String>,
}

/// Labels that series get under the names that everyone uses.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rename {
    /// How the names of the families begin.
    pub(super) families: Vec<String>,
    /// A label, and those it is taken from, the first that there is.
    pub(super) labels: BTreeMap<String, Vec<String>>,
}

/// One family that is written again.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Copy {
    pub(super) from: Vec<String>,
    pub(super) to: Vec<String>,
    pub(super) kind: CopyKind,
    #[serde(default = "one")]
    pub(super) scale: f64,
    #[serde(default)]
    pub(super) labels: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    pub(super) only: BTreeMap<String, String>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum CopyKind {
    Counter,
    Gauge,
    Histogram,
}

/// What is done for one project alone.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum ProjectMapping {
    Off,
}

fn one() -> f64 {
    1.0
}

impl MappingFile {
    /// Reads a file; the error names what is wrong and where.
    pub(super) fn parse(text: &str) -> Result<MappingFile, String> {
        if FILE_BYTES_MAX < text.len() {
            return Err(format!("mapping is {} bytes, at most {FILE_BYTES_MAX}", text.len()));
        }
        let file: MappingFile = serde_yaml_ng::from_str(text).map_err(|error| error.to_string())?;
        file.check()?;
        Ok(file)
    }

    fn check(&self) -> Result<(), String> {
        if COPIES_MAX < self.copies.len() {
            return Err(format!("{} copies, at most {COPIES_MAX}", self.copies.len()));
        }
        for (at, copy) in self.copies.iter().enumerate() {
            copy.check().map_err(|what| format!("copies[{at}]: {what}"))?;
        }
        if COPIES_MAX < self.renames.len() {
            return Err(format!("{} renames, at most {COPIES_MAX}", self.renames.len()));
        }
        let renamed = self.renames.iter().flat_map(|rename| rename.labels.iter());
        let renamed = renamed.flat_map(|(label, from)| from.iter().chain([label]));
        let labels = self.unprefix.labels.iter().chain(&self.identity).chain(renamed);
        let odd = labels.into_iter().find(|name| !model::is_plain_name(name, false));
        if let Some(name) = odd {
            return Err(format!("{name:?} is no label name"));
        }
        for id in self.projects.keys() {
            model::ProjectId::parse(id).map_err(|error| format!("projects: {error}"))?;
        }
        let prefixes = self.spellings.iter().flat_map(|(prefix, others)| others.iter().chain([prefix]));
        let renamed = self.renames.iter().flat_map(|rename| &rename.families);
        match prefixes.chain(&self.unprefix.families).chain(renamed).find(|prefix| prefix.is_empty()) {
            Some(_) => Err("the beginning of a family's name may not be empty".to_owned()),
            None => Ok(()),
        }
    }
}

impl Copy {
    fn check(&self) -> Result<(), String> {
        for (what, names) in [("from", &self.from), ("to", &self.to)] {
            if !(1..=NAMES_MAX).contains(&names.len()) {
                return Err(format!("`{what}` has {} names, bounds 1 to {NAMES_MAX}", names.len()));
            }
            if let Some(name) = names.iter().find(|name| !model::is_plain_name(name, true)) {
                return Err(format!("`{what}`: {name:?} is no metric name"));
            }
        }
        if let Some(name) = self.to.iter().find(|name| self.from.contains(name)) {
            return Err(format!("{name} would be a copy of itself"));
        }
        if !(self.scale.is_finite() && self.scale > 0.0) {
            return Err(format!("scale is {}, must be a positive number", self.scale));
        }
        let labels = self.labels.keys().chain(self.labels.values().flatten()).chain(self.only.keys());
        match labels.into_iter().find(|name| !model::is_plain_name(name, false)) {
            Some(name) => Err(format!("{name:?} is no label name")),
            None => Ok(()),
        }
    }
}
