//! What a pool of machines knows by itself: jobs that wait here, jobs that the manager has, and where
//! their outcomes go.
//!
//! The manager is sent a bounded number of jobs; the others wait here, and cost it nothing.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use bytes::Bytes;
use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::manager::link::Link;
use crate::manager::runtime::block_on;
use crate::manager::wire::{
    BATCH_BYTES, ClusterReply, ClusterRequest, Event, Order, Reply, Request, TaskKey, Terms,
};
use crate::manager::{ManagerError, WorkerInfo, unexpected};
use crate::pool::error::SubmitError;
use crate::pool::handle::Recall;
use crate::pool::snapshot::PoolSnapshot;
use crate::pool::ticket::EncodedTicket;
use crate::task::{Outcome, Task, TaskError};

/// The most jobs that the manager has at once, and the most bytes of arguments unless one job alone
/// has more.
const MOST_SENT: usize = 1 << 14;
const MOST_SENT_BYTES: usize = 64 << 20;

/// What a job in a batch is counted for beyond its arguments: more than goes with it, but for its
/// name.
const HEAD: usize = 64;

/// A task to run somewhere.
pub struct Job {
    task: &'static str,
    signature: u64,
    args: Bytes,
    ticket: Box<dyn EncodedTicket>,
}

impl Job {
    pub(super) fn new<T: Task>(args: Vec<u8>, ticket: Box<dyn EncodedTicket>) -> Self {
        Self { task: T::NAME, signature: T::SIGNATURE, args: args.into(), ticket }
    }

    fn weight(&self) -> usize {
        HEAD + self.task.len() + self.args.len()
    }
}

/// See the module.
pub(super) struct Desk {
    link: Link,
    window: Option<usize>,
    /// How many tasks the workers run at the same time, as last heard.
    slots: AtomicUsize,
    state: Mutex<State>,
    /// Notified when the pool is over.
    over: Condvar,
    /// To itself, for the handles of the jobs.
    this: Weak<Desk>,
}

#[derive(Default)]
struct State {
    phase: Phase,
    backlog: VecDeque<Job>,
    sent: HashMap<u64, Sent>,
    /// Bytes of the jobs that were sent.
    sent_bytes: usize,
    last: u64,
    begun: usize,
    /// Threads that have taken jobs off the books, and have yet to deliver their outcomes.
    delivering: usize,
    done: u64,
    failed: u64,
    restarts: u64,
}

#[derive(Clone, Debug, Default)]
enum Phase {
    #[default]
    Open,
    Closed,
    /// Nothing is left to do.
    Over,
    /// The manager is gone, for this reason.
    Lost(Arc<str>),
}

/// A job that the manager has.
struct Sent {
    ticket: Box<dyn EncodedTicket>,
    bytes: usize,
    begun: bool,
}

/// An outcome and where it goes, to be delivered outside of the lock.
type Delivery = (Box<dyn EncodedTicket>, Outcome<Bytes>);

impl Desk {
    /// Makes a connection a pool.
    pub(super) async fn open(
        link: Link,
        terms: Terms,
        window: Option<usize>,
    ) -> Result<Arc<Self>, ManagerError> {
        ask(&link, ClusterRequest::Open(terms)).await?;
        let desk = Arc::new_cyclic(|this| Self {
            link,
            window,
            slots: AtomicUsize::new(0),
            state: Mutex::default(),
            over: Condvar::new(),
            this: this.clone(),
        });
        // The first time, it answers at once: how many slots there are.
        match ask(&desk.link, ClusterRequest::Listen).await? {
            Reply::Cluster(ClusterReply::News { events, slots }) => desk.hear(events, slots),
            other => return Err(unexpected(&other)),
        }
        Ok(desk)
    }

    pub(super) fn window(&self) -> Option<usize> {
        self.window
    }

    pub(super) fn slots(&self) -> usize {
        self.slots.load(Ordering::Relaxed)
    }

    /// Takes jobs, all or none.
    pub(super) fn submit(&self, jobs: Vec<Job>) -> Result<(), SubmitError> {
        let most = self.link.max_item();
        if let Some(job) = jobs.iter().find(|job| job.args.len() > most) {
            let (task, size) = (job.task, job.args.len());
            let cause = format!(
                "they take {size} bytes, the manager takes up to {most}: pass less, or let the \
                 manager have a larger `max_frame`"
            );
            return Err(SubmitError::Unserializable { task, cause });
        }
        let mut state = self.state.lock();
        match state.phase.clone() {
            Phase::Open => {}
            Phase::Closed | Phase::Over => {
                // First, since dropping the jobs wakes who waits for them.
                drop(state);
                return Err(SubmitError::Closed);
            }
            Phase::Lost(reason) => {
                drop(state);
                for job in jobs {
                    job.ticket.deliver(Err(disconnected(&reason)));
                }
                return Err(SubmitError::Disconnected { reason: reason.to_string() });
            }
        }
        state.backlog.extend(jobs);
        let unwanted = self.send(&mut state);
        drop(state);
        drop(unwanted);
        Ok(())
    }

    /// Sends jobs of the backlog as far as the manager is to have more. Gives back those that nobody
    /// wants, to be dropped outside of the lock.
    ///
    /// Sent under the lock, so that whoever finds a job among the sent ones can cancel it there.
    fn send(&self, state: &mut State) -> Vec<Job> {
        let (mut orders, mut batch, mut unwanted) = (Vec::new(), 0, Vec::new());
        let most = BATCH_BYTES.min(self.link.max_item());
        while let Some(next) = state.backlog.front() {
            let bytes = next.weight();
            let full = state.sent_bytes + bytes > MOST_SENT_BYTES || state.sent.len() >= MOST_SENT;
            if full && !state.sent.is_empty() {
                break;
            }
            let Some(job) = state.backlog.pop_front() else { break };
            let id = state.last + 1;
            let recall: Weak<dyn Recall> = self.this.clone();
            if !job.ticket.hand_out(recall, id) {
                state.failed += 1;
                unwanted.push(job);
                continue;
            }
            state.last = id;
            if batch + bytes > most && !orders.is_empty() {
                self.tell(ClusterRequest::Submit(std::mem::take(&mut orders)));
                batch = 0;
            }
            let Job { task, signature, args, ticket } = job;
            let task = TaskKey { name: task.into(), signature };
            orders.push(Order { id, task, args });
            batch += bytes;
            state.sent_bytes += bytes;
            state.sent.insert(id, Sent { ticket, bytes, begun: false });
        }
        if !orders.is_empty() {
            self.tell(ClusterRequest::Submit(orders));
        }
        unwanted
    }

    fn tell(&self, request: ClusterRequest) {
        self.link.tell(Request::Cluster(request));
    }

    /// Takes in what the manager says.
    fn hear(&self, events: Vec<Event>, slots: u32) {
        self.slots.store(slots as usize, Ordering::Relaxed);
        let mut deliveries: Vec<Delivery> = Vec::with_capacity(events.len());
        let mut state = self.state.lock();
        for event in events {
            match event {
                Event::Begun(id) => state.mark(id, true),
                Event::Again(id) => {
                    state.restarts += 1;
                    state.mark(id, false);
                }
                Event::Ended(id, outcome) => {
                    let Some(ticket) = state.take(id) else { continue };
                    match &outcome {
                        Ok(_) => state.done += 1,
                        Err(error) => {
                            state.failed += 1;
                            let died = matches!(error, TaskError::WorkerDied { .. });
                            state.restarts += u64::from(died);
                        }
                    }
                    deliveries.push((ticket, outcome));
                }
            }
        }
        let unwanted = self.send(&mut state);
        self.deliver(state, || {
            drop(unwanted);
            for (ticket, outcome) in deliveries {
                ticket.deliver(outcome.map(|bytes| (bytes.into(), Vec::new())));
            }
        });
    }

    /// Delivers outcomes outside of the lock. Only then the pool may be over: who waits for that finds
    /// them all delivered.
    fn deliver(&self, mut state: MutexGuard<'_, State>, deliver: impl FnOnce()) {
        state.delivering += 1;
        MutexGuard::unlocked(&mut state, deliver);
        state.delivering -= 1;
        self.end_if_done(&mut state);
    }

    /// The manager is gone: nothing that it has will come back.
    fn lost(&self, error: &ManagerError) {
        let reason: Arc<str> = match error {
            ManagerError::Disconnected { reason } => reason.as_str().into(),
            other => other.to_string().into(),
        };
        let mut state = self.state.lock();
        if !matches!(state.phase, Phase::Over) {
            state.phase = Phase::Lost(Arc::clone(&reason));
        }
        let tickets = state.take_all();
        self.deliver(state, || {
            for ticket in tickets {
                ticket.deliver(Err(disconnected(&reason)));
            }
        });
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self.state.lock().phase, Phase::Open)
    }

    pub(super) fn is_over(&self) -> bool {
        self.state.lock().is_over()
    }

    pub(super) fn close(&self) {
        let mut state = self.state.lock();
        if matches!(state.phase, Phase::Open) {
            state.phase = Phase::Closed;
        }
        self.end_if_done(&mut state);
    }

    /// Ends a closed pool when the last job is done.
    fn end_if_done(&self, state: &mut State) {
        if state.delivering > 0 {
            return;
        }
        let done = state.backlog.is_empty() && state.sent.is_empty();
        if done && matches!(state.phase, Phase::Closed) {
            state.phase = Phase::Over;
            self.tell(ClusterRequest::Leave);
        }
        if state.is_over() {
            self.over.notify_all();
        }
    }

    /// Waits until nothing is left to do.
    pub(super) fn wait(&self) {
        let mut state = self.state.lock();
        while !state.is_over() || state.delivering > 0 {
            self.over.wait(&mut state);
        }
    }

    /// Cancels everything, and returns when the manager knows, or cannot be told.
    pub(super) async fn terminate(&self) {
        {
            let mut state = self.state.lock();
            if state.is_over() {
                return;
            }
            state.phase = Phase::Over;
            let tickets = state.take_all();
            // Dropping them says that they were cancelled.
            self.deliver(state, || drop(tickets));
        }
        let _ = ask(&self.link, ClusterRequest::Leave).await;
    }

    /// Cancels jobs that nobody waits for any more, as far as they have not begun.
    pub(super) async fn cancel_unwanted(&self) {
        let (unwanted, ids) = {
            let mut state = self.state.lock();
            let backlog = std::mem::take(&mut state.backlog).into_iter();
            let (wanted, unwanted) = backlog.partition::<Vec<_>, _>(|job| job.ticket.is_wanted());
            state.backlog = wanted.into();
            state.failed += unwanted.len() as u64;
            let sent =
                state.sent.iter().filter(|(_, sent)| !sent.begun && !sent.ticket.is_wanted());
            (unwanted, sent.map(|(id, _)| *id).collect::<Vec<_>>())
        };
        drop(unwanted);
        if !ids.is_empty() {
            self.cancel(ids).await;
        }
    }

    /// Cancels those of these jobs that have not begun; returns how many that were.
    async fn cancel(&self, ids: Vec<u64>) -> usize {
        let asked = ask(&self.link, ClusterRequest::Cancel(ids)).await;
        let Ok(Reply::Cluster(ClusterReply::Cancelled(cancelled))) = asked else { return 0 };
        let mut state = self.state.lock();
        let tickets: Vec<_> = cancelled.iter().filter_map(|id| state.take(*id)).collect();
        state.failed += tickets.len() as u64;
        let unwanted = self.send(&mut state);
        let count = tickets.len();
        // Dropping them says that they were cancelled.
        self.deliver(state, || drop((unwanted, tickets)));
        count
    }

    pub(super) async fn workers(&self) -> Result<Vec<WorkerInfo>, ManagerError> {
        match ask(&self.link, ClusterRequest::Stats).await? {
            Reply::Cluster(ClusterReply::Stats(stats)) => Ok(stats.workers),
            other => Err(unexpected(&other)),
        }
    }

    /// The figures of a snapshot, but for the workers.
    pub(super) fn figures(&self) -> PoolSnapshot {
        let state = self.state.lock();
        PoolSnapshot {
            queued: state.backlog.len() + state.sent.len() - state.begun,
            running: state.begun,
            done: state.done,
            failed: state.failed,
            restarts: state.restarts,
            workers: Vec::new(),
        }
    }
}

impl Recall for Desk {
    fn recall(&self, number: u64) -> bool {
        block_on(self.cancel(vec![number])) == 1
    }

    fn has_begun(&self, number: u64) -> bool {
        self.state.lock().sent.get(&number).is_none_or(|sent| sent.begun)
    }

    fn help(&self, _done: &dyn Fn() -> bool) {}
}

impl State {
    fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over | Phase::Lost(_))
    }

    fn mark(&mut self, id: u64, begun: bool) {
        if let Some(sent) = self.sent.get_mut(&id) {
            match (sent.begun, begun) {
                (false, true) => self.begun += 1,
                (true, false) => self.begun -= 1,
                _ => {}
            }
            sent.begun = begun;
        }
    }

    /// Forgets a job that the manager had.
    fn take(&mut self, id: u64) -> Option<Box<dyn EncodedTicket>> {
        let Sent { ticket, bytes, begun } = self.sent.remove(&id)?;
        self.sent_bytes -= bytes;
        self.begun -= usize::from(begun);
        Some(ticket)
    }

    /// Forgets all jobs, and books them as failed.
    fn take_all(&mut self) -> Vec<Box<dyn EncodedTicket>> {
        let sent = std::mem::take(&mut self.sent).into_values().map(|sent| sent.ticket);
        let backlog = std::mem::take(&mut self.backlog).into_iter().map(|job| job.ticket);
        let tickets: Vec<_> = sent.chain(backlog).collect();
        (self.sent_bytes, self.begun) = (0, 0);
        self.failed += tickets.len() as u64;
        tickets
    }
}

/// Hears the manager for as long as the pool is there.
pub(super) async fn listen(desk: Weak<Desk>) {
    let Some(link) = desk.upgrade().map(|desk| desk.link.clone()) else { return };
    loop {
        let heard = ask(&link, ClusterRequest::Listen).await;
        let Some(desk) = desk.upgrade() else { return };
        match heard {
            Ok(Reply::Cluster(ClusterReply::News { events, slots })) => desk.hear(events, slots),
            // The pool has ended.
            Ok(_) => return,
            Err(error) => return desk.lost(&error),
        }
    }
}

async fn ask(link: &Link, request: ClusterRequest) -> Result<Reply, ManagerError> {
    link.call(Request::Cluster(request)).await
}

fn disconnected(reason: &str) -> TaskError {
    TaskError::Disconnected { reason: reason.to_owned() }
}
