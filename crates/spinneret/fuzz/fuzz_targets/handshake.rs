//! The handshake of a manager, by somebody who need not have the key.

#![no_main]

libfuzzer_sys::fuzz_target!(|script: &[u8]| spinneret::fuzzing::handshake(script));
