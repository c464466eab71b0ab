//! The hosts of a crawl: each with its waiting addresses, its robots.txt and its pace.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::job::Problem;
use crate::robots::Rules;

/// Index of a [`Host`].
pub(super) type HostId = u32;

/// What is known of a host's robots.txt.
#[derive(Debug)]
pub(super) enum Robots {
    Unknown,
    Asked,
    Known(Box<Rules>),
    /// Not obeyed: everything is allowed.
    Ignored,
    /// Could not be had, and so forbids everything (RFC 9309 §2.3.1.4).
    Unreachable(Box<Problem>),
}

/// A host (scheme, name and port) with its addresses in the order in which they were found.
#[derive(Debug)]
pub(super) struct Host {
    pub origin: Arc<str>,
    pub robots: Robots,
    /// Pause between two requests. With any pause at all, one request at a time.
    pub delay: Duration,
    links: VecDeque<u64>,
    images: VecDeque<u64>,
    pub in_flight: u32,
    next_at: Instant,
    /// Whether it stands in `ready` or `waiting`.
    listed: bool,
}

impl Host {
    fn queue(&mut self, image: bool) -> &mut VecDeque<u64> {
        if image { &mut self.images } else { &mut self.links }
    }

    pub(super) fn has_waiting(&self, images: bool) -> bool {
        !if images { &self.images } else { &self.links }.is_empty()
    }
}

/// All hosts, and whose turn it is.
#[derive(Debug, Default)]
pub(super) struct Hosts {
    all: Vec<Host>,
    by_origin: HashMap<Arc<str>, HostId>,
    /// Hosts that may be asked now, in turn.
    ready: VecDeque<HostId>,
    /// Hosts whose pause is not over.
    waiting: BinaryHeap<Reverse<(Instant, HostId)>>,
    /// Addresses in all hosts' queues: links, images.
    waiting_addresses: [usize; 2],
}

impl Hosts {
    /// The host of an origin; `new` gives the pause and robots of one that was not known.
    pub(super) fn id(
        &mut self,
        origin: &str,
        now: Instant,
        new: impl FnOnce() -> (Duration, Robots),
    ) -> HostId {
        if let Some(&id) = self.by_origin.get(origin) {
            return id;
        }
        let (delay, robots) = new();
        let id = self.all.len() as HostId;
        let origin: Arc<str> = origin.into();
        self.by_origin.insert(origin.clone(), id);
        self.all.push(Host {
            origin,
            robots,
            delay,
            links: VecDeque::new(),
            images: VecDeque::new(),
            in_flight: 0,
            next_at: now,
            listed: false,
        });
        id
    }

    pub(super) fn get(&self, id: HostId) -> &Host {
        &self.all[id as usize]
    }

    pub(super) fn get_mut(&mut self, id: HostId) -> &mut Host {
        &mut self.all[id as usize]
    }

    /// Addresses that wait in any host's queues.
    pub(super) fn waiting_addresses(&self) -> usize {
        self.waiting_addresses.iter().sum()
    }

    /// Whether an image waits in any host's queue.
    pub(super) fn images_wait(&self) -> bool {
        self.waiting_addresses[1] > 0
    }

    /// Queues an address at its host, `first` if it comes back to be tried again.
    pub(super) fn push(&mut self, id: HostId, address: u64, image: bool, first: bool) {
        let queue = self.get_mut(id).queue(image);
        if first {
            queue.push_front(address);
        } else {
            queue.push_back(address);
        }
        self.waiting_addresses[usize::from(image)] += 1;
        self.list(id);
    }

    /// The oldest waiting address of a host.
    pub(super) fn pop(&mut self, id: HostId, image: bool) -> Option<u64> {
        let queue = self.get_mut(id).queue(image);
        let address = queue.pop_front()?;
        if queue.is_empty() {
            // Most hosts of a long list are done with their last address.
            *queue = VecDeque::new();
        }
        self.waiting_addresses[usize::from(image)] -= 1;
        Some(address)
    }

    /// A request to the host is handed out.
    pub(super) fn started(&mut self, id: HostId) {
        self.get_mut(id).in_flight += 1;
    }

    /// A request to the host has ended. Its pause runs from here: when the request began, some time
    /// after it was handed out, only its worker knows.
    pub(super) fn ended(&mut self, id: HostId, now: Instant) {
        let host = self.get_mut(id);
        host.next_at = now + host.delay;
        host.in_flight = host.in_flight.saturating_sub(1);
        self.list(id);
    }

    /// Puts a host that has something to do where [`Hosts::next_ready`] finds it.
    pub(super) fn list(&mut self, id: HostId) {
        let host = &mut self.all[id as usize];
        let busy =
            matches!(host.robots, Robots::Asked) || (!host.delay.is_zero() && host.in_flight > 0);
        if host.listed || busy || (host.links.is_empty() && host.images.is_empty()) {
            return;
        }
        host.listed = true;
        if host.delay.is_zero() {
            self.ready.push_back(id);
        } else {
            self.waiting.push(Reverse((host.next_at, id)));
        }
    }

    /// Takes the next host that may be asked, out of the list.
    pub(super) fn next_ready(&mut self, now: Instant) -> Option<HostId> {
        while let Some(&Reverse((at, id))) = self.waiting.peek() {
            if at > now {
                break;
            }
            self.waiting.pop();
            self.ready.push_back(id);
        }
        let id = self.ready.pop_front()?;
        self.get_mut(id).listed = false;
        Some(id)
    }

    /// How many hosts may be asked now.
    pub(super) fn ready_len(&self) -> usize {
        self.ready.len()
    }

    /// When the next pause ends.
    pub(super) fn next_wake(&self) -> Option<Instant> {
        self.waiting.peek().map(|Reverse((at, _))| *at)
    }
}
