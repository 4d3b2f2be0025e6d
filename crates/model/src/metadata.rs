//! What a metric family is: its type, help text and unit.

/// The type of a metric family, by its Prometheus name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MetricKind {
    /// Not told, or a type this version does not know.
    #[default]
    Unknown,
    /// Only grows, except for resets.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Cumulative buckets, classic or native.
    Histogram,
    /// A histogram whose buckets may fall.
    GaugeHistogram,
    /// Quantiles computed by the client.
    Summary,
    /// Constant 1 with descriptive labels.
    Info,
    /// One series for each state.
    StateSet,
}

impl MetricKind {
    /// Every kind, at the position of its number.
    pub const ALL: [MetricKind; 8] = [
        MetricKind::Unknown,
        MetricKind::Counter,
        MetricKind::Gauge,
        MetricKind::Histogram,
        MetricKind::GaugeHistogram,
        MetricKind::Summary,
        MetricKind::Info,
        MetricKind::StateSet,
    ];

    /// The kind called `name`; any other text is [`MetricKind::Unknown`].
    pub fn parse(name: &str) -> MetricKind {
        MetricKind::ALL.into_iter().find(|kind| kind.as_str() == name).unwrap_or_default()
    }

    /// The kind that remote write and Prometheus' log call `number`; any other number is [`MetricKind::Unknown`].
    /// Source: Prometheus `prompb/types.proto` and `tsdb/record/record.go`, `MetricType`.
    pub fn from_number(number: u64) -> MetricKind {
        usize::try_from(number).ok().and_then(|at| MetricKind::ALL.get(at).copied()).unwrap_or_default()
    }

    /// The number that [`MetricKind::from_number`] reads back.
    pub fn number(self) -> u64 {
        self as u64
    }

    /// The name the HTTP API and the WAL use.
    pub fn as_str(self) -> &'static str {
        match self {
            MetricKind::Unknown => "unknown",
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
            MetricKind::Histogram => "histogram",
            MetricKind::GaugeHistogram => "gaugehistogram",
            MetricKind::Summary => "summary",
            MetricKind::Info => "info",
            MetricKind::StateSet => "stateset",
        }
    }
}

/// The description of one metric family.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Metadata {
    /// The type.
    pub kind: MetricKind,
    /// One sentence from the exporter; may be empty.
    pub help: String,
    /// The unit; may be empty.
    pub unit: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_protocols() {
        let numbered: Vec<(u64, &str)> = MetricKind::ALL.map(|kind| (kind.number(), kind.as_str())).to_vec();
        let expected = [
            (0, "unknown"),
            (1, "counter"),
            (2, "gauge"),
            (3, "histogram"),
            (4, "gaugehistogram"),
            (5, "summary"),
            (6, "info"),
            (7, "stateset"),
        ];
        assert_eq!(numbered, expected);
        for kind in MetricKind::ALL {
            assert_eq!(MetricKind::from_number(kind.number()), kind);
        }
        assert_eq!([8, u64::MAX].map(MetricKind::from_number), [MetricKind::Unknown; 2]);
    }
}
