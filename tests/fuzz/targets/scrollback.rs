//! See `noren::fuzzing::scrollback`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| noren::fuzzing::scrollback(bytes));
