//! Ten thousand malformed bodies: none panics, none makes memory grow beyond what its bytes can hold.

use model::{LabelsBuilder, Metadata, MetricKind, STALE_NAN, Sample};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::{BodyLimits, WriteRequest, WriteRequestEncoder, compress, decompress};
use crate::WireError;
use crate::field::push_varint;

const N_BODIES: usize = 10_000;

/// A request of a few series with everything in it.
fn valid_message(rng: &mut StdRng) -> Vec<u8> {
    let mut encoder = WriteRequestEncoder::new();
    for i in 0..rng.random_range(0..20) {
        let pod = format!("pod-{i}-{}", "x".repeat(rng.random_range(0..200)));
        let samples: Vec<_> = (0..rng.random_range(0..5))
            .map(|t| Sample { t: t - 2, v: if t == 3 { STALE_NAN } else { rng.random() } })
            .collect();
        encoder.push([("__name__", "up"), ("pod", &pod)], &samples);
    }
    let metadata = Metadata { kind: MetricKind::Gauge, help: "Whether it is up.".into(), unit: String::new() };
    encoder.push_metadata("up", &metadata);
    encoder.finish()
}

/// One of the ways in which a message goes wrong.
fn mutate(mut message: Vec<u8>, rng: &mut StdRng) -> Vec<u8> {
    if message.is_empty() {
        return message;
    }
    for _ in 0..rng.random_range(1..4) {
        let at = rng.random_range(0..message.len());
        match rng.random_range(0..5) {
            0 => message[at] = rng.random(),
            1 => message[at] ^= 1 << rng.random_range(0..8),
            2 => message.truncate(at + 1),
            3 => message.insert(at, rng.random()),
            _ => {
                // A length, or whatever stands there, becomes a huge one.
                let mut huge = Vec::new();
                push_varint(rng.random::<u64>() >> rng.random_range(0..40), &mut huge);
                message.splice(at..=at, huge);
            }
        }
    }
    message
}

/// Reads whatever can be read.
fn read_all(message: &[u8], limits: &BodyLimits) -> Result<(), WireError> {
    let request = WriteRequest::parse(message, limits)?;
    // A series takes at least two bytes of the body and 36 of memory, a sample 2 and 16, metadata 2 and 16.
    let bytes_max = 64 * message.len() + 1024;
    assert!(request.heap_bytes() <= bytes_max, "{} bytes of memory for {}", request.heap_bytes(), message.len());
    let mut builder = LabelsBuilder::default();
    let mut n_samples = 0;
    for series in request.series() {
        if let Err(refused) = series.labels(&mut builder) {
            assert!(refused.to_string().len() < 2048, "an error of {} bytes", refused.to_string().len());
            assert!(builder.build().is_empty());
        }
        n_samples += series.samples().len();
    }
    assert_eq!(n_samples, request.n_samples());
    let _ = request.metadata().count();
    Ok(())
}

#[test]
fn malformed_messages_are_refused_without_a_panic() {
    let mut rng = StdRng::seed_from_u64(20_260_901);
    let limits = BodyLimits { series_max: 50, samples_max: 200, ..BodyLimits::default() };
    let mut n_refused = 0;
    for i in 0..N_BODIES {
        let valid = valid_message(&mut rng);
        assert_eq!(read_all(&valid, &limits), Ok(()));
        let message = match i % 3 {
            0 => (0..rng.random_range(0..300)).map(|_| rng.random()).collect(),
            _ => mutate(valid, &mut rng),
        };
        n_refused += usize::from(read_all(&message, &limits).is_err());
    }
    assert!(n_refused > N_BODIES / 2, "only {n_refused} refused: the mutations do not bite");
}

#[test]
fn malformed_blocks_are_refused_without_a_panic() {
    let mut rng = StdRng::seed_from_u64(9_062_026);
    let limits = BodyLimits { decompressed_bytes_max: 1 << 20, ..BodyLimits::default() };
    let mut n_refused = 0;
    for i in 0..N_BODIES {
        let valid = compress(&valid_message(&mut rng)).unwrap();
        let body = match i % 4 {
            0 => (0..rng.random_range(0..300)).map(|_| rng.random()).collect(),
            1 => {
                // A bomb: a declared size of up to 2^40 in front of a few honest bytes.
                let mut bomb = Vec::new();
                push_varint(rng.random::<u64>() >> rng.random_range(24..64), &mut bomb);
                bomb.extend_from_slice(&valid);
                bomb
            }
            _ => mutate(valid, &mut rng),
        };
        let mut into = Vec::new();
        match decompress(&body, &limits, &mut into) {
            Ok(()) => drop(read_all(&into, &limits)),
            Err(_) => n_refused += 1,
        }
        assert!(into.capacity() <= 64 * body.len() + 1024, "{} bytes for a body of {}", into.capacity(), body.len());
    }
    assert!(n_refused > N_BODIES / 2, "only {n_refused} refused: the mutations do not bite");
}
