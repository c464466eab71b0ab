//! Any bytes, read as a pickle.

#![no_main]

#[path = "../../tests/common/check.rs"]
mod check;
#[path = "../../tests/common/describe.rs"]
mod describe;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    check::holds(data);
});
