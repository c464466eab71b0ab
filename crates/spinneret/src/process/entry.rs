//! How a worker finds out, before `main`, that it is one.

use std::env;
use std::ffi::CString;
use std::fs::File;
use std::io::stdin;
use std::path::Path;
use std::process::exit;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::fcntl_dupfd_cloexec;
use rustix::net::{AddressFamily, getsockname};
use rustix::process::{Pid, getppid};
use rustix::stdio::dup2_stdin;

use super::StartError;
use super::link::{Link, Watch};
use super::serve;
use crate::task::registry;

/// Set in a worker's environment: `1:PARENT`, or `1:PARENT:main` if `main` is to call [`init`].
const MARKER: &str = "SPINNERET_WORKER";

/// The status of a process that was told to be a worker and cannot be one (`EX_CONFIG`).
pub(super) const MISLED: i32 = 78;

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
        if marker.ends_with(":main") {
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

/// The value of [`MARKER`] for a new worker; an error if the worker would not become one.
pub(super) fn marker() -> Result<(&'static str, String), StartError> {
    if PENDING.get().is_some() || env::var_os(MARKER).is_some() {
        return Err(StartError::WithinWorker);
    }
    let parent = std::process::id();
    if HOOK_RAN.load(Ordering::Relaxed) && !registry::has_additions() {
        Ok((MARKER, format!("1:{parent}")))
    } else if INIT_CALLED.load(Ordering::Relaxed) {
        Ok((MARKER, format!("1:{parent}:main")))
    } else {
        Err(StartError::NotInitialised)
    }
}

/// Takes the marker out of the environment, so that programs which a task starts do not see it.
fn take_marker() -> Option<String> {
    let marker = env::var_os(MARKER)?;
    // SAFETY: this runs before main or first in it, when no other thread is there to read the
    // environment; `init` documents that it must come first.
    unsafe { env::remove_var(MARKER) };
    Some(marker.to_string_lossy().into_owned())
}

/// Turns this process into a worker.
fn divert(marker: &str) -> ! {
    let Some(parent) = parent(marker) else {
        misled(&format!("{MARKER} is set to {marker:?}, which no pool does: unset it"));
    };
    let watch = Watch::on(parent);
    // Asked after the watch began: had the parent died before, we would have another one by now.
    if getppid() != Some(parent) {
        misled(&format!(
            "{MARKER} is set, but the pool that set it (process {}) is not this process's parent: \
             it has died, or the variable was left behind and should be unset",
            parent.as_raw_nonzero()
        ));
    }
    if getsockname(stdin()).is_ok_and(|name| name.address_family() == AddressFamily::UNIX) {
        // As standard input it would pass to whatever a task starts.
        match fcntl_dupfd_cloexec(stdin(), 3) {
            Ok(end) => {
                quieten();
                serve::serve(Link::inherited(end), watch)
            }
            Err(error) => misled(&format!("a worker could not take over its socket: {error}")),
        }
    }
    misled(&format!(
        "{MARKER} is set, but standard input is not a pool's socket: unset it, only a pool sets it"
    ));
}

fn parent(marker: &str) -> Option<Pid> {
    let pid = marker.strip_prefix("1:")?;
    Pid::from_raw(pid.strip_suffix(":main").unwrap_or(pid).parse().ok()?)
}

/// Ends a process that cannot be a worker, rather than to let it run `main`, which might start
/// workers that fare alike.
fn misled(message: &str) -> ! {
    eprintln!("spinneret: {message}");
    exit(MISLED)
}

/// Empties standard input, ignores what is meant for the parent, and takes the program's name.
fn quieten() {
    // Without /dev/null the socket stays there as well, which harms nobody but a task that reads.
    if let Ok(null) = File::open("/dev/null") {
        let _ = dup2_stdin(null);
    }
    for signal in [libc::SIGINT, libc::SIGPIPE] {
        // SAFETY: SIG_IGN runs no code of ours; both are valid signals.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
    // Else `ps` and `top` show "exe", after /proc/self/exe.
    let name = env::args_os().next().unwrap_or_default();
    let name = Path::new(&name).file_name().unwrap_or_default();
    if let Ok(name) = CString::new(name.as_encoded_bytes()) {
        #[cfg(target_os = "linux")]
        let _ = rustix::thread::set_name(&name);
        #[cfg(not(target_os = "linux"))]
        drop(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_marker_names_the_parent() {
        assert_eq!(parent("1:42"), Pid::from_raw(42));
        assert_eq!(parent("1:42:main"), Pid::from_raw(42));
        for garbage in ["", "1", "1:", "1:0", "1:x", "2:42", "yes", "1:42:other", ":main"] {
            assert_eq!(parent(garbage), None, "{garbage:?}");
        }
    }

    #[test]
    fn the_hook_runs_before_main_in_a_test_binary() {
        assert!(HOOK_RAN.load(Ordering::Relaxed));
    }
}
