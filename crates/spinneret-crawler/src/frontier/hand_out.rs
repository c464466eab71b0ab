//! Whose turn it is: which jobs may be done now, at each host's pace.

use std::cmp::Reverse;
use std::time::Instant;

use super::hosts::{HostId, Robots};
use super::{Flight, Frontier, JournalError, ROBOTS, Room, TURN};
use crate::address::Address;
use crate::job::{Cause, Job, Kind, Problem};

impl Frontier {
    /// Hands out what may be fetched now, at most as much as there is room for.
    pub fn next_jobs(&mut self, now: Instant, mut room: Room) -> Result<Vec<Job>, JournalError> {
        while let Some(&Reverse((at, id, host, image))) = self.later.peek() {
            if at > now {
                break;
            }
            self.later.pop();
            if id < ROBOTS {
                self.hosts.push(host, id, image, true);
            } else {
                self.hosts.get_mut(host).robots = Robots::Unknown;
                self.hosts.list(host);
            }
        }
        let mut jobs = Vec::new();
        // A whole round of hosts without a job means that there is no room for what they have.
        let mut idle = 0;
        // With room for links, a host that has only images may still be asked for its robots.txt.
        while (room.links > 0 || room.images > 0 && self.hosts.images_wait())
            && let Some(host) = self.hosts.next_ready(now)
        {
            let before = (jobs.len(), self.hosts.waiting_addresses());
            self.take_turn(host, &mut room, &mut jobs)?;
            self.hosts.list(host);
            let after = (jobs.len(), self.hosts.waiting_addresses());
            idle = if after == before { idle + 1 } else { 0 };
            if idle > self.hosts.ready_len() {
                break;
            }
        }
        Ok(jobs)
    }

    fn take_turn(
        &mut self,
        host: HostId,
        room: &mut Room,
        jobs: &mut Vec<Job>,
    ) -> Result<(), JournalError> {
        if matches!(self.hosts.get(host).robots, Robots::Unknown) {
            if room.links > 0 {
                room.links -= 1;
                self.hosts.get_mut(host).robots = Robots::Asked;
                jobs.push(self.robots_job(host));
            }
            return Ok(());
        }
        for _ in 0..TURN {
            let waiting = self.hosts.get(host);
            let images = waiting.has_waiting(true) && room.images > 0;
            let links = waiting.has_waiting(false) && room.links > 0;
            if !images && !links {
                break;
            }
            let Some(id) = self.hosts.pop(host, images) else {
                break;
            };
            let Some(job) = self.job(id, host)? else {
                continue;
            };
            if images {
                room.images -= 1;
            } else {
                room.links -= 1;
            }
            self.hosts.started(host);
            jobs.push(job);
            if !self.hosts.get(host).delay.is_zero() {
                break;
            }
        }
        Ok(())
    }

    fn robots_job(&mut self, host: HostId) -> Job {
        let id = ROBOTS | u64::from(host);
        let own = || format!("{}/robots.txt", self.hosts.get(host).origin);
        let url = self.redirects.get(&id).and_then(|hops| hops.last().cloned());
        let url = url.unwrap_or_else(own);
        let attempt = self.fly(id, Kind::Robots, 0, host);
        self.hosts.started(host);
        let origin = String::new();
        Job { id, kind: Kind::Robots, url, origin, page: None, follow: false, attempt }
    }

    /// Notes that an address is handed out; its attempt.
    fn fly(&mut self, id: u64, kind: Kind, depth: u32, host: HostId) -> u32 {
        let redirects = self.redirects.get(&id).map_or(0, Vec::len) as u32;
        let attempt = redirects + self.attempts.get(&id).copied().unwrap_or(0);
        self.in_flight.insert(id, Flight { kind, depth, host, attempt });
        attempt
    }

    /// The job for an address, or none if the host's robots.txt forbids it.
    fn job(&mut self, id: u64, host: HostId) -> Result<Option<Job>, JournalError> {
        let found = self.journal.read(id)?;
        let hop = self.redirects.get(&id).and_then(|hops| hops.last().cloned());
        let url = hop.as_ref().unwrap_or(&found.url);
        let attempt = self.fly(id, found.kind, found.depth, host);
        let refused = match &self.hosts.get(host).robots {
            Robots::Unreachable(problem) => Some(Problem::clone(problem)),
            Robots::Known(rules) => {
                let allowed = Address::parse(url).map(|url| rules.allows(url.path_and_query()));
                (allowed == Ok(false))
                    .then(|| Problem::new(Cause::Robots, "the host's robots.txt forbids it"))
            }
            Robots::Ignored | Robots::Unknown | Robots::Asked => None,
        };
        if let Some(problem) = refused {
            self.fail(id, problem)?;
            return Ok(None);
        }
        let page = self.url_of(found.page)?;
        let follow = self.options.max_depth.is_none_or(|max| found.depth < max);
        let (url, origin) = match hop {
            Some(hop) => (hop, found.url),
            None => (found.url, String::new()),
        };
        Ok(Some(Job { id, kind: found.kind, url, origin, page, follow, attempt }))
    }

    /// The address of the page that something was found on.
    pub(super) fn url_of(&mut self, page: Option<u64>) -> Result<Option<String>, JournalError> {
        page.map(|page| Ok(self.journal.read(page)?.url)).transpose()
    }
}
