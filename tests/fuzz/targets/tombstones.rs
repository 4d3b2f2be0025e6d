//! Fuzz target: deletions of blocks.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    tsdb::fuzzing::tombstones(bytes);
});
