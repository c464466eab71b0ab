//! Tells who holds up a hub, since nobody else can.
//!
//! A green thread that computes for long lets all others of its hub wait, and an async task that
//! waits for a lock which a suspended green thread of the same hub holds waits for ever. The
//! watchdog is a thread that looks at the hubs from time to time while at least one is busy. It
//! also speaks for them: a hub must not wait for the lock of a log.

use std::{
    fs, io, ptr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering, fence},
    },
    thread,
    time::{Duration, Instant},
};

use super::shared::{OPEN, Shared, Watch};
use crate::task::Inner;

/// No hub is complained about more often.
const QUIET: Duration = Duration::from_secs(5);

/// Looks at which no hub was busy before the watchdog sleeps.
const BORED: u32 = 4;

#[derive(Debug)]
pub(super) struct Watchdog {
    slow_after: Duration,
    /// It waits to be unparked by the first hub that is busy.
    asleep: AtomicBool,
    thread: std::sync::OnceLock<thread::Thread>,
}

/// What was seen of a hub at the last look.
#[derive(Clone, Copy)]
struct Seen {
    switches: u64,
    running: *mut Inner,
    /// Since when it is as it is.
    since: Instant,
    /// It was told of.
    told: bool,
    complained: Option<Instant>,
}

impl Watchdog {
    pub fn new(slow_after: Duration) -> Arc<Self> {
        Arc::new(Self {
            slow_after: slow_after.max(Duration::from_millis(1)),
            asleep: AtomicBool::new(false),
            thread: std::sync::OnceLock::new(),
        })
    }

    /// A hub's runtime has nothing to do.
    pub fn idle(watch: &Watch) {
        watch.idle.store(true, Ordering::Relaxed);
    }

    /// A hub's runtime has something to do.
    pub fn busy(&self, watch: &Watch) {
        watch.idle.store(false, Ordering::Relaxed);
        if self.asleep.load(Ordering::Relaxed)
            && self.asleep.swap(false, Ordering::AcqRel)
            && let Some(thread) = self.thread.get()
        {
            thread.unpark();
        }
    }

    /// Starts to look at `hubs`, until they end.
    pub fn start(self: &Arc<Self>, hubs: &[&'static Shared]) -> io::Result<()> {
        let (this, hubs) = (Arc::clone(self), hubs.to_vec());
        let thread =
            thread::Builder::new().name("hub-watchdog".into()).spawn(move || this.watch(&hubs))?;
        let _ = self.thread.set(thread.thread().clone());
        Ok(())
    }

    fn watch(&self, hubs: &[&'static Shared]) {
        let now = Instant::now();
        let none = Seen {
            switches: 0,
            running: ptr::null_mut(),
            since: now,
            told: false,
            complained: None,
        };
        let mut seen = vec![none; hubs.len()];
        let mut boring = 0;
        while hubs.iter().any(|hub| hub.phase.load(Ordering::Relaxed) == OPEN) {
            if boring < BORED {
                thread::sleep(self.slow_after / 2);
            } else {
                self.asleep.store(true, Ordering::SeqCst);
                // A hub that became busy before it could see this is found at the next look.
                thread::park_timeout(Duration::from_secs(10));
                self.asleep.store(false, Ordering::Relaxed);
                boring = 0;
            }
            let mut all_idle = true;
            for (hub, seen) in hubs.iter().zip(&mut seen) {
                all_idle &= hub.watch.idle.load(Ordering::Relaxed);
                self.look(hub, seen);
            }
            boring = if all_idle { boring + 1 } else { 0 };
        }
    }

    fn look(&self, hub: &Shared, seen: &mut Seen) {
        let now = Instant::now();
        let watch = &hub.watch;
        let living = watch.living.load(Ordering::Relaxed);
        if watch.starved.swap(false, Ordering::Relaxed) {
            tracing::error!(
                "hub-{}: no memory for the stack of a coroutine; {living} are there, and the new \
                 one waits until one of them ends",
                hub.index,
            );
        }
        let switches = watch.switches.load(Ordering::Relaxed);
        let running = watch.running.load(Ordering::Relaxed);
        let idle = watch.idle.load(Ordering::Relaxed);
        if idle || switches != seen.switches || running != seen.running {
            *seen = Seen { switches, running, since: now, told: false, ..*seen };
            return;
        }
        let held = now - seen.since;
        let quiet = seen.complained.is_some_and(|at| now - at < QUIET);
        if held < self.slow_after || seen.told || quiet {
            return;
        }
        if !running.is_null() {
            let others = watch.ready.load(Ordering::Relaxed) > 0 || hub.is_told();
            let Some(who) = who(watch, running, switches).filter(|_| others) else { return };
            let why = if waits_for_lock(watch.thread.load(Ordering::Relaxed)) {
                "it waits for a lock: switch patched calls on, patch_all()"
            } else {
                "let it call yield_now, or run it on a thread"
            };
            tracing::warn!(
                "hub-{}: {who} has held its hub for {held:?} while others are ready; {why}",
                hub.index,
            );
        } else if living > 0 && waits_for_lock(watch.thread.load(Ordering::Relaxed)) {
            tracing::warn!(
                "hub-{}: an async task has blocked its hub for {held:?} by waiting for a lock, \
                 while {living} coroutines are suspended; if one of them holds the lock, this is \
                 for ever: take it in coroutines only, or use an async lock in async tasks",
                hub.index,
            );
        } else {
            return;
        }
        seen.told = true;
        seen.complained = Some(now);
    }
}

/// The name of the green thread that a hub runs, if it is still the one that was seen.
fn who(watch: &Watch, running: *mut Inner, switches: u64) -> Option<String> {
    watch.pinned.store(running, Ordering::Relaxed);
    fence(Ordering::SeqCst);
    let still = watch.running.load(Ordering::Acquire) == running
        && watch.switches.load(Ordering::Relaxed) == switches;
    // SAFETY: it is still there; and the hub, which says that it runs no more before it looks at
    // what is pinned, does not forget it meanwhile.
    let who = still.then(|| unsafe { &*running }.to_string());
    watch.pinned.store(ptr::null_mut(), Ordering::Release);
    who
}

/// Whether a thread of this process is in the kernel for a futex.
fn waits_for_lock(thread: i32) -> bool {
    let call = fs::read_to_string(format!("/proc/self/task/{thread}/syscall"));
    let number = call.ok().and_then(|line| line.split(' ').next()?.parse().ok());
    number == Some(libc::SYS_futex)
}
