//! Records come back as they were written, are the bytes that Prometheus writes, and no bytes break the decoder.

use std::sync::Arc;

use model::{
    CUSTOM_BUCKETS_SCHEMA, Exemplar, Histogram, Labels, MatchOp, Matcher, Metadata, MetricKind, ProjectId, ResetHint,
    STALE_NAN, Sample, SampleValue, Span, TimeRange,
};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use super::*;

fn labels() -> Labels {
    Labels::from_pairs([("__name__", "up"), ("job", "node")])
}

fn span(offset: i32, length: u32) -> Span {
    Span { offset, length }
}

fn histogram() -> Histogram {
    Histogram {
        reset_hint: ResetHint::NoReset,
        schema: 3,
        zero_threshold: 0.5,
        zero_count: 2.0,
        count: 12.0,
        sum: -1.5,
        positive_spans: vec![span(-2, 2), span(3, 1)],
        negative_spans: vec![span(0, 1)],
        positive_buckets: vec![1.0, 5.0, 3.0],
        negative_buckets: vec![1.0],
        custom_bounds: Vec::new(),
    }
}

fn custom() -> Histogram {
    Histogram {
        schema: CUSTOM_BUCKETS_SCHEMA,
        count: 3.0,
        sum: 7.0,
        positive_spans: vec![span(0, 2)],
        positive_buckets: vec![1.0, 2.0],
        custom_bounds: vec![0.25, f64::MAX],
        ..Histogram::default()
    }
}

fn stale() -> Histogram {
    Histogram { sum: STALE_NAN, ..Histogram::default() }
}

/// One of each kind, each with the number of items in it.
fn commit() -> Records {
    let mut records = Records::default();
    let family = FamilyMetadata {
        project: ProjectId::default_project(),
        family: "up".into(),
        metadata: Metadata { kind: MetricKind::Gauge, help: "is it\nup?".into(), unit: String::new() },
    };
    records.metadata([&family]);
    records.series([(SeriesRef(7), &labels()), (SeriesRef(u64::MAX), &Labels::empty())]);
    let starts = [(7, -5, 0), (1, i64::MAX, i64::MIN)];
    records.starts(starts.map(|(id, from, start)| StartRecord { series: SeriesRef(id), from, start }));
    records.samples(samples());
    records.histograms(&histograms());
    let exemplar = Exemplar { labels: labels(), t: 11, v: f64::NEG_INFINITY };
    records.exemplars(&[ExemplarRecord { series: SeriesRef(9), exemplar }]);
    let range = TimeRange { mint: i64::MIN, maxt: 5 };
    records.tombstones([TombstoneRecord { series: SeriesRef(7), range }]);
    records.deletion(&deleted().sets, range);
    records
}

fn deleted() -> DeletionRecord {
    let matcher = |op, value| Matcher::new("job", op, value).unwrap();
    let equal = vec![matcher(MatchOp::Equal, "a"), matcher(MatchOp::NotEqual, "")];
    let regex = vec![matcher(MatchOp::Regex, "a|b"), matcher(MatchOp::NotRegex, "x.*")];
    DeletionRecord { sets: vec![equal, regex, Vec::new()], range: TimeRange { mint: i64::MIN, maxt: 5 } }
}

fn samples() -> Vec<SampleRecord> {
    let all = [(9, i64::MAX, 1.5), (1, i64::MIN, -0.0), (u64::MAX, 0, f64::INFINITY)];
    all.map(|(id, t, v)| SampleRecord { series: SeriesRef(id), sample: Sample { t, v } }).to_vec()
}

fn histograms() -> Vec<HistogramRecord> {
    let (whole, fraction) = (SampleValue::Histogram, SampleValue::FloatHistogram);
    let halves = Histogram { count: 0.5, positive_buckets: vec![0.5, f64::NAN, -1.0], ..histogram() };
    let gauge = Histogram { reset_hint: ResetHint::Gauge, ..histogram() };
    let all = [
        whole(Arc::new(histogram())),
        fraction(Arc::new(custom())),
        whole(Arc::new(stale())),
        whole(Arc::new(custom())),
        fraction(Arc::new(halves)),
        whole(Arc::new(gauge)),
        fraction(Arc::new(stale())),
    ];
    let at = |(i, value): (u64, SampleValue)| HistogramRecord {
        series: SeriesRef(100 - i),
        t: i.cast_signed() * 15_000,
        value,
    };
    (0..).zip(all).map(at).collect()
}

#[test]
fn a_commit_comes_back_record_by_record() {
    let records = commit();
    assert!(records.belong_together());
    let decoded: Vec<Record> = records.iter().map(|bytes| decode(bytes).unwrap()).collect();
    assert_eq!(decode(&records.commit_header()), Ok(Record::Commit(decoded.len() as u64)));
    let mut found = Vec::new();
    for record in &decoded {
        match record {
            Record::Series(series) => {
                let all: Vec<_> = series.iter().map(|(id, raw)| (id, raw.labels())).collect();
                assert_eq!(all, [(SeriesRef(7), labels()), (SeriesRef(u64::MAX), Labels::empty())]);
                let known = series.iter().all(|(_, raw)| raw.are(&raw.labels()));
                let others = [labels(), Labels::empty(), Labels::from_pairs([("__name__", "up"), ("job", "nod")])];
                let same = series.iter().map(|(_, raw)| others.iter().filter(|other| raw.are(other)).count());
                assert!(known && same.eq([1, 1]));
            }
            Record::Samples(floats) => {
                let newest = samples().iter().map(|record| record.sample.t).max();
                assert_eq!((Some(floats.newest), floats.len), (newest, samples().len()));
            }
            Record::Histograms(all) => found.extend(all.clone()),
            Record::Exemplars(all) => assert_eq!((all.len(), all[0].exemplar.v), (1, f64::NEG_INFINITY)),
            Record::Tombstones(all) => assert_eq!(all[0].range, TimeRange { mint: i64::MIN, maxt: 5 }),
            Record::Deletion(deletion) => assert_eq!(*deletion, deleted()),
            Record::Starts(all) => assert_eq!((all.len(), all[1].from, all[1].start), (2, i64::MAX, i64::MIN)),
            Record::Metadata(all) => {
                assert_eq!((all[0].family.as_str(), all[0].metadata.kind), ("up", MetricKind::Gauge))
            }
            Record::SeriesMetadata(_) | Record::Commit(_) | Record::End { .. } | Record::Skipped(_) => {
                panic!("{record:?}")
            }
        }
    }
    found.sort_by_key(|record| record.t);
    for (found, written) in found.iter().zip(histograms()) {
        assert_eq!((found.series, found.t), (written.series, written.t));
        assert!(found.value.same_bits(&written.value), "{found:?} is not {written:?}");
    }
    assert_eq!(found.len(), histograms().len());
}

#[test]
fn one_change_needs_no_header_and_nothing_needs_no_record() {
    let mut records = Records::default();
    records.samples([]);
    records.histograms(&[]);
    assert!(records.is_empty() && !records.belong_together());
    records.series([(SeriesRef(7), &labels())]);
    records.samples(samples());
    assert!(!records.belong_together());
    records.histograms(&histograms()[..1]);
    assert!(records.belong_together());
    records.clear();
    assert!(records.is_empty() && !records.belong_together());
}

/// The bytes that Prometheus 3.5 writes for these, written down by hand from its format.
#[test]
fn histograms_exemplars_and_tombstones_are_the_bytes_of_prometheus() {
    let at = |value| [HistogramRecord { series: SeriesRef(5), t: 1000, value }];
    let mut records = Records::default();
    let check = |records: &mut Records, expected: &[&[u8]]| {
        let all: Vec<&[u8]> = records.iter().collect();
        assert_eq!(all, [expected.concat()]);
        records.clear();
    };
    let head: &[u8] = &[0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 3, 232, 0, 0];
    let float = |v: f64| v.to_bits().to_be_bytes();
    let spans: &[u8] = &[2, 3, 2, 6, 1, 1, 0, 1];

    records.histograms(&at(SampleValue::Histogram(Arc::new(histogram()))));
    let (threshold, sum) = (float(0.5), float(-1.5));
    check(&mut records, &[&[7], head, &[2, 6], &threshold, &[2, 12], &sum, spans, &[3, 2, 8, 3, 1, 2]]);

    records.histograms(&at(SampleValue::FloatHistogram(Arc::new(histogram()))));
    let counts = [2.0, 12.0, -1.5].map(float).concat();
    let buckets = [&[3][..], &[1.0, 5.0, 3.0].map(float).concat(), &[1], &float(1.0)].concat();
    check(&mut records, &[&[8], head, &[2, 6], &threshold, &counts, spans, &buckets]);

    records.histograms(&at(SampleValue::Histogram(Arc::new(custom()))));
    let bounds = [0.25, f64::MAX].map(float).concat();
    let tail: &[u8] = &[1, 0, 2, 0, 2, 2, 2, 0, 2];
    check(&mut records, &[&[9], head, &[0, 105], &float(0.0), &[0, 3], &float(7.0), tail, &bounds]);

    let exemplar = Exemplar { labels: Labels::from_pairs([("id", "a1")]), t: 1000, v: 0.5 };
    records.exemplars(&[ExemplarRecord { series: SeriesRef(5), exemplar }]);
    check(&mut records, &[&[4], head, &threshold, &[1, 2], b"id", &[2], b"a1"]);

    records.tombstones([TombstoneRecord { series: SeriesRef(5), range: TimeRange { mint: -1, maxt: 1 } }]);
    check(&mut records, &[&[3, 0, 0, 0, 0, 0, 0, 0, 5, 1, 2]]);
}

#[test]
fn metadata_of_prometheus_is_read_and_unknown_fields_are_passed_over() {
    let text = |t: &str| [&[u8::try_from(t.len()).unwrap()], t.as_bytes()].concat();
    let fields: Vec<u8> = ["UNIT", "bytes", "NEW", "x", "HELP", "how much"].iter().flat_map(|t| text(t)).collect();
    let bytes = [&[6, 0x80, 1, 1, 3][..], &fields, &[3, 99, 0]].concat();
    let first = Metadata { kind: MetricKind::Counter, help: "how much".into(), unit: "bytes".into() };
    let expect = vec![(SeriesRef(128), first), (SeriesRef(3), Metadata::default())];
    assert_eq!(decode(&bytes), Ok(Record::SeriesMetadata(expect)));
    assert_eq!(decode(&[5, 1, 2]), Ok(Record::Skipped(5)));
}

#[test]
fn histograms_of_others_are_kept_as_exactly_as_may_be() {
    let decode_one = |bytes: &[u8]| match decode(bytes).unwrap() {
        Record::Histograms(mut all) => all.pop().map(|record| record.value),
        other => panic!("{other:?}"),
    };
    let encode = |h: Histogram, kind: u8| {
        let mut bytes = [&[kind][..], &[0; 18]].concat();
        histogram::push(&mut bytes, &h, kind == 7);
        bytes
    };
    // A finer schema than ours becomes our finest.
    let fine = Histogram { schema: 10, positive_spans: vec![span(1, 3)], ..histogram() };
    let Some(SampleValue::Histogram(coarse)) = decode_one(&encode(fine, 7)) else { panic!("no histogram") };
    assert_eq!((coarse.schema, &coarse.positive_buckets), (8, &vec![9.0]));
    // An unknown one is left out.
    let unknown = Histogram { schema: 60, ..histogram() };
    assert_eq!(decode_one(&encode(unknown, 8)), None);
    // Spans that promise other buckets are refused.
    let torn = Histogram { positive_spans: vec![span(0, 4)], ..histogram() };
    assert_eq!(decode(&encode(torn, 8)), Err("spans and buckets do not fit"));
    // A count that a float cannot hold exactly: its neighbours do, as floats.
    let mut bytes = [&[7][..], &[0; 18], &[0, 6], &[0; 9]].concat();
    varint_push(&mut bytes, (1 << 53) + 2);
    bytes.extend([0; 8 + 4]);
    assert!(matches!(decode_one(&bytes), Some(SampleValue::FloatHistogram(h)) if h.count == 9_007_199_254_740_994.0));
}

fn varint_push(bytes: &mut Vec<u8>, value: u64) {
    crate::chunk::varint::push_uvarint(bytes, value);
}

#[test]
fn a_record_cut_anywhere_is_refused_or_shorter() {
    let mut records = Records::default();
    records.series([(SeriesRef(7), &labels()), (SeriesRef(8), &labels())]);
    let bytes = records.iter().next().unwrap();
    for cut in 0..bytes.len() {
        match decode(&bytes[..cut]) {
            Ok(Record::Series(series)) => assert!(series.iter().count() < 2),
            Ok(other) => panic!("{other:?}"),
            Err(_) => {}
        }
    }
}

/// Found by damaged bytes: labels without a name broke what all label sets promise.
#[test]
fn a_label_without_a_name_is_refused() {
    let series = [&[1, 0, 0, 0, 0, 0, 0, 0, 7, 1][..], &[0, 1, b'x']].concat();
    assert_eq!(decode(&series), Err("a label without a name"));
}

/// Each pattern is an automaton: 27 KB of them took a GB.
#[test]
fn the_patterns_of_a_deletion_have_a_bound_of_memory() {
    let record = |pattern: &[u8], n: usize| {
        let matcher = [&[1, 2, 1, b'a', u8::try_from(pattern.len()).unwrap()][..], pattern].concat();
        [&[132, 0, 0][..], &matcher.repeat(n)].concat()
    };
    assert!(matches!(decode(&record(b"a.*", 1000)), Ok(Record::Deletion(deletion)) if deletion.sets.len() == 1000));
    assert_eq!(decode(&record(b"((a{100}){10}){9}|xyz*", 1000)), Err("its patterns take too much memory"));
}

#[test]
fn no_bytes_break_the_decoder() {
    let mut rng = SmallRng::seed_from_u64(3);
    let records = commit();
    let valid: Vec<&[u8]> = records.iter().collect();
    let mut decoded = 0;
    for round in 0..60_000 {
        let mut bytes = valid[round % valid.len()].to_vec();
        if round % 3 == 0 {
            bytes = (0..rng.random_range(1..200)).map(|_| rng.random()).collect();
            bytes[0] = rng.random_range(0..12);
        } else {
            for _ in 0..rng.random_range(1..4) {
                let at = rng.random_range(0..bytes.len());
                bytes[at] = if rng.random() { rng.random() } else { 0xff };
            }
        }
        decoded += usize::from(decode(&bytes).is_ok());
    }
    assert!(1000 < decoded && decoded < 50_000, "{decoded} of 60000 are records");
}
