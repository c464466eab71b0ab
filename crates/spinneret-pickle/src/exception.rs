//! Exceptions of Python: [`Exception`].

use std::fmt;

use crate::{Creation, Global, Value, ValueRef, View, semantics};

/// The classes of exceptions that programs tell apart.
///
/// What has other names in Python 2.7 is the same here: `Queue.Empty` is [`Self::QueueEmpty`],
/// and so is `_queue.Empty`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ExceptionKind {
    /// `queue.Empty`.
    QueueEmpty,
    /// `queue.Full`.
    QueueFull,
    /// `queue.ShutDown`, which only Python 3.13 and later have: older ones cannot read it.
    QueueShutDown,
    /// `threading.BrokenBarrierError`.
    BrokenBarrier,
    /// What the release of a lock that is not locked raises: `RuntimeError`, in Python 2.7
    /// `thread.error`.
    ThreadError,
    /// `multiprocessing.TimeoutError`.
    MultiprocessingTimeout,
    /// `multiprocessing.managers.RemoteError`.
    RemoteError,
    /// `AttributeError`.
    AttributeError,
    /// `IndexError`.
    IndexError,
    /// `KeyError`.
    KeyError,
    /// `NotImplementedError`.
    NotImplementedError,
    /// `OverflowError`.
    OverflowError,
    /// `RuntimeError`.
    RuntimeError,
    /// `StopIteration`.
    StopIteration,
    /// `TimeoutError`, which Python 2.7 does not have: there it is an `OSError`.
    TimeoutError,
    /// `TypeError`.
    TypeError,
    /// `ValueError`.
    ValueError,
    /// `AssertionError`.
    AssertionError,
    /// Another class, by its names in Python 3.
    Other {
        /// The module.
        module: String,
        /// The name in it.
        name: String,
    },
}

/// An exception of Python.
#[derive(Clone, Debug)]
pub struct Exception {
    kind: ExceptionKind,
    args: Vec<Value>,
    /// As it was read, with whatever attributes it has.
    original: Option<Value>,
}

impl Exception {
    /// An exception of that class with those arguments.
    pub fn new(kind: ExceptionKind, args: impl IntoIterator<Item = Value>) -> Self {
        Self { kind, args: args.into_iter().collect(), original: None }
    }

    /// An exception of that class with a message.
    pub fn with_message(kind: ExceptionKind, message: impl Into<String>) -> Self {
        Self::new(kind, [Value::native(message)])
    }

    /// An exception of that class with nothing else.
    pub fn bare(kind: ExceptionKind) -> Self {
        Self::new(kind, [])
    }

    /// The exception that the value is. None if it cannot be one: what is no object made by a named
    /// class. Whether a class that is not known here is one of exceptions, nobody can tell.
    pub fn from_value(value: &Value) -> Option<Self> {
        Self::from_ref(value.as_ref())
    }

    /// See [`Exception::from_value`].
    pub fn from_ref(value: ValueRef<'_>) -> Option<Self> {
        let View::Object(object) = value.view() else { return None };
        let kind = match (object.class(), object.creation()) {
            (Some(class), _) => ExceptionKind::of(class),
            (None, Creation::Call { callable, .. }) if is_shut_down(callable) => {
                ExceptionKind::QueueShutDown
            }
            _ => return None,
        };
        let args = object.args()?.map(ValueRef::to_value).collect();
        Some(Self { kind, args, original: Some(value.to_value()) })
    }

    /// Its class.
    pub const fn kind(&self) -> &ExceptionKind {
        &self.kind
    }

    /// Its arguments.
    pub fn args(&self) -> &[Value] {
        &self.args
    }

    /// Its only argument, if that is text.
    pub fn message(&self) -> Option<&str> {
        match &*self.args {
            [message] => message.as_str(),
            _ => None,
        }
    }

    /// The value that Python reads as the exception. One that was read is the same object again,
    /// with all its attributes.
    pub fn to_value(&self) -> Value {
        if let Some(original) = &self.original {
            original.clone()
        } else {
            let class = match &self.kind {
                ExceptionKind::QueueShutDown => shut_down(),
                kind => {
                    let (module, name) = kind.names();
                    Value::global(module, name)
                }
            };
            Value::reduce(class, self.args.iter().cloned())
        }
    }
}

/// `queue.ShutDown`, which Python has since 3.13; before, `RuntimeError`. Written by its name it could
/// not be read there, and nothing in a pickle tells 3.13 from 3.8.
fn shut_down() -> Value {
    let import = Value::global("importlib", "import_module");
    let queue = Value::reduce(import, [Value::text("queue")]);
    let before = Value::global("builtins", "RuntimeError");
    Value::reduce(Value::global("builtins", "getattr"), [queue, Value::text("ShutDown"), before])
}

fn is_shut_down(class: ValueRef<'_>) -> bool {
    semantics::equal(class, shut_down().as_ref())
}

impl From<Exception> for Value {
    fn from(exception: Exception) -> Self {
        exception.to_value()
    }
}

impl fmt::Display for Exception {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (module, name) = self.kind.names();
        match module {
            "builtins" => f.write_str(name)?,
            _ => write!(f, "{module}.{name}")?,
        }
        match (self.message(), &*self.args) {
            (_, []) => Ok(()),
            (Some(message), _) => write!(f, ": {message}"),
            (None, args) => write!(f, ": {args:?}"),
        }
    }
}

impl std::error::Error for Exception {}

impl ExceptionKind {
    /// The module and the name of the class in Python 3.
    pub fn names(&self) -> (&str, &str) {
        match self {
            Self::QueueEmpty => ("queue", "Empty"),
            Self::QueueFull => ("queue", "Full"),
            Self::QueueShutDown => ("queue", "ShutDown"),
            Self::BrokenBarrier => ("threading", "BrokenBarrierError"),
            Self::ThreadError => ("_thread", "error"),
            Self::MultiprocessingTimeout => ("multiprocessing.context", "TimeoutError"),
            Self::RemoteError => ("multiprocessing.managers", "RemoteError"),
            Self::AttributeError => ("builtins", "AttributeError"),
            Self::IndexError => ("builtins", "IndexError"),
            Self::KeyError => ("builtins", "KeyError"),
            Self::NotImplementedError => ("builtins", "NotImplementedError"),
            Self::OverflowError => ("builtins", "OverflowError"),
            Self::RuntimeError => ("builtins", "RuntimeError"),
            Self::StopIteration => ("builtins", "StopIteration"),
            Self::TimeoutError => ("builtins", "TimeoutError"),
            Self::TypeError => ("builtins", "TypeError"),
            Self::ValueError => ("builtins", "ValueError"),
            Self::AssertionError => ("builtins", "AssertionError"),
            Self::Other { module, name } => (module, name),
        }
    }

    fn of(class: Global<'_>) -> Self {
        let known = [
            Self::QueueEmpty,
            Self::QueueFull,
            Self::QueueShutDown,
            Self::BrokenBarrier,
            Self::ThreadError,
            Self::MultiprocessingTimeout,
            Self::RemoteError,
            Self::AttributeError,
            Self::IndexError,
            Self::KeyError,
            Self::NotImplementedError,
            Self::OverflowError,
            Self::RuntimeError,
            Self::StopIteration,
            Self::TimeoutError,
            Self::TypeError,
            Self::ValueError,
            Self::AssertionError,
        ];
        let Global { module, name } = class;
        known
            .into_iter()
            .find(|kind| kind.names() == (module, name))
            .unwrap_or_else(|| Self::Other { module: module.to_owned(), name: name.to_owned() })
    }
}
