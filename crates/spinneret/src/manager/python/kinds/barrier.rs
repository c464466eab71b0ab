//! `Barrier`.

use std::sync::Arc;

use parking_lot::Mutex;
use spinneret_pickle::{Dialect, Exception, ExceptionKind, Value, semantics};

use super::{
    address,
    errors::{cannot_wait, no_attribute, type_error, value_error},
    line::{Line, Lined, Place},
    patience::{after, seconds},
    whole,
};
use crate::manager::python::object::{Answer, Call, Object, Outcome};

/// Where parties wait for one another.
///
/// A party that goes while it waits breaks the barrier, as one that gives up does: the others would
/// wait in vain.
pub(super) struct Barrier {
    parties: usize,
    /// In seconds, for those who give none.
    timeout: Option<f64>,
    state: Mutex<State>,
}

struct State {
    broken: bool,
    /// Those who wait are told whether the barrier was passed, or has broken.
    line: Line<(), bool>,
}

impl State {
    fn tell_all(&mut self, passed: bool) {
        while self.line.give(passed) {}
    }

    fn break_up(&mut self) {
        self.broken = true;
        self.tell_all(false);
    }
}

impl Lined for State {
    type Claim = ();
    type Gift = bool;

    fn line(&mut self) -> &mut Line<(), bool> {
        &mut self.line
    }

    fn gone(&mut self, (): (), told: Option<bool>) {
        if told.is_none() {
            self.break_up();
        }
    }
}

impl Barrier {
    pub fn create(call: Call) -> Result<Self, Exception> {
        let dialect = call.dialect;
        let ([parties], [action, timeout]) =
            call.args.bind("Barrier", ["parties"], ["action", "timeout"])?;
        let parties = semantics::index(parties.as_ref(), dialect)?;
        let parties = usize::try_from(parties).ok().filter(|parties| *parties > 0);
        let parties = parties.ok_or_else(|| value_error("parties must be > 0"))?;
        if action.is_some_and(|action| !action.is_none()) {
            return Err(type_error(
                "this server runs no code of its clients: action must be None; let the party \
                 whose wait() returns 0 do it",
            ));
        }
        let timeout = timeout.filter(|timeout| !timeout.is_none());
        let timeout = timeout.map(|timeout| seconds(&timeout, dialect)).transpose()?;
        let state = Mutex::new(State { broken: false, line: Line::new() });
        Ok(Self { parties, timeout, state })
    }

    fn wait(self: Arc<Self>, call: Call) -> Result<Answer, Exception> {
        let ([], [timeout]) = call.args.bind("wait", [], ["timeout"])?;
        let timeout = match timeout.filter(|timeout| !timeout.is_none()) {
            Some(timeout) => Some(seconds(&timeout, call.dialect)?),
            None => self.timeout,
        };
        let until = timeout.and_then(after);
        Ok(Answer::later(async move {
            let (place, index) = {
                let mut state = self.state.lock();
                if state.broken {
                    return broken();
                }
                let index = state.line.len();
                if index + 1 == self.parties {
                    state.tell_all(true);
                    return Outcome::Return(whole(index));
                }
                (Place::join(&self.state, &mut state, ()), index)
            };
            match place.wait(until).await {
                Ok(Some(true)) => Outcome::Return(whole(index)),
                Ok(_) => broken(),
                Err(error) => Outcome::Raise(cannot_wait(&error)),
            }
        }))
    }

    fn attribute(&self, call: Call) -> Result<Value, Exception> {
        let ([name], []) = call.args.positional("__getattribute__")?;
        match name.as_str() {
            Some("parties") => Ok(whole(self.parties)),
            Some("n_waiting") => Ok(whole(self.state.lock().line.len())),
            Some("broken") => Ok(Value::bool(self.state.lock().broken)),
            Some(name) => Err(no_attribute("Barrier", name)),
            None => Err(type_error("attribute name must be string")),
        }
    }
}

fn broken() -> Outcome {
    Outcome::Raise(Exception::bare(ExceptionKind::BrokenBarrier))
}

impl Object for Barrier {
    fn exposed(&self, _dialect: Dialect) -> Vec<&str> {
        vec!["__getattribute__", "wait", "abort", "reset"]
    }

    fn call(self: Arc<Self>, method: &str, call: Call) -> Answer {
        match method {
            "__getattribute__" => self.attribute(call).into(),
            "wait" => self.wait(call).unwrap_or_else(|raised| Outcome::Raise(raised).into()),
            "abort" | "reset" => {
                let bound = call.args.bind(method, [], []);
                let done = bound.map(|([], [])| {
                    let mut state = self.state.lock();
                    state.break_up();
                    state.broken = method == "abort";
                    Value::none()
                });
                done.into()
            }
            _ => Outcome::NoSuchMethod.into(),
        }
    }

    fn repr(&self, _dialect: Dialect) -> String {
        let (at, state) = (address(self), self.state.lock());
        if state.broken {
            return format!("<threading.Barrier at {at}: broken>");
        }
        format!("<threading.Barrier at {at}: waiters={}/{}>", state.line.len(), self.parties)
    }
}
