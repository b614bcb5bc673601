//! See `noren::fuzzing::head`.

#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| noren::fuzzing::head(text));
