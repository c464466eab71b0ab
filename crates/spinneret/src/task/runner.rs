//! Runs tasks on the present thread: their panics are caught and their futures driven.

use std::any::Any;
use std::backtrace::Backtrace;
use std::cell::{Cell, OnceCell};
use std::io;
use std::mem::forget;
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::sync::Once;
#[cfg(feature = "coroutine")]
use std::task::Poll;
use std::thread;

use tokio::runtime::{Builder, Runtime};

use super::{Call, Outcome, TaskError};
use crate::cooperate;
#[cfg(feature = "coroutine")]
use crate::pool::worker_state::Carried;

thread_local! {
    /// Whether the thread runs a task, so that the backtrace of a panic is worth its price.
    static IN_TASK: Cell<bool> = const { Cell::new(false) };
    static BACKTRACE: Cell<Option<String>> = const { Cell::new(None) };
}

/// What one worker needs to run tasks, one after the other.
#[derive(Debug)]
pub(crate) struct Runner {
    driver: Driver,
}

/// What drives `async` tasks.
#[derive(Debug)]
enum Driver {
    /// A runtime of the worker's own; made when the first comes, and standing still between them.
    Own(OnceCell<Runtime>),
    /// The hub of the coroutine that the worker is.
    #[cfg(feature = "coroutine")]
    Hub {
        /// How long a task may wait.
        limit: Option<std::time::Duration>,
    },
}

impl Runner {
    /// Has the panic hook keep backtraces from here on.
    pub(crate) fn new() -> Self {
        keep_backtraces();
        Self { driver: Driver::Own(OnceCell::new()) }
    }

    /// As [`new`](Self::new), for a worker that is a coroutine.
    #[cfg(feature = "coroutine")]
    pub(crate) fn of_coroutine(limit: Option<std::time::Duration>) -> Self {
        keep_backtraces();
        Self { driver: Driver::Hub { limit } }
    }

    /// Runs what was called to its end. A panic becomes [`TaskError::Panicked`].
    pub(crate) fn run<T>(&self, call: impl FnOnce() -> Outcome<Call<T>>) -> Outcome<T> {
        match &self.driver {
            Driver::Own(runtime) => caught(|| match call()? {
                Call::Done(value) => Ok(value),
                Call::Pending(future) => Ok(get(runtime)?.block_on(future)),
            }),
            #[cfg(feature = "coroutine")]
            Driver::Hub { limit } => in_coroutine(*limit, call),
        }
    }
}

/// Runs a piece of a task. Its panic becomes [`TaskError::Panicked`].
fn caught<T>(run: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
    BACKTRACE.set(None);
    let outer = IN_TASK.replace(true);
    // Whatever a panic leaves half done belongs to the task; ours is the runtime, which is made for
    // panics in futures.
    let result = catch_unwind(AssertUnwindSafe(run));
    IN_TASK.set(outer);
    result.unwrap_or_else(|payload| {
        if cooperate::is_interruption(&*payload) {
            return Err(TaskError::Cancelled);
        }
        let backtrace = BACKTRACE.take().unwrap_or_default();
        Err(TaskError::Panicked { message: message(payload), backtrace })
    })
}

/// Runs a task in a coroutine: its waits end at the limit, and its future is polled by the hub.
#[cfg(feature = "coroutine")]
fn in_coroutine<T>(
    limit: Option<std::time::Duration>,
    call: impl FnOnce() -> Outcome<Call<T>>,
) -> Outcome<T> {
    let run = || match call()? {
        Call::Done(value) => Ok(value),
        Call::Pending(future) => carried(future),
    };
    let outcome = caught(|| match limit {
        // What has timed out is interrupted where it waits; `timeout` tells that from a panic.
        Some(after) => {
            spinneret_green::timeout(after, run).unwrap_or(Err(TaskError::TimedOut { after }))
        }
        None => run(),
    });
    if spinneret_green::__private::was_cancelled() {
        // A patched call was refused; whatever the task made of the error.
        return Err(TaskError::Cancelled);
    }
    outcome
}

/// Has the hub drive a future, with the worker's state, and with an eye on panics.
#[cfg(feature = "coroutine")]
fn carried<T>(mut future: std::pin::Pin<Box<dyn Future<Output = T> + Send>>) -> Outcome<T> {
    /// Gives the state back to the coroutine, also when it unwinds.
    struct Back(Carried);
    impl Drop for Back {
        fn drop(&mut self) {
            self.0.swap();
        }
    }
    let states = Carried::default();
    states.swap();
    let back = Back(states.clone());
    let outcome = spinneret_green::block_on(std::future::poll_fn(move |context| {
        states.swap();
        let polled = caught(|| Ok(future.as_mut().poll(context)));
        states.swap();
        match polled {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(value)) => Poll::Ready(Ok(value)),
            Err(error) => Poll::Ready(Err(error)),
        }
    }));
    drop(back);
    outcome
}

fn get(place: &OnceCell<Runtime>) -> Outcome<&Runtime> {
    if let Some(runtime) = place.get() {
        return Ok(runtime);
    }
    match runtime() {
        Ok(new) => Ok(place.get_or_init(|| new)),
        // Only for want of descriptors; reported in the words a panic in the task would have.
        Err(error) => Err(TaskError::Panicked {
            message: format!("the worker's runtime for async tasks could not start: {error}"),
            backtrace: String::new(),
        }),
    }
}

/// What drives `async` tasks, on the thread that calls them.
pub(crate) fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

/// The words of a panic, from what it was unwound with.
pub(crate) fn message(payload: Box<dyn Any + Send>) -> String {
    match payload.downcast::<String>() {
        Ok(text) => *text,
        Err(payload) => {
            let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
            discard(payload);
            text.unwrap_or_else(|| "a panic with a value that is not text".to_owned())
        }
    }
}

/// Drops what a panic was unwound with, which may itself panic as it is dropped.
pub(crate) fn discard(payload: Box<dyn Any + Send>) {
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        forget(again);
    }
}

/// Has the panic hook keep the backtrace, which is gone once the stack is unwound.
fn keep_backtraces() {
    static HOOK: Once = Once::new();
    // The hook cannot be changed during a panic; the next runner will.
    if thread::panicking() {
        return;
    }
    HOOK.call_once(|| {
        let print = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if IN_TASK.get() {
                BACKTRACE.set(Some(Backtrace::force_capture().to_string()));
            }
            print(info);
        }));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Panics again when it is dropped.
    struct Stubborn;

    impl Drop for Stubborn {
        fn drop(&mut self) {
            panic!("and again");
        }
    }

    fn panicked(outcome: Outcome<()>) -> (String, String) {
        match outcome {
            Err(TaskError::Panicked { message, backtrace }) => (message, backtrace),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_panic_is_told_with_its_backtrace() {
        let (message, backtrace) = panicked(Runner::new().run(|| panic!("number {}", 3)));
        assert_eq!(message, "number 3");
        assert!(backtrace.contains("a_panic_is_told_with_its_backtrace"), "{backtrace}");
    }

    #[test]
    fn a_panic_with_anything_else_than_text_is_told_too() {
        let odd = "a panic with a value that is not text";
        let runner = Runner::new();
        assert_eq!(panicked(runner.run(|| panic::panic_any(7))).0, odd);
        assert_eq!(panicked(runner.run(|| panic::panic_any(Stubborn))).0, odd);
    }

    #[test]
    fn futures_run_to_their_end_and_may_panic_on_the_way() {
        let runner = Runner::new();
        let pending = |number: u32| {
            Ok(Call::Pending(Box::pin(async move {
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
                assert!(number != 2, "two");
                number
            })))
        };
        assert_eq!(runner.run(|| pending(1)), Ok(1));
        assert_eq!(panicked(runner.run(|| pending(2)).map(drop)).0, "two");
        assert_eq!(runner.run(|| pending(3)), Ok(3));
    }
}
