//! Fuzz target: OpenMetrics text, as an import reads it.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    wire::fuzzing::open_metrics(bytes);
});
