//! See `noren::fuzzing::base64`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| noren::fuzzing::base64(bytes));
