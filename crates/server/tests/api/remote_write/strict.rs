//! Cases beyond the official suite: what senders get wrong, and what they may do though few of them do.

use model::{Histogram, STALE_NAN};

use super::case::Case;
use super::compliance::{both_sides, custom, spans};
use super::sent::{Sent, named, series};

const HOUR: i64 = 3_600_000;

/// Cases of both versions at `now`.
pub(crate) fn cases(now: i64) -> Vec<Case> {
    let groups: [fn(i64) -> Vec<Case>; 6] = [labels, times, values, starts, histograms, exemplars];
    groups.into_iter().flat_map(|group| group(now)).collect()
}

/// A good series beside a bad one: the first must be kept.
fn beside(good: &Sent, bad: Sent) -> Vec<Sent> {
    vec![bad.clone(), good.clone(), bad]
}

fn labels(now: i64) -> Vec<Case> {
    let good = named("good").sample(now, 1.0);
    let case = |name: &str, bad: Sent, refusal| {
        Case::bad(name, beside(&good, bad.sample(now, 2.0)), vec![good.clone()], refusal)
    };
    let many = (0..64).fold(named("m"), |sent, i| sent.label(&format!("l{i}"), "x"));
    let (long_name, long_value) = ("n".repeat(1025), "v".repeat(4097));
    let same = || named("m").label("a", "x");
    vec![
        case("duplicate label", same().label("a", "y"), "duplicate label name \"a\""),
        case("duplicate label of one value", same().label("a", "x"), "duplicate label name \"a\""),
        case("duplicate metric name", named("m").label("__name__", "n"), "duplicate label name \"__name__\""),
        case("empty label name", named("m").label("", "x"), "empty label name"),
        case("too many labels", many, "65 labels, limit 64"),
        case("long label name", named("m").label(&long_name, "x"), "label name of 1025 bytes, limit 1024"),
        case("long label value", named("m").label("a", &long_value), "value of 4097 bytes of label \"a\", limit 4096"),
        Case::good("empty label value", vec![named("m").label("a", "").label("b", "x").sample(now, 1.0)]),
        Case::good("reserved label", vec![named("m").label("__meta", "x").sample(now, 1.0)]),
        Case::good("one series twice", vec![named("m").sample(now, 1.0), named("m").sample(now + 1, 2.0)]),
        Case::good("no samples", vec![named("m")]),
        Case::good("nothing", vec![]),
    ]
}

fn times(now: i64) -> Vec<Case> {
    let good = named("good").sample(now, 1.0);
    let bad = |name: &str, t: i64, refusal| {
        let sent = vec![good.clone(), named("m").sample(t, 1.0), named("h").histogram(t, both_sides())];
        Case::bad(name, sent, vec![good.clone()], refusal)
    };
    let first = named("m").sample(now, 1.0);
    let conflict = vec![first.clone(), named("m").sample(now, 2.0)];
    let kinds = vec![first.clone(), named("m").histogram(now, both_sides())];
    let of_histograms = named("h").histogram(now, both_sides());
    let histograms = vec![of_histograms.clone(), named("h").histogram(now, Histogram { sum: 1.0, ..both_sides() })];
    vec![
        bad("older than the window", now - 25 * HOUR, "too_old 2"),
        bad("at the beginning of time", i64::MIN, "too_old 2"),
        bad("too far ahead", now + 11 * HOUR, "too_far_in_future 2"),
        bad("at the end of time", i64::MAX, "too_far_in_future 2"),
        Case::good("newest first", vec![named("m").sample(now, 1.0).sample(now - 1, 2.0).sample(now - HOUR, 3.0)]),
        Case::good("a little ahead", vec![named("m").sample(now + 60_000, 1.0)]),
        Case::bad("another value at the same time", conflict, vec![first.clone()], "duplicate_conflict 1"),
        Case::bad("another kind at the same time", kinds, vec![first], "duplicate_conflict 1"),
        Case::bad("another histogram at the same time", histograms, vec![of_histograms], "duplicate_conflict 1"),
        Case::good("stale and back", vec![named("m").sample(now - 2, 1.0).sample(now - 1, STALE_NAN).sample(now, 2.0)]),
    ]
}

/// Bits that only a few senders send: whoever computes with them loses them.
fn values(now: i64) -> Vec<Case> {
    let nans = [0x7ff8_0000_0000_0000, 0x7ff8_0000_0000_0001, 0xfff8_0000_dead_beef, 0x7ff0_0000_0000_0001, u64::MAX];
    let ends = [0.0, -0.0, f64::MIN_POSITIVE / 4.0, f64::MAX, f64::MIN].map(f64::to_bits);
    let (nans, ends) = (nans.into_iter(), ends.into_iter());
    let case = |bits: u64| {
        let sum = Histogram { sum: f64::from_bits(bits), ..both_sides() };
        let (v, counted) = (f64::from_bits(bits), Histogram { count: 25.0, ..sum.clone() });
        let h = if v.is_nan() { counted } else { sum };
        Case::good(
            format!("bits {bits:#x}"),
            vec![named("m").sample(now, v), named("h").histogram(now, h.clone()).float_histogram(now + 1, h)],
        )
    };
    nans.chain(ends).map(case).collect()
}

/// Samples are kept whatever is said about since when they count.
fn starts(now: i64) -> Vec<Case> {
    [i64::MIN, -1, 1, now - 1, now, now + 1, now + 11 * HOUR, i64::MAX]
        .map(|start| {
            let (float, histogram) = (named("m").sample(now, 1.0), named("h").histogram(now, both_sides()));
            Case::good(format!("counts since {start}"), vec![float.start(start), histogram.start(start)])
        })
        .into()
}

fn histograms(now: i64) -> Vec<Case> {
    let good = named("good").histogram(now, both_sides());
    let case = |name: &str, bad: Histogram, refusal| {
        Case::bad(name, beside(&good, named("h").histogram(now, bad)), vec![good.clone()], refusal)
    };
    let float = |name: &str, bad: Histogram, refusal| {
        Case::bad(name, beside(&good, named("h").float_histogram(now, bad)), vec![good.clone()], refusal)
    };
    let both = both_sides();
    let marker = Histogram { sum: STALE_NAN, ..Histogram::default() };
    let stale = named("h").histogram(now - 2, both.clone()).histogram(now - 1, marker.clone());
    let stale_float = named("h").float_histogram(now - 2, both.clone()).float_histogram(now - 1, marker);
    let by_turns =
        named("h").sample(now - 3, 1.0).histogram(now - 2, both.clone()).float_histogram(now - 1, both.clone());
    let some_nan = Histogram { count: 25.0, sum: f64::NAN, ..both.clone() };
    let gauge = Histogram { reset_hint: model::ResetHint::Gauge, ..both.clone() };
    vec![
        case("schema of nothing", Histogram { schema: 53, ..both.clone() }, "histogram schema 53"),
        case("schema below all", Histogram { schema: -5, ..both.clone() }, "histogram schema -5"),
        case("spans and buckets differ", Histogram { positive_spans: spans(&[(0, 5)]), ..both.clone() }, "lay out"),
        case("wide span", Histogram { positive_spans: spans(&[(0, 1 << 20)]), ..both.clone() }, "lay out 1048576"),
        case("huge span", Histogram { positive_spans: spans(&[(0, u32::MAX)]), ..both.clone() }, "beyond 32 bits"),
        case("span turns back", Histogram { positive_spans: spans(&[(0, 2), (-1, 2)]), ..both.clone() }, "offset -1"),
        case("bounds descend", Histogram { custom_bounds: vec![1.0, 0.5, 2.0, 3.0, 4.0, 5.0], ..custom() }, "bounds"),
        case(
            "infinite bound",
            Histogram { custom_bounds: vec![1.0, 2.0, 3.0, 4.0, 5.0, f64::INFINITY], ..custom() },
            "bounds",
        ),
        case("bounds beside a schema", Histogram { custom_bounds: vec![1.0], ..both.clone() }, "custom bounds"),
        case("zero bucket beside custom ones", Histogram { zero_count: 1.0, count: 16.0, ..custom() }, "zero bucket"),
        case(
            "buckets fall below zero",
            Histogram { positive_buckets: vec![1.0, -3.0, 2.0, 6.0], ..both.clone() },
            "negative count",
        ),
        float(
            "negative float bucket",
            Histogram { positive_buckets: vec![1.0, -3.0, 2.0, 6.0], ..both.clone() },
            "negative count",
        ),
        case("more buckets than any", wide(65_537), "more than 65536 buckets"),
        Case::good("schemas at their ends", at_schemas(now, [-4, 0, 8])),
        Case::good("observations of NaN", vec![named("h").histogram(now, some_nan)]),
        Case::good("gauge histogram", vec![named("h").histogram(now, gauge)]),
        Case::good("stale histogram", vec![stale]),
        Case::good("stale float histogram", vec![stale_float]),
        Case::good("kinds by turns", vec![by_turns]),
        reduced(now),
        reduced_to_one(now),
    ]
}

/// A histogram of so many empty buckets.
fn wide(buckets: u32) -> Histogram {
    let positive_buckets = vec![0.0; buckets as usize];
    Histogram { positive_spans: spans(&[(0, buckets)]), positive_buckets, ..Histogram::default() }
}

fn at_schemas<const N: usize>(now: i64, schemas: [i32; N]) -> Vec<Sent> {
    let of = |schema| named(&format!("h{}", schema + 4)).histogram(now, Histogram { schema, ..both_sides() });
    schemas.map(of).into()
}

/// The finest resolution there is: far less than one stored bucket holds all of these.
fn reduced_to_one(now: i64) -> Case {
    let fine = Histogram { schema: 52, positive_spans: spans(&[(1, 4)]), ..fine() };
    let coarse =
        Histogram { schema: 8, positive_spans: spans(&[(1, 1)]), positive_buckets: vec![10.0], ..fine.clone() };
    let stored = vec![named("h").histogram(now, coarse)];
    Case { stored, ..Case::good("schema 52", vec![named("h").histogram(now, fine)]) }
}

fn fine() -> Histogram {
    Histogram {
        schema: 9,
        count: 10.0,
        sum: 10.5,
        positive_spans: spans(&[(1, 4)]),
        positive_buckets: vec![1.0, 2.0, 3.0, 4.0],
        ..Histogram::default()
    }
}

/// A resolution beyond what is kept: pairs of buckets become one, the counts stay.
fn reduced(now: i64) -> Case {
    let fine = fine();
    let coarse =
        Histogram { schema: 8, positive_spans: spans(&[(1, 2)]), positive_buckets: vec![3.0, 7.0], ..fine.clone() };
    let stored = vec![named("h").histogram(now, coarse)];
    Case { stored, ..Case::good("schema 9", vec![named("h").histogram(now, fine)]) }
}

fn exemplars(now: i64) -> Vec<Case> {
    let base = || named("m_total").sample(now, 1.0);
    let trace = [("trace_id", "1")];
    let bad = |name: &str, labels: &[(&str, &str)], refusal| {
        let kept = base().exemplar(&trace, now, 1.0);
        Case::bad(name, vec![kept.clone().exemplar(labels, now + 1, 2.0)], vec![kept], refusal)
    };
    let (long, wide) = ("x".repeat(121), "\u{1F600}".repeat(120));
    vec![
        bad("long exemplar", &[("trace_id", &long)], "more than 128 characters"),
        bad("exemplar of an empty name", &[("", "x")], "empty label name"),
        bad("exemplar of two like names", &[("a", "x"), ("a", "y")], "duplicate label name"),
        Case::good("exemplar of 128 wide characters", vec![base().exemplar(&[("trace_id", &wide)], now, 1.0)]),
        Case::good("late exemplar", vec![base().exemplar(&trace, now, 1.0).exemplar(&trace, now - HOUR, 2.0)]),
        Case::bad(
            "exemplar of a refused series",
            vec![series(&[("a", "x")]).exemplar(&trace, now, 1.0), base()],
            vec![base()],
            "no metric name",
        ),
    ]
}
