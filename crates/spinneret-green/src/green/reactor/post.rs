//! How a thread tells the reactors of other threads that a descriptor is about to be closed.

use std::{
    io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
    ptr,
    sync::{Arc, Weak},
};

use super::owners::{self, BITS, Known};
use crate::hooks::{RawLock, raw::sys};

/// One reactor's letter box.
pub(super) struct Post {
    /// Of this reactor in [`owners`]; two have the same one beyond 31, and then get each other's
    /// letters, which say nothing to them.
    pub bit: u32,
    letters: RawLock<Vec<Closed>>,
    /// An eventfd in the reactor's epoll instance: rung for the first letter.
    bell: OwnedFd,
}

/// A descriptor that is closed, or soon will be.
#[derive(Clone, Copy)]
pub(super) struct Closed {
    pub fd: RawFd,
    pub generation: u32,
}

/// All that live, by their place; a free place is a dead one.
static POSTS: RawLock<Vec<Weak<Post>>> = RawLock::new(Vec::new());

impl Post {
    pub fn open() -> io::Result<Arc<Self>> {
        // SAFETY: the call has no preconditions.
        let bell = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if bell < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor was just made and has no other owner.
        let bell = unsafe { OwnedFd::from_raw_fd(bell) };
        let mut posts = POSTS.lock();
        let place = posts.iter().position(|post| post.strong_count() == 0).unwrap_or_else(|| {
            posts.push(Weak::new());
            posts.len() - 1
        });
        let post =
            Arc::new(Self { bit: 1 << (place % BITS), letters: RawLock::new(Vec::new()), bell });
        posts[place] = Arc::downgrade(&post);
        Ok(post)
    }

    fn put(&self, letter: Closed) {
        let mut letters = self.letters.lock();
        letters.push(letter);
        if letters.len() == 1 {
            let one = 1_u64;
            // SAFETY: eight bytes are read from `one`.
            unsafe { sys!(libc::SYS_write, self.bell.as_raw_fd(), ptr::from_ref(&one), 8_usize) };
        }
    }

    /// Takes all letters and silences the bell.
    pub fn take(&self) -> Vec<Closed> {
        let mut letters = self.letters.lock();
        let mut rung = 0_u64;
        // SAFETY: eight bytes are written to `rung`. The bell never blocks.
        unsafe { sys!(libc::SYS_read, self.bell.as_raw_fd(), ptr::from_mut(&mut rung), 8_usize) };
        std::mem::take(&mut letters)
    }
}

impl AsRawFd for Post {
    fn as_raw_fd(&self) -> RawFd {
        self.bell.as_raw_fd()
    }
}

/// Ends what any reactor knows of `fd`, which is about to be closed ([`owners::closed`] is told
/// when it is), and lets its waiters be woken; `here` does that for the calling thread's own reactor, whose post it is given.
pub(super) fn announce(fd: usize, here: Option<&Post>, mut close_here: impl FnMut(Closed)) {
    let Some(Known { generation, mut bits }) = owners::close(fd) else { return };
    if bits == 0 {
        return;
    }
    let letter = Closed { fd: fd as RawFd, generation };
    if let Some(here) = here.filter(|here| bits & here.bit != 0) {
        close_here(letter);
        bits &= !here.bit;
        // Another reactor may share the bit.
        if bits == 0 && POSTS.lock().len() <= BITS {
            return;
        }
        bits |= here.bit;
    }
    let places = POSTS.lock().len();
    for place in (0..places).filter(|place| bits & (1 << (place % BITS)) != 0) {
        let post = POSTS.lock()[place].upgrade();
        if let Some(post) = post
            && !here.is_some_and(|here| ptr::eq(here, &raw const *post))
        {
            post.put(letter);
        }
    }
}
