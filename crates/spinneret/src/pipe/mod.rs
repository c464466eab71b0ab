//! Pipes: two connected ends that send values to each other, within a process or between two.
//!
//! [`pipe`] makes two ends that both send and receive, [`pipe_simplex`] a receiver and a sender.
//! Ends travel in the arguments of processes and tasks, in their results, and over other pipes.
//!
//! ```
//! use spinneret::pipe::{Connection, pipe};
//! use spinneret::process::Process;
//!
//! #[spinneret::task]
//! fn double(numbers: Connection<u64>) {
//!     while let Ok(number) = numbers.recv() {
//!         numbers.send(&(number * 2)).unwrap();
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (ours, theirs) = pipe::<u64>()?;
//! let process = Process::new(double, theirs)?;
//! process.start()?;
//! ours.send(&21)?;
//! assert_eq!(ours.recv()?, 42);
//! drop(ours);
//! assert_eq!(process.join()?.code(), 0);
//! # Ok(())
//! # }
//! ```
//!
//! # What is promised
//! - A message arrives whole or not at all, and in order, however many threads and processes send
//!   or receive at the same end. Each is received once.
//! - Up to 1 GiB of encoded bytes a message. About 200 KiB wait in the pipe, then `send` waits for
//!   the receiver. A message of more than 64 KiB is handed over: `send` returns when it was taken.
//!   So a thread that sends much to itself waits for ever.
//! - What was sent before an end was dropped, or its process died, can still be received; then comes
//!   [`RecvError::Eof`]. An end is gone when its *last holder* is. Clones are holders, and so is each
//!   process that an end was sent to. What is sent by reference stays with the sender too: drop it
//!   there, or the other end never sees the end. Arguments of a `Process` and of tasks are handed
//!   over for good.
//! - A message that cannot be decoded is an error of its own, and the next one still comes.
//!
//! Modelled on Python's `multiprocessing.Pipe` and `multiprocessing.connection`. Built on Unix
//! sockets of the type `SOCK_SEQPACKET`, which keep messages apart in the kernel: a message is one
//! system call for each side, and its round trip was found a sixth shorter than over `SOCK_STREAM`.

mod connection;
mod error;
mod socket;
pub(crate) mod wait;

use std::convert::Infallible;
use std::io;

pub use self::connection::Connection;
pub use self::error::{RecvError, SendError};
pub use self::wait::{Waitable, wait};

/// An end that only receives.
pub type Receiver<T> = Connection<Infallible, T>;

/// An end that only sends.
pub type Sender<T> = Connection<T, Infallible>;

/// Two ends that send each other values of one type: Python's `Pipe()`. See [`pipe_between`] for
/// questions and answers of different types.
///
/// # Errors
/// If the system has no descriptors left.
pub fn pipe<T>() -> io::Result<(Connection<T>, Connection<T>)> {
    pipe_between()
}

/// Two ends, of which the first sends values of type `A` and gets `B`, and the second the other way
/// about.
///
/// # Errors
/// As [`pipe()`].
pub fn pipe_between<A, B>() -> io::Result<(Connection<A, B>, Connection<B, A>)> {
    let (one, other) = socket::pair()?;
    Ok((Connection::new(one), Connection::new(other)))
}

/// A receiver and a sender, in the order of Python's `Pipe(duplex=False)`.
///
/// # Errors
/// As [`pipe()`].
pub fn pipe_simplex<T>() -> io::Result<(Receiver<T>, Sender<T>)> {
    pipe_between()
}
