//! Which Python reads what is written.

/// The versions of Python that a pickle is written for, told apart by the protocol they themselves
/// write.
///
/// Every version reads its own dialect; a Python 3 reads those of older versions too, though with
/// the losses that Python itself has (8-bit strings of 2.7 become text).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dialect {
    /// Python 2.7: protocol 2, 8-bit and Unicode strings kept apart, modules by their old names.
    Python2,
    /// Python 3.0 to 3.7: protocol 3.
    Python3,
    /// Python 3.8 and later: protocol 4, which 3.4 and later read as well.
    Python38,
}

impl Dialect {
    /// The dialect of whoever wrote this pickle, by the protocol that its first bytes name. What
    /// names none, a pickle of protocol 0 or 1, counts as Python 2.7's.
    pub fn of(pickle: &[u8]) -> Self {
        match pickle {
            [0x80, protocol, ..] if *protocol > 3 => Self::Python38,
            [0x80, 3, ..] => Self::Python3,
            _ => Self::Python2,
        }
    }

    /// The number of the pickle protocol: 2, 3 or 4.
    pub const fn protocol(self) -> u8 {
        match self {
            Self::Python2 => 2,
            Self::Python3 => 3,
            Self::Python38 => 4,
        }
    }

    /// Whether it is that of Python 2.7.
    pub const fn is_python2(self) -> bool {
        matches!(self, Self::Python2)
    }
}

impl std::fmt::Display for Dialect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Python2 => "Python 2.7",
            Self::Python3 => "Python 3.0 to 3.7",
            Self::Python38 => "Python 3.8 and later",
        })
    }
}
