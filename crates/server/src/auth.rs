//! Who asks and whether they may: from the `Authorization` header and the path to a [`Grant`], or a refusal.

use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{FromRequestParts, RawPathParams, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::Response;
use control::{Access, Action, Denied, Grant};
use model::ProjectId;

use crate::body;
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

/// The grant of a request that passed [`authorize`], narrowed to the project in its path.
pub(crate) struct Granted(pub(crate) Grant);

impl FromRequestParts<App> for Granted {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Granted, ApiError> {
        let grant = parts.extensions.get::<Grant>().cloned();
        grant.map(Granted).ok_or_else(|| ApiError::internal("a route that reads data is declared to need nothing"))
    }
}

/// The layer around every route: lets a request through with its grant, or answers 401, 403 or 404.
pub(crate) async fn authorize(
    State((app, need)): State<(App, Need)>,
    path: Result<RawPathParams, RawPathParamsRejection>,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let path = path.map_err(|error| ApiError::BadData(error.to_string()))?;
    if need != Need::Nothing {
        let project = path.iter().find(|(name, _)| *name == PROJECT_PARAM).map(|(_, id)| id);
        let mut granted = grant(&app, request.headers(), need, project);
        let is_refused = matches!(granted, Err(ApiError::Unauthorized));
        if is_refused && app.authority().may_be_new(credential(request.headers())) && app.look_for_new_token().await {
            granted = grant(&app, request.headers(), need, project);
        }
        match granted {
            Ok(grant) => drop(request.extensions_mut().insert(grant)),
            Err(refusal) => {
                body::discard(request.into_body()).await;
                return Err(refusal);
            }
        }
    }
    Ok(next.run(request).await)
}

/// The header that holds the token; one that is not ASCII holds none.
fn credential(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION).map(|value| value.to_str().unwrap_or("?"))
}

fn grant(app: &App, headers: &HeaderMap, need: Need, project: Option<&str>) -> Result<Grant, ApiError> {
    let grant = app.authority().authorize(credential(headers), crate::clock::now_ms())?;
    match need {
        Need::Nothing => {}
        Need::Token(action) => grant.require(action)?,
        Need::Operator(action) => {
            grant.require(action)?;
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
