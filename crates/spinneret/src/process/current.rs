//! Who this process is, and whose child.

use std::sync::OnceLock;
use std::time::Duration;

use super::link::{Link, Watch};
use super::sentinel::Sentinel;
use super::sys;

/// Set in processes that this program started; the others are main processes.
static ME: OnceLock<Me> = OnceLock::new();

/// What a process was told of itself when it was started.
pub(super) struct Me {
    pub(super) name: String,
    /// Numbers of the ancestors' children that lead here, as in `Process-1:2`.
    pub(super) identity: Vec<u32>,
    pub(super) daemon: bool,
    pub(super) parent: Parent,
}

/// Notes who this process is; the first call counts.
pub(super) fn become_known(me: Me) {
    let _ = ME.set(me);
}

/// Numbers of the ancestors' children that lead to this process; none for a main process.
pub(super) fn identity() -> &'static [u32] {
    ME.get().map_or(&[], |me| &me.identity)
}

/// The name of this process.
pub(super) fn name() -> &'static str {
    ME.get().map_or("MainProcess", |me| &me.name)
}

/// This process, as [`current`] describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Current {
    name: &'static str,
    daemon: bool,
    main: bool,
}

/// This process: Python's `multiprocessing.current_process()`.
///
/// ```
/// let this = spinneret::process::current();
/// assert_eq!((this.name(), this.pid()), ("MainProcess", std::process::id()));
/// assert!(this.is_main() && spinneret::process::parent().is_none());
/// ```
pub fn current() -> Current {
    let me = ME.get();
    Current { name: name(), daemon: me.is_some_and(|me| me.daemon), main: me.is_none() }
}

impl Current {
    /// `MainProcess`, the name given by [`Process::with_name`](super::Process::with_name),
    /// `Process-1` and so on, or `PoolWorker`.
    pub fn name(&self) -> &str {
        self.name
    }

    /// The process's number.
    // A method like its siblings, and asked anew: a fork has another.
    #[allow(clippy::unused_self, reason = "a method like its siblings")]
    pub fn pid(&self) -> u32 {
        std::process::id()
    }

    /// Whether it ends with its parent. Workers of pools do.
    pub fn is_daemon(&self) -> bool {
        self.daemon
    }

    /// Whether nobody of this program started it.
    pub fn is_main(&self) -> bool {
        self.main
    }
}

/// The process that started this one, as [`parent`] gives it.
#[derive(Clone, Debug)]
pub struct Parent {
    pid: u32,
    name: String,
    sentinel: Sentinel,
}

/// The process that started this one as its [`Process`](super::Process) or as a worker of a pool;
/// `None` in the main process. Python's `multiprocessing.parent_process()`.
pub fn parent() -> Option<Parent> {
    ME.get().map(|me| me.parent.clone())
}

impl Parent {
    /// The parent at the other end of `link`. `watch` says when it dies, if it could be watched.
    pub(super) fn new(pid: u32, name: String, watch: &Watch, link: &Link) -> Self {
        // Asked after the watch began: if it died before, the number may be another's, and the end
        // of the stream tells.
        let watch = Some(watch).filter(|_| sys::is_parent(pid));
        Self { pid, name, sentinel: Sentinel::of(watch, link) }
    }

    /// Its number. When it has died, the number may be another's.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Its name, as its own [`current`] says it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it still runs.
    pub fn is_alive(&self) -> bool {
        !self.sentinel.wait(Some(Duration::ZERO))
    }

    /// What becomes readable when it dies.
    pub fn sentinel(&self) -> Sentinel {
        self.sentinel.clone()
    }
}
