//! Values and arrays in memory that processes share.
//!
//! A [`Value`] or [`Array`] has a lock with it, and a guard that is the data; an [`Atomic`] or
//! [`AtomicArray`] has none, and is the standard library's atomics. All are made in one process and
//! sent to others inside the arguments of a task or in messages; clones and copies are the same
//! memory.
//!
//! What they hold must be plain: bytes that mean the same in every process, of which any will do.
//! [`bytemuck::Pod`] says so of numbers and arrays of them, and can be derived for structs without
//! gaps:
//! ```
//! use spinneret::shared::{Value, bytemuck};
//!
//! #[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
//! #[bytemuck(crate = "spinneret::shared::bytemuck")]
//! #[repr(C)]
//! struct Progress {
//!     pages: u64,
//!     images: u64,
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let progress = Value::new(Progress { pages: 0, images: 0 })?;
//! progress.lock().unwrap().pages += 1;
//! # Ok(())
//! # }
//! ```
//!
//! A process that dies while it has the lock of a value is reported to the next taker, never waited
//! for: see [`OwnerDied`]. Processes that share memory trust each other, as threads do.
//!
//! Linux only.

mod array;
mod atomic;
mod value;

pub use bytemuck;

pub use self::array::{Array, ArrayGuard};
pub use self::atomic::{Atomic, AtomicArray, Word};
pub use self::value::{Value, ValueGuard};
pub use crate::os::MemoryError;
pub use crate::process::sync::{LockResult, OwnerDied};

#[cfg(test)]
mod tests {
    use serde::{Serialize, de::DeserializeOwned};

    use super::*;
    use crate::process::attachment;
    use crate::process::sync::{
        Barrier, BoundedSemaphore, Condition, Event, Lock, RLock, Semaphore,
    };

    /// Sends a handle to a reader who takes it for another.
    fn take_for<T: DeserializeOwned>(handle: &impl Serialize) -> Result<T, String> {
        let (bytes, fds) = attachment::encode(handle).unwrap();
        let fds = fds.iter().map(|fd| fd.try_clone().unwrap()).collect();
        attachment::decode(&bytes, fds).map_err(|error| error.to_string())
    }

    #[test]
    fn a_handle_is_taken_for_what_it_is_and_nothing_else() {
        let value = Value::new(7_u32).unwrap();
        let copy = take_for::<Value<u32>>(&value).unwrap();
        copy.set(8);
        assert_eq!(value.get().unwrap(), 8);
        for error in [
            take_for::<Value<f32>>(&value).unwrap_err(),
            take_for::<Value<[u32; 1]>>(&value).unwrap_err(),
            take_for::<Atomic<u32>>(&value).unwrap_err(),
            take_for::<Array<u32>>(&value).unwrap_err(),
            take_for::<Lock>(&value).unwrap_err(),
            take_for::<RLock>(&Lock::new().unwrap()).unwrap_err(),
            take_for::<Lock>(&RLock::new().unwrap()).unwrap_err(),
            take_for::<Event>(&Condition::new().unwrap()).unwrap_err(),
            take_for::<Condition>(&Barrier::new(2).unwrap()).unwrap_err(),
            take_for::<Barrier>(&Event::new().unwrap()).unwrap_err(),
            take_for::<BoundedSemaphore>(&Semaphore::new(1).unwrap()).unwrap_err(),
            take_for::<Semaphore>(&BoundedSemaphore::new(1).unwrap()).unwrap_err(),
            take_for::<AtomicArray<u64>>(&Array::new(2, 0_u64).unwrap()).unwrap_err(),
        ] {
            assert!(error.contains("expected") || error.contains("another type"), "{error}");
        }
    }

    #[test]
    fn handles_go_between_threads() {
        fn assert<T: Send + Sync>() {}
        assert::<(Value<u8>, Array<u8>, Atomic<u32>, AtomicArray<u32>)>();
        assert::<(Lock, RLock, Semaphore, BoundedSemaphore, Event, Condition, Barrier)>();
    }
}
