//! The server's side of the protocol of Python's `multiprocessing.managers`, so that programs of
//! Python 2.7 and 3 use a manager as they would use their own.
//!
//! Each connection is answered in the dialect of its first message. One that asks for anything but
//! `accept_connection` has one request to the server itself ([`control`]); one that does is served
//! calls of shared objects until it ends ([`session`]). What a client can create, [`Server::create`]
//! says: the manager's queues and registered objects by their names, and the kinds of Python's
//! `SyncManager`.

mod args;
pub(crate) mod client;
mod control;
mod frames;
#[cfg(any(test, fuzzing))]
pub(super) mod fuzz;
mod kinds;
mod message;
pub(crate) mod object;
mod objects;
mod proxy;
mod queue;
mod session;
mod socket;

use std::{any::Any, collections::HashMap, net::SocketAddr, sync::Arc};

use parking_lot::Mutex;
use spinneret_pickle::{Exception, ExceptionKind, Limits};

use self::{
    object::{Call, Object},
    objects::{Ident, Objects},
    queue::Queue,
};
pub(crate) use self::{queue::Leasing, session::serve, socket::Socket};
use super::{
    error::ManagerError,
    hub::Hub,
    wire::{Name, Reply, Request},
};

type Singleton = (Ident, Arc<dyn Object>);

/// What Python's connections to a manager have in common.
pub(crate) struct Server {
    hub: Arc<Hub>,
    objects: Arc<Objects>,
    /// Where the manager listens, for tokens; clients put in what they connected to.
    address: SocketAddr,
    max_frame: usize,
    limits: Limits,
    leasing: Option<Leasing>,
    /// What there is one of, whoever asks for it: by typeid.
    singletons: Mutex<HashMap<String, Singleton>>,
}

impl Server {
    pub fn new(
        hub: &Arc<Hub>,
        address: SocketAddr,
        max_frame: usize,
        leasing: Option<Leasing>,
    ) -> Self {
        Self {
            hub: Arc::clone(hub),
            objects: Objects::new(),
            address,
            max_frame,
            limits: Limits { bytes: max_frame, ..Limits::default() },
            leasing,
            singletons: Mutex::default(),
        }
    }

    /// Adds an object that there is one of.
    pub fn register(&self, name: &Name, object: Arc<dyn Object>) -> Result<(), ManagerError> {
        // That of a queue too.
        if self.singleton(name.as_str()).is_some() {
            return Err(ManagerError::NameTaken { name: name.as_str().into() });
        }
        let ident = self.objects.publish(Arc::clone(&object));
        self.singletons.lock().insert(name.as_str().into(), (ident, object));
        Ok(())
    }

    /// The object of a typeid, to which the client now refers, or what its constructor raises.
    fn create(&self, typeid: &str, call: Call) -> Result<(Ident, Arc<dyn Object>), Exception> {
        if let Some((ident, object)) = self.singleton(typeid) {
            let ([], []) = call.args.bind(typeid, [], [])?;
            self.objects.incref(&ident);
            return Ok((ident, object));
        }
        let object: Arc<dyn Object> = match typeid {
            "Queue" | "JoinableQueue" => {
                Arc::new(Queue::nameless(call, self.hub.max_item(), self.limits)?)
            }
            "Pool" => return Err(no_pool()),
            _ => match kinds::create(typeid, call) {
                Some(made) => made?,
                None => return Err(unknown(typeid)),
            },
        };
        Ok((self.objects.share(Arc::clone(&object)), object))
    }

    /// What there is one of by that name: an object that was registered, or one of the manager's
    /// queues.
    fn singleton(&self, typeid: &str) -> Option<Singleton> {
        let mut singletons = self.singletons.lock();
        let known = singletons.get(typeid);
        if let Some(found) = known.filter(|(_, object)| !is_queue(&**object)) {
            return Some(found.clone());
        }
        // A queue that is known may have been removed since.
        let name = Name::sought(typeid);
        let stats = Request::Stats { queue: name.clone() };
        let Reply::Stats(_) = self.hub.call_now(0, stats) else {
            return None;
        };
        if let Some(found) = known {
            return Some(found.clone());
        }
        let queue: Arc<dyn Object> =
            Arc::new(Queue::named(&self.hub, name, self.limits, self.leasing));
        let ident = self.objects.publish(Arc::clone(&queue));
        singletons.insert(typeid.into(), (Arc::clone(&ident), Arc::clone(&queue)));
        Some((ident, queue))
    }
}

fn is_queue(object: &dyn Object) -> bool {
    (object as &dyn Any).is::<Queue>()
}

fn unknown(typeid: &str) -> Exception {
    Exception::with_message(ExceptionKind::KeyError, format!("'{}'", typeid.escape_debug()))
}

fn no_pool() -> Exception {
    Exception::with_message(
        ExceptionKind::NotImplementedError,
        "this manager makes no Pool: it would have to run the client's functions, and it runs no \
         Python. Start worker processes that take tasks from a queue of the manager, or use \
         spinneret's ClusterPool",
    )
}
