//! Who is alive: processes that lease bear a number, which the kernel takes back when they die.
//!
//! The number is a lock on a byte of the queue's file, held by an open file description that only
//! this process has. The kernel releases it when the process ends, whatever ended it, and tells
//! anybody who asks whether it is held: no process id can be mistaken for its successor's, and no
//! namespace is in the way.

use std::io;
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd, RawFd};
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use rustix::fs::{Mode, OFlags, open};

use super::core::Fault;
use crate::os::byte_lock;

/// Where the bytes that stand for numbers begin: far beyond what is ever read or written.
const BYTES: i64 = 1 << 62;

/// The most processes that lease from one queue at the same time.
const NUMBERS: u32 = 1 << 16;

/// This process's number, once it has one.
#[derive(Debug, Default)]
pub(crate) struct Membership {
    /// The number, and above it the id of the process that took it: a fork has it in memory, but it
    /// is not its own. 0 for none. Read without a lock: whoever holds a lock of the queue asks.
    own: AtomicU64,
    /// Taken to join, and while joining the queue's locks are taken: never the other way round.
    member: Mutex<Option<Member>>,
}

/// Holds the lock on the number's byte.
#[derive(Debug)]
struct Member {
    description: RawFd,
    process: u32,
}

/// Descriptors that hold locks of this process. A fork closes its copies of them, or this process
/// would seem alive for as long as its child.
static DESCRIPTIONS: Mutex<Vec<RawFd>> = Mutex::new(Vec::new());

impl Member {
    fn new(description: OwnedFd) -> Self {
        static AT_FORK: Once = Once::new();
        AT_FORK.call_once(|| {
            // SAFETY: the function does what a process that was just forked may do. Should it not be
            // registered, deaths of processes that forked are noticed later.
            unsafe { libc::pthread_atfork(None, None, Some(let_go)) };
        });
        let member = Self { description: description.into_raw_fd(), process: std::process::id() };
        DESCRIPTIONS.lock().push(member.description);
        member
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        if self.process == std::process::id() {
            DESCRIPTIONS.lock().retain(|description| *description != self.description);
            // SAFETY: it is this process's own, and used by nobody else.
            unsafe { libc::close(self.description) };
        }
    }
}

/// Runs in a forked child, before anything else there.
extern "C" fn let_go() {
    // A thread that is not there may hold it; then an exec, or the end, lets go.
    if let Some(mut descriptions) = DESCRIPTIONS.try_lock() {
        // Only forgotten, not freed: the allocator may be in use by that thread too.
        for description in descriptions.drain(..) {
            // SAFETY: the copy belongs to a `Member` that does not close it in this process.
            unsafe { libc::close(description) };
        }
    }
}

impl Membership {
    /// Takes a number, if this process has none; `greet` is called with it before it is used.
    pub(super) fn join(&self, file: &OwnedFd, greet: impl FnOnce(u32)) -> Result<u32, Fault> {
        if let Some(number) = self.number() {
            return Ok(number);
        }
        let mut member = self.member.lock();
        if let Some(number) = self.number() {
            return Ok(number);
        }
        let process = std::process::id();
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        let description = open(path, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
        for attempt in 0..NUMBERS {
            let number = process.wrapping_add(attempt) % NUMBERS;
            if lock(&description, libc::F_OFD_SETLK, number)?.is_some() {
                *member = Some(Member::new(description));
                greet(number);
                self.own.store(u64::from(process) << 32 | u64::from(number), Ordering::Release);
                return Ok(number);
            }
        }
        Err(Fault::System(io::Error::other(
            "more processes lease from the queue than it can tell apart",
        )))
    }

    /// This process's number, if it has one.
    pub(super) fn number(&self) -> Option<u32> {
        let own = self.own.load(Ordering::Acquire);
        (own != 0 && own >> 32 == u64::from(std::process::id())).then_some(own as u32)
    }

    /// Whether the process with the number lives. If it cannot be told it does.
    pub(super) fn is_alive(&self, file: &OwnedFd, number: u32) -> bool {
        if self.number() == Some(number) {
            return true;
        }
        match lock(file, libc::F_OFD_GETLK, number) {
            Ok(Some(kind)) => kind != libc::F_UNLCK,
            Ok(None) | Err(_) => true,
        }
    }
}

/// Asks for the lock of a number, or after it; `None` if another process has it.
fn lock(file: &OwnedFd, command: libc::c_int, number: u32) -> io::Result<Option<libc::c_int>> {
    byte_lock(file, command, BYTES + i64::from(number))
}
