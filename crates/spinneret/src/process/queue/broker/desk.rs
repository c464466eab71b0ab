//! The queue in the process that made it, and how its threads wait for it.

use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::store::{Store, Taken};
use crate::process::queue::terms::{Options, Put, Take};

/// Who sleeps looks again after so long: the one that was woken in its stead may have been a process
/// that died before it came to take what there is.
const NAP: Duration = Duration::from_millis(50);

#[derive(Debug)]
pub(super) struct Desk {
    store: Mutex<Store>,
    /// Notified when there is more to take, or never will be.
    items: Condvar,
    /// Notified when there is more space, or nobody needs it any more.
    space: Condvar,
    /// Notified when the work for all messages is done.
    idle: Condvar,
}

impl Desk {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            store: Mutex::new(Store::new(options)),
            items: Condvar::new(),
            space: Condvar::new(),
            idle: Condvar::new(),
        }
    }

    /// A number for one who leases.
    pub(super) fn enter(&self) -> u32 {
        self.store.lock().enter()
    }

    pub(super) fn put<'a>(&self, messages: impl Iterator<Item = (&'a [u8], bool)>) -> Put {
        let put = self.store.lock().put(messages);
        if let Put::Done(count) = put {
            self.came(count);
        }
        put
    }

    /// Takes messages, for good or leased to `lessee`; `owner` is who asks.
    pub(super) fn take(
        &self,
        most: usize,
        lessee: Option<u32>,
        owner: u32,
        out: &mut Vec<Taken>,
    ) -> Take {
        let mut store = self.store.lock();
        if store.is_drained(owner) {
            return Take::Closed;
        }
        let take = store.take(most, lessee, out);
        let over = store.is_closed() && store.len() == 0;
        drop(store);
        if take != Take::Done(0) {
            self.space.notify_all();
        }
        if over {
            self.items.notify_all();
        }
        take
    }

    /// Takes back what could not be handed over.
    pub(super) fn untake(&self, taken: Vec<Taken>) {
        let count = taken.len();
        let mut store = self.store.lock();
        for one in taken {
            store.untake(one);
        }
        drop(store);
        self.came(count);
    }

    pub(super) fn acknowledge(&self, lease: u32, owner: u32) -> bool {
        let done = self.store.lock().acknowledge(lease, owner);
        self.idle.notify_all();
        self.space.notify_all();
        // For one who waits for a lease, or for what others have leased of a closed queue.
        self.items.notify_all();
        done
    }

    pub(super) fn release(&self, lease: u32, owner: u32) -> bool {
        let released = self.store.lock().release(lease, owner);
        self.items.notify_all();
        released
    }

    pub(super) fn bury(&self, owner: u32) {
        let count = self.store.lock().bury(owner);
        self.came(count);
    }

    pub(super) fn task_done(&self) -> bool {
        let done = self.store.lock().task_done();
        self.idle.notify_all();
        done
    }

    pub(super) fn close(&self) {
        self.store.lock().close();
        self.items.notify_all();
        self.space.notify_all();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.store.lock().is_closed()
    }

    pub(super) fn len(&self) -> usize {
        self.store.lock().len()
    }

    fn came(&self, count: usize) {
        for _ in 0..count {
            if !self.items.notify_one() {
                break;
            }
        }
    }

    /// Waits until there is something to take, or never will be; `false` at the deadline.
    pub(super) fn wait_for_items(&self, owner: u32, deadline: Option<Instant>) -> bool {
        self.wait(&self.items, deadline, |store| store.len() > 0 || store.is_drained(owner))
    }

    /// Waits until there is something to take and a lease to be had, or there never will be anything;
    /// `false` at the deadline.
    pub(super) fn wait_to_lease(&self, owner: u32, deadline: Option<Instant>) -> bool {
        self.wait(&self.items, deadline, |store| {
            store.len() > 0 && store.can_lease() || store.is_drained(owner)
        })
    }

    /// Waits until there is space for a message, or the queue is closed; `false` at the deadline.
    pub(super) fn wait_for_space(&self, length: usize, deadline: Option<Instant>) -> bool {
        self.wait(&self.space, deadline, |store| store.has_space(length) || store.is_closed())
    }

    /// Waits until the work for all messages is done; `false` at the deadline.
    pub(super) fn join(&self, deadline: Option<Instant>) -> bool {
        self.wait(&self.idle, deadline, Store::is_idle)
    }

    fn wait(
        &self,
        signal: &Condvar,
        deadline: Option<Instant>,
        ready: impl Fn(&Store) -> bool,
    ) -> bool {
        let mut store: MutexGuard<'_, Store> = self.store.lock();
        loop {
            if ready(&store) {
                return true;
            }
            let now = Instant::now();
            if deadline.is_some_and(|deadline| deadline <= now) {
                return false;
            }
            let nap = now + NAP;
            signal.wait_until(&mut store, deadline.map_or(nap, |deadline| deadline.min(nap)));
        }
    }
}
