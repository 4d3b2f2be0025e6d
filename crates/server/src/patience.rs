//! How long a connection may take: little for a request's head once it has begun, more between requests; and how long
//! it may take nothing of an answer.
//!
//! Q: Why not hyper's one time-out for reading heads? A: it runs between requests too. Short, it would cut off every
//! agent that writes each 15 seconds; long, it would let a slow sender hold a connection with half a head.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use hyper::rt::{Sleep, Timer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// The timer of one connection; hyper arms it with the idle time whenever it waits for a head.
#[derive(Clone)]
pub(crate) struct Patience {
    head_timeout: Duration,
    stall_timeout: Duration,
    /// Whether bytes have come since the timer was armed.
    has_begun: Arc<AtomicBool>,
}

/// A stream that tells its [`Patience`] of each arrival.
pub(crate) struct Noticed {
    stream: TcpStream,
    has_begun: Arc<AtomicBool>,
    stall_timeout: Duration,
    /// Runs while the client takes nothing of what is there for it: that holds the memory of an answer.
    stalled: Option<Pin<Box<tokio::time::Sleep>>>,
}

/// Waits for the idle time, or for the head's once that has begun.
struct HeadSleep {
    sleep: Pin<Box<tokio::time::Sleep>>,
    patience: Patience,
    is_hurried: bool,
}

impl Patience {
    pub(crate) fn new(head_timeout: Duration, stall_timeout: Duration) -> Patience {
        Patience { head_timeout, stall_timeout, has_begun: Arc::new(AtomicBool::new(false)) }
    }

    /// Lets the timer see what arrives on `stream`.
    pub(crate) fn notice(&self, stream: TcpStream) -> Noticed {
        Noticed { stream, has_begun: self.has_begun.clone(), stall_timeout: self.stall_timeout, stalled: None }
    }
}

impl Timer for Patience {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(Instant::now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        self.has_begun.store(false, Relaxed);
        let sleep = Box::pin(tokio::time::sleep_until(deadline.into()));
        Box::pin(HeadSleep { sleep, patience: self.clone(), is_hurried: false })
    }
}

impl Sleep for HeadSleep {}

impl Future for HeadSleep {
    type Output = ();

    /// Polled after each arrival that did not complete the head: the first one shortens the wait.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        if !this.is_hurried && this.patience.has_begun.load(Relaxed) {
            this.is_hurried = true;
            let head_deadline = tokio::time::Instant::now() + this.patience.head_timeout;
            let deadline = this.sleep.deadline().min(head_deadline);
            this.sleep.as_mut().reset(deadline);
        }
        this.sleep.as_mut().poll(cx)
    }
}

impl Noticed {
    /// Fails a write that has been pending for too long.
    fn unless_stalled<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let timeout = self.stall_timeout;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
        ready!(stalled.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes nothing of its answer")))
    }
}

impl AsyncRead for Noticed {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if before < buf.filled().len() {
            self.has_begun.store(true, Relaxed);
        }
        read
    }
}

impl AsyncWrite for Noticed {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.unless_stalled(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.unless_stalled(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
