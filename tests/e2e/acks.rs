//! Senders that note each acknowledged request, to be looked for after a crash.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use model::Sample;
use wire::remote_write::WriteRequestEncoder;

use crate::http::Http;

/// Series that a request has samples for; each sender has its own.
const SERIES: usize = 12;
/// How far behind the first sample late ones begin, and their distance; each request brings one.
const LATE_MS: i64 = 3 * 3_600_000;
const LATE_STEP_MS: i64 = 7;
/// How long a sender waits before it repeats a request that was not acknowledged.
const RETRY: Duration = Duration::from_millis(10);

/// Senders at work, each one request after the other, each request until it is acknowledged.
pub(crate) struct AckLog {
    stop: Arc<AtomicBool>,
    logs: Vec<Arc<Mutex<Log>>>,
    senders: Vec<JoinHandle<()>>,
}

/// What one sender sent: every series of it has each of these samples.
#[derive(Clone, Default)]
struct Log {
    acked: BTreeMap<i64, f64>,
    /// On its way: there or not there, both are right.
    pending: BTreeMap<i64, f64>,
    requests: u64,
    /// Requests answered 503, and those among them without a `Retry-After`.
    unavailable: u64,
    without_retry_after: u64,
    unanswered: u64,
    /// Answers that no request of ours deserves.
    wrong: Vec<String>,
}

/// How the senders send.
#[derive(Clone, Copy)]
pub(crate) struct Load {
    pub(crate) senders: usize,
    /// Between an acknowledgement and the next request.
    pub(crate) pause: Duration,
}

/// Figures over all senders so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Figures {
    pub(crate) requests: u64,
    pub(crate) samples: u64,
    pub(crate) unavailable: u64,
    pub(crate) without_retry_after: u64,
    /// Requests whose connection was refused or broke.
    pub(crate) unanswered: u64,
}

impl AckLog {
    /// Starts sending until [`AckLog::stop`].
    pub(crate) fn start(url: &str, token: &str, load: Load) -> AckLog {
        let stop = Arc::new(AtomicBool::new(false));
        let logs: Vec<Arc<Mutex<Log>>> = (0..load.senders).map(|_| Arc::default()).collect();
        let senders = logs.iter().enumerate().map(|(sender, log)| {
            let sender = Sender {
                name: sender.to_string(),
                http: Http::new(url, Some(token)),
                stop: stop.clone(),
                log: log.clone(),
                pause: load.pause,
            };
            std::thread::spawn(move || sender.run())
        });
        let senders = senders.collect();
        AckLog { stop, logs, senders }
    }

    /// Stops sending; requests that were not acknowledged stay so.
    pub(crate) fn stop(&mut self) {
        self.stop.store(true, Relaxed);
        for sender in self.senders.drain(..) {
            sender.join().unwrap();
        }
    }

    /// What was sent and answered until now.
    pub(crate) fn figures(&self) -> Figures {
        self.logs.iter().fold(Figures::default(), |sum, log| {
            let log = log.lock().unwrap();
            Figures {
                requests: sum.requests + log.requests,
                samples: sum.samples + (log.acked.len() * SERIES) as u64,
                unavailable: sum.unavailable + log.unavailable,
                without_retry_after: sum.without_retry_after + log.without_retry_after,
                unanswered: sum.unanswered + log.unanswered,
            }
        })
    }

    /// Every sample acknowledged until now can be read back from its series, and nothing that was never sent.
    #[track_caller]
    pub(crate) fn assert_all_there(&self, http: &Http) {
        for (sender, log) in self.logs.iter().enumerate() {
            let before = log.lock().unwrap().clone();
            assert_eq!(before.wrong, [""; 0], "sender {sender}");
            if before.acked.is_empty() {
                continue;
            }
            let there = read_back(http, sender);
            let after = log.lock().unwrap().clone();
            assert_eq!(there.len(), SERIES, "series of sender {sender}");
            for (series, there) in there {
                let lost: Vec<_> = before.acked.iter().filter(|(t, v)| there.get(t) != Some(v)).collect();
                assert!(
                    lost.is_empty(),
                    "{} of {} samples of {series} lost: {:?}",
                    lost.len(),
                    before.acked.len(),
                    &lost[..lost.len().min(5)]
                );
                let sent = |t| after.acked.get(t).or(after.pending.get(t)).or(before.pending.get(t));
                let strange: Vec<_> = there.iter().filter(|(t, v)| sent(t) != Some(v)).take(5).collect();
                assert!(strange.is_empty(), "{series} has samples that nobody sent: {strange:?}");
            }
        }
    }
}

impl Drop for AckLog {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
    }
}

/// The samples of each series of one sender, all of them.
#[track_caller]
fn read_back(http: &Http, sender: usize) -> Vec<(String, BTreeMap<i64, f64>)> {
    let query = format!("acked{{sender=\"{sender}\"}}[1d]");
    let time = format!("{:.3}", (now_ms() + 1000) as f64 / 1000.0);
    let data = http.data("/api/v1/query", &[("query", &query), ("time", &time)]);
    let point = |point: &serde_json::Value| {
        let t = (point[0].as_f64().unwrap() * 1000.0).round() as i64;
        (t, point[1].as_str().unwrap().parse().unwrap())
    };
    let series = data["result"].as_array().unwrap().iter();
    series
        .map(|series| {
            let samples = series["values"].as_array().unwrap().iter().map(point).collect();
            (series["metric"].to_string(), samples)
        })
        .collect()
}

struct Sender {
    name: String,
    http: Http,
    stop: Arc<AtomicBool>,
    log: Arc<Mutex<Log>>,
    pause: Duration,
}

impl Sender {
    fn run(self) {
        let start = now_ms();
        let mut last = start;
        for count in 0u32.. {
            last = now_ms().max(last + 1);
            let v = f64::from(count);
            let samples =
                [Sample { t: start - LATE_MS + i64::from(count) * LATE_STEP_MS, v: -v }, Sample { t: last, v }];
            self.log.lock().unwrap().pending = samples.iter().map(|s| (s.t, s.v)).collect();
            if !self.send(&samples) {
                return;
            }
            let mut log = self.log.lock().unwrap();
            let acked = std::mem::take(&mut log.pending);
            log.acked.extend(acked);
            drop(log);
            std::thread::sleep(self.pause);
        }
    }

    /// Sends one request until it is acknowledged; false when told to stop before.
    fn send(&self, samples: &[Sample]) -> bool {
        let body = self.body(samples);
        while !self.stop.load(Relaxed) {
            let answer = self.http.write(body.clone());
            let mut log = self.log.lock().unwrap();
            log.requests += 1;
            match answer {
                Some(answer) if answer.status == 204 => return true,
                Some(answer) if answer.status == 503 => {
                    log.unavailable += 1;
                    log.without_retry_after += u64::from(answer.retry_after.is_none());
                }
                Some(answer) if log.wrong.len() < 5 => log.wrong.push(format!("{answer:?}")),
                Some(_) => {}
                None => log.unanswered += 1,
            }
            drop(log);
            std::thread::sleep(RETRY);
        }
        false
    }

    fn body(&self, samples: &[Sample]) -> Vec<u8> {
        let mut encoder = WriteRequestEncoder::new();
        for series in 0..SERIES {
            let series = series.to_string();
            encoder.push([("__name__", "acked"), ("sender", &self.name), ("series", &series)], samples);
        }
        encoder.finish_compressed().unwrap()
    }
}

fn now_ms() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}
