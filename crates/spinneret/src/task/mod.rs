//! Tasks: functions that have a name, so that another process can be asked to run them.
//!
//! Mark a function with [`macro@crate::task`] and hand it to a pool. What travels is its name,
//! its arguments and its result, never code or an address of code: both sides are the same
//! program, and they compare their lists of tasks when they meet.
//!
//! Arguments and results are encoded as `MessagePack` with named fields, which describes itself:
//! serde's `flatten`, `untagged`, `default` and `skip_serializing_if` work.

mod codec;
mod error;
pub mod registry;
mod runner;

pub use self::error::{Outcome, TaskError};

pub use self::codec::EncodeError;
pub(crate) use self::codec::{LARGEST, decode, encode, to_bytes};
pub(crate) use self::runner::{Runner, discard, message as panic_message, runtime};

use std::fmt;
use std::pin::Pin;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// A function with a name, owned arguments and an owned result; made by [`macro@crate::task`].
///
/// Implement it by hand only for what the attribute cannot say, and then register it with
/// [`registry::add`].
pub trait Task: Copy + Send + Sync + 'static {
    /// What the function takes: the argument itself if it is one, a tuple if several, `()` if none.
    type Args: Serialize + DeserializeOwned + Send + 'static;
    /// What the function returns; for an `async` one, what its future resolves to.
    type Output: Serialize + DeserializeOwned + Send + 'static;

    /// The name under which processes find it, unique in a program.
    const NAME: &'static str;
    /// A fingerprint of the argument and result types, see [`signature`]. Two sides whose
    /// fingerprints of one name differ do not run it.
    const SIGNATURE: u64;

    /// Calls the function.
    fn run(args: Self::Args) -> Call<Self::Output>;
}

/// A task that was called: a plain function has already returned, an `async` one has yet to run.
pub enum Call<T> {
    /// The result of a plain function.
    Done(T),
    /// The future of an `async` function, not polled so far.
    Pending(Pin<Box<dyn Future<Output = T> + Send>>),
}

impl<T: fmt::Debug> fmt::Debug for Call<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done(value) => f.debug_tuple("Done").field(value).finish(),
            Self::Pending(_) => f.write_str("Pending(..)"),
        }
    }
}

/// The fingerprint of a task's types, given as text: 64-bit FNV-1a.
///
/// It tells versions of a program apart; it is no defence against one who wants a collision.
pub const fn signature(types: &str) -> u64 {
    let bytes = types.as_bytes();
    let mut hash = 0xcbf2_9ce4_8422_2325;
    let mut index = 0;
    while index < bytes.len() {
        hash = (hash ^ bytes[index] as u64).wrapping_mul(0x0100_0000_01b3);
        index += 1;
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_fnv_1a() {
        // From the reference test vectors of the hash's authors.
        assert_eq!(signature(""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(signature("a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(signature("foobar"), 0x8594_4171_f739_67e8);
    }
}
