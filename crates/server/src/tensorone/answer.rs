//! An answer from the cache, or made on the query pool and kept.

use std::fmt::Debug;

use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use clouds::Batch;
use control::Grant;
use model::Timestamp;

use super::VendorError;
use super::cache::Question;
use crate::auth::Allowance;
use crate::error::ApiError;
use crate::state::App;
use crate::{batch, clock};

/// An answer's body and its content type.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    content_type: &'static str,
    pub(super) body: Bytes,
}

impl Kept {
    pub(crate) fn new(content_type: &'static str, body: String) -> Kept {
        Kept { content_type, body: Bytes::from(body) }
    }

    /// The answer with status 200.
    pub(crate) fn into_response(self) -> Response {
        ([(header::CONTENT_TYPE, self.content_type)], self.body).into_response()
    }
}

/// What `asked` at `now` is known by, if its answer may be given again for `cached_ms`.
pub(crate) fn question(
    grant: &Grant,
    path: &str,
    asked: &impl Debug,
    cached_ms: i64,
    now: Timestamp,
) -> Option<Question> {
    let scope = grant.analytics_scope().ok().filter(|_| cached_ms > 0)?;
    let slot = now.div_euclid(cached_ms);
    Some(Question { scope, asked: format!("{path} {asked:?}"), slot, end: (slot + 1) * cached_ms })
}

/// The kept answer to `question`, or what `work` makes of one batch, kept if it may be; only that counts against the
/// token.
pub(crate) async fn answer(
    app: &App,
    grant: &Grant,
    allowance: &Allowance,
    question: Option<Question>,
    work: impl FnOnce(&Batch<'_>) -> Result<Kept, VendorError> + Send + 'static,
) -> Result<Kept, VendorError> {
    // An unknown endpoint is an answer of the batch, not its failure.
    let making = batch::run(app, grant, move |batch| match work(batch) {
        Err(VendorError::Api(error)) => Err(error),
        other => Ok::<_, ApiError>(other),
    });
    kept_or(app, grant, allowance, question, async { making.await? }).await
}

/// The same of what `making` makes.
pub(crate) async fn kept_or(
    app: &App,
    grant: &Grant,
    allowance: &Allowance,
    question: Option<Question>,
    making: impl Future<Output = Result<Kept, VendorError>>,
) -> Result<Kept, VendorError> {
    if let Some(kept) = question.as_ref().and_then(|question| app.answers().get(question, clock::now_ms())) {
        return Ok(kept);
    }
    allowance.spend(grant)?;
    let kept = making.await?;
    if let Some(question) = question {
        app.answers().put(question, &kept, clock::now_ms());
    }
    Ok(kept)
}
