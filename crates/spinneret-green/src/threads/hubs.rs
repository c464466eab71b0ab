//! The hubs of async tasks: threads with an event loop each.

use std::cell::Cell;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use parking_lot::Mutex;
use tokio::runtime::{Builder, Handle};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

thread_local! {
    /// Which hub's thread this is.
    static HUB: Cell<Option<usize>> = const { Cell::new(None) };
}

static HUBS: Mutex<Option<Arc<Hubs>>> = Mutex::new(None);

pub(super) struct Hubs {
    hubs: Vec<Hub>,
}

struct Hub {
    handle: Handle,
    /// Told when the thread is to end.
    stop: Arc<Notify>,
    /// How many tasks it has.
    load: Arc<AtomicUsize>,
}

impl Hubs {
    /// So many hubs, unless there are some already.
    pub(super) fn start(count: usize) -> io::Result<Arc<Self>> {
        let mut place = HUBS.lock();
        if let Some(hubs) = &*place {
            return Ok(Arc::clone(hubs));
        }
        let hubs = (0..count.max(1)).map(Hub::start).collect::<io::Result<Vec<_>>>()?;
        let hubs = Arc::new(Self { hubs });
        *place = Some(Arc::clone(&hubs));
        Ok(hubs)
    }

    pub(super) fn get() -> Option<Arc<Self>> {
        HUBS.lock().clone()
    }

    /// Whether this is a hub's thread, on which nothing may block.
    pub(super) fn is_here() -> bool {
        HUB.get().is_some()
    }

    /// The event loop of some hub, for timers and sockets of who has none; `None` if none can be
    /// started.
    pub(super) fn any() -> Option<Handle> {
        let hubs = Self::start(crate::config::get().hubs).ok()?;
        hubs.hubs.first().map(|hub| hub.handle.clone())
    }

    /// Ends the hubs, and drops their tasks.
    pub(super) fn stop() {
        let hubs = HUBS.lock().clone();
        for hub in hubs.iter().flat_map(|hubs| &hubs.hubs) {
            hub.stop.notify_one();
        }
    }

    /// Runs a future: on this hub, or where the asker is, or where there is least to do.
    pub(super) fn spawn(
        &self,
        hub: Option<usize>,
        future: impl Future<Output = ()> + Send + 'static,
    ) -> JoinHandle<()> {
        let hub = hub.or(HUB.get()).map(|hub| &self.hubs[hub % self.hubs.len()]);
        let least = || self.hubs.iter().min_by_key(|hub| hub.load.load(Ordering::Relaxed));
        // There is at least one.
        let hub = hub.or_else(least).unwrap_or(&self.hubs[0]);
        let load = Load::more(&hub.load);
        hub.handle.spawn(async move {
            let _load = load;
            future.await;
        })
    }
}

impl Hub {
    fn start(number: usize) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let stop = Arc::new(Notify::new());
        let told = Arc::clone(&stop);
        thread::Builder::new().name(format!("hub-{number}")).spawn(move || {
            HUB.set(Some(number));
            runtime.block_on(told.notified());
            // Without waiting for what `spawn_blocking` runs.
            runtime.shutdown_background();
        })?;
        Ok(Self { handle, stop, load: Arc::default() })
    }
}

/// Counts a task for as long as it lives.
struct Load(Arc<AtomicUsize>);

impl Load {
    fn more(load: &Arc<AtomicUsize>) -> Self {
        load.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(load))
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
