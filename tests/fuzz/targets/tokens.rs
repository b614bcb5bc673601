//! See `noren::fuzzing::tokens`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| noren::fuzzing::tokens(bytes));
