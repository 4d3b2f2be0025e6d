//! Fuzz target: text in the format of Prometheus.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    wire::fuzzing::prometheus_text(bytes);
});
