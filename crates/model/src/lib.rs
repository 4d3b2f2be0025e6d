//! The vocabulary every crate shares, and the read seam between storage and PromQL; no IO, no async, no serde.

mod breath;
mod budget;
mod exemplar;
mod histogram;
pub mod kahan;
mod labels;
mod matcher;
mod metadata;
mod regex;
mod sample;
mod scope;
mod stamp;
mod storage;
mod time;
mod value;

pub use breath::breathe;
pub use budget::{Budget, Interrupt, Pool, Stop};
pub use exemplar::Exemplar;
pub use histogram::{
    Bucket, CUSTOM_BUCKETS_SCHEMA, Histogram, HistogramError, HistogramTotal, Keep, Merged, ResetHint, Span,
    exponential_bound,
};
pub use labels::{Labels, LabelsBuilder, LabelsIter, METRIC_NAME, is_plain_name};
pub use matcher::{MatchOp, Matcher};
pub use metadata::{Metadata, MetricKind};
pub use regex::{Pattern, PatternError};
pub use sample::{STALE_NAN, STALE_NAN_BITS, Sample, SampleValue, is_stale};
pub use scope::{PROJECT_LABEL, ProjectId, ProjectIdError, Scope};
pub use stamp::stamp_project;
pub use storage::{Columns, Known, NoSeries, Queryable, Selected, SeriesSet, StartRun, StorageError};
pub use time::{BlockRange, TimeRange, Timestamp};
pub use value::{InstantSeries, Point, RangeSeries, Value};
