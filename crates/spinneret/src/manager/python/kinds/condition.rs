//! `Condition`.

use std::{any::Any, sync::Arc};

use parking_lot::Mutex;
use spinneret_pickle::{Dialect, Exception, Value, semantics};

use super::{
    errors::{cannot_wait, runtime_error, type_error},
    hold::Claim,
    line::{Line, Lined, Place},
    lock::Lock,
    patience::{Patience, deadline},
};
use crate::manager::{
    python::object::{Answer, Call, Object, Outcome},
    store::Owner,
};

/// Callers that wait for a notification, and the lock that goes with it.
///
/// A notification whose receiver has gone before it had the lock back goes to the next one.
pub(super) struct Condition {
    /// A [`Lock`], which may be shared under an ident of its own.
    lock: Arc<dyn Object>,
    waiters: Mutex<Waiters>,
}

struct Waiters {
    line: Line<(), ()>,
}

impl Lined for Waiters {
    type Claim = ();
    type Gift = ();

    fn line(&mut self) -> &mut Line<(), ()> {
        &mut self.line
    }

    fn gone(&mut self, (): (), notified: Option<()>) {
        if notified.is_some() {
            self.line.give(());
        }
    }
}

/// A notification, passed on if it is dropped.
struct Notified<'a> {
    waiters: &'a Mutex<Waiters>,
    used: bool,
}

impl Drop for Notified<'_> {
    fn drop(&mut self) {
        if !self.used {
            self.waiters.lock().line.give(());
        }
    }
}

impl Condition {
    pub fn create(call: Call) -> Result<Self, Exception> {
        let ([], [lock]) = call.args.bind("Condition", [], ["lock"])?;
        let lock = match lock.filter(|lock| !lock.is_none()) {
            None => Arc::new(Lock::new(true)),
            Some(proxy) => call
                .objects
                .resolve(&proxy)
                .filter(|object| as_lock(&**object).is_some())
                .ok_or_else(|| {
                    type_error("lock must be None or a Lock or RLock of this manager")
                })?,
        };
        Ok(Self { lock, waiters: Mutex::new(Waiters { line: Line::new() }) })
    }

    fn lock(&self) -> &Lock {
        as_lock(&*self.lock).expect("checked when the condition was made")
    }

    fn wait(self: Arc<Self>, call: Call) -> Result<Answer, Exception> {
        let Call { owner, dialect, args, .. } = call;
        let ([], [timeout]) = args.bind("wait", [], ["timeout"])?;
        if !self.is_owned(owner) {
            return Err(runtime_error("cannot wait on un-acquired lock"));
        }
        let until = deadline(timeout.as_ref(), dialect)?;
        Ok(Answer::later(async move {
            let notified = self.waited(owner, until).await;
            // Python 2.7 does not tell.
            let value = |notified| {
                if dialect.is_python2() { Value::none() } else { Value::bool(notified) }
            };
            notified.map(value).into()
        }))
    }

    /// Waits without the lock, and comes back with it; whether there was a notification.
    async fn waited(
        &self,
        owner: Owner,
        until: Option<std::time::Instant>,
    ) -> Result<bool, Exception> {
        let place = Place::join(&self.waiters, &mut self.waiters.lock(), ());
        // In line before the lock is free: nobody can notify in between.
        let held: Option<Claim> = self.lock().gate.change(|hold| hold.release_all(owner));
        let held = held.ok_or_else(|| runtime_error("cannot wait on un-acquired lock"))?;
        let waited = place.wait(until).await;
        let notified = matches!(waited, Ok(Some(())))
            .then_some(Notified { waiters: &self.waiters, used: false });
        let back = self.lock().gate.acquire(held, Patience::Until(None)).await;
        waited.and(back).map_err(|error| cannot_wait(&error))?;
        Ok(match notified {
            Some(mut notified) => {
                notified.used = true;
                true
            }
            None => false,
        })
    }

    fn notify(&self, owner: Owner, most: usize) -> Result<Value, Exception> {
        if !self.is_owned(owner) {
            return Err(runtime_error("cannot notify on un-acquired lock"));
        }
        let mut waiters = self.waiters.lock();
        for _ in 0..most {
            if !waiters.line.give(()) {
                break;
            }
        }
        Ok(Value::none())
    }

    fn is_owned(&self, owner: Owner) -> bool {
        self.lock().gate.look(|hold| hold.is_owned(owner))
    }
}

fn as_lock(object: &dyn Object) -> Option<&Lock> {
    (object as &dyn Any).downcast_ref()
}

impl Object for Condition {
    fn exposed(&self, _dialect: Dialect) -> Vec<&str> {
        vec!["acquire", "release", "wait", "notify", "notify_all"]
    }

    fn call(self: Arc<Self>, method: &str, call: Call) -> Answer {
        match method {
            "acquire" | "release" => Arc::clone(&self.lock).call(method, call),
            "wait" => self.wait(call).unwrap_or_else(|raised| Outcome::Raise(raised).into()),
            "notify" => {
                let Call { owner, dialect, args, .. } = call;
                let bound = args.bind(method, [], ["n"]);
                let most = bound.and_then(|([], [n])| {
                    n.map_or(Ok(1), |n| semantics::index(n.as_ref(), dialect))
                });
                most.and_then(|most| self.notify(owner, most.try_into().unwrap_or(0))).into()
            }
            "notify_all" => {
                let bound = call.args.bind(method, [], []);
                bound.and_then(|([], [])| self.notify(call.owner, usize::MAX)).into()
            }
            _ => Outcome::NoSuchMethod.into(),
        }
    }

    fn repr(&self, dialect: Dialect) -> String {
        format!("<Condition({}, {})>", self.lock.repr(dialect), self.waiters.lock().line.len())
    }

    fn behind(&self) -> Option<Arc<dyn Object>> {
        Some(Arc::clone(&self.lock))
    }

    fn owner_gone(&self, owner: Owner) {
        self.lock.owner_gone(owner);
    }
}
