//! The way from a queue's handle to its manager: within the process, or over a connection.

use std::sync::Arc;

use super::{
    error::ManagerError,
    hub::Hub,
    python::client::Queues,
    remote::Remote,
    store::Owner,
    wire::{Reply, Request},
};

/// See the module. Cheap to clone; what its clones lease belongs to all of them.
#[derive(Clone, Debug)]
pub(crate) enum Link {
    Local(Arc<Local>),
    Remote(Arc<Remote>),
    /// A server of Python, which does a part of it.
    Python(Arc<Queues>),
}

impl Link {
    /// A link within the process.
    pub fn local(hub: &Arc<Hub>) -> Self {
        Self::Local(Arc::new(Local { hub: Arc::clone(hub), owner: hub.new_owner() }))
    }

    /// Asks the manager. A call that is dropped before its end has taken nothing.
    pub async fn call(&self, request: Request) -> Result<Reply, ManagerError> {
        let reply = match self {
            Self::Local(local) => local.hub.call(local.owner, request).await,
            Self::Remote(remote) => remote.call(request).await?,
            // Much larger than the others, whose callers' futures need not have room for it.
            Self::Python(queues) => Box::pin(queues.call(request)).await?,
        };
        match reply {
            Reply::Refused(refusal) => Err(refusal.into()),
            reply => Ok(reply),
        }
    }

    /// Tells the manager something, without waiting for anything.
    pub fn tell(&self, request: Request) {
        match self {
            Self::Local(local) => drop(local.hub.call_now(local.owner, request)),
            Self::Remote(remote) => remote.tell(&request),
            Self::Python(queues) => queues.tell(request),
        }
    }

    /// The largest item that the manager takes, in bytes.
    pub fn max_item(&self) -> usize {
        match self {
            Self::Local(local) => local.hub.max_item(),
            Self::Remote(remote) => remote.max_item(),
            Self::Python(_) => usize::MAX,
        }
    }

    /// Whether both lead to the same manager as the same owner.
    pub fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Local(one), Self::Local(other)) => Arc::ptr_eq(one, other),
            (Self::Remote(one), Self::Remote(other)) => Arc::ptr_eq(one, other),
            (Self::Python(one), Self::Python(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }
}

/// A handle within the manager's process.
#[derive(Debug)]
pub(crate) struct Local {
    hub: Arc<Hub>,
    owner: Owner,
}

impl Drop for Local {
    fn drop(&mut self) {
        // Leases keep their link, so that this finds some only if one was leaked.
        self.hub.leave(self.owner);
    }
}
