//! Waking many tasks of a runtime from a thread that is not of it, for the price of one.
//!
//! To wake a task from another thread is to wake the runtime's thread, by a system call, each time.
//! The thread that writes durable queues wakes as many tasks as asked for something, all at once:
//! it [holds](Courier::hold) the wakers back meanwhile, and a task of the runtime then gets them
//! together and wakes the others, which there is as cheap as calling a function.
//!
//! Only futures of the tasks that this runtime runs may be [carried](Courier::carried): whoever
//! blocks the runtime's own thread would never be woken.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
};

use parking_lot::Mutex;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Courier(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Who is to be woken.
    bag: Vec<Waker>,
    /// The bag is not to be fetched yet.
    held: bool,
    /// What makes the task fetch the bag.
    task: Option<Waker>,
}

impl Courier {
    /// Wakes whoever is to be woken, for ever. What wakes before this runs is kept for it.
    pub async fn run(&self) {
        let mut bag = Vec::new();
        poll_fn(|context| {
            {
                let mut state = self.0.lock();
                if !state.held {
                    std::mem::swap(&mut bag, &mut state.bag);
                }
                if !state.task.as_ref().is_some_and(|task| task.will_wake(context.waker())) {
                    state.task = Some(context.waker().clone());
                }
            }
            bag.drain(..).for_each(Waker::wake);
            Poll::<()>::Pending
        })
        .await;
    }

    /// A future whose task is woken by way of this courier.
    pub async fn carried<T>(self: &Arc<Self>, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        let mut letter: Option<(Waker, Waker)> = None;
        poll_fn(|context| {
            let (_, letter) = match &mut letter {
                Some(letter) if letter.0.will_wake(context.waker()) => letter,
                letter => {
                    let waker = context.waker().clone();
                    let carried = Letter { courier: Arc::clone(self), waker: waker.clone() };
                    letter.insert((waker, Arc::new(carried).into()))
                }
            };
            future.as_mut().poll(&mut Context::from_waker(letter))
        })
        .await
    }

    /// Keeps the wakers together until the guard is dropped.
    pub fn hold(&self) -> Held<'_> {
        self.0.lock().held = true;
        Held(self)
    }
}

/// See [`Courier::hold`].
pub(crate) struct Held<'a>(&'a Courier);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let mut state = self.0.0.lock();
        state.held = false;
        let task = state.task.clone().filter(|_| !state.bag.is_empty());
        drop(state);
        if let Some(task) = task {
            task.wake();
        }
    }
}

/// Wakes a task by way of the courier's.
struct Letter {
    courier: Arc<Courier>,
    waker: Waker,
}

impl Wake for Letter {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let mut state = self.courier.0.lock();
        state.bag.push(self.waker.clone());
        let task = state.task.clone().filter(|_| !state.held);
        drop(state);
        if let Some(task) = task {
            task.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use tokio::sync::oneshot;

    use super::*;

    /// A future that is carried and waits for what the sender sends, on a task of its own.
    fn waiting(courier: &Arc<Courier>) -> (oneshot::Sender<u32>, tokio::task::JoinHandle<u32>) {
        let (sender, receiver) = oneshot::channel();
        let courier = Arc::clone(courier);
        let task = tokio::spawn(async move { courier.carried(receiver).await.unwrap() });
        (sender, task)
    }

    #[tokio::test]
    async fn what_is_held_back_comes_when_it_is_let_go() {
        let courier = Arc::new(Courier::default());
        let running = tokio::spawn({
            let courier = Arc::clone(&courier);
            async move { courier.run().await }
        });
        let waits: Vec<_> = (0..10).map(|_| waiting(&courier)).collect();
        tokio::task::yield_now().await;
        let (senders, tasks): (Vec<_>, Vec<_>) = waits.into_iter().unzip();
        let sending = thread::spawn({
            let courier = Arc::clone(&courier);
            move || {
                let held = courier.hold();
                for (number, sender) in (0..).zip(senders) {
                    sender.send(number).unwrap();
                }
                assert_eq!(courier.0.lock().bag.len(), 10, "nobody is woken yet");
                drop(held);
            }
        });
        for (number, task) in (0..).zip(tasks) {
            assert_eq!(task.await.unwrap(), number);
        }
        sending.join().unwrap();
        running.abort();
    }

    #[tokio::test]
    async fn what_wakes_alone_comes_at_once_and_before_the_courier_runs_it_is_kept() {
        let courier = Arc::new(Courier::default());
        let (sender, task) = waiting(&courier);
        tokio::task::yield_now().await;
        sender.send(1).unwrap();
        let running = tokio::spawn({
            let courier = Arc::clone(&courier);
            async move { courier.run().await }
        });
        assert_eq!(task.await.unwrap(), 1);
        let (sender, task) = waiting(&courier);
        tokio::task::yield_now().await;
        thread::spawn(move || sender.send(2).unwrap()).join().unwrap();
        assert_eq!(task.await.unwrap(), 2);
        running.abort();
    }
}
