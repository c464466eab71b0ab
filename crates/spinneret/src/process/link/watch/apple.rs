use std::os::fd::OwnedFd;

use rustix::event::kqueue::{Event, EventFilter, EventFlags, ProcessEvents, kevent, kqueue};
use rustix::process::Pid;

/// A kqueue that the process's end is an event of, which nobody takes from it.
pub(in super::super) fn open(pid: u32) -> Option<OwnedFd> {
    let pid = Pid::from_raw(pid.cast_signed())?;
    let queue = kqueue().ok()?;
    let filter = EventFilter::Proc { pid, flags: ProcessEvents::EXIT };
    let change = Event::new(filter, EventFlags::ADD, std::ptr::null_mut());
    let mut none: [Event; 0] = [];
    // SAFETY: the event names no descriptor that could be closed while it is watched.
    unsafe { kevent(&queue, &[change], &mut none[..], None) }.ok()?;
    Some(queue)
}
