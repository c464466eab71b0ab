//! The kinds of objects that every manager can make, as Python's `SyncManager` does: locks and the
//! like, containers, boxes.
//!
//! What is locked belongs to the connection that locked it (a thread of a client), and is free
//! again when that ends, however it ends. A caller that goes while it waits takes nothing with it.

mod array;
mod barrier;
mod condition;
mod dict;
mod elements;
mod errors;
mod event;
mod gate;
mod hold;
mod iterator;
mod line;
mod list;
mod lock;
mod namespace;
mod patience;
mod places;
mod semaphore;
mod table;
mod value;

use std::sync::Arc;

use spinneret_pickle::{Dialect, Exception, Value};

use self::{
    array::Array, barrier::Barrier, condition::Condition, dict::Dict, event::Event,
    iterator::ValueIterator, list::List, lock::Lock, namespace::Namespace, semaphore::Semaphore,
    value::Boxed,
};
use super::{
    object::{Call, Object},
    objects::Objects,
};

/// Makes an object of a kind: `Some(Err(..))` if the constructor raises, `None` if there is no
/// such kind here (queues are made elsewhere).
pub(crate) fn create(typeid: &str, call: Call) -> Option<Result<Arc<dyn Object>, Exception>> {
    Some(match typeid {
        "Event" => Event::create(call).map(shared),
        "Lock" => Lock::create("Lock", false, call).map(shared),
        "RLock" => Lock::create("RLock", true, call).map(shared),
        "Semaphore" => Semaphore::create(false, call).map(shared),
        "BoundedSemaphore" => Semaphore::create(true, call).map(shared),
        "Condition" => Condition::create(call).map(shared),
        "Barrier" => Barrier::create(call).map(shared),
        "list" => List::create(call).map(shared),
        "dict" => Dict::create(call).map(shared),
        "Namespace" => Namespace::create(call).map(shared),
        "Value" => Boxed::create(call).map(shared),
        "Array" => Array::create(call).map(shared),
        "Iterator" => ValueIterator::create(call).map(shared),
        _ => return None,
    })
}

fn shared(object: impl Object) -> Arc<dyn Object> {
    Arc::new(object)
}

/// Makes a proxy among the arguments the value of what it stands for, where that is what counts.
fn open(argument: &mut Value, objects: &Objects, dialect: Dialect) {
    if let Some(referent) = objects.resolve(argument).and_then(|object| object.value(dialect)) {
        *argument = referent;
    }
}

/// A number of things, or the place of one.
fn whole(count: usize) -> Value {
    // What is in memory is fewer than that.
    Value::int(i64::try_from(count).unwrap_or(i64::MAX))
}

/// Where an object lies, as Python's texts of objects have it.
fn address<T>(object: &T) -> String {
    format!("{object:p}")
}

#[cfg(test)]
mod tests;
