//! Fuzz target: chunks of every encoding.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    tsdb::fuzzing::chunk(bytes);
});
