//! Green threads: tens of thousands of coroutines that run ordinary blocking code, beside async tasks.
//!
//! [`spawn`] takes a closure of blocking code, unchanged, or a future. Both kinds run on a few
//! threads of the system, the *hubs*, each with an event loop. A wait suspends the coroutine instead
//! of its hub: waits of this crate always ([`JoinHandle::join`], [`sleep`], [`block_on`]...), and
//! once [`patch_all`] was called, those of everything else too: `std::net`, HTTP clients built on it,
//! `std::sync`, `thread::sleep`, name look-ups.
//!
//! ```
//! use std::io::{Read, Write};
//! use std::net::{TcpListener, TcpStream};
//!
//! use spinneret_green::{join_all, patch_all, spawn};
//!
//! patch_all();
//! let listener = TcpListener::bind("127.0.0.1:0")?;
//! let address = listener.local_addr()?;
//! let server = spawn(move || {
//!     for socket in listener.incoming().take(3) {
//!         let mut socket = socket?;
//!         spawn(move || socket.write_all(b"hello")).join().expect("no panic")?;
//!     }
//!     Ok::<_, std::io::Error>(())
//! });
//! let visit = move || {
//!     let mut text = String::new();
//!     TcpStream::connect(address)?.read_to_string(&mut text)?;
//!     Ok::<_, std::io::Error>(text)
//! };
//! for text in join_all([spawn(visit), spawn(visit), spawn(visit)]) {
//!     assert_eq!(text??, "hello");
//! }
//! server.join()??;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Where green threads cannot work, each closure gets a thread of the system: the same API, the same
//! outcomes, more memory. [`backend`] tells which it is.

mod allocator;
mod backend;
mod config;
mod current;
#[cfg(green_threads)]
mod green;
mod group;
#[cfg(green_threads)]
mod hooks;
mod interrupt;
mod join;
mod local;
mod patch;
mod spawn;
mod task;
mod threads;
mod timeout;
mod wait;

pub use self::allocator::HubAllocator;
pub use self::backend::{Backend, StillRunning, backend, shutdown};
pub use self::config::{Config, ConfigureError, Resolver, configure};
pub use self::current::{Current, current};
pub use self::group::Group;
pub use self::join::{JoinError, JoinHandle, Payload, join_all, wait_any};
pub use self::local::Local;
pub use self::patch::{Patch, Report, is_patched, patch, patch_all};
pub use self::spawn::{Builder, Spawn, kind, spawn};
pub use self::timeout::{TimedOut, timeout};
pub use self::wait::{block_on, sleep, yield_now};

/// The README's example, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// For libraries that build on this one; no promise is made about it.
#[doc(hidden)]
pub mod __private {
    pub use crate::backend::{id, in_blocking_coroutine, on_hub};
    pub use crate::interrupt::{check, is_interruption, shielded, was_cancelled};
}
