//! `Event`.

use std::sync::Arc;

use parking_lot::Mutex;
use spinneret_pickle::{Dialect, Exception, Value};

use super::{
    address,
    errors::cannot_wait,
    line::{Line, Lined, Place},
    patience::deadline,
};
use crate::manager::python::object::{Answer, Call, Object, Outcome};

/// A flag that callers wait for.
pub(super) struct Event {
    state: Mutex<State>,
}

struct State {
    set: bool,
    line: Line<(), ()>,
}

impl Lined for State {
    type Claim = ();
    type Gift = ();

    fn line(&mut self) -> &mut Line<(), ()> {
        &mut self.line
    }

    fn gone(&mut self, (): (), _gift: Option<()>) {}
}

impl Event {
    pub fn create(call: Call) -> Result<Self, Exception> {
        let ([], []) = call.args.bind("Event", [], [])?;
        Ok(Self { state: Mutex::new(State { set: false, line: Line::new() }) })
    }

    fn change(&self, method: &str, call: Call, set: bool) -> Result<Value, Exception> {
        let ([], []) = call.args.bind(method, [], [])?;
        let mut state = self.state.lock();
        state.set = set;
        // Whoever waits has seen it, even if the flag is cleared before it looks.
        while set && state.line.give(()) {}
        Ok(Value::none())
    }

    fn wait(self: Arc<Self>, call: Call) -> Result<Answer, Exception> {
        let ([], [timeout]) = call.args.bind("wait", [], ["timeout"])?;
        if self.state.lock().set {
            return Ok(Outcome::Return(Value::bool(true)).into());
        }
        let until = deadline(timeout.as_ref(), call.dialect)?;
        Ok(Answer::later(async move {
            let place = {
                let mut state = self.state.lock();
                if state.set {
                    return Outcome::Return(Value::bool(true));
                }
                Place::join(&self.state, &mut state, ())
            };
            let seen = place.wait(until).await.map_err(|error| cannot_wait(&error));
            seen.map(|seen| Value::bool(seen.is_some())).into()
        }))
    }
}

impl Object for Event {
    fn exposed(&self, _dialect: Dialect) -> Vec<&str> {
        vec!["is_set", "set", "clear", "wait"]
    }

    fn call(self: Arc<Self>, method: &str, call: Call) -> Answer {
        match method {
            "is_set" => {
                let bound = call.args.bind(method, [], []);
                bound.map(|([], [])| Value::bool(self.state.lock().set)).into()
            }
            "set" => self.change(method, call, true).into(),
            "clear" => self.change(method, call, false).into(),
            "wait" => self.wait(call).unwrap_or_else(|raised| Outcome::Raise(raised).into()),
            _ => Outcome::NoSuchMethod.into(),
        }
    }

    fn repr(&self, dialect: Dialect) -> String {
        let (at, set) = (address(self), self.state.lock().set);
        if dialect.is_python2() {
            return format!("<threading._Event object at {at}>");
        }
        format!("<threading.Event at {at}: {}>", if set { "set" } else { "unset" })
    }
}
