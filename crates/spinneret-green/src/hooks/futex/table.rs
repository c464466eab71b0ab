//! The green threads that wait for futex words: what the kernel's own table is for threads.
//!
//! # Why no wake is lost
//! A waiter counts itself in its bucket, *then* looks at the word; a waker has changed the word,
//! *then* looks at the count. With a full fence between the two steps on either side, one of them
//! sees the other: a waker that finds no count was before the waiter's look, which then finds the
//! word changed and does not wait. A waker that finds a count takes the bucket's lock, under which
//! a waiter looks and enters the list, so it finds the waiter in the list or made it stay out.
//!
//! # Why nobody outlives its node
//! A node lies on its waiter's stack. Taken from the list by a waker, it is *taken*: its owner
//! stays (whatever its deadline) until the waker, having cloned the task out of it, marks it
//! *woken* and touches it no more.

use std::{
    cell::Cell,
    ptr,
    sync::atomic::{AtomicU32, AtomicUsize, Ordering, fence},
    time::Instant,
};

use super::super::{
    interruption::{self, End},
    lock::RawLock,
    raw::{AGAIN, Raw, refused},
};
use crate::{
    green,
    task::{Task, Woken},
};

const BUCKETS: usize = 256;

/// In a bucket's list, under whose lock alone it changes.
const LISTED: u32 = 0;
/// In a waker's hands.
const TAKEN: u32 = 1;
/// Its owner may leave.
const WOKEN: u32 = 2;

/// A waiter.
struct Node {
    task: *const Task,
    /// Of the word; changed when it is requeued.
    address: AtomicUsize,
    bits: u32,
    state: AtomicU32,
    next: Cell<*const Node>,
    previous: Cell<*const Node>,
}

/// Oldest first.
struct List {
    first: *const Node,
    last: *const Node,
}

// SAFETY: a list is reached under its bucket's lock alone, and so are the nodes' cells.
unsafe impl Send for List {}

impl List {
    const fn new() -> Self {
        Self { first: ptr::null(), last: ptr::null() }
    }

    /// # Safety
    /// The node lives until it is taken out.
    unsafe fn push(&mut self, node: *const Node) {
        // SAFETY: the caller's contract.
        let this = unsafe { &*node };
        this.previous.set(self.last);
        this.next.set(ptr::null());
        // SAFETY: listed nodes live.
        match unsafe { self.last.as_ref() } {
            Some(last) => last.next.set(node),
            None => self.first = node,
        }
        self.last = node;
    }

    fn remove(&mut self, node: &Node) {
        let (previous, next) = (node.previous.get(), node.next.get());
        // SAFETY: listed nodes live.
        match unsafe { previous.as_ref() } {
            Some(previous) => previous.next.set(next),
            None => self.first = next,
        }
        // SAFETY: as above.
        match unsafe { next.as_ref() } {
            Some(next) => next.previous.set(previous),
            None => self.last = previous,
        }
    }

    /// Removes up to `most` waiters for `address` whose bits meet `bits`, and chains them.
    fn take(&mut self, address: usize, bits: u32, most: u32) -> Chain {
        let mut chain = Chain { first: ptr::null(), count: 0 };
        let mut end: Option<&Node> = None;
        let mut next = self.first;
        while chain.count < most {
            // SAFETY: listed nodes live.
            let Some(node) = (unsafe { next.as_ref() }) else { break };
            next = node.next.get();
            if node.address.load(Ordering::Relaxed) != address || node.bits & bits == 0 {
                continue;
            }
            self.remove(node);
            node.next.set(ptr::null());
            node.state.store(TAKEN, Ordering::Relaxed);
            match end {
                Some(end) => end.next.set(node),
                None => chain.first = node,
            }
            end = Some(node);
            chain.count += 1;
        }
        chain
    }
}

/// Waiters that were taken out together.
struct Chain {
    first: *const Node,
    count: u32,
}

impl Chain {
    /// Lets them go on, outside of the bucket's lock.
    fn wake(self) -> u32 {
        let mut next = self.first;
        // SAFETY: the owner of a taken node stays until it is marked woken, and its task with it.
        while let Some(node) = unsafe { next.as_ref() } {
            next = node.next.get();
            // SAFETY: as above.
            let task = unsafe { &*node.task }.clone();
            node.state.store(WOKEN, Ordering::Release);
            task.unpark();
        }
        self.count
    }
}

/// The waiters for the words of one hash.
#[repr(align(64))]
struct Bucket {
    /// Green threads that are in the list, or about to look whether they enter it.
    green: AtomicU32,
    /// Threads that wait in the kernel, or are about to, by a hooked call.
    threads: AtomicU32,
    /// Whose turn it is to be woken first, where both kinds wait.
    turn: AtomicU32,
    list: RawLock<List>,
}

static TABLE: [Bucket; BUCKETS] = [const {
    Bucket {
        green: AtomicU32::new(0),
        threads: AtomicU32::new(0),
        turn: AtomicU32::new(0),
        list: RawLock::new(List::new()),
    }
}; BUCKETS];

fn bucket(address: usize) -> &'static Bucket {
    // Words are four bytes apart at least; the multiplication spreads what is left to the top.
    let hash = (address >> 2).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    &TABLE[hash >> (usize::BITS - BUCKETS.ilog2())]
}

/// Suspends the running green thread while `word` is `expected`, until a waker or `deadline`
/// comes. A wait with a deadline can be interrupted; then it ends as by its deadline.
pub(super) fn wait(
    task: &Task,
    word: &AtomicU32,
    expected: u32,
    bits: u32,
    deadline: Option<Instant>,
) -> Raw {
    let address = word.as_ptr() as usize;
    let node = Node {
        task,
        address: AtomicUsize::new(address),
        bits,
        state: AtomicU32::new(LISTED),
        next: Cell::new(ptr::null()),
        previous: Cell::new(ptr::null()),
    };
    let home = bucket(address);
    home.green.fetch_add(1, Ordering::SeqCst);
    fence(Ordering::SeqCst);
    {
        let mut list = home.list.lock();
        if word.load(Ordering::SeqCst) != expected {
            drop(list);
            home.green.fetch_sub(1, Ordering::Relaxed);
            return AGAIN;
        }
        // SAFETY: the node stays until it is woken, or taken out below.
        unsafe { list.push(&raw const node) };
    }
    let answer = suspend(&node, deadline);
    // It may have been requeued to another word.
    bucket(node.address.load(Ordering::Relaxed)).green.fetch_sub(1, Ordering::Relaxed);
    answer
}

/// Parks until the node is woken, or out of its list by `deadline`.
fn suspend(node: &Node, deadline: Option<Instant>) -> Raw {
    let mut firmly = deadline.is_none();
    while node.state.load(Ordering::Acquire) != WOKEN {
        let timed_out = if firmly {
            green::park_firmly(deadline) == Woken::TimedOut
        } else {
            match interruption::park(deadline) {
                End::Unparked => false,
                End::Deadline | End::Early(_) => true,
                End::Again(_) => {
                    firmly = true;
                    false
                }
            }
        };
        if timed_out && withdraw(node) {
            return refused(libc::ETIMEDOUT);
        }
    }
    0
}

/// Takes the node out of its list; false if a waker was sooner, who then wakes it soon.
fn withdraw(node: &Node) -> bool {
    loop {
        let address = node.address.load(Ordering::Relaxed);
        let mut list = bucket(address).list.lock();
        if node.state.load(Ordering::Relaxed) != LISTED {
            drop(list);
            // Nobody is suspended between taking and waking, so this is over soon.
            while node.state.load(Ordering::Acquire) != WOKEN {
                green::park_firmly(None);
            }
            return false;
        }
        // Requeued between the two looks: it is in another bucket's list.
        if node.address.load(Ordering::Relaxed) != address {
            continue;
        }
        list.remove(node);
        return true;
    }
}

/// Wakes up to `most` green threads and threads that wait for `word`; `kernel` wakes up to so many
/// threads. With neither kind favoured: where both wait, they are first in turns.
pub(super) fn wake(word: *const u32, bits: u32, most: u32, kernel: impl Fn(u32) -> Raw) -> Raw {
    let home = bucket(word as usize);
    fence(Ordering::SeqCst);
    if home.green.load(Ordering::SeqCst) == 0 {
        return kernel(most);
    }
    let green = |most: u32| {
        let chain = home.list.lock().take(word as usize, bits, most);
        chain.wake()
    };
    let threads_first = home.threads.load(Ordering::SeqCst) != 0
        && home.turn.fetch_add(1, Ordering::Relaxed).is_multiple_of(2);
    if threads_first {
        let raw = kernel(most);
        match u32::try_from(raw) {
            Ok(woken) if woken < most => raw + green(most - woken) as Raw,
            _ => raw,
        }
    } else {
        let woken = green(most);
        if woken == most {
            return woken as Raw;
        }
        let raw = kernel(most - woken);
        if raw < 0 && woken == 0 { raw } else { woken as Raw + raw.max(0) }
    }
}

/// Moves up to `most` green threads that wait for `from` to `to`, after waking `wake` of them, if
/// `check` (asked under the lock) agrees; else `None`. Says how many were woken and moved.
pub(super) fn requeue(
    from: *const u32,
    to: *const u32,
    wake: u32,
    most: u32,
    check: impl FnOnce() -> bool,
) -> Option<(u32, u32)> {
    let (here, there) = (bucket(from as usize), bucket(to as usize));
    fence(Ordering::SeqCst);
    let (woken, count) = {
        // Always in the same order, so that two of these do not wait for each other.
        let (mut first, mut second);
        let (source, target) = if ptr::eq(here, there) {
            first = here.list.lock();
            (&mut *first, None)
        } else if ptr::from_ref(here) < ptr::from_ref(there) {
            first = here.list.lock();
            second = there.list.lock();
            (&mut *first, Some(&mut *second))
        } else {
            second = there.list.lock();
            first = here.list.lock();
            (&mut *first, Some(&mut *second))
        };
        if !check() {
            return None;
        }
        let woken = source.take(from as usize, u32::MAX, wake);
        let mut moved = source.take(from as usize, u32::MAX, most);
        there.green.fetch_add(moved.count, Ordering::SeqCst);
        here.green.fetch_sub(moved.count, Ordering::SeqCst);
        let target = target.unwrap_or(source);
        // SAFETY: taken nodes stay until they are woken, and these are put back before that.
        while let Some(node) = unsafe { moved.first.as_ref() } {
            moved.first = node.next.get();
            node.address.store(to as usize, Ordering::Relaxed);
            node.state.store(LISTED, Ordering::Relaxed);
            // SAFETY: as above; from here on a waker takes it out, or its owner.
            unsafe { target.push(node) };
        }
        (woken, moved.count)
    };
    Some((woken.wake(), count))
}

/// A thread is about to wait in the kernel for a word; counted until this is dropped.
pub(super) struct Thread(&'static Bucket);

impl Thread {
    pub fn waits(word: *const u32) -> Self {
        let home = bucket(word as usize);
        home.threads.fetch_add(1, Ordering::SeqCst);
        Self(home)
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        self.0.threads.fetch_sub(1, Ordering::Relaxed);
    }
}
