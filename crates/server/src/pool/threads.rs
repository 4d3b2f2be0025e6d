//! The threads that queries run on: as many as there are turns, and behind those that take writes when CPUs are short.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, mpsc};

use parking_lot::Mutex;

/// How much nicer a query's threads are than the process: under load a write gets about nine times their share of a CPU.
#[cfg(target_os = "linux")]
const NICER: i32 = 10;
/// The kernel's nicest.
#[cfg(target_os = "linux")]
const NICEST: i32 = 19;

type Job = Box<dyn FnOnce() + Send>;

/// Runs jobs; the threads end when this is dropped and their jobs are done.
pub(crate) struct Threads {
    queue: mpsc::Sender<Job>,
}

impl Threads {
    /// Starts `n` threads, and has those that share a large query's work follow them.
    pub(crate) fn start(n: usize) -> Threads {
        // The second server of a process finds them there.
        let _ = rayon::ThreadPoolBuilder::new().start_handler(|_| give_way()).build_global();
        let (queue, jobs) = mpsc::channel::<Job>();
        let jobs = Arc::new(Mutex::new(jobs));
        for _ in 0..n {
            let jobs = jobs.clone();
            let started = std::thread::Builder::new().name("query".to_owned()).spawn(move || work(&jobs));
            if let Err(error) = started {
                tracing::error!("start a thread for queries: {error}");
            }
        }
        Threads { queue }
    }

    /// Runs `job` on the next free thread.
    pub(crate) fn run(&self, job: impl FnOnce() + Send + 'static) {
        // Threads end with the queue alone; a job that nobody took is dropped, and with it what waits for it.
        let _ = self.queue.send(Box::new(job));
    }
}

fn work(jobs: &Mutex<mpsc::Receiver<Job>>) {
    give_way();
    loop {
        // The lock is held while waiting: the others wait for it instead.
        let job = jobs.lock().recv();
        let Ok(job) = job else { return };
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
