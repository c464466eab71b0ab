//! For code that [`macro@crate::exposed`] generates; no promise is made about it.

use std::fmt::Display;

use serde::Serialize;
use spinneret_pickle::{Exception, ExceptionKind, Value};

use super::{Answer, panicked};
use crate::manager::python::client::to_value;

/// Runs a plain method on a thread for blocking work.
pub fn apart(method: impl FnOnce() -> Result<Value, Exception> + Send + 'static) -> Answer {
    Box::pin(async {
        match tokio::task::spawn_blocking(method).await {
            Ok(answer) => answer,
            Err(error) => Err(match error.try_into_panic() {
                Ok(panic) => panicked(panic),
                Err(_) => runtime_error("the manager was shut down".into()),
            }),
        }
    })
}

/// Runs an async method among the manager's own.
pub fn inline(method: impl Future<Output = Result<Value, Exception>> + Send + 'static) -> Answer {
    Box::pin(method)
}

fn runtime_error(text: String) -> Exception {
    Exception::with_message(ExceptionKind::RuntimeError, text)
}

/// What a method returned. Its `answer` is, by the type: of a `Result` whose error is an exception,
/// the method of the type itself; of one whose error is a text, that of [`ByText`]; of all else,
/// which only needs a reference, that of [`Plainly`].
pub struct Outcome<R>(pub R);

impl<T: Serialize, E: Into<Exception>> Outcome<Result<T, E>> {
    pub fn answer(self) -> Result<Value, Exception> {
        self.0.map_or_else(|error| Err(error.into()), |value| written(&value))
    }
}

/// See [`Outcome`].
pub trait ByText {
    fn answer(self) -> Result<Value, Exception>;
}

impl<T: Serialize, E: Display> ByText for Outcome<Result<T, E>> {
    fn answer(self) -> Result<Value, Exception> {
        self.0.map_or_else(|error| Err(runtime_error(error.to_string())), |value| written(&value))
    }
}

/// See [`Outcome`].
pub trait Plainly {
    fn answer(&self) -> Result<Value, Exception>;
}

impl<T: Serialize> Plainly for Outcome<T> {
    fn answer(&self) -> Result<Value, Exception> {
        written(&self.0)
    }
}

fn written<T: Serialize>(value: &T) -> Result<Value, Exception> {
    let type_error = |text| Exception::with_message(ExceptionKind::TypeError, text);
    to_value(value).map_err(|error| type_error(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manager::runtime::block_on;

    struct Sold;

    impl From<Sold> for Exception {
        fn from(_: Sold) -> Self {
            Self::with_message(ExceptionKind::KeyError, "sold")
        }
    }

    #[test]
    fn values_are_returned_and_errors_raised() {
        assert_eq!(Outcome(7).answer().unwrap().as_i64(), Some(7));
        assert!(Outcome(()).answer().unwrap().is_none());
        assert_eq!(Outcome(Ok::<_, Sold>(7)).answer().unwrap().as_i64(), Some(7));
        assert_eq!(Outcome(Ok::<_, String>(7)).answer().unwrap().as_i64(), Some(7));

        let error = Outcome(Err::<i32, _>(Sold)).answer().unwrap_err();
        assert_eq!((error.kind(), error.message()), (&ExceptionKind::KeyError, Some("sold")));
        let error = Outcome(Err::<i32, _>("no")).answer().unwrap_err();
        assert_eq!((error.kind(), error.message()), (&ExceptionKind::RuntimeError, Some("no")));
        let as_it_is = Exception::bare(ExceptionKind::StopIteration);
        let error = Outcome(Err::<i32, _>(as_it_is)).answer().unwrap_err();
        assert_eq!(error.kind(), &ExceptionKind::StopIteration);
    }

    #[test]
    fn a_panic_on_a_thread_of_its_own_is_an_exception() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let error = runtime.block_on(apart(|| panic!("oh"))).unwrap_err();
        assert_eq!(error.kind(), &ExceptionKind::RuntimeError);
        assert_eq!(error.message(), Some("panicked: oh"));
    }

    #[test]
    fn an_async_method_waits_without_a_thread() {
        let answer = inline(async {
            tokio::task::yield_now().await;
            Ok(Value::int(3))
        });
        assert_eq!(block_on(answer).unwrap().as_i64(), Some(3));
    }
}
