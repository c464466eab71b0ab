//! A queue that many use at once: the [`Store`] and those who wait for it.
//!
//! Whoever waits for items stands in a line of its own, whoever waits for room in another. Only
//! the first in line is woken when the store changes, looks again, and takes what it came for in
//! the same step; then it is the next one's turn. Hence the order is first come, first served, and
//! a waiter that gives up (its future is dropped) takes nothing with it.
//!
//! What changes in a durable queue is written down before anybody is told of it: an item can be
//! taken once its put is written, and a lease is done, or its item handed out, once that is. The
//! write itself is [`durable`](super::durable)'s, which calls back; nobody has to be waiting for
//! what was begun to be ended.

mod put;

use std::{collections::HashMap, future::Future, sync::Arc, time::Instant};

use parking_lot::Mutex;
use tokio::sync::{Mutex as Line, Notify, oneshot};

use super::{
    alarm::Alarm,
    durable::{NotWritten, QueueLog},
    runtime::sleep_until,
    store::{Ask, Dead, Delivery, Owner, QueueOptions, QueueStats, Settle, Store, Take, Waiting},
    wire::{Refusal, Reply, Wait},
};

/// See the module.
#[derive(Debug)]
pub(crate) struct SharedStore {
    state: Mutex<State>,
    /// Where the changes of a durable queue are written down.
    log: Option<QueueLog>,
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
    /// Why nothing is put or taken any more.
    ended: Option<Refusal>,
}

/// An answer that is there, or will be once what it says is written down.
#[derive(Debug)]
pub(crate) enum Answer<T> {
    Now(T),
    Later(oneshot::Receiver<T>),
}

impl<T> Answer<T> {
    /// The answer. May be dropped and called again until it is there.
    pub async fn ready(&mut self) -> Result<&mut T, Refusal> {
        if let Self::Later(receiver) = self {
            // Whoever writes answers everybody, unless it has ended.
            let answer = receiver.await.map_err(|_| Refusal::ShutDown)?;
            *self = Self::Now(answer);
        }
        match self {
            Self::Now(answer) => Ok(answer),
            Self::Later(_) => Err(Refusal::ShutDown),
        }
    }
}

impl Answer<Reply> {
    pub async fn reply(self) -> Reply {
        match self {
            Self::Now(reply) => reply,
            Self::Later(receiver) => receiver.await.unwrap_or(Reply::Refused(Refusal::ShutDown)),
        }
    }
}

impl From<NotWritten> for Refusal {
    fn from(error: NotWritten) -> Self {
        Self::Storage(error.to_string())
    }
}

type Written = Result<(), NotWritten>;

impl SharedStore {
    /// A queue whose changes go into this log, if it is durable.
    pub fn new(store: Store, log: Option<QueueLog>, alarm: Arc<Alarm>) -> Arc<Self> {
        let shared = Self {
            state: Mutex::new(State { store, ended: None }),
            log,
            alarm,
            takers: Line::default(),
            items: Notify::new(),
            putters: Line::default(),
            room: Notify::new(),
            finished: Notify::new(),
        };
        // What became of the past is written down, and its delays are watched.
        shared.change(|_| ());
        Arc::new(shared)
    }

    pub fn options(&self) -> QueueOptions {
        self.state.lock().store.options()
    }

    pub fn set_options(&self, options: QueueOptions) {
        self.change(|state| state.store.set_options(options));
    }

    pub fn stats(&self) -> QueueStats {
        self.state.lock().store.stats()
    }

    /// Changes the store, then tells those whom the change may concern. If it cannot be written
    /// down, it holds until the manager's end.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state.lock();
        let outcome = change(&mut state);
        if let Some(log) = &self.log {
            log.write(state.store.take_changes(), None);
        }
        self.tell(&state);
        outcome
    }

    /// Begins a change, and ends it once its beginning is written down: in memory at once.
    fn change_then<T, U>(
        self: &Arc<Self>,
        begin: impl FnOnce(&mut Store) -> Result<T, Refusal>,
        end: impl FnOnce(&mut Store, T, Written) -> U + Send + 'static,
    ) -> Result<Answer<U>, Refusal>
    where
        T: Send + 'static,
        U: Send + 'static,
    {
        let mut state = self.state.lock();
        if let Some(refusal) = &state.ended {
            return Err(refusal.clone());
        }
        let half = begin(&mut state.store)?;
        let Some(log) = &self.log else {
            let answer = end(&mut state.store, half, Ok(()));
            self.tell(&state);
            return Ok(Answer::Now(answer));
        };
        let (sender, receiver) = oneshot::channel();
        let shared = Arc::clone(self);
        // Under the lock, so that changes are written in the order in which they are made.
        log.write(
            state.store.take_changes(),
            Some(Box::new(move |written| {
                let answer = shared.change(|state| end(&mut state.store, half, written));
                // Whoever asked may be gone; what was asked for is done.
                let _ = sender.send(answer);
            })),
        );
        self.tell(&state);
        Ok(Answer::Later(receiver))
    }

    fn tell(&self, state: &State) {
        let State { store, ended } = state;
        let stopped = ended.is_some();
        // To tell nobody, or somebody who then finds nothing, costs little and harms nobody.
        if store.concerns_takers() || stopped {
            self.items.notify_one();
        }
        if store.concerns_putters() || stopped {
            self.room.notify_one();
        }
        if store.is_finished() || stopped {
            self.finished.notify_waiters();
        }
        if let Some(due) = store.next_due() {
            self.alarm.set(due);
        }
    }

    /// Gives an owner items, waiting until there is one.
    pub async fn take(&self, owner: Owner, ask: Ask, wait: Wait) -> Reply {
        let now = match self.takers.try_lock() {
            Ok(_turn) => self.try_take(owner, ask),
            Err(_) if wait == Wait::No => self.try_take(owner, ask),
            Err(_) => None,
        };
        let taking = match now {
            Some(taking) => taking,
            None if wait == Wait::No => return Reply::Empty,
            None => {
                let in_line = async {
                    // Given up last, so that the next in line does not take this for one who waits.
                    let mut _turn = None;
                    let Some(_waits) = Waits::begin(self, owner) else {
                        return Taking::Over(Reply::Closed);
                    };
                    _turn = Some(self.takers.lock().await);
                    loop {
                        if let Some(taking) = self.try_take(owner, ask) {
                            return taking;
                        }
                        self.items.notified().await;
                    }
                };
                // Boxed, since most find something at once.
                match Box::pin(until(wait, in_line)).await {
                    Ok(Some(taking)) => taking,
                    Ok(None) => return Reply::Empty,
                    Err(refusal) => return Reply::Refused(refusal),
                }
            }
        };
        match taking {
            Taking::Over(reply) => reply,
            Taking::Counted(counted) => counted.reply().await,
        }
    }

    /// Takes what there is; `None` if that is nothing yet.
    fn try_take(&self, owner: Owner, ask: Ask) -> Option<Taking<'_>> {
        let now = Instant::now();
        let mut state = self.state.lock();
        if let Some(refusal) = &state.ended {
            return Some(Taking::Over(Reply::Refused(refusal.clone())));
        }
        let given = match state.store.take(owner, ask, now) {
            Take::Closed => return Some(Taking::Over(Reply::Closed)),
            // Nothing changed, so that nobody is told: least of all who asked.
            Take::Empty => return None,
            Take::Items(given) => given,
        };
        let changes = state.store.take_changes();
        let taking = match &self.log {
            Some(log) if !changes.is_empty() => {
                let (sender, receiver) = oneshot::channel();
                let tell = move |written| drop(sender.send(written));
                log.write(changes, Some(Box::new(tell)));
                Taking::Counted(Counted { store: self, owner, given, receiver })
            }
            _ => Taking::Over(Reply::Leased(given)),
        };
        self.tell(&state);
        drop(state);
        if let Some(deadline) = ask.hold.and_then(|hold| now.checked_add(hold)) {
            self.alarm.set(deadline);
        }
        Some(taking)
    }

    /// Waits until all is done.
    pub async fn join(&self, wait: Wait) -> Reply {
        let done = async {
            loop {
                let finished = self.finished.notified();
                {
                    let state = self.state.lock();
                    if state.store.is_finished() {
                        return Reply::Joined(true);
                    }
                    if let Some(refusal) = &state.ended {
                        return Reply::Refused(refusal.clone());
                    }
                }
                finished.await;
            }
        };
        if wait == Wait::No {
            return Reply::Joined(self.state.lock().store.is_finished());
        }
        match Box::pin(until(wait, done)).await {
            Ok(reply) => reply.unwrap_or(Reply::Joined(false)),
            Err(refusal) => Reply::Refused(refusal),
        }
    }

    /// Settles leases; answers with those that are not held.
    pub fn settle(
        self: &Arc<Self>,
        owner: Owner,
        leases: &[u64],
        how: &Settle,
    ) -> Result<Answer<Reply>, Refusal> {
        let now = Instant::now();
        if let Settle::Extend { .. } = how {
            return Ok(Answer::Now(Reply::Lost(self.settle_untold(owner, leases, how))));
        }
        self.change_then(
            |store| Ok(store.settle(owner, leases, how, now)),
            |store, mut settled, written| {
                let lost = std::mem::take(&mut settled.lost);
                store.ended(settled, written.is_ok());
                answer(written, Reply::Lost(lost))
            },
        )
    }

    /// As [`settle`](Self::settle), for whoever does not wait for the answer: an item that is done
    /// is done, even if that cannot be written yet.
    pub fn settle_untold(&self, owner: Owner, leases: &[u64], how: &Settle) -> Vec<u64> {
        let now = Instant::now();
        let lost = self.change(|state| {
            let mut settled = state.store.settle(owner, leases, how, now);
            let lost = std::mem::take(&mut settled.lost);
            state.store.ended(settled, true);
            lost
        });
        if let Settle::Extend { hold } = how
            && let Some(deadline) = now.checked_add(*hold)
        {
            self.alarm.set(deadline);
        }
        lost
    }

    /// Reports items done; refused if there are fewer that are not.
    pub fn task_done(
        self: &Arc<Self>,
        count: u64,
        too_often: Refusal,
    ) -> Result<Answer<Reply>, Refusal> {
        self.change_then(
            |store| store.task_done(count).ok_or(too_often),
            |store, taken, written| {
                store.task_done_ended(taken, written.is_ok());
                answer(written, Reply::Done)
            },
        )
    }

    pub fn peek(&self, skip: usize, max: usize, max_bytes: usize) -> Vec<Waiting> {
        self.state.lock().store.peek(skip, max, max_bytes, Instant::now())
    }

    pub fn dead(&self, after: u64, max: usize, max_bytes: usize) -> Vec<Dead> {
        self.state.lock().store.dead(after, max, max_bytes)
    }

    /// Removes dead letters; answers with those that are not there.
    pub fn drop_dead(self: &Arc<Self>, numbers: Vec<u64>) -> Result<Answer<Reply>, Refusal> {
        self.change_then(
            |store| {
                store.plan_drop_dead(&numbers);
                Ok(numbers)
            },
            |store, numbers, written| match written {
                Ok(()) => Reply::Lost(store.drop_dead(&numbers)),
                Err(error) => Reply::Refused(error.into()),
            },
        )
    }

    /// Queues dead letters again, these or all; answers with their number.
    pub fn requeue_dead(
        self: &Arc<Self>,
        numbers: Option<&[u64]>,
    ) -> Result<Answer<Reply>, Refusal> {
        self.change_then(
            |store| Ok(store.plan_requeue_dead(numbers)),
            |store, numbers, written| match written {
                Ok(()) => Reply::Count(store.requeue_dead(&numbers) as u64),
                Err(error) => Reply::Refused(error.into()),
            },
        )
    }

    pub fn close(self: &Arc<Self>) -> Result<Answer<Reply>, Refusal> {
        self.change_then(
            |store| {
                store.plan_close();
                Ok(())
            },
            |store, (), written| {
                if written.is_ok() {
                    store.close();
                }
                answer(written, Reply::Done)
            },
        )
    }

    /// Ends all waiting, and refuses whatever is asked from now on.
    pub fn end(&self, refusal: Refusal) {
        self.change(|state| state.ended = Some(refusal));
    }

    /// Why nothing is put or taken any more, if that is so.
    pub fn ended(&self) -> Option<Refusal> {
        self.state.lock().ended.clone()
    }

    /// Takes requests again after an [`end`](Self::end) that was not to be.
    pub fn go_on(&self) {
        self.change(|state| state.ended = None);
    }

    /// The log of a durable queue.
    pub fn log(&self) -> Option<&QueueLog> {
        self.log.as_ref()
    }

    /// Takes back the leases of an owner that is gone; returns how many.
    pub fn owner_gone(&self, owner: Owner) -> usize {
        self.change(|state| state.store.owner_gone(owner, Instant::now()))
    }

    /// Takes back the leases that are over, and returns when there is something to do again.
    pub fn expire(&self, now: Instant) -> (usize, Option<Instant>) {
        self.change(|state| (state.store.expire(now), state.store.next_deadline()))
    }

    /// Adds to each owner's count the leases that it holds here.
    pub fn count_leases(&self, counts: &mut HashMap<Owner, usize>) {
        for owner in self.state.lock().store.holders() {
            *counts.entry(owner).or_default() += 1;
        }
    }
}

fn answer(written: Written, reply: Reply) -> Reply {
    match written {
        Ok(()) => reply,
        Err(error) => Reply::Refused(error.into()),
    }
}

/// That an owner stands in the line for items, until this is dropped.
struct Waits<'a> {
    store: &'a SharedStore,
    owner: Owner,
}

impl<'a> Waits<'a> {
    /// `None` if the queue is closed and nothing can come.
    fn begin(store: &'a SharedStore, owner: Owner) -> Option<Self> {
        // Whoever is first in line may now be waiting for this one in vain, and is told to look.
        store.change(|state| state.store.begin_wait(owner)).then_some(Self { store, owner })
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.store.state.lock().store.end_wait(self.owner);
    }
}

/// What somebody who asked for items gets.
enum Taking<'a> {
    Over(Reply),
    Counted(Counted<'a>),
}

/// Items that were taken, and are given when their deliveries are written down. If this is dropped
/// before, they go back.
struct Counted<'a> {
    store: &'a SharedStore,
    owner: Owner,
    given: Vec<Delivery>,
    receiver: oneshot::Receiver<Written>,
}

impl Counted<'_> {
    async fn reply(mut self) -> Reply {
        match (&mut self.receiver).await {
            Ok(Ok(())) => Reply::Leased(std::mem::take(&mut self.given)),
            Ok(Err(error)) => Reply::Refused(error.into()),
            Err(_) => Reply::Refused(Refusal::ShutDown),
        }
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        if !self.given.is_empty() {
            let leases: Vec<u64> = self.given.iter().map(|delivery| delivery.lease).collect();
            self.store.change(|state| state.store.untake(self.owner, &leases));
        }
    }
}

/// What the future gives within the wait, looking one last time at its end; else `None`.
async fn until<T>(wait: Wait, future: impl Future<Output = T>) -> Result<Option<T>, Refusal> {
    let Some(end) = wait.until(Instant::now()) else {
        return Ok(Some(future.await));
    };
    let sleep = sleep_until(end).map_err(|error| Refusal::Internal(error.to_string()))?;
    tokio::select! {
        biased;
        done = future => Ok(Some(done)),
        () = sleep => Ok(None),
    }
}

#[cfg(test)]
mod tests;
