//! Numbers of all types, compared exactly, as Python does: an integer is never rounded to a float.

use std::cmp::Ordering;

use num_bigint::BigInt;

use crate::{Int, View};

/// 2^63, from which on floats are beyond `i64`.
const BEYOND_I64: f64 = 9_223_372_036_854_775_808.0;

/// A number. `bool` is an integer.
#[derive(Clone, Copy, Debug)]
pub(super) enum Number<'a> {
    Int(Int<'a>),
    Float(f64),
    Complex(f64, f64),
}

impl<'a> Number<'a> {
    pub fn of(view: &View<'a>) -> Option<Self> {
        match *view {
            View::Bool(bool) => Some(Self::Int(Int::small(bool.into(), false))),
            View::Int(int) => Some(Self::Int(int)),
            View::Float(float) => Some(Self::Float(float)),
            View::Complex { real, imaginary } => Some(Self::Complex(real, imaginary)),
            _ => None,
        }
    }

    /// How two real numbers are ordered; `None` if one is not a number, or complex.
    pub fn compare(self, other: Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Int(one), Self::Int(other)) => Some(compare_ints(one, other)),
            (Self::Float(one), Self::Float(other)) => one.partial_cmp(&other),
            (Self::Int(int), Self::Float(float)) => compare_with_float(int, float),
            (Self::Float(float), Self::Int(int)) => {
                compare_with_float(int, float).map(Ordering::reverse)
            }
            _ => None,
        }
    }

    pub fn equals(self, other: Self) -> bool {
        match (self, other) {
            (Self::Complex(real, imaginary), Self::Complex(other_real, other_imaginary)) => {
                real.partial_cmp(&other_real) == Some(Ordering::Equal)
                    && imaginary.partial_cmp(&other_imaginary) == Some(Ordering::Equal)
            }
            (Self::Complex(real, imaginary), other) | (other, Self::Complex(real, imaginary)) => {
                imaginary == 0.0 && Self::Float(real).compare(other) == Some(Ordering::Equal)
            }
            _ => self.compare(other) == Some(Ordering::Equal),
        }
    }
}

fn compare_ints(one: Int<'_>, other: Int<'_>) -> Ordering {
    match (one.as_i64(), other.as_i64()) {
        (Some(one), Some(other)) => one.cmp(&other),
        _ => one.to_bigint().cmp(&other.to_bigint()),
    }
}

fn compare_with_float(int: Int<'_>, float: f64) -> Option<Ordering> {
    if float.is_nan() {
        return None;
    }
    if float.is_infinite() {
        return Some(if float > 0.0 { Ordering::Less } else { Ordering::Greater });
    }
    let whole = match (int.as_i64(), to_i64(float.trunc())) {
        (Some(int), Some(whole)) => int.cmp(&whole),
        _ => int.to_bigint().cmp(&to_bigint(float.trunc())),
    };
    // Equal to its whole part: what is behind the point decides.
    let rest = float - float.trunc();
    Some(whole.then(0.0_f64.partial_cmp(&rest).unwrap_or(Ordering::Equal)))
}

/// A whole float as an integer, if it is one of 64 bits.
pub(super) fn to_i64(float: f64) -> Option<i64> {
    (float.trunc().total_cmp(&float).is_eq() && (-BEYOND_I64..BEYOND_I64).contains(&float))
        .then_some(float as i64)
}

/// A whole, finite float as an integer.
pub(super) fn to_bigint(float: f64) -> BigInt {
    if let Some(small) = to_i64(float) {
        return small.into();
    }
    // Beyond 2^63 every float is its 53 bits, shifted to the left.
    let bits = float.to_bits();
    let mantissa = (bits & ((1 << 52) - 1)) | (1 << 52);
    let exponent = (bits >> 52) & 0x7ff;
    let magnitude = BigInt::from(mantissa) << exponent.saturating_sub(1075);
    if float < 0.0 { -magnitude } else { magnitude }
}
