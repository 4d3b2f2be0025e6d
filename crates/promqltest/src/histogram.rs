//! Native histograms as scripts write them: `{{schema:0 sum:5 count:4 buckets:[1 2 1]}}`; parsing, steps, comparison.

use std::collections::BTreeMap;
use std::fmt::Write;

use model::{Histogram, ResetHint, Span};

use crate::compare::almost_equal;
use crate::cursor::Cursor;

/// The names of the reset hints in scripts.
const HINTS: [(&str, ResetHint); 4] = [
    ("unknown", ResetHint::Unknown),
    ("reset", ResetHint::Reset),
    ("not_reset", ResetHint::NoReset),
    ("gauge", ResetHint::Gauge),
];

/// Bucket counts by absolute index.
type Buckets = BTreeMap<i64, f64>;

/// Reads one histogram, and whether it states a reset hint.
pub(crate) fn parse(cursor: &mut Cursor<'_>) -> Result<(Histogram, bool), String> {
    if !cursor.eat("{{") {
        return Err(format!("expected '{{{{' at {:?}", cursor.rest()));
    }
    let mut histogram = Histogram::default();
    let (mut offset, mut n_offset, mut hint_given) = (0, 0, false);
    cursor.skip_blanks();
    while !cursor.eat("}}") {
        let key = word(cursor);
        if !cursor.eat(":") {
            return Err(format!("expected ':' in a histogram at {:?}", cursor.rest()));
        }
        match key {
            "schema" => histogram.schema = whole(cursor)?,
            "sum" => histogram.sum = cursor.signed_number()?,
            "count" => histogram.count = cursor.signed_number()?,
            "z_bucket" => histogram.zero_count = cursor.signed_number()?,
            "z_bucket_w" => histogram.zero_threshold = cursor.number()?,
            "custom_values" => histogram.custom_bounds = numbers(cursor)?,
            "buckets" => histogram.positive_buckets = numbers(cursor)?,
            "offset" => offset = whole(cursor)?,
            "n_buckets" => histogram.negative_buckets = numbers(cursor)?,
            "n_offset" => n_offset = whole(cursor)?,
            "counter_reset_hint" => (histogram.reset_hint, hint_given) = (hint(cursor)?, true),
            _ => return Err(format!("unknown part {key:?} of a histogram")),
        }
        if !cursor.skip_blanks() && !cursor.rest().starts_with("}}") {
            return Err(format!("expected a blank or '}}}}' in a histogram at {:?}", cursor.rest()));
        }
    }
    histogram.positive_spans = one_span(offset, &histogram.positive_buckets)?;
    histogram.negative_spans = one_span(n_offset, &histogram.negative_buckets)?;
    Ok((histogram, hint_given))
}

fn word<'a>(cursor: &mut Cursor<'a>) -> &'a str {
    cursor.take_while(|c| c.is_ascii_alphabetic() || c == '_')
}

fn hint(cursor: &mut Cursor<'_>) -> Result<ResetHint, String> {
    let name = word(cursor);
    let known = HINTS.iter().find(|(known, _)| *known == name);
    known.map(|(_, hint)| *hint).ok_or_else(|| format!("unknown counter reset hint {name:?}"))
}

/// Reads a whole number with an optional sign.
fn whole(cursor: &mut Cursor<'_>) -> Result<i32, String> {
    let before = cursor.rest();
    let negative = cursor.eat("-");
    let digits: Result<i32, _> = cursor.take_while(|c| c.is_ascii_digit()).parse();
    let number = digits.map_err(|_| format!("expected a whole number at {before:?}"))?;
    Ok(if negative { -number } else { number })
}

/// Reads `[1 2 3]`.
fn numbers(cursor: &mut Cursor<'_>) -> Result<Vec<f64>, String> {
    if !cursor.eat("[") {
        return Err(format!("expected '[' at {:?}", cursor.rest()));
    }
    let mut all = Vec::new();
    cursor.skip_blanks();
    while !cursor.eat("]") {
        all.push(cursor.signed_number()?);
        cursor.skip_blanks();
    }
    Ok(all)
}

fn one_span(offset: i32, buckets: &[f64]) -> Result<Vec<Span>, String> {
    let length = u32::try_from(buckets.len()).map_err(|_| "a histogram has too many buckets")?;
    Ok(if length == 0 { Vec::new() } else { vec![Span { offset, length }] })
}

/// The histogram `base` becomes by one more `step`, added or subtracted, at the resolution of `base`.
pub(crate) fn stepped(base: &Histogram, step: &Histogram, added: bool) -> Result<Histogram, String> {
    if base.schema > step.schema {
        return Err(format!("a histogram of schema {} cannot change by one of schema {}", base.schema, step.schema));
    }
    let mut result = base.clone();
    let done = if added { result.add(step) } else { result.subtract(step) };
    done.map_err(|error| error.to_string())?;
    Ok(result)
}

/// Bucket counts by absolute index; a bucket's index is that of its upper bound.
fn by_index(spans: &[Span], buckets: &[f64]) -> Buckets {
    let (mut all, mut idx, mut counts) = (Buckets::new(), 0i64, buckets.iter());
    for span in spans {
        idx += i64::from(span.offset);
        for count in counts.by_ref().take(span.length as usize) {
            all.insert(idx, *count);
            idx += 1;
        }
    }
    all
}

/// The reset hint that a store knows of a histogram after `previous`: never more than that there was no reset.
///
/// Source: Prometheus `tsdb/chunkenc`, where a reset or a new layout begins a chunk, and a chunk's first histogram is
/// of unknown hint because the chunk before it may be lost.
pub(crate) fn stored_hint(previous: Option<&Histogram>, histogram: &Histogram) -> ResetHint {
    if histogram.reset_hint == ResetHint::Gauge {
        return ResetHint::Gauge;
    }
    match previous {
        Some(previous) if histogram.reset_hint != ResetHint::Reset && continues(previous, histogram) => {
            ResetHint::NoReset
        }
        _ => ResetHint::Unknown,
    }
}

/// Whether a counter can have grown from `previous` to `histogram` within one chunk.
fn continues(previous: &Histogram, histogram: &Histogram) -> bool {
    previous.reset_hint != ResetHint::Gauge
        && !model::is_stale(previous.sum)
        && previous.schema == histogram.schema
        && previous.zero_threshold == histogram.zero_threshold
        && !histogram.detect_reset(previous)
}

/// Whether two histograms are the same but for empty buckets and the last digits of their floats.
pub(crate) fn same(expected: &Histogram, got: &Histogram, compare_hint: bool) -> bool {
    let same_buckets = |a: Buckets, b: Buckets| {
        let full = |buckets: Buckets| buckets.into_iter().filter(|(_, count)| *count != 0.0).collect::<Vec<_>>();
        let (a, b) = (full(a), full(b));
        a.len() == b.len() && a.iter().zip(&b).all(|(a, b)| a.0 == b.0 && almost_equal(a.1, b.1))
    };
    expected.schema == got.schema
        && almost_equal(expected.count, got.count)
        && almost_equal(expected.sum, got.sum)
        && expected.zero_threshold == got.zero_threshold
        && almost_equal(expected.zero_count, got.zero_count)
        && expected.custom_bounds == got.custom_bounds
        && (!compare_hint || expected.reset_hint == got.reset_hint)
        && same_buckets(
            by_index(&expected.positive_spans, &expected.positive_buckets),
            by_index(&got.positive_spans, &got.positive_buckets),
        )
        && same_buckets(
            by_index(&expected.negative_spans, &expected.negative_buckets),
            by_index(&got.negative_spans, &got.negative_buckets),
        )
}

/// The histogram in the notation of scripts.
pub(crate) fn print(histogram: &Histogram) -> String {
    let mut text = format!("{{{{schema:{} count:{} sum:{}", histogram.schema, histogram.count, histogram.sum);
    if histogram.zero_count != 0.0 || histogram.zero_threshold != 0.0 {
        let _ = write!(text, " z_bucket:{} z_bucket_w:{}", histogram.zero_count, histogram.zero_threshold);
    }
    if let Some((name, _)) = HINTS.iter().skip(1).find(|(_, hint)| *hint == histogram.reset_hint) {
        let _ = write!(text, " counter_reset_hint:{name}");
    }
    if !histogram.custom_bounds.is_empty() {
        let _ = write!(text, " custom_values:{}", list(&histogram.custom_bounds));
    }
    for (prefix, spans, buckets) in [
        ("", &histogram.positive_spans, &histogram.positive_buckets),
        ("n_", &histogram.negative_spans, &histogram.negative_buckets),
    ] {
        let all = by_index(spans, buckets);
        if let (Some((&first, _)), Some((&last, _))) = (all.first_key_value(), all.last_key_value()) {
            let dense: Vec<_> = (first..=last).map(|idx| all.get(&idx).copied().unwrap_or_default()).collect();
            let _ = write!(text, " {prefix}offset:{first} {prefix}buckets:{}", list(&dense));
        }
    }
    text + "}}"
}

fn list(numbers: &[f64]) -> String {
    let texts: Vec<_> = numbers.iter().map(f64::to_string).collect();
    format!("[{}]", texts.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Histogram {
        parse(&mut Cursor::new(text)).unwrap().0
    }

    #[test]
    fn every_part_is_read_and_printed() {
        for text in [
            "{{schema:0 count:0 sum:0}}",
            "{{schema:1 count:7 sum:3.5 z_bucket:2 z_bucket_w:0.001 offset:-1 buckets:[1 0 4] n_offset:2 n_buckets:[1]}}",
            "{{schema:-53 count:3 sum:9 counter_reset_hint:gauge custom_values:[5 10] offset:0 buckets:[1 2]}}",
        ] {
            assert_eq!(print(&read(text)), text);
        }
        for bad in ["{{schema:x}}", "{{bogus:1}}", "{{sum:1", "{{buckets:[1 2}}", "{{counter_reset_hint:maybe}}"] {
            assert!(parse(&mut Cursor::new(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_step_is_taken_at_the_resolution_of_the_base() {
        let coarse = read("{{schema:0 count:2 sum:1 buckets:[1 1]}}");
        let fine = read("{{schema:1 count:4 sum:2 buckets:[1 1 1 1]}}");
        assert_eq!(
            print(&stepped(&coarse, &fine, true).unwrap()),
            "{{schema:0 count:6 sum:3 offset:0 buckets:[2 3 1]}}"
        );
        assert_eq!(
            print(&stepped(&coarse, &coarse, false).unwrap()),
            "{{schema:0 count:0 sum:0 offset:0 buckets:[0 0]}}"
        );
        assert!(stepped(&fine, &coarse, true).is_err());
    }

    #[test]
    fn a_store_knows_no_more_than_that_there_was_no_reset() {
        let first = read("{{schema:0 count:2 sum:1 buckets:[1 1]}}");
        let grown = read("{{schema:0 count:3 sum:2 buckets:[1 2]}}");
        let gauge = read("{{schema:0 count:9 sum:2 counter_reset_hint:gauge buckets:[4 5]}}");
        let said = read("{{schema:0 count:9 sum:2 counter_reset_hint:reset buckets:[4 5]}}");
        for (previous, next, hint) in [
            (None, &first, ResetHint::Unknown),
            (Some(&first), &grown, ResetHint::NoReset),
            (Some(&grown), &first, ResetHint::Unknown),
            (Some(&first), &said, ResetHint::Unknown),
            (Some(&first), &gauge, ResetHint::Gauge),
            (Some(&gauge), &first, ResetHint::Unknown),
        ] {
            assert_eq!(stored_hint(previous, next), hint, "{previous:?} {next:?}");
        }
    }

    #[test]
    fn empty_buckets_and_hints_do_not_make_a_difference_unless_stated() {
        let spread = read("{{schema:0 count:2 sum:1 offset:1 buckets:[1 0 1]}}");
        let padded = read("{{schema:0 count:2 sum:1 counter_reset_hint:gauge buckets:[0 1 0 1 0]}}");
        assert!(same(&spread, &padded, false));
        assert!(!same(&spread, &padded, true));
        assert!(!same(&spread, &read("{{schema:0 count:2 sum:1 offset:2 buckets:[1 0 1]}}"), false));
    }
}
