//! What is still to be fetched, in which order and at what pace.
//!
//! An address enters once (the seen-set knows it by a 128-bit fingerprint), waits at its host, is
//! handed out as a [`Job`](crate::job::Job), and ends when a [`Report`](crate::job::Report) for it
//! is committed. Everything that must survive is in the journal; what is handed out and not ended
//! is simply handed out again after a restart. Memory per address is its fingerprint and, while it
//! waits, its number.

mod commit;
mod hand_out;
mod hosts;
mod journal;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, HashSet, VecDeque};
use std::path::Path;
use std::time::{Duration, Instant};

use hosts::{HostId, Hosts, Robots};
pub use journal::JournalError;
use journal::{Found, Journal, Line};

use crate::address::{Address, Scope, SeedScope};
use crate::fetch;
use crate::job::{Kind, Problem, SavedImage};

/// Redirects followed for one address; browsers stop at 20, RFC 9309 asks for five at least.
const MAX_REDIRECTS: usize = 10;
/// Numbers from here on are robots.txt files, one a host; the journal's are offsets in a file.
const ROBOTS: u64 = 1 << 62;
/// Addresses taken from an unpaced host before the next one has its turn.
const TURN: usize = 32;

/// How a crawl goes about it.
#[derive(Clone, Debug)]
pub struct FrontierOptions {
    /// Pages more than this many links away from a seed are left out.
    pub max_depth: Option<u32>,
    /// Whether robots.txt decides.
    pub obey_robots: bool,
    /// Our product token in robots.txt.
    pub agent: String,
    /// Pause between two requests to a host. None: [`DEFAULT_DELAY`], and no pause for private
    /// hosts, which are the user's own.
    pub delay: Option<Duration>,
    /// Tries an address gets while its failures may pass.
    pub max_attempts: u32,
    /// Pause before the second try; doubles with each further one.
    pub retry_delay: Duration,
    /// Which pages are followed, as seen from the seeds.
    pub scope: Scope,
}

/// The polite default pause between two requests to a host.
pub const DEFAULT_DELAY: Duration = Duration::from_millis(250);

/// How many more jobs the queues have room for.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// In the link finders' queue.
    pub links: usize,
    /// In the downloaders' queue.
    pub images: usize,
}

/// Something ended: what the report writes down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A page was read.
    Page,
    /// An image was stored.
    Saved {
        /// Its address.
        url: String,
        /// The page it was found on.
        page: Option<String>,
        /// The file.
        image: SavedImage,
    },
    /// An address failed, or a page had something wrong with it.
    Failed {
        /// The address at fault.
        url: String,
        /// What it was to be fetched as.
        kind: Kind,
        /// The page it was found on.
        page: Option<String>,
        /// Why.
        problem: Problem,
    },
}

/// A job that was handed out.
#[derive(Clone, Copy, Debug)]
struct Flight {
    kind: Kind,
    depth: u32,
    host: HostId,
    /// Redirects and failed tries before this one.
    attempt: u32,
}

/// Counts for the progress display.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrontierCounts {
    /// Distinct image addresses found.
    pub images_found: u64,
    /// Addresses that wait for their turn.
    pub waiting: u64,
    /// Addresses that are handed out.
    pub in_flight: u64,
}

/// See the [module](self).
#[derive(Debug)]
pub struct Frontier {
    options: FrontierOptions,
    journal: Journal,
    seen: HashSet<u128, Fingerprints>,
    /// The seed pages, and what they redirected to.
    seeds: SeedScope,
    seed_pages: Vec<String>,
    hosts: Hosts,
    in_flight: HashMap<u64, Flight>,
    /// Where addresses redirected to, for those under way: the last one is fetched next.
    redirects: HashMap<u64, Vec<String>>,
    /// Pages that ended as redirects to another that was known already: from which to which. Two
    /// pages that only lead to each other would otherwise end without a word.
    moved: HashMap<u128, u128>,
    /// Tries so far, for addresses that failed before.
    attempts: HashMap<u64, u32>,
    /// Addresses that wait before they are tried again.
    later: BinaryHeap<Reverse<(Instant, u64, HostId, bool)>>,
    /// With a depth limit, pages go level by level, so that each is reached by its shortest way.
    level: u32,
    level_left: usize,
    next_level: VecDeque<u64>,
    images_found: u64,
    events: Vec<Event>,
}

/// Fingerprints are uniform already: the table takes half of one as its hash.
type Fingerprints = std::hash::BuildHasherDefault<FirstHalf>;

#[derive(Debug, Default)]
struct FirstHalf(u64);

impl std::hash::Hasher for FirstHalf {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }

    fn write_u128(&mut self, fingerprint: u128) {
        self.0 = fingerprint as u64;
    }
}

impl Frontier {
    /// Starts an empty frontier with its journal at `path`, in place of any other there.
    pub fn create(path: &Path, options: FrontierOptions) -> Result<Self, JournalError> {
        Ok(Self::with_journal(Journal::create(path)?, options))
    }

    /// Goes on where the journal at `path` ends. `recorded` holds the
    /// [fingerprints](Address::fingerprint) of images that the report lists: those whose end did
    /// not reach the journal any more are done all the same.
    ///
    /// Returns the number of pages that were read before, too.
    pub fn resume(
        path: &Path,
        options: FrontierOptions,
        recorded: &HashSet<u128>,
        now: Instant,
    ) -> Result<(Self, u64), JournalError> {
        let mut open = BTreeMap::new();
        let mut seen = HashSet::default();
        let mut seeds = Vec::new();
        let (mut pages, mut images_found) = (0, 0);
        let journal = Journal::open(path, |line| match line {
            Line::Found(id, found) => {
                let Ok(address) = Address::parse(&found.url) else {
                    return;
                };
                seen.insert(key(&address, found.kind));
                images_found += u64::from(found.kind.is_image());
                if found.kind == Kind::Page && found.depth == 0 {
                    seeds.push(address.clone());
                }
                if !(found.kind.is_image() && recorded.contains(&address.fingerprint())) {
                    open.insert(id, (found.kind, found.depth));
                }
            }
            Line::Ended { id, page } => {
                open.remove(&id);
                pages += u64::from(page);
            }
        })?;
        let mut frontier = Self::with_journal(journal, options);
        frontier.seen = seen;
        for seed in seeds {
            frontier.add_seed_page(&seed);
        }
        frontier.images_found = images_found;
        let open_pages = open.values().filter(|(kind, _)| *kind == Kind::Page);
        frontier.level = open_pages.map(|(_, depth)| *depth).min().unwrap_or(0);
        for (id, (kind, depth)) in open {
            let found = frontier.journal.read(id)?;
            if let Ok(address) = Address::parse(&found.url) {
                frontier.enqueue(id, &address, kind, depth, now);
            }
        }
        Ok((frontier, pages))
    }

    fn with_journal(journal: Journal, options: FrontierOptions) -> Self {
        Self {
            options,
            journal,
            seen: HashSet::default(),
            seeds: SeedScope::default(),
            seed_pages: Vec::new(),
            hosts: Hosts::default(),
            in_flight: HashMap::new(),
            redirects: HashMap::new(),
            moved: HashMap::new(),
            attempts: HashMap::new(),
            later: BinaryHeap::new(),
            level: 0,
            level_left: 0,
            next_level: VecDeque::new(),
            images_found: 0,
            events: Vec::new(),
        }
    }

    /// Adds an address of the user's own. False if it was known.
    pub fn add_seed(&mut self, address: &Address, kind: Kind, now: Instant) -> bool {
        self.add(address, kind, None, 0, now)
    }

    fn add(
        &mut self,
        address: &Address,
        kind: Kind,
        page: Option<u64>,
        depth: u32,
        now: Instant,
    ) -> bool {
        if kind == Kind::Page {
            let too_deep = self.options.max_depth.is_some_and(|max| depth > max);
            if depth == 0 {
                self.add_seed_page(address);
            } else if too_deep || !self.options.scope.allows(&self.seeds, address) {
                return false;
            }
        }
        if !self.seen.insert(key(address, kind)) {
            return false;
        }
        let id = self.journal.found(&Found { kind, depth, page, url: address.as_str().to_owned() });
        self.images_found += u64::from(kind.is_image());
        self.enqueue(id, address, kind, depth, now);
        true
    }

    fn add_seed_page(&mut self, address: &Address) {
        self.seeds.add(address);
        self.seed_pages.push(address.as_str().to_owned());
    }

    /// The pages from which the scope is measured.
    pub fn seed_pages(&self) -> &[String] {
        &self.seed_pages
    }

    fn enqueue(&mut self, id: u64, address: &Address, kind: Kind, depth: u32, now: Instant) {
        if kind == Kind::Page && self.options.max_depth.is_some() {
            if depth > self.level {
                self.next_level.push_back(id);
                return;
            }
            self.level_left += 1;
        }
        let host = self.host_of(address, now);
        self.hosts.push(host, id, kind.is_image(), false);
    }

    fn host_of(&mut self, address: &Address, now: Instant) -> HostId {
        let options = &self.options;
        self.hosts.id(address.origin(), now, || {
            let private = || {
                let host = address.host().trim_matches(['[', ']']);
                host == "localhost" || host.parse().is_ok_and(fetch::is_private)
            };
            let delay = options
                .delay
                .unwrap_or_else(|| if private() { Duration::ZERO } else { DEFAULT_DELAY });
            (delay, if options.obey_robots { Robots::Unknown } else { Robots::Ignored })
        })
    }

    /// Once no page of this level is left, those of the next one have their turn.
    fn next_level_if_done(&mut self) -> Result<(), JournalError> {
        if self.level_left > 0 || self.next_level.is_empty() {
            return Ok(());
        }
        self.level += 1;
        for id in std::mem::take(&mut self.next_level) {
            let found = self.journal.read(id)?;
            if let Ok(address) = Address::parse(&found.url) {
                self.enqueue(id, &address, found.kind, found.depth, Instant::now());
            }
        }
        // After a restart a level may hold nothing that is still open.
        self.next_level_if_done()
    }

    /// What ended since the last call.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// Whether so much has gathered that [`Frontier::flush`] is due.
    pub fn is_flush_due(&self) -> bool {
        self.journal.is_due()
    }

    /// Makes everything so far survive the end of this process.
    pub fn flush(&mut self) -> Result<(), JournalError> {
        self.journal.flush()
    }

    /// Whether nothing waits and nothing is handed out.
    pub fn is_finished(&self) -> bool {
        self.in_flight.is_empty() && self.waiting() == 0
    }

    /// Whether no address is with a worker.
    pub fn nothing_in_flight(&self) -> bool {
        self.in_flight.is_empty()
    }

    /// When a host's pause or an address's backoff ends next. What had ended by `now`, when jobs were
    /// last asked for, waits for room and not for time.
    pub fn next_wake(&self, now: Instant) -> Option<Instant> {
        let later = self.later.peek().map(|Reverse((at, ..))| *at);
        [later, self.hosts.next_wake()].into_iter().flatten().filter(|at| *at > now).min()
    }

    /// Counts for a progress display.
    pub fn counts(&self) -> FrontierCounts {
        FrontierCounts {
            images_found: self.images_found,
            waiting: self.waiting() as u64,
            in_flight: self.in_flight.len() as u64,
        }
    }

    fn waiting(&self) -> usize {
        self.hosts.waiting_addresses() + self.later.len() + self.next_level.len()
    }
}

/// An address can be both a page and an image: the seen-set holds it once for each.
fn key(address: &Address, kind: Kind) -> u128 {
    let of_kind = match kind {
        Kind::Robots | Kind::Page => 0,
        Kind::Stylesheet => 1,
        Kind::Image => 2,
    };
    address.fingerprint() ^ of_kind
}
