//! A native histogram as JSON: its buckets from the lowest to the highest, each with its bounds.

use model::{Bucket, Histogram};

use super::push_number;

/// Writes `{"count":...,"sum":...,"buckets":[[inclusive,lower,upper,count],...]}` without empty buckets, and as
/// Prometheus without a zero bucket that holds less than nothing.
pub(super) fn push_histogram(histogram: &Histogram, into: &mut Vec<u8>) {
    into.extend_from_slice(b"{\"count\":\"");
    push_number(histogram.count, into);
    into.extend_from_slice(b"\",\"sum\":\"");
    push_number(histogram.sum, into);
    into.push(b'"');
    let mut before: &[u8] = b",\"buckets\":[[";
    for bucket in histogram.buckets().iter().filter(|bucket| bucket.count != 0.0) {
        into.extend_from_slice(before);
        into.push(inclusive(bucket));
        for v in [bucket.lower, bucket.upper, bucket.count] {
            into.extend_from_slice(b",\"");
            push_number(v, into);
            into.push(b'"');
        }
        into.push(b']');
        before = b",[";
    }
    if before == b",[" {
        into.push(b']');
    }
    into.push(b'}');
}

/// Which bounds belong to a bucket, by Prometheus' digit for that.
fn inclusive(bucket: &Bucket) -> u8 {
    match (bucket.lower_inclusive, bucket.upper_inclusive) {
        (false, true) => b'0',
        (true, false) => b'1',
        (false, false) => b'2',
        (true, true) => b'3',
    }
}

#[cfg(test)]
mod tests {
    use model::{CUSTOM_BUCKETS_SCHEMA, Span, exponential_bound};

    use super::*;

    #[track_caller]
    fn check(histogram: &Histogram, expected: &str) {
        let mut into = Vec::new();
        push_histogram(histogram, &mut into);
        let text = String::from_utf8(into).unwrap();
        assert_eq!(text, expected);
        serde_json::from_str::<serde_json::Value>(&text).unwrap();
    }

    #[test]
    fn buckets_ascend_and_empty_ones_are_left_out() {
        let histogram = Histogram {
            schema: 0,
            count: 13.0,
            sum: 2.5,
            zero_threshold: 0.001,
            zero_count: 2.0,
            positive_spans: vec![Span { offset: 0, length: 2 }, Span { offset: 1, length: 1 }],
            positive_buckets: vec![1.0, 0.0, 3.0],
            negative_spans: vec![Span { offset: -1, length: 2 }],
            negative_buckets: vec![3.0, 4.0],
            ..Histogram::default()
        };
        check(
            &histogram,
            concat!(
                r#"{"count":"13","sum":"2.5","buckets":[[1,"-1","-0.5","4"],[1,"-0.5","-0.25","3"],"#,
                r#"[3,"-0.001","0.001","2"],[0,"0.5","1","1"],[0,"4","8","3"]]}"#
            ),
        );
    }

    #[test]
    fn custom_buckets_have_the_bounds_they_were_given() {
        let histogram = Histogram {
            schema: CUSTOM_BUCKETS_SCHEMA,
            count: 6.0,
            sum: f64::NAN,
            custom_bounds: vec![0.5, 1.0],
            positive_spans: vec![Span { offset: 0, length: 3 }],
            positive_buckets: vec![1.0, 2.0, 3.0],
            ..Histogram::default()
        };
        check(
            &histogram,
            r#"{"count":"6","sum":"NaN","buckets":[[3,"-Inf","0.5","1"],[0,"0.5","1","2"],[0,"1","+Inf","3"]]}"#,
        );
    }

    #[test]
    fn a_histogram_without_observations_has_no_buckets() {
        check(&Histogram::default(), r#"{"count":"0","sum":"0"}"#);
    }

    #[test]
    fn the_zero_bucket_cuts_into_its_neighbours() {
        let one = vec![Span { offset: 0, length: 1 }];
        let histogram = Histogram {
            zero_threshold: 0.75,
            positive_spans: one.clone(),
            positive_buckets: vec![1.0],
            negative_spans: one,
            negative_buckets: vec![1.0],
            count: 2.0,
            ..Histogram::default()
        };
        check(&histogram, r#"{"count":"2","sum":"0","buckets":[[1,"-1","-0.75","1"],[0,"0.75","1","1"]]}"#);
    }

    /// A difference of histograms can have less than nothing in a bucket, or no number at all.
    #[test]
    fn negative_buckets_are_shown_and_a_negative_zero_bucket_is_not() {
        let one = vec![Span { offset: 0, length: 1 }];
        let mut histogram = Histogram {
            zero_threshold: 0.5,
            zero_count: -1.0,
            positive_spans: one,
            positive_buckets: vec![-2.0],
            count: -3.0,
            ..Histogram::default()
        };
        check(&histogram, r#"{"count":"-3","sum":"0","buckets":[[0,"0.5","1","-2"]]}"#);
        histogram.zero_count = f64::NAN;
        check(&histogram, r#"{"count":"-3","sum":"0","buckets":[[0,"0.5","1","-2"]]}"#);
    }

    #[test]
    fn bounds_are_powers_of_two_and_roots_between_them() {
        for (idx, schema, bound) in [
            (0, 0, 1.0),
            (1, 0, 2.0),
            (-1, 0, 0.5),
            (1, -2, 16.0),
            (4, 2, 2.0),
            (-3, 1, 0.353_553_390_593_273_8),
            (1, 3, 1.090_507_732_665_257_7),
            (1024, 0, f64::MAX),
            (1025, 0, f64::INFINITY),
            (64, -4, f64::MAX),
            (1024 << 8, 8, f64::MAX),
            (-1074, 0, 5e-324),
            (-1075, 0, 0.0),
        ] {
            let found = exponential_bound(idx, schema);
            let error = if found == bound { 0.0 } else { (found - bound).abs() / bound };
            assert!(error <= f64::EPSILON, "index {idx}, schema {schema}: {found} instead of {bound}");
        }
    }
}
