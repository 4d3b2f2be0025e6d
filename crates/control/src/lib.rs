//! Who may do what, and who runs what: projects, tokens and the grants they turn into, and endpoints, in one SQLite file.
//!
//! No data is reachable without a [`Grant`], and only a check by [`Authority`] makes one.

mod authority;
mod endpoint;
mod endpoints;
mod error;
mod follow;
mod grant;
mod header;
mod limits;
mod place;
mod registry;
mod schema;
mod scopes;
mod token;

pub use authority::Authority;
pub use endpoint::{Endpoint, EndpointError};
pub use endpoints::{EndpointView, Endpoints, SeveralProjects};
pub use error::{ControlError, Denied};
pub use grant::{Access, Grant, WriteAs};
pub use limits::{Limit, LimitBook, OwnLimits, Unit};
pub use place::Place;
pub use registry::{Control, NewToken, Project, TokenEntry};
pub use scopes::{Action, Scopes, ScopesError};
pub use token::{KeyId, TOKEN_PATTERN, TokenText};
