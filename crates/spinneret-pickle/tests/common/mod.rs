//! What several tests need.

#![allow(dead_code, reason = "each test uses some of it")]

pub mod check;
pub mod describe;
pub mod interpreters;
