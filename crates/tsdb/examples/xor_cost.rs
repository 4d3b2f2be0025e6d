//! What one sample costs in a float chunk: nanoseconds to append and to decode, and bytes, for usual kinds of series.
#![expect(clippy::print_stdout, reason = "an example that prints a table")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use model::{Columns, TimeRange, Timestamp};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tsdb::chunk::{XorAppender, xor};

const SERIES: usize = 2000;
const SAMPLES: usize = 120;
const ROUNDS: usize = 30;

fn main() {
    println!("{:<28} {:>12} {:>12} {:>12}", "series", "bytes/sample", "append ns", "decode ns");
    let mut rng = SmallRng::seed_from_u64(1);
    let exponential = |rng: &mut SmallRng| -rng.random_range(f64::MIN_POSITIVE..1.0).ln() * 100.0;
    report("integer counter, 2 ms jitter", 2, &mut rng, &mut |v, rng| (v + exponential(rng)).floor());
    report("float counter, 2 ms jitter", 2, &mut rng, &mut |v, rng| v + exponential(rng));
    report("gauge of 20, 2 ms jitter", 2, &mut rng, &mut |_, rng| f64::from(rng.random_range(50..70)));
    report("constant, no jitter", 0, &mut rng, &mut |v, _| v);
}

fn report(name: &str, jitter_ms: i64, rng: &mut SmallRng, next: &mut dyn FnMut(f64, &mut SmallRng) -> f64) {
    let series: Vec<Vec<(Timestamp, f64)>> = (0..SERIES)
        .map(|_| {
            let mut v = 1000.0;
            let sample = |i| {
                v = next(v, rng);
                (1_760_000_000_000 + i * 15_000 + rng.random_range(0..=jitter_ms), v)
            };
            (0..SAMPLES as i64).map(sample).collect()
        })
        .collect();
    let mut chunks = Vec::new();
    let append = best(|| {
        chunks = series.iter().map(|samples| encode(samples)).collect();
    });
    let mut columns = Columns::default();
    let decode = best(|| {
        for chunk in &chunks {
            columns.clear();
            xor::decode(chunk, TimeRange::ALL, &mut columns).expect("our own chunks decode");
            black_box(&columns);
        }
    });
    let count = (SERIES * SAMPLES) as f64;
    let bytes = chunks.iter().map(Vec::len).sum::<usize>() as f64 / count;
    let ns = |time: Duration| time.as_secs_f64() * 1e9 / count;
    println!("{name:<28} {bytes:>12.2} {:>12.2} {:>12.2}", ns(append), ns(decode));
}

fn encode(samples: &[(Timestamp, f64)]) -> Vec<u8> {
    let mut chunk = XorAppender::new();
    for (t, v) in samples {
        chunk.append(*t, *v);
    }
    chunk.into_bytes()
}

/// The shortest of some rounds: the machine is shared.
fn best(mut round: impl FnMut()) -> Duration {
    let timed = |_| {
        let start = Instant::now();
        round();
        start.elapsed()
    };
    (0..ROUNDS).map(timed).min().unwrap_or_default()
}
