//! Chunks of every kind through the one interface.

use model::{SampleValue, TimeRange, Timestamp};

use super::{ChunkAppender, EncodedChunk, Encoding, SAMPLES_PER_CHUNK, encode, samples};

fn floats(n: i64) -> Vec<(Timestamp, SampleValue)> {
    (0..n).map(|i| (i * 1000, SampleValue::Float(i as f64 / 4.0))).collect()
}

fn all_samples(chunks: &[EncodedChunk]) -> Vec<(Timestamp, SampleValue)> {
    chunks.iter().flat_map(|chunk| samples(chunk.encoding, &chunk.bytes, TimeRange::ALL).unwrap()).collect()
}

#[test]
fn samples_are_cut_into_full_chunks_with_their_ranges() {
    for n in [0, 1, 119, 120, 121, 360, 500] {
        let given = floats(n);
        let chunks = encode(given.clone());
        let full = given.chunks(SAMPLES_PER_CHUNK.into());
        assert_eq!(chunks.len(), full.len(), "{n}");
        for (chunk, run) in chunks.iter().zip(full) {
            assert_eq!((chunk.mint, chunk.maxt), (run[0].0, run[run.len() - 1].0));
            assert_eq!((usize::from(chunk.num_samples()), chunk.encoding), (run.len(), Encoding::Xor));
        }
        assert_eq!(all_samples(&chunks), given);
    }
}

#[test]
fn an_open_chunk_is_whole_after_each_sample() {
    let given = floats(50);
    let (t, value) = &given[0];
    let mut chunk = ChunkAppender::start(*t, value);
    for (i, (t, value)) in given.iter().enumerate().skip(1) {
        assert_eq!(samples(chunk.encoding(), chunk.bytes(), TimeRange::ALL).unwrap(), given[..i]);
        assert!(chunk.append(*t, value));
        assert_eq!((usize::from(chunk.num_samples()), chunk.last_t()), (i + 1, *t));
    }
    let inside = TimeRange { mint: 9500, maxt: 20_000 };
    assert_eq!(samples(chunk.encoding(), &chunk.into_bytes(), inside).unwrap(), given[10..=20]);
}
