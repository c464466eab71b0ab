//! What a manager has: queues, values and peers. It answers requests, wherever they come from.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    ops::Bound,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Instant,
};

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use super::{
    shared::{Alarm, Ask, SharedStore},
    store::{ITEM_HEAD, Owner, QueueOptions, Settle},
    wire::{BATCH_BYTES, FRAME_OVERHEAD, LONGEST_REASON, Name, Refusal, Reply, Request, clip},
};

/// A peer of a manager.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionInfo {
    /// Where it connects from.
    pub address: SocketAddr,
    /// What it calls itself; empty if it does not.
    pub name: String,
    /// How many items it holds, in all queues.
    pub leases: usize,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Hub {
    queues: RwLock<BTreeMap<Name, Arc<SharedStore>>>,
    values: RwLock<BTreeMap<Name, Bytes>>,
    peers: Mutex<BTreeMap<Owner, (SocketAddr, String)>>,
    last_owner: AtomicU64,
    alarm: Arc<Alarm>,
    max_frame: usize,
    stopped: AtomicBool,
    /// Whether a client asked for the end.
    shutdown: watch::Sender<bool>,
}

impl Hub {
    pub fn new(max_frame: usize) -> Self {
        Self {
            queues: RwLock::default(),
            values: RwLock::default(),
            peers: Mutex::default(),
            last_owner: AtomicU64::new(0),
            alarm: Arc::default(),
            max_frame,
            stopped: AtomicBool::new(false),
            shutdown: watch::Sender::new(false),
        }
    }

    /// A number for somebody who will hold leases.
    pub fn new_owner(&self) -> Owner {
        self.last_owner.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Takes in an authenticated peer.
    pub fn enter(&self, address: SocketAddr, name: String) -> Owner {
        let owner = self.new_owner();
        self.peers.lock().insert(owner, (address, name));
        owner
    }

    /// Takes back whatever an owner holds that is gone; returns how many items that were.
    pub fn leave(&self, owner: Owner) -> usize {
        self.peers.lock().remove(&owner);
        let queues = self.queues.read();
        queues.values().map(|queue| queue.owner_gone(owner)).sum()
    }

    pub fn connections(&self) -> Vec<ConnectionInfo> {
        let peers = self.peers.lock().clone();
        let queues = self.queues.read();
        let leases = |owner| queues.values().map(|queue| queue.held_by(owner)).sum();
        peers
            .into_iter()
            .map(|(owner, (address, name))| ConnectionInfo { address, name, leases: leases(owner) })
            .collect()
    }

    /// The largest item or value, in bytes.
    pub fn max_item(&self) -> usize {
        self.max_frame - FRAME_OVERHEAD
    }

    /// Answers a request. A future that is dropped before its end has taken nothing.
    pub async fn call(&self, owner: Owner, request: Request) -> Reply {
        if self.stopped.load(Ordering::Acquire) {
            return Reply::Refused(Refusal::ShutDown);
        }
        match request {
            Request::Put { queue, wait, items } => match self.find(&queue) {
                Ok(found) => match items.iter().find_map(|item| self.too_large(item).err()) {
                    Some(refusal) => Reply::Refused(refusal),
                    None => found.put(items, wait).await,
                },
                Err(refusal) => Reply::Refused(refusal),
            },
            Request::Lease { queue, max, hold, wait } => match self.find(&queue) {
                Ok(found) => {
                    let ask = Ask { max: (max as usize).max(1), max_bytes: self.batch(), hold };
                    found.take(owner, ask, wait).await
                }
                Err(refusal) => Reply::Refused(refusal),
            },
            Request::Join { queue, wait } => match self.find(&queue) {
                Ok(found) => found.join(wait).await,
                Err(refusal) => Reply::Refused(refusal),
            },
            other => self.apply(owner, other).unwrap_or_else(Reply::Refused),
        }
    }

    /// Answers a request that does not wait.
    pub fn call_now(&self, owner: Owner, request: Request) -> Reply {
        if self.stopped.load(Ordering::Acquire) {
            return Reply::Refused(Refusal::ShutDown);
        }
        self.apply(owner, request).unwrap_or_else(Reply::Refused)
    }

    fn apply(&self, owner: Owner, request: Request) -> Result<Reply, Refusal> {
        Ok(match request {
            Request::Ping | Request::Cancel { .. } => Reply::Done,
            Request::Register { queue, options } => {
                self.register(queue, options)?;
                Reply::Done
            }
            Request::Settle { queue, leases, how } => {
                Reply::Lost(self.find(&queue)?.settle(owner, &leases, &shorten(how)))
            }
            Request::Restore { queue, items } => {
                self.find(&queue)?.restore(items);
                Reply::Done
            }
            Request::Stats { queue } => Reply::Stats(self.find(&queue)?.stats()),
            Request::Queues { after } => self.list(after),
            Request::Dead { queue, after, max } => {
                Reply::Dead(self.find(&queue)?.dead(after, max as usize, self.batch()))
            }
            Request::DropDead { queue, ids } => Reply::Lost(self.find(&queue)?.drop_dead(&ids)),
            Request::RequeueDead { queue } => {
                Reply::Count(self.find(&queue)?.requeue_dead() as u64)
            }
            Request::Close { queue } => {
                self.find(&queue)?.close();
                Reply::Done
            }
            Request::Set { name, value } => {
                check(&name)?;
                self.too_large(&value)?;
                self.values.write().insert(name, value);
                Reply::Done
            }
            Request::Get { name } => Reply::Value(self.values.read().get(&name).cloned()),
            Request::Shutdown => {
                self.shutdown.send_replace(true);
                Reply::Done
            }
            Request::Put { .. } | Request::Lease { .. } | Request::Join { .. } => {
                return Err(Refusal::BadRequest("it has to wait".into()));
            }
        })
    }

    fn register(&self, queue: Name, options: QueueOptions) -> Result<(), Refusal> {
        check(&queue)?;
        let mut queues = self.queues.write();
        // Asked again under the lock: `stop` must not miss a queue.
        if self.stopped.load(Ordering::Acquire) {
            return Err(Refusal::ShutDown);
        }
        match queues.get(&queue) {
            Some(found) if found.options() == options => Ok(()),
            Some(_) => Err(Refusal::QueueExists(queue)),
            None => {
                let store = SharedStore::new(options, Arc::clone(&self.alarm));
                queues.insert(queue, Arc::new(store));
                Ok(())
            }
        }
    }

    fn find(&self, queue: &Name) -> Result<Arc<SharedStore>, Refusal> {
        let found = self.queues.read().get(queue).cloned();
        found.ok_or_else(|| Refusal::UnknownQueue(queue.clone()))
    }

    fn list(&self, after: Option<Name>) -> Reply {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut room = self.batch();
        let queues = self.queues.read();
        let mut listed: Vec<_> = Vec::new();
        for (name, queue) in queues.range((start, Bound::Unbounded)) {
            let Some(left) = room.checked_sub(name.as_str().len() + 3 * ITEM_HEAD) else {
                break;
            };
            room = left;
            listed.push((name.clone(), queue.stats()));
        }
        Reply::Queues(listed)
    }

    /// How many bytes of items one reply carries before it is cut.
    fn batch(&self) -> usize {
        BATCH_BYTES.min(self.max_item())
    }

    fn too_large(&self, item: &Bytes) -> Result<(), Refusal> {
        if item.len() <= self.max_item() {
            return Ok(());
        }
        Err(Refusal::TooLarge { size: item.len() as u64, limit: self.max_item() as u64 })
    }

    /// Takes back leases when their time is over, for as long as it is polled.
    pub async fn reap(&self) {
        loop {
            self.alarm.clear();
            let now = Instant::now();
            let mut over = 0;
            for queue in self.queues.read().values() {
                let (expired, next) = queue.expire(now);
                over += expired;
                if let Some(next) = next {
                    self.alarm.set(next);
                }
            }
            if over > 0 {
                tracing::debug!(leases = over, "took back leases whose deadline passed");
            }
            self.alarm.ring().await;
        }
    }

    /// Ends all waiting, and refuses whatever is asked from now on.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        for queue in self.queues.read().values() {
            queue.stop();
        }
    }

    /// Waits until a client asks for the end.
    pub async fn shutdown_asked(&self) {
        // The sender is `self`'s own, so that it is there as long as anybody waits.
        let _ = self.shutdown.subscribe().wait_for(|asked| *asked).await;
    }
}

fn check(name: &Name) -> Result<(), Refusal> {
    Name::new(name.as_str()).map(drop).map_err(|_| Refusal::BadName(name.clone()))
}

/// Reasons are kept with dead letters, and must leave room for the item in a frame.
fn shorten(how: Settle) -> Settle {
    let short = |reason: Arc<str>| match clip(&reason, LONGEST_REASON) {
        whole if whole.len() == reason.len() => reason,
        start => start.into(),
    };
    match how {
        Settle::Return { reason } => Settle::Return { reason: short(reason) },
        Settle::Fail { reason } => Settle::Fail { reason: short(reason) },
        other => other,
    }
}
