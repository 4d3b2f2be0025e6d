//! Round trips of random series, what needs a new chunk, and bytes that no encoder made.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{CUSTOM_BUCKETS_SCHEMA, Columns, Histogram, ResetHint, STALE_NAN, SampleValue, Span, TimeRange, Timestamp};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use crate::chunk::{ChunkAppender, ChunkError, EncodedChunk, Encoding, decode, encode, samples};

type Buckets = BTreeMap<i32, f64>;

/// Spans and counts of buckets, some of them empty when `rng` says so.
fn laid_out(buckets: &Buckets, rng: &mut SmallRng) -> (Vec<Span>, Vec<f64>) {
    let (mut spans, mut counts): (Vec<Span>, _) = (Vec::new(), Vec::new());
    let mut next = 0;
    for (index, count) in buckets {
        let mut offset = index - next;
        match spans.last_mut() {
            Some(span) if offset <= 2 && (offset == 0 || rng.random()) => {
                // A short gap is filled with empty buckets, as agents do.
                span.length += offset as u32 + 1;
                counts.extend(std::iter::repeat_n(0.0, offset as usize));
            }
            _ => {
                if !spans.is_empty() && offset > 1 && rng.random_ratio(1, 20) {
                    spans.push(Span { offset: 1, length: 0 });
                    offset -= 1;
                }
                spans.push(Span { offset, length: 1 });
            }
        }
        counts.push(*count);
        next = index + 1;
    }
    (spans, counts)
}

/// A histogram's populated buckets by their index.
fn populated(spans: &[Span], counts: &[f64]) -> Vec<(i32, u64)> {
    let mut next = 0;
    let mut indexes = Vec::new();
    for span in spans {
        let first = next + span.offset;
        next = first + span.length as i32;
        indexes.extend(first..next);
    }
    assert_eq!(indexes.len(), counts.len());
    let counts = counts.iter().map(|count| count.to_bits());
    indexes.into_iter().zip(counts).filter(|(_, bits)| f64::from_bits(*bits) != 0.0).collect()
}

/// All that a histogram tells, whatever empty buckets it has.
fn told(value: &SampleValue) -> String {
    match value {
        SampleValue::Float(v) => format!("float {:#x}", v.to_bits()),
        SampleValue::Histogram(h) | SampleValue::FloatHistogram(h) if value.is_stale() => {
            format!("{:?} stale {}", std::mem::discriminant(value), h.reset_hint == ResetHint::Gauge)
        }
        SampleValue::Histogram(h) | SampleValue::FloatHistogram(h) => {
            let bits = [h.zero_threshold, h.zero_count, h.count, h.sum].map(f64::to_bits);
            let positive = populated(&h.positive_spans, &h.positive_buckets);
            let negative = populated(&h.negative_spans, &h.negative_buckets);
            let gauge = h.reset_hint == ResetHint::Gauge;
            let (kind, bounds) = (std::mem::discriminant(value), &h.custom_bounds);
            format!("{kind:?} {gauge} {} {bits:x?} {positive:?} {negative:?} {bounds:?}", h.schema)
        }
    }
}

/// What a series is like now; every few samples something changes.
struct Source {
    whole: bool,
    hint: ResetHint,
    schema: i32,
    zero_threshold: f64,
    zero_count: f64,
    sum: f64,
    positive: Buckets,
    negative: Buckets,
    custom_bounds: Vec<f64>,
}

impl Source {
    fn new(rng: &mut SmallRng) -> Source {
        let custom = rng.random_ratio(1, 4);
        let (schema, bounds) = match custom {
            true => (CUSTOM_BUCKETS_SCHEMA, vec![0.005, 0.01, 0.25, 1.0, 2.5, 1.0 / 0.3, 1e9]),
            false => (rng.random_range(-4..=8), Vec::new()),
        };
        Source {
            whole: rng.random(),
            hint: if rng.random_ratio(1, 3) { ResetHint::Gauge } else { ResetHint::Unknown },
            schema,
            zero_threshold: if custom { 0.0 } else { [0.0, (-128_f64).exp2(), 0.001][rng.random_range(0..3)] },
            zero_count: 0.0,
            sum: 0.0,
            positive: Buckets::new(),
            negative: Buckets::new(),
            custom_bounds: bounds,
        }
    }

    fn observe(&mut self, rng: &mut SmallRng) {
        let custom = self.schema == CUSTOM_BUCKETS_SCHEMA;
        for _ in 0..rng.random_range(0..6) {
            let count = if self.whole { f64::from(rng.random_range(1..50)) } else { rng.random_range(0.0..9.0) };
            let index = if custom { rng.random_range(0..8) } else { rng.random_range(-30..40) };
            match rng.random_range(0..8) {
                0 if !custom => self.zero_count += count,
                1 if !custom => *self.negative.entry(index).or_default() += count,
                _ => *self.positive.entry(index).or_default() += count,
            }
            self.sum += count * f64::from(index);
        }
        if self.hint == ResetHint::Gauge && rng.random_ratio(1, 4) {
            self.positive.pop_first();
            self.negative.pop_last();
        }
        match rng.random_range(0..150) {
            0 => (self.positive.clear(), self.negative.clear()).0,
            1 => self.zero_count = 0.0,
            2 if !custom => self.schema = rng.random_range(-4..=8),
            3 if !custom => self.zero_threshold = f64::from(rng.random_range(0..3)) / 1000.0,
            4 if custom => self.custom_bounds.insert(1, f64::from_bits(self.custom_bounds[1].to_bits() - 1)),
            5 => *self = Source::new(rng),
            6 => self.hint = if self.hint == ResetHint::Gauge { ResetHint::Unknown } else { ResetHint::Gauge },
            _ => {}
        }
    }

    fn value(&self, rng: &mut SmallRng) -> SampleValue {
        let (positive_spans, positive_buckets) = laid_out(&self.positive, rng);
        let (negative_spans, negative_buckets) = laid_out(&self.negative, rng);
        let all = positive_buckets.iter().chain(&negative_buckets).sum::<f64>() + self.zero_count;
        let stale = rng.random_ratio(1, 40);
        let histogram = Histogram {
            reset_hint: self.hint,
            schema: self.schema,
            zero_threshold: self.zero_threshold,
            zero_count: self.zero_count,
            count: all,
            sum: if stale { STALE_NAN } else { self.sum },
            positive_spans,
            negative_spans,
            positive_buckets,
            negative_buckets,
            custom_bounds: self.custom_bounds.clone(),
        };
        if self.whole {
            SampleValue::Histogram(Arc::new(histogram))
        } else {
            SampleValue::FloatHistogram(Arc::new(histogram))
        }
    }
}

fn random_series(rng: &mut SmallRng) -> Vec<(Timestamp, SampleValue)> {
    let mut source = Source::new(rng);
    let mut t = rng.random_range(-1_000_000..1_700_000_000_000);
    let series = (0..rng.random_range(1..300)).map(|_| {
        t += 15_000 + rng.random_range(-3..3);
        source.observe(rng);
        (t, source.value(rng))
    });
    series.collect()
}

fn decoded(chunk: &EncodedChunk) -> Vec<(Timestamp, SampleValue)> {
    samples(chunk.encoding, &chunk.bytes, TimeRange::ALL).unwrap()
}

#[test]
fn random_series_come_back_and_encode_to_the_same_bytes_again() {
    let mut rng = SmallRng::seed_from_u64(1);
    let mut counts = [0; 2];
    for _ in 0..100 {
        let given = random_series(&mut rng);
        let chunks = encode(given.clone());
        let back: Vec<_> = chunks.iter().flat_map(decoded).collect();
        assert_eq!(back.len(), given.len());
        for ((t, value), (given_t, given)) in back.iter().zip(&given) {
            assert_eq!((t, told(value)), (given_t, told(given)));
        }
        for chunk in &chunks {
            let found = decoded(chunk);
            let ends = [found.first().unwrap().0, found.last().unwrap().0];
            assert_eq!(ends, [chunk.mint, chunk.maxt]);
            counts[usize::from(chunk.encoding == Encoding::Histogram)] += 1;
        }
        // Chunks are full by their length, which a wide layout makes them sooner than the narrow one they grew from.
        let again = encode(back);
        assert_eq!(again.iter().flat_map(decoded).count(), given.len());
        for chunk in &chunks {
            let alone = encode(decoded(chunk));
            let joined: Vec<_> = alone.iter().flat_map(decoded).map(|(t, value)| (t, told(&value))).collect();
            assert_eq!(joined, decoded(chunk).iter().map(|(t, value)| (*t, told(value))).collect::<Vec<_>>());
            if let [alone] = &alone[..] {
                assert_eq!((alone.num_samples(), &alone.bytes[3..]), (chunk.num_samples(), &chunk.bytes[3..]));
            }
        }
    }
    assert!(counts.iter().all(|count| *count > 200), "{counts:?}");
}

#[test]
fn an_open_chunk_is_whole_after_each_histogram_and_untouched_by_one_it_refuses() {
    let mut rng = SmallRng::seed_from_u64(2);
    let mut refused = 0;
    for _ in 0..20 {
        let given = random_series(&mut rng);
        let mut chunk = ChunkAppender::start(given[0].0, &given[0].1);
        let mut begun = 0;
        for (i, (t, value)) in given.iter().enumerate().skip(1) {
            let before = chunk.bytes().to_vec();
            if !chunk.append(*t, value) {
                assert_eq!(chunk.bytes(), before);
                chunk = chunk.following(*t, value);
                begun = i;
                refused += 1;
            }
            let found = samples(chunk.encoding(), chunk.bytes(), TimeRange::ALL).unwrap();
            let found: Vec<_> = found.iter().map(|(t, value)| (*t, told(value))).collect();
            let expected: Vec<_> = given[begun..=i].iter().map(|(t, value)| (*t, told(value))).collect();
            assert_eq!(found, expected);
            assert_eq!((chunk.last_t(), usize::from(chunk.num_samples())), (*t, i + 1 - begun));
        }
    }
    assert!(refused > 30, "{refused}");
}

fn counter(count: f64, spans: &[(i32, u32)], buckets: &[f64]) -> Histogram {
    Histogram {
        count,
        sum: count * 2.0,
        zero_threshold: 0.001,
        positive_spans: spans.iter().map(|(offset, length)| Span { offset: *offset, length: *length }).collect(),
        positive_buckets: buckets.to_vec(),
        ..Histogram::default()
    }
}

/// What becomes of `next` after `first`, for whole and for float counts: how many chunks, and their headers.
#[track_caller]
fn check(first: &Histogram, next: Histogram, expected: &[ResetHint]) {
    let kinds: [fn(Arc<Histogram>) -> SampleValue; 2] = [SampleValue::Histogram, SampleValue::FloatHistogram];
    for kind in kinds {
        let chunks = encode([(1000, kind(Arc::new(first.clone()))), (2000, kind(Arc::new(next.clone())))]);
        let headers: Vec<_> = chunks.iter().map(|chunk| super::reset_of(chunk.bytes[2])).collect();
        assert_eq!(headers, expected);
        let back: Vec<_> = chunks.iter().flat_map(decoded).map(|(_, value)| told(&value)).collect();
        assert_eq!(back, [first, &next].map(|h| told(&kind(Arc::new(h.clone())))));
    }
}

#[test]
fn counters_share_a_chunk_until_the_layout_changes_or_they_were_reset() {
    use ResetHint::{Gauge, Reset, Unknown};
    let first = counter(10.0, &[(2, 2), (3, 1)], &[4.0, 6.0, 0.0]);
    let grown = counter(12.0, &[(2, 2), (3, 1)], &[5.0, 7.0, 0.0]);
    let alike = |change: fn(&mut Histogram)| {
        let mut next = grown.clone();
        change(&mut next);
        next
    };
    check(&first, grown.clone(), &[Unknown]);
    check(&first, counter(12.0, &[(2, 2)], &[5.0, 7.0]), &[Unknown]);
    check(&first, counter(16.0, &[(-3, 1), (4, 3), (1, 1)], &[1.0, 5.0, 7.0, 2.0, 1.0]), &[Unknown]);
    check(&first, counter(16.0, &[(2, 2), (5, 1)], &[5.0, 7.0, 4.0]), &[Unknown]);
    check(&first, alike(|next| next.sum = STALE_NAN), &[Unknown]);
    check(&first, counter(9.0, &[(2, 2), (3, 1)], &[4.0, 5.0, 0.0]), &[Unknown, Reset]);
    check(&first, counter(10.0, &[(2, 2), (3, 1)], &[3.0, 6.0, 1.0]), &[Unknown, Reset]);
    check(&first, counter(11.0, &[(3, 1)], &[11.0]), &[Unknown, Reset]);
    check(&first, alike(|next| next.reset_hint = Reset), &[Unknown, Reset]);
    check(&first, alike(|next| next.schema = 1), &[Unknown, Unknown]);
    check(&first, alike(|next| next.zero_threshold = 0.01), &[Unknown, Unknown]);
    check(&first, alike(|next| next.reset_hint = Gauge), &[Unknown, Gauge]);
    let mut zeros = first.clone();
    zeros.zero_count = 2.0;
    check(&zeros, grown.clone(), &[Unknown, Reset]);
    let stale = Histogram { sum: STALE_NAN, ..Histogram::default() };
    check(&stale, stale.clone(), &[Unknown]);
    check(&stale, grown, &[Unknown, Unknown]);
}

#[test]
fn gauges_share_a_chunk_whatever_they_count() {
    use ResetHint::Gauge;
    let gauge = |h: Histogram| Histogram { reset_hint: Gauge, ..h };
    let first = gauge(counter(10.0, &[(2, 2), (3, 1)], &[4.0, 5.0, 1.0]));
    check(&first, gauge(counter(3.0, &[(-9, 1), (30, 1)], &[1.0, 2.0])), &[Gauge]);
    check(&first, gauge(counter(1.0, &[(3, 1)], &[1.0])), &[Gauge]);
    check(&first, gauge(counter(0.0, &[], &[])), &[Gauge]);
    check(&first, Histogram { sum: STALE_NAN, reset_hint: Gauge, ..Histogram::default() }, &[Gauge]);
    check(&first, Histogram { schema: 3, ..first.clone() }, &[Gauge, Gauge]);
}

/// Two gauges that have next to nothing in common, so that all buckets of both are too many, or too far apart.
#[test]
fn gauges_that_would_be_too_wide_together_get_a_chunk_each() {
    let wide = |offset| {
        let n = u32::try_from(super::BUCKETS_MAX / 2 + 1).unwrap();
        let histogram = counter(n.into(), &[(offset, n)], &vec![1.0; n as usize]);
        Histogram { reset_hint: ResetHint::Gauge, ..histogram }
    };
    check(&wide(0), wide(100_000), &[ResetHint::Gauge, ResetHint::Gauge]);
    let lone = |offset| Histogram { reset_hint: ResetHint::Gauge, ..counter(1.0, &[(offset, 1)], &[1.0]) };
    check(&lone(i32::MIN), lone(i32::MAX - 1), &[ResetHint::Gauge, ResetHint::Gauge]);
}

#[test]
fn custom_bounds_that_change_are_a_reset() {
    let custom = |bounds: &[f64], count| Histogram {
        schema: CUSTOM_BUCKETS_SCHEMA,
        zero_threshold: 0.0,
        custom_bounds: bounds.to_vec(),
        ..counter(count, &[(0, 2)], &[count - 1.0, 1.0])
    };
    let first = custom(&[0.1, 0.5], 3.0);
    check(&first, custom(&[0.1, 0.5], 4.0), &[ResetHint::Unknown]);
    check(&first, custom(&[0.1, 0.25], 4.0), &[ResetHint::Unknown, ResetHint::Reset]);
}

#[test]
fn a_full_chunk_is_followed_by_one_that_knows_of_no_reset() {
    let at = |i: i64| SampleValue::Histogram(Arc::new(counter(i as f64, &[(0, 1)], &[i as f64])));
    let chunks = encode((0..300).map(|i| (i * 1000, at(i))));
    let headers: Vec<_> = chunks.iter().map(|chunk| super::reset_of(chunk.bytes[2])).collect();
    assert_eq!(headers, [ResetHint::Unknown, ResetHint::NoReset, ResetHint::NoReset]);
    let hints = decoded(&chunks[1]).into_iter().map(|(_, value)| match value {
        SampleValue::Histogram(h) => h.reset_hint,
        SampleValue::Float(_) | SampleValue::FloatHistogram(_) => unreachable!("a chunk of whole counts"),
    });
    // The chunk before may be gone, or have got a neighbour: readers compare.
    assert!(hints.take(3).eq([ResetHint::Unknown, ResetHint::NoReset, ResetHint::NoReset]));
}

#[test]
fn whole_counts_that_a_float_cannot_tell_apart_are_handed_out_as_floats() {
    let value = |count: f64| SampleValue::Histogram(Arc::new(counter(count, &[(0, 1)], &[count])));
    let exact = 9_007_199_254_740_991.0;
    let chunk = &encode([(1, value(5.0)), (2, value(exact)), (3, value(exact + 1.0))])[0];
    let kinds = decoded(chunk).into_iter().map(|(_, value)| matches!(value, SampleValue::Histogram(_)));
    assert!(kinds.eq([true, true, false]));
}

#[test]
fn only_histograms_of_the_range_are_kept_and_columns_keep_what_they_had() {
    let at = |i: i64| SampleValue::FloatHistogram(Arc::new(counter(i as f64, &[(0, 1)], &[i as f64])));
    let chunk = &encode((0..50).map(|i| (i * 10, at(i))))[0];
    for (mint, maxt) in [(0, 490), (-5, 1000), (95, 204), (100, 200), (490, 490), (491, 600), (-9, -1), (30, 20)] {
        let mut columns = Columns::default();
        columns.histogram_timestamps.push(-100);
        columns.histograms.push(Arc::default());
        decode(chunk.encoding, &chunk.bytes, TimeRange { mint, maxt }, &mut columns).unwrap();
        let expected: Vec<i64> = (0..50).map(|i| i * 10).filter(|t| mint <= *t && *t <= maxt).collect();
        assert_eq!(columns.histogram_timestamps[1..], expected, "{mint} to {maxt}");
        let counts = columns.histograms[1..].iter().map(|h| h.count);
        assert!(counts.eq(expected.iter().map(|t| *t as f64 / 10.0)), "{mint} to {maxt}");
        assert!(columns.timestamps.is_empty());
    }
}

#[test]
fn cut_bytes_are_refused_and_leave_the_columns_alone() {
    let mut rng = SmallRng::seed_from_u64(3);
    for _ in 0..3 {
        for chunk in encode(random_series(&mut rng)) {
            for len in 0..chunk.bytes.len() {
                let mut columns = Columns::default();
                let found = decode(chunk.encoding, &chunk.bytes[..len], TimeRange::ALL, &mut columns);
                assert!(matches!(found, Err(ChunkError::Corrupt { .. })), "{len} of {} bytes", chunk.bytes.len());
                assert!(columns.is_empty());
            }
        }
    }
}

#[test]
fn no_bytes_make_the_decoder_panic_or_descend() {
    let mut rng = SmallRng::seed_from_u64(4);
    let chunks: Vec<_> = (0..40).flat_map(|_| encode(random_series(&mut rng))).collect();
    let mut decodable = 0;
    for round in 0..2000 {
        let chunk = &chunks[rng.random_range(0..chunks.len())];
        let (encoding, mut bytes) = (chunk.encoding, chunk.bytes.clone());
        if round % 5 == 0 {
            bytes = (0..rng.random_range(0..100)).map(|_| rng.random()).collect();
        }
        for _ in 0..rng.random_range(1..4) {
            let at = rng.random_range(0..bytes.len().max(1));
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << rng.random_range(0..8);
            }
        }
        let Ok(found) = samples(encoding, &bytes, TimeRange::ALL) else { continue };
        decodable += 1;
        assert!(found.is_sorted_by(|a, b| a.0 < b.0));
        // What decodes can be encoded again: compaction does so.
        let again: Vec<_> = encode(found.clone()).iter().flat_map(decoded).map(|(t, _)| t).collect();
        assert!(again.into_iter().eq(found.into_iter().map(|(t, _)| t)));
    }
    assert!(decodable > 100, "{decodable}");
}

/// A count of samples, of spans and of buckets far beyond the bytes: refused before anything is allocated for them.
#[test]
fn bytes_that_claim_more_than_they_hold_are_refused_at_once() {
    let mut many = encode([(0, SampleValue::Histogram(Arc::new(counter(1.0, &[(0, 1)], &[1.0]))))])[0].bytes.clone();
    many[..2].copy_from_slice(&[0xff, 0xff]);
    for bytes in [many, [&[0, 1, 0, 0, 0b0111_1111][..], &[0xff; 20]].concat(), vec![0, 1, 0, 0, 0x7f, 0xff, 0xff]] {
        assert!(samples(Encoding::Histogram, &bytes, TimeRange::ALL).is_err());
        assert!(samples(Encoding::FloatHistogram, &bytes, TimeRange::ALL).is_err());
    }
}

/// What a Prometheus was sent, and the chunks it made of it.
#[derive(serde::Deserialize)]
struct Golden {
    name: String,
    samples: Vec<GoldenSample>,
    chunks: Vec<GoldenChunk>,
}

#[derive(serde::Deserialize)]
struct GoldenSample {
    t: Timestamp,
    whole: bool,
    hint: String,
    schema: i32,
    zero_threshold: f64,
    zero_count: f64,
    count: f64,
    sum_bits: u64,
    positive_spans: Vec<(i32, u32)>,
    negative_spans: Vec<(i32, u32)>,
    positive_buckets: Vec<f64>,
    negative_buckets: Vec<f64>,
    custom_bounds: Vec<f64>,
}

#[derive(serde::Deserialize)]
struct GoldenChunk {
    encoding: u8,
    /// In hexadecimal digits.
    bytes: String,
}

impl GoldenSample {
    fn value(self) -> SampleValue {
        let spans =
            |spans: Vec<(i32, u32)>| spans.into_iter().map(|(offset, length)| Span { offset, length }).collect();
        let histogram = Arc::new(Histogram {
            reset_hint: match self.hint.as_str() {
                "gauge" => ResetHint::Gauge,
                "reset" => ResetHint::Reset,
                _ => ResetHint::Unknown,
            },
            schema: self.schema,
            zero_threshold: self.zero_threshold,
            zero_count: self.zero_count,
            count: self.count,
            sum: f64::from_bits(self.sum_bits),
            positive_spans: spans(self.positive_spans),
            negative_spans: spans(self.negative_spans),
            positive_buckets: self.positive_buckets,
            negative_buckets: self.negative_buckets,
            custom_bounds: self.custom_bounds,
        });
        if self.whole { SampleValue::Histogram(histogram) } else { SampleValue::FloatHistogram(histogram) }
    }
}

/// The samples went to Prometheus 3.5.3 by remote write; the chunks are those of a snapshot it made.
#[test]
fn bytes_are_those_of_prometheus() {
    let golden = include_str!("../../../testdata/histograms-prometheus-3.5.3.json");
    let golden: Vec<Golden> = serde_json::from_str(golden).unwrap();
    for Golden { name, samples: sent, chunks } in golden {
        let mut sent = sent.into_iter().map(|sample| (sample.t, sample.value()));
        let mut before: Option<ChunkAppender> = None;
        for (i, chunk) in chunks.iter().enumerate() {
            let digits = |at: usize| u8::from_str_radix(&chunk.bytes[at..at + 2], 16).unwrap();
            let bytes: Vec<u8> = (0..chunk.bytes.len()).step_by(2).map(digits).collect();
            let encoding = Encoding::from_byte(chunk.encoding).unwrap();
            let decoded = samples(encoding, &bytes, TimeRange::ALL).unwrap();
            let (t, value) = sent.next().unwrap();
            // Prometheus cuts full chunks by times of its own; other cuts are its rules, and ours.
            if let Some(before) = before.as_mut().filter(|_| bytes[2] >> 6 != 0b01) {
                let full = before.num_samples() > 9 && before.bytes().len() > 512;
                assert!(full || !before.clone().append(t, &value), "{name}, chunk {i}");
            }
            let mut open = before.map_or(ChunkAppender::start(t, &value), |before| before.following(t, &value));
            assert_eq!((decoded[0].0, told(&decoded[0].1)), (t, told(&value)), "{name}, chunk {i}");
            for (found, (t, value)) in decoded[1..].iter().zip(&mut sent) {
                assert_eq!((found.0, told(&found.1)), (t, told(&value)), "{name}, chunk {i}");
                assert!(open.append(t, &value), "{name}, chunk {i}, {t}");
            }
            assert_eq!((open.encoding(), open.bytes()), (encoding, &bytes[..]), "{name}, chunk {i}");
            // What was decoded encodes to the same bytes again; what is known of the chunk before is lost.
            let again = encode(decoded.clone());
            let again = again.first().filter(|again| usize::from(again.num_samples()) == decoded.len());
            if let Some(again) = again {
                assert_eq!(again.bytes[3..], bytes[3..], "{name}, chunk {i}");
            }
            before = Some(open);
        }
        assert!(sent.next().is_none(), "{name}");
    }
}
