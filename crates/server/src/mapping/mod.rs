//! What is done to a series when it is first seen: whose endpoint it is, and under which names it is written again.
//!
//! Known series are recognised by the hash of their label bytes and never come here: copies are remembered beside the
//! handle of the series they copy.

mod copies;
mod file;
mod identity;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use model::{Labels, LabelsBuilder, METRIC_NAME, Metadata, PROJECT_LABEL, ProjectId};
use parking_lot::Mutex;

use copies::Plan;
use file::{MappingFile, Rename, Unprefix};

/// Put before a label by a scraper whose own target has it too.
const EXPORTED: &str = "exported_";
/// The label of a target's address, which is a name only without its port.
const INSTANCE: &str = "instance";

/// The rules, and what the projects sent so far as far as it matters to them.
///
/// Bounded: for each project that sends an original or a copy, one gate for each copy of the rules.
#[derive(Debug)]
pub struct Mapping {
    unprefix: Unprefix,
    renames: Vec<Rename>,
    identity: Vec<String>,
    /// By the name of the original series.
    plans: HashMap<String, Vec<Plan>>,
    /// Every name of a copy's series.
    targets: HashSet<String>,
    off: HashSet<String>,
    /// By project.
    seen: Mutex<HashMap<String, Seen>>,
}

/// What one project sends.
#[derive(Debug, Default)]
struct Seen {
    /// By the plan's number.
    gates: HashMap<usize, Gate>,
    /// Copies' names of which it sends series itself.
    native: HashSet<String>,
    /// The best alternative of each rule that it sends.
    best: HashMap<usize, usize>,
}

/// Whether copies of one kind are made for one project.
#[derive(Debug)]
struct Gate {
    rule: usize,
    rank: usize,
    target: String,
    closed: Arc<AtomicBool>,
}

/// A series to be written beside the one it copies.
#[derive(Debug)]
pub(crate) struct CopyOf {
    pub(crate) labels: Labels,
    pub(crate) factor: f64,
    pub(crate) closed: Arc<AtomicBool>,
    /// The family and what it is, the first time that the project gets it.
    pub(crate) family: Option<(String, Metadata)>,
}

impl Mapping {
    /// The rules that come with the program.
    pub fn built_in() -> Mapping {
        Mapping::parse(include_str!("default.yaml")).expect("the built-in mapping is checked by a test")
    }

    /// No rules: series stay as they come.
    pub fn off() -> Mapping {
        Mapping::parse("{}").expect("nothing is a mapping")
    }

    /// Reads rules in YAML; the error names what is wrong and where.
    pub fn parse(text: &str) -> Result<Mapping, String> {
        let file = MappingFile::parse(text)?;
        let (plans, targets) = copies::plans(&file);
        let off = file.projects.into_keys().collect();
        let MappingFile { unprefix, renames, identity, .. } = file;
        Ok(Mapping { unprefix, renames, identity, plans, targets, off, seen: Mutex::default() })
    }

    /// Whether series of `project` are left as they come.
    fn is_off(&self, project: &str) -> bool {
        self.off.contains(project)
    }

    /// Completes the labels of a series that was never seen before; its owner is stamped already.
    pub(crate) fn identify(&self, labels: &mut LabelsBuilder, endpoints: &control::EndpointView) {
        let Some(project) = labels.get(PROJECT_LABEL).and_then(|id| ProjectId::parse(id).ok()) else { return };
        if self.is_off(project.as_str()) {
            return;
        }
        self.unprefix(labels);
        self.rename(labels);
        if endpoints.has_any(&project) {
            // Only an engine is scraped where its replica is: any other exporter's address says nothing of one.
            let is_engine = labels.get(METRIC_NAME).is_some_and(|name| self.plans.contains_key(name));
            identity::stamp(labels, &project, &self.identity, endpoints, is_engine);
        }
    }

    /// Adds labels under the names that everyone uses; those they are taken from stay, for dashboards know them.
    fn rename(&self, labels: &mut LabelsBuilder) {
        let name = labels.get(METRIC_NAME).unwrap_or_default();
        let is_about = |rename: &&Rename| rename.families.iter().any(|prefix| name.starts_with(prefix.as_str()));
        let renames: Vec<&Rename> = self.renames.iter().filter(is_about).collect();
        for (label, from) in renames.into_iter().flat_map(|rename| &rename.labels) {
            if labels.get(label).is_some() {
                continue;
            }
            let found = from.iter().find_map(|from| Some((from, labels.get(from)?)));
            if let Some((from, value)) = found {
                let value = if from == INSTANCE { host_of(value) } else { value }.to_owned();
                labels.set(label, &value);
            }
        }
    }

    /// Puts the labels back that a scraper renamed.
    fn unprefix(&self, labels: &mut LabelsBuilder) {
        let name = labels.get(METRIC_NAME).unwrap_or_default();
        if !self.unprefix.families.iter().any(|prefix| name.starts_with(prefix.as_str())) {
            return;
        }
        for label in &self.unprefix.labels {
            let exported = format!("{EXPORTED}{label}");
            if let Some(value) = labels.get(&exported).map(str::to_owned) {
                labels.set(label, &value).remove(&exported);
            }
        }
    }

    /// The copies of a series that was never seen before; also takes notice of series that make others' copies
    /// superfluous.
    pub(crate) fn copies(&self, labels: &Labels) -> Vec<CopyOf> {
        let (Some(name), Some(project)) = (labels.metric_name(), labels.get(PROJECT_LABEL)) else { return Vec::new() };
        let plans = self.plans.get(name);
        let is_target = self.targets.contains(name);
        if (plans.is_none() && !is_target) || self.is_off(project) {
            return Vec::new();
        }
        let mut projects = self.seen.lock();
        if !projects.contains_key(project) {
            projects.insert(project.to_owned(), Seen::default());
        }
        let Some(seen) = projects.get_mut(project) else { return Vec::new() };
        if is_target {
            seen.note_native(name);
        }
        let plans = plans.into_iter().flatten().filter(|plan| plan.applies_to(labels));
        plans.map(|plan| seen.copy(plan, labels)).collect()
    }
}

/// The host of an address, which may be an IPv6 one in brackets.
fn host_of(address: &str) -> &str {
    match address.rsplit_once(':') {
        Some((host, port)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => address,
    }
}

impl Seen {
    /// The project sends `name` itself: copies of that name would count everything twice.
    fn note_native(&mut self, name: &str) {
        if !self.native.contains(name) {
            self.native.insert(name.to_owned());
            let gates = self.gates.values().filter(|gate| gate.target == name);
            gates.for_each(|gate| gate.closed.store(true, Relaxed));
        }
    }

    /// The copy by `plan`; alternatives that are worse than the best one are closed.
    fn copy(&mut self, plan: &Plan, labels: &Labels) -> CopyOf {
        let is_first = !self.gates.contains_key(&plan.number);
        if is_first {
            let closed = Arc::new(AtomicBool::new(self.native.contains(&plan.target)));
            let gate = Gate { rule: plan.rule, rank: plan.rank, target: plan.target.clone(), closed };
            self.gates.insert(plan.number, gate);
            let best = self.best.entry(plan.rule).or_insert(plan.rank);
            *best = (*best).min(plan.rank);
            let worse = self.gates.values().filter(|gate| gate.rule == plan.rule && *best < gate.rank);
            worse.for_each(|gate| gate.closed.store(true, Relaxed));
        }
        let closed = self.gates.get(&plan.number).map(|gate| gate.closed.clone()).unwrap_or_default();
        CopyOf { labels: plan.labels(labels), factor: plan.factor, closed, family: is_first.then(|| plan.family()) }
    }
}

#[cfg(test)]
mod tests;
