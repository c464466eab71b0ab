//! A program that serves its tasks to the pools of a manager.

mod desk;

use std::{fmt, sync::Arc, thread, time::Instant};

use tokio::{
    sync::watch,
    task::{JoinHandle, spawn_blocking},
};

use self::desk::Desk;
use super::super::{
    authkey::AuthKey,
    client::Client,
    error::ManagerError,
    items,
    link::Link,
    runtime::{background, block_on},
    wire::{BATCH_BYTES, ClusterReply, ClusterRequest, Recruit, Reply, Request, TaskKey},
};
use crate::{
    pool::{
        LocalPool, LocalPoolBuilder, PoolError, ProcessPool, ProcessPoolBuilder, ThreadPoolBuilder,
    },
    task::registry,
};

/// Makes this program a worker of the manager at `HOST:PORT`: it runs tasks for every
/// [`ClusterPool`](crate::ClusterPool) there that asks for one it has the code for.
///
/// ```no_run
/// use spinneret::manager::{self, AuthKey};
///
/// #[spinneret::task]
/// fn square(number: u64) -> u64 {
///     number * number
/// }
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let key = AuthKey::from_env()?;
///     let summary = manager::worker("10.0.0.1:8001").authkey(key).serve()?;
///     println!("{} tasks done", summary.done);
///     Ok(())
/// }
/// ```
pub fn worker(address: impl fmt::Display) -> WorkerBuilder {
    WorkerBuilder {
        address: address.to_string(),
        key: None,
        client: None,
        name: None,
        pool: LocalPoolBuilder::Processes(ProcessPool::builder()),
    }
}

/// What a worker is to be; made by [`worker`].
///
/// Its tasks run in a [`ProcessPool`] of its own unless it is told otherwise: one that crashes costs
/// its process alone, and one that runs too long, or that nobody wants any more, is killed.
#[derive(Debug)]
#[must_use = "a builder does nothing until serve() or start()"]
pub struct WorkerBuilder {
    address: String,
    key: Option<AuthKey>,
    client: Option<Client>,
    name: Option<String>,
    pool: LocalPoolBuilder,
}

impl WorkerBuilder {
    /// The manager's key. That in the environment variable `SPINNERET_AUTHKEY` by default.
    pub fn authkey(mut self, key: AuthKey) -> Self {
        self.key = Some(key);
        self
    }

    /// Serves over this connection, made for it alone, rather than to connect by itself: one with
    /// TLS, for instance.
    pub fn over(mut self, client: Client) -> Self {
        self.client = Some(client);
        self
    }

    /// What it calls itself; `HOST:PROCESS` by default.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// How many tasks it runs at the same time, in as many processes; by default as many as
    /// [`cpu_count`](crate::process::cpu_count) says.
    pub fn concurrency(self, tasks: usize) -> Self {
        self.processes(ProcessPool::builder().workers(tasks))
    }

    /// Runs tasks in such a pool of processes: for a memory limit, an initializer and so on.
    ///
    /// Whether a task is tried again, and how long it may run, is the submitting pool's to say.
    pub fn processes(mut self, pool: ProcessPoolBuilder) -> Self {
        self.pool = LocalPoolBuilder::Processes(pool);
        self
    }

    /// Runs tasks in such a pool of threads, which is quicker for many small ones.
    ///
    /// But a thread cannot be killed. A task that takes longer than its timeout fails all the same,
    /// yet keeps its thread for as long as it runs. One that crashes takes the whole worker with it:
    /// its pools see `WorkerDied` for every task that ran there, or try those again.
    pub fn threads(mut self, pool: ThreadPoolBuilder) -> Self {
        self.pool = LocalPoolBuilder::Threads(pool);
        self
    }

    /// Serves until the manager shuts down. Does not connect again when the connection breaks: that
    /// is an error, which a program may answer by calling this anew.
    ///
    /// # Errors
    /// If the manager cannot be reached or refuses the key, the connection breaks, or the pool that
    /// is to run the tasks cannot be started.
    pub fn serve(self) -> Result<WorkerSummary, PoolError> {
        self.start()?.join()
    }

    /// Async twin of [`serve`](Self::serve), for any runtime. Dropping the future ends the worker at
    /// once.
    pub async fn serve_async(self) -> Result<WorkerSummary, PoolError> {
        self.start_async().await?.join_async().await
    }

    /// Starts to serve in the background, and returns when the manager knows of it.
    ///
    /// # Errors
    /// As [`serve`](Self::serve).
    pub fn start(self) -> Result<Worker, PoolError> {
        block_on(self.start_async())
    }

    /// Async twin of [`start`](Self::start), for any runtime.
    pub async fn start_async(self) -> Result<Worker, PoolError> {
        let runtime = background()?;
        let prepared = runtime.spawn(self.prepare()).await;
        let service = prepared.map_err(|error| ManagerError::Runtime(error.to_string()))??;
        let stop = watch::Sender::new(false);
        let serving = runtime.spawn(service.run(stop.subscribe()));
        Ok(Worker { stop, serving })
    }

    async fn prepare(self) -> Result<Service, PoolError> {
        let Self { address, key, client, name, pool } = self;
        let host = host_name();
        let pid = std::process::id();
        let name = name.unwrap_or_else(|| format!("{host}:{pid}"));
        let client = match (client, key) {
            (Some(client), _) => client,
            (None, Some(key)) => Client::connect_as_async(address, &key, &name).await?,
            (None, None) => {
                let key = AuthKey::from_env().map_err(ManagerError::from)?;
                Client::connect_as_async(address, &key, &name).await?
            }
        };
        let link = client.link().clone();
        let pool = spawn_blocking(move || pool.build()).await;
        let pool = pool.map_err(|error| ManagerError::Runtime(error.to_string()))??;
        let slots = pool.workers();
        let crew = Crew(Some(Desk::new(pool, link.max_item())));
        let entry = |entry: registry::Entry| TaskKey {
            name: entry.name().into(),
            signature: entry.signature(),
        };
        let recruit = Recruit {
            name: name.into(),
            host: host.into(),
            pid,
            slots: u32::try_from(slots).unwrap_or(u32::MAX),
            tasks: registry::all().into_iter().map(entry).collect(),
        };
        ask(&link, ClusterRequest::Enlist(recruit)).await?;
        Ok(Service { link, crew })
    }
}

/// A worker that serves in the background. Dropping it ends it at once; what it was running is run
/// by another, if its pool allows retries.
#[derive(Debug)]
pub struct Worker {
    stop: watch::Sender<bool>,
    serving: JoinHandle<Result<WorkerSummary, ManagerError>>,
}

impl Worker {
    /// Tells the worker to take no more tasks, and to end when those are done that run. What it has
    /// not begun goes to others. Returns at once; [`join`](Self::join) waits.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Waits until the worker has ended: because it was told to, or its manager shut down.
    ///
    /// # Errors
    /// If the connection to the manager broke.
    pub fn join(self) -> Result<WorkerSummary, PoolError> {
        block_on(self.join_async())
    }

    /// Async twin of [`join`](Self::join).
    pub async fn join_async(mut self) -> Result<WorkerSummary, PoolError> {
        let served = (&mut self.serving).await;
        Ok(served.map_err(|error| ManagerError::Runtime(error.to_string()))??)
    }

    /// Whether it has ended.
    pub fn is_finished(&self) -> bool {
        self.serving.is_finished()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// What a worker has done in its time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerSummary {
    /// Tasks that returned a value.
    pub done: u64,
    /// Tasks that did not.
    pub failed: u64,
}

/// A worker that the manager knows.
struct Service {
    link: Link,
    crew: Crew,
}

impl Service {
    async fn run(mut self, mut stop: watch::Receiver<bool>) -> Result<WorkerSummary, ManagerError> {
        let Some(desk) = self.crew.0.clone() else { return Ok(WorkerSummary::default()) };
        let link = &self.link;
        let drain = async {
            if stop.wait_for(|stop| *stop).await.is_err() {
                // Nobody can tell us any more.
                std::future::pending::<()>().await;
            }
            ask(link, ClusterRequest::Retire).await?;
            desk.drain();
            std::future::pending().await
        };
        let ended = tokio::select! {
            ended = fetch(link, &desk) => ended,
            ended = report(link, &desk) => ended,
            ended = drain => ended,
        };
        let summary = desk.close();
        drop(desk);
        // Before the connection ends, or another would begin a task that is still being run here.
        if let Some(desk) = self.crew.0.take() {
            let _ = spawn_blocking(move || desk.pool().terminate()).await;
        }
        match ended {
            Ok(()) | Err(ManagerError::ShutDown) => Ok(summary),
            Err(error) => Err(error),
        }
    }
}

/// Ends what runs also when its service is dropped half-way.
struct Crew(Option<Arc<Desk>>);

impl Drop for Crew {
    fn drop(&mut self) {
        let Some(desk) = self.0.take() else { return };
        desk.close();
        // Threads run to their tasks' end, which nobody should wait for here. Should the system
        // refuse the thread, the pool is ended right where it is dropped.
        let end = move || desk.pool().terminate();
        let _ = thread::Builder::new().name("spinneret-worker-end".to_owned()).spawn(end);
    }
}

/// Takes work as it comes; ends only with the connection.
async fn fetch(link: &Link, desk: &Arc<Desk>) -> Result<(), ManagerError> {
    loop {
        match link.call(Request::Cluster(ClusterRequest::Fetch)).await? {
            Reply::Cluster(ClusterReply::Work { jobs, revoked, recalled }) => {
                desk.take(jobs, &revoked, &recalled);
            }
            other => return Err(items::unexpected(&other)),
        }
    }
}

/// Reports what happens, until all is done after the worker was told to stop. While one report is
/// under way the next one grows.
async fn report(link: &Link, desk: &Desk) -> Result<(), ManagerError> {
    let most = BATCH_BYTES.min(link.max_item());
    loop {
        let next = desk.expire(Instant::now());
        if let Some(report) = desk.next_report(most) {
            ask(link, ClusterRequest::Report(report)).await?;
            continue;
        }
        if desk.is_drained() {
            return Ok(());
        }
        let late = async {
            match next {
                Some(time) => tokio::time::sleep_until(time.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! { () = desk.changed() => {} () = late => {} }
    }
}

/// Asks what is answered by `Done`.
async fn ask(link: &Link, request: ClusterRequest) -> Result<(), ManagerError> {
    match link.call(Request::Cluster(request)).await? {
        Reply::Done => Ok(()),
        other => Err(items::unexpected(&other)),
    }
}

#[cfg(unix)]
fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[cfg(windows)]
fn host_name() -> String {
    std::env::var("COMPUTERNAME").unwrap_or_else(|_| "windows".to_owned())
}
