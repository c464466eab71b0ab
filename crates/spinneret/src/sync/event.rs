//! A flag to wait for: `Event`.

use std::time::Duration;

use crate::signal::{Mutex, Signal, Wait};

/// A flag that threads wait for: Python's `threading.Event`.
///
/// ```
/// use spinneret::sync::Event;
///
/// let ready = Event::new();
/// std::thread::scope(|scope| {
///     scope.spawn(|| ready.wait());
///     ready.set();
/// });
/// assert!(ready.is_set());
/// ```
#[derive(Debug, Default)]
pub struct Event {
    state: Mutex<State>,
    /// The flag was set.
    changed: Signal,
}

#[derive(Debug, Default)]
struct State {
    set: bool,
    /// How often it was set. So those who wait are let through by a flag that is cleared before
    /// they run.
    times: u64,
}

impl Event {
    /// An event that is not set.
    pub const fn new() -> Self {
        Self { state: Mutex::new(State { set: false, times: 0 }), changed: Signal::new() }
    }

    /// Sets the flag: lets through those who wait, and those who come until it is cleared.
    pub fn set(&self) {
        let mut state = self.state.lock();
        if !state.set {
            state.set = true;
            state.times += 1;
            drop(state);
            self.changed.all();
        }
    }

    /// Clears the flag.
    pub fn clear(&self) {
        self.state.lock().set = false;
    }

    /// Whether the flag is set, at this moment.
    pub fn is_set(&self) -> bool {
        self.state.lock().set
    }

    /// Waits for the flag.
    pub fn wait(&self) {
        self.changed.wait(&self.state, Wait::Ever, self.passes());
    }

    /// Waits for the flag up to this long; `false` if it was not set.
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        self.changed.wait(&self.state, timeout.into(), self.passes()).is_some()
    }

    /// Async twin of [`wait`](Self::wait).
    pub async fn wait_async(&self) {
        self.changed.wait_async(&self.state, Wait::Ever, self.passes()).await;
    }

    /// Async twin of [`wait_timeout`](Self::wait_timeout). It needs a tokio runtime.
    pub async fn wait_timeout_async(&self, timeout: Duration) -> bool {
        self.changed.wait_async(&self.state, timeout.into(), self.passes()).await.is_some()
    }

    /// Whether one who begins to wait now is let through.
    fn passes(&self) -> impl FnMut(&mut State) -> Option<()> + use<> {
        let times = self.state.lock().times;
        move |state| (state.set || state.times != times).then_some(())
    }
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Instant;

    use super::*;

    const SOON: Duration = Duration::from_millis(5);
    const LONG: Duration = Duration::from_secs(30);

    #[test]
    fn an_event_lets_all_through_until_it_is_cleared() {
        let event = Event::new();
        assert!(!event.wait_timeout(SOON));
        thread::scope(|scope| {
            let waiting = [(); 3].map(|()| scope.spawn(|| event.wait()));
            thread::sleep(SOON);
            event.set();
            for thread in waiting {
                thread.join().unwrap();
            }
        });
        assert!(event.is_set());
        event.set();
        event.wait();
        assert!(event.wait_timeout(Duration::ZERO));
        event.clear();
        assert!(!event.is_set());
        assert!(!event.wait_timeout(SOON));
    }

    #[test]
    fn who_waits_is_let_through_even_if_it_is_cleared_at_once() {
        let event = Event::new();
        thread::scope(|scope| {
            let waiting = scope.spawn(|| event.wait_timeout(LONG));
            let start = Instant::now();
            // Until it waits: a flag that was cleared before is none to it.
            while !waiting.is_finished() && start.elapsed() < LONG {
                event.set();
                event.clear();
                thread::yield_now();
            }
            assert!(waiting.join().unwrap());
        });
    }
}
