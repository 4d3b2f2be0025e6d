//! What an answer should be read with: warnings and infos, in Prometheus' words.

use std::collections::BTreeMap;
use std::fmt;

use crate::error::line_and_column;
use crate::expr::Offset;

/// Something worth telling about an evaluation.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Remark<'a> {
    InvalidQuantile(f64),
    InvalidRatio { found: f64, capped: f64 },
    BadBucketLabel { le: &'a str, name: &'a str },
    MixedFloatsHistograms(&'a str),
    MixedFloatsHistogramsInAggregation,
    MixedClassicNative(&'a str),
    NotCounter(&'a str),
    NotGauge(&'a str),
    MixedExponentialCustom(&'a str),
    IncompatibleBuckets(&'a str),
    SortInRange,
    CounterResetCollision(&'a str),
    PossibleNonCounter(&'a str),
    PossibleNonCounterType { name: &'a str, found: &'a str },
    ForcedMonotonicity(Forced, &'a str),
    IncompatibleTypes { lhs: &'a str, op: &'a str, rhs: &'a str },
    HistogramIgnoredInAggregation(&'a str),
    HistogramIgnoredInRange(&'a str),
    QuantileNanResult(&'a str),
    QuantileNanSkew(&'a str),
    FractionNans(&'a str),
    CustomBucketsReconciled(&'a str),
    StartOverlap(&'a str),
}

/// Where and by how much buckets had to be made monotonic.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Forced {
    pub(crate) t: i64,
    pub(crate) bucket_min: f64,
    pub(crate) bucket_max: f64,
    pub(crate) diff_max: f64,
}

impl Remark<'_> {
    fn is_info(&self) -> bool {
        matches!(
            self,
            Remark::PossibleNonCounter(_)
                | Remark::PossibleNonCounterType { .. }
                | Remark::ForcedMonotonicity(..)
                | Remark::IncompatibleTypes { .. }
                | Remark::HistogramIgnoredInAggregation(_)
                | Remark::HistogramIgnoredInRange(_)
                | Remark::QuantileNanResult(_)
                | Remark::QuantileNanSkew(_)
                | Remark::FractionNans(_)
                | Remark::CustomBucketsReconciled(_)
        )
    }

    /// A number for each kind whose text is its subject's alone; `None` when the text holds more.
    fn kind(&self) -> Option<u8> {
        Some(match self {
            Remark::InvalidQuantile(_)
            | Remark::InvalidRatio { .. }
            | Remark::ForcedMonotonicity(..)
            | Remark::BadBucketLabel { .. }
            | Remark::PossibleNonCounterType { .. }
            | Remark::IncompatibleTypes { .. } => return None,
            Remark::MixedFloatsHistograms(_) => 1,
            Remark::MixedFloatsHistogramsInAggregation => 2,
            Remark::MixedClassicNative(_) => 3,
            Remark::NotCounter(_) => 4,
            Remark::NotGauge(_) => 5,
            Remark::MixedExponentialCustom(_) => 6,
            Remark::IncompatibleBuckets(_) => 7,
            Remark::SortInRange => 8,
            Remark::CounterResetCollision(_) => 9,
            Remark::PossibleNonCounter(_) => 10,
            Remark::HistogramIgnoredInAggregation(_) => 11,
            Remark::HistogramIgnoredInRange(_) => 12,
            Remark::QuantileNanResult(_) => 13,
            Remark::QuantileNanSkew(_) => 14,
            Remark::FractionNans(_) => 15,
            Remark::CustomBucketsReconciled(_) => 16,
            Remark::StartOverlap(_) => 17,
        })
    }

    /// The part of the text that differs between remarks of one kind.
    fn subject(&self) -> &str {
        match self {
            Remark::MixedFloatsHistograms(text)
            | Remark::MixedClassicNative(text)
            | Remark::QuantileNanResult(text)
            | Remark::QuantileNanSkew(text)
            | Remark::FractionNans(text)
            | Remark::NotCounter(text)
            | Remark::NotGauge(text)
            | Remark::MixedExponentialCustom(text)
            | Remark::IncompatibleBuckets(text)
            | Remark::CounterResetCollision(text)
            | Remark::PossibleNonCounter(text)
            | Remark::HistogramIgnoredInAggregation(text)
            | Remark::HistogramIgnoredInRange(text)
            | Remark::CustomBucketsReconciled(text)
            | Remark::StartOverlap(text) => text,
            _ => "",
        }
    }
}

impl fmt::Display for Remark<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_info() { "PromQL info: " } else { "PromQL warning: " })?;
        match self {
            Remark::InvalidQuantile(q) => {
                write!(f, "quantile value should be between 0 and 1, got {}", Number(*q))
            }
            Remark::InvalidRatio { found, capped } => {
                let (found, capped) = (Number(*found), Number(*capped));
                write!(f, "ratio value should be between -1 and 1, got {found}, capping to {capped}")
            }
            Remark::BadBucketLabel { le, name } => {
                write!(f, "bucket label \"le\" is missing or has a malformed value of {le:?}{}", Named(name))
            }
            Remark::MixedFloatsHistograms(name) => {
                write!(f, "encountered a mix of histograms and floats for metric name {name:?}")
            }
            Remark::MixedFloatsHistogramsInAggregation => {
                f.write_str("encountered a mix of histograms and floats for aggregation")
            }
            Remark::MixedClassicNative(name) => {
                write!(f, "vector contains a mix of classic and native histograms{}", Named(name))
            }
            Remark::StartOverlap(name) => {
                write!(f, "sample has start time that overlaps with previous sample timestamp for metric {name:?}")
            }
            Remark::NotCounter(name) => write!(f, "this native histogram metric is not a counter: {name:?}"),
            Remark::NotGauge(name) => write!(f, "this native histogram metric is not a gauge: {name:?}"),
            Remark::MixedExponentialCustom(name) => write!(
                f,
                "vector contains a mix of histograms with exponential and custom buckets schemas for metric name {name:?}"
            ),
            Remark::IncompatibleBuckets(op) => {
                write!(f, "incompatible bucket layout encountered for binary operator {op}")
            }
            Remark::SortInRange => {
                f.write_str("sort is ineffective for range queries since results are always ordered by labels")
            }
            Remark::CounterResetCollision(operation) => {
                write!(f, "conflicting counter resets during histogram {operation}")
            }
            Remark::PossibleNonCounter(name) => {
                write!(f, "metric might not be a counter, name does not end in _total/_sum/_count/_bucket: {name:?}")
            }
            Remark::PossibleNonCounterType { name, found } => write!(
                f,
                "metric might not be a counter, __type__ label is not set to \"counter\" or \"histogram\", \
                 got {found:?}: {name:?}"
            ),
            Remark::ForcedMonotonicity(_, name) => write!(
                f,
                "input to histogram_quantile needed to be fixed for monotonicity \
                 (see https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile){}",
                Named(name)
            ),
            Remark::IncompatibleTypes { lhs, op, rhs } => {
                write!(f, "incompatible sample types encountered for binary operator {op:?}: {lhs} {op} {rhs}")
            }
            Remark::HistogramIgnoredInAggregation(op) => write!(f, "ignored histogram in {op} aggregation"),
            Remark::HistogramIgnoredInRange(name) => write!(
                f,
                "ignored histograms in a range containing both floats and histograms for metric name {name:?}"
            ),
            Remark::QuantileNanResult(name) => {
                write!(f, "input to histogram_quantile has NaN observations, result is NaN{}", Named(name))
            }
            Remark::QuantileNanSkew(name) => {
                write!(f, "input to histogram_quantile has NaN observations, result is skewed higher{}", Named(name))
            }
            Remark::FractionNans(name) => write!(
                f,
                "input to histogram_fraction has NaN observations, which are excluded from all fractions{}",
                Named(name)
            ),
            Remark::CustomBucketsReconciled(operation) => {
                write!(f, "mismatched custom buckets were reconciled during {operation}")
            }
        }
    }
}

/// The metric a remark is about, when it is known.
struct Named<'a>(&'a str);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, " for metric name {:?}", self.0) }
    }
}

/// A number as Go's `%g` shows it, for the values that occur in remarks.
struct Number(f64);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            v if v.is_nan() => f.write_str("NaN"),
            v if v.is_infinite() => f.write_str(if v > 0.0 { "+Inf" } else { "-Inf" }),
            v if v != 0.0 && !(1e-4..1e21).contains(&v.abs()) => {
                let text = format!("{v:e}");
                let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
                let (sign, digits) = exponent.strip_prefix('-').map_or(('+', exponent), |digits| ('-', digits));
                write!(f, "{mantissa}e{sign}{digits:0>2}")
            }
            v => write!(f, "{v}"),
        }
    }
}

/// A remark as it is kept.
#[derive(Clone, Debug)]
struct Note {
    is_info: bool,
    at: Offset,
    forced: Option<(Forced, i64, usize)>,
}

/// All remarks of an evaluation, each text once: of several places, the one evaluated last.
#[derive(Clone, Debug, Default)]
pub(crate) struct Notes {
    notes: BTreeMap<String, Note>,
    /// The last remark, so that one repeated at every step costs a comparison and no text.
    last: Option<(u8, Offset, String)>,
}

impl Notes {
    /// Keeps a remark about the expression at `at`.
    pub(crate) fn add(&mut self, at: Offset, remark: Remark<'_>) {
        let kind = remark.kind();
        if let Some(kind) = kind {
            let repeated = |(k, a, s): &(u8, Offset, String)| *k == kind && *a == at && s == remark.subject();
            if self.last.as_ref().is_some_and(repeated) {
                return;
            }
            self.last = Some((kind, at, remark.subject().to_owned()));
        }
        let forced = match remark {
            Remark::ForcedMonotonicity(forced, _) => Some((forced, forced.t, 1)),
            _ => None,
        };
        self.put(remark.to_string(), Note { is_info: remark.is_info(), at, forced });
    }

    fn put(&mut self, text: String, note: Note) {
        let kept = self.notes.entry(text).or_insert_with(|| Note { forced: None, ..note.clone() });
        kept.at = note.at;
        let Some((new, new_last, new_n)) = note.forced else { return };
        let Some((old, last, n)) = &mut kept.forced else {
            kept.forced = note.forced;
            return;
        };
        old.t = old.t.min(new.t);
        old.bucket_min = old.bucket_min.min(new.bucket_min);
        old.bucket_max = old.bucket_max.max(new.bucket_max);
        old.diff_max = old.diff_max.max(new.diff_max);
        *last = (*last).max(new_last);
        *n += new_n;
    }

    /// Takes over the remarks of another part of the evaluation.
    pub(crate) fn merge(&mut self, other: Notes) {
        for (text, note) in other.notes {
            self.put(text, note);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.notes.is_empty()
    }

    /// Warnings and infos, with the place in `query` they are about.
    pub(crate) fn into_texts(self, query: &str) -> (Vec<String>, Vec<String>) {
        let (mut warnings, mut infos) = (Vec::new(), Vec::new());
        for (text, note) in self.notes {
            let (line, column) = line_and_column(query, note.at);
            let detail = note.forced.map(|(forced, last, n)| forced_detail(&forced, last, n)).unwrap_or_default();
            let text = format!("{text}{detail} ({line}:{column})");
            if note.is_info { infos.push(text) } else { warnings.push(text) }
        }
        (warnings, infos)
    }
}

fn forced_detail(forced: &Forced, last: i64, n: usize) -> String {
    let time = |ms: i64| match jiff::Timestamp::from_second(ms.div_euclid(1000)) {
        Ok(time) => time.to_string(),
        Err(_) => format!("{ms} ms"),
    };
    let (from, to) = (Number(forced.bucket_min), Number(forced.bucket_max));
    let diff = two_digits(forced.diff_max);
    let (first, last) = (time(forced.t), time(last));
    format!(", from buckets {from} to {to}, with a max diff of {diff}, over {n} samples from {first} to {last}")
}

/// `v` with two significant digits, as Go's `%.2g` shows it: from 100 on with an exponent.
fn two_digits(v: f64) -> String {
    let text = format!("{v:.1e}");
    let rounded = text.parse().unwrap_or(v);
    let Some((mantissa, exponent)) = text.split_once('e').filter(|_| rounded.abs() >= 99.5) else {
        return Number(rounded).to_string();
    };
    format!("{}e+{exponent:0>2}", mantissa.trim_end_matches(".0"))
}
