//! Why the registry fails, and why a caller is turned away.

use std::path::PathBuf;

use model::{ProjectId, ProjectIdError};
use thiserror::Error;

use crate::{Action, EndpointError, Limit};

/// Why projects or tokens could not be read or changed.
#[derive(Debug, Error)]
pub enum ControlError {
    /// The file cannot be made or opened.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// SQLite cannot read or write the file.
    #[error("{path}: {source}")]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// A newer version made the file.
    #[error("{path}: schema version {found}, this program knows up to {known}")]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The newest one known.
        known: i64,
    },
    /// A row holds what no version writes.
    #[error("{path}: {what}")]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The system gives no random numbers.
    #[error("no random numbers from the system: {0}")]
    Random(#[from] getrandom::Error),
    /// The project exists already.
    #[error("project {0} exists already")]
    ProjectExists(ProjectId),
    /// There is no such project.
    #[error("no project {0}; create it first")]
    NoProject(ProjectId),
    /// The text is not a project id.
    #[error(transparent)]
    ProjectId(#[from] ProjectIdError),
    /// A name is too long or not printable.
    #[error("name {0:?} must be at most {max} bytes without control characters", max = crate::registry::NAME_BYTES_MAX)]
    Name(String),
    /// There is no such limit.
    #[error("no limit {0:?}; there are {all}", all = Limit::ALL.map(Limit::name).join(", "))]
    NoLimit(String),
    /// A limit is too small or too large.
    #[error("{name} is {value}, bounds {min} to {max}", name = limit.name(), value = limit.show(*value),
            min = limit.show(*limit.bounds().start()), max = limit.show(*limit.bounds().end()))]
    LimitBounds {
        /// Which.
        limit: Limit,
        /// What it should have been.
        value: u64,
    },
    /// The token would be allowed something that its kind never is.
    #[error("scope {0} needs an operator token")]
    OperatorOnly(Action),
    /// The token would be allowed nothing.
    #[error("a token needs at least one scope")]
    NoScope,
    /// The endpoint cannot be registered as it is.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// Another endpoint of the project has the slug.
    #[error("endpoint {other} of the same project is {slug} already")]
    SlugTaken {
        /// Namespace and name.
        slug: String,
        /// The id of the endpoint that has it.
        other: String,
    },
    /// Another endpoint of the project runs there.
    #[error("endpoint {other} of the same project has {place} already")]
    PlaceTaken {
        /// The place.
        place: String,
        /// The id of the endpoint that has it.
        other: String,
    },
    /// The project has no such endpoint.
    #[error("no endpoint {id:?} is registered in project {project}")]
    NoEndpoint {
        /// The project.
        project: ProjectId,
        /// The id asked for.
        id: String,
    },
    /// As many endpoints are registered as may be.
    #[error("{0} endpoints are registered, which is the most")]
    TooManyEndpoints(i64),
    /// No live token has this key id or name.
    #[error("no live token with key id or name {0:?}")]
    NoToken(String),
    /// Several live tokens share the name.
    #[error("{n} live tokens are named {name:?}; give the key id")]
    AmbiguousToken {
        /// The name.
        name: String,
        /// How many bear it.
        n: usize,
    },
}

/// Why a request is turned away; the texts tell nothing that the caller did not send.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Denied {
    /// No credential was sent: 401.
    #[error("no bearer token")]
    Missing,
    /// The credential is malformed, unknown, expired or revoked, and it is not told which: 401.
    #[error("bearer token is not valid")]
    Invalid,
    /// The token is another project's: 403.
    #[error("token does not give access to project {0}")]
    Project(ProjectId),
    /// The token lacks the scope: 403.
    #[error("token lacks scope {0}")]
    Scope(Action),
}
