//! Long answers, sent while they are made: a blocking thread fills a short queue, the connection empties it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use hyper::body::Frame;
use model::{Interrupt, Stop};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::error::ApiError;

/// Pieces that wait for the connection; whoever makes them waits when there are more.
const PIECES_MAX: usize = 4;

enum Piece {
    Bytes(Bytes),
    /// The answer is complete. A queue that closes without saying so is not: whoever filled it has died.
    End,
    Failed(ApiError),
}

/// Where the pieces of an answer go in. Blocking: not for async threads.
pub(crate) struct Inlet {
    queue: mpsc::Sender<Piece>,
    runtime: Handle,
    deadline: Instant,
}

/// Where they come out.
pub(crate) struct Outlet {
    queue: mpsc::Receiver<Piece>,
    /// Ends the work when the client has gone.
    stop: Stop,
}

/// A queue whose pieces must all be taken by `deadline`; `stop` is told when nobody takes them any more.
pub(crate) fn queue(deadline: Instant, stop: Stop) -> (Inlet, Outlet) {
    let (sender, receiver) = mpsc::channel(PIECES_MAX);
    (Inlet { queue: sender, runtime: Handle::current(), deadline }, Outlet { queue: receiver, stop })
}

impl Inlet {
    /// Hands on a piece, waiting until there is room for it.
    pub(crate) fn send(&self, piece: Vec<u8>) -> Result<(), ApiError> {
        self.put(Piece::Bytes(piece.into()))
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
        let sending = tokio::time::timeout_at(self.deadline.into(), self.queue.send(piece));
        match self.runtime.block_on(sending) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Interrupt::Canceled.into()),
            Err(_) => Err(ApiError::Timeout),
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
            Some(Piece::Bytes(bytes)) => return Poll::Ready(Some(Ok(Frame::data(bytes)))),
            Some(Piece::End) => None,
            Some(Piece::Failed(error)) => Some(format!("{error:?}")),
            None => Some("a bug".to_owned()),
        };
        self.is_over = true;
        // An error ends the connection in the middle of the body: a clean end would say that this is all.
        Poll::Ready(why.map(|why| Err(io::Error::other(format!("answer broken off: {why}")))))
    }
}
