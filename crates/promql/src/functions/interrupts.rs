//! Ending a query ends its work at once, whatever it does: every function of the table, aggregations and operators, over
//! series that are long, many, or made of histograms.

use std::sync::Arc;
use std::time::{Duration, Instant};

use model::{
    Budget, Columns, Histogram, Labels, Matcher, Pool, Queryable, Selected, SeriesSet, Span, Stop, StorageError,
    TimeRange,
};

use super::TABLE;
use crate::{Context, Query, Steps, TextLimits, ValueType};

/// How long a query runs before it is ended.
const HEAD_START: Duration = Duration::from_millis(50);
/// How soon it must have noticed. Unoptimised loops take ten times as long, and this machine may be busy.
const NOTICED_WITHIN: Duration = Duration::from_millis(if cfg!(debug_assertions) { 1000 } else { 100 });

/// Series that all have the same samples, under every name.
struct Same {
    labels: Vec<Labels>,
    columns: Arc<Columns>,
    /// The range to look back, and the steps that go with it.
    range: &'static str,
    steps: Steps,
}

struct Set {
    labels: Vec<Labels>,
    columns: Arc<Columns>,
}

impl Queryable for Same {
    fn select(&self, _: &[Matcher], _: TimeRange, _: &Budget) -> Result<Selected, StorageError> {
        let series = Box::new(Set { labels: self.labels.clone(), columns: self.columns.clone() });
        Ok(Selected { series, warnings: Vec::new() })
    }
}

impl SeriesSet for Set {
    fn len(&self) -> usize {
        self.labels.len()
    }

    fn labels(&self, series_idx: usize) -> &Labels {
        &self.labels[series_idx]
    }

    fn read(&self, _: usize, into: &mut Columns, _: &Budget) -> Result<(), StorageError> {
        into.clone_from(&self.columns);
        Ok(())
    }
}

fn series(n: usize) -> Vec<Labels> {
    let label =
        |i: usize| Labels::from_pairs([("__name__", "x"), ("a", &i.to_string()), ("le", &(i % 50).to_string())]);
    (0..n).map(label).collect()
}

fn floats(n: i64, distance_ms: i64) -> Arc<Columns> {
    let mut columns = Columns::default();
    for i in 0..n {
        columns.push(i * distance_ms, (i * 7919 % 1009) as f64);
    }
    Arc::new(columns)
}

fn histograms(n: i64) -> Arc<Columns> {
    let histogram = |i: i64| Histogram {
        count: 50.0 * i as f64,
        sum: i as f64,
        positive_spans: vec![Span { offset: 0, length: 50 }],
        positive_buckets: vec![i as f64; 50],
        ..Histogram::default()
    };
    let histogram_timestamps = (0..n).map(|i| 1000 * i).collect();
    let histograms = (0..n).map(|i| Arc::new(histogram(i))).collect();
    Arc::new(Columns { histogram_timestamps, histograms, ..Columns::default() })
}

fn stores() -> [(&'static str, Same); 3] {
    let steps = |start, end, n| Steps { start, end, step_ms: (end - start) / n };
    let long = floats(400_000, 1000);
    let many = floats(10, 60_000);
    let (long_steps, many_steps) = (steps(200_000_000, 400_000_000, 500), steps(0, 600_000, 100));
    let histogram_steps = steps(1_000_000, 2_000_000, 200);
    [
        ("long", Same { labels: series(4), columns: long, range: "[200000s]", steps: long_steps }),
        ("many", Same { labels: series(50_000), columns: many, range: "[10m]", steps: many_steps }),
        (
            "histograms",
            Same { labels: series(100), columns: histograms(2000), range: "[1000s]", steps: histogram_steps },
        ),
    ]
}

/// The shortest call of each function.
fn calls(range: &str) -> impl Iterator<Item = String> {
    TABLE.iter().map(move |function| {
        let arg = |arg: &ValueType| match arg {
            ValueType::Scalar => "0.5".to_owned(),
            ValueType::Vector => "x".to_owned(),
            ValueType::Matrix => format!("x{range}"),
            ValueType::String => "\"a\"".to_owned(),
        };
        let args: Vec<String> = function.args[..function.arity().0].iter().map(arg).collect();
        format!("{}({})", function.name, args.join(", "))
    })
}

const OPERATIONS: &[&str] = &[
    "x",
    "sum(x)",
    "sum by (a) (x)",
    "topk(10, x)",
    "limitk by (a) (1, x)",
    "quantile by (le) (0.5, x)",
    "count_values by (a) (\"v\", x)",
    "stddev without (le) (x)",
    "x + x",
    "x * on (a) group_left () x",
    "x > bool on (a, le) x",
    "x and x unless y",
    "x or on (a) y",
    "-(x ^ 2)",
    "x + on (a) fill (0) y",
    "max_over_time(x[10m:1s])",
    "sum_over_time(sum_over_time(x[10m:1s])[10m:1s])",
    "x @ end()",
];

/// How long after its end was asked for a query ended; nothing if it was done before.
fn ended_after(text: &str, store: &Same) -> Option<Duration> {
    let query = Query::parse(text, &TextLimits::default()).unwrap_or_else(|error| panic!("{text}: {error}"));
    let stop = Stop::default();
    let budget = Budget::new(stop.clone(), Pool::new(u64::MAX), 4 << 30, u64::MAX);
    std::thread::scope(|scope| {
        let running = scope.spawn(|| {
            let _ = query.range(store.steps, &Context { store, budget: &budget, lookback_ms: 300_000 });
            Instant::now()
        });
        let started = Instant::now();
        while started.elapsed() < HEAD_START && !running.is_finished() {
            std::thread::sleep(Duration::from_millis(1));
        }
        let asked = Instant::now();
        stop.cancel();
        running.join().unwrap().checked_duration_since(asked)
    })
}

#[test]
fn every_function_and_operation_ends_when_it_is_told_to() {
    let (mut worst, mut ended) = ((Duration::ZERO, String::new()), 0);
    for (shape, store) in &stores() {
        let operations = OPERATIONS.iter().map(|text| (*text).to_owned());
        for text in calls(store.range).chain(operations) {
            let Some(after) = ended_after(&text, store) else { continue };
            ended += 1;
            if worst.0 < after {
                worst = (after, format!("{text} over {shape}"));
            }
            assert!(after < NOTICED_WITHIN, "{text} over {shape}: ended {after:?} after it was told to");
        }
    }
    println!("{ended} were ended, the last one to notice: {worst:?}");
    assert!(ended > 60, "{ended} ran long enough to be ended: the stores are too small");
}
