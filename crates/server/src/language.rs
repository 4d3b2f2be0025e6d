//! `/api/v1/format_query` and `/api/v1/parse_query`: what an expression says, without evaluating it.

use axum::extract::State;
use axum::response::Response;
use promql::{Query, TextLimits};

use crate::auth::Granted;
use crate::error::ApiError;
use crate::params::Params;
use crate::pool::Ask;
use crate::reply;
use crate::state::App;

/// The expression over as many lines as it takes to read it.
pub(crate) async fn format(
    State(app): State<App>,
    Granted(grant): Granted,
    params: Params,
) -> Result<Response, ApiError> {
    let text = params.query().to_owned();
    let pretty = app.queries().run(Ask::new(&grant, "format_query", params.query()), move |_| {
        reply::small(&Query::parse(&text, &TextLimits::default())?.pretty()?)
    });
    pretty.await
}

/// The expression's tree.
pub(crate) async fn parse(
    State(app): State<App>,
    Granted(grant): Granted,
    params: Params,
) -> Result<Response, ApiError> {
    let text = params.query().to_owned();
    let tree = app.queries().run(Ask::new(&grant, "parse_query", params.query()), move |_| {
        Ok(reply::encoded(&Query::parse(&text, &TextLimits::default())?.tree()?))
    });
    tree.await
}
