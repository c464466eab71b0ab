//! `Iterator`: what a loop over a shared `dict` asks for its keys, and any value that a client wants
//! to have iterated over in the server.

use std::{collections::VecDeque, sync::Arc};

use parking_lot::Mutex;
use spinneret_pickle::{
    Creation, Dialect, Exception, ExceptionKind, Value, ValueRef, View, semantics,
};

use super::{
    address,
    dict::Dict,
    errors::{runtime_error, value_error},
};
use crate::manager::python::{
    args::Args,
    object::{Answer, Call, Object, Outcome},
};

/// Gives the keys of a `dict` one by one, as long as none comes or goes.
pub(super) struct KeyIterator {
    dict: Arc<Dict>,
    state: Mutex<State>,
}

struct State {
    /// How many keys there are to be; `None` when the iteration has come to its end.
    length: Option<usize>,
    /// The place of the last key given.
    place: u64,
}

impl KeyIterator {
    pub fn new(dict: Arc<Dict>) -> Self {
        let state = State { length: Some(dict.len()), place: 0 };
        Self { dict, state: Mutex::new(state) }
    }

    fn next(&self, method: &str, args: Args) -> Result<Value, Exception> {
        let ([], []) = args.positional(method)?;
        let mut state = self.state.lock();
        let Some(length) = state.length else {
            return Err(Exception::bare(ExceptionKind::StopIteration));
        };
        let (now, next) = self.dict.look_behind(state.place);
        if now != length {
            // Once failed, it fails for ever: no other length can be right.
            state.length = Some(usize::MAX);
            return Err(runtime_error("dictionary changed size during iteration"));
        }
        let Some((place, key)) = next else {
            state.length = None;
            return Err(Exception::bare(ExceptionKind::StopIteration));
        };
        state.place = place;
        Ok(key)
    }
}

impl Object for KeyIterator {
    fn exposed(&self, dialect: Dialect) -> Vec<&str> {
        methods(dialect)
    }

    fn call(self: Arc<Self>, method: &str, call: Call) -> Answer {
        match method {
            "__next__" | "next" => self.next(method, call.args).into(),
            _ => Outcome::NoSuchMethod.into(),
        }
    }

    fn repr(&self, dialect: Dialect) -> String {
        let kind = if dialect.is_python2() { "dictionary-keyiterator" } else { "dict_keyiterator" };
        format!("<{kind} object at {}>", address(self))
    }
}

/// What `create('Iterator', value)` shares: the value, as Python's server does it, which has a
/// `__next__` if it is an iterator. Only those of Python's own sequences are known as such here.
pub(super) struct ValueIterator {
    value: Value,
    /// None if it is no iterator.
    left: Option<Left>,
}

/// What an iterator has still to give.
struct Left {
    /// Its class in Python 3.
    class: String,
    items: Mutex<VecDeque<Value>>,
}

impl ValueIterator {
    pub fn create(call: Call) -> Result<Self, Exception> {
        let Call { args, objects, dialect, .. } = call;
        let Ok([value]) = <[Value; 1]>::try_from(args.positional) else {
            return Err(no_single_value(dialect));
        };
        if !args.keywords.is_empty() {
            return Err(no_single_value(dialect));
        }
        let value = objects.keep(&value);
        let left = left(value.as_ref(), dialect)?;
        Ok(Self { value, left })
    }

    fn next(left: &Left, method: &str, args: Args) -> Result<Value, Exception> {
        let ([], []) = args.positional(method)?;
        let next = left.items.lock().pop_front();
        next.ok_or_else(|| Exception::bare(ExceptionKind::StopIteration))
    }
}

impl Object for ValueIterator {
    fn exposed(&self, dialect: Dialect) -> Vec<&str> {
        methods(dialect)
    }

    fn call(self: Arc<Self>, method: &str, call: Call) -> Answer {
        match (method, &self.left) {
            ("__next__" | "next", Some(left)) => Self::next(left, method, call.args).into(),
            _ => Outcome::NoSuchMethod.into(),
        }
    }

    fn repr(&self, dialect: Dialect) -> String {
        match &self.left {
            Some(left) => format!("<{} object at {}>", left.class, address(self)),
            None => semantics::repr(self.value.as_ref(), dialect),
        }
    }

    fn value(&self, dialect: Dialect) -> Option<Value> {
        match &self.left {
            None => Some(self.value.clone()),
            // Python 2.7 cannot pickle iterators.
            Some(_) if dialect.is_python2() => None,
            Some(left) => {
                let items = Value::list(left.items.lock().iter().cloned());
                Some(Value::reduce(Value::global("builtins", "iter"), [items]))
            }
        }
    }
}

/// What a loop over a value gives that came as an argument, which may be an iterator of Python 3.
///
/// # Errors
/// As [`semantics::iterate`].
pub(super) fn iterate(value: ValueRef<'_>, dialect: Dialect) -> Result<Vec<Value>, Exception> {
    match left(value, dialect)? {
        Some(left) => Ok(left.items.into_inner().into()),
        None => semantics::iterate(value, dialect),
    }
}

/// What the proxies of iterators are told of. `send`, `throw` and `close` are those of generators:
/// named, but not there.
fn methods(dialect: Dialect) -> Vec<&'static str> {
    if dialect.is_python2() {
        vec!["__next__", "next", "send", "throw", "close"]
    } else {
        vec!["__next__", "send", "throw", "close"]
    }
}

/// What an iterator has left, if the value is one as Python 3 pickles them: `iter(sequence)` or
/// `reversed(sequence)`, and in its state the place of the next element.
fn left(value: ValueRef<'_>, dialect: Dialect) -> Result<Option<Left>, Exception> {
    let View::Object(object) = value.view() else {
        return Ok(None);
    };
    let Creation::Call { callable, args } = object.creation() else {
        return Ok(None);
    };
    let is = |name| callable.as_global().is_some_and(|global| global.is("builtins", name));
    let (forward, backward) = (is("iter"), is("reversed"));
    let mut args = args.items().into_iter().flatten();
    let (Some(source), None, true) = (args.next(), args.next(), forward || backward) else {
        return Ok(None);
    };
    let mut items: VecDeque<Value> = semantics::iterate(source, dialect)?.into();
    let place = object.state().and_then(ValueRef::as_i64);
    let name = semantics::type_name(source, Dialect::Python38);
    let class = if backward {
        // The last element that is left.
        if let Some(place) = place {
            items.truncate(usize::try_from(place.saturating_add(1)).unwrap_or(0));
        }
        items.make_contiguous().reverse();
        format!("{name}_reverseiterator")
    } else {
        let given = usize::try_from(place.unwrap_or(0)).unwrap_or(0).min(items.len());
        items.drain(..given);
        format!("{name}_iterator")
    };
    Ok(Some(Left { class, items: Mutex::new(items) }))
}

/// Python's server from 3.7 on says what is wrong, those before only that something is.
fn no_single_value(dialect: Dialect) -> Exception {
    if dialect.is_python2() {
        Exception::bare(ExceptionKind::AssertionError)
    } else {
        value_error("Without callable, must have one non-keyword argument")
    }
}
