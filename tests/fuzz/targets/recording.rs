//! See `noren::fuzzing::recording`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| noren::fuzzing::recording(bytes));
