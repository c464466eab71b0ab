use std::env;
use std::ffi::CString;
use std::fs::{File, Metadata};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, ExitStatus};

use rustix::io::Errno;
use rustix::process::{Pid, Signal, getppid, kill_process};
use rustix::stdio::dup2_stdin;

use crate::process::entry::Role;

/// What tells a file from others: device and inode.
pub(in super::super) fn file_id(file: &Metadata) -> String {
    format!("{:x}-{:x}", file.dev(), file.ino())
}

/// Whether the process is the one that started us, and lives.
pub(in super::super) fn is_parent(pid: u32) -> bool {
    getppid().is_some_and(|parent| number(parent) == pid)
}

/// The process that made a pair of sockets, where the system tells.
#[cfg(target_os = "linux")]
pub(in super::super) fn maker(end: &OwnedFd) -> Option<u32> {
    Some(number(rustix::net::sockopt::socket_peercred(end).ok()?.pid))
}

#[cfg(not(target_os = "linux"))]
pub(in super::super) fn maker(_end: &OwnedFd) -> Option<u32> {
    getppid().map(number)
}

fn number(pid: Pid) -> u32 {
    pid.as_raw_nonzero().get().cast_unsigned()
}

/// The signal that ended a process, if one did.
pub(in super::super) fn signal_of(status: ExitStatus) -> Option<i32> {
    status.signal()
}

/// Whether a process ended as by the kernel's hand: SIGKILL.
pub(in super::super) fn killed_by_force(signal: Option<i32>) -> bool {
    signal == Some(libc::SIGKILL)
}

/// Asks a child to end: SIGTERM. One that is gone is well.
pub(in super::super) fn terminate(child: &mut Child) -> io::Result<()> {
    signal(child, Signal::TERM)
}

/// Ends a child: SIGKILL. One that is gone is well.
pub(in super::super) fn kill(child: &mut Child) -> io::Result<()> {
    signal(child, Signal::KILL)
}

fn signal(child: &Child, signal: Signal) -> io::Result<()> {
    match kill_process(Pid::from_child(child), signal) {
        // Somebody else has waited for it.
        Ok(()) | Err(Errno::SRCH) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Ends this process at once: no destructors, which a task that is running may need.
pub(in super::super) fn leave(status: i32) -> ! {
    // SAFETY: `_exit` is sound to call at any time, from any thread.
    unsafe { libc::_exit(status) }
}

/// Has SIGTERM end this process, whatever its parent was told.
pub(in super::super) fn take_sigterm() {
    // SAFETY: SIG_DFL runs no code of ours; the signal is valid.
    unsafe { libc::signal(libc::SIGTERM, libc::SIG_DFL) };
}

/// Empties standard input, ignores signals that are the parent's affair, and takes the program's
/// name.
pub(in super::super) fn quieten(role: Role) {
    // Without /dev/null the socket stays there as well, which harms nobody but a task that reads.
    if let Ok(null) = File::open("/dev/null") {
        let _ = dup2_stdin(null);
    }
    let signals: &[_] = match role {
        Role::Worker => &[libc::SIGINT, libc::SIGPIPE],
        Role::Child => &[libc::SIGPIPE],
    };
    for signal in signals {
        // SAFETY: SIG_IGN runs no code of ours; the signals are valid.
        unsafe { libc::signal(*signal, libc::SIG_IGN) };
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
