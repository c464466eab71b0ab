//! Threads with names, whose panics are errors: Python's `threading.Thread`.
//!
//! A [`Thread`] is made from a closure, or from a type that implements [`Run`] as one would
//! subclass Python's class. It begins with [`start`](Thread::start), which gives the [`Running`]
//! thread that can be joined.
//!
//! Every thread is what Python calls a daemon: the program does not wait for it and ends when
//! `main` returns. Join what must come to its end.
//!
//! ```
//! use spinneret::thread::{self, Run, Thread};
//!
//! struct Download {
//!     addresses: Vec<String>,
//! }
//!
//! impl Run for Download {
//!     type Output = usize;
//!
//!     fn run(self) -> usize {
//!         self.addresses.len()
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let addresses = vec!["url_1".to_owned(), "url_2".to_owned()];
//! let download = Thread::new(Download { addresses }).start()?;
//! let named = Thread::new(|| thread::current().name().to_owned()).name("Thread_B").start()?;
//! assert_eq!(download.join()?, 2);
//! assert_eq!(named.join()?, "Thread_B");
//! # Ok(())
//! # }
//! ```

use std::cell::OnceCell;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle, ThreadId};
use std::time::Duration;
use std::{any::Any, fmt};

use crate::sync::Event;
use crate::task::panic_message;

/// What a thread does: a closure, or a type of one's own.
pub trait Run: Send + 'static {
    /// What [`Running::join`] returns.
    type Output: Send + 'static;

    /// Does it.
    fn run(self) -> Self::Output;
}

impl<F, T> Run for F
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    type Output = T;

    fn run(self) -> T {
        self()
    }
}

/// A thread that has not begun.
#[derive(Clone, Debug)]
#[must_use = "a thread does nothing until start()"]
pub struct Thread<R> {
    run: R,
    name: Option<String>,
}

impl<R: Run> Thread<R> {
    /// A thread that will do this.
    pub fn new(run: R) -> Self {
        Self { run, name: None }
    }

    /// Gives it a name; `Thread_1`, `Thread_2`... in the order of their starts by default.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Starts it.
    ///
    /// # Errors
    /// If the name contains a zero byte or the system refuses a thread.
    pub fn start(self) -> Result<Running<R::Output>, StartError> {
        let Self { run, name } = self;
        let name = name.unwrap_or_else(next_name);
        let ended = Arc::new(Event::new());
        let end = Ended(Arc::clone(&ended));
        let thread = spawn(name.clone(), move || {
            let _end = end;
            catch_unwind(AssertUnwindSafe(|| run.run()))
        });
        match thread {
            Ok(thread) => Ok(Running { thread, name, ended }),
            Err(source) => Err(StartError { name, source }),
        }
    }
}

/// A thread that has begun. Dropping it leaves the thread to itself.
pub struct Running<T> {
    thread: JoinHandle<Result<T, Box<dyn Any + Send>>>,
    name: String,
    /// Set when the thread has nothing more to do.
    ended: Arc<Event>,
}

/// Tells that a thread has ended, however it does.
struct Ended(Arc<Event>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.set();
    }
}

impl<T> Running<T> {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What tells it from all other threads.
    pub fn id(&self) -> ThreadId {
        self.thread.thread().id()
    }

    /// Whether it has not ended.
    pub fn is_alive(&self) -> bool {
        !self.ended.is_set()
    }

    /// Waits for its end and returns what it returned.
    ///
    /// # Errors
    /// If it panicked, or would wait for itself.
    pub fn join(self) -> Result<T, JoinError> {
        if self.thread.thread().id() == thread::current().id() {
            return Err(JoinError::Itself { name: self.name });
        }
        // So that a coroutine waits in its way; then the thread has next to nothing left to do.
        self.ended.wait();
        let Self { thread, name, .. } = self;
        // The inner result is that of `catch_unwind`; the outer could only fail after it.
        thread
            .join()
            .flatten()
            .map_err(|payload| JoinError::Panicked { name, message: panic_message(payload) })
    }

    /// Async twin of [`join`](Self::join).
    ///
    /// # Errors
    /// As [`join`](Self::join).
    pub async fn join_async(self) -> Result<T, JoinError> {
        if self.thread.thread().id() != thread::current().id() {
            self.ended.wait_async().await;
        }
        self.join()
    }

    /// As [`join`](Self::join), for up to this long; then gives the thread back.
    ///
    /// # Errors
    /// The thread itself if it has not ended in time.
    pub fn join_timeout(self, timeout: Duration) -> Result<Result<T, JoinError>, Self> {
        if self.ended.wait_timeout(timeout) { Ok(self.join()) } else { Err(self) }
    }
}

impl<T> fmt::Debug for Running<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running")
            .field("name", &self.name)
            .field("alive", &self.is_alive())
            .finish_non_exhaustive()
    }
}

/// Why a thread did not start.
#[derive(Debug, thiserror::Error)]
#[error("the thread {name:?} could not be started: {source}")]
pub struct StartError {
    /// Its name.
    pub name: String,
    /// What the system said.
    pub source: io::Error,
}

/// Why a thread that was joined has no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// It panicked. The panic hook has printed where.
    #[error("the thread {name:?} panicked: {message}")]
    Panicked {
        /// The thread's name.
        name: String,
        /// What the panic said.
        message: String,
    },
    /// It would wait for itself, for ever.
    #[error("the thread {name:?} cannot join itself: join it from another")]
    Itself {
        /// The thread's name.
        name: String,
    },
}

/// The thread that asks.
#[derive(Clone, Debug)]
pub struct Current {
    name: Arc<str>,
    id: ThreadId,
}

impl Current {
    /// Its name: `MainThread` for the one that runs `main`. A thread that was started without a
    /// name, by other means than [`Thread`], gets one as `Thread` gives them.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What tells it from all other threads.
    pub fn id(&self) -> ThreadId {
        self.id
    }
}

/// The thread that asks.
pub fn current() -> Current {
    thread_local! {
        static NAME: OnceCell<Arc<str>> = const { OnceCell::new() };
    }
    let thread = thread::current();
    let name = || match thread.name() {
        Some("main") => "MainThread".into(),
        Some(name) => name.into(),
        None if is_main() => "MainThread".into(),
        None => next_name().into(),
    };
    // A thread that is being taken down has no place for a name any more.
    let name = NAME.try_with(|known| Arc::clone(known.get_or_init(name)));
    Current { name: name.unwrap_or_else(|_| name_of(&thread)), id: thread.id() }
}

/// Whether this is the process's first thread: in a child or worker it runs tasks before the standard
/// library has given it a name.
fn is_main() -> bool {
    #[cfg(target_os = "linux")]
    return rustix::thread::gettid() == rustix::process::getpid();
    #[cfg(not(target_os = "linux"))]
    false
}

fn name_of(thread: &thread::Thread) -> Arc<str> {
    thread.name().unwrap_or("Thread").into()
}

/// The name of a thread that was given none.
fn next_name() -> String {
    static STARTED: AtomicU64 = AtomicU64::new(1);
    format!("Thread_{}", STARTED.fetch_add(1, Ordering::Relaxed))
}

/// Starts a thread; unlike the standard library it does not panic at a name with a zero byte.
pub(crate) fn spawn<T: Send + 'static>(
    name: String,
    run: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    if name.contains('\0') {
        let cause = "its name contains a zero byte";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, cause));
    }
    thread::Builder::new().name(name).spawn(run)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    const LONG: Duration = Duration::from_secs(30);

    struct Sum(Vec<u32>);

    impl Run for Sum {
        type Output = u32;

        fn run(self) -> u32 {
            self.0.iter().sum()
        }
    }

    #[test]
    fn a_closure_and_a_type_of_ones_own_return_values() {
        let factor = 3;
        assert_eq!(Thread::new(move || factor * 2).start().unwrap().join(), Ok(6));
        assert_eq!(Thread::new(Sum(vec![1, 2, 3])).start().unwrap().join(), Ok(6));
    }

    #[test]
    fn a_thread_knows_its_name() {
        let name = || current().name().to_owned();
        let thread = Thread::new(name).name("fetcher").start().unwrap();
        assert_eq!(thread.name(), "fetcher");
        assert_eq!(thread.join().unwrap(), "fetcher");
        let (first, second) =
            (Thread::new(name).start().unwrap(), Thread::new(name).start().unwrap());
        assert_ne!(first.name(), second.name());
        for thread in [first, second] {
            let name = thread.name().to_owned();
            let number = name.strip_prefix("Thread_").expect("a numbered name");
            assert!(number.parse::<u64>().is_ok(), "{name}");
            assert_eq!(thread.join().unwrap(), name);
        }
    }

    #[test]
    fn a_nameless_thread_keeps_the_name_it_is_given() {
        let names = thread::spawn(|| (current().name().to_owned(), current().name().to_owned()));
        let (first, second) = names.join().unwrap();
        assert!(first.starts_with("Thread_"), "{first}");
        assert_eq!(first, second);
    }

    #[test]
    fn a_panic_comes_out_of_join_with_its_message() {
        let seven = 7;
        let run = move || assert_ne!(seven, 7, "unlucky");
        let thread = Thread::new(run).name("lottery").start().unwrap();
        let error = thread.join().unwrap_err();
        let JoinError::Panicked { name, message } = &error else { panic!("{error:?}") };
        assert_eq!(name, "lottery");
        assert!(message.contains("unlucky"), "{message}");
        assert_eq!(error.to_string(), format!("the thread \"lottery\" panicked: {message}"));
    }

    #[test]
    fn a_thread_lives_until_it_ends() {
        let (sender, receiver) = channel::<()>();
        let thread = Thread::new(move || receiver.recv().is_err()).start().unwrap();
        assert!(thread.is_alive());
        let thread = thread.join_timeout(Duration::from_millis(5)).expect_err("it still runs");
        drop(sender);
        assert_eq!(thread.join_timeout(LONG).expect("it ends"), Ok(true));
    }

    #[test]
    fn a_thread_that_joins_itself_is_told_so() {
        let (sender, receiver) = channel::<Running<()>>();
        let (report, reported) = channel();
        let thread = Thread::new(move || {
            let own = receiver.recv().unwrap();
            report.send(own.join()).unwrap();
        });
        sender.send(thread.name("own").start().unwrap()).unwrap();
        let expected = Err(JoinError::Itself { name: "own".into() });
        assert_eq!(reported.recv_timeout(LONG), Ok(expected));
    }

    #[test]
    fn a_name_with_a_zero_byte_is_an_error() {
        let error = Thread::new(|| ()).name("a\0b").start().unwrap_err();
        let text = "the thread \"a\\0b\" could not be started: its name contains a zero byte";
        assert_eq!(error.to_string(), text);
    }
}
