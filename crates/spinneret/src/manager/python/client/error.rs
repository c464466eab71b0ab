//! What goes wrong on the other side: [`RemoteException`].

use std::fmt;

use spinneret_pickle::{Exception, ExceptionKind, Value, ValueRef};

use crate::manager::error::ManagerError;

/// An exception that a call raised in the server.
///
/// Which one it was tells [`kind`](Self::kind): a `KeyError` is an [`ExceptionKind::KeyError`],
/// whichever Python serves, and a class that only that program knows an [`ExceptionKind::Other`]
/// with its names.
///
/// What a method raises comes as the exception itself. What goes wrong around it (there is no such
/// method, the object is gone, it could not be made) comes as the text of a traceback, from whose
/// last line kind and message are taken.
#[derive(Clone, Debug)]
pub struct RemoteException {
    exception: Exception,
    message: String,
    traceback: Option<String>,
}

impl RemoteException {
    /// The exception's class.
    pub fn kind(&self) -> &ExceptionKind {
        self.exception.kind()
    }

    /// What it says: its argument, if that is text, else its arguments in short.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The server's traceback, if it sent one: for people to read, several lines.
    pub fn traceback(&self) -> Option<&str> {
        self.traceback.as_deref()
    }

    /// The exception with its arguments.
    pub fn exception(&self) -> &Exception {
        &self.exception
    }

    /// The answer `#ERROR`.
    pub(crate) fn raised(value: ValueRef<'_>) -> Self {
        match Exception::from_ref(value) {
            Some(exception) => Self::new(exception, None),
            None => Self::text("it raised something that is no exception".into(), None),
        }
    }

    /// The answer `#TRACEBACK`.
    pub(crate) fn of_traceback(text: &str) -> Self {
        let last = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
        let (class, message) = last.split_once(": ").unwrap_or((last, ""));
        let is_name = |name: &str| {
            !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || "._".contains(c))
        };
        if !is_name(class) {
            return Self::text(last.into(), Some(text.into()));
        }
        let (module, name) = class.rsplit_once('.').unwrap_or(("builtins", class));
        let message = (!message.is_empty()).then(|| Value::text(message));
        let value = Value::reduce(Value::global(module, name), message);
        match Exception::from_value(&value) {
            Some(exception) => Self::new(exception, Some(text.into())),
            None => Self::text(last.into(), Some(text.into())),
        }
    }

    /// The answer `#UNSERIALIZABLE`.
    pub(crate) fn unserializable(text: &str) -> Self {
        Self::text(format!("the server cannot pickle what the method gave: {text}"), None)
    }

    fn new(exception: Exception, traceback: Option<String>) -> Self {
        let message = match (exception.message(), exception.args()) {
            (Some(message), _) => message.to_owned(),
            (None, []) => String::new(),
            (None, args) => {
                let args: Vec<String> = args.iter().map(|arg| format!("{arg:?}")).collect();
                args.join(", ")
            }
        };
        Self { exception, message, traceback }
    }

    fn text(message: String, traceback: Option<String>) -> Self {
        let exception = Exception::with_message(ExceptionKind::RemoteError, &*message);
        Self { exception, message, traceback }
    }
}

impl fmt::Display for RemoteException {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (module, name) = self.kind().names();
        match module {
            "builtins" => f.write_str(name)?,
            _ => write!(f, "{module}.{name}")?,
        }
        if self.message.is_empty() { Ok(()) } else { write!(f, ": {}", self.message) }
    }
}

impl std::error::Error for RemoteException {}

impl From<RemoteException> for ManagerError {
    fn from(exception: RemoteException) -> Self {
        Self::Remote(Box::new(exception))
    }
}

impl ManagerError {
    /// The exception that the call raised in the server, if that is what happened.
    pub fn remote(&self) -> Option<&RemoteException> {
        match self {
            Self::Remote(exception) => Some(exception),
            _ => None,
        }
    }

    /// Whether the call raised this exception in the server.
    pub(crate) fn raised(&self, kind: &ExceptionKind) -> bool {
        self.remote().is_some_and(|exception| {
            // A traceback tells of the server's own troubles, not of what a method raised.
            exception.traceback.is_none() && exception.kind() == kind
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceback_s_last_line_tells_what_it_was() {
        let text = "Traceback (most recent call last):\n  File \"managers.py\", line 9, in create\n\
                    KeyError: 'get_task_queue'\n\n";
        let exception = RemoteException::of_traceback(text);
        assert_eq!(exception.kind(), &ExceptionKind::KeyError);
        assert_eq!(exception.message(), "'get_task_queue'");
        assert_eq!(exception.traceback(), Some(text));
        assert_eq!(exception.to_string(), "KeyError: 'get_task_queue'");
    }

    #[test]
    fn classes_of_modules_and_bare_ones_are_recognised_in_tracebacks() {
        let of = RemoteException::of_traceback;
        assert_eq!(of("queue.Full").kind(), &ExceptionKind::QueueFull);
        assert_eq!(of("_queue.Empty\n").kind(), &ExceptionKind::QueueEmpty);
        assert_eq!(of("StopIteration\n").kind(), &ExceptionKind::StopIteration);
        let other = ExceptionKind::Other { module: "shop.errors".into(), name: "Sold".into() };
        assert_eq!(of("shop.errors.Sold: it: is").kind(), &other);
        assert_eq!(of("shop.errors.Sold: it: is").message(), "it: is");
    }

    #[test]
    fn a_traceback_that_is_none_keeps_its_text() {
        for text in ["", "what?: no", "so it went"] {
            let exception = RemoteException::of_traceback(text);
            assert_eq!(exception.kind(), &ExceptionKind::RemoteError);
            assert_eq!((exception.message(), exception.traceback()), (text, Some(text)));
        }
    }

    #[test]
    fn an_exception_that_was_raised_is_the_same_here() {
        let key = Value::tuple([Value::int(1), Value::text("x")]);
        let raised = Exception::new(ExceptionKind::KeyError, [key]).to_value();
        let exception = RemoteException::raised(raised.as_ref());
        assert_eq!(exception.kind(), &ExceptionKind::KeyError);
        assert_eq!(exception.exception().args().len(), 1);
        assert!(!exception.message().is_empty() && exception.traceback().is_none());

        let error = ManagerError::from(exception);
        assert!(
            error.raised(&ExceptionKind::KeyError) && !error.raised(&ExceptionKind::IndexError)
        );
        let nothing = RemoteException::raised(Value::int(3).as_ref());
        assert_eq!(nothing.kind(), &ExceptionKind::RemoteError);
    }
}
