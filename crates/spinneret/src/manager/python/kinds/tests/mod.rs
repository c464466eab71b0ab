mod against_python;
mod locks;

use std::{future::poll_fn, sync::Arc, task::Poll};

use spinneret_pickle::{Dialect, Exception, Value, semantics};

use super::create;
use crate::manager::{
    python::{
        args::Args,
        object::{Answer, Call, Object, Outcome, Pending},
        objects::Objects,
    },
    store::Owner,
};

/// Objects, and how they are called.
struct World {
    objects: Arc<Objects>,
    dialect: Dialect,
}

impl World {
    fn new(dialect: Dialect) -> Self {
        Self { objects: Objects::new(), dialect }
    }

    fn call(&self, owner: Owner, args: Args) -> Call {
        Call { owner, dialect: self.dialect, args, objects: Arc::clone(&self.objects) }
    }

    fn try_make<const N: usize>(
        &self,
        typeid: &str,
        args: [Value; N],
    ) -> Result<Arc<dyn Object>, Exception> {
        let args = Args::new(args.into(), Vec::new());
        create(typeid, self.call(0, args)).expect("there is such a kind")
    }

    #[track_caller]
    fn make<const N: usize>(&self, typeid: &str, args: [Value; N]) -> Arc<dyn Object> {
        self.try_make(typeid, args).unwrap()
    }

    fn answer<const N: usize>(
        &self,
        object: &Arc<dyn Object>,
        owner: Owner,
        method: &str,
        args: [Value; N],
    ) -> Answer {
        let args = Args::new(args.into(), Vec::new());
        Arc::clone(object).call(method, self.call(owner, args))
    }

    /// What a call that need not wait comes to, as Python would write it.
    #[track_caller]
    fn now<const N: usize>(
        &self,
        object: &Arc<dyn Object>,
        owner: Owner,
        method: &str,
        args: [Value; N],
    ) -> String {
        match self.answer(object, owner, method, args) {
            Answer::Now(outcome) => written(outcome, self.dialect),
            Answer::Later(_) => panic!("{method} waits"),
        }
    }

    /// A call that waits.
    async fn waiting<const N: usize>(
        &self,
        object: &Arc<dyn Object>,
        owner: Owner,
        method: &str,
        args: [Value; N],
    ) -> Waiting {
        match self.answer(object, owner, method, args) {
            Answer::Now(outcome) => {
                panic!("{method} does not wait: {}", written(outcome, self.dialect))
            }
            Answer::Later(pending) => {
                let mut waiting = Waiting { pending, dialect: self.dialect };
                assert_eq!(waiting.poll().await, None, "{method} does not wait");
                waiting
            }
        }
    }
}

struct Waiting {
    pending: Pending,
    dialect: Dialect,
}

impl Waiting {
    /// What it has come to, if it has.
    async fn poll(&mut self) -> Option<String> {
        let polled = poll_fn(|context| Poll::Ready(self.pending.as_mut().poll(context))).await;
        match polled {
            Poll::Ready(outcome) => Some(written(outcome, self.dialect)),
            Poll::Pending => None,
        }
    }

    async fn end(self) -> String {
        written(self.pending.await, self.dialect)
    }
}

/// An outcome in words: a value as `repr()` has it, or an exception with its text.
fn written(outcome: Outcome, dialect: Dialect) -> String {
    match outcome {
        Outcome::Return(value) | Outcome::Deliver(value, _) => {
            semantics::repr(value.as_ref(), dialect)
        }
        Outcome::Raise(exception) => raised(&exception, dialect),
        Outcome::Proxy { typeid, .. } => format!("a proxy of {typeid}"),
        Outcome::NoSuchMethod => "no such method".to_owned(),
    }
}

/// An exception as Python shows it: `class: str(exception)`.
fn raised(exception: &Exception, dialect: Dialect) -> String {
    let (module, name) = exception.kind().names();
    let name = if module == "_thread" { "RuntimeError" } else { name };
    match (exception.args(), exception.message()) {
        ([], _) => name.to_owned(),
        // `str()` of a `KeyError` is the key's `repr()`.
        ([key], _) if name == "KeyError" => {
            format!("{name}: {}", semantics::repr(key.as_ref(), dialect))
        }
        (_, Some(message)) => format!("{name}: {message}"),
        (args, None) => format!("{name}: {args:?}"),
    }
}
