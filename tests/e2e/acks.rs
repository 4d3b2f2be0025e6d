//! A sender that notes each acknowledged sample, to be looked for after a crash.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use model::Sample;
use wire::remote_write::WriteRequestEncoder;

use crate::http::Http;

/// Series that a request has a sample for.
const SERIES: usize = 50;

/// A sender at work.
pub(crate) struct AckLog {
    stop: Arc<AtomicBool>,
    sender: JoinHandle<Acked>,
}

/// Samples for which the server answered 204, by their timestamps; every series has each.
pub(crate) struct Acked(BTreeMap<i64, f64>);

impl AckLog {
    /// Starts sending, one request after the other, until [`AckLog::stop`].
    pub(crate) fn start(url: &str, token: &str) -> AckLog {
        let stop = Arc::new(AtomicBool::new(false));
        let (http, flag) = (Http::new(url, Some(token)), stop.clone());
        let sender = std::thread::spawn(move || {
            let mut acked = BTreeMap::new();
            for count in 0u32.. {
                if flag.load(Relaxed) {
                    break;
                }
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
                let sample = Sample { t: i64::try_from(now.as_millis()).unwrap(), v: f64::from(count) };
                if let Some((204, _)) = http.post("/api/v1/write", &[("Content-Encoding", "snappy")], body(sample)) {
                    acked.insert(sample.t, sample.v);
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            Acked(acked)
        });
        AckLog { stop, sender }
    }

    /// Stops sending and returns what was acknowledged.
    pub(crate) fn stop(self) -> Acked {
        self.stop.store(true, Relaxed);
        self.sender.join().unwrap()
    }
}

fn body(sample: Sample) -> Vec<u8> {
    let mut encoder = WriteRequestEncoder::new();
    for series in 0..SERIES {
        encoder.push([("__name__", "acked"), ("series", series.to_string().as_str())], &[sample]);
    }
    encoder.finish_compressed().unwrap()
}

impl Acked {
    /// Every acknowledged sample can be read back from every series.
    pub(crate) fn assert_all_there(&self, http: &Http) {
        assert!(self.0.len() > 100, "only {} requests were acknowledged", self.0.len());
        let (Some((first, _)), Some((last, _))) = (self.0.first_key_value(), self.0.last_key_value()) else { return };
        let seconds = (last - first) / 1000 + 2;
        let (query, time) = (format!("acked[{seconds}s]"), format!("{:.3}", (last + 500) as f64 / 1000.0));
        let data = http.data("/api/v1/query", &[("query", &query), ("time", &time)]);
        let all = data["result"].as_array().unwrap();
        assert_eq!(all.len(), SERIES);
        for series in all {
            let there: BTreeMap<i64, f64> = series["values"]
                .as_array()
                .unwrap()
                .iter()
                .map(|point| {
                    let t = (point[0].as_f64().unwrap() * 1000.0).round() as i64;
                    (t, point[1].as_str().unwrap().parse().unwrap())
                })
                .collect();
            let lost: Vec<_> = self.0.iter().filter(|(t, v)| there.get(t) != Some(v)).collect();
            assert!(
                lost.is_empty(),
                "{} of {} samples of {} lost: {:?}",
                lost.len(),
                self.0.len(),
                series["metric"],
                &lost[..lost.len().min(5)]
            );
        }
    }
}
