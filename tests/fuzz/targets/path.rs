//! See `noren::fuzzing::path`.

#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| noren::fuzzing::path(text));
