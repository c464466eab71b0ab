use std::os::windows::io::{AsHandle, BorrowedHandle, OwnedHandle};
use std::sync::Arc;
use std::time::Duration;

use crate::process::link::{Link, Watch, wait_handle};

/// A handle that is signalled when a process has ended, and stays so.
#[derive(Clone, Debug)]
pub struct Sentinel(Option<Arc<OwnedHandle>>);

impl Sentinel {
    /// Of the process that is watched; one that could not be was gone before.
    pub(in super::super) fn of(watch: Option<&Watch>, _link: &Link) -> Self {
        Self(watch.and_then(Watch::handle))
    }

    /// Waits for the process to end, no longer than `timeout` if there is one; whether it has.
    pub fn wait(&self, timeout: Option<Duration>) -> bool {
        self.handle().is_none_or(|handle| wait_handle(handle, timeout))
    }

    /// The handle, to wait for it among others; `None` if the process had ended before it could be
    /// opened.
    pub fn handle(&self) -> Option<BorrowedHandle<'_>> {
        self.0.as_ref().map(|handle| handle.as_handle())
    }
}
