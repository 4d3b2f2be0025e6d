//! Prints what a line of OpenMetrics text costs to read and to write, in ns for each sample.

#![expect(clippy::print_stdout, reason = "printing is what it is for")]

use std::hint::black_box;
use std::time::Instant;

use model::{Labels, LabelsBuilder, Sample};
use wire::exposition::{Entry, ExpositionFormat, ExpositionReader, encode_series, push_eof, push_sample};
use wire::remote_write::LabelLimits;

const N_SERIES: usize = 1000;
const N_SAMPLES: usize = 1000;

fn main() {
    let started = Instant::now();
    let mut text = Vec::new();
    for i in 0..N_SERIES {
        let (pod, instance) = (format!("vllm-{i:x}"), format!("10.0.{}.{}:8000", i / 100, i % 100));
        let labels = Labels::from_pairs([
            ("__name__", "vllm:time_to_first_token_seconds_bucket"),
            ("cluster", "eu-north-1a"),
            ("instance", &instance),
            ("job", "inference/vllm"),
            ("le", "0.25"),
            ("model_name", "meta-llama/Llama-3.1-70B-Instruct"),
            ("pod", &pod),
        ]);
        let mut series = Vec::new();
        encode_series(&labels, &mut series);
        for t in 0..N_SAMPLES as i64 {
            push_sample(&series, Sample { t: 1_795_310_698_929 + 15_000 * t, v: t as f64 * 0.37 }, None, &mut text);
        }
    }
    push_eof(&mut text);
    print("write", started, text.len());

    let started = Instant::now();
    let mut reader = ExpositionReader::new(&*text, ExpositionFormat::OpenMetrics);
    let mut n = 0;
    while let Some(Entry::Sample(sample)) = reader.next_entry().expect("own text") {
        black_box((sample.series, sample.t, sample.v));
        n += 1;
    }
    assert_eq!(n, N_SERIES * N_SAMPLES, "every sample comes back");
    print("read", started, text.len());

    let started = Instant::now();
    let mut reader = ExpositionReader::new(&*text, ExpositionFormat::OpenMetrics);
    let mut builder = LabelsBuilder::default();
    while let Some(Entry::Sample(sample)) = reader.next_entry().expect("own text") {
        sample.labels(&LabelLimits::default(), &mut builder).expect("own labels");
    }
    print("with labels", started, text.len());
}

fn print(what: &str, started: Instant, bytes: usize) {
    let seconds = started.elapsed().as_secs_f64();
    let ns = seconds * 1e9 / (N_SERIES * N_SAMPLES) as f64;
    println!("{what:>12} {ns:7.1} ns/sample, {:.0} MB/s", bytes as f64 / 1e6 / seconds);
}
