//! All hubs of the process: how they start, who runs what, how they end.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use tokio::{runtime::Builder, sync::Notify};

use super::{
    Settings,
    current::{hub_here, on_hub, set_here},
    driver::Driver,
    home::{GreenHome, green, pointer},
    hub::Hub,
    overflow, probe,
    shared::{ABANDONED, CLOSING, Gone, OPEN, Shared},
    watchdog::Watchdog,
};
use crate::task::{Home, Spec, Task};

/// See the module.
#[derive(Debug)]
pub(super) struct Hubs {
    all: Box<[&'static Shared]>,
    stack_size: usize,
    /// The next hub to be looked at when balancing.
    turn: AtomicUsize,
    /// How the hubs tell that they have ended.
    ends: std::sync::Mutex<mpsc::Receiver<()>>,
}

static HUBS: OnceLock<Hubs> = OnceLock::new();

/// A hub that has this many coroutines keeps new ones of its own without looking at the others.
const FEW: usize = 128;

pub(super) fn hubs() -> io::Result<&'static Hubs> {
    HUBS.get().ok_or_else(|| io::Error::new(io::ErrorKind::NotConnected, "no hub was started"))
}

/// Starts them, unless they are.
pub(super) fn start(settings: &Settings) -> io::Result<()> {
    // Asked at each spawn.
    if HUBS.get().is_some() {
        return Ok(());
    }
    start_all(settings)
}

#[cold]
fn start_all(settings: &Settings) -> io::Result<()> {
    static STARTING: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _one = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
    if HUBS.get().is_some() {
        return Ok(());
    }
    if let Err(why) = probe::layout() {
        return Err(io::Error::new(io::ErrorKind::Unsupported, why.clone()));
    }
    overflow::handle();
    let watchdog = Watchdog::new(settings.slow_after);
    let (end, ends) = mpsc::channel();
    let mut hubs: Vec<&'static Shared> = Vec::new();
    for index in 0..settings.hubs.max(1) {
        match start_one(index, &watchdog, end.clone()) {
            Ok(shared) => hubs.push(shared),
            Err(error) => {
                for hub in hubs {
                    hub.enter(ABANDONED);
                }
                return Err(error);
            }
        }
    }
    watchdog.start(&hubs)?;
    let hubs = Hubs {
        all: hubs.into(),
        stack_size: settings.stack_size,
        turn: AtomicUsize::new(0),
        ends: std::sync::Mutex::new(ends),
    };
    // Only this function sets it, once at a time.
    let _ = HUBS.set(hubs);
    Ok(())
}

fn start_one(
    index: usize,
    watchdog: &Arc<Watchdog>,
    end: mpsc::Sender<()>,
) -> io::Result<&'static Shared> {
    let shared: &'static Shared = Box::leak(Box::new(Shared::new(index)));
    let (started, starts) = mpsc::channel();
    let watchdog = Arc::clone(watchdog);
    thread::Builder::new().name(format!("hub-{index}")).spawn(move || {
        run(shared, watchdog, &started);
        // Nobody listens if the hubs could not all be started.
        let _ = end.send(());
    })?;
    starts.recv().unwrap_or_else(|_| Err(io::Error::other("a hub's thread panicked")))?;
    Ok(shared)
}

/// A hub's thread. Green threads that have not ended when it does are left where they are.
fn run(shared: &'static Shared, watchdog: Arc<Watchdog>, started: &mpsc::Sender<io::Result<()>>) {
    let built = Hub::new(shared).and_then(|hub| {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .thread_name(format!("hub-{}-blocking", shared.index))
            .on_thread_park(|| Watchdog::idle(&shared.watch))
            .on_thread_unpark(move || watchdog.busy(&shared.watch))
            .build()?;
        Ok((Box::new(hub), runtime))
    });
    let (hub, runtime) = match built {
        Ok(built) => built,
        Err(error) => {
            let _ = started.send(Err(error));
            return;
        }
    };
    // SAFETY: the call has no preconditions.
    shared.watch.thread.store(unsafe { libc::gettid() }, Ordering::Relaxed);
    overflow::ensure_stack();
    // It stays where it is until this function drops it, after all that uses it, or else for good.
    let hub = Box::into_raw(hub);
    set_here(hub, std::ptr::null());
    // SAFETY: as said above.
    let here: &'static Hub = unsafe { &*hub };
    let ended = Arc::new(Notify::new());
    // The runtime's handle outlives the runtime, which refuses tasks then.
    let _ = shared.runtime.set(runtime.handle().clone());
    runtime.block_on(async {
        match Driver::new(here, Arc::clone(&ended)) {
            Ok(driver) => {
                here.season();
                tokio::spawn(driver);
                let _ = started.send(Ok(()));
                ended.notified().await;
            }
            Err(error) => {
                let _ = started.send(Err(error));
            }
        }
    });
    for task in shared.close() {
        // What has not begun never will: its body is dropped, so that who waits for it knows.
        drop(green(pointer(&task)).body.take());
    }
    // Async tasks are dropped, which may wake green threads: they will not run any more.
    runtime.shutdown_background();
    let left = here.living();
    set_here(std::ptr::null(), std::ptr::null());
    if left == 0 {
        // SAFETY: from `Box::into_raw`. The runtime with the driver is gone, no green thread lives,
        // and the thread-local does not point to it any more.
        drop(unsafe { Box::from_raw(hub) });
    }
}

impl Hubs {
    fn choose(&self, spec: &Spec) -> &'static Shared {
        let count = self.all.len();
        if let Some(index) = spec.hub {
            return self.all[index % count];
        }
        let load = |hub: &Shared| hub.load.load(Ordering::Relaxed);
        let home = hub_here().map(|hub| hub.shared);
        if let Some(home) = home.filter(|hub| count == 1 || load(hub) < FEW) {
            return home;
        }
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let emptiest =
            (0..count).map(|step| self.all[(turn + step) % count]).min_by_key(|hub| load(hub));
        let emptiest = emptiest.unwrap_or(self.all[0]);
        home.filter(|home| load(home) <= 2 * load(emptiest)).unwrap_or(emptiest)
    }

    pub fn spawn(&self, spec: Spec, body: Box<dyn FnOnce() + Send>) -> io::Result<Task> {
        let shared = self.choose(&spec);
        let size = if spec.stack_size == 0 { self.stack_size } else { spec.stack_size };
        if size > LARGEST_STACK {
            let why = format!("a stack of {size} bytes; at most {LARGEST_STACK} are possible");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        let task = Task::new(spec.name, Home::Green(GreenHome::new(shared, size, body)));
        let inner = Arc::clone(task.inner());
        shared.load.fetch_add(1, Ordering::Relaxed);
        match hub_here() {
            Some(hub) if std::ptr::eq(hub.shared, shared) => {
                if shared.phase.load(Ordering::Relaxed) != OPEN {
                    return Err(Gone.into());
                }
                hub.adopt(inner);
            }
            _ => shared.send(inner)?,
        }
        Ok(task)
    }

    pub fn spawn_future(
        &self,
        spec: Spec,
        future: Pin<Box<dyn Future<Output = ()> + Send>>,
    ) -> io::Result<Task> {
        let shared = self.choose(&spec);
        let runtime = shared.runtime.get().ok_or(Gone)?;
        if shared.phase.load(Ordering::Relaxed) != OPEN {
            return Err(Gone.into());
        }
        let task = Task::new(spec.name, Home::Future(OnceLock::new()));
        let counted = Counted::new(shared);
        let future = async move {
            let _counted = counted;
            future.await;
        };
        // With the hub's thread-locals the runtime sees that its own thread spawns.
        let handle = on_hub(|| runtime.spawn(future));
        task.started(handle.abort_handle());
        Ok(task)
    }

    /// See [`super::shutdown`].
    pub fn shutdown(&self, timeout: Duration) -> usize {
        let deadline = Instant::now() + timeout;
        for hub in &self.all {
            hub.enter(CLOSING);
        }
        if hub_here().is_some() {
            return 0;
        }
        let ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        let mut running = self.all.len();
        let mut wait_until = |deadline: Instant| {
            let left = || deadline.saturating_duration_since(Instant::now());
            while running > 0 && ends.recv_timeout(left()).is_ok() {
                running -= 1;
            }
        };
        wait_until(deadline);
        for hub in &self.all {
            hub.enter(ABANDONED);
        }
        // A hub that a green thread holds cannot look around; it is left too.
        wait_until(Instant::now() + LAST_LOOK);
        self.all.iter().map(|hub| hub.watch.living.load(Ordering::Relaxed)).sum()
    }
}

/// In bytes: an eighth of the address space.
const LARGEST_STACK: usize = 1 << 44;

/// How long hubs have to stop in the middle of their work.
const LAST_LOOK: Duration = Duration::from_millis(100);

/// One of a hub's async tasks.
struct Counted(&'static Shared);

impl Counted {
    fn new(shared: &'static Shared) -> Self {
        shared.load.fetch_add(1, Ordering::Relaxed);
        Self(shared)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.load.fetch_sub(1, Ordering::Relaxed);
    }
}
