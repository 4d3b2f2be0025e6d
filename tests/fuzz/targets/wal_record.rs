//! Fuzz target: records of the log.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    tsdb::fuzzing::wal_record(bytes);
});
