//! Who asks and whether they may: from the `Authorization` header and the path to a [`Grant`], or a refusal.

use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{FromRequestParts, RawPathParams, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use control::{Access, Action, Denied, Grant};
use model::ProjectId;

use crate::body;
use crate::dialect::Dialect;
use crate::error::ApiError;
use crate::state::App;

/// The path parameter that names a project.
const PROJECT_PARAM: &str = "project_id";

/// What a route asks of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Nothing: the route shows nothing of anybody.
    Nothing,
    /// A token with the scope; the answer is about its projects alone.
    Token(Action),
    /// An operator's token with the scope: the answer is about the server, and so about all projects.
    Operator(Action),
}

/// The grant of a request that [`admit`] let in, narrowed to the project in its path.
pub(crate) struct Granted(pub(crate) Grant);

impl FromRequestParts<App> for Granted {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Granted, ApiError> {
        let grant = parts.extensions.get::<Grant>().cloned();
        grant.map(Granted).ok_or_else(|| ApiError::internal("a route that reads data is declared to need nothing"))
    }
}

/// What stands before one route.
#[derive(Clone)]
pub(crate) struct Gate {
    pub(crate) app: App,
    pub(crate) need: Need,
    pub(crate) dialect: Dialect,
    /// The route's path in the table, which names its bucket.
    pub(crate) path: &'static str,
}

/// What a request may still ask of a vendor's route; the handler spends it when it has to compute an answer.
///
/// Q: Why does the layer not? A: an answer that was computed for an earlier request costs nothing, and is free.
#[derive(Clone)]
pub(crate) struct Allowance(Gate);

impl Allowance {
    /// Counts one computed answer against the token, or refuses it.
    pub(crate) fn spend(&self, grant: &Grant) -> Result<(), ApiError> {
        let Gate { app, dialect, path, .. } = &self.0;
        let Some(topic) = dialect.topic() else { return Ok(()) };
        app.rates().take(topic, grant.key_id(), path).map_err(ApiError::RateLimited)
    }
}

impl FromRequestParts<App> for Allowance {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Allowance, ApiError> {
        let allowance = parts.extensions.get::<Allowance>().cloned();
        allowance.ok_or_else(|| ApiError::internal("a route that has limits is declared to need nothing"))
    }
}

/// The request with its grant, if it may go on to the gate's route; else a refusal with 401, 403 or 404.
pub(crate) async fn admit(
    gate: Gate,
    path: Result<RawPathParams, RawPathParamsRejection>,
    mut request: Request,
) -> Result<Request, ApiError> {
    let path = path.map_err(|error| ApiError::BadData(error.to_string()))?;
    if gate.need != Need::Nothing {
        let project = path.iter().find(|(name, _)| *name == PROJECT_PARAM).map(|(_, id)| id);
        let mut granted = grant(&gate, request.headers(), project);
        let is_refused = matches!(granted, Err(ApiError::Unauthorized));
        let may_be_new = is_refused && gate.app.authority().may_be_new(credential(request.headers()));
        if may_be_new && gate.app.look_for_new_token().await {
            granted = grant(&gate, request.headers(), project);
        }
        match granted {
            Ok(grant) => {
                request.extensions_mut().insert(grant);
                if gate.dialect.topic().is_some() {
                    request.extensions_mut().insert(Allowance(gate));
                }
            }
            Err(refusal) => {
                body::discard(request.into_body()).await;
                return Err(refusal);
            }
        }
    }
    Ok(request)
}

/// The header that holds the token; one that is not ASCII holds none.
fn credential(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION).map(|value| value.to_str().unwrap_or("?"))
}

fn grant(gate: &Gate, headers: &HeaderMap, project: Option<&str>) -> Result<Grant, ApiError> {
    let (authority, now) = (gate.app.authority(), crate::clock::now_ms());
    let grant = match gate.dialect.takes_bare_tokens() {
        true => authority.authorize_or_bare(credential(headers), now)?,
        false => authority.authorize(credential(headers), now)?,
    };
    match gate.need {
        Need::Nothing => {}
        Need::Token(action) => require(&grant, action)?,
        Need::Operator(action) => {
            require(&grant, action)?;
            if let Access::Project(_) = grant.access() {
                return Err(ApiError::Forbidden("this needs an operator's token".to_owned()));
            }
        }
    }
    match project {
        Some(id) => narrow(&grant, id),
        None => Ok(grant),
    }
}

fn require(grant: &Grant, needed: Action) -> Result<(), ApiError> {
    if grant.allows(needed) { Ok(()) } else { Err(ApiError::Scope { needed, held: grant.scopes() }) }
}

/// Narrows a grant to the project that the path names.
///
/// Whether another project exists is not for a project's token to know: it hears 403 either way. For an operator
/// every well-formed id is a project, since it may write series of any; there may just be none yet.
fn narrow(grant: &Grant, id: &str) -> Result<Grant, ApiError> {
    let forbidden = || ApiError::Forbidden("the token does not give access to this project".to_owned());
    match (ProjectId::parse(id), grant.access()) {
        (Ok(project), _) => grant.for_project(&project).map_err(|denied| match denied {
            Denied::Project(_) => forbidden(),
            Denied::Missing | Denied::Invalid | Denied::Scope(_) => denied.into(),
        }),
        (Err(error), Access::Operator) => Err(ApiError::NotFound(error.to_string())),
        (Err(_), Access::Project(_)) => Err(forbidden()),
    }
}
