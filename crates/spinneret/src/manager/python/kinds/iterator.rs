//! `Iterator`: what a loop over a shared `dict` asks for its keys.

use std::sync::Arc;

use parking_lot::Mutex;
use spinneret_pickle::{Dialect, Exception, ExceptionKind, Value};

use super::{address, dict::Dict, errors::runtime_error};
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
        // `send`, `throw` and `close` are those of generators: named, but not there.
        if dialect.is_python2() {
            vec!["__next__", "next", "send", "throw", "close"]
        } else {
            vec!["__next__", "send", "throw", "close"]
        }
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
