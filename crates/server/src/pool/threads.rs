//! The threads that queries run on: as many as there are turns, and behind those that take writes when CPUs are short.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

/// How much nicer a query's threads are than the process: under load a write gets about thirty times their share of a CPU.
#[cfg(target_os = "linux")]
const NICER: i32 = 15;
/// The kernel's nicest.
#[cfg(target_os = "linux")]
const NICEST: i32 = 19;

type Job = Box<dyn FnOnce() + Send>;

/// Runs jobs; the threads end when this is dropped and their jobs are done.
pub(crate) struct Threads {
    queue: Arc<Queue>,
}

/// What is to be done. One job wakes one thread: a short query costs little more than that.
#[derive(Default)]
struct Queue {
    jobs: Mutex<Jobs>,
    /// Told of each job, and of the end.
    changed: Condvar,
}

#[derive(Default)]
struct Jobs {
    waiting: VecDeque<Job>,
    is_over: bool,
}

impl Threads {
    /// Starts `n` threads, and has those that share a large query's work follow them.
    pub(crate) fn start(n: usize) -> Threads {
        // The second server of a process finds them there.
        let _ = rayon::ThreadPoolBuilder::new().start_handler(|_| give_way()).build_global();
        let queue = Arc::new(Queue::default());
        for _ in 0..n {
            let queue = queue.clone();
            let started = std::thread::Builder::new().name("query".to_owned()).spawn(move || work(&queue));
            if let Err(error) = started {
                tracing::error!("start a thread for queries: {error}");
            }
        }
        Threads { queue }
    }

    /// Runs `job` on the next free thread.
    pub(crate) fn run(&self, job: impl FnOnce() + Send + 'static) {
        self.queue.jobs.lock().waiting.push_back(Box::new(job));
        self.queue.changed.notify_one();
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.queue.jobs.lock().is_over = true;
        self.queue.changed.notify_all();
    }
}

impl Queue {
    /// Waits for the next job; none when there will be no more.
    fn next(&self) -> Option<Job> {
        let mut jobs = self.jobs.lock();
        loop {
            match jobs.waiting.pop_front() {
                Some(job) => return Some(job),
                None if jobs.is_over => return None,
                None => self.changed.wait(&mut jobs),
            }
        }
    }
}

fn work(queue: &Queue) {
    give_way();
    while let Some(job) = queue.next() {
        // Whoever waits for the job learns of its end by what it dropped; the panic is in the log.
        let _ = catch_unwind(AssertUnwindSafe(job));
    }
}

/// Puts the calling thread behind those of usual priority.
#[cfg(target_os = "linux")]
fn give_way() {
    let thread = rustix::thread::gettid();
    let own = rustix::process::getpriority_process(Some(thread)).unwrap_or_default();
    if let Err(error) = rustix::process::setpriority_process(Some(thread), (own + NICER).min(NICEST)) {
        tracing::debug!("lower the priority of a query's thread: {error}");
    }
}

/// Elsewhere threads have no priority of their own.
#[cfg(not(target_os = "linux"))]
fn give_way() {}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn a_panic_ends_its_job_and_not_its_thread() {
        let threads = Threads::start(1);
        let (sender, receiver) = mpsc::channel();
        let first = sender.clone();
        threads.run(move || {
            let _held = first;
            panic!("a job of this test");
        });
        threads.run(move || sender.send(7).unwrap());
        assert_eq!(receiver.recv(), Ok(7));
        assert!(receiver.recv().is_err(), "what the first one held is gone");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn jobs_run_behind_others() {
        let (sender, receiver) = mpsc::channel();
        let threads = Threads::start(1);
        threads.run(move || {
            let nice = rustix::process::getpriority_process(Some(rustix::thread::gettid())).unwrap();
            sender.send(nice).unwrap();
        });
        let own = rustix::process::getpriority_process(Some(rustix::thread::gettid())).unwrap();
        assert_eq!(receiver.recv().unwrap(), (own + NICER).min(NICEST));
    }
}
