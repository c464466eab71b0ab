//! The program `spinneret`.
fn main() {}
