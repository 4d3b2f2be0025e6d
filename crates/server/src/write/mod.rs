//! `POST /api/v1/write`: remote write 1.0 from a body to durable samples and one honest answer.

mod refusals;
mod stamp;

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use control::Grant;
use model::{Budget, LabelsBuilder, Pool, ProjectId, Stop};
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tsdb::{Appender, SeriesKey};
use wire::remote_write::{BodyLimits, LabelLimits, TimeSeries, WriteMessage, WriteRequest, decompress};
use wire::remote_write::{check_content_encoding, write_message};
use xxhash_rust::xxh3::xxh3_128_with_seed;

use crate::auth::Granted;
use crate::body;
use crate::config::Limits;
use crate::error::ApiError;
use crate::state::App;
use crate::store::Writer;
pub(crate) use refusals::Refusals;

/// Buffers kept for decompression, and the largest one worth keeping.
const BUFFERS_MAX: usize = 16;
const BUFFER_BYTES_MAX: usize = 4 << 20;

/// Bounds the writes in progress by number and by bytes, and keeps what they share.
pub(crate) struct WritePool {
    turns: Arc<Semaphore>,
    bytes: Arc<Pool>,
    limits: BodyLimits,
    /// Seeds the keys of known series; drawn at start, so that nobody can aim at a collision.
    seeds: RandomState,
    /// Decompression buffers between two writes.
    buffers: Mutex<Vec<Vec<u8>>>,
}

impl WritePool {
    pub(crate) fn new(limits: &Limits) -> WritePool {
        WritePool {
            turns: Arc::new(Semaphore::new(limits.writes_max)),
            bytes: Pool::new(limits.writes_bytes_max as u64),
            limits: body_limits(limits),
            seeds: RandomState::new(),
            buffers: Mutex::new(Vec::new()),
        }
    }

    /// Bytes held by all writes in progress.
    pub(crate) fn bytes_used(&self) -> u64 {
        self.bytes.bytes_used()
    }

    /// An account for one write's bytes; they come back when it is dropped.
    fn account(&self) -> Budget {
        Budget::new(Stop::default(), self.bytes.clone(), u64::MAX, u64::MAX)
    }

    fn take_buffer(&self) -> Vec<u8> {
        self.buffers.lock().pop().unwrap_or_default()
    }

    fn give_buffer(&self, buffer: Vec<u8>) {
        let mut buffers = self.buffers.lock();
        if buffers.len() < BUFFERS_MAX && buffer.capacity() <= BUFFER_BYTES_MAX {
            buffers.push(buffer);
        }
    }
}

fn body_limits(limits: &Limits) -> BodyLimits {
    let labels = LabelLimits {
        labels_max: limits.labels_max,
        name_bytes_max: limits.label_name_bytes_max,
        value_bytes_max: limits.label_value_bytes_max,
    };
    BodyLimits { decompressed_bytes_max: limits.write_bytes_max, labels, ..BodyLimits::default() }
}

/// Handles a write. Its errors are text: senders log the first bytes of the answer as they are.
pub(crate) async fn write(State(app): State<App>, Granted(grant): Granted, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let stored = match Admitted::new(&app, &grant, &head.headers) {
        Ok(admitted) => admitted.store(&app, &head.headers, body).await,
        Err(refusal) => {
            body::discard(body).await;
            Err(refusal)
        }
    };
    match stored {
        Ok(refusals) if refusals.is_empty() => StatusCode::NO_CONTENT.into_response(),
        Ok(refusals) => ApiError::BadData(refusals.to_string()).into_text(),
        Err(error) => error.into_text(),
    }
}

/// A write whose head is acceptable and whose body there is room for.
struct Admitted {
    writer: Writer,
    account: Budget,
}

impl Admitted {
    /// Decides before the body is read: a sender keeps what is refused here and comes back.
    fn new(app: &App, grant: &Grant, headers: &HeaderMap) -> Result<Admitted, ApiError> {
        check_media(headers)?;
        let writer = app.store().writer(grant)?;
        let account = app.writes().account();
        let most = app.config().limits.write_bytes_max;
        let declared = body::declared_len(headers).and_then(|len| usize::try_from(len).ok());
        charge(&account, declared.unwrap_or(most).min(most))?;
        Ok(Admitted { writer, account })
    }

    /// Reads the body and stores it on a blocking thread.
    async fn store(self, app: &App, headers: &HeaderMap, body: Body) -> Result<Refusals, ApiError> {
        let limits = &app.config().limits;
        let body = body::read(body, headers, limits.write_bytes_max, limits.body_timeout).await?;
        let turn = app.writes().turns.clone().acquire_owned().await.map_err(ApiError::internal)?;
        let app = app.clone();
        let stored = tokio::task::spawn_blocking(move || {
            let refusals = store(&app, &self.writer, &body, &self.account);
            drop(turn);
            refusals
        });
        stored.await.map_err(|panic| ApiError::internal(format!("write ended by a bug: {panic}")))?
    }
}

fn check_media(headers: &HeaderMap) -> Result<(), ApiError> {
    // A header that is not text is one that nobody supports.
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    check_content_encoding(text(header::CONTENT_ENCODING))?;
    match write_message(text(header::CONTENT_TYPE))? {
        WriteMessage::V1 => Ok(()),
        message @ WriteMessage::V2 => Err(ApiError::Unsupported(format!("{} is not yet supported", message.as_str()))),
    }
}

/// Takes `bytes` from the pool of all writes.
fn charge(account: &Budget, bytes: usize) -> Result<(), ApiError> {
    account.charge(bytes).map_err(|_| ApiError::Unavailable("too many bytes of writes are in progress".to_owned()))
}

/// Reads the message and stores it; blocking, until it is on disk.
fn store(app: &App, writer: &Writer, body: &Bytes, account: &Budget) -> Result<Refusals, ApiError> {
    let pool = app.writes();
    let mut message = pool.take_buffer();
    let stored = decompress(body, &pool.limits, &mut message).map_err(ApiError::from).and_then(|()| {
        charge(account, message.len())?;
        let request = WriteRequest::parse(&message, &pool.limits)?;
        append(app, writer, &request)
    });
    pool.give_buffer(message);
    stored
}

fn append(app: &App, writer: &Writer, request: &WriteRequest<'_>) -> Result<Refusals, ApiError> {
    let mut refusals = Refusals::new(request.n_samples() + request.n_histograms());
    let mut appender = writer.appender();
    let (mut labels, mut raw_labels) = (LabelsBuilder::default(), Vec::new());
    let seed = app.writes().seeds.hash_one(writer.project().map(ProjectId::as_str));
    for series in request.series() {
        let key = SeriesKey(xxh3_128_with_seed(series.raw_labels(&mut raw_labels), seed));
        append_series(&mut appender, key, series, writer.project(), &mut labels, &mut refusals);
    }
    let default_project = ProjectId::default_project();
    let owner = writer.project().unwrap_or(&default_project);
    for family in request.metadata() {
        appender.metadata(owner, &family.family, family.to_metadata());
    }
    let report = appender.commit(crate::clock::now_ms())?;
    refusals.add_report(&report);
    app.metrics().ingest.count(&report, &refusals, request.n_exemplars());
    Ok(refusals)
}

/// Adds one series' samples, or refuses it and leaves the others alone.
fn append_series(
    appender: &mut Appender<'_>,
    key: SeriesKey,
    series: TimeSeries<'_>,
    project: Option<&ProjectId>,
    labels: &mut LabelsBuilder,
    refusals: &mut Refusals,
) {
    let handle = match appender.known(key) {
        Some(handle) => handle,
        None => match read_labels(&series, project, labels) {
            // Exemplars alone make no series.
            Ok(()) if series.samples().len() == 0 && !series.has_histograms() => return,
            Ok(()) => appender.series(key, &labels.build()),
            Err(cause) => return refusals.add_series(cause, &series),
        },
    };
    for sample in series.samples() {
        appender.sample(&handle, sample);
    }
    if series.has_histograms() {
        refusals.add_histograms(&series);
    }
}

/// Reads the labels of a series that was not seen before, and sets its owner.
fn read_labels(
    series: &TimeSeries<'_>,
    project: Option<&ProjectId>,
    into: &mut LabelsBuilder,
) -> Result<(), refusals::Cause> {
    series.labels(into)?;
    Ok(stamp::stamp(into, project)?)
}
