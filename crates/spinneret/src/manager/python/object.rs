//! What Python's clients call: shared objects, the calls that are made on them, and what those
//! come to.

use std::{any::Any, future::Future, pin::Pin, sync::Arc};

use spinneret_pickle::{Dialect, Exception, Value};

use super::{args::Args, objects::Objects};
use crate::manager::store::Owner;

/// A shared object: whatever has an ident, and methods that Python's proxies call.
///
/// Many connections call at once; an object synchronizes itself. No method but the future of
/// [`Answer::Later`] may wait.
pub(crate) trait Object: Any + Send + Sync {
    /// The methods that a client of this dialect is told of, in the order in which Python's own
    /// server lists them, those with a typeid of their own appended once more. Only identifiers:
    /// clients make code of them.
    fn exposed(&self, dialect: Dialect) -> Vec<&str>;

    /// Calls a method. One that is not [`exposed`](Self::exposed) is [`Outcome::NoSuchMethod`];
    /// `__str__`, `__repr__` and `#GETVALUE` are then made of [`repr`](Self::repr) and
    /// [`value`](Self::value) by the session.
    fn call(self: Arc<Self>, method: &str, call: Call) -> Answer;

    /// What `repr()` gives in the server of such a client; Python's `str(proxy)`.
    fn repr(&self, dialect: Dialect) -> String;

    /// The object as a value of such a client's Python, for `#GETVALUE` and for Python 2, which is
    /// given values where Python 3 is given proxies. `None` if Python could not pickle it either.
    fn value(&self, dialect: Dialect) -> Option<Value> {
        let _ = dialect;
        None
    }

    /// Another object that calls of this one may lock, and which is to be told of a connection's end
    /// even if this one is gone by then.
    fn behind(&self) -> Option<Arc<dyn Object>> {
        None
    }

    /// A connection ended: what it held is free again. Called for every object that the
    /// connection has called, and what is [`behind`](Self::behind) it, after its last call's future
    /// was dropped.
    fn owner_gone(&self, owner: Owner) {
        let _ = owner;
    }
}

/// A call of a method, or of a constructor.
pub(crate) struct Call {
    /// The connection that calls: one thread of a client, and the owner of what it locks. Never
    /// used again for another connection.
    pub owner: Owner,
    /// What the client reads.
    pub dialect: Dialect,
    pub args: Args,
    /// Where proxies among the arguments lead: [`Objects::resolve`].
    pub objects: Arc<Objects>,
}

/// A future that ends with the outcome of a call.
///
/// It is dropped when the caller's connection ends; then it has taken nothing, and leaves nobody
/// behind who waits.
pub(crate) type Pending = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// What a call gives: its outcome, or a wait for it.
pub(crate) enum Answer {
    Now(Outcome),
    Later(Pending),
}

/// How a call ended.
pub(crate) enum Outcome {
    Return(Value),
    /// The value was taken from somewhere, and is lost if it does not reach the caller: the
    /// receipt says so once the reply is written.
    Deliver(Value, Box<dyn Receipt>),
    Raise(Exception),
    /// A new shared object, of which the caller gets a proxy that it owns.
    Proxy {
        typeid: &'static str,
        object: Arc<dyn Object>,
    },
    /// The object has no such method.
    NoSuchMethod,
}

/// Waits for a value to reach its caller. Dropped without a word, the value did not get there.
pub(crate) trait Receipt: Send {
    /// The reply is written.
    fn delivered(self: Box<Self>);
    /// The caller cannot read such a value, and will not be able to later.
    fn unreadable(self: Box<Self>, reason: &str);
}

impl Answer {
    pub fn later(future: impl Future<Output = Outcome> + Send + 'static) -> Self {
        Self::Later(Box::pin(future))
    }
}

impl From<Outcome> for Answer {
    fn from(outcome: Outcome) -> Self {
        Self::Now(outcome)
    }
}

/// `Ok` is returned, `Err` raised; so methods can use `?`.
impl From<Result<Value, Exception>> for Answer {
    fn from(result: Result<Value, Exception>) -> Self {
        Self::Now(result.into())
    }
}

impl From<Result<Value, Exception>> for Outcome {
    fn from(result: Result<Value, Exception>) -> Self {
        match result {
            Ok(value) => Self::Return(value),
            Err(exception) => Self::Raise(exception),
        }
    }
}
