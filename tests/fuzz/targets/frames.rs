//! See `noren::fuzzing::frames`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| noren::fuzzing::frames(bytes));
