//! Long computations let other threads run: what is urgent waits for a moment only.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// How long a thread computes before it lets others run.
const BREATH: Duration = Duration::from_micros(250);

/// Lets threads that wait for this CPU run, if this one had it for a while: call it in long loops.
///
/// The kernel lets a thread that wakes up wait for the rest of a slice, however much nicer the one that computes is. A
/// write wakes up several times until it is on disk.
///
/// Cost: a look at the clock.
pub fn breathe() {
    thread_local! {
        static SINCE: Cell<Option<Instant>> = const { Cell::new(None) };
    }
    SINCE.with(|since| {
        let now = Instant::now();
        if since.get().is_none_or(|since| BREATH <= now.duration_since(since)) {
            std::thread::yield_now();
            since.set(Some(Instant::now()));
        }
    });
}
