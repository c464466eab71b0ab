//! Which descriptors of a hub are ready, and who waits for them.
//!
//! A reactor is an epoll instance of one hub. A descriptor enters it with the first wait for it
//! and stays until it is closed; its events are edges. That works without losing any because of
//! the order in which everything happens on the hub's one thread: an operation is tried first; if
//! the kernel has nothing, the direction is marked *dry*; only an edge that [`turn`](Reactor::turn)
//! collects clears the mark, and only a dry direction suspends its waiter. An edge that came
//! between the try and the wait is still in the kernel's list, and the next turn finds it. A stale
//! one costs a try.
//!
//! As tokio does, a read of a TCP stream that does not fill its buffer marks the direction dry
//! too: the next read waits without being tried, so that a request costs one read and one write.
//!
//! A descriptor may be known on several hubs; each has its own registration, and so gets each
//! edge. [`owners`] tells when a number has become another descriptor's.

#![allow(
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "the kernel and libc have different types for the same words"
)]

mod owners;
mod post;
mod slot;

use std::{
    cell::{Cell, OnceCell},
    io,
    mem::MaybeUninit,
    os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
    ptr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use libc::c_int;
use owners::Claim;
use post::{Closed, Post};
pub(crate) use slot::{Interest, Kind, Manner};
use slot::{Outcome, Slot, Wait, Waiter};

use crate::{green, hooks::raw::sys, task::Woken};

/// Counts the calls that may have changed how some descriptor waits (`O_NONBLOCK`, timeouts).
/// Such a setting belongs to what descriptors share after a `dup`, so a change of one makes all
/// be asked again, the next time that they would wait.
static MANNERS: AtomicU32 = AtomicU32::new(1);

/// See [`MANNERS`].
pub(crate) fn manners_changed() {
    if MANNERS.fetch_add(1, Ordering::AcqRel) == u32::MAX {
        // 0 stands for never.
        MANNERS.fetch_add(1, Ordering::AcqRel);
    }
}

/// Closes `fd` by `close`, after waking all who wait for it on any hub.
pub(crate) fn closing<R>(fd: usize, close: impl FnOnce() -> R) -> R {
    announce(fd);
    let result = close();
    owners::closed(fd);
    result
}

/// [`closing`] of all numbers from `first` to `last`.
pub(crate) fn closing_range<R>(first: usize, last: usize, close: impl FnOnce() -> R) -> R {
    owners::known(first, last).for_each(announce);
    let result = close();
    owners::known(first, last).for_each(owners::closed);
    result
}

fn announce(fd: usize) {
    let reactor = green::reactor();
    post::announce(fd, reactor.map(|reactor| &*reactor.post), |closed| {
        if let Some(reactor) = reactor {
            reactor.closed(closed);
        }
    });
}

/// Why a wait brought nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The wait's own deadline passed.
    TimedOut,
    /// A `timeout()` around the coroutine ended.
    OutOfTime,
    /// The coroutine is cancelled.
    Cancelled,
    /// A descriptor was closed under its waiter.
    Closed,
    /// The descriptor cannot be waited for, as epoll's error number says; if that is `EPERM`, it
    /// never has to be: make the call as it is.
    Unpollable(c_int),
}

/// How many slots are made at a time.
const PER_CHUNK: usize = 1024;

/// Of the bell, among the events' data; no descriptor has this number.
const BELL: u64 = u64::MAX;

/// So many calls of a hub's coroutines in a row may find what they want at once before one of
/// them lets others go first.
const STREAK: u32 = 128;

/// How often those are asked that epoll does not take.
const ASK_AGAIN: Duration = Duration::from_millis(2);

/// See the module. It belongs to its hub's thread; only its post is others' too.
pub(crate) struct Reactor {
    epoll: OwnedFd,
    chunks: Box<[OnceCell<Box<[Slot]>>]>,
    post: Arc<Post>,
    /// Calls that did not wait since the hub's last turn, or since one did.
    streak: Cell<u32>,
}

impl Reactor {
    pub fn new() -> io::Result<Self> {
        // SAFETY: the call has no preconditions.
        let epoll = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if epoll < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor was just made and has no other owner.
        let epoll = unsafe { OwnedFd::from_raw_fd(epoll) };
        let post = Post::open()?;
        let this = Self {
            epoll,
            chunks: (0..owners::NUMBERS / PER_CHUNK).map(|_| OnceCell::new()).collect(),
            post,
            streak: Cell::new(0),
        };
        match this.control(libc::EPOLL_CTL_ADD, this.post.as_raw_fd(), libc::EPOLLIN, BELL) {
            0 => Ok(this),
            errno => Err(io::Error::from_raw_os_error(errno)),
        }
    }

    /// Unparks whoever waits for what became ready; never blocks.
    pub fn turn(&self) {
        const ROOM: usize = 256;
        self.streak.set(0);
        let mut events = [const { MaybeUninit::<libc::epoll_event>::uninit() }; ROOM];
        loop {
            // SAFETY: there is room for as many events as are asked for.
            let got = unsafe {
                sys!(
                    libc::SYS_epoll_wait,
                    self.epoll.as_raw_fd(),
                    events.as_mut_ptr(),
                    ROOM as i32,
                    0
                )
            };
            // Without a wait, no signal comes between.
            let got = usize::try_from(got).unwrap_or(0);
            for event in &events[..got] {
                // SAFETY: the kernel wrote this many events.
                let event = unsafe { event.assume_init_read() };
                self.dispatch(event.events as c_int, event.u64);
            }
            if got < ROOM {
                return;
            }
        }
    }

    fn dispatch(&self, events: c_int, data: u64) {
        if data == BELL {
            for closed in self.post.take() {
                self.closed(closed);
            }
            return;
        }
        let (fd, generation) = (data as u32 as RawFd, (data >> 32) as u32);
        let Some(slot) = self.slot(fd).filter(|slot| slot.generation.get() == generation) else {
            return;
        };
        let ended = libc::EPOLLHUP | libc::EPOLLERR;
        let ending = ended | libc::EPOLLRDHUP | libc::EPOLLPRI;
        if events & (libc::EPOLLIN | ending) != 0 {
            slot.ready(Interest::READ, events & ending != 0);
        }
        if events & (libc::EPOLLOUT | ended) != 0 {
            slot.ready(Interest::WRITE, events & ended != 0);
        }
    }

    /// Wakes who waits for a descriptor that is closed.
    fn closed(&self, closed: Closed) {
        if let Some(slot) = self.slot(closed.fd)
            && slot.generation.get() == closed.generation
        {
            slot.wake(Interest::BOTH, Outcome::Closed);
            slot.renew(closed.generation.wrapping_add(1));
        }
    }

    /// The number's slot, whatever it knows.
    fn slot(&self, fd: RawFd) -> Option<&Slot> {
        let fd = usize::try_from(fd).ok()?;
        let chunk = self.chunks.get(fd / PER_CHUNK)?;
        let chunk = chunk.get_or_init(|| (0..PER_CHUNK).map(|_| Slot::new()).collect());
        Some(&chunk[fd % PER_CHUNK])
    }

    /// The number's slot, for the descriptor that it stands for now.
    fn current(&self, fd: RawFd) -> Option<&Slot> {
        let entry = owners::entry(fd)?;
        let slot = self.slot(fd)?;
        let generation = entry.generation();
        if slot.generation.get() != generation {
            // Those who still wait here wait for the one before; the letter is on its way.
            slot.wake(Interest::BOTH, Outcome::Closed);
            slot.renew(generation);
        }
        Some(slot)
    }

    /// What kind of thing `fd` is. Asks the kernel once.
    pub fn kind(&self, fd: RawFd) -> Kind {
        let Some(slot) = self.current(fd) else { return Kind::Plain };
        if slot.kind.get() == Kind::Unknown {
            let mut stat = MaybeUninit::<libc::stat>::uninit();
            // SAFETY: there is room for the answer, which the kernel lays out as libc does.
            let raw = unsafe { sys!(libc::SYS_fstat, fd, stat.as_mut_ptr()) };
            if raw < 0 {
                return Kind::Plain;
            }
            // SAFETY: the kernel wrote it.
            let mode = unsafe { stat.assume_init() }.st_mode;
            let kind = match mode & libc::S_IFMT {
                libc::S_IFSOCK => Kind::Socket,
                libc::S_IFIFO => Kind::NoWait,
                // Anonymous inodes (events, timers, processes) have no type.
                libc::S_IFCHR | 0 => Kind::Ask,
                _ => Kind::Plain,
            };
            if self.claim(fd, slot) != Claim::Held {
                return kind;
            }
            slot.kind.set(kind);
        }
        slot.kind.get()
    }

    /// Notes that `fd` is another kind of thing than it seemed.
    pub fn set_kind(&self, fd: RawFd, kind: Kind) {
        if let Some(slot) = self.current(fd) {
            slot.kind.set(kind);
        }
    }

    /// Makes sure that the closing of `fd` will be told here.
    fn claim(&self, fd: RawFd, slot: &Slot) -> Claim {
        owners::entry(fd)
            .map_or(Claim::Over, |entry| entry.claim(slot.generation.get(), self.post.bit))
    }

    /// How its user wants `fd` to wait in one direction. Asks the kernel if anything changed.
    pub fn manner(&self, fd: RawFd, interest: Interest) -> Manner {
        let now = MANNERS.load(Ordering::Acquire);
        let Some(slot) = self.current(fd) else { return Manner::default() };
        let cell = slot.manner(interest);
        if cell.get().read_at != now {
            // SAFETY: the call has no preconditions.
            let flags = unsafe { sys!(libc::SYS_fcntl, fd, libc::F_GETFL) };
            let nonblocking = flags > 0 && flags as c_int & libc::O_NONBLOCK != 0;
            let mut timeout = libc::timeval { tv_sec: 0, tv_usec: 0 };
            if !nonblocking {
                let option =
                    if interest == Interest::READ { libc::SO_RCVTIMEO } else { libc::SO_SNDTIMEO };
                // Fails for what is no socket, and leaves no timeout.
                get_option(fd, option, &mut timeout);
            }
            let micros = (timeout.tv_sec as u64)
                .saturating_mul(1_000_000)
                .saturating_add(timeout.tv_usec as u64);
            cell.set(Manner { read_at: now, nonblocking, micros });
        }
        cell.get()
    }

    /// A call on `fd` found nothing.
    pub fn dry(&self, fd: RawFd, interest: Interest) {
        if let Some(slot) = self.current(fd) {
            slot.dry(interest);
        }
    }

    /// Whether a try of `fd` would be in vain, as far as is known.
    pub fn is_dry(&self, fd: RawFd, interest: Interest) -> bool {
        self.current(fd).is_some_and(|slot| slot.is_registered() && slot.is_dry(interest))
    }

    /// A read of `fd` took less than it had room for.
    pub fn short_read(&self, fd: RawFd) {
        if let Some(slot) = self.current(fd) {
            slot.short_read();
        }
    }

    /// A call did not have to wait; says whether it is time to let others go first.
    pub fn is_greedy(&self) -> bool {
        let streak = self.streak.get() + 1;
        self.streak.set(if streak < STREAK { streak } else { 0 });
        streak >= STREAK
    }

    /// Suspends the running green thread until an edge comes for `fd`, which was just tried or
    /// asked in vain: then it is worth another try. So it is after a moment where epoll takes no
    /// more descriptors.
    pub fn wait(
        &self,
        fd: RawFd,
        interest: Interest,
        deadline: Option<Instant>,
    ) -> Result<(), Refused> {
        let slot = match self.register(fd) {
            Ok(slot) => slot,
            Err(Refused::Unpollable(errno)) if errno != libc::EPERM => return Self::nap(deadline),
            Err(refused) => return Err(refused),
        };
        self.streak.set(0);
        let Some(current) = green::current() else { return Err(Refused::Unpollable(0)) };
        let wait = Wait { task: &current, outcome: Cell::new(Outcome::Waiting) };
        let waiter = Waiter::new(&wait, interest);
        // SAFETY: it is not moved from here on, and slots live as long as the reactor, which
        // outlives its hub's green threads.
        unsafe { waiter.enter(slot) };
        suspend(&wait, deadline)
    }

    /// [`wait`](Self::wait) for the first of several. If some cannot be waited for, it ends after
    /// a short while: they have to be asked again and again.
    pub fn wait_any(
        &self,
        descriptors: &[(RawFd, Interest)],
        deadline: Option<Instant>,
    ) -> Result<(), Refused> {
        let Some(current) = green::current() else { return Err(Refused::Unpollable(0)) };
        let wait = Wait { task: &current, outcome: Cell::new(Outcome::Waiting) };
        let waiters: Vec<(Waiter<'_>, &Slot)> = descriptors
            .iter()
            .filter_map(|&(fd, interest)| {
                Some((Waiter::new(&wait, interest), self.register(fd).ok()?))
            })
            .collect();
        for (waiter, slot) in &waiters {
            // SAFETY: the vector is not touched until it is dropped; slots live as long as the
            // reactor, which outlives its hub's green threads.
            unsafe { waiter.enter(slot) };
        }
        if waiters.len() == descriptors.len() {
            return suspend(&wait, deadline);
        }
        suspend_shortly(&wait, deadline)
    }

    /// Suspends the running green thread for a moment, where no event tells when to try again.
    pub fn nap(deadline: Option<Instant>) -> Result<(), Refused> {
        let Some(current) = green::current() else { return Err(Refused::Unpollable(0)) };
        let wait = Wait { task: &current, outcome: Cell::new(Outcome::Waiting) };
        suspend_shortly(&wait, deadline)
    }

    /// Has the descriptor in the epoll instance. If it is ready now, that counts as an edge.
    fn register(&self, fd: RawFd) -> Result<&Slot, Refused> {
        let slot = self.current(fd).ok_or(Refused::Unpollable(libc::EBADF))?;
        if slot.is_registered() {
            return Ok(slot);
        }
        match self.claim(fd, slot) {
            Claim::Held => {}
            Claim::Later => return Err(Refused::Unpollable(libc::EBUSY)),
            Claim::Over => return Err(Refused::Closed),
        }
        let events =
            libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLRDHUP | libc::EPOLLPRI | libc::EPOLLET;
        let data = u64::from(slot.generation.get()) << 32 | u64::from(fd as u32);
        let errno = match self.control(libc::EPOLL_CTL_ADD, fd, events, data) {
            // The number was this very file's before, and a copy kept its registration alive.
            libc::EEXIST => self.control(libc::EPOLL_CTL_MOD, fd, events, data),
            errno => errno,
        };
        match errno {
            0 => {
                let mut protocol: c_int = 0;
                get_option(fd, libc::SO_PROTOCOL, &mut protocol);
                slot.register(protocol == libc::IPPROTO_TCP);
                Ok(slot)
            }
            errno => {
                if errno == libc::EPERM {
                    slot.kind.set(Kind::Plain);
                }
                Err(Refused::Unpollable(errno))
            }
        }
    }

    /// `epoll_ctl`; 0 or an error number.
    fn control(&self, operation: c_int, fd: RawFd, events: c_int, data: u64) -> c_int {
        let event = libc::epoll_event { events: events as u32, u64: data };
        // SAFETY: the kernel reads one event.
        let raw = unsafe {
            sys!(libc::SYS_epoll_ctl, self.epoll.as_raw_fd(), operation, fd, ptr::from_ref(&event))
        };
        -raw as c_int
    }
}

impl AsRawFd for Reactor {
    fn as_raw_fd(&self) -> RawFd {
        self.epoll.as_raw_fd()
    }
}

/// Parks until somebody sets an outcome.
fn suspend(wait: &Wait<'_>, deadline: Option<Instant>) -> Result<(), Refused> {
    loop {
        match wait.outcome.get() {
            Outcome::Ready => return Ok(()),
            Outcome::Closed => return Err(Refused::Closed),
            Outcome::Waiting => {}
        }
        match green::park(deadline) {
            Woken::Unparked => {}
            Woken::Cancelled => return Err(Refused::Cancelled),
            Woken::TimedOut if deadline.is_some_and(|own| own <= Instant::now()) => {
                return Err(Refused::TimedOut);
            }
            Woken::TimedOut => return Err(Refused::OutOfTime),
        }
    }
}

/// [`suspend`]s for a moment at most.
fn suspend_shortly(wait: &Wait<'_>, deadline: Option<Instant>) -> Result<(), Refused> {
    let soon = Instant::now() + ASK_AGAIN;
    match suspend(wait, Some(deadline.map_or(soon, |deadline| deadline.min(soon)))) {
        Err(Refused::TimedOut) if deadline.is_none_or(|own| own > Instant::now()) => Ok(()),
        waited => waited,
    }
}

/// `getsockopt` of the socket layer; leaves `value` alone if it fails.
pub(crate) fn get_option<T: Copy>(fd: RawFd, option: c_int, value: &mut T) {
    let mut length = size_of::<T>() as libc::socklen_t;
    let mut found = *value;
    // SAFETY: the kernel writes at most `length` bytes, of an option of plain numbers.
    let raw = unsafe {
        sys!(
            libc::SYS_getsockopt,
            fd,
            libc::SOL_SOCKET,
            option,
            ptr::from_mut(&mut found),
            ptr::from_mut(&mut length)
        )
    };
    if raw == 0 {
        *value = found;
    }
}
