//! `POST /api/v1/read`: remote read, for Prometheus servers and Thanos sidecars, in samples or in streamed chunks.

use axum::extract::{Request, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use model::{Budget, SampleValue, TimeRange, Timestamp};
use tsdb::SeriesValues;
use wire::remote_read::{
    ChunkEncoding, FRAME_BYTES_TYPICAL, ReadAnswer, ReadChunk, ReadQuery, ReadRequest, ReadResponseEncoder, push_frames,
};
use wire::remote_write::{BodyLimits, check_content_encoding, decompress};

use crate::auth::Granted;
use crate::body;
use crate::error::ApiError;
use crate::outflow::{Inlet, ROOM_BYTES};
use crate::params::TIME_MS_MAX;
use crate::pool::Ask;
use crate::state::App;
use crate::store::Reader;

/// Bytes of a question, as sent and decompressed: a hundred matchers fit many times over.
const QUESTION_BYTES_MAX: usize = 1 << 20;

/// Answers a question in the first kind of answer that the client lists and we know.
pub(crate) async fn read(
    State(app): State<App>,
    Granted(grant): Granted,
    request: Request,
) -> Result<Response, ApiError> {
    let (head, body) = request.into_parts();
    let timeout = app.config().limits.body_timeout;
    let body = body::read(body, &head.headers, QUESTION_BYTES_MAX, timeout).await?;
    let encoding = head.headers.get(header::CONTENT_ENCODING).map(|value| value.to_str().unwrap_or("?"));
    check_content_encoding(encoding)?;
    let mut question = Vec::new();
    let limits = BodyLimits { decompressed_bytes_max: QUESTION_BYTES_MAX, ..BodyLimits::default() };
    decompress(&body, &limits, &mut question)?;
    let ReadRequest { queries, answer } = ReadRequest::parse(&question)?;
    let reader = app.store().reader(&grant)?;
    let text = queries.iter().map(shown).collect::<Vec<_>>().join(" ");
    let ask = Ask::new(&grant, "read", &text);
    let content_type = (header::CONTENT_TYPE, answer.content_type());
    match answer {
        ReadAnswer::Samples => {
            let body = app.queries().run(ask, move |budget| samples(&reader, &queries, budget)).await?;
            Ok(([content_type, (header::CONTENT_ENCODING, "snappy")], body).into_response())
        }
        ReadAnswer::StreamedChunks => {
            let body = app.queries().stream(ask, move |budget, inlet| stream(&reader, &queries, budget, inlet)).await?;
            Ok(([content_type], body).into_response())
        }
    }
}

/// A question as PromQL would put it.
fn shown(query: &ReadQuery) -> String {
    format!("{{{}}}", query.matchers.iter().map(ToString::to_string).collect::<Vec<_>>().join(","))
}

/// One message with everything, held until it is whole.
fn samples(reader: &Reader, queries: &[ReadQuery], budget: &Budget) -> Result<Vec<u8>, ApiError> {
    let mut encoder = ReadResponseEncoder::new();
    for query in queries {
        for_each_series(reader, query, budget, |series, series_idx, values| {
            let len = encoder.len();
            encoder.push_series(series.labels(series_idx), values);
            Ok(budget.charge(encoder.len() - len)?)
        })?;
        encoder.end_query();
    }
    // Compressing needs the room once more at worst.
    budget.charge(encoder.len())?;
    encoder.finish_compressed().map_err(ApiError::internal)
}

/// Frames of chunks, sent as they come.
fn stream(reader: &Reader, queries: &[ReadQuery], budget: &Budget, inlet: &Inlet) -> Result<(), ApiError> {
    budget.charge(ROOM_BYTES)?;
    let mut frames = Vec::new();
    for (query_idx, query) in queries.iter().enumerate() {
        for_each_series(reader, query, budget, |series, series_idx, values| {
            let chunks = tsdb::chunk::encode(values);
            let chunks = chunks.iter().filter_map(|chunk| {
                let encoding = ChunkEncoding::from_byte(chunk.encoding.byte())?;
                Some(ReadChunk { encoding, mint: chunk.mint, maxt: chunk.maxt, bytes: &chunk.bytes })
            });
            push_frames(query_idx, series.labels(series_idx), chunks, &mut frames);
            if frames.len() < FRAME_BYTES_TYPICAL {
                return Ok(());
            }
            inlet.send(std::mem::take(&mut frames))
        })?;
    }
    if frames.is_empty() { Ok(()) } else { inlet.send(frames) }
}

/// Hands the samples of each series that `query` selects to `push`, in the order of labels; series without any are
/// left out. Holds one series at a time.
fn for_each_series(
    reader: &Reader,
    query: &ReadQuery,
    budget: &Budget,
    mut push: impl FnMut(&SeriesValues, usize, Vec<(Timestamp, SampleValue)>) -> Result<(), ApiError>,
) -> Result<(), ApiError> {
    // Clients say "everything" by the ends of 64 bits, where sums overflow.
    let range = TimeRange { mint: query.range.mint.max(-TIME_MS_MAX), maxt: query.range.maxt.min(TIME_MS_MAX) };
    if range.maxt < range.mint {
        return Ok(());
    }
    let series = reader.querier().values(&query.matchers, range, budget)?;
    for series_idx in 0..series.len() {
        let values = series.read(series_idx, budget)?;
        if values.is_empty() {
            continue;
        }
        let bytes = size_of_val(values.as_slice());
        budget.charge(bytes)?;
        push(&series, series_idx, values)?;
        budget.release(bytes);
    }
    for warning in budget.warnings() {
        tracing::warn!("remote read leaves out what is damaged: {warning}");
    }
    Ok(())
}
