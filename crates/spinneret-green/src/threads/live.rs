//! The coroutines that have not ended, for who ends them all.

use std::collections::HashMap;
use std::io;
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

use crate::task::Task;

static BOOK: Mutex<Book> = Mutex::new(Book { tasks: None, closed: false });
/// Notified when the last one has ended.
static EMPTY: Condvar = Condvar::new();

struct Book {
    /// By number; `None` before the first.
    tasks: Option<HashMap<u64, Task>>,
    /// No more are taken.
    closed: bool,
}

/// A coroutine's entry in the book, until it ends.
pub(super) struct Live(u64);

impl Live {
    /// # Errors
    /// After [`end`].
    pub(super) fn enter(task: &Task) -> io::Result<Self> {
        let mut book = BOOK.lock();
        if book.closed {
            return Err(ended());
        }
        book.tasks.get_or_insert_default().insert(task.id(), task.clone());
        Ok(Self(task.id()))
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let mut book = BOOK.lock();
        let Some(tasks) = &mut book.tasks else { return };
        let task = tasks.remove(&self.0);
        if tasks.is_empty() {
            EMPTY.notify_all();
        }
        drop(book);
        drop(task);
    }
}

/// Takes no more, cancels all and waits for their end until the deadline; returns how many are left.
pub(super) fn end(deadline: Option<Instant>) -> usize {
    let mut book = BOOK.lock();
    book.closed = true;
    let tasks: Vec<_> = book.tasks.iter().flat_map(HashMap::values).cloned().collect();
    drop(book);
    // Outside the lock, which those who end take.
    tasks.iter().for_each(Task::cancel);
    let mut book = BOOK.lock();
    loop {
        let left = book.tasks.as_ref().map_or(0, HashMap::len);
        let over = match deadline {
            _ if left == 0 => true,
            Some(deadline) => EMPTY.wait_until(&mut book, deadline).timed_out(),
            None => {
                EMPTY.wait(&mut book);
                false
            }
        };
        if over {
            return book.tasks.as_ref().map_or(0, HashMap::len);
        }
    }
}

/// The error of who comes after the end.
pub(super) fn ended() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "coroutines were shut down: spawn before shutdown()")
}
