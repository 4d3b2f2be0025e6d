//! Reading a request's body whole, within a bound of bytes and of time.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, header};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;

use crate::error::ApiError;

/// The length a request declares, if it does.
pub(crate) fn declared_len(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Reads `body` to its end.
///
/// Errors: 413 beyond `bytes_max`, which is not read first if the length is declared; 408 after `timeout`; 400 if it
/// breaks off. Of a body that is too large the rest is discarded, see [`discard`].
pub(crate) async fn read(
    mut body: Body,
    headers: &HeaderMap,
    bytes_max: usize,
    timeout: Duration,
) -> Result<Bytes, ApiError> {
    let limit = bytes_max as u64;
    if let Some(len) = declared_len(headers).filter(|len| limit < *len) {
        discard(body).await;
        return Err(ApiError::TooLarge(format!("body is {len} bytes, limit {limit}")));
    }
    let Ok(read) = tokio::time::timeout(timeout, collect(&mut body, bytes_max)).await else {
        return Err(ApiError::BodyTimeout(timeout));
    };
    if matches!(read, Err(ApiError::TooLarge(_))) {
        discard(body).await;
    }
    read
}

/// Bytes of a refused request that are read and thrown away: most writes are smaller.
const DISCARDED_BYTES_MAX: usize = 4 << 20;
/// Time spent on that.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(2);

/// Reads the body of a request that is refused anyway, within bounds.
///
/// Q: Why? A: closing a connection with unread bytes resets it, and a client still sending then never sees the answer.
pub(crate) async fn discard(mut body: Body) {
    let discarding = async {
        let mut n = 0;
        while let Some(Ok(frame)) = body.frame().await {
            n += frame.data_ref().map_or(0, Bytes::len);
            if DISCARDED_BYTES_MAX < n {
                return;
            }
        }
    };
    // Out of time is as good as out of bytes.
    let _ = tokio::time::timeout(DISCARD_TIMEOUT, discarding).await;
}

async fn collect(body: &mut Body, bytes_max: usize) -> Result<Bytes, ApiError> {
    // Most bodies arrive as one frame, which is handed on without a copy.
    let mut first = Bytes::new();
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| ApiError::BadData(format!("body ended early: {error}")))?;
        let Ok(bytes) = frame.into_data() else { continue };
        if bytes_max < first.len() + whole.len() + bytes.len() {
            return Err(ApiError::TooLarge(format!("body is larger than the limit of {bytes_max} bytes")));
        }
        if first.is_empty() && whole.is_empty() {
            first = bytes;
            continue;
        }
        if whole.is_empty() {
            whole.extend_from_slice(&std::mem::take(&mut first));
        }
        whole.extend_from_slice(&bytes);
    }
    Ok(if whole.is_empty() { first } else { whole.freeze() })
}
