//! See `noren::fuzzing::authority`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| noren::fuzzing::authority(bytes));
