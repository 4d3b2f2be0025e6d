//! Long answers, sent while they are made: a blocking thread fills a short queue, the connection empties it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use hyper::body::Frame;
use model::{Budget, Interrupt, Stop};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::error::ApiError;

/// Bytes of an answer that wait for the connection; whoever makes them waits when there are more. Most answers fit, so
/// that a slow client does not keep the turn of its query.
pub(crate) const ROOM_BYTES: usize = 4 << 20;
/// How often someone who waits for room looks whether the query was ended.
const LOOK: Duration = Duration::from_millis(20);

enum Piece {
    Bytes(Bytes),
    /// The whole answer at once.
    Whole(Bytes),
    /// The answer is complete. A queue that closes without saying so is not: whoever filled it has died.
    End,
    Failed(ApiError),
}

/// A piece's bytes with what they were taken from: it comes back when they are sent.
struct Held {
    bytes: Vec<u8>,
    _room: Option<OwnedSemaphorePermit>,
    _budget: Arc<Budget>,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Where the pieces of an answer go in. Blocking: not for async threads.
pub(crate) struct Inlet {
    queue: mpsc::UnboundedSender<Piece>,
    /// Bounds the queue, in bytes.
    room: Arc<Semaphore>,
    budget: Arc<Budget>,
    runtime: Handle,
    deadline: Instant,
}

/// Where they come out.
pub(crate) struct Outlet {
    queue: mpsc::UnboundedReceiver<Piece>,
    /// Ends the work when the client has gone.
    stop: Stop,
}

/// A queue whose pieces must all be taken by `deadline`; `stop` is told when nobody takes them any more.
pub(crate) fn queue(deadline: Instant, budget: Arc<Budget>, stop: Stop) -> (Inlet, Outlet) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let (room, runtime) = (Arc::new(Semaphore::new(ROOM_BYTES)), Handle::current());
    (Inlet { queue: sender, room, budget, runtime, deadline }, Outlet { queue: receiver, stop })
}

impl Inlet {
    /// Hands on a piece, waiting until there is room for it.
    pub(crate) fn send(&self, bytes: Vec<u8>) -> Result<(), ApiError> {
        let room = self.room(bytes.len())?;
        let held = Held { bytes, _room: Some(room), _budget: self.budget.clone() };
        self.put(Piece::Bytes(Bytes::from_owner(held)))
    }

    /// Hands on all there is to say. Nothing else was sent before, and nothing follows.
    pub(crate) fn whole(&self, bytes: Vec<u8>) -> Result<(), ApiError> {
        let held = Held { bytes, _room: None, _budget: self.budget.clone() };
        self.put(Piece::Whole(Bytes::from_owner(held)))
    }

    /// Ends the answer. One that could not be completed ends as an error if nothing was sent, else the connection is
    /// broken off.
    pub(crate) fn end(self, outcome: Result<(), ApiError>) {
        let last = match outcome {
            Ok(()) => Piece::End,
            Err(error) => Piece::Failed(error),
        };
        // Whoever has gone needs no end.
        let _ = self.put(last);
    }

    fn put(&self, piece: Piece) -> Result<(), ApiError> {
        self.queue.send(piece).map_err(|_| Interrupt::Canceled.into())
    }

    /// Waits for room in the queue; a piece larger than all of it waits until it is empty.
    fn room(&self, bytes: usize) -> Result<OwnedSemaphorePermit, ApiError> {
        let permits = u32::try_from(bytes.clamp(1, ROOM_BYTES)).unwrap_or(u32::MAX);
        if self.deadline <= Instant::now() {
            return Err(ApiError::Timeout);
        }
        if let Ok(room) = self.room.clone().try_acquire_many_owned(permits) {
            return Ok(room);
        }
        loop {
            self.budget.check()?;
            if self.deadline <= Instant::now() {
                return Err(ApiError::Timeout);
            }
            if self.queue.is_closed() {
                return Err(Interrupt::Canceled.into());
            }
            let waiting = async { tokio::time::timeout(LOOK, self.room.clone().acquire_many_owned(permits)).await };
            if let Ok(room) = self.runtime.block_on(waiting) {
                return room.map_err(ApiError::internal);
            }
        }
    }
}

impl Outlet {
    /// The body, once its first piece is there.
    ///
    /// Errors: what failed before there was a piece, so that it can still be answered as an error.
    pub(crate) async fn into_body(mut self) -> Result<Body, ApiError> {
        match self.queue.recv().await {
            Some(Piece::Bytes(first)) => Ok(Body::new(Outflow { first: Some(first), outlet: self, is_over: false })),
            Some(Piece::Whole(all)) => Ok(Body::from(all)),
            Some(Piece::End) => Ok(Body::empty()),
            Some(Piece::Failed(error)) => Err(error),
            None => Err(ApiError::internal("an answer ended by a bug")),
        }
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// The body of an answer in progress.
struct Outflow {
    first: Option<Bytes>,
    outlet: Outlet,
    is_over: bool,
}

impl HttpBody for Outflow {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        if self.is_over {
            return Poll::Ready(None);
        }
        let why = match ready!(self.outlet.queue.poll_recv(cx)) {
            Some(Piece::Bytes(bytes) | Piece::Whole(bytes)) => return Poll::Ready(Some(Ok(Frame::data(bytes)))),
            Some(Piece::End) => None,
            Some(Piece::Failed(error)) => Some(format!("{error:?}")),
            None => Some("a bug".to_owned()),
        };
        self.is_over = true;
        // An error ends the connection in the middle of the body: a clean end would say that this is all.
        Poll::Ready(why.map(|why| Err(io::Error::other(format!("answer broken off: {why}")))))
    }
}
