use std::fs::Metadata;
use std::io;
use std::os::windows::fs::MetadataExt;
use std::process::{Child, ExitStatus};

use windows_sys::Win32::Foundation::TRUE;
use windows_sys::Win32::System::Console::SetConsoleCtrlHandler;
use windows_sys::Win32::System::Threading::{GetCurrentProcess, TerminateProcess};

use crate::process::entry::Role;

/// What tells a file from others, as far as its metadata do: when it was made.
pub(in super::super) fn file_id(file: &Metadata) -> String {
    format!("{:x}", file.creation_time())
}

/// Whether the process is the one that started us: who answered on the link with our secret is.
pub(in super::super) fn is_parent(_pid: u32) -> bool {
    true
}

/// There are no signals here.
pub(in super::super) fn signal_of(_status: ExitStatus) -> Option<i32> {
    None
}

/// There is nobody here who kills for want of memory.
pub(in super::super) fn killed_by_force(_signal: Option<i32>) -> bool {
    false
}

/// Ends a child. There is no way to ask.
pub(in super::super) fn terminate(child: &mut Child) -> io::Result<()> {
    child.kill()
}

/// Ends a child. One that is gone is well.
pub(in super::super) fn kill(child: &mut Child) -> io::Result<()> {
    child.kill()
}

/// Ends this process at once: no destructors, which a task that is running may need.
pub(in super::super) fn leave(status: i32) -> ! {
    // SAFETY: the handle stands for this process, and needs no closing.
    let this = unsafe { GetCurrentProcess() };
    // SAFETY: a process may end itself.
    unsafe { TerminateProcess(this, status.cast_unsigned()) };
    // Not reached.
    std::process::abort()
}

/// There is no such signal here.
pub(in super::super) fn take_sigterm() {}

/// Has a worker ignore Ctrl-C, which is its parent's affair. Standard input is empty from the start.
pub(in super::super) fn quieten(role: Role) {
    if role == Role::Worker {
        // SAFETY: no handler means that Ctrl-C is to be ignored.
        unsafe { SetConsoleCtrlHandler(None, TRUE) };
    }
}
