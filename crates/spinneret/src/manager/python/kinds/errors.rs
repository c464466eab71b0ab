//! The exceptions that the kinds raise.

use spinneret_pickle::{Exception, ExceptionKind, Value};

use crate::manager::error::ManagerError;

pub(super) fn type_error(text: impl Into<String>) -> Exception {
    Exception::with_message(ExceptionKind::TypeError, text)
}

pub(super) fn value_error(text: impl Into<String>) -> Exception {
    Exception::with_message(ExceptionKind::ValueError, text)
}

pub(super) fn index_error(text: &str) -> Exception {
    Exception::with_message(ExceptionKind::IndexError, text)
}

pub(super) fn runtime_error(text: impl Into<String>) -> Exception {
    Exception::with_message(ExceptionKind::RuntimeError, text)
}

pub(super) fn overflow_error(text: impl Into<String>) -> Exception {
    Exception::with_message(ExceptionKind::OverflowError, text)
}

pub(super) fn memory_error() -> Exception {
    let (module, name) = ("builtins".to_owned(), "MemoryError".to_owned());
    Exception::bare(ExceptionKind::Other { module, name })
}

pub(super) fn key_error(key: Value) -> Exception {
    Exception::new(ExceptionKind::KeyError, [key])
}

pub(super) fn no_attribute(class: &str, name: &str) -> Exception {
    let text = format!("'{class}' object has no attribute '{name}'");
    Exception::with_message(ExceptionKind::AttributeError, text)
}

/// What a client is told when the server cannot even wait.
pub(super) fn cannot_wait(error: &ManagerError) -> Exception {
    runtime_error(format!("the server cannot wait: {error}"))
}
