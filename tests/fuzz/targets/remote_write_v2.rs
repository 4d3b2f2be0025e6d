//! Fuzz target: messages of remote write 2.0.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    wire::fuzzing::remote_write_v2(bytes);
});
