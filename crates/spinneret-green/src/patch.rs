//! Which blocking calls suspend a coroutine instead of its thread.

use std::fmt;

use crate::backend::{self, Backend};
#[cfg(green_threads)]
use crate::hooks;

/// A family of blocking calls of the C library.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Patch {
    /// Sockets, pipes and whatever else can be polled: connect, accept, read, write, send, receive.
    Sockets,
    /// Sleeping and yielding.
    Sleep,
    /// Waiting for futexes: the locks, channels and parking of the standard library, of `parking_lot`
    /// and of crossbeam.
    Locks,
    /// Name look-ups: `getaddrinfo`.
    Names,
    /// Waiting for child processes.
    Children,
    /// `poll`, `select` and `epoll_wait`.
    Poll,
    /// Starting and joining threads.
    Threads,
}

impl Patch {
    /// All families.
    pub const ALL: [Self; 7] = [
        Self::Sockets,
        Self::Sleep,
        Self::Locks,
        Self::Names,
        Self::Children,
        Self::Poll,
        Self::Threads,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Sockets => "sockets",
            Self::Sleep => "sleep",
            Self::Locks => "locks",
            Self::Names => "names",
            Self::Children => "children",
            Self::Poll => "poll",
            Self::Threads => "threads",
        }
    }
}

/// What is patched. Its text is for people: `patched: sockets, sleep; not patched: locks`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    patched: Vec<Patch>,
    why: Option<String>,
}

impl Report {
    /// The families that are patched.
    pub fn patched(&self) -> &[Patch] {
        &self.patched
    }

    /// Why none can be, if that is so: coroutines are threads of the operating system here, which
    /// calls may block.
    pub fn impossible(&self) -> Option<&str> {
        self.why.as_deref()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |patched: bool| {
            let named =
                Patch::ALL.into_iter().filter(|patch| self.patched.contains(patch) == patched);
            named.map(Patch::name).collect::<Vec<_>>().join(", ")
        };
        let (yes, no) = (names(true), names(false));
        match (&self.why, yes.as_str(), no.as_str()) {
            (Some(why), ..) => write!(f, "nothing is patched, and need not be: {why}"),
            (None, yes, "") => write!(f, "patched: {yes}"),
            (None, "", no) => write!(f, "not patched: {no}"),
            (None, yes, no) => write!(f, "patched: {yes}; not patched: {no}"),
        }
    }
}

/// Has all families of blocking calls suspend the coroutine that makes them instead of its thread.
///
/// It holds for the whole program, for good, and for coroutines of blocking code only: in plain
/// threads and async tasks all calls do what they always did. Without it, a coroutine that blocks
/// holds up all others of its hub; the waits of this crate never do.
///
/// ```
/// let report = spinneret_green::patch_all();
/// println!("{report}");
/// ```
pub fn patch_all() -> Report {
    patch(&Patch::ALL)
}

/// Has these families of calls suspend the coroutine that makes them, beside those patched before.
pub fn patch(families: &[Patch]) -> Report {
    if let Backend::OsThreads { why } = backend::backend() {
        return Report { patched: Vec::new(), why: Some(why.clone()) };
    }
    families.iter().copied().for_each(enable);
    Report {
        patched: Patch::ALL.into_iter().filter(|patch| is_patched(*patch)).collect(),
        why: None,
    }
}

#[cfg(green_threads)]
impl Patch {
    fn family(self) -> hooks::Family {
        match self {
            Self::Sockets => hooks::Family::SOCKETS,
            Self::Sleep => hooks::Family::SLEEP,
            Self::Locks => hooks::Family::LOCKS,
            Self::Names => hooks::Family::NAMES,
            Self::Children => hooks::Family::CHILDREN,
            Self::Poll => hooks::Family::POLL,
            Self::Threads => hooks::Family::THREADS,
        }
    }
}

#[cfg(green_threads)]
fn enable(family: Patch) {
    hooks::enable(family.family());
}

#[cfg(not(green_threads))]
fn enable(_family: Patch) {}

/// Whether these calls suspend the coroutine that makes them.
pub fn is_patched(family: Patch) -> bool {
    #[cfg(green_threads)]
    return family.family().is_on();
    #[cfg(not(green_threads))]
    {
        let _ = family;
        false
    }
}
