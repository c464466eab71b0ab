//! A queue that many use at once: the [`Store`] and those who wait for it.
//!
//! Whoever waits for items stands in a line of its own, whoever waits for room in another. Only
//! the first in line is woken when the store changes, looks again, and takes what it came for in
//! the same step; then it is the next one's turn. Hence the order is first come, first served, and
//! a waiter that gives up (its future is dropped) takes nothing with it.

use std::{collections::VecDeque, future::Future, sync::Arc, time::Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{Mutex as Line, Notify};

use super::{
    runtime::sleep_until,
    store::{Dead, Offer, Owner, QueueOptions, QueueStats, Settle, Store, Take},
    wire::{PutEnd, Refusal, Reply, Wait},
};

/// Wakes whoever takes back leases in time.
#[derive(Debug, Default)]
pub(crate) struct Alarm {
    /// When it is to ring; none if nothing is due.
    next: Mutex<Option<Instant>>,
    changed: Notify,
}

impl Alarm {
    /// Makes sure that the alarm rings at that time or before.
    pub fn set(&self, time: Instant) {
        let mut next = self.next.lock();
        if next.is_none_or(|next| time < next) {
            *next = Some(time);
            drop(next);
            self.changed.notify_one();
        }
    }

    /// Forgets what was set; whoever calls it looks for all that is due.
    pub fn clear(&self) {
        *self.next.lock() = None;
    }

    /// Waits until the time that was set.
    pub async fn ring(&self) {
        loop {
            let next = *self.next.lock();
            let changed = self.changed.notified();
            match next {
                None => changed.await,
                Some(time) => tokio::select! {
                    () = changed => {}
                    () = tokio::time::sleep_until(time.into()) => return,
                },
            }
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct SharedStore {
    state: Mutex<State>,
    alarm: Arc<Alarm>,
    /// Whoever waits for items, and what tells the first of them to look again.
    takers: Line<()>,
    items: Notify,
    /// Whoever waits for room, and what tells the first of them to look again.
    putters: Line<()>,
    room: Notify,
    /// Tells everybody in `join` to look again.
    finished: Notify,
}

#[derive(Debug)]
struct State {
    store: Store,
    /// The manager shuts down: nothing is put or taken any more.
    stopped: bool,
}

impl SharedStore {
    pub fn new(options: QueueOptions, alarm: Arc<Alarm>) -> Self {
        Self {
            state: Mutex::new(State { store: Store::new(options), stopped: false }),
            alarm,
            takers: Line::default(),
            items: Notify::new(),
            putters: Line::default(),
            room: Notify::new(),
            finished: Notify::new(),
        }
    }

    pub fn options(&self) -> QueueOptions {
        self.state.lock().store.options()
    }

    pub fn stats(&self) -> QueueStats {
        self.state.lock().store.stats()
    }

    /// Changes the store, then tells those whom the change may concern.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state.lock();
        let outcome = change(&mut state);
        self.tell(&state);
        outcome
    }

    fn tell(&self, state: &State) {
        let State { store, stopped } = state;
        // To tell nobody, or somebody who then finds nothing, costs little and harms nobody.
        if store.concerns_takers() || *stopped {
            self.items.notify_one();
        }
        if store.concerns_putters() || *stopped {
            self.room.notify_one();
        }
        if store.is_finished() || *stopped {
            self.finished.notify_waiters();
        }
    }

    /// Puts items in order, waiting for room. Tells how many were taken in.
    pub async fn put(&self, items: Vec<Bytes>, wait: Wait) -> Reply {
        let total = items.len();
        let mut items = VecDeque::from(items);
        let put = |left: usize, end| Reply::Put { accepted: (total - left) as u32, end };
        // Nobody in line: no need to stand in it.
        let now = match self.putters.try_lock() {
            Ok(_turn) => self.offer(&mut items),
            Err(_) if wait == Wait::No => self.offer(&mut items),
            Err(_) => None,
        };
        let end = match now {
            Some(end) => Some(end),
            None if wait == Wait::No => None,
            None => {
                let in_line = async {
                    let _turn = self.putters.lock().await;
                    loop {
                        if let Some(end) = self.offer(&mut items) {
                            return end;
                        }
                        self.room.notified().await;
                    }
                };
                match until(wait, in_line).await {
                    Ok(end) => end,
                    Err(refusal) => return refusal,
                }
            }
        };
        match end {
            Some(Ok(end)) => put(items.len(), end),
            Some(Err(refusal)) => Reply::Refused(refusal),
            None => put(items.len(), PutEnd::Full),
        }
    }

    /// Puts what there is room for; `None` if the rest has to wait.
    fn offer(&self, items: &mut VecDeque<Bytes>) -> Option<Result<PutEnd, Refusal>> {
        self.change(|state| {
            if state.stopped {
                return Some(Err(Refusal::ShutDown));
            }
            match state.store.offer(items) {
                Offer::Taken => Some(Ok(PutEnd::All)),
                Offer::Closed => Some(Ok(PutEnd::Closed)),
                Offer::Full => None,
            }
        })
    }

    /// Gives an owner items, waiting until there is one.
    pub async fn take(&self, owner: Owner, ask: Ask, wait: Wait) -> Reply {
        let now = match self.takers.try_lock() {
            Ok(_turn) => self.try_take(owner, ask),
            Err(_) if wait == Wait::No => self.try_take(owner, ask),
            Err(_) => None,
        };
        match now {
            Some(reply) => return reply,
            None if wait == Wait::No => return Reply::Empty,
            None => {}
        }
        let in_line = async {
            let _turn = self.takers.lock().await;
            loop {
                if let Some(reply) = self.try_take(owner, ask) {
                    return reply;
                }
                self.items.notified().await;
            }
        };
        match until(wait, in_line).await {
            Ok(reply) => reply.unwrap_or(Reply::Empty),
            Err(refusal) => refusal,
        }
    }

    /// Takes what there is; `None` if that is nothing yet.
    fn try_take(&self, owner: Owner, ask: Ask) -> Option<Reply> {
        let deadline = ask.hold.and_then(|hold| Instant::now().checked_add(hold));
        let reply = {
            let mut state = self.state.lock();
            if state.stopped {
                return Some(Reply::Refused(Refusal::ShutDown));
            }
            match state.store.take(owner, ask.max, ask.max_bytes, deadline) {
                Take::Closed => Reply::Closed,
                // Nothing changed, so that nobody is told: least of all who asked.
                Take::Empty => return None,
                Take::Items(given) => {
                    self.tell(&state);
                    Reply::Leased(given)
                }
            }
        };
        if let (Some(deadline), Reply::Leased(_)) = (deadline, &reply) {
            self.alarm.set(deadline);
        }
        Some(reply)
    }

    /// Waits until nothing is queued or leased.
    pub async fn join(&self, wait: Wait) -> Reply {
        let done = async {
            loop {
                let finished = self.finished.notified();
                {
                    let state = self.state.lock();
                    if state.store.is_finished() {
                        return Reply::Joined(true);
                    }
                    if state.stopped {
                        return Reply::Refused(Refusal::ShutDown);
                    }
                }
                finished.await;
            }
        };
        if wait == Wait::No {
            return Reply::Joined(self.state.lock().store.is_finished());
        }
        match until(wait, done).await {
            Ok(reply) => reply.unwrap_or(Reply::Joined(false)),
            Err(refusal) => refusal,
        }
    }

    /// Settles leases; returns those that are not held.
    pub fn settle(&self, owner: Owner, leases: &[u64], how: &Settle) -> Vec<u64> {
        let now = Instant::now();
        let lost = self.change(|state| state.store.settle(owner, leases, how, now));
        if let Settle::Extend { hold } = how
            && let Some(deadline) = now.checked_add(*hold)
        {
            self.alarm.set(deadline);
        }
        lost
    }

    pub fn restore(&self, items: Vec<(u32, Bytes)>) {
        self.change(|state| state.store.restore(items));
    }

    pub fn dead(&self, after: u64, max: usize, max_bytes: usize) -> Vec<Dead> {
        self.state.lock().store.dead(after, max, max_bytes)
    }

    pub fn drop_dead(&self, ids: &[u64]) -> Vec<u64> {
        self.change(|state| state.store.drop_dead(ids))
    }

    pub fn requeue_dead(&self) -> usize {
        self.change(|state| state.store.requeue_dead())
    }

    pub fn close(&self) {
        self.change(|state| state.store.close());
    }

    /// Ends all waiting: the manager shuts down.
    pub fn stop(&self) {
        self.change(|state| state.stopped = true);
    }

    /// Takes back the leases of an owner that is gone; returns how many.
    pub fn owner_gone(&self, owner: Owner) -> usize {
        self.change(|state| state.store.owner_gone(owner))
    }

    /// Takes back the leases that are over, and returns when the next one will be.
    pub fn expire(&self, now: Instant) -> (usize, Option<Instant>) {
        self.change(|state| (state.store.expire(now), state.store.next_deadline()))
    }

    pub fn held_by(&self, owner: Owner) -> usize {
        self.state.lock().store.held_by(owner)
    }
}

/// How many items somebody asks for, and how long to hold them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask {
    pub max: usize,
    pub max_bytes: usize,
    pub hold: Option<std::time::Duration>,
}

/// What the future gives within the wait, looking one last time at its end; else `None`.
async fn until<T>(wait: Wait, future: impl Future<Output = T>) -> Result<Option<T>, Reply> {
    let Some(end) = wait.until(Instant::now()) else {
        return Ok(Some(future.await));
    };
    let sleep =
        sleep_until(end).map_err(|error| Reply::Refused(Refusal::Internal(error.to_string())))?;
    tokio::select! {
        biased;
        done = future => Ok(Some(done)),
        () = sleep => Ok(None),
    }
}

#[cfg(test)]
mod tests;
