//! How a worker finds out, before `main`, that it is one.

use std::env;
use std::fmt;
use std::process::exit;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use super::StartError;
use super::link::Watch;
use super::spawn::take_over;
use super::{run, serve, sys};
use crate::task::registry;

/// Set in the environment of a process that is to run tasks: `1:PARENT`, then `:process` if it is
/// to run one alone and is no pool's worker, then `:main` if `main` is to call [`init`]. Where the link
/// is no inheritance, `:at=` and where to find it come last.
pub(super) const MARKER: &str = "SPINNERET_WORKER";

/// The status of a process that was told to be a worker and cannot be one (`EX_CONFIG`).
pub(super) const MISLED: i32 = 78;

/// What a process is started for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// To run the tasks of a pool.
    Worker,
    /// To run one task.
    Child,
}

/// What [`MARKER`] says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Marker {
    pub(super) parent: u32,
    pub(super) role: Role,
    /// Whether to wait for `main`.
    pub(super) main: bool,
    /// Where to find the link, if it is not inherited.
    pub(super) place: Option<String>,
}

impl fmt::Display for Marker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "1:{}", self.parent)?;
        if self.role == Role::Child {
            f.write_str(":process")?;
        }
        if self.main {
            f.write_str(":main")?;
        }
        self.place.as_ref().map_or(Ok(()), |place| write!(f, ":at={place}"))
    }
}

/// Whether the loader called [`hook`]: a linker may have dropped it.
static HOOK_RAN: AtomicBool = AtomicBool::new(false);

/// Whether `main` called [`init`], so that it will in a worker too.
static INIT_CALLED: AtomicBool = AtomicBool::new(false);

/// What the environment said, if [`hook`] left it to [`init`].
static PENDING: OnceLock<String> = OnceLock::new();

/// The loader calls what stands in this section before `main`.
#[used]
#[cfg_attr(
    any(target_os = "linux", target_os = "android", target_os = "freebsd"),
    unsafe(link_section = ".init_array")
)]
#[cfg_attr(target_vendor = "apple", unsafe(link_section = "__DATA,__mod_init_func"))]
#[cfg_attr(windows, unsafe(link_section = ".CRT$XCU"))]
static HOOK: extern "C" fn() = hook;

extern "C" fn hook() {
    HOOK_RAN.store(true, Ordering::Relaxed);
    // A panic must not leave a function that C calls. The one there is reports two tasks of the
    // same name, and ends the program as it would in main.
    let started = std::panic::catch_unwind(|| {
        registry::check();
        let Some(marker) = take_marker() else { return };
        if parse(&marker).is_some_and(|marker| marker.main) {
            PENDING.get_or_init(|| marker);
        } else {
            divert(&marker);
        }
    });
    if started.is_err() {
        exit(101);
    }
}

/// Serves tasks from here on, and never returns, if this process was started as a worker and has
/// not noticed so far; does nothing otherwise.
///
/// Most programs never need it: workers branch off before `main`. Call it first of all in `main`
/// in a program that calls [`registry::add`](crate::task::registry::add) (right after those
/// calls), or when a pool's error asks for it.
pub fn init() {
    INIT_CALLED.store(true, Ordering::Relaxed);
    if let Some(marker) = PENDING.get().cloned().or_else(take_marker) {
        divert(&marker);
    }
}

/// The value of [`MARKER`] for a new process; an error if it would not become what it is meant to.
pub(super) fn marker(role: Role) -> Result<Marker, StartError> {
    if PENDING.get().is_some() || env::var_os(MARKER).is_some() {
        return Err(StartError::WithinWorker);
    }
    let main = !HOOK_RAN.load(Ordering::Relaxed) || registry::has_additions();
    if main && !INIT_CALLED.load(Ordering::Relaxed) {
        return Err(StartError::NotInitialised);
    }
    Ok(Marker { parent: std::process::id(), role, main, place: None })
}

/// Takes the marker out of the environment, so that programs which a task starts do not see it.
fn take_marker() -> Option<String> {
    let marker = env::var_os(MARKER)?;
    // SAFETY: this runs before main or first in it, when no other thread is there to read the
    // environment; `init` documents that it must come first.
    unsafe { env::remove_var(MARKER) };
    Some(marker.to_string_lossy().into_owned())
}

/// Turns this process into a worker, or into a child with one task.
fn divert(marker: &str) -> ! {
    let Some(marker) = parse(marker) else {
        misled(&format!("{MARKER} is set to {marker:?}, which no pool does: unset it"));
    };
    let Marker { parent, role, .. } = marker;
    let watch = Watch::on(parent);
    // A worker does not outlive its parent. Asked after the watch began: had the parent died before,
    // we would have another one by now.
    if role == Role::Worker && !sys::is_parent(parent) {
        misled(&orphaned(parent));
    }
    let link = take_over(&marker).unwrap_or_else(|error| misled(&error));
    sys::quieten(role);
    match role {
        Role::Worker => serve::serve(link, watch, parent),
        Role::Child => run::run(&link, watch, parent),
    }
}

/// Says that the parent which the marker names is not ours.
pub(super) fn orphaned(parent: u32) -> String {
    format!(
        "{MARKER} is set, but the pool that set it (process {parent}) is not this process's parent: \
         it has died, or the variable was left behind and should be unset"
    )
}

fn parse(marker: &str) -> Option<Marker> {
    let rest = marker.strip_prefix("1:")?;
    let (rest, place) = match rest.split_once(":at=") {
        Some((rest, place)) => (rest, Some(place.to_owned())),
        None => (rest, None),
    };
    let (rest, main) = rest.strip_suffix(":main").map_or((rest, false), |rest| (rest, true));
    let (pid, role) = match rest.strip_suffix(":process") {
        Some(pid) => (pid, Role::Child),
        None => (rest, Role::Worker),
    };
    let parent = pid.parse().ok().filter(|pid| (1..=i32::MAX.cast_unsigned()).contains(pid))?;
    Some(Marker { parent, role, main, place })
}

/// Ends a process that cannot be a worker, rather than to let it run `main`, which might start
/// workers that fare alike.
fn misled(message: &str) -> ! {
    eprintln!("spinneret: {message}");
    exit(MISLED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_marker_comes_back() {
        for role in [Role::Worker, Role::Child] {
            for main in [false, true] {
                for place in [None, Some("1234-ab".to_owned())] {
                    let marker = Marker { parent: 42, role, main, place };
                    assert_eq!(parse(&marker.to_string()), Some(marker));
                }
            }
        }
        assert_eq!(parse("1:42").map(|marker| marker.role), Some(Role::Worker));
        assert_eq!(parse("1:42:process:main").map(|marker| marker.role), Some(Role::Child));
        for garbage in ["", "1", "1:", "1:0", "1:-1", "1:x", "2:42", "yes", "1:42:other", ":main"] {
            assert_eq!(parse(garbage), None, "{garbage:?}");
        }
    }

    #[test]
    fn the_hook_runs_before_main_in_a_test_binary() {
        assert!(HOOK_RAN.load(Ordering::Relaxed));
    }
}
