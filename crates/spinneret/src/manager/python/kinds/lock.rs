//! `Lock` and `RLock`.

use std::sync::Arc;

use spinneret_pickle::{Dialect, Exception, ExceptionKind, Value};

use super::{
    address,
    errors::{cannot_wait, runtime_error},
    gate::Gate,
    hold::{Claim, Hold},
    patience::Patience,
};
use crate::manager::{
    python::object::{Answer, Call, Object, Outcome},
    store::Owner,
};

/// A lock as Python's `threading` has it.
///
/// A plain one may be released by any connection. Its holder is the one that acquired it: if that
/// ends before anybody has released it, the lock is free, and who releases it then is late, but
/// makes no mistake. A reentrant one belongs to a connection.
pub(super) struct Lock {
    reentrant: bool,
    pub gate: Gate<Hold>,
}

impl Lock {
    pub fn new(reentrant: bool) -> Self {
        Self { reentrant, gate: Gate::new(Hold::new(reentrant)) }
    }

    pub fn create(name: &str, reentrant: bool, call: Call) -> Result<Self, Exception> {
        let ([], []) = call.args.bind(name, [], [])?;
        Ok(Self::new(reentrant))
    }

    fn acquire(self: Arc<Self>, call: Call) -> Result<Answer, Exception> {
        let Call { owner, dialect, args, .. } = call;
        let patience = if dialect.is_python2() {
            let ([], [blocking]) = args.bind("acquire", [], ["blocking"])?;
            Patience::of_lock(blocking.as_ref(), None, dialect)?
        } else {
            let ([], [blocking, timeout]) = args.bind("acquire", [], ["blocking", "timeout"])?;
            Patience::of_lock(blocking.as_ref(), timeout.as_ref(), dialect)?
        };
        let nested = self.reentrant && self.gate.look(|hold| hold.is_owned(owner));
        let claim = Claim::once(owner);
        if self.gate.try_acquire(claim) {
            // Python 2.7 answers so.
            let one = nested && dialect.is_python2();
            let value = if one { Value::int(1) } else { Value::bool(true) };
            return Ok(Outcome::Return(value).into());
        }
        if patience == Patience::None {
            return Ok(Outcome::Return(Value::bool(false)).into());
        }
        Ok(Answer::later(async move {
            let acquired = self.gate.acquire(claim, patience).await;
            acquired.map(Value::bool).map_err(|error| cannot_wait(&error)).into()
        }))
    }

    fn release(&self, call: Call) -> Result<Value, Exception> {
        let ([], []) = call.args.bind("release", [], [])?;
        if self.gate.change(|hold| hold.release(call.owner)) {
            Ok(Value::none())
        } else if self.reentrant {
            Err(runtime_error("cannot release un-acquired lock"))
        } else {
            Err(Exception::with_message(ExceptionKind::ThreadError, "release unlocked lock"))
        }
    }
}

impl Object for Lock {
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
        let (held, at) = (self.gate.look(Hold::held), address(self));
        let (owner, count) = held.map_or((0, 0), |held| (held.owner, held.depth));
        let state = if held.is_some() { "locked" } else { "unlocked" };
        match (self.reentrant, dialect.is_python2()) {
            (true, true) if held.is_none() => "<_RLock owner=None count=0>".to_owned(),
            (true, true) => format!("<_RLock owner={owner} count={count}>"),
            (false, true) => format!("<thread.lock object at {at}>"),
            (true, false) => {
                format!("<{state} _thread.RLock object owner={owner} count={count} at {at}>")
            }
            (false, false) => format!("<{state} _thread.lock object at {at}>"),
        }
    }

    fn owner_gone(&self, owner: Owner) {
        self.gate.change(|hold| hold.owner_gone(owner));
    }
}
