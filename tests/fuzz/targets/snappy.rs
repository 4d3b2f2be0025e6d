//! Fuzz target: the snappy block around a write.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    wire::fuzzing::snappy(bytes);
});
