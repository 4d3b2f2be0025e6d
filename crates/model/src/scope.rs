//! Which series a caller may reach: the store enforces it below PromQL.

use thiserror::Error;

/// The label that ingest stamps with the owner of a series.
pub const PROJECT_LABEL: &str = "project_id";

/// A project's id: `[a-z0-9][a-z0-9_-]{0,62}`, safe in a URL path, a label value and a log line.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProjectId(Box<str>);

/// Why a text is not a project id.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("project id {0:?} must be 1 to 63 of a-z, 0-9, '-' and '_', and start with a letter or digit")]
pub struct ProjectIdError(String);

impl ProjectId {
    /// The project of series that an operator writes without naming one.
    pub fn default_project() -> ProjectId {
        ProjectId("default".into())
    }

    /// Checks `text` and makes it an id.
    pub fn parse(text: &str) -> Result<ProjectId, ProjectIdError> {
        let bytes = text.as_bytes();
        let plain = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let valid = (1..=63).contains(&bytes.len())
            && plain(&bytes[0])
            && bytes.iter().all(|b| plain(b) || *b == b'-' || *b == b'_');
        if valid { Ok(ProjectId(text.into())) } else { Err(ProjectIdError(text.chars().take(80).collect())) }
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for ProjectId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// The series a read may touch: made by the server from a `Grant`, required by every reader of the store.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// An operator: every project.
    All,
    /// One project's series alone.
    Project(ProjectId),
}
