//! Waiting for many things at once.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

use self::source::Source;
use super::Connection;
use crate::process::{Sentinel, link};

/// How often what has no descriptor is looked at: doubled from the first to the last.
const FIRST_LOOK: Duration = Duration::from_micros(100);
const LAST_LOOK: Duration = Duration::from_millis(10);

/// What [`wait`] can wait for: connections, the sentinels of processes, queues between processes.
pub trait Waitable: Source {}

pub(crate) mod source {
    use std::os::fd::BorrowedFd;

    /// How [`wait`](super::wait) finds out that something is ready.
    pub trait Source {
        /// What becomes readable then; `None` if there is no such descriptor, and one must look.
        fn descriptor(&self) -> Option<BorrowedFd<'_>>;

        /// Whether it is ready now. What has a descriptor can leave the answer to that.
        fn is_ready(&self) -> bool {
            false
        }
    }
}

impl<S, R> Source for Connection<S, R> {
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.as_fd())
    }
}

impl<S, R> Waitable for Connection<S, R> {}

impl Source for Sentinel {
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.as_fd())
    }
}

impl Waitable for Sentinel {}

/// Waits until one of `sources` is ready, no longer than `timeout` if there is one, and returns the
/// indices of those that are, in ascending order; none when the time is over. Python's
/// `multiprocessing.connection.wait`.
///
/// A connection is ready when it has a message or its other end is gone, a sentinel when its
/// process has ended. What is ready may be taken by another thread or process before you come to it.
///
/// ```
/// use std::time::Duration;
///
/// use spinneret::pipe::{pipe, wait};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (a, b) = pipe::<u8>()?;
/// let (c, d) = pipe::<String>()?;
/// c.send(&"x".to_owned())?;
/// assert_eq!(wait(&[&b, &d], Duration::from_secs(10)), [1]);
/// drop(a);
/// assert_eq!(wait(&[&b, &d], None), [0, 1]);
/// # Ok(())
/// # }
/// ```
pub fn wait(sources: &[&dyn Waitable], timeout: impl Into<Option<Duration>>) -> Vec<usize> {
    // A timeout too far away to be a time is as good as none.
    let deadline = timeout.into().and_then(|timeout| Instant::now().checked_add(timeout));
    let described: Vec<_> = sources.iter().map(|source| source.descriptor()).collect();
    let mut fds: Vec<_> =
        described.iter().flatten().map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN)).collect();
    let mut look = FIRST_LOOK;
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let mut ready: Vec<_> = sources.iter().map(|source| source.is_ready()).collect();
        let slice = if ready.contains(&true) {
            Some(Duration::ZERO)
        } else if fds.len() < sources.len() {
            Some(left.unwrap_or(look).min(look))
        } else {
            left
        };
        if link::wait(&mut fds, slice) {
            let polled = described.iter().enumerate().filter(|(_, fd)| fd.is_some());
            for ((index, _), fd) in polled.zip(&fds) {
                ready[index] |= !fd.revents().is_empty();
            }
        }
        let indices: Vec<_> =
            ready.iter().enumerate().filter_map(|(index, ready)| ready.then_some(index)).collect();
        if !indices.is_empty() || left.is_some_and(|left| left.is_zero()) {
            return indices;
        }
        look = (look * 2).min(LAST_LOOK);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::super::pipe;
    use super::*;

    /// Ready when it was looked at often enough.
    struct Looked(Cell<u32>);

    impl Source for Looked {
        fn descriptor(&self) -> Option<BorrowedFd<'_>> {
            None
        }

        fn is_ready(&self) -> bool {
            self.0.set(self.0.get().saturating_sub(1));
            self.0.get() == 0
        }
    }

    impl Waitable for Looked {}

    #[test]
    fn what_has_no_descriptor_is_looked_at_again_and_again() {
        let (a, b) = pipe::<u8>().unwrap();
        let looked = Looked(Cell::new(5));
        assert_eq!(wait(&[&a, &looked, &b], None), [1]);
        a.send(&1).unwrap();
        assert_eq!(wait(&[&a, &looked, &b], None), [1, 2]);
        let never = Looked(Cell::new(u32::MAX));
        assert_eq!(wait(&[&never, &b], None), [1]);
        assert_eq!(wait(&[&never], Duration::from_millis(30)), [0; 0]);
        assert_eq!(wait(&[], Duration::ZERO), [0; 0]);
    }
}
