//! `Semaphore` and `BoundedSemaphore`.

use std::sync::Arc;

use spinneret_pickle::{Dialect, Exception, Value, semantics};

use super::{
    address,
    errors::{cannot_wait, value_error},
    gate::Gate,
    hold::Permits,
    patience::Patience,
};
use crate::manager::{
    python::object::{Answer, Call, Object, Outcome},
    store::Owner,
};

/// A semaphore as Python's `threading` has it.
///
/// Any connection may release. What a connection has acquired and nobody has released for it is
/// free again when it ends (who releases it then is late, but makes no mistake); a semaphore that
/// counts events, which starts with less than is released later, gains nothing by that.
pub(super) struct Semaphore {
    bounded: bool,
    gate: Gate<Permits>,
}

impl Semaphore {
    pub fn create(bounded: bool, call: Call) -> Result<Self, Exception> {
        let name = if bounded { "BoundedSemaphore" } else { "Semaphore" };
        let ([], [value]) = call.args.bind(name, [], ["value"])?;
        let value = value.map_or(Ok(1), |value| semantics::index(value.as_ref(), call.dialect))?;
        let permits =
            value.try_into().map_err(|_| value_error("semaphore initial value must be >= 0"))?;
        Ok(Self { bounded, gate: Gate::new(Permits::new(permits, bounded)) })
    }

    fn acquire(self: Arc<Self>, call: Call) -> Result<Answer, Exception> {
        let Call { owner, dialect, args, .. } = call;
        let patience = if dialect.is_python2() {
            let ([], [blocking]) = args.bind("acquire", [], ["blocking"])?;
            Patience::of_semaphore(blocking.as_ref(), None, dialect)?
        } else {
            let ([], [blocking, timeout]) = args.bind("acquire", [], ["blocking", "timeout"])?;
            Patience::of_semaphore(blocking.as_ref(), timeout.as_ref(), dialect)?
        };
        if self.gate.try_acquire(owner) {
            return Ok(Outcome::Return(Value::bool(true)).into());
        }
        if patience == Patience::None {
            return Ok(Outcome::Return(Value::bool(false)).into());
        }
        Ok(Answer::later(async move {
            let acquired = self.gate.acquire(owner, patience).await;
            acquired.map(Value::bool).map_err(|error| cannot_wait(&error)).into()
        }))
    }

    fn release(&self, call: Call) -> Result<Value, Exception> {
        let permits = if call.dialect.is_python2() {
            let ([], []) = call.args.bind("release", [], [])?;
            1
        } else {
            let ([], [permits]) = call.args.bind("release", [], ["n"])?;
            permits.map_or(Ok(1), |n| semantics::index(n.as_ref(), call.dialect))?
        };
        let permits = u64::try_from(permits).ok().filter(|permits| *permits > 0);
        let permits = permits.ok_or_else(|| value_error("n must be one or more"))?;
        self.gate.change(|state| {
            if self.bounded && !state.can_release(permits) {
                return Err(value_error("Semaphore released too many times"));
            }
            state.release(call.owner, permits);
            Ok(Value::none())
        })
    }
}

impl Object for Semaphore {
    fn exposed(&self, _dialect: Dialect) -> Vec<&str> {
        vec!["acquire", "release"]
    }

    fn call(self: Arc<Self>, method: &str, call: Call) -> Answer {
        match method {
            "acquire" => self.acquire(call).unwrap_or_else(|raised| Outcome::Raise(raised).into()),
            "release" => self.release(call).into(),
            _ => Outcome::NoSuchMethod.into(),
        }
    }

    fn repr(&self, dialect: Dialect) -> String {
        let (left, initial) = self.gate.look(|permits| (permits.left(), permits.initial()));
        let (name, at) =
            (if self.bounded { "BoundedSemaphore" } else { "Semaphore" }, address(self));
        match (dialect.is_python2(), self.bounded) {
            (true, _) => format!("<threading._{name} object at {at}>"),
            (false, true) => format!("<threading.{name} at {at}: value={left}/{initial}>"),
            (false, false) => format!("<threading.{name} at {at}: value={left}>"),
        }
    }

    fn owner_gone(&self, owner: Owner) {
        self.gate.change(|permits| permits.owner_gone(owner));
    }
}
