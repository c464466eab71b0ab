//! What a manager has: queues, values and peers. It answers requests, wherever they come from.

mod keep;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::SocketAddr,
    ops::Bound,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Instant,
};

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use tokio::sync::{oneshot, watch};

use super::{
    alarm::Alarm,
    cluster::{ClusterStats, Room},
    courier::Courier,
    durable::{DataFolder, Recovered, RecoveredQueue},
    linger::Linger,
    shared::{Answer, SharedStore},
    store::{Ask, Batch, ITEM_HEAD, Owner, Settle},
    wire::{BATCH_BYTES, FRAME_OVERHEAD, LONGEST_REASON, Name, Refusal, Reply, Request, clip},
};

/// What a peer of a manager speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectionKind {
    /// The protocol of this toolkit.
    Spinneret {
        /// Its version.
        version: u16,
    },
    /// That of Python's `multiprocessing.managers`; one thread of a client.
    Python {
        /// The protocol of its pickles: 2 for Python 2.7, 3 up to Python 3.7, 4 for later ones.
        protocol: u8,
    },
}

/// A peer of a manager.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionInfo {
    /// Where it connects from.
    pub address: SocketAddr,
    /// What it speaks.
    pub kind: ConnectionKind,
    /// What it calls itself; empty if it does not.
    pub name: String,
    /// How many items it holds, in all queues.
    pub leases: usize,
    /// Whether the connection is over TLS.
    pub encrypted: bool,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Hub {
    queues: Arc<RwLock<BTreeMap<Name, Arc<SharedStore>>>>,
    values: Arc<Mutex<BTreeMap<Name, Bytes>>>,
    /// Where durable queues and values are kept, if anywhere.
    data: Option<DataFolder>,
    /// Queues of an earlier manager that nobody has registered yet with this one.
    recovered: Arc<Mutex<BTreeSet<Name>>>,
    peers: Mutex<BTreeMap<Owner, ConnectionInfo>>,
    /// Pools whose workers are machines, and those.
    cluster: Room,
    last_owner: AtomicU64,
    alarm: Arc<Alarm>,
    /// To be told of what peers send.
    pub linger: Linger,
    max_frame: usize,
    stopped: AtomicBool,
    /// Whether a client asked for the end.
    shutdown: watch::Sender<bool>,
}

impl Hub {
    pub fn new(max_frame: usize) -> Self {
        let alarm = Arc::<Alarm>::default();
        Self {
            queues: Arc::default(),
            values: Arc::default(),
            data: None,
            recovered: Arc::default(),
            peers: Mutex::default(),
            last_owner: AtomicU64::new(0),
            cluster: Room::new(Arc::clone(&alarm)),
            alarm,
            linger: Linger::default(),
            max_frame,
            stopped: AtomicBool::new(false),
            shutdown: watch::Sender::new(false),
        }
    }

    /// A hub whose queues and values are kept in a data folder, with what is there already.
    pub fn durable(max_frame: usize, data: DataFolder, found: Recovered) -> Self {
        let mut hub = Self::new(max_frame);
        {
            let mut queues = hub.queues.write();
            for RecoveredQueue { number, name, store } in found.queues {
                hub.recovered.lock().insert(name.clone());
                let log = Some(data.log(number));
                queues.insert(name, SharedStore::new(store, log, Arc::clone(&hub.alarm)));
            }
            hub.values.lock().extend(found.values);
        }
        hub.data = Some(data);
        hub
    }

    /// Who wakes the tasks that wait for durable queues, if there are any.
    pub fn courier(&self) -> Option<&Arc<Courier>> {
        self.data.as_ref().map(DataFolder::courier)
    }

    /// A number for somebody who will hold leases.
    pub fn new_owner(&self) -> Owner {
        self.last_owner.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Takes in an authenticated peer.
    pub fn enter(
        &self,
        address: SocketAddr,
        name: String,
        kind: ConnectionKind,
        encrypted: bool,
    ) -> Owner {
        let owner = self.new_owner();
        let peer = ConnectionInfo { address, kind, name, leases: 0, encrypted };
        self.peers.lock().insert(owner, peer);
        owner
    }

    /// Takes back whatever an owner holds that is gone; returns how many items that were.
    pub fn leave(&self, owner: Owner) -> usize {
        self.peers.lock().remove(&owner);
        self.cluster.leave(owner);
        let queues = self.queues.read();
        queues.values().map(|queue| queue.owner_gone(owner)).sum()
    }

    pub fn connections(&self) -> Vec<ConnectionInfo> {
        let peers = self.peers.lock().clone();
        // All at once: there may be thousands of peers, and as many leases.
        let mut leases = HashMap::new();
        for queue in self.queues.read().values() {
            queue.count_leases(&mut leases);
        }
        peers
            .into_iter()
            .map(|(owner, peer)| {
                let leases = leases.get(&owner).copied().unwrap_or_default();
                ConnectionInfo { leases, ..peer }
            })
            .collect()
    }

    /// The largest item or value, in bytes.
    pub fn max_item(&self) -> usize {
        self.max_frame - FRAME_OVERHEAD
    }

    /// Answers a request, once what it changes is as safe as it gets. A future that is dropped
    /// before its end has taken nothing.
    pub async fn call(&self, owner: Owner, request: Request) -> Reply {
        if self.stopped.load(Ordering::Acquire) {
            return Reply::Refused(Refusal::ShutDown);
        }
        let answer = match request {
            Request::Put { queue, wait, items } => match self.find(&queue) {
                Ok(found) => match items.iter().find_map(|item| self.too_large(item).err()) {
                    Some(refusal) => Err(refusal),
                    None => return found.put(Batch::Plain(items.into()), wait).await,
                },
                Err(refusal) => Err(refusal),
            },
            Request::PutWith { queue, wait, items } => match self.find(&queue) {
                Ok(found) => match items.iter().find_map(|(item, _)| self.too_large(item).err()) {
                    Some(refusal) => Err(refusal),
                    None => return found.put(Batch::Special(items.into()), wait).await,
                },
                Err(refusal) => Err(refusal),
            },
            Request::Lease { queue, max, hold, wait } => match self.find(&queue) {
                Ok(found) => {
                    let ask = Ask { max: (max as usize).max(1), max_bytes: self.batch(), hold };
                    return found.take(owner, ask, wait).await;
                }
                Err(refusal) => Err(refusal),
            },
            Request::Join { queue, wait } => match self.find(&queue) {
                Ok(found) => return found.join(wait).await,
                Err(refusal) => Err(refusal),
            },
            Request::Cluster(request) if request.may_wait() => {
                return self.cluster.call(owner, &request, self.batch()).await;
            }
            other => self.apply(owner, other),
        };
        match answer {
            Ok(answer) => answer.reply().await,
            Err(refusal) => Reply::Refused(refusal),
        }
    }

    /// Whether [`call`](Self::call) may have to wait, for others or for the disk, before it can
    /// answer a request.
    pub fn may_wait(&self, request: &Request) -> bool {
        match request {
            Request::Put { .. }
            | Request::PutWith { .. }
            | Request::Lease { .. }
            | Request::Join { .. } => true,
            Request::Ping
            | Request::Cancel { .. }
            | Request::Stats { .. }
            | Request::Queues { .. }
            | Request::Peek { .. }
            | Request::Dead { .. }
            | Request::Get { .. }
            | Request::Shutdown => false,
            Request::Cluster(request) => request.may_wait(),
            _ => self.data.is_some(),
        }
    }

    /// Answers a request that does not wait, for whoever does not need to know that it is safe:
    /// what has to be written to the data folder is on its way there when this returns.
    pub fn call_now(&self, owner: Owner, request: Request) -> Reply {
        if self.stopped.load(Ordering::Acquire) {
            return Reply::Refused(Refusal::ShutDown);
        }
        if let Request::Settle { queue, leases, how } = request {
            return match self.find(&queue) {
                Ok(found) => Reply::Lost(found.settle_untold(owner, &leases, &shorten(how))),
                Err(refusal) => Reply::Refused(refusal),
            };
        }
        match self.apply(owner, request) {
            Ok(Answer::Now(reply)) => reply,
            Ok(Answer::Later(_)) => Reply::Done,
            Err(refusal) => Reply::Refused(refusal),
        }
    }

    fn apply(&self, owner: Owner, request: Request) -> Result<Answer<Reply>, Refusal> {
        Ok(Answer::Now(match request {
            Request::Ping | Request::Cancel { .. } => Reply::Done,
            Request::Register { queue, options } => return self.register(queue, options),
            Request::Remove { queue } => return self.remove(&queue),
            Request::Settle { queue, leases, how } => {
                return self.find(&queue)?.settle(owner, &leases, &shorten(how));
            }
            Request::TaskDone { queue, count } => {
                let found = self.find(&queue)?;
                return found.task_done(count, Refusal::TaskDoneTooOften(queue));
            }
            Request::Stats { queue } => Reply::Stats(self.find(&queue)?.stats()),
            Request::Queues { after } => self.list(after),
            Request::Peek { queue, skip, max } => {
                let skip = usize::try_from(skip).unwrap_or(usize::MAX);
                Reply::Peeked(self.find(&queue)?.peek(skip, max as usize, self.batch()))
            }
            Request::Dead { queue, after, max } => {
                Reply::Dead(self.find(&queue)?.dead(after, max as usize, self.batch()))
            }
            Request::DropDead { queue, ids } => return self.find(&queue)?.drop_dead(ids),
            Request::RequeueDead { queue, ids } => {
                return self.find(&queue)?.requeue_dead(ids.as_deref());
            }
            Request::Close { queue } => return self.find(&queue)?.close(),
            Request::Set { name, value } => return self.set(name, value),
            Request::Get { name } => Reply::Value(self.values.lock().get(&name).cloned()),
            Request::Shutdown => {
                self.shutdown.send_replace(true);
                Reply::Done
            }
            Request::Cluster(request) if !request.may_wait() => {
                let address = self.peers.lock().get(&owner).map(|peer| peer.address);
                self.cluster.call_now(owner, address, request)
            }
            Request::Put { .. }
            | Request::PutWith { .. }
            | Request::Lease { .. }
            | Request::Join { .. }
            | Request::Cluster(_) => {
                return Err(Refusal::BadRequest("it has to wait".into()));
            }
        }))
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
            if let Some(next) = self.cluster.expire(now) {
                self.alarm.set(next);
            }
            if over > 0 {
                tracing::debug!(leases = over, "took back leases whose deadline passed");
            }
            self.alarm.ring().await;
        }
    }

    /// Whether the manager has ended or is about to.
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// Ends all waiting, and refuses whatever is asked from now on.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        for queue in self.queues.read().values() {
            queue.end(Refusal::ShutDown);
        }
        self.cluster.stop();
    }

    /// Closes the data folder, after everything is written that was asked for. Blocks the thread.
    pub fn close_data(&self) {
        if let Some(data) = &self.data {
            data.close();
        }
    }

    /// What the cluster does.
    pub fn cluster(&self) -> ClusterStats {
        self.cluster.stats()
    }

    /// Async twin of [`close_data`](Self::close_data), for any thread, also one without a runtime.
    pub async fn close_data_async(&self) {
        let Some(data) = self.data.clone() else {
            return;
        };
        let (sender, closed) = oneshot::channel();
        thread::spawn(move || {
            data.close();
            let _ = sender.send(());
        });
        let _ = closed.await;
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
