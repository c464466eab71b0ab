//! The client's side of Python's protocol: objects of a manager, ours or Python's own, as types of
//! Rust.
//!
//! A [`Proxy`] stands for any object and calls its methods by name. Python's own kinds have types:
//! [`List`], [`Dict`], [`Lock`], [`RLock`], [`Semaphore`], [`Condition`], [`Event`], [`Barrier`],
//! [`SharedValue`], [`SharedArray`], [`Namespace`]; a queue is a [`Queue`](crate::manager::Queue)
//! like any other. [`Client`](crate::manager::Client) makes them (`new_list` and so on) and finds
//! what a program has registered (`object`).
//!
//! # Connections
//! A server answers the calls of one connection in turn, so each call takes one for itself, an idle
//! one if there is any. Locks belong to the connection that took them, so a guard keeps its own.
//! With a Python server, a connection is a thread there.
//!
//! # What Python's servers do not do
//! A server of Python does not notice that a caller is gone. Whoever is killed while he waits for an
//! item takes the next one with him, and a lock that he holds stays locked; a manager of ours loses
//! neither. What an async call would have brought whose future is dropped is given back here, if the
//! program goes on: an item goes to the end of its queue.

mod cells;
mod condition;
mod connection;
mod dict;
mod entry;
mod error;
mod flight;
mod held;
mod list;
mod locks;
mod proxy;
mod queue;
mod reference;
mod server;
mod travel;
mod twins;
mod values;

pub use self::{
    cells::{Namespace, SharedArray, SharedValue},
    condition::{Barrier, Condition, ConditionGuard, Event},
    dict::Dict,
    error::RemoteException,
    list::List,
    locks::{Lock, LockGuard, Permit, RLock, RLockGuard, Semaphore},
    proxy::Proxy,
};

pub(crate) use self::{queue::Queues, server::Server, values::to_value};
