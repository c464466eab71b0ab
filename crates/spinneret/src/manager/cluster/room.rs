//! The board and those who wait for it.

use std::{collections::HashMap, net::SocketAddr, sync::Arc, time::Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{
    super::{
        alarm::Alarm,
        store::Owner,
        wire::{ClusterReply, ClusterRequest, Refusal, Reply},
    },
    board::Board,
    stats::ClusterStats,
};

/// See the module.
#[derive(Debug)]
pub(crate) struct Room {
    state: Mutex<State>,
    /// Rings when jobs are to be failed that nobody has the code for.
    alarm: Arc<Alarm>,
}

#[derive(Debug, Default)]
struct State {
    board: Board,
    /// What tells who waits to look again.
    bells: HashMap<Owner, Arc<Bells>>,
    /// The manager shuts down.
    stopped: bool,
}

/// Those of one owner: for what it waits as a pool, and as a worker.
#[derive(Debug, Default)]
struct Bells {
    news: Notify,
    work: Notify,
}

impl Bells {
    fn ring(&self) {
        self.news.notify_one();
        self.work.notify_one();
    }
}

impl Room {
    pub fn new(alarm: Arc<Alarm>) -> Self {
        Self { state: Mutex::default(), alarm }
    }

    /// Answers what need not wait. `address` is where the owner connects from, if it does.
    pub fn call_now(
        &self,
        owner: Owner,
        address: Option<SocketAddr>,
        request: ClusterRequest,
    ) -> Reply {
        let now = Instant::now();
        self.change(|state| {
            if state.stopped {
                return Reply::Refused(Refusal::ShutDown);
            }
            let board = &mut state.board;
            let taken = match request {
                ClusterRequest::Open(terms) => board.open(owner, terms),
                ClusterRequest::Enlist(recruit) => match address {
                    Some(address) => board.enlist(owner, recruit, address, now),
                    None => false,
                },
                ClusterRequest::Submit(orders) => board.submit(owner, orders, now),
                ClusterRequest::Cancel(ids) => {
                    return Reply::Cluster(ClusterReply::Cancelled(board.cancel(owner, &ids)));
                }
                ClusterRequest::Report(report) => board.report(owner, report, now),
                ClusterRequest::Leave => {
                    board.close(owner);
                    true
                }
                ClusterRequest::Retire => {
                    board.retire(owner, now);
                    true
                }
                ClusterRequest::Stats => {
                    return Reply::Cluster(ClusterReply::Stats(board.stats(now)));
                }
                ClusterRequest::Listen | ClusterRequest::Fetch => false,
            };
            if taken { Reply::Done } else { refused() }
        })
    }

    /// Answers what waits: news for a pool, or work for a worker, of about so many bytes.
    pub async fn call(&self, owner: Owner, request: &ClusterRequest, max_bytes: usize) -> Reply {
        loop {
            let (reply, bells) = self.change(|state| {
                if state.stopped {
                    return (Some(Reply::Refused(Refusal::ShutDown)), Arc::default());
                }
                let board = &mut state.board;
                let reply = match request {
                    ClusterRequest::Fetch => board.fetch(owner, max_bytes),
                    _ => board.listen(owner, max_bytes),
                };
                // One that came too late for its owner must not leave a bell behind.
                let gone = matches!(reply, Some(ClusterReply::Gone));
                let bells = if gone { Arc::default() } else { state.bells(owner) };
                (reply.map(Reply::Cluster), bells)
            });
            match reply {
                Some(reply) => return reply,
                // A bell that was rung since then rings now.
                None if matches!(request, ClusterRequest::Fetch) => bells.work.notified().await,
                None => bells.news.notified().await,
            }
        }
    }

    /// Takes back what an owner has that is gone.
    pub fn leave(&self, owner: Owner) {
        self.change(|state| {
            state.board.leave(owner, Instant::now());
            state.bells.remove(&owner);
        });
    }

    /// Fails jobs that nobody has had the code for too long; returns when to look again.
    pub fn expire(&self, now: Instant) -> Option<Instant> {
        self.change(|state| state.board.expire(now))
    }

    pub fn stats(&self) -> ClusterStats {
        self.state.lock().board.stats(Instant::now())
    }

    /// Ends all waiting: the manager shuts down.
    pub fn stop(&self) {
        let mut state = self.state.lock();
        state.stopped = true;
        for bells in state.bells.values() {
            bells.ring();
        }
    }

    /// Changes the board, then tells those whom the change concerns.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state.lock();
        let outcome = change(&mut state);
        for owner in state.board.take_woken() {
            // Who has no bell yet has not asked yet, and will find it when it does.
            if let Some(bells) = state.bells.get(&owner) {
                bells.ring();
            }
        }
        if let Some(time) = state.board.take_alarm() {
            self.alarm.set(time);
        }
        outcome
    }
}

impl State {
    fn bells(&mut self, owner: Owner) -> Arc<Bells> {
        Arc::clone(self.bells.entry(owner).or_default())
    }
}

/// To one who asks for what its connection is not there for.
fn refused() -> Reply {
    let why = "the connection is no pool or worker that could ask this, or is one already";
    Reply::Refused(Refusal::BadRequest(why.into()))
}
