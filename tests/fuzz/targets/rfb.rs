//! See `noren::fuzzing::rfb`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| noren::fuzzing::rfb(bytes));
