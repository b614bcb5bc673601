//! See `noren::fuzzing::config`.

#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| noren::fuzzing::config(text));
