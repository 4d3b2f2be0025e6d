//! What single projects may have in place of what every project may, changed while the store is open.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use model::{Labels, PROJECT_LABEL, ProjectId};

/// What one project may have; where it says nothing, the store's options do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    /// Series in the head.
    pub series_max: Option<usize>,
    /// Exemplars kept.
    pub exemplars_max: Option<usize>,
}

/// The quotas of the projects that have one. Clones share them: who has a clone changes those of an open store.
#[derive(Clone, Debug, Default)]
pub struct Quotas(Arc<ArcSwap<HashMap<Box<str>, Quota>>>);

impl Quotas {
    /// Replaces all of them. What a project has already stays, series until they leave the head by themselves, exemplars
    /// until the next one comes.
    pub fn set(&self, quotas: impl IntoIterator<Item = (ProjectId, Quota)>) {
        let quotas = quotas.into_iter().map(|(project, quota)| (project.as_str().into(), quota));
        self.0.store(Arc::new(quotas.collect()));
    }

    /// The quota of the project that owns a series.
    pub(crate) fn of(&self, labels: &Labels) -> Quota {
        self.of_project(labels.get(PROJECT_LABEL).unwrap_or_default())
    }

    /// The quota of a project.
    pub(crate) fn of_project(&self, project: &str) -> Quota {
        self.0.load().get(project).copied().unwrap_or_default()
    }
}
