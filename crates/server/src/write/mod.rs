//! `POST /api/v1/write`: remote write 1.0 and 2.0 from a body to durable samples and one honest answer.

mod answer;
mod append;
mod refusals;

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::response::Response;
use bytes::Bytes;
use control::Grant;
use model::{Budget, Pool, Stop};
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use wire::remote_write::{WriteMessage, WriteRequest, check_content_encoding, decompress, write_message};

use crate::auth::Granted;
use crate::body;
use crate::config::Limits;
use crate::error::ApiError;
use crate::limits::WriteLimits;
use crate::state::App;
use crate::store::Writer;
use answer::{Stored, answer};
use append::append;
pub(crate) use refusals::Refusals;

/// Buffers kept for decompression, and the largest one worth keeping.
const BUFFERS_MAX: usize = 16;
const BUFFER_BYTES_MAX: usize = 4 << 20;

/// Bounds the writes in progress by number and by bytes, and keeps what they share.
pub(crate) struct WritePool {
    turns: Arc<Semaphore>,
    bytes: Arc<Pool>,
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
            seeds: RandomState::new(),
            buffers: Mutex::new(Vec::new()),
        }
    }

    /// A seed for the keys of series that `who` writes, which no sender's are.
    pub(crate) fn seed_of(&self, who: &str) -> u64 {
        self.seeds.hash_one(("own", who))
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

/// Handles a write.
pub(crate) async fn write(State(app): State<App>, Granted(grant): Granted, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let message = match announced(&head.headers) {
        Ok(message) => message,
        Err(refusal) => {
            body::discard(body).await;
            return refusal.into_text();
        }
    };
    let outcome = match Admitted::new(&app, &grant, &head.headers) {
        Ok(admitted) => admitted.store(&app, message, &head.headers, body).await,
        Err(refusal) => {
            body::discard(body).await;
            Err(refusal)
        }
    };
    answer(message, outcome)
}

/// A write whose head is acceptable and whose body there is room for.
struct Admitted {
    writer: Writer,
    account: Budget,
    limits: WriteLimits,
}

impl Admitted {
    /// Decides before the body is read: a sender keeps what is refused here and comes back.
    fn new(app: &App, grant: &Grant, headers: &HeaderMap) -> Result<Admitted, ApiError> {
        let writer = app.store().writer(grant)?;
        let account = app.writes().account();
        let limits = app.limits().of_write(app.config(), writer.project());
        let most = limits.body.decompressed_bytes_max;
        let declared = body::declared_len(headers).and_then(|len| usize::try_from(len).ok());
        charge(&account, declared.unwrap_or(most).min(most))?;
        Ok(Admitted { writer, account, limits })
    }

    /// Reads the body and stores it on a blocking thread.
    async fn store(
        self,
        app: &App,
        message: WriteMessage,
        headers: &HeaderMap,
        body: Body,
    ) -> Result<Stored, ApiError> {
        let timeout = app.config().limits.body_timeout;
        let body = body::read(body, headers, self.limits.body.decompressed_bytes_max, timeout).await?;
        let turn = app.writes().turns.clone().acquire_owned().await.map_err(ApiError::internal)?;
        let app = app.clone();
        let stored = tokio::task::spawn_blocking(move || {
            let outcome = self.store_body(&app, message, &body);
            drop(turn);
            outcome
        });
        stored.await.map_err(|panic| ApiError::internal(format!("write ended by a bug: {panic}")))?
    }

    /// Reads the message and stores it; blocking, until it is on disk.
    fn store_body(&self, app: &App, message: WriteMessage, body: &Bytes) -> Result<Stored, ApiError> {
        let (pool, limits) = (app.writes(), &self.limits.body);
        let mut bytes = pool.take_buffer();
        let stored = decompress(body, limits, &mut bytes).map_err(ApiError::from).and_then(|()| {
            charge(&self.account, bytes.len())?;
            let request = match message {
                WriteMessage::V1 => WriteRequest::parse(&bytes, limits)?,
                WriteMessage::V2 => WriteRequest::parse_v2(&bytes, limits)?,
            };
            charge(&self.account, request.heap_bytes())?;
            append(app, self.writer.appender().within(self.limits.bounds), self.writer.project(), &request)
        });
        pool.give_buffer(bytes);
        stored
    }
}

/// The message that the headers announce.
fn announced(headers: &HeaderMap) -> Result<WriteMessage, ApiError> {
    // A header that is not text is one that nobody supports.
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    check_content_encoding(text(header::CONTENT_ENCODING))?;
    Ok(write_message(text(header::CONTENT_TYPE))?)
}

/// Takes `bytes` from the pool of all writes.
fn charge(account: &Budget, bytes: usize) -> Result<(), ApiError> {
    account.charge(bytes).map_err(|_| ApiError::Unavailable("too many bytes of writes are in progress".to_owned()))
}
