//! A crawl from its first address to its summary: the frontier feeds the manager's queues, workers
//! empty them, and what they report is committed here, by the one writer of all lists.

mod options;
mod state;
mod workers;

use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::{Duration, Instant};

use spinneret::manager::{AuthKey, GetError, Manager, ManagerError, PutError, Queue, QueueOptions};
use tokio::sync::{mpsc, watch};

pub use options::{BadLine, CrawlOptions, Source};
use state::State;
pub use state::StateError;
pub use workers::{Workers, WorkersError};

use crate::address::Address;
use crate::frontier::{Event, Frontier, FrontierOptions, JournalError, Room};
use crate::job::{
    Cause, CrawlSettings, IMAGES_QUEUE, Job, Kind, LINKS_QUEUE, Problem, RESULTS_QUEUE, Report,
    SETTINGS_VALUE,
};
use crate::report::{ReportError, Reporter, Summary};
use crate::store::Store;

/// Jobs that wait in each queue: enough that no worker runs dry between two rounds, few enough that
/// an interrupt has little to take back.
const QUEUED: usize = 512;
/// Reports that wait for us before workers have to.
const RESULTS: usize = 1024;
/// Reports committed between two writes to disk.
const COMMIT_BATCH: usize = 512;
/// Deliveries of a job before it is given up: by then it has taken this many workers with it.
const MAX_DELIVERIES: u32 = 4;
/// How often progress is shown and dead letters are looked at.
const TICK: Duration = Duration::from_millis(250);
/// How long an interrupted crawl waits for fetches under way.
const DRAIN: Duration = Duration::from_secs(15);
/// How long workers have to leave once there is no more work.
const LEAVE: Duration = Duration::from_secs(3);
/// Pause before an address is tried again; doubles with each try.
const RETRY_DELAY: Duration = Duration::from_millis(500);
/// Our name in robots.txt.
const AGENT: &str = "spinneret";

/// A crawl could not be started or had to stop. What was committed is kept, for `--resume`.
#[derive(Debug, thiserror::Error)]
pub enum CrawlError {
    /// The output folder.
    #[error(transparent)]
    State(#[from] StateError),
    /// The frontier's journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// `images.jsonl` or `failures.jsonl`.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// The embedded manager.
    #[error(transparent)]
    Manager(#[from] ManagerError),
    /// The worker processes.
    #[error(transparent)]
    Workers(#[from] WorkersError),
    /// A worker's report cannot be read, so that nobody knows what became of its job.
    #[error("a worker sent a report that cannot be read ({0}): is it of another version?")]
    ForeignReport(String),
    /// Somebody else who has the key closed the crawl's queues.
    #[error("the crawl's queues were closed from outside")]
    QueuesClosed,
}

/// How a crawl ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Ended {
    /// Nothing is left to fetch.
    Done(Summary),
    /// Interrupted; the rest is kept for `--resume`.
    Interrupted(Summary),
}

/// How a crawl stands.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// Counts so far.
    pub summary: Summary,
    /// Addresses that wait in the frontier.
    pub waiting: u64,
    /// Addresses handed out to workers.
    pub in_flight: u64,
    /// Workers connected now.
    pub workers: usize,
}

/// Notices and counts, as they come.
pub trait Observer: Send {
    /// The crawl's manager runs, with the queues that [`crate::job`] names.
    fn started(&mut self, manager: &Arc<Manager>) {
        let _ = manager;
    }

    /// Workers can join at this `HOST:PORT`.
    fn listening(&mut self, address: &str) {
        let _ = address;
    }

    /// Called a few times a second.
    fn progress(&mut self, progress: &Progress);

    /// Something the user should know of, though the crawl goes on.
    fn notice(&mut self, text: &str) {
        let _ = text;
    }
}

/// Runs a crawl until nothing is left, or until `interrupt` turns 1: then it waits for the fetches
/// under way, unless it turns 2.
pub async fn run(
    options: CrawlOptions,
    source: Source,
    mut interrupt: watch::Receiver<u32>,
    observer: &mut dyn Observer,
) -> Result<Ended, CrawlError> {
    let started = Instant::now();
    // A list may be long, or typed by hand: reading it must not keep Ctrl-C waiting.
    let preparing = tokio::task::spawn_blocking({
        let options = options.clone();
        move || {
            let state = State::open(&options.output, options.resume)?;
            Ok((Crawl::prepare(&options, &state, source)?, state))
        }
    });
    let prepared: Result<_, CrawlError> = tokio::select! {
        prepared = preparing => prepared.unwrap_or_else(|panic| resume_unwind(panic.into_panic())),
        Ok(_) = interrupt.wait_for(|count| *count > 0) => {
            return Ok(Ended::Interrupted(Summary::default()));
        }
    };
    let (mut crawl, state) = prepared?;
    let (manager, key) = start_manager(&options).await?;
    observer.started(&manager);
    let settings = crawl.settings(&options, state.write_token()?);
    manager.set_value(SETTINGS_VALUE, &settings)?;
    if options.listen.is_some() {
        observer.listening(&manager.local_addr().to_string());
    }
    let queues = Queues {
        links: manager.queue(LINKS_QUEUE)?,
        images: manager.queue(IMAGES_QUEUE)?,
        results: manager.queue(RESULTS_QUEUE)?,
    };
    let mut results = forward(queues.results.clone());
    let mut workers = Workers::start(&options, manager.local_addr(), &key).await?;

    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let interrupted = loop {
        let now = Instant::now();
        crawl.hand_out(&queues, now).await?;
        crawl.record()?;
        if crawl.frontier.is_finished() {
            break false;
        }
        let wake = crawl.frontier.next_wake(now);
        let wake = wake.map_or(TICK, |at| at.saturating_duration_since(Instant::now()).min(TICK));
        tokio::select! {
            committed = crawl.commit_next(&mut results) => committed?,
            () = tokio::time::sleep(wake) => {}
            _ = tick.tick() => {
                crawl.bury(&queues).await?;
                observer.progress(&crawl.progress(started, manager.connections().len()));
                if let Some(lost) = workers.lost() {
                    if options.listen.is_none() {
                        return Err(lost.into());
                    }
                    observer.notice(&format!("{lost}; going on with workers that join"));
                }
            }
            Ok(_) = interrupt.wait_for(|count| *count > 0) => break true,
        }
    };
    if interrupted {
        observer.notice("interrupted: waiting for fetches under way, again to stop at once");
        crawl.take_back(&queues).await?;
        queues.close().await?;
        tokio::select! {
            drained = crawl.drain(&mut results) => drained?,
            () = tokio::time::sleep(DRAIN) => {}
            Ok(_) = interrupt.wait_for(|count| *count > 1) => {}
        }
        crawl.record()?;
    } else {
        queues.close().await?;
    }
    // Interrupted twice, nobody is waited for.
    let patience = if *interrupt.borrow() > 1 { Duration::ZERO } else { LEAVE };
    workers.stop(patience).await;
    // Workers that joined find the queues closed, and leave by themselves.
    let left = async {
        while !manager.connections().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    // Those that do not leave have nothing left to lose.
    let _ = tokio::time::timeout(patience, left).await;
    manager.shutdown_async().await;
    let folder = &options.output;
    Store::remove_parts(folder)
        .map_err(|cause| StateError::Io { folder: folder.clone(), cause })?;
    let progress = crawl.progress(started, 0);
    observer.progress(&progress);
    if interrupted {
        return Ok(Ended::Interrupted(progress.summary));
    }
    state.set_finished(true)?;
    Ok(Ended::Done(progress.summary))
}

/// The embedded manager, and the key for it.
async fn start_manager(options: &CrawlOptions) -> Result<(Arc<Manager>, AuthKey), ManagerError> {
    let (address, key) = match &options.listen {
        Some((address, key)) => (address.as_str(), key.clone()),
        None => ("127.0.0.1:0", AuthKey::generate()?),
    };
    let jobs = || QueueOptions::new().max_deliveries(MAX_DELIVERIES);
    let mut builder = Manager::builder();
    if let Some(tls) = &options.tls {
        builder = builder.tls(tls.clone());
    }
    let manager = builder
        .listen(address)
        .authkey(key.clone())
        .register(LINKS_QUEUE, jobs())
        .register(IMAGES_QUEUE, jobs())
        .register(RESULTS_QUEUE, QueueOptions::new().maxsize(RESULTS))
        .start_async()
        .await?;
    Ok((Arc::new(manager), key))
}

/// Takes reports off the queue as they come, since a wait for them must be free to be dropped.
fn forward(queue: Queue<Report>) -> mpsc::Receiver<Report> {
    let (sender, receiver) = mpsc::channel(COMMIT_BATCH);
    tokio::spawn(async move {
        loop {
            match queue.get_many_async(COMMIT_BATCH, Duration::from_mins(1)).await {
                Ok(reports) => {
                    for report in reports {
                        if sender.send(report).await.is_err() {
                            return;
                        }
                    }
                }
                // What is no report is in the dead letters, where `bury` finds it.
                Err(GetError::Empty | GetError::Undecodable { .. }) => {}
                Err(GetError::Closed | GetError::Manager(_)) => return,
            }
        }
    });
    receiver
}

/// The crawl's queues.
struct Queues {
    links: Queue<Job>,
    images: Queue<Job>,
    results: Queue<Report>,
}

impl Queues {
    async fn close(&self) -> Result<(), ManagerError> {
        self.links.close_async().await?;
        self.images.close_async().await
    }
}

/// Frontier and lists of a crawl.
struct Crawl {
    frontier: Frontier,
    reporter: Reporter,
}

impl Crawl {
    fn prepare(options: &CrawlOptions, state: &State, source: Source) -> Result<Self, CrawlError> {
        let frontier_options = FrontierOptions {
            max_depth: options.depth,
            obey_robots: options.obey_robots,
            agent: AGENT.to_owned(),
            delay: options.delay,
            max_attempts: options.attempts.max(1),
            retry_delay: RETRY_DELAY,
            scope: options.scope,
        };
        let now = Instant::now();
        let (frontier, reporter) = if options.resume {
            let (mut reporter, recorded) = Reporter::resume(&options.output)?;
            let (frontier, pages) =
                Frontier::resume(&state.journal(), frontier_options, &recorded, now)?;
            reporter.count_pages(pages);
            (frontier, reporter)
        } else {
            let frontier = Frontier::create(&state.journal(), frontier_options)?;
            (frontier, Reporter::create(&options.output)?)
        };
        state.set_finished(false)?;
        let mut crawl = Self { frontier, reporter };
        match source {
            Source::Pages(pages) => {
                for page in pages {
                    crawl.frontier.add_seed(&page, Kind::Page, now);
                }
            }
            Source::Images(list) => crawl.read_list(list, now)?,
        }
        crawl.record()?;
        Ok(crawl)
    }

    fn read_list(
        &mut self,
        list: impl Iterator<Item = Result<Address, BadLine>>,
        now: Instant,
    ) -> Result<(), CrawlError> {
        // What an earlier run has written down of the same list.
        let malformed = Cause::MalformedAddress.to_string();
        let mut known = self.reporter.summary().failures.get(&malformed).copied().unwrap_or(0);
        for entry in list {
            match entry {
                Ok(image) => {
                    self.frontier.add_seed(&image, Kind::Image, now);
                }
                Err(_) if known > 0 => known -= 1,
                Err(line) => {
                    let detail = format!("entry {}: {}", line.number, line.reason);
                    self.reporter.record(Event::Failed {
                        url: line.text,
                        kind: Kind::Image,
                        page: None,
                        problem: Problem::new(Cause::MalformedAddress, detail),
                    })?;
                }
            }
            if self.frontier.is_flush_due() {
                self.record()?;
            }
        }
        Ok(())
    }

    fn settings(&self, options: &CrawlOptions, token: String) -> CrawlSettings {
        CrawlSettings {
            user_agent: options.user_agent(),
            scope: options.scope,
            seeds: self.frontier.seed_pages().to_vec(),
            obey_meta_robots: options.obey_robots,
            allow_private: options.allow_private,
            connect_timeout: options.connect_timeout,
            read_timeout: options.read_timeout,
            total_timeout: options.total_timeout,
            max_page_bytes: options.max_page_bytes,
            max_image_bytes: options.max_image_bytes,
            output: std::path::absolute(&options.output).unwrap_or_else(|_| options.output.clone()),
            output_token: token,
        }
    }

    /// Fills the queues from the frontier.
    async fn hand_out(&mut self, queues: &Queues, now: Instant) -> Result<(), CrawlError> {
        let room = Room {
            links: QUEUED.saturating_sub(queues.links.len_async().await?),
            images: QUEUED.saturating_sub(queues.images.len_async().await?),
        };
        let jobs = self.frontier.next_jobs(now, room)?;
        let (images, links): (Vec<Job>, Vec<Job>) =
            jobs.into_iter().partition(|job| job.kind.is_image());
        for (queue, jobs) in [(&queues.links, links), (&queues.images, images)] {
            if !jobs.is_empty() {
                queue.put_many_async(jobs).await.map_err(|error| match error {
                    PutError::Manager { error, .. } => CrawlError::Manager(error),
                    PutError::Full(_) | PutError::Closed(_) => CrawlError::QueuesClosed,
                })?;
            }
        }
        Ok(())
    }

    /// Waits for reports and takes them in. Dropped while it waits, it has taken none.
    async fn commit_next(
        &mut self,
        results: &mut mpsc::Receiver<Report>,
    ) -> Result<(), CrawlError> {
        let mut reports = Vec::new();
        if results.recv_many(&mut reports, COMMIT_BATCH).await == 0 {
            return Err(CrawlError::QueuesClosed);
        }
        let now = Instant::now();
        for report in reports {
            self.frontier.commit(report, now)?;
            if self.frontier.is_flush_due() {
                self.record()?;
            }
        }
        Ok(())
    }

    /// Takes in the reports of all that is with workers.
    async fn drain(&mut self, results: &mut mpsc::Receiver<Report>) -> Result<(), CrawlError> {
        while !self.frontier.nothing_in_flight() {
            self.commit_next(results).await?;
            self.record()?;
        }
        Ok(())
    }

    /// Writes down what ended: lists first, then the journal, so that a crash in between leaves a
    /// line too many in the journal's eyes, which the resumed crawl notices, and never one too few.
    fn record(&mut self) -> Result<(), CrawlError> {
        let events = self.frontier.take_events();
        if !events.is_empty() {
            for event in events {
                self.reporter.record(event)?;
            }
            self.reporter.flush()?;
        }
        self.frontier.flush()?;
        Ok(())
    }

    /// Takes jobs that were given up out of the dead letters.
    async fn bury(&mut self, queues: &Queues) -> Result<(), CrawlError> {
        for queue in [&queues.links, &queues.images] {
            for dead in queue.take_dead_async(COMMIT_BATCH).await? {
                let detail = format!("given up after {} tries: {}", dead.deliveries, dead.reason);
                if let Ok(job) = dead.item {
                    let problem = Problem::new(Cause::WorkerDied, detail);
                    self.frontier.give_up(job.id, problem, Instant::now())?;
                }
            }
        }
        if let Some(dead) = queues.results.take_dead_async(1).await?.pop() {
            return Err(CrawlError::ForeignReport(dead.reason));
        }
        Ok(())
    }

    /// Takes back the jobs that no worker has begun.
    async fn take_back(&mut self, queues: &Queues) -> Result<(), CrawlError> {
        for queue in [&queues.links, &queues.images] {
            while let Ok(jobs) = queue.get_many_async(QUEUED, Duration::ZERO).await {
                for job in jobs {
                    self.frontier.take_back(job.id, Instant::now());
                }
            }
        }
        Ok(())
    }

    fn progress(&self, started: Instant, workers: usize) -> Progress {
        let counts = self.frontier.counts();
        let mut summary = self.reporter.summary().clone();
        summary.images_found = counts.images_found;
        summary.seconds = started.elapsed().as_secs_f64();
        Progress { summary, waiting: counts.waiting, in_flight: counts.in_flight, workers }
    }
}
