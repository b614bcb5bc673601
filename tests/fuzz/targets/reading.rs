//! See `noren::fuzzing::reading`.

#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| noren::fuzzing::reading(text));
