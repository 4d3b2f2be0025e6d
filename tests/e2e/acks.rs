//! Senders that note each acknowledged request, to be looked for after a crash.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use model::{Exemplar, Histogram, Labels, SampleValue, Span, Timestamp};
use serde_json::Value;
use wire::remote_write::{SeriesContent, WriteMessage, WriteRequestEncoder, WriteRequestV2Encoder, encode_labels};

use crate::http::Http;

/// Series of floats that a request has samples for; each sender has its own. Two of histograms come with them.
const FLOATS: usize = 10;
/// All of them.
const SERIES: usize = FLOATS + 2;
/// Requests for each one that has an exemplar too.
const REQUESTS_PER_EXEMPLAR: u32 = 16;
/// How far behind the first sample late ones begin, and their distance; each request brings one.
const LATE_MS: i64 = 3 * 3_600_000;
const LATE_STEP_MS: i64 = 7;
/// How long a sender waits before it repeats a request that was not acknowledged.
const RETRY: Duration = Duration::from_millis(10);

/// Senders at work, each one request after the other, each request until it is acknowledged.
pub(crate) struct AckLog {
    stop: Arc<AtomicBool>,
    hold: Arc<AtomicBool>,
    logs: Vec<Arc<Mutex<Log>>>,
    senders: Vec<JoinHandle<()>>,
}

/// What one sender sent: every series of it has each of these samples, as a float or as a histogram with this sum.
#[derive(Clone, Default)]
struct Log {
    acked: BTreeMap<i64, f64>,
    /// On its way: there or not there, both are right.
    pending: BTreeMap<i64, f64>,
    /// Exemplars of the first series.
    exemplars: BTreeMap<i64, f64>,
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
        let (stop, hold) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let logs: Vec<Arc<Mutex<Log>>> = (0..load.senders).map(|_| Arc::default()).collect();
        let senders = logs.iter().enumerate().map(|(sender, log)| {
            let sender = Sender {
                name: sender.to_string(),
                message: if sender % 2 == 0 { WriteMessage::V1 } else { WriteMessage::V2 },
                http: Http::new(url, Some(token)),
                stop: stop.clone(),
                hold: hold.clone(),
                log: log.clone(),
                pause: load.pause,
            };
            std::thread::spawn(move || sender.run())
        });
        let senders = senders.collect();
        AckLog { stop, hold, logs, senders }
    }

    /// Sends nothing new while `hold`.
    pub(crate) fn hold(&self, hold: bool) {
        self.hold.store(hold, Relaxed);
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
            let there = read_exemplars(http, sender);
            let lost: Vec<_> = before.exemplars.iter().filter(|(t, v)| there.get(t) != Some(v)).collect();
            assert!(lost.is_empty(), "{} of {} exemplars lost: {lost:?}", lost.len(), before.exemplars.len());
        }
    }
}

impl Drop for AckLog {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
    }
}

/// The samples of each series of one sender, all of them; of a histogram its sum.
#[track_caller]
fn read_back(http: &Http, sender: usize) -> Vec<(String, BTreeMap<i64, f64>)> {
    let query = format!("{{__name__=~\"acked.*\",sender=\"{sender}\"}}[1d]");
    let time = format!("{:.3}", (now_ms() + 1000) as f64 / 1000.0);
    let data = http.data("/api/v1/query", &[("query", &query), ("time", &time)]);
    let number = |text: &Value| text.as_str().unwrap().parse::<f64>().unwrap();
    let float = |point: &Value| (ms(&point[0]), number(&point[1]));
    let histogram = |point: &Value| {
        let sum = number(&point[1]["sum"]);
        assert_eq!(number(&point[1]["count"]), sum.abs() + 1.0, "{point}");
        (ms(&point[0]), sum)
    };
    let points = |series: &Value, key: &str| series[key].as_array().cloned().unwrap_or_default();
    let series = data["result"].as_array().unwrap().iter();
    series
        .map(|series| {
            let floats = points(series, "values");
            let histograms = points(series, "histograms");
            let samples = floats.iter().map(float).chain(histograms.iter().map(histogram));
            (series["metric"].to_string(), samples.collect())
        })
        .collect()
}

/// The exemplars of one sender's first series.
#[track_caller]
fn read_exemplars(http: &Http, sender: usize) -> BTreeMap<i64, f64> {
    let query = format!("acked{{sender=\"{sender}\",series=\"0\"}}");
    let (start, end) = ((now_ms() / 1000 - 86_400).to_string(), (now_ms() / 1000 + 60).to_string());
    let data = http.data("/api/v1/query_exemplars", &[("query", &query), ("start", &start), ("end", &end)]);
    let exemplars = data[0]["exemplars"].as_array().cloned().unwrap_or_default();
    let number = |exemplar: &Value| exemplar["value"].as_str().unwrap().parse().unwrap();
    exemplars.iter().map(|exemplar| (ms(&exemplar["timestamp"]), number(exemplar))).collect()
}

fn ms(seconds: &Value) -> i64 {
    (seconds.as_f64().unwrap() * 1000.0).round() as i64
}

struct Sender {
    name: String,
    /// Which message it sends.
    message: WriteMessage,
    http: Http,
    stop: Arc<AtomicBool>,
    hold: Arc<AtomicBool>,
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
            let samples = [(start - LATE_MS + i64::from(count) * LATE_STEP_MS, -v), (last, v)];
            let exemplar = count.is_multiple_of(REQUESTS_PER_EXEMPLAR).then_some((last, v));
            self.log.lock().unwrap().pending = samples.into_iter().collect();
            if !self.send(self.body(&samples, exemplar)) {
                return;
            }
            let mut log = self.log.lock().unwrap();
            let acked = std::mem::take(&mut log.pending);
            log.acked.extend(acked);
            log.exemplars.extend(exemplar);
            drop(log);
            std::thread::sleep(self.pause);
            while self.hold.load(Relaxed) && !self.stop.load(Relaxed) {
                std::thread::sleep(RETRY);
            }
        }
    }

    /// Sends one request until it is acknowledged; false when told to stop before.
    fn send(&self, body: Vec<u8>) -> bool {
        while !self.stop.load(Relaxed) {
            let answer = self.http.write(self.message, body.clone());
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

    /// One request: the samples as floats, as histograms of integers and as histograms of floats.
    fn body(&self, samples: &[(Timestamp, f64)], exemplar: Option<(Timestamp, f64)>) -> Vec<u8> {
        let (mut v1, mut v2) = (WriteRequestEncoder::new(), WriteRequestV2Encoder::new());
        let exemplar = exemplar.map(|(t, v)| {
            let id = format!("{v}");
            Exemplar { labels: Labels::from_pairs([("trace_id", id.as_str())]), t, v }
        });
        for series in 0..SERIES {
            let (name, value): (&str, fn(f64) -> SampleValue) = match series.checked_sub(FLOATS) {
                None => ("acked", SampleValue::Float),
                Some(0) => ("acked_histogram", |v| SampleValue::Histogram(Arc::new(histogram(v)))),
                Some(_) => ("acked_float_histogram", |v| SampleValue::FloatHistogram(Arc::new(histogram(v)))),
            };
            let values: Vec<_> = samples.iter().map(|(t, v)| (*t, value(*v))).collect();
            let exemplars = if series == 0 { exemplar.as_slice() } else { &[] };
            let content = SeriesContent { values: &values, exemplars, ..SeriesContent::default() };
            let series = series.to_string();
            let labels = [("__name__", name), ("sender", &self.name), ("series", &series)];
            match self.message {
                WriteMessage::V1 => v1.push_content(&encode_labels(labels), &content),
                WriteMessage::V2 => v2.push(labels, &content),
            }
        }
        match self.message {
            WriteMessage::V1 => v1.finish_compressed().unwrap(),
            WriteMessage::V2 => v2.finish_compressed().unwrap(),
        }
    }
}

/// A histogram whose sum is `v`, of as many observations and one more.
fn histogram(v: f64) -> Histogram {
    Histogram {
        schema: 3,
        zero_threshold: 0.001,
        zero_count: 1.0,
        count: v.abs() + 1.0,
        sum: v,
        positive_spans: vec![Span { offset: 2, length: 1 }],
        positive_buckets: vec![v.abs()],
        ..Histogram::default()
    }
}

fn now_ms() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}
