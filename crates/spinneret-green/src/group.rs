//! Coroutines that end together.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Poll;

use crate::backend;
use crate::interrupt;
use crate::join::{Finish, JoinHandle};
use crate::spawn::{Builder, Spawn};
use crate::task::Task;
use crate::wait;

/// A group of coroutines that end with it: dropping it cancels those that still run, and waits for
/// their end. So none outlives the scope that made it, whichever way that is left.
///
/// ```
/// use std::time::Duration;
///
/// use spinneret_green::{Group, sleep};
///
/// let group = Group::new();
/// let quick = group.spawn(|| 1 + 1);
/// let slow = group.spawn(|| sleep(Duration::from_secs(600)));
/// assert_eq!(quick.join()?, 2);
/// drop(group);
/// assert!(slow.is_finished());
/// # Ok::<(), spinneret_green::JoinError>(())
/// ```
#[derive(Default)]
pub struct Group {
    children: Mutex<Children>,
}

#[derive(Default)]
struct Children {
    list: Vec<Child>,
    /// Once there are so many, those that have ended are taken out.
    sweep: usize,
}

struct Child {
    task: Task,
    end: Arc<dyn Finish + Send + Sync>,
}

impl Group {
    /// A group without coroutines.
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts a coroutine in the group, as [`spawn`](crate::spawn) does.
    ///
    /// # Panics
    /// As [`spawn`](crate::spawn).
    pub fn spawn<K, W: Spawn<K>>(&self, work: W) -> JoinHandle<W::Output> {
        match self.spawn_with(Builder::new(), work) {
            Ok(handle) => handle,
            Err(error) => panic!("no coroutine could be started: {error}"),
        }
    }

    /// Starts a coroutine in the group, with settings.
    ///
    /// # Errors
    /// As [`Builder::spawn`].
    pub fn spawn_with<K, W: Spawn<K>>(
        &self,
        builder: Builder,
        work: W,
    ) -> io::Result<JoinHandle<W::Output>> {
        let handle = builder.spawn(work)?;
        let (task, end) = handle.parts();
        self.lock().add(Child { task, end });
        Ok(handle)
    }

    /// How many coroutines have not ended.
    pub fn len(&self) -> usize {
        self.lock().list.iter().filter(|child| !child.end.is_finished()).count()
    }

    /// Whether all have ended.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Asks all to end, as [`JoinHandle::cancel`] does, and returns at once.
    pub fn cancel(&self) {
        for child in &self.lock().list {
            child.task.cancel();
        }
    }

    /// Waits until all have ended, those that are spawned meanwhile too. How each ended, its handle
    /// tells.
    ///
    /// In async tasks use [`join_async`](Self::join_async); here this returns at once.
    pub fn join(&self) {
        if !backend::must_not_block() {
            wait::on_this_stack(|context| self.poll_ended(context));
        }
    }

    /// Async twin of [`join`](Self::join).
    pub async fn join_async(&self) {
        std::future::poll_fn(|context| self.poll_ended(context)).await;
    }

    fn lock(&self) -> MutexGuard<'_, Children> {
        backend::lock(&self.children)
    }

    fn poll_ended(&self, context: &mut std::task::Context<'_>) -> Poll<()> {
        let list = &mut self.lock().list;
        // From the end, one at a time: whichever ends last, each is looked at once.
        while let Some(last) = list.last() {
            if !last.end.poll_finished(context) {
                return Poll::Pending;
            }
            list.pop();
        }
        Poll::Ready(())
    }
}

impl Children {
    fn add(&mut self, child: Child) {
        if self.list.len() >= self.sweep {
            self.list.retain(|child| !child.end.is_finished());
            // Twice what is left, so that sweeping costs each child a constant.
            self.sweep = 2 * self.list.len() + 16;
        }
        self.list.push(child);
    }
}

/// Cancels the coroutines and waits for their end; in async tasks, which must not wait, it cancels
/// them only.
impl Drop for Group {
    fn drop(&mut self) {
        self.cancel();
        interrupt::shielded(|| self.join());
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group").field("running", &self.len()).finish_non_exhaustive()
    }
}
