//! One scrape target: its series, each with labels encoded once, and the samples scraped since the last push.

use model::{Labels, LabelsBuilder, METRIC_NAME, STALE_NAN, Sample, Timestamp};
use wire::remote_write::{WriteRequestEncoder, encode_labels};

use crate::rng::Rng;

/// Greatest distance of a scrape from its planned time, either way.
const JITTER_MS: f64 = 2.0;
/// Scrapes are spread over the interval, and end before the next tick.
const OFFSET_MS_MAX: u64 = 14_000;

/// A scrape target and up to `capacity` scrapes of it.
///
/// Invariant: every scrape holds one value for each series, in the order the series were declared.
#[derive(Debug)]
pub struct Target {
    identity: LabelsBuilder,
    /// The label fields of all series, one after the other; `ends[i]` is where those of series `i` end.
    labels: Vec<u8>,
    ends: Vec<usize>,
    offset_ms: i64,
    capacity: usize,
    /// Scrapes held.
    held: usize,
    /// Series by series, `capacity` slots each, the first `held` of them in use.
    samples: Vec<Sample>,
}

impl Target {
    /// A target whose series all carry `identity`, scraped at its own random offset after each tick.
    pub fn new(identity: &Labels, capacity: usize, rng: &mut Rng) -> Target {
        let offset_ms = 500 + (rng.next_u64() % OFFSET_MS_MAX).cast_signed();
        Target {
            identity: LabelsBuilder::new(identity),
            labels: Vec::new(),
            ends: Vec::new(),
            offset_ms,
            capacity,
            held: 0,
            samples: Vec::new(),
        }
    }

    /// Declares one more series, before the first scrape.
    pub fn declare(&mut self, name: &str, extra: &[(&str, &str)]) {
        assert!(self.held == 0, "series are declared before the first scrape");
        let mut labels = self.identity.clone();
        labels.set(METRIC_NAME, name);
        for (name, value) in extra {
            labels.set(name, value);
        }
        self.labels.extend(encode_labels(labels.build().iter()));
        self.ends.push(self.labels.len());
        self.samples.resize(self.ends.len() * self.capacity, Sample { t: 0, v: 0.0 });
    }

    /// Declares the series of a classic histogram, in the order [`Histogram::export`] writes them.
    ///
    /// [`Histogram::export`]: crate::fleet::Histogram::export
    pub fn declare_histogram(&mut self, family: &str, bounds: &[f64], extra: &[(&str, &str)]) {
        let bucket = format!("{family}_bucket");
        for le in bounds.iter().map(|bound| format!("{bound:?}")).chain(["+Inf".to_owned()]) {
            let mut pairs = extra.to_vec();
            pairs.push(("le", &le));
            self.declare(&bucket, &pairs);
        }
        self.declare(&format!("{family}_sum"), extra);
        self.declare(&format!("{family}_count"), extra);
    }

    /// How many series are declared.
    pub fn series_count(&self) -> usize {
        self.ends.len()
    }

    /// How many scrapes are held.
    pub fn scrape_count(&self) -> usize {
        self.held
    }

    /// Starts a scrape for the tick at `t`; the caller puts one value a series.
    #[inline]
    pub fn scrape(&mut self, t: Timestamp, rng: &mut Rng) -> Scrape<'_> {
        let at = self.held;
        assert!(at < self.capacity, "{at} scrapes are held, capacity {}", self.capacity);
        #[expect(clippy::cast_possible_truncation, reason = "within 2 ms")]
        let jitter = rng.between(-JITTER_MS, JITTER_MS).round() as i64;
        self.held += 1;
        Scrape { samples: &mut self.samples, capacity: self.capacity, next: at, t: t + self.offset_ms + jitter }
    }

    /// Ends every series: a scrape of staleness markers.
    pub fn scrape_stale(&mut self, t: Timestamp, rng: &mut Rng) {
        let n_series = self.series_count();
        let mut scrape = self.scrape(t, rng);
        (0..n_series).for_each(|_| scrape.put(STALE_NAN));
    }

    /// The samples of series `idx` held now.
    #[inline]
    pub fn samples(&self, idx: usize) -> &[Sample] {
        let first = idx * self.capacity;
        &self.samples[first..first + self.held]
    }

    /// The label fields of series `idx` as wire bytes.
    #[inline]
    pub fn label_bytes(&self, idx: usize) -> &[u8] {
        let start = idx.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.labels[start..self.ends[idx]]
    }

    /// Adds series `idx` with the samples held now to a request.
    #[inline]
    pub fn encode(&self, idx: usize, request: &mut WriteRequestEncoder) {
        request.push_encoded(self.label_bytes(idx), self.samples(idx));
    }

    /// Forgets the scrapes held.
    pub fn clear(&mut self) {
        self.held = 0;
    }
}

/// One scrape being written.
#[derive(Debug)]
pub struct Scrape<'a> {
    samples: &'a mut [Sample],
    capacity: usize,
    next: usize,
    t: Timestamp,
}

impl Scrape<'_> {
    /// Puts the value of the next series.
    #[inline]
    pub fn put(&mut self, value: f64) {
        self.samples[self.next] = Sample { t: self.t, v: value };
        self.next += self.capacity;
    }
}

impl Drop for Scrape<'_> {
    fn drop(&mut self) {
        debug_assert!(
            self.samples.len() <= self.next || std::thread::panicking(),
            "a scrape ended {} slots early",
            self.samples.len() - self.next
        );
    }
}
