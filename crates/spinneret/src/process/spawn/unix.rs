//! The link is a pair of sockets, of which the child's end is its standard input.

use std::env;
use std::io::stdin;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command};

use rustix::io::fcntl_dupfd_cloexec;
use rustix::net::{AddressFamily, getsockname};

use crate::process::StartError;
use crate::process::entry::{self, MARKER, Marker, Role};
use crate::process::link::Link;
use crate::process::sys;

/// Starts the program, which learns from the link what to do.
///
/// Nothing is asked of `Command` that would make it fork: it can use `posix_spawn`, which costs the
/// same however large this process is.
pub(in super::super) fn spawn(role: Role) -> Result<(Child, Link), StartError> {
    let marker = entry::marker(role)?;
    let (link, end) = Link::pair().map_err(StartError::Spawn)?;
    let mut command = Command::new(image()?);
    if let Some(name) = env::args_os().next() {
        command.arg0(name);
    }
    let child = command.env(MARKER, marker.to_string()).stdin(end).spawn();
    Ok((child.map_err(StartError::Spawn)?, link))
}

/// The file to execute: our own, even if another one has taken its place.
fn image() -> Result<PathBuf, StartError> {
    if cfg!(target_os = "linux") {
        Ok(PathBuf::from("/proc/self/exe"))
    } else {
        env::current_exe().map_err(StartError::Spawn)
    }
}

/// The child's end of the link. It is moved away from standard input, from where it would pass to
/// whatever a task starts.
pub(in super::super) fn take_over(marker: &Marker) -> Result<Link, String> {
    if !getsockname(stdin()).is_ok_and(|name| name.address_family() == AddressFamily::UNIX) {
        return Err(format!(
            "{MARKER} is set, but standard input is not a pool's socket: unset it, only a pool \
             sets it"
        ));
    }
    let end = fcntl_dupfd_cloexec(stdin(), 3)
        .map_err(|error| format!("a worker could not take over its socket: {error}"))?;
    // A child may outlive its parent, which may be dead already. The socket remembers who made it,
    // even then.
    if marker.role == Role::Child && sys::maker(&end).is_some_and(|maker| maker != marker.parent) {
        return Err(entry::orphaned(marker.parent));
    }
    Ok(Link::inherited(end))
}
