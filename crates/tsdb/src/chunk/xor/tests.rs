//! Round trips, golden bytes, resumption, and bytes that no encoder made.

use model::{Columns, STALE_NAN, Sample, TimeRange, Timestamp};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use super::{XorAppender, XorState, decode};
use crate::chunk::ChunkError;

fn encode(samples: &[(Timestamp, f64)]) -> XorAppender {
    let mut chunk = XorAppender::new();
    for (t, v) in samples {
        chunk.append(*t, *v);
    }
    chunk
}

fn decoded(bytes: &[u8], range: TimeRange) -> Result<Vec<(Timestamp, u64)>, ChunkError> {
    let mut columns = Columns::default();
    decode(bytes, range, &mut columns)?;
    assert_eq!(columns.timestamps.len(), columns.values.len());
    Ok(columns.timestamps.into_iter().zip(columns.values.into_iter().map(f64::to_bits)).collect())
}

fn bits(samples: &[(Timestamp, f64)]) -> Vec<(Timestamp, u64)> {
    samples.iter().map(|(t, v)| (*t, v.to_bits())).collect()
}

#[track_caller]
fn check_round_trip(samples: &[(Timestamp, f64)]) {
    let chunk = encode(samples);
    assert_eq!(usize::from(chunk.num_samples()), samples.len());
    assert_eq!(decoded(chunk.bytes(), TimeRange::ALL).unwrap(), bits(samples));
}

/// Samples of every character that agents send, and some that none does.
fn random_samples(rng: &mut SmallRng) -> Vec<(Timestamp, f64)> {
    let (time, kind) = (rng.random_range(0..5), rng.random_range(0..6));
    let mut t = rng.random_range(-1_000_000..1_000_000_000_000_i64);
    let mut v: f64 = rng.random_range(0.0..1000.0);
    (0..rng.random_range(1..300))
        .map(|_| {
            t += match time {
                0 => 15_000,
                1 => 15_000 + rng.random_range(-2..=2),
                2 => rng.random_range(1..200_000),
                3 => rng.random_range(1..20_000_000),
                _ => 1 << rng.random_range(0..40),
            };
            v = match kind {
                0 => v,
                1 => v + f64::from(rng.random_range(0..100)),
                2 => v + rng.random_range(-1.0..1.0),
                3 => f64::from_bits(rng.random()),
                4 if rng.random_ratio(1, 8) => STALE_NAN,
                _ => f64::from(rng.random_range(0..50)) / 4.0,
            };
            (t, v)
        })
        .collect()
}

#[test]
fn samples_come_back_bit_by_bit() {
    let mut rng = SmallRng::seed_from_u64(1);
    for _ in 0..2000 {
        check_round_trip(&random_samples(&mut rng));
    }
}

#[test]
fn extremes_come_back() {
    let payload = f64::from_bits(0x7ff4_dead_beef_0001);
    check_round_trip(&[(Timestamp::MIN, f64::MIN), (Timestamp::MAX, f64::MAX)]);
    check_round_trip(&[(Timestamp::MIN, -0.0), (-1, 0.0), (0, payload), (1, STALE_NAN), (Timestamp::MAX, f64::NAN)]);
    check_round_trip(&[(0, 0.0), (1, f64::from_bits(u64::MAX)), (2, f64::from_bits(0)), (3, f64::from_bits(1))]);
    check_round_trip(&(0..i64::from(u16::MAX)).map(|t| (t, 1.0)).collect::<Vec<_>>());
}

/// The widths of a distance's change meet where one holds its largest value and the next one takes over.
#[test]
fn changes_of_distance_come_back_at_the_ends_of_each_width() {
    for limit in [1 << 13, 1 << 16, 1 << 19] {
        for change in [-limit - 1, -limit, -limit + 1, limit - 1, limit, limit + 1] {
            let delta = 10_000_000;
            check_round_trip(&[(0, 1.0), (delta, 1.0), (delta * 2 + change, 2.0), (delta * 3 + change, 3.0)]);
        }
    }
}

/// Worked out by hand from the format's description.
#[test]
fn bytes_are_those_of_the_format() {
    let chunk = encode(&[(1000, 1.0), (2000, 1.0), (3000, 2.0)]);
    // 0 | 0 | 11 00001 001011 11111111111 | padding
    let tail = [0b0011_0000, 0b1001_0111, 0b1111_1111, 0b1100_0000];
    let head = [0, 3, 0xd0, 0x0f, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0, 0xe8, 0x07];
    assert_eq!(chunk.bytes(), [&head[..], &tail].concat());
}

#[test]
fn only_samples_of_the_range_are_kept_and_columns_keep_what_they_had() {
    let samples: Vec<_> = (0..50).map(|i| (i * 10, i as f64)).collect();
    let chunk = encode(&samples);
    for (mint, maxt) in [(0, 490), (-5, 1000), (95, 204), (100, 200), (490, 490), (491, 600), (-9, -1), (30, 20)] {
        let range = TimeRange { mint, maxt };
        let inside: Vec<_> = samples.iter().copied().filter(|(t, _)| range.contains(*t)).collect();
        assert_eq!(decoded(chunk.bytes(), range).unwrap(), bits(&inside), "{range:?}");
    }
    let mut columns = Columns::default();
    columns.push(-1, 7.0);
    decode(chunk.bytes(), TimeRange { mint: 480, maxt: 600 }, &mut columns).unwrap();
    assert_eq!((columns.timestamps, columns.values), (vec![-1, 480, 490], vec![7.0, 48.0, 49.0]));
}

#[test]
fn a_resumed_chunk_goes_on_as_if_it_had_never_stopped() {
    let mut rng = SmallRng::seed_from_u64(2);
    for _ in 0..300 {
        let samples = random_samples(&mut rng);
        let split = rng.random_range(0..=samples.len());
        let mut chunk = XorAppender::resume(encode(&samples[..split]).into_bytes()).unwrap();
        assert_eq!(usize::from(chunk.num_samples()), split);
        let last = split.checked_sub(1).map(|i| Sample { t: samples[i].0, v: samples[i].1 });
        assert_eq!(chunk.last().map(|s| (s.t, s.v.to_bits())), last.map(|s| (s.t, s.v.to_bits())));
        for (t, v) in &samples[split..] {
            chunk.append(*t, *v);
        }
        // A window may be opened anew, or reused, once: bytes may differ by that, samples may not.
        assert_eq!(decoded(chunk.bytes(), TimeRange::ALL).unwrap(), bits(&samples));
    }
}

#[test]
fn a_chunk_whose_state_is_known_goes_on_with_the_same_bytes() {
    let mut rng = SmallRng::seed_from_u64(5);
    for _ in 0..300 {
        let samples = random_samples(&mut rng);
        let split = rng.random_range(1..=samples.len());
        let before = encode(&samples[..split]);
        let (last, state) = (before.last().unwrap(), before.state().unwrap());
        let mut chunk = XorAppender::go_on(before.bytes(), last, state).unwrap();
        samples[split..].iter().for_each(|(t, v)| chunk.append(*t, *v));
        assert_eq!(chunk.bytes(), encode(&samples).bytes());
        for state in [
            XorState { free: 8, ..state },
            XorState { window: Some((32, 0)), ..state },
            XorState { window: Some((31, 33)), ..state },
        ] {
            assert!(XorAppender::go_on(before.bytes(), last, state).is_none(), "{state:?}");
        }
        assert!(XorAppender::go_on(&[0, 0], last, state).is_none(), "no sample is the last one");
    }
    assert_eq!(XorAppender::new().state(), None);
}

#[test]
fn cut_bytes_are_refused_and_leave_the_columns_alone() {
    let chunk = encode(&random_samples(&mut SmallRng::seed_from_u64(3)));
    let mut columns = Columns::default();
    columns.push(5, 5.0);
    let before = columns.clone();
    for len in 0..chunk.bytes().len() {
        assert!(decode(&chunk.bytes()[..len], TimeRange::ALL, &mut columns).is_err(), "{len} bytes");
        assert_eq!(columns, before);
        assert!(XorAppender::resume(chunk.bytes()[..len].to_vec()).is_err(), "{len} bytes");
    }
}

#[test]
fn no_bytes_make_the_decoder_panic_or_descend() {
    let mut rng = SmallRng::seed_from_u64(4);
    for round in 0..20_000 {
        let mut bytes = encode(&random_samples(&mut rng)).into_bytes();
        if round % 4 == 0 {
            bytes = (0..rng.random_range(0..100)).map(|_| rng.random()).collect();
        }
        for _ in 0..rng.random_range(1..4) {
            let at = rng.random_range(0..bytes.len().max(1));
            if let Some(byte) = bytes.get_mut(at) {
                *byte = rng.random();
            }
        }
        if let Ok(samples) = decoded(&bytes, TimeRange::ALL) {
            assert!(samples.is_sorted_by(|a, b| a.0 < b.0));
            let mut resumed = XorAppender::resume(bytes).unwrap();
            if let Some((t, _)) = samples.last().filter(|(t, _)| *t < Timestamp::MAX) {
                resumed.append(t + 1, 1.0);
                assert_eq!(decoded(resumed.bytes(), TimeRange::ALL).unwrap().len(), samples.len() + 1);
            }
        }
    }
}
