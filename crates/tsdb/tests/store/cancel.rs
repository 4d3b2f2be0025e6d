//! Ending a query ends the search for its series at once, whatever its matchers.

use std::time::{Duration, Instant};

use model::{Budget, Labels, MatchOp, Matcher, Pool, Queryable, Sample, Scope, Stop, TimeRange};

use crate::{START, key, open};

/// How long a search runs before it is ended.
const HEAD_START: Duration = Duration::from_millis(20);
/// How soon it must have noticed. Unoptimised code takes longer, and the machine may be busy.
const NOTICED_WITHIN: Duration = Duration::from_millis(if cfg!(debug_assertions) { 500 } else { 100 });
const SERIES: u32 = 60_000;

#[test]
fn every_kind_of_matcher_ends_when_it_is_told_to() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    let mut appender = db.appender();
    for series in 0..SERIES {
        let value = format!("{series}-{}", "abcdefghij".repeat(20));
        let labels = Labels::from_pairs([("__name__", "m"), ("l", &value), ("project_id", "alpha")]);
        let handle = appender.series(key(series), &labels);
        appender.sample(&handle, Sample { t: START, v: 1.0 });
    }
    appender.commit(START).unwrap();
    let slow = "([0-9]+-)?(a?b?c?d?e?f?g?h?i?j?)*".repeat(8);
    let mut ended = 0;
    for flushed in [false, true] {
        for (op, text) in [
            (MatchOp::Regex, slow.as_str()),
            (MatchOp::NotRegex, slow.as_str()),
            (MatchOp::Regex, ".*9.*0.*j"),
            (MatchOp::Regex, ".+"),
            (MatchOp::NotEqual, "x"),
            (MatchOp::NotEqual, ""),
        ] {
            let matchers = [Matcher::equal("__name__", "m"), Matcher::new("l", op, text).unwrap()];
            for what in ["select", "series", "label names", "label values"] {
                let stop = Stop::default();
                let budget = Budget::new(stop.clone(), Pool::new(u64::MAX), u64::MAX, u64::MAX);
                let search = || {
                    let (querier, sets) = (db.querier(Scope::All), [matchers.to_vec()]);
                    match what {
                        "select" => drop(querier.select(&matchers, TimeRange::ALL, &budget)),
                        "series" => drop(querier.series(&sets, TimeRange::ALL, 0, &budget)),
                        "label names" => drop(querier.label_names(&sets, TimeRange::ALL, 0, &budget)),
                        _ => drop(querier.label_values("l", &sets, TimeRange::ALL, 0, &budget)),
                    }
                    Instant::now()
                };
                let after = std::thread::scope(|scope| {
                    let running = scope.spawn(search);
                    let started = Instant::now();
                    while started.elapsed() < HEAD_START && !running.is_finished() {
                        std::thread::sleep(Duration::from_millis(1));
                    }
                    let asked = Instant::now();
                    stop.cancel();
                    running.join().unwrap().checked_duration_since(asked)
                });
                ended += usize::from(after.is_some());
                let after = after.unwrap_or_default();
                assert!(after < NOTICED_WITHIN, "{what} by {op:?} {text:.20}, flushed: {flushed}: {after:?}");
            }
        }
        db.flush().unwrap();
    }
    assert!(ended > 12, "{ended} ran long enough to be ended: the store is too small");
}
