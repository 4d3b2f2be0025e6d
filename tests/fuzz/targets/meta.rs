//! Fuzz target: descriptions of blocks.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    tsdb::fuzzing::meta(bytes);
});
