//! Runs tasks on the present thread: their panics are caught and their futures driven.

use std::any::Any;
use std::backtrace::Backtrace;
use std::cell::{Cell, OnceCell};
use std::io;
use std::mem::forget;
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::sync::Once;
use std::thread;

use tokio::runtime::{Builder, Runtime};

use super::{Call, Outcome, TaskError};

thread_local! {
    /// Whether the thread runs a task, so that the backtrace of a panic is worth its price.
    static IN_TASK: Cell<bool> = const { Cell::new(false) };
    static BACKTRACE: Cell<Option<String>> = const { Cell::new(None) };
}

/// What one thread needs to run tasks, one after the other.
#[derive(Debug)]
pub(crate) struct Runner {
    /// For `async` tasks; made when the first comes, and standing still between them.
    runtime: OnceCell<Runtime>,
}

impl Runner {
    /// Has the panic hook keep backtraces from here on.
    pub(crate) fn new() -> Self {
        keep_backtraces();
        Self { runtime: OnceCell::new() }
    }

    /// Runs what was called to its end. A panic becomes [`TaskError::Panicked`].
    pub(crate) fn run<T>(&self, call: impl FnOnce() -> Outcome<Call<T>>) -> Outcome<T> {
        BACKTRACE.set(None);
        let outer = IN_TASK.replace(true);
        // Whatever a panic leaves half done belongs to the task; ours is the runtime, which is made
        // for panics in futures.
        let result = catch_unwind(AssertUnwindSafe(|| match call()? {
            Call::Done(value) => Ok(value),
            Call::Pending(future) => Ok(self.runtime()?.block_on(future)),
        }));
        IN_TASK.set(outer);
        result.unwrap_or_else(|payload| {
            let backtrace = BACKTRACE.take().unwrap_or_default();
            Err(TaskError::Panicked { message: message(payload), backtrace })
        })
    }

    fn runtime(&self) -> Outcome<&Runtime> {
        if let Some(runtime) = self.runtime.get() {
            return Ok(runtime);
        }
        match runtime() {
            Ok(new) => Ok(self.runtime.get_or_init(|| new)),
            // Only for want of descriptors; reported in the words a panic in the task would have.
            Err(error) => Err(TaskError::Panicked {
                message: format!("the worker's runtime for async tasks could not start: {error}"),
                backtrace: String::new(),
            }),
        }
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
