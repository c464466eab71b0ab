//! Integers of any size.

use std::fmt;

use num_bigint::BigInt;

/// An integer of any size.
#[derive(Clone, Copy)]
pub struct Int<'a> {
    repr: Repr<'a>,
    long: bool,
}

#[derive(Clone, Copy)]
enum Repr<'a> {
    Small(i64),
    Large(&'a [u8]),
}

impl<'a> Int<'a> {
    /// From its bytes in two's complement, the lowest first.
    pub(crate) fn new(little_endian: &'a [u8], long: bool) -> Self {
        let significant = trim(little_endian);
        let repr = match *significant {
            ref bytes if bytes.len() > 8 => Repr::Large(bytes),
            ref bytes => Repr::Small(small(bytes)),
        };
        Self { repr, long }
    }

    /// How many of the bytes it was made from mean something.
    pub(crate) const fn significant_len(self) -> usize {
        match self.repr {
            Repr::Small(_) => 8,
            Repr::Large(bytes) => bytes.len(),
        }
    }

    pub(crate) const fn small(value: i64, long: bool) -> Self {
        Self { repr: Repr::Small(value), long }
    }

    /// The number, if it has no more than 64 bits.
    pub const fn as_i64(self) -> Option<i64> {
        match self.repr {
            Repr::Small(value) => Some(value),
            Repr::Large(_) => None,
        }
    }

    /// The number, if it has no more than 128 bits.
    pub fn as_i128(self) -> Option<i128> {
        match self.repr {
            Repr::Small(value) => Some(value.into()),
            Repr::Large(bytes) if bytes.len() <= 16 => {
                let fill = if bytes.last().is_some_and(|last| last & 0x80 != 0) { 0xff } else { 0 };
                let mut all = [fill; 16];
                all[..bytes.len()].copy_from_slice(bytes);
                Some(i128::from_le_bytes(all))
            }
            Repr::Large(_) => None,
        }
    }

    /// The number, if it is not negative and has no more than 128 bits.
    pub fn as_u128(self) -> Option<u128> {
        match self.repr {
            Repr::Large(bytes) if bytes.len() == 17 && bytes[16] == 0 => {
                bytes[..16].try_into().ok().map(u128::from_le_bytes)
            }
            _ => self.as_i128()?.try_into().ok(),
        }
    }

    /// The floating-point number nearest to it; infinite if there is none.
    pub fn to_f64(self) -> f64 {
        match self.repr {
            Repr::Small(value) => value as f64,
            // Beyond 2^1024. To write them in decimal takes time that grows with their square.
            Repr::Large(bytes) if bytes.len() > 130 => {
                let negative = bytes.last().is_some_and(|last| last & 0x80 != 0);
                if negative { f64::NEG_INFINITY } else { f64::INFINITY }
            }
            Repr::Large(_) => {
                // Parsing rounds rightly, which casts of the library do not promise.
                self.to_string().parse().unwrap_or(f64::INFINITY)
            }
        }
    }

    /// The number.
    pub fn to_bigint(self) -> BigInt {
        match self.repr {
            Repr::Small(value) => value.into(),
            Repr::Large(bytes) => BigInt::from_signed_bytes_le(bytes),
        }
    }

    /// Whether Python 2.7 has it as a `long`.
    pub const fn is_long(self) -> bool {
        self.long || matches!(self.repr, Repr::Large(_))
    }
}

/// Without the bytes at the end that only repeat the sign.
pub(crate) fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [rest @ .., next, last] = bytes {
        let repeats = if next & 0x80 == 0 { 0 } else { 0xff };
        if *last != repeats {
            break;
        }
        bytes = &bytes[..=rest.len()];
    }
    bytes
}

/// At most 8 bytes.
fn small(bytes: &[u8]) -> i64 {
    let negative = bytes.last().is_some_and(|last| last & 0x80 != 0);
    let mut all = [if negative { 0xff } else { 0 }; 8];
    all[..bytes.len()].copy_from_slice(bytes);
    i64::from_le_bytes(all)
}

impl PartialEq for Int<'_> {
    /// As numbers: `1` and `1L` are the same.
    fn eq(&self, other: &Self) -> bool {
        match (self.repr, other.repr) {
            (Repr::Small(one), Repr::Small(other)) => one == other,
            (Repr::Large(one), Repr::Large(other)) => one == other,
            _ => false,
        }
    }
}

impl Eq for Int<'_> {}

impl fmt::Display for Int<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.repr {
            Repr::Small(value) => value.fmt(f),
            Repr::Large(_) => self.to_bigint().fmt(f),
        }
    }
}

impl fmt::Debug for Int<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
