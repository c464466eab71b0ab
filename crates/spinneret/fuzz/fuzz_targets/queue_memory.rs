//! A queue whose memory somebody else writes over, at the input's choice.

#![no_main]

libfuzzer_sys::fuzz_target!(|script: &[u8]| spinneret::fuzzing::queue_memory(script));
