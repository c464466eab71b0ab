//! The crawl's own worker processes: a long task of a process pool each, started again when they
//! die.

use std::net::SocketAddr;
use std::time::Duration;

use spinneret::manager::AuthKey;
use spinneret::pool::PoolError;
use spinneret::{Pool, ProcessPool, TaskHandle};

use super::CrawlOptions;
use crate::worker::{self, Role, WorkerConfig, WorkerSummary};

/// How often a worker process is started again. A job that kills its workers is given up long
/// before; this bounds what else may go wrong with a machine.
const RESTARTS: u32 = 1000;

/// No worker process is left.
#[derive(Debug, thiserror::Error)]
pub enum WorkersError {
    /// None could be started.
    #[error("cannot start worker processes: {0}")]
    Start(#[from] PoolError),
    /// The last one stopped.
    #[error("the crawl's worker processes stopped: {0}")]
    Stopped(String),
}

/// The worker processes of a crawl.
pub struct Workers {
    pool: Option<ProcessPool>,
    running: Vec<TaskHandle<Result<WorkerSummary, String>>>,
}

/// What runs in a worker process.
#[spinneret::task]
pub async fn crawl_worker(config: WorkerConfig) -> Result<WorkerSummary, String> {
    worker::run(&config).await.map_err(|error| error.to_string())
}

impl Workers {
    /// Starts the processes that the options ask for.
    pub async fn start(
        options: &CrawlOptions,
        manager: SocketAddr,
        key: &AuthKey,
    ) -> Result<Self, WorkersError> {
        let workers = options.workers;
        if workers == 0 {
            return Ok(Self { pool: None, running: Vec::new() });
        }
        // Starting waits for the processes to report, and the manager runs on this thread.
        let start = move || ProcessPool::builder().workers(workers).retries(RESTARTS).build();
        let pool = blocking(start).await??;
        let running = (0..workers)
            .map(|number| {
                let config = WorkerConfig {
                    manager: manager.to_string(),
                    key: key.as_bytes().to_vec(),
                    tls: None,
                    name: format!("crawl-worker-{number}"),
                    role: Role::Both,
                    concurrency: options.concurrency,
                    output: Some(options.output.clone()),
                };
                pool.apply_async(crawl_worker, config)
            })
            .collect::<Result<_, _>>()
            .map_err(|error| WorkersError::Stopped(error.to_string()))?;
        Ok(Self { pool: Some(pool), running })
    }

    /// Why no worker is left, once, if that is so before the crawl's queues were closed.
    pub fn lost(&mut self) -> Option<WorkersError> {
        if self.running.is_empty() || !self.running.iter().all(TaskHandle::is_done) {
            return None;
        }
        let ends: Vec<_> = self.running.drain(..).map(TaskHandle::get).collect();
        let reason = ends.into_iter().find_map(|end| match end {
            Ok(Err(reason)) => Some(reason),
            Err(error) => Some(error.to_string()),
            Ok(Ok(_)) => None,
        });
        Some(WorkersError::Stopped(reason.unwrap_or_else(|| "they found no work".to_owned())))
    }

    /// Ends the processes. Once the queues are closed they leave by themselves; those that take
    /// longer than `patience` are killed.
    pub async fn stop(self, patience: Duration) {
        let all = async {
            for worker in self.running {
                // How it ended no longer matters: every result is in.
                let _ = worker.await;
            }
        };
        let _ = tokio::time::timeout(patience, all).await;
        if let Some(pool) = self.pool {
            let end = move || {
                pool.terminate();
                drop(pool);
            };
            let _ = blocking(end).await;
        }
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, WorkersError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| WorkersError::Stopped(error.to_string()))
}
