//! A flag to wait for: `Event`.

use std::time::Duration;

use parking_lot::{Condvar, Mutex};

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
    /// Notified when the flag is set.
    changed: Condvar,
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
        Self { state: Mutex::new(State { set: false, times: 0 }), changed: Condvar::new() }
    }

    /// Sets the flag: lets through those who wait, and those who come until it is cleared.
    pub fn set(&self) {
        let mut state = self.state.lock();
        if !state.set {
            state.set = true;
            state.times += 1;
            drop(state);
            self.changed.notify_all();
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
        let mut state = self.state.lock();
        let times = state.times;
        self.changed.wait_while(&mut state, |state| !state.set && state.times == times);
    }

    /// Waits for the flag up to this long; `false` if it was not set.
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        let mut state = self.state.lock();
        let times = state.times;
        let unset = |state: &mut State| !state.set && state.times == times;
        self.changed.wait_while_for(&mut state, unset, timeout);
        !unset(&mut state)
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
