//! The requests of one connection that wait for their answers: all in the connection's own task.

use std::{
    collections::HashMap,
    future::{Future, poll_fn},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::sync::oneshot;

use crate::manager::{
    courier::Courier,
    wire::{Refusal, Reply},
};

/// A future that answers a request. One that is dropped before its end has taken nothing.
pub(super) type Answer = Pin<Box<dyn Future<Output = Reply> + Send>>;

/// See the module.
#[derive(Default)]
pub(super) struct WaitingRequests {
    requests: FuturesUnordered<WaitingRequest>,
    /// What makes a request answer at once.
    cancel: HashMap<u64, oneshot::Sender<()>>,
    /// What they weigh, in bytes.
    weight: usize,
}

struct WaitingRequest {
    id: u64,
    weight: usize,
    answer: Answer,
    cancelled: oneshot::Receiver<()>,
}

impl Future for WaitingRequest {
    type Output = (u64, usize, Reply);

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let reply = match Pin::new(&mut self.cancelled).poll(context) {
            Poll::Ready(_) => Reply::Refused(Refusal::Cancelled),
            Poll::Pending => match self.answer.as_mut().poll(context) {
                Poll::Ready(reply) => reply,
                Poll::Pending => return Poll::Pending,
            },
        };
        Poll::Ready((self.id, self.weight, reply))
    }
}

impl WaitingRequests {
    pub fn count(&self) -> usize {
        self.requests.len()
    }

    pub fn weight(&self) -> usize {
        self.weight
    }

    pub fn has(&self, id: u64) -> bool {
        self.cancel.contains_key(&id)
    }

    /// Lets a request wait whose number no other one has.
    pub fn add(&mut self, id: u64, weight: usize, answer: Answer) {
        let (cancel, cancelled) = oneshot::channel();
        self.cancel.insert(id, cancel);
        self.weight += weight;
        self.requests.push(WaitingRequest { id, weight, answer, cancelled });
    }

    /// Has a request answered that it was cancelled, unless its answer is on the way.
    pub fn cancel(&mut self, id: u64) {
        if let Some(cancel) = self.cancel.remove(&id) {
            let _ = cancel.send(());
        }
    }

    /// Waits for answers and passes on all that are there; for ever if nothing waits.
    pub async fn answer(&mut self, courier: Option<&Arc<Courier>>, mut to: impl FnMut(u64, Reply)) {
        let Self { requests, cancel, weight } = self;
        let mut answered = false;
        let answers = poll_fn(|context| {
            while let Poll::Ready(Some((id, its_weight, reply))) = requests.poll_next_unpin(context)
            {
                cancel.remove(&id);
                *weight -= its_weight;
                to(id, reply);
                answered = true;
            }
            if answered { Poll::Ready(()) } else { Poll::Pending }
        });
        match courier {
            Some(courier) => courier.carried(answers).await,
            None => answers.await,
        }
    }

    /// Drops all that wait.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}
