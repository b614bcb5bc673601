//! See `noren::fuzzing::forwarded`.

#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| noren::fuzzing::forwarded(text));
