//! Fuzz target: segments of the log.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    tsdb::fuzzing::wal_segment(bytes);
});
