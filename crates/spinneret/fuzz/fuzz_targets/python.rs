//! Calls of shared objects, by a connection of Python.

#![no_main]

libfuzzer_sys::fuzz_target!(|script: &[u8]| spinneret::fuzzing::python(script));
