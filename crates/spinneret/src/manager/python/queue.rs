//! Queues as Python calls them, named and nameless ones.
//!
//! A `get` is a lease until its reply is written, so that no item goes to a client that is gone;
//! then the item has left the queue, but `join` waits for its `task_done()`. As in Python, that may
//! also come before the `get`: puts are counted, not gets. With Python leases (see [`Leasing`]), the
//! item stays leased until the `task_done()` that is its own.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use parking_lot::Mutex;
use spinneret_pickle::{Dialect, Exception, ExceptionKind, Limits, Value, semantics};

use super::{
    args::Args,
    object::{Answer, Call, Object, Outcome, Receipt},
};
use crate::manager::{
    alarm::Alarm,
    error::ManagerError,
    hub::Hub,
    shared::SharedStore,
    store::{Ask, Batch, Owner, QueueOptions, QueueStats, Settle, Store},
    wire::{Name, PutEnd, Refusal, Reply, Request, Wait},
};

/// Items that are taken at a time to be thrown away.
const DRAIN: u32 = 1000;

/// That a Python `get()` leases its item to the connection until the `task_done()` after it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Leasing {
    /// How long at most. `None` for as long as the connection lasts.
    pub hold: Option<Duration>,
}

/// See the module.
pub(crate) struct Queue {
    place: Place,
    limits: Limits,
    leasing: Option<Leasing>,
    /// The leases of each connection, oldest first, in the order of its gets.
    held: Mutex<HashMap<Owner, VecDeque<u64>>>,
}

/// Where the items are.
enum Place {
    Named { hub: Arc<Hub>, name: Name },
    Nameless { store: Arc<SharedStore>, max_item: usize },
}

impl Queue {
    /// What Python sees of a queue of the manager.
    pub fn named(hub: &Arc<Hub>, name: Name, limits: Limits, leasing: Option<Leasing>) -> Self {
        Self::at(Place::Named { hub: Arc::clone(hub), name }, limits, leasing)
    }

    /// A new queue that only its proxies lead to: what `SyncManager.Queue()` makes.
    pub fn nameless(call: Call, max_item: usize, limits: Limits) -> Result<Self, Exception> {
        let ([], [maxsize]) = call.args.bind("Queue", [], ["maxsize"])?;
        let maxsize = maxsize.unwrap_or_else(|| Value::int(0));
        let Some(maxsize) = maxsize.as_i64() else {
            return Err(raise(ExceptionKind::TypeError, "maxsize has to be an integer"));
        };
        let options = QueueOptions::new().maxsize(usize::try_from(maxsize).unwrap_or(0));
        let store = SharedStore::new(Store::new(options), None, Arc::<Alarm>::default());
        Ok(Self::at(Place::Nameless { store, max_item }, limits, None))
    }

    fn at(place: Place, limits: Limits, leasing: Option<Leasing>) -> Self {
        Self { place, limits, leasing, held: Mutex::default() }
    }

    async fn put(self: Arc<Self>, call: Call) -> Result<Value, Exception> {
        let Call { args, objects, dialect, owner } = call;
        let ([item], [block, timeout]) = args.bind("put", ["item"], ["block", "timeout"])?;
        let bounded = self.stats()?.maxsize > 0;
        let wait = wait(block.as_ref(), timeout.as_ref(), bounded)?;
        // In the putter's own dialect, so that nothing is lost on readers of the same.
        let message = item.write(dialect).map_err(|error| {
            raise(ExceptionKind::ValueError, format!("cannot put this item: {error}"))
        })?;
        let payload = objects.pinned(message, &item);
        drop(item);
        match self.place.put(owner, payload, wait).await {
            Reply::Put { end: PutEnd::All, .. } => Ok(Value::none()),
            Reply::Put { end: PutEnd::Full, .. } => Err(Exception::bare(ExceptionKind::QueueFull)),
            Reply::Put { end: PutEnd::Closed, .. } => Err(shut_down(dialect)),
            other => Err(failed(other)),
        }
    }

    async fn get(self: Arc<Self>, call: Call) -> Outcome {
        let Call { args, owner, dialect, .. } = call;
        let wait = args.bind("get", [], ["block", "timeout"]).and_then(|([], given)| {
            let [block, timeout] = given;
            wait(block.as_ref(), timeout.as_ref(), true)
        });
        let wait = match wait {
            Ok(wait) => wait,
            Err(exception) => return Outcome::Raise(exception),
        };
        let hold = self.leasing.and_then(|leasing| leasing.hold);
        loop {
            let delivery = match self.place.lease(owner, 1, hold, wait).await {
                Reply::Leased(mut items) => match items.pop() {
                    Some(delivery) => delivery,
                    None => continue,
                },
                Reply::Empty => return Outcome::Raise(Exception::bare(ExceptionKind::QueueEmpty)),
                Reply::Closed => return Outcome::Raise(shut_down(dialect)),
                other => return Outcome::Raise(failed(other)),
            };
            // From here to the end nothing waits, so that the lease cannot be forgotten.
            match Value::read(&delivery.payload, &self.limits) {
                Ok(value) => {
                    let lease = Some(delivery.lease);
                    let receipt = Delivery { queue: Arc::clone(&self), owner, lease };
                    return Outcome::Deliver(value, Box::new(receipt));
                }
                Err(error) => {
                    // Nothing that a Python has put: nobody can read it.
                    let reason = format!("failed: not a pickle: {error}").into();
                    self.place.settle(owner, vec![delivery.lease], Settle::Fail { reason });
                }
            }
        }
    }

    async fn task_done(self: Arc<Self>, owner: Owner) -> Result<Value, Exception> {
        let held = {
            let mut held = self.held.lock();
            held.get_mut(&owner).and_then(VecDeque::pop_front)
        };
        if let Some(lease) = held {
            return match self.place.done(owner, lease).await {
                Reply::Lost(lost) if lost.is_empty() => Ok(Value::none()),
                Reply::Lost(_) => Err(raise(
                    ExceptionKind::RuntimeError,
                    "the item was held for too long and went back to the queue before task_done()",
                )),
                other => Err(failed(other)),
            };
        }
        // What others have leased is theirs to report.
        if self.leasing.is_some() && self.stats()?.taken == 0 {
            return Err(too_often());
        }
        match self.place.task_done(owner).await {
            Reply::Done => Ok(Value::none()),
            Reply::Refused(Refusal::TaskDoneTooOften(_)) => Err(too_often()),
            other => Err(failed(other)),
        }
    }

    async fn join(self: Arc<Self>, owner: Owner) -> Result<Value, Exception> {
        match self.place.join(owner).await {
            Reply::Joined(_) => Ok(Value::none()),
            other => Err(failed(other)),
        }
    }

    async fn shutdown(self: Arc<Self>, call: Call) -> Result<Value, Exception> {
        let owner = call.owner;
        let ([], [immediate]) = call.args.bind("shutdown", [], ["immediate"])?;
        if let other @ Reply::Refused(_) = self.place.close(owner).await {
            return Err(failed(other));
        }
        if immediate.is_some_and(|immediate| truth(&immediate)) {
            while let Reply::Leased(items) = self.place.lease(owner, DRAIN, None, Wait::No).await {
                let leases = items.iter().map(|item| item.lease).collect();
                self.place.settle(owner, leases, Settle::Done);
            }
        }
        Ok(Value::none())
    }

    fn stats(&self) -> Result<QueueStats, Exception> {
        self.place.stats().map_err(failed)
    }

    fn count(&self, call: Call, method: &str) -> Result<Value, Exception> {
        let ([], []) = call.args.bind(method, [], [])?;
        let QueueStats { queued, maxsize, .. } = self.stats()?;
        Ok(match method {
            "empty" => Value::bool(queued == 0),
            "full" => Value::bool(0 < maxsize && maxsize <= queued),
            _ => Value::int(i64::try_from(queued).unwrap_or(i64::MAX)),
        })
    }
}

impl Object for Queue {
    fn exposed(&self, dialect: Dialect) -> Vec<&str> {
        let mut names = vec!["empty", "full", "get", "get_nowait", "join", "put", "put_nowait"];
        names.push("qsize");
        // Which of its Pythons has it, the dialect does not tell; the others do not call it.
        if dialect == Dialect::Python38 {
            names.push("shutdown");
        }
        names.push("task_done");
        names
    }

    fn call(self: Arc<Self>, method: &str, mut call: Call) -> Answer {
        match method {
            "put" => Answer::later(async { self.put(call).await.into() }),
            "put_nowait" => match call.args.bind("put_nowait", ["item"], []) {
                Ok(([item], [])) => {
                    call.args = Args::new(vec![item, Value::bool(false)], Vec::new());
                    Answer::later(async { self.put(call).await.into() })
                }
                Err(exception) => Outcome::Raise(exception).into(),
            },
            "get" => Answer::later(self.get(call)),
            "get_nowait" => match call.args.bind("get_nowait", [], []) {
                Ok(([], [])) => {
                    call.args = Args::new(vec![Value::bool(false)], Vec::new());
                    Answer::later(self.get(call))
                }
                Err(exception) => Outcome::Raise(exception).into(),
            },
            "task_done" | "join" => match call.args.bind(method, [], []) {
                Ok(([], [])) if method == "join" => {
                    Answer::later(async move { self.join(call.owner).await.into() })
                }
                Ok(_) => Answer::later(async move { self.task_done(call.owner).await.into() }),
                Err(exception) => Outcome::Raise(exception).into(),
            },
            "empty" | "full" | "qsize" => self.count(call, method).into(),
            "shutdown" => Answer::later(async { self.shutdown(call).await.into() }),
            _ => Outcome::NoSuchMethod.into(),
        }
    }

    fn repr(&self, dialect: Dialect) -> String {
        let address = std::ptr::from_ref(self) as usize;
        if dialect.is_python2() {
            format!("<Queue.Queue instance at {address:#x}>")
        } else {
            format!("<queue.Queue object at {address:#x}>")
        }
    }

    fn owner_gone(&self, owner: Owner) {
        self.held.lock().remove(&owner);
        if let Place::Nameless { store, .. } = &self.place {
            store.owner_gone(owner);
        }
    }
}

/// An item on its way to a client.
struct Delivery {
    queue: Arc<Queue>,
    owner: Owner,
    /// None once it is settled.
    lease: Option<u64>,
}

impl Delivery {
    fn settle(&mut self, how: Settle) {
        if let Some(lease) = self.lease.take() {
            self.queue.place.settle(self.owner, vec![lease], how);
        }
    }
}

impl Receipt for Delivery {
    fn delivered(mut self: Box<Self>) {
        if self.queue.leasing.is_none() {
            self.settle(Settle::Taken);
        } else if let Some(lease) = self.lease.take() {
            self.queue.held.lock().entry(self.owner).or_default().push_back(lease);
        }
    }

    fn unreadable(mut self: Box<Self>, reason: &str) {
        self.settle(Settle::Return { reason: format!("unreadable: {reason}").into() });
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        self.settle(Settle::Release);
    }
}

impl Place {
    async fn put(&self, owner: Owner, item: Bytes, wait: Wait) -> Reply {
        match self {
            Self::Named { hub, name } => {
                let request = Request::Put { queue: name.clone(), wait, items: vec![item] };
                hub.call(owner, request).await
            }
            Self::Nameless { store, max_item } if item.len() <= *max_item => {
                store.put(Batch::Plain([item].into()), wait).await
            }
            Self::Nameless { max_item, .. } => Reply::Refused(Refusal::TooLarge {
                size: item.len() as u64,
                limit: *max_item as u64,
            }),
        }
    }

    async fn lease(&self, owner: Owner, max: u32, hold: Option<Duration>, wait: Wait) -> Reply {
        match self {
            Self::Named { hub, name } => {
                let request = Request::Lease { queue: name.clone(), max, hold, wait };
                hub.call(owner, request).await
            }
            Self::Nameless { store, .. } => {
                let ask = Ask { max: max as usize, max_bytes: usize::MAX, hold };
                store.take(owner, ask, wait).await
            }
        }
    }

    /// Finishes a lease, and answers when that is as safe as it gets.
    async fn done(&self, owner: Owner, lease: u64) -> Reply {
        match self {
            Self::Named { hub, name } => {
                let (queue, leases) = (name.clone(), vec![lease]);
                hub.call(owner, Request::Settle { queue, leases, how: Settle::Done }).await
            }
            Self::Nameless { store, .. } => {
                Reply::Lost(store.settle_untold(owner, &[lease], &Settle::Done))
            }
        }
    }

    /// False if a lease was not held any more.
    fn settle(&self, owner: Owner, leases: Vec<u64>, how: Settle) -> bool {
        match self {
            Self::Named { hub, name } => {
                let request = Request::Settle { queue: name.clone(), leases, how };
                matches!(hub.call_now(owner, request), Reply::Lost(lost) if lost.is_empty())
            }
            Self::Nameless { store, .. } => store.settle_untold(owner, &leases, &how).is_empty(),
        }
    }

    async fn task_done(&self, owner: Owner) -> Reply {
        match self {
            Self::Named { hub, name } => {
                hub.call(owner, Request::TaskDone { queue: name.clone(), count: 1 }).await
            }
            Self::Nameless { store, .. } => {
                match store.task_done(1, Refusal::TaskDoneTooOften(Name::sought(""))) {
                    Ok(answer) => answer.reply().await,
                    Err(refusal) => Reply::Refused(refusal),
                }
            }
        }
    }

    async fn join(&self, owner: Owner) -> Reply {
        match self {
            Self::Named { hub, name } => {
                let request = Request::Join { queue: name.clone(), wait: Wait::Forever };
                hub.call(owner, request).await
            }
            Self::Nameless { store, .. } => store.join(Wait::Forever).await,
        }
    }

    async fn close(&self, owner: Owner) -> Reply {
        match self {
            Self::Named { hub, name } => {
                hub.call(owner, Request::Close { queue: name.clone() }).await
            }
            Self::Nameless { store, .. } => match store.close() {
                Ok(answer) => answer.reply().await,
                Err(refusal) => Reply::Refused(refusal),
            },
        }
    }

    fn stats(&self) -> Result<QueueStats, Reply> {
        match self {
            Self::Named { hub, name } => {
                match hub.call_now(0, Request::Stats { queue: name.clone() }) {
                    Reply::Stats(stats) => Ok(stats),
                    other => Err(other),
                }
            }
            Self::Nameless { store, .. } => Ok(store.stats()),
        }
    }
}

/// How long to wait, by the arguments of `put` and `get`. A negative time is an error, but only if
/// it would be `used`.
fn wait(block: Option<&Value>, timeout: Option<&Value>, used: bool) -> Result<Wait, Exception> {
    if block.is_some_and(|block| !truth(block)) {
        return Ok(Wait::No);
    }
    let Some(timeout) = timeout.filter(|timeout| !timeout.is_none()) else {
        return Ok(Wait::Forever);
    };
    let Some(seconds) = timeout.as_f64() else {
        return if used {
            Err(raise(ExceptionKind::TypeError, "'timeout' must be a number"))
        } else {
            Ok(Wait::Forever)
        };
    };
    if seconds < 0.0 && used {
        return Err(raise(ExceptionKind::ValueError, "'timeout' must be a non-negative number"));
    }
    // What is longer than can be told is for ever.
    Ok(Duration::try_from_secs_f64(seconds.max(0.0))
        .map_or(Wait::Forever, |time| Some(time).into()))
}

fn truth(value: &Value) -> bool {
    semantics::truth(value.as_ref())
}

fn raise(kind: ExceptionKind, text: impl Into<String>) -> Exception {
    Exception::with_message(kind, text)
}

fn too_often() -> Exception {
    raise(ExceptionKind::ValueError, "task_done() called too many times")
}

/// `queue.ShutDown` where there is one, else `RuntimeError`.
fn shut_down(dialect: Dialect) -> Exception {
    let kind = match dialect {
        Dialect::Python2 => ExceptionKind::RuntimeError,
        Dialect::Python3 | Dialect::Python38 => ExceptionKind::QueueShutDown,
    };
    raise(kind, "the queue is shut down")
}

/// What the manager's own refusals are in Python.
fn failed(reply: Reply) -> Exception {
    let error = match reply {
        Reply::Refused(refusal) => ManagerError::from(refusal),
        other => crate::manager::items::unexpected(&other),
    };
    let kind = match error {
        ManagerError::TooLarge { .. } => ExceptionKind::ValueError,
        _ => ExceptionKind::RuntimeError,
    };
    raise(kind, error.to_string())
}
