//! See `noren::fuzzing::mercure`.

#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| noren::fuzzing::mercure(text));
