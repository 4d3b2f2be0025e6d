//! What a sender sends, as data: series with samples of every kind, and their two encodings.

use model::{Histogram, Labels, Metadata, MetricKind, ResetHint, SampleValue, Span};
use wire::remote_write::compress;

use super::protobuf::Proto;

/// The protocol's versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    V1,
    V2,
}

impl Version {
    pub(crate) const BOTH: [Version; 2] = [Version::V1, Version::V2];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Version::V1 => "v1",
            Version::V2 => "v2",
        }
    }

    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Version::V1 => "application/x-protobuf",
            Version::V2 => "application/x-protobuf;proto=io.prometheus.write.v2.Request",
        }
    }

    /// The body of a request.
    pub(crate) fn body(self, series: &[Sent]) -> Vec<u8> {
        compress(&self.message(series)).unwrap()
    }

    /// The message, not compressed.
    pub(crate) fn message(self, series: &[Sent]) -> Vec<u8> {
        match self {
            Version::V1 => message_v1(series),
            Version::V2 => Symbols::default().message(series),
        }
    }
}

/// Names and values.
pub(crate) type Pairs = Vec<(String, String)>;

pub(crate) fn pairs(pairs: &[(&str, &str)]) -> Pairs {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// One series of a request; everything in the order sent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sent {
    pub(crate) labels: Pairs,
    pub(crate) samples: Vec<(i64, f64)>,
    pub(crate) histograms: Vec<(i64, SampleValue)>,
    pub(crate) exemplars: Vec<(Pairs, i64, f64)>,
    pub(crate) metadata: Option<Metadata>,
    /// Since when its samples count; 0 when not known. Version 1 cannot say it.
    pub(crate) start: i64,
}

/// A series called `name`.
pub(crate) fn named(name: &str) -> Sent {
    series(&[("__name__", name)])
}

/// A series with these labels.
pub(crate) fn series(labels: &[(&str, &str)]) -> Sent {
    Sent { labels: pairs(labels), ..Sent::default() }
}

impl Sent {
    pub(crate) fn label(mut self, name: &str, value: &str) -> Sent {
        self.labels.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn sample(mut self, t: i64, v: f64) -> Sent {
        self.samples.push((t, v));
        self
    }

    /// A histogram of whole counts.
    pub(crate) fn histogram(mut self, t: i64, h: Histogram) -> Sent {
        self.histograms.push((t, SampleValue::Histogram(h.into())));
        self
    }

    pub(crate) fn float_histogram(mut self, t: i64, h: Histogram) -> Sent {
        self.histograms.push((t, SampleValue::FloatHistogram(h.into())));
        self
    }

    pub(crate) fn exemplar(mut self, labels: &[(&str, &str)], t: i64, v: f64) -> Sent {
        self.exemplars.push((pairs(labels), t, v));
        self
    }

    pub(crate) fn metadata(mut self, kind: MetricKind, help: &str, unit: &str) -> Sent {
        self.metadata = Some(Metadata { kind, help: help.to_owned(), unit: unit.to_owned() });
        self
    }

    pub(crate) fn start(mut self, start: i64) -> Sent {
        self.start = start;
        self
    }

    pub(crate) fn name(&self) -> &str {
        self.labels.iter().find(|(name, _)| name == "__name__").map_or("", |(_, value)| value)
    }

    /// The labels as they are stored for `project`.
    pub(crate) fn stored_labels(&self, project: &str) -> Labels {
        let own = self.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        Labels::from_pairs(own.filter(|(_, value)| !value.is_empty()).chain([("project_id", project)]))
    }
}

fn message_v1(series: &[Sent]) -> Vec<u8> {
    let label = |(name, value): &(String, String)| Proto::default().bytes(1, name).bytes(2, value);
    let mut request = Proto::default();
    for sent in series {
        let mut message = Proto::default();
        for pair in &sent.labels {
            message = message.message(1, label(pair));
        }
        for (t, v) in &sent.samples {
            message = message.message(2, Proto::default().double(1, *v).int64(2, *t));
        }
        for (labels, t, v) in &sent.exemplars {
            let exemplar = labels.iter().fold(Proto::default(), |message, pair| message.message(1, label(pair)));
            message = message.message(3, exemplar.double(2, *v).int64(3, *t));
        }
        for (t, value) in &sent.histograms {
            message = message.message(4, histogram(value).int64(15, *t));
        }
        request = request.message(1, message);
    }
    for sent in series {
        if let Some(metadata) = &sent.metadata {
            let message = Proto::default().varint(1, kind_number(metadata.kind)).bytes(2, sent.name());
            request = request.message(3, message.bytes(4, &metadata.help).bytes(5, &metadata.unit));
        }
    }
    request.0
}

/// The table of strings of a request of version 2.
pub(crate) struct Symbols(Vec<String>);

impl Default for Symbols {
    /// The first is always the empty one.
    fn default() -> Symbols {
        Symbols(vec![String::new()])
    }
}

impl Symbols {
    fn reference(&mut self, text: &str) -> u64 {
        let at = self.0.iter().position(|symbol| symbol == text).unwrap_or_else(|| {
            self.0.push(text.to_owned());
            self.0.len() - 1
        });
        at as u64
    }

    fn references(&mut self, labels: &Pairs) -> Vec<u64> {
        labels.iter().flat_map(|(name, value)| [self.reference(name), self.reference(value)]).collect()
    }

    pub(crate) fn message(mut self, series: &[Sent]) -> Vec<u8> {
        let messages: Vec<Proto> = series.iter().map(|sent| self.series(sent)).collect();
        let table = self.0.iter().fold(Proto::default(), |request, symbol| request.bytes(4, symbol));
        messages.into_iter().fold(table, |request, message| request.message(5, message)).0
    }

    fn series(&mut self, sent: &Sent) -> Proto {
        let start = |message: Proto, number| if sent.start == 0 { message } else { message.int64(number, sent.start) };
        let mut message = Proto::default().packed(1, self.references(&sent.labels));
        for (t, v) in &sent.samples {
            message = message.message(2, start(Proto::default().double(1, *v).int64(2, *t), 3));
        }
        for (t, value) in &sent.histograms {
            message = message.message(3, start(histogram(value).int64(15, *t), 17));
        }
        for (labels, t, v) in &sent.exemplars {
            let exemplar = Proto::default().packed(1, self.references(labels));
            message = message.message(4, exemplar.double(2, *v).int64(3, *t));
        }
        if let Some(metadata) = &sent.metadata {
            let (help, unit) = (self.reference(&metadata.help), self.reference(&metadata.unit));
            let metadata = Proto::default().varint(1, kind_number(metadata.kind)).varint(3, help).varint(4, unit);
            message = message.message(5, metadata);
        }
        message
    }
}

/// The fields that both versions share; the caller adds the time.
pub(crate) fn histogram(value: &SampleValue) -> Proto {
    let (h, is_float) = match value {
        SampleValue::Histogram(h) => (h, false),
        SampleValue::FloatHistogram(h) => (h, true),
        SampleValue::Float(v) => panic!("{v} is no histogram"),
    };
    let count = |message: Proto, int, float, v: f64| {
        if is_float { message.double(float, v) } else { message.varint(int, v as u64) }
    };
    let side = |mut message: Proto, first: u32, spans: &[Span], buckets: &[f64]| {
        for span in spans {
            let span = Proto::default().sint64(1, span.offset.into()).varint(2, span.length.into());
            message = message.message(first, span);
        }
        if is_float {
            message.packed_doubles(first + 2, buckets)
        } else {
            message.packed_sint64(first + 1, deltas(buckets))
        }
    };
    let mut message = count(Proto::default(), 1, 2, h.count).double(3, h.sum).sint64(4, h.schema.into());
    message = count(message.double(5, h.zero_threshold), 6, 7, h.zero_count);
    message = side(message, 8, &h.negative_spans, &h.negative_buckets);
    message = side(message, 11, &h.positive_spans, &h.positive_buckets);
    let hint = [ResetHint::Unknown, ResetHint::Reset, ResetHint::NoReset, ResetHint::Gauge];
    let hint = hint.iter().position(|hint| *hint == h.reset_hint).unwrap();
    message.varint(14, hint as u64).packed_doubles(16, &h.custom_bounds)
}

fn deltas(buckets: &[f64]) -> Vec<i64> {
    let before = [0.0].iter().chain(buckets);
    buckets.iter().zip(before).map(|(count, before)| *count as i64 - *before as i64).collect()
}

fn kind_number(kind: MetricKind) -> u64 {
    MetricKind::ALL.iter().position(|other| *other == kind).unwrap() as u64
}
