//! Remote read at both ends, with the generated messages of `proto/` as the oracle.

#![expect(clippy::unwrap_used, reason = "a message that cannot be made fails the test")]

use std::sync::Arc;

use model::{Columns, Histogram, Labels, STALE_NAN, STALE_NAN_BITS, SampleValue, Span, TimeRange};
use prost::Message as _;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use wire::proto::label_matcher::Type;
use wire::proto::{self, LabelMatcher, Query, ReadHints};
use wire::remote_read::{
    ChunkEncoding, FRAME_BYTES_TYPICAL, ReadAnswer, ReadChunk, ReadRequest, ReadResponseEncoder, push_frames,
};
use wire::remote_write::{BodyLimits, decompress};

fn matcher(kind: Type, name: &str, value: &str) -> LabelMatcher {
    LabelMatcher { r#type: kind.into(), name: name.into(), value: value.into() }
}

fn question() -> proto::ReadRequest {
    let matchers = vec![
        matcher(Type::Eq, "__name__", "up"),
        matcher(Type::Neq, "job", ""),
        matcher(Type::Re, "pod", "a|b.*"),
        matcher(Type::Nre, "h\u{e9}", ".+"),
    ];
    let hints = ReadHints { func: "rate".into(), grouping: vec!["a".into()], by: true, ..ReadHints::default() };
    let first = Query { start_timestamp_ms: i64::MIN, end_timestamp_ms: 7, matchers, hints: Some(hints) };
    let second = Query { start_timestamp_ms: 5, end_timestamp_ms: i64::MAX, matchers: vec![], hints: None };
    proto::ReadRequest { queries: vec![first, second], accepted_response_types: vec![1, 0] }
}

#[test]
fn questions_are_read_with_all_their_matchers() {
    let read = ReadRequest::parse(&question().encode_to_vec()).unwrap();
    assert_eq!(read.answer, ReadAnswer::StreamedChunks);
    let shown: Vec<Vec<_>> =
        read.queries.iter().map(|query| query.matchers.iter().map(ToString::to_string).collect()).collect();
    let first = ["__name__=\"up\"", "job!=\"\"", "pod=~\"a|b.*\"", "h\u{e9}!~\".+\""];
    assert_eq!(shown, [first.map(String::from).to_vec(), vec![]]);
    assert_eq!(read.queries[0].range, TimeRange { mint: i64::MIN, maxt: 7 });
    assert_eq!(read.queries[1].range, TimeRange { mint: 5, maxt: i64::MAX });
    assert!(ReadRequest::parse(b"").unwrap().queries.is_empty());
}

#[test]
fn the_first_known_kind_of_answer_counts() {
    for (body, expected) in [
        (&[][..], Ok(ReadAnswer::Samples)),
        (&[0x12, 2, 0, 1], Ok(ReadAnswer::Samples)),
        (&[0x12, 3, 9, 1, 0], Ok(ReadAnswer::StreamedChunks)),
        (&[0x10, 9, 0x10, 1], Ok(ReadAnswer::StreamedChunks)),
        (&[0x10, 9], Err("none of the kinds of answers [9] is known, known are 0 (samples) and 1 (streamed chunks)")),
        (
            &[0x12, 17, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            Err("request has more than 16 kinds of answers; send smaller ones"),
        ),
    ] {
        let read = ReadRequest::parse(body).map(|request| request.answer).map_err(|refused| refused.to_string());
        assert_eq!(read, expected.map_err(str::to_owned), "{body:?}");
    }
}

#[test]
fn bad_questions_are_refused() {
    let with = |matchers| {
        let query = Query { matchers, ..Query::default() };
        proto::ReadRequest { queries: vec![query], accepted_response_types: vec![] }.encode_to_vec()
    };
    let many = proto::ReadRequest { queries: vec![Query::default(); 101], accepted_response_types: vec![] };
    for (body, refused) in [
        (with(vec![matcher(Type::Re, "a", "(")]), "error parsing regexp"),
        (with(vec![matcher(Type::Nre, "a", &"x".repeat(5000))]), "regular expression is 5000 bytes, limit 4096"),
        (with(vec![LabelMatcher { r#type: 4, ..LabelMatcher::default() }]), "matcher of unknown type 4"),
        (with(vec![matcher(Type::Eq, "a", "b"); 101]), "request has more than 100 matchers; send smaller ones"),
        (many.encode_to_vec(), "request has more than 100 queries; send smaller ones"),
        (vec![0x0a, 4, 0x1a, 2, 0x12, 1], "the read request at byte 0 is truncated"),
        (vec![0x0a, 6, 0x1a, 4, 0x12, 2, 0xff, 0xfe], "name or value of a matcher is not valid UTF-8"),
        (vec![0x0a, 9], "the read request at byte 0 is truncated"),
        (vec![0x0a, 2, 0x0a, 0], "the read request at byte 0 is truncated"),
        (vec![0x08, 1], "the read request at byte 0 is truncated"),
        (vec![0x12, 1, 0x80], "the read request at byte 0 is truncated"),
    ] {
        let error = ReadRequest::parse(&body).unwrap_err().to_string();
        assert!(error.contains(refused), "{error} for {refused}");
    }
}

#[test]
fn mutated_questions_never_panic() {
    let mut rng = StdRng::seed_from_u64(3);
    let valid = question().encode_to_vec();
    let mut n_refused = 0;
    for _ in 0..5_000 {
        let mut body = valid.clone();
        for _ in 0..rng.random_range(1..4) {
            let at = rng.random_range(0..body.len());
            match rng.random_range(0..3) {
                0 => body[at] = rng.random(),
                1 => body.truncate(at + 1),
                _ => body.insert(at, rng.random()),
            }
        }
        match ReadRequest::parse(&body) {
            Ok(read) => assert!(read.queries.len() <= body.len()),
            Err(refused) => {
                n_refused += 1;
                assert!(refused.to_string().len() < 1024, "{refused}");
            }
        }
    }
    assert!(n_refused > 1_000, "only {n_refused} refused: the mutations do not bite");
}

fn histogram() -> Histogram {
    Histogram {
        count: 3.0,
        sum: 2.5,
        positive_spans: vec![Span { offset: -1, length: 2 }],
        positive_buckets: vec![1.0, 2.0],
        ..Histogram::default()
    }
}

#[test]
fn samples_of_every_kind_are_answered() {
    let labels = Labels::from_pairs([("__name__", "up"), ("job", "a")]);
    let values = [
        (1, SampleValue::Float(-0.0)),
        (2, SampleValue::Float(STALE_NAN)),
        (3, SampleValue::Histogram(Arc::new(histogram()))),
        (4, SampleValue::FloatHistogram(Arc::new(histogram()))),
    ];
    let mut encoder = ReadResponseEncoder::new();
    assert!(encoder.is_empty());
    encoder.push_series(&labels, values.iter().cloned());
    let mut columns =
        Columns { histogram_timestamps: vec![9], histograms: vec![Arc::new(histogram())], ..Columns::default() };
    columns.push(8, 0.5);
    encoder.push_columns(&Labels::empty(), &columns);
    encoder.end_query();
    encoder.end_query();
    let mut message = Vec::new();
    decompress(&encoder.finish_compressed().unwrap(), &BodyLimits::default(), &mut message).unwrap();
    let answer = proto::ReadResponse::decode(&*message).unwrap();
    let [first, second] = &*answer.results else { panic!("{} results", answer.results.len()) };
    assert_eq!((first.timeseries.len(), second.timeseries.len()), (2, 0));
    let series = &first.timeseries[0];
    let names: Vec<_> = series.labels.iter().map(|label| (&*label.name, &*label.value)).collect();
    assert_eq!(names, [("__name__", "up"), ("job", "a")]);
    let bits: Vec<_> = series.samples.iter().map(|sample| (sample.timestamp, sample.value.to_bits())).collect();
    assert_eq!(bits, [(1, (-0.0f64).to_bits()), (2, STALE_NAN_BITS)]);
    let [whole, float] = &*series.histograms else { panic!("two histograms") };
    assert_eq!((whole.timestamp, &*whole.positive_deltas, &*whole.positive_counts), (3, &[1, 1][..], &[][..]));
    assert_eq!((float.timestamp, &*float.positive_deltas, &*float.positive_counts), (4, &[][..], &[1.0, 2.0][..]));
    assert_eq!((whole.positive_spans[0].offset, whole.positive_spans[0].length), (-1, 2));
    let columns = &first.timeseries[1];
    assert_eq!((columns.samples[0].timestamp, columns.histograms[0].timestamp), (8, 9));
}

/// The frames in `bytes`, their checksums compared.
fn frames(mut bytes: &[u8]) -> Vec<proto::ChunkedReadResponse> {
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        let len = usize::try_from(prost::encoding::decode_varint(&mut bytes).unwrap()).unwrap();
        let (checksum, rest) = bytes.split_first_chunk().unwrap();
        let (message, rest) = rest.split_at(len);
        assert_eq!(crc32c::crc32c(message), u32::from_be_bytes(*checksum));
        frames.push(proto::ChunkedReadResponse::decode(message).unwrap());
        bytes = rest;
    }
    frames
}

#[test]
fn chunks_are_framed_one_series_at_a_time() {
    let labels = Labels::from_pairs([("__name__", "up"), ("job", "a")]);
    let chunk = |mint, encoding, bytes| ReadChunk { encoding, mint, maxt: mint + 9, bytes };
    let mut into = Vec::new();
    push_frames(0, &labels, [], &mut into);
    assert!(into.is_empty(), "a series without chunks has no frame");
    let chunks = [
        chunk(-20, ChunkEncoding::Xor, &b"one"[..]),
        chunk(-9, ChunkEncoding::Histogram, b"two"),
        chunk(10, ChunkEncoding::FloatHistogram, &[7; 300]),
    ];
    push_frames(0, &labels, chunks, &mut into);
    push_frames(3, &Labels::empty(), chunks, &mut into);
    let read = frames(&into);
    assert_eq!(read.iter().map(|frame| frame.query_index).collect::<Vec<_>>(), [0, 3]);
    assert_eq!(read[0].chunked_series[0].labels.len(), 2);
    for frame in &read {
        let [series] = &*frame.chunked_series else { panic!("one series in a frame") };
        let read = series.chunks.iter().map(|chunk| (chunk.min_time_ms, chunk.max_time_ms, chunk.r#type, &*chunk.data));
        let sent = chunks.iter().map(|chunk| (chunk.mint, chunk.maxt, chunk.encoding as i32, chunk.bytes));
        assert!(read.eq(sent));
    }
    // The first byte of the wire: a known frame, made by hand.
    let mut known = Vec::new();
    push_frames(0, &Labels::empty(), [chunk(1, ChunkEncoding::Xor, b"x")], &mut known);
    let data = [0x0a, 11, 0x12, 9, 0x08, 1, 0x10, 10, 0x18, 1, 0x22, 1, b'x'];
    assert_eq!(known, [&[13], &crc32c::crc32c(&data).to_be_bytes()[..], &data].concat());
}

#[test]
fn long_series_are_split_and_say_their_labels_again() {
    let labels = Labels::from_pairs([("__name__", "up")]);
    let bytes = vec![1; 100_000];
    let chunks = (0..25).map(|mint| ReadChunk { encoding: ChunkEncoding::Xor, mint, maxt: mint, bytes: &bytes });
    let mut into = Vec::new();
    push_frames(0, &labels, chunks, &mut into);
    let read = frames(&into);
    let n_chunks: Vec<_> = read.iter().map(|frame| frame.chunked_series[0].chunks.len()).collect();
    assert_eq!(n_chunks, [11, 11, 3]);
    assert!(read.iter().all(|frame| frame.chunked_series[0].labels.len() == 1));
    assert!(read.iter().all(|frame| frame.encoded_len() < FRAME_BYTES_TYPICAL + bytes.len() + 100));
    let times = read.iter().flat_map(|frame| &frame.chunked_series[0].chunks).map(|chunk| chunk.min_time_ms);
    assert!(times.eq(0..25));
}

#[test]
fn encodings_that_readers_do_not_know_have_no_name() {
    for byte in 0..=255 {
        assert_eq!(
            ChunkEncoding::from_byte(byte).map(|encoding| encoding as u8),
            (1..=3).contains(&byte).then_some(byte)
        );
    }
}
