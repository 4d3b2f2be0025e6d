//! The result of a query as JSON.

use model::{Columns, Histogram, InstantSeries, Point, RangeSeries, Timestamp, Value};

use super::histogram::push_histogram;
use super::{Sink, certain, push_labels, push_number, push_string, push_timestamp, write_array};

/// Writes `"resultType":...,"result":...`, the two members that a query's `data` begins with.
pub fn encode_value(value: &Value, into: &mut Vec<u8>) {
    certain(write_value(value, into));
}

/// The same piece by piece.
pub fn write_value<S: Sink>(value: &Value, into: &mut S) -> Result<(), S::Error> {
    let kind = match value {
        Value::Scalar { .. } => "scalar",
        Value::String { .. } => "string",
        Value::Vector(_) => "vector",
        Value::Matrix(_) => "matrix",
    };
    into.bytes().extend_from_slice(b"\"resultType\":\"");
    into.bytes().extend_from_slice(kind.as_bytes());
    into.bytes().extend_from_slice(b"\",\"result\":");
    match value {
        Value::Scalar { t, v } => push_sample(*t, *v, into.bytes()),
        Value::String { t, text } => push_at(*t, into.bytes(), |into| push_string(text, into)),
        Value::Vector(series) => write_array(series, into, |series, into| {
            push_instant_series(series, into.bytes());
            Ok(())
        })?,
        Value::Matrix(series) => write_array(series, into, write_range_series)?,
    }
    Ok(())
}

fn push_instant_series(series: &InstantSeries, into: &mut Vec<u8>) {
    into.extend_from_slice(b"{\"metric\":");
    push_labels(&series.labels, into);
    match &series.point {
        Point::Float(v) => {
            into.extend_from_slice(b",\"value\":");
            push_sample(series.t, *v, into);
        }
        Point::Histogram(histogram) => {
            into.extend_from_slice(b",\"histogram\":");
            push_histogram_sample(series.t, histogram, into);
        }
    }
    into.push(b'}');
}

fn write_range_series<S: Sink>(series: &RangeSeries, into: &mut S) -> Result<(), S::Error> {
    let Columns { timestamps, values, histogram_timestamps, histograms, starts: _, known: _ } = &series.columns;
    into.bytes().extend_from_slice(b"{\"metric\":");
    push_labels(&series.labels, into.bytes());
    if !timestamps.is_empty() {
        into.bytes().extend_from_slice(b",\"values\":");
        write_array(timestamps.iter().zip(values), into, |(t, v), into| {
            push_sample(*t, *v, into.bytes());
            Ok(())
        })?;
    }
    if !histogram_timestamps.is_empty() {
        into.bytes().extend_from_slice(b",\"histograms\":");
        write_array(histogram_timestamps.iter().zip(histograms), into, |(t, histogram), into| {
            push_histogram_sample(*t, histogram, into.bytes());
            Ok(())
        })?;
    }
    into.bytes().push(b'}');
    Ok(())
}

fn push_sample(t: Timestamp, v: f64, into: &mut Vec<u8>) {
    into.push(b'[');
    push_timestamp(t, into);
    into.extend_from_slice(b",\"");
    push_number(v, into);
    into.extend_from_slice(b"\"]");
}

fn push_histogram_sample(t: Timestamp, histogram: &Histogram, into: &mut Vec<u8>) {
    push_at(t, into, |into| push_histogram(histogram, into));
}

/// Writes the pair of a time and what `push` writes.
fn push_at(t: Timestamp, into: &mut Vec<u8>, push: impl FnOnce(&mut Vec<u8>)) {
    into.push(b'[');
    push_timestamp(t, into);
    into.push(b',');
    push(into);
    into.push(b']');
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use model::Labels;

    use super::*;

    #[track_caller]
    fn check(value: &Value, expected: &str) {
        let mut into = vec![b'{'];
        encode_value(value, &mut into);
        into.push(b'}');
        let text = String::from_utf8(into).unwrap();
        assert_eq!(text, expected);
        serde_json::from_str::<serde_json::Value>(&text).unwrap();
    }

    fn labels() -> Labels {
        Labels::from_pairs([("__name__", "up"), ("job", "a\"b")])
    }

    fn histogram() -> Arc<Histogram> {
        Arc::new(Histogram { count: 3.0, sum: 1.5, ..Histogram::default() })
    }

    #[test]
    fn scalars_and_strings_are_one_pair() {
        check(&Value::Scalar { t: 1500, v: f64::NAN }, r#"{"resultType":"scalar","result":[1.500,"NaN"]}"#);
        let string = Value::String { t: 0, text: "a\nb".into() };
        check(&string, r#"{"resultType":"string","result":[0,"a\nb"]}"#);
    }

    #[test]
    fn a_vector_is_one_pair_for_each_series() {
        check(&Value::Vector(vec![]), r#"{"resultType":"vector","result":[]}"#);
        let vector = Value::Vector(vec![
            InstantSeries { labels: labels(), t: 1000, point: Point::Float(f64::INFINITY) },
            InstantSeries { labels: Labels::empty(), t: 1000, point: Point::Histogram(histogram()) },
        ]);
        check(
            &vector,
            concat!(
                r#"{"resultType":"vector","result":[{"metric":{"__name__":"up","job":"a\"b"},"value":[1,"+Inf"]},"#,
                r#"{"metric":{},"histogram":[1,{"count":"3","sum":"1.5"}]}]}"#
            ),
        );
    }

    #[test]
    fn a_matrix_is_columns_of_pairs_floats_first() {
        check(&Value::Matrix(vec![]), r#"{"resultType":"matrix","result":[]}"#);
        let mut floats = Columns::default();
        floats.push(1000, 1.0);
        floats.push(16_000, -0.5);
        let mut both = Columns::default();
        both.push(0, 2.0);
        both.histogram_timestamps.push(15_000);
        both.histograms.push(histogram());
        let histograms = Columns { histogram_timestamps: vec![1], histograms: vec![histogram()], ..Columns::default() };
        let series = [floats, both, histograms].map(|columns| RangeSeries { labels: Labels::empty(), columns });
        check(
            &Value::Matrix(series.into()),
            concat!(
                r#"{"resultType":"matrix","result":[{"metric":{},"values":[[1,"1"],[16,"-0.5"]]},"#,
                r#"{"metric":{},"values":[[0,"2"]],"histograms":[[15,{"count":"3","sum":"1.5"}]]},"#,
                r#"{"metric":{},"histograms":[[0.001,{"count":"3","sum":"1.5"}]]}]}"#
            ),
        );
    }
}
