//! Everything that decodes what another process sent.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| spinneret::fuzzing::messages(data));
