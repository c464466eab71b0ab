//! Objects of a program's own, whose methods other programs call by name, Python's included.
//!
//! Mark an impl block with [`macro@crate::exposed`] and register a value of the type; a Python
//! program then uses it as it would use one of a `BaseManager` of its own:
//!
//! ```
//! use std::sync::atomic::{AtomicI64, Ordering};
//! use spinneret::manager::{AuthKey, Client, Manager};
//!
//! struct Counter(AtomicI64);
//!
//! #[spinneret::exposed]
//! impl Counter {
//!     fn add(&self, by: i64) -> i64 {
//!         self.0.fetch_add(by, Ordering::Relaxed) + by
//!     }
//!
//!     fn divide(&self, by: i64) -> Result<i64, String> {
//!         self.0.load(Ordering::Relaxed).checked_div(by).ok_or_else(|| "by what?".into())
//!     }
//! }
//!
//! let key = AuthKey::new("qiye");
//! let manager = Manager::builder()
//!     .listen("127.0.0.1:0")
//!     .authkey(key.clone())
//!     .register_object("counter", Counter(AtomicI64::new(4)))
//!     .start()?;
//!
//! // In Python: `BaseManager.register('counter')`, connect, `m.counter().add(by=3)`.
//! let client = Client::connect(manager.local_addr(), &key)?;
//! let counter = client.object("counter", ())?;
//! assert_eq!(counter.call::<i64>("add", (3,))?, 7);
//! assert!(counter.call::<i64>("divide", (0,)).is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! An `Err` is raised as an exception in the caller: a `RuntimeError` with its `Display` text, or
//! what it turns into if it is a [`From`] of [`Exception`]:
//!
//! ```
//! use spinneret::manager::pickle::{Exception, ExceptionKind};
//!
//! struct NoSuchImage(String);
//!
//! impl From<NoSuchImage> for Exception {
//!     fn from(error: NoSuchImage) -> Self {
//!         Self::with_message(ExceptionKind::KeyError, error.0)
//!     }
//! }
//! ```

mod call;
#[doc(hidden)]
pub mod generated;

use std::{
    any::{Any, type_name},
    fmt,
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::Poll,
};

use spinneret_pickle::{Dialect, Exception, ExceptionKind, Value};

use super::python::object::{self, Object};
use crate::task::panic_message;
pub use call::{Arguments, Call};

/// What a call comes to: a value, or an exception for the caller.
///
/// Its future is dropped when the caller's connection ends.
pub type Answer = Pin<Box<dyn Future<Output = Result<Value, Exception>> + Send>>;

/// A value whose methods other programs call by name; made by [`macro@crate::exposed`].
///
/// Implement it by hand for methods that are known only when the program runs. Several callers call
/// at once.
///
/// ```
/// use std::sync::Arc;
/// use spinneret::manager::exposed::{Answer, Call, Exposed};
/// use spinneret::manager::pickle::Value;
///
/// /// Answers every question with a text.
/// struct Sage(Vec<&'static str>);
///
/// impl Exposed for Sage {
///     fn methods(&self) -> &[&str] {
///         &self.0
///     }
///
///     fn call(self: Arc<Self>, call: Call) -> Answer {
///         Box::pin(async move {
///             let name: String = call.bind(&["name"])?.take()?;
///             Ok(Value::text(format!("{name} is not to be known")))
///         })
///     }
/// }
/// ```
pub trait Exposed: Send + Sync + 'static {
    /// The names of the methods. They must be names in Python too; its proxies make code of them.
    fn methods(&self) -> &[&str];

    /// Calls one of the methods. Must not block the thread; what has to wait is done by the answer.
    /// A panic here or there is a `RuntimeError` of this call, and others go on.
    fn call(self: Arc<Self>, call: Call) -> Answer;

    /// What Python's `str(proxy)` gives.
    fn repr(&self) -> String {
        format!("<{} object>", type_name::<Self>().replace("::", "."))
    }
}

/// A value to be registered.
pub(crate) struct Registered(pub Arc<dyn Object>);

impl Registered {
    pub fn new(value: impl Exposed) -> Self {
        Self(Arc::new(Shared(Arc::new(value))))
    }
}

impl fmt::Debug for Registered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.repr(Dialect::Python38))
    }
}

/// An exposed value among the objects that Python's clients call.
struct Shared<T>(Arc<T>);

impl<T: Exposed> Object for Shared<T> {
    fn exposed(&self, _: Dialect) -> Vec<&str> {
        let mut names = self.0.methods().to_vec();
        // As Python's own server lists what it finds in an object.
        names.sort_unstable();
        names
    }

    fn call(self: Arc<Self>, method: &str, call: object::Call) -> object::Answer {
        let begun = caught(|| {
            self.0.methods().contains(&method).then(|| {
                let call = Call::new(method, call.args.positional, call.args.keywords);
                Arc::clone(&self.0).call(call)
            })
        });
        match begun {
            Ok(Some(answer)) => object::Answer::later(async { ended(answer).await.into() }),
            Ok(None) => object::Outcome::NoSuchMethod.into(),
            Err(panicked) => object::Outcome::Raise(panicked).into(),
        }
    }

    fn repr(&self, _: Dialect) -> String {
        let panicked = |_| format!("<{} object whose repr panicked>", type_name::<T>());
        caught(|| self.0.repr()).unwrap_or_else(panicked)
    }
}

/// What an answer comes to, be it a panic.
async fn ended(mut answer: Answer) -> Result<Value, Exception> {
    poll_fn(|context| {
        // An answer that has panicked is not polled again.
        caught(|| answer.as_mut().poll(context))
            .unwrap_or_else(|panicked| Poll::Ready(Err(panicked)))
    })
    .await
}

/// Runs code of the program's that may panic, which is an exception then: it must not end the
/// connection of whoever called it. What it leaves behind is the program's, as after a thread's
/// panic.
fn caught<R>(code: impl FnOnce() -> R) -> Result<R, Exception> {
    catch_unwind(AssertUnwindSafe(code)).map_err(panicked)
}

/// A panic as its caller sees it.
fn panicked(panic: Box<dyn Any + Send>) -> Exception {
    let text = format!("panicked: {}", panic_message(panic));
    Exception::with_message(ExceptionKind::RuntimeError, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_an_exception_wherever_it_happens() {
        let later: Answer = Box::pin(async {
            tokio::task::yield_now().await;
            panic!("oh")
        });
        let at_once = caught(|| panic!("oh"));
        for error in [ended(later).await.unwrap_err(), at_once.unwrap_err()] {
            assert_eq!(error.kind(), &ExceptionKind::RuntimeError);
            assert_eq!(error.message(), Some("panicked: oh"));
        }
    }
}
