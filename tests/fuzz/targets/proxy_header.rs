//! See `noren::fuzzing::proxy_header`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| noren::fuzzing::proxy_header(bytes));
