//! Queues of a Python server, behind the same face as those of our own managers.
//!
//! What a queue's handle asks is translated into calls of Python's `Queue`. It has no leases: what
//! is given is gone from the server. Between taking an item and handing it to the caller it is kept
//! here, and put back, at the queue's end, if it turns out that the caller did not get it.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use parking_lot::Mutex;
use spinneret_pickle::{Dialect, ExceptionKind, Limits, Value};

use super::{
    flight::Undo,
    proxy::Proxy,
    server::{Server, odd},
    values::seconds,
};
use crate::manager::{
    error::ManagerError,
    runtime::sleep_until,
    store::{Delivery, Settle},
    wire::{Name, PutEnd, Reply, Request, Wait},
};

/// The queues of one server.
#[derive(Debug)]
pub(crate) struct Queues {
    server: Arc<Server>,
    /// Those that were asked for, kept so that the server keeps them.
    by_name: Mutex<HashMap<Name, Proxy>>,
    taken: Mutex<HashMap<u64, Taken>>,
    last: AtomicU64,
}

/// An item on its way to the caller.
#[derive(Debug)]
struct Taken {
    queue: Name,
    payload: Bytes,
}

impl Queues {
    pub fn new(server: Arc<Server>) -> Arc<Self> {
        let (by_name, taken) = (Mutex::default(), Mutex::default());
        Arc::new(Self { server, by_name, taken, last: AtomicU64::new(0) })
    }

    /// One queue that was made already, and the name by which its handle asks for it.
    pub fn of(proxy: Proxy) -> (Arc<Self>, Name) {
        let queues = Self::new(Arc::clone(proxy.reference().server()));
        let name = Name::sought(proxy.typeid());
        queues.by_name.lock().insert(name.clone(), proxy);
        (queues, name)
    }

    /// Does what is asked, as far as Python's servers can.
    pub async fn call(self: &Arc<Self>, request: Request) -> Result<Reply, ManagerError> {
        match request {
            Request::Ping => {
                self.server.control("dummy", vec![], vec![]).await?;
                Ok(Reply::Done)
            }
            Request::Shutdown => {
                self.server.control("shutdown", vec![], vec![]).await?;
                Ok(Reply::Done)
            }
            Request::Put { queue, wait, items } => self.put(&queue, wait, items).await,
            Request::Lease { queue, max, hold: None, wait } => self.get(queue, max, wait).await,
            Request::Join { queue, wait } => self.join(&queue, wait).await,
            Request::Close { queue } => self.close(&queue).await,
            Request::Settle { leases, how, .. } if leases.iter().all(|id| self.is_taken(*id)) => {
                self.settle(&leases, &how);
                Ok(Reply::Lost(vec![]))
            }
            other => Err(unsupported(&other)),
        }
    }

    /// As [`call`](Self::call), for what is not waited for.
    pub fn tell(self: &Arc<Self>, request: Request) {
        match request {
            Request::Settle { leases, how, .. } => self.settle(&leases, &how),
            other => tracing::debug!(?other, "a Python server cannot be told that"),
        }
    }

    /// How many items are queued.
    pub async fn len(&self, queue: &Name) -> Result<usize, ManagerError> {
        let size = self.proxy(queue).await?.ask("qsize", vec![]).await?;
        size.as_i64()
            .and_then(|size| usize::try_from(size).ok())
            .ok_or_else(|| odd("a queue's size is no number"))
    }

    /// One item that was got is done.
    pub async fn task_done(&self, queue: &Name) -> Result<(), ManagerError> {
        let done = self.proxy(queue).await?.ask("task_done", vec![]).await;
        done.map(drop).map_err(|error| match error {
            error if error.raised(&ExceptionKind::ValueError) => {
                ManagerError::TaskDoneTooOften { name: queue.as_str().into() }
            }
            error => error,
        })
    }

    async fn put(
        &self,
        queue: &Name,
        wait: Wait,
        items: Vec<Bytes>,
    ) -> Result<Reply, ManagerError> {
        let proxy = self.proxy(queue).await?;
        let deadline = Deadline::of(wait);
        for (accepted, item) in items.iter().enumerate() {
            let item = Value::read(item, &Limits::default())
                .map_err(|error| odd(&format!("an item is no pickle: {error}")))?;
            let args = [vec![item], deadline.args()].concat();
            let end = match proxy.ask("put", args).await {
                Ok(_) => continue,
                Err(error) if error.raised(&ExceptionKind::QueueFull) => PutEnd::Full,
                Err(error) if error.raised(&ExceptionKind::QueueShutDown) => PutEnd::Closed,
                Err(error) => return Err(error),
            };
            return Ok(Reply::Put { accepted: number(accepted), duplicates: 0, end });
        }
        Ok(Reply::Put { accepted: number(items.len()), duplicates: 0, end: PutEnd::All })
    }

    async fn get(
        self: &Arc<Self>,
        queue: Name,
        max: u32,
        wait: Wait,
    ) -> Result<Reply, ManagerError> {
        let proxy = self.proxy(&queue).await?;
        let mut batch = Batch { queues: self, queue: &queue, items: Vec::new() };
        let mut deadline = Deadline::of(wait);
        let end = loop {
            if batch.items.len() >= max as usize {
                break Reply::Empty;
            }
            match proxy.take("get", deadline.args(), Undo::PutBack).await {
                Ok(item) => batch.items.push(payload(&item)?),
                Err(error) if error.raised(&ExceptionKind::QueueEmpty) => break Reply::Empty,
                Err(error) if error.raised(&ExceptionKind::QueueShutDown) => break Reply::Closed,
                // It has an item, perhaps. What came before that goes back.
                Err(error @ ManagerError::UnreadableAnswer { .. }) => return Err(error),
                Err(error) if batch.items.is_empty() => return Err(error),
                // What was given before is worth more than the news, which will come again.
                Err(_) => break Reply::Empty,
            }
            deadline = Deadline::of(Wait::No);
        };
        if batch.items.is_empty() {
            return Ok(end);
        }
        let mut taken = self.taken.lock();
        let given = std::mem::take(&mut batch.items).into_iter().map(|payload| {
            let lease = self.last.fetch_add(1, Ordering::Relaxed) + 1;
            taken.insert(lease, Taken { queue: queue.clone(), payload: payload.clone() });
            Delivery { lease, deliveries: 1, payload }
        });
        let given = given.collect();
        drop(taken);
        Ok(Reply::Leased(given))
    }

    async fn join(&self, queue: &Name, wait: Wait) -> Result<Reply, ManagerError> {
        let proxy = self.proxy(queue).await?;
        let join = proxy.ask("join", vec![]);
        let done = match Deadline::of(wait).0 {
            None => Some(join.await),
            Some(end) => tokio::select! {
                biased;
                joined = join => Some(joined),
                // Python's `join` has no time limit. Closing the connection harms nobody.
                () = sleep_until(end)? => None,
            },
        };
        done.transpose().map(|done| Reply::Joined(done.is_some()))
    }

    async fn close(&self, queue: &Name) -> Result<Reply, ManagerError> {
        let proxy = self.proxy(queue).await?;
        if !proxy.methods().any(|method| method == "shutdown") {
            return Err(ManagerError::Unsupported {
                what: "closing a queue",
                why: "queues can be shut down since Python 3.13",
            });
        }
        proxy.ask("shutdown", vec![]).await?;
        Ok(Reply::Done)
    }

    fn is_taken(&self, lease: u64) -> bool {
        self.taken.lock().contains_key(&lease)
    }

    /// Forgets items that the caller has, and puts others back.
    fn settle(self: &Arc<Self>, leases: &[u64], how: &Settle) {
        let mut taken = self.taken.lock();
        let taken: Vec<Taken> = leases.iter().filter_map(|id| taken.remove(id)).collect();
        // There are no dead letters.
        if matches!(how, Settle::Release | Settle::Return { .. } | Settle::Fail { .. }) {
            for Taken { queue, payload } in taken {
                self.put_back(queue, vec![payload]);
            }
        }
    }

    fn put_back(self: &Arc<Self>, queue: Name, items: Vec<Bytes>) {
        let queues = Arc::clone(self);
        self.server.in_background(async move {
            if let Err(error) = queues.returned(&queue, items).await {
                tracing::warn!(%error, queue = queue.as_str(), "could not put an item back");
            }
        });
    }

    /// Puts items back.
    async fn returned(&self, queue: &Name, items: Vec<Bytes>) -> Result<(), ManagerError> {
        let count = number(items.len());
        let Reply::Put { accepted, .. } = self.put(queue, Wait::Forever, items).await? else {
            return Err(odd("a put has no such answer"));
        };
        // Each counts once more now as not done, for which `join` would wait in vain.
        let proxy = self.proxy(queue).await?;
        if proxy.methods().any(|method| method == "task_done") {
            for _ in 0..accepted {
                proxy.ask("task_done", vec![]).await?;
            }
        }
        if accepted < count { Err(odd("the queue was shut down")) } else { Ok(()) }
    }

    async fn proxy(&self, queue: &Name) -> Result<Proxy, ManagerError> {
        if let Some(known) = self.by_name.lock().get(queue) {
            return Ok(known.clone());
        }
        let created = self.server.create(queue.as_str(), vec![], vec![]).await;
        let proxy = Proxy::new(created.map_err(|error| unknown(queue, error))?);
        Ok(self.by_name.lock().entry(queue.clone()).or_insert(proxy).clone())
    }
}

/// Items that were given so far. If the future that gathers them is dropped, they go back.
struct Batch<'a> {
    queues: &'a Arc<Queues>,
    queue: &'a Name,
    items: Vec<Bytes>,
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        if !self.items.is_empty() {
            self.queues.put_back(self.queue.clone(), std::mem::take(&mut self.items));
        }
    }
}

/// Until when a call may wait; `None` is for ever.
struct Deadline(Option<Instant>);

impl Deadline {
    fn of(wait: Wait) -> Self {
        Self(wait.until(Instant::now()))
    }

    /// `block` and `timeout`, as far as they are not what they are by default.
    fn args(&self) -> Vec<Value> {
        let Some(end) = self.0 else {
            return vec![];
        };
        match end.saturating_duration_since(Instant::now()) {
            Duration::ZERO => vec![Value::bool(false)],
            left => vec![Value::bool(true), seconds(Some(left))],
        }
    }
}

/// An item as it travels between our own peers.
fn payload(item: &Value) -> Result<Bytes, ManagerError> {
    let written = item.write(Dialect::Python38);
    written.map(Bytes::from).map_err(|error| odd(&format!("an item cannot be written: {error}")))
}

fn number(of: usize) -> u32 {
    u32::try_from(of).unwrap_or(u32::MAX)
}

/// Python's answer to a name that it does not know.
fn unknown(queue: &Name, error: ManagerError) -> ManagerError {
    let is_key_error = error.remote().is_some_and(|exception| {
        exception.kind() == &ExceptionKind::KeyError
            && exception.message().trim_start_matches('u').trim_matches(['\'', '"'])
                == queue.as_str()
    });
    if is_key_error { ManagerError::UnknownQueue { name: queue.as_str().into() } } else { error }
}

/// The error for what only our own managers can do.
fn unsupported(request: &Request) -> ManagerError {
    let (what, why) = match request {
        Request::Register { .. } => {
            ("adding a queue by name", "the program that serves registers its names itself")
        }
        Request::Lease { .. } | Request::Settle { .. } => (
            "leasing an item",
            "its queues give items away for good: use `get`, and `task_done_after_get` when the \
             item is done",
        ),
        Request::PutWith { .. } => {
            ("priorities, delays and dedupe keys", "its queues know none: use `put`")
        }
        Request::Peek { .. } => ("peeking", "its queues only give items away"),
        Request::Stats { .. } => {
            ("a queue's numbers", "its queues know only their length: use `len`")
        }
        Request::Queues { .. } => ("listing queues", "it does not tell what names it has"),
        Request::Dead { .. } | Request::DropDead { .. } | Request::RequeueDead { .. } => {
            ("dead letters", "its queues do not count deliveries")
        }
        Request::Set { .. } | Request::Get { .. } => {
            ("named values", "use a `dict` that its program registers, or `new_namespace`")
        }
        Request::Remove { .. } => ("removing a queue", "they belong to the program that serves"),
        Request::Cluster(_) => ("tasks of a pool", "no workers meet there: use a manager of ours"),
        _ => ("this", "its protocol has nothing of the kind"),
    };
    ManagerError::Unsupported { what, why }
}
