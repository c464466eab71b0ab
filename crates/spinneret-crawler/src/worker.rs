//! A worker of a crawl: takes jobs from the manager, fetches, extracts or stores, and reports.
//!
//! One task of the event loop a fetch. A job is acknowledged only after its report is in the
//! results queue, so that a worker that dies at any instant costs a second fetch and nothing else.

use std::collections::HashSet;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use spinneret::manager::{AuthKey, Client, GetError, Lease, ManagerError, Queue, TlsClient};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use crate::address::{Address, Scope, SeedScope};
use crate::charset;
use crate::extract::{self, Extracted, Found};
use crate::fetch::{Answer, Body, ClientError, Fetcher, RobotsAnswer};
use crate::job::{
    Cause, CrawlSettings, IMAGES_QUEUE, Job, Kind, LINKS_QUEUE, Link, Outcome, Problem,
    RESULTS_QUEUE, Report, SETTINGS_VALUE,
};
use crate::store::{self, Store};

/// Jobs taken with one call.
const LEASE_BATCH: usize = 32;
/// Reports sent with one call.
const REPORT_BATCH: usize = 128;
/// How long one call waits for jobs.
const LEASE_WAIT: Duration = Duration::from_secs(10);
/// A job's lease outlasts the longest fetch by this much.
const LEASE_MARGIN: Duration = Duration::from_mins(1);
/// Links remembered as reported, so that a menu that is on every page travels once. Forgetting
/// them costs messages, not correctness.
const REMEMBERED_LINKS: usize = 1 << 20;
/// Addresses that one report may carry, in bytes: a page made to blow it up costs no more.
const MAX_LINK_BYTES: usize = 4 << 20;
/// Between two looks for a crawl at a manager that has none yet.
const CRAWL_POLL: Duration = Duration::from_millis(500);
/// File in a crawl's output folder that holds its token.
pub(crate) const TOKEN_FILE: &str = ".spinneret/token";

/// Which jobs a worker takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    /// Robots files, pages and stylesheets.
    Links,
    /// Images.
    Images,
    /// All of them.
    #[default]
    Both,
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "links" => Ok(Self::Links),
            "images" => Ok(Self::Images),
            "both" => Ok(Self::Both),
            _ => Err(format!("unknown role {text:?}: links, images or both")),
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Links => "links",
            Self::Images => "images",
            Self::Both => "both",
        })
    }
}

/// How a worker works. Serializable, since a crawl's own workers are processes.
#[derive(Clone, Serialize, Deserialize)]
pub struct WorkerConfig {
    /// `HOST:PORT` of the manager.
    pub manager: String,
    /// The manager's key.
    pub key: Vec<u8>,
    /// How to speak TLS with the manager. A crawl's own workers do without: they are on its machine.
    #[serde(skip)]
    pub tls: Option<TlsClient>,
    /// Name shown in the manager's list of connections.
    pub name: String,
    /// Which jobs it takes.
    pub role: Role,
    /// Fetches under way at once.
    pub concurrency: usize,
    /// Where it stores images. None: the crawl's folder if it is on this machine, else
    /// `spinneret-out` in the current folder.
    pub output: Option<PathBuf>,
}

impl fmt::Debug for WorkerConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerConfig")
            .field("manager", &self.manager)
            .field("name", &self.name)
            .field("role", &self.role)
            .field("concurrency", &self.concurrency)
            .field("output", &self.output)
            .finish_non_exhaustive()
    }
}

/// What a worker did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerSummary {
    /// Reports sent.
    pub reports: u64,
    /// Images stored.
    pub images: u64,
}

/// A worker had to stop before its crawl was done.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// No manager, a wrong key, or the connection broke.
    #[error(transparent)]
    Manager(#[from] ManagerError),
    /// The HTTP client.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The output folder.
    #[error("cannot use the output folder {}: {cause}", folder.display())]
    Output {
        /// The folder.
        folder: PathBuf,
        /// The system's answer.
        cause: io::Error,
    },
    /// The manager's results queue takes no more.
    #[error("the crawl no longer takes results")]
    ResultsClosed,
}

/// What the tasks of a worker share.
#[derive(Debug)]
struct Worker {
    fetcher: Fetcher,
    store: Store,
    seeds: SeedScope,
    settings: CrawlSettings,
    remembered: Mutex<HashSet<u64>>,
}

/// A finished job on its way back.
type Finished = (Report, Lease<Job>);

/// Works for the crawl behind a manager until that crawl is over.
pub async fn run(config: &WorkerConfig) -> Result<WorkerSummary, WorkerError> {
    let key = AuthKey::new(config.key.clone());
    let mut builder = Client::builder().name(&config.name);
    if let Some(tls) = &config.tls {
        builder = builder.tls(tls.clone());
    }
    let client = builder.connect_async(&config.manager, &key).await?;
    let settings = wait_for_crawl(&client).await?;
    let worker = Arc::new(Worker {
        fetcher: Fetcher::new(&settings)?,
        store: open_store(config, &settings)?,
        seeds: SeedScope::new(&parse_all(&settings.seeds)),
        settings,
        remembered: Mutex::default(),
    });
    let slots = Arc::new(Semaphore::new(config.concurrency.max(1)));
    let (reports, outbox) = mpsc::channel(REPORT_BATCH);
    let results = client.queue::<Report>(RESULTS_QUEUE);
    let sender = tokio::spawn(send_reports(outbox, results));
    let takers = if config.role == Role::Both { 2 } else { 1 };
    let serve = |queue: &str, wanted: bool| {
        let work = wanted.then(|| {
            take_jobs(
                worker.clone(),
                client.queue::<Job>(queue),
                slots.clone(),
                takers,
                reports.clone(),
            )
        });
        async move {
            match work {
                Some(work) => work.await,
                None => Ok(()),
            }
        }
    };
    let served = tokio::try_join!(
        serve(LINKS_QUEUE, config.role != Role::Images),
        serve(IMAGES_QUEUE, config.role != Role::Links),
    );
    drop(reports);
    let sent = sender.await.unwrap_or(Err(WorkerError::ResultsClosed));
    // A sender that failed is why nobody could take jobs any more.
    let summary = sent?;
    served?;
    Ok(summary)
}

async fn wait_for_crawl(client: &Client) -> Result<CrawlSettings, ManagerError> {
    let mut told = false;
    loop {
        if let Some(settings) = client.value_async::<CrawlSettings>(SETTINGS_VALUE).await? {
            return Ok(settings);
        }
        if !told {
            tracing::info!("the manager has no crawl yet, waiting for one");
            told = true;
        }
        tokio::time::sleep(CRAWL_POLL).await;
    }
}

fn open_store(config: &WorkerConfig, settings: &CrawlSettings) -> Result<Store, WorkerError> {
    let sees_crawl = |folder: &std::path::Path| {
        std::fs::read_to_string(folder.join(TOKEN_FILE))
            .is_ok_and(|token| token == settings.output_token)
    };
    let folder = match &config.output {
        Some(folder) => folder.clone(),
        None if sees_crawl(&settings.output) => settings.output.clone(),
        None => PathBuf::from("spinneret-out"),
    };
    let fail = |cause| WorkerError::Output { folder: folder.clone(), cause };
    let stored_on = if sees_crawl(&folder) {
        None
    } else {
        let absolute = std::path::absolute(&folder).map_err(fail)?;
        Some(format!("{}:{}", store::host_name(), absolute.display()))
    };
    Store::open(&folder, stored_on).map_err(fail)
}

/// Takes jobs from a queue while there are free `slots`, which `takers` like this one share.
async fn take_jobs(
    worker: Arc<Worker>,
    queue: Queue<Job>,
    slots: Arc<Semaphore>,
    takers: usize,
    reports: mpsc::Sender<Finished>,
) -> Result<(), WorkerError> {
    let hold = worker.settings.total_timeout + LEASE_MARGIN;
    let mut running = JoinSet::new();
    while !reports.is_closed() {
        // What is leased is begun at once: others may have free hands while ours are full.
        let Ok(free) = slots.acquire().await.map(|_free| slots.available_permits() + 1) else {
            break;
        };
        let wanted = (free / takers).clamp(1, LEASE_BATCH);
        let leases = match queue.lease_many_async(wanted, hold, LEASE_WAIT).await {
            Ok(leases) => leases,
            // An item that nobody can read is in the dead letters, for the crawl to report.
            Err(GetError::Empty | GetError::Undecodable { .. }) => continue,
            Err(GetError::Closed) => {
                while running.join_next().await.is_some() {}
                return Ok(());
            }
            Err(GetError::Manager(error)) => return Err(error.into()),
        };
        for lease in leases {
            let Ok(permit) = slots.clone().acquire_owned().await else {
                break;
            };
            let (worker, reports) = (worker.clone(), reports.clone());
            running.spawn(async move {
                let (id, attempt) = (lease.id, lease.attempt);
                let report = Report { id, attempt, outcome: worker.outcome(&lease).await };
                // Without a receiver the connection is gone, and the lease with it.
                let _ = reports.send((report, lease)).await;
                drop(permit);
            });
            // A task that panicked has given its lease back: another try, then the dead letters.
            while running.try_join_next().is_some() {}
        }
    }
    Err(WorkerError::ResultsClosed)
}

async fn send_reports(
    mut outbox: mpsc::Receiver<Finished>,
    results: Queue<Report>,
) -> Result<WorkerSummary, WorkerError> {
    let mut summary = WorkerSummary::default();
    let mut batch = Vec::new();
    while outbox.recv_many(&mut batch, REPORT_BATCH).await > 0 {
        summary.reports += batch.len() as u64;
        let (reports, leases): (Vec<Report>, Vec<Lease<Job>>) = batch.drain(..).unzip();
        let saved = |report: &&Report| matches!(report.outcome, Outcome::Saved(_));
        summary.images += reports.iter().filter(saved).count() as u64;
        results.put_many_async(reports).await.map_err(|_| WorkerError::ResultsClosed)?;
        results.task_done_many_async(leases).await?;
    }
    Ok(summary)
}

impl Worker {
    async fn outcome(&self, job: &Job) -> Outcome {
        let result = match Address::parse(&job.url) {
            Ok(address) => match job.kind {
                Kind::Robots => self.robots(&address).await,
                Kind::Page => self.page(job, &address).await,
                Kind::Stylesheet => self.stylesheet(&address).await,
                Kind::Image => self.image(job, &address).await,
            },
            Err(error) => Err(Problem::new(Cause::MalformedAddress, error.to_string())),
        };
        result.unwrap_or_else(Outcome::Failed)
    }

    async fn robots(&self, address: &Address) -> Result<Outcome, Problem> {
        Ok(match self.fetcher.robots(address).await? {
            RobotsAnswer::Text(body) => Outcome::Robots { body },
            RobotsAnswer::Redirect(to) => Outcome::Redirected { to: to.as_str().to_owned() },
        })
    }

    async fn page(&self, job: &Job, address: &Address) -> Result<Outcome, Problem> {
        let mut body = match self.fetcher.get(address, Kind::Page).await? {
            Answer::Body(body) => body,
            Answer::Redirect(to) => {
                return Ok(Outcome::Redirected { to: to.as_str().to_owned() });
            }
        };
        let content_type = body.content_type().unwrap_or("text/html").to_owned();
        let media_type =
            content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        if !matches!(media_type.as_str(), "text/html" | "application/xhtml+xml" | "") {
            body.drain().await;
            let image = media_type.starts_with("image/");
            return Ok(Outcome::OtherType { content_type: media_type, image });
        }
        self.read(&mut body, &content_type, |text| {
            let mut extracted = extract::extract_html(text, address);
            if !job.follow || (self.settings.obey_meta_robots && extracted.meta_nofollow) {
                extracted.pages.clear();
            }
            // What stays near this page may be in scope by a redirect that the frontier knows of;
            // the frontier has the last word.
            let near = SeedScope::new([address]);
            let (scope, near_scope) = match self.settings.scope {
                Scope::Prefix => (Scope::Prefix, Scope::Host),
                scope => (scope, scope),
            };
            extracted.pages.retain(|found| {
                near_scope.allows(&near, &found.address)
                    || scope.allows(&self.seeds, &found.address)
            });
            extracted
        })
        .await
    }

    async fn stylesheet(&self, address: &Address) -> Result<Outcome, Problem> {
        match self.fetcher.get(address, Kind::Stylesheet).await? {
            Answer::Redirect(to) => Ok(Outcome::Redirected { to: to.as_str().to_owned() }),
            Answer::Body(mut body) => {
                let content_type = body.content_type().unwrap_or("text/css").to_owned();
                self.read(&mut body, &content_type, |text| extract::extract_css(text, address))
                    .await
            }
        }
    }

    async fn read(
        &self,
        body: &mut Body,
        content_type: &str,
        extract: impl FnOnce(&str) -> Extracted,
    ) -> Result<Outcome, Problem> {
        let bytes = body.read_all().await?;
        let decoded = charset::decode(&bytes, Some(content_type));
        let extracted = extract(&decoded.text);
        let mut problems = Vec::new();
        if let Some(problem) = &decoded.problem {
            let cause = match problem {
                charset::CharsetProblem::Unknown { .. } => Cause::UnknownCharset,
                charset::CharsetProblem::Invalid { .. } => Cause::InvalidText,
            };
            problems.push(Problem::new(cause, problem.to_string()));
        }
        problems.extend(extracted.malformed.into_iter().map(|link| Problem {
            cause: Cause::MalformedAddress,
            detail: link.cause.to_string(),
            address: Some(link.text),
        }));
        if extracted.limit_reached {
            problems.push(Problem::new(Cause::TooLarge, "more links than are read from one page"));
        }
        let mut links = Vec::new();
        let mut room = MAX_LINK_BYTES;
        let whole = self.keep_new(extracted.pages, Kind::Page, &mut room, &mut links)
            & self.keep_new(extracted.stylesheets, Kind::Stylesheet, &mut room, &mut links)
            & self.keep_new(extracted.images, Kind::Image, &mut room, &mut links);
        if !whole {
            let detail =
                format!("links of more than {MAX_LINK_BYTES} bytes: the rest was left out");
            problems.push(Problem::new(Cause::TooLarge, detail));
        }
        Ok(Outcome::Read { links, problems })
    }

    /// Keeps the links that this worker has not reported yet, as far as there is `room` for them.
    /// The crawl takes every link of every report, so what one report leaves out has come with
    /// another. False if there was too little room.
    fn keep_new(
        &self,
        found: Vec<Found>,
        kind: Kind,
        room: &mut usize,
        links: &mut Vec<Link>,
    ) -> bool {
        // A set of numbers is as good after a panic as before it.
        let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        for Found { address, .. } in found {
            if remembered.len() >= REMEMBERED_LINKS {
                remembered.clear();
            }
            let key = address.fingerprint() as u64 ^ kind as u64;
            if remembered.contains(&key) {
                continue;
            }
            let Some(left) = room.checked_sub(address.as_str().len()) else {
                return false;
            };
            *room = left;
            remembered.insert(key);
            links.push(Link { url: address.as_str().to_owned(), kind });
        }
        true
    }

    async fn image(&self, job: &Job, address: &Address) -> Result<Outcome, Problem> {
        let mut body = match self.fetcher.get(address, Kind::Image).await? {
            Answer::Body(body) => body,
            Answer::Redirect(to) => {
                return Ok(Outcome::Redirected { to: to.as_str().to_owned() });
            }
        };
        let stored_as = Address::parse(job.found_as())
            .map_err(|error| Problem::new(Cause::MalformedAddress, error.to_string()))?;
        let mut incoming = self.store.receive(&stored_as, body.is_unframed());
        while let Some(chunk) = body.chunk().await? {
            incoming.write(&chunk)?;
        }
        incoming.finish().map(Outcome::Saved)
    }
}

fn parse_all(seeds: &[String]) -> Vec<Address> {
    seeds.iter().filter_map(|seed| Address::parse(seed).ok()).collect()
}
