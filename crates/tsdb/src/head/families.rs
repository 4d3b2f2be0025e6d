//! The metadata of families, by project: last writer wins.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use model::{Metadata, ProjectId, Scope};

use crate::wal::FamilyMetadata;

/// Families that one project may describe; more are left out, since metadata must not fill the memory.
const FAMILIES_PER_PROJECT_MAX: usize = 20_000;

/// Type, help and unit of each family of each project.
#[derive(Debug, Default)]
pub(crate) struct Families {
    by_project: BTreeMap<ProjectId, BTreeMap<String, Metadata>>,
}

impl Families {
    /// Notes what a sender said. Returns whether it is news, to be logged.
    pub(crate) fn set(&mut self, told: &FamilyMetadata) -> bool {
        let families = self.by_project.entry(told.project.clone()).or_default();
        let full = families.len() >= FAMILIES_PER_PROJECT_MAX;
        match families.entry(told.family.clone()) {
            Entry::Occupied(known) if *known.get() == told.metadata => false,
            Entry::Occupied(mut known) => {
                known.insert(told.metadata.clone());
                true
            }
            Entry::Vacant(_) if full => false,
            Entry::Vacant(new) => {
                new.insert(told.metadata.clone());
                true
            }
        }
    }

    /// The families in `scope`, or the one called `family`, sorted by name; one name may come once for each project.
    pub(crate) fn get(&self, scope: &Scope, family: Option<&str>) -> Vec<(String, Metadata)> {
        let inside = self.by_project.iter().filter(|(project, _)| match scope {
            Scope::All => true,
            Scope::Project(own) => own == *project,
        });
        let mut all: Vec<(String, Metadata)> = inside
            .flat_map(|(_, families)| families)
            .filter(|(name, _)| family.is_none_or(|family| family == *name))
            .map(|(name, metadata)| (name.clone(), metadata.clone()))
            .collect();
        all.sort_by(|a, b| (&a.0, a.1.kind.as_str(), &a.1.help).cmp(&(&b.0, b.1.kind.as_str(), &b.1.help)));
        all.dedup();
        all
    }

    /// Everything, as the log would have it.
    pub(crate) fn all(&self) -> Vec<FamilyMetadata> {
        let record = |project: &ProjectId, family: &String, metadata: &Metadata| FamilyMetadata {
            project: project.clone(),
            family: family.clone(),
            metadata: metadata.clone(),
        };
        self.by_project
            .iter()
            .flat_map(|(project, families)| families.iter().map(move |(family, m)| record(project, family, m)))
            .collect()
    }
}
