//! How an address ends: what a worker's report changes in the frontier.

use std::cmp::Reverse;
use std::time::Instant;

use super::hosts::Robots;
use super::journal::Found;
use super::{Event, Flight, Frontier, JournalError, MAX_REDIRECTS, ROBOTS, key};
use crate::address::Address;
use crate::job::{Cause, Kind, Link, Outcome, Problem, Report};
use crate::robots::Rules;

impl Frontier {
    /// Takes in a worker's report. A second report of the same address changes nothing, but for
    /// links that nobody had found.
    pub fn commit(&mut self, report: Report, now: Instant) -> Result<(), JournalError> {
        let Report { id, attempt, outcome } = report;
        let Some(&flight) = self.in_flight.get(&id) else {
            if let Outcome::Read { links, .. } = outcome
                && id < ROBOTS
                && let Ok(found) = self.journal.read(id)
            {
                // It may name what its worker will never name again.
                self.add_links(id, found.depth, &links, now);
            }
            return Ok(());
        };
        let stale = attempt != flight.attempt;
        if stale && matches!(outcome, Outcome::Redirected { .. } | Outcome::Failed(_)) {
            return Ok(());
        }
        let Flight { kind, host, depth, .. } = flight;
        self.hosts.ended(host, now);
        match outcome {
            Outcome::Robots { body } => {
                self.end(id, false)?;
                let rules = Rules::parse(&body, &self.options.agent);
                let entry = self.hosts.get_mut(host);
                entry.delay = entry.delay.max(rules.crawl_delay().unwrap_or_default());
                entry.robots = Robots::Known(Box::new(rules));
                self.hosts.list(host);
                Ok(())
            }
            Outcome::Read { links, problems } => {
                let found = self.journal.read(id)?;
                self.note_problems(&found, problems)?;
                self.add_links(id, depth, &links, now);
                if kind == Kind::Page {
                    self.events.push(Event::Page);
                }
                self.end(id, kind == Kind::Page)
            }
            Outcome::OtherType { content_type, image } => {
                let found = self.journal.read(id)?;
                if image {
                    if let Ok(address) = Address::parse(&found.url) {
                        self.add(&address, Kind::Image, found.page, depth, now);
                    }
                } else if depth == 0 {
                    let detail = format!("the address is of type {content_type}");
                    return self.fail(id, Problem::new(Cause::NotAPage, detail));
                }
                // A link to a document of another kind is no failure of the site's.
                self.end(id, false)
            }
            Outcome::Saved(image) => {
                let found = self.journal.read(id)?;
                let page = self.url_of(found.page)?;
                self.events.push(Event::Saved { url: found.url, page, image });
                self.end(id, false)
            }
            Outcome::Redirected { to } => self.redirect(id, flight, &to, now),
            Outcome::Failed(problem) => {
                let attempts = self.attempts.entry(id).or_insert(0);
                *attempts += 1;
                if problem.cause.is_transient() && *attempts < self.options.max_attempts {
                    let backoff = self.options.retry_delay * 2u32.pow((*attempts - 1).min(10));
                    self.in_flight.remove(&id);
                    // A host waits for its robots.txt: everything there depends on it.
                    self.later.push(Reverse((now + backoff, id, host, kind.is_image())));
                    Ok(())
                } else {
                    self.fail(id, problem)
                }
            }
        }
    }

    /// A job that was given back unfinished, as on Ctrl-C: it stays open in the journal.
    pub fn take_back(&mut self, id: u64, now: Instant) {
        if let Some(flight) = self.in_flight.remove(&id) {
            self.hosts.ended(flight.host, now);
        }
    }

    /// A job that no worker survived.
    pub fn give_up(&mut self, id: u64, problem: Problem, now: Instant) -> Result<(), JournalError> {
        let Some(flight) = self.in_flight.get(&id) else {
            return Ok(());
        };
        self.hosts.ended(flight.host, now);
        self.fail(id, problem)
    }

    fn note_problems(&mut self, found: &Found, problems: Vec<Problem>) -> Result<(), JournalError> {
        if problems.is_empty() {
            return Ok(());
        }
        let found_on = self.url_of(found.page)?;
        for problem in problems {
            let (url, page) = match &problem.address {
                Some(address) => (address.clone(), Some(found.url.clone())),
                None => (found.url.clone(), found_on.clone()),
            };
            self.events.push(Event::Failed { url, kind: found.kind, page, problem });
        }
        Ok(())
    }

    fn add_links(&mut self, page: u64, depth: u32, links: &[Link], now: Instant) {
        for link in links {
            match Address::parse(&link.url) {
                Ok(address) => {
                    self.add(&address, link.kind, Some(page), depth + 1, now);
                }
                Err(error) => self.events.push(Event::Failed {
                    url: link.url.clone(),
                    kind: link.kind,
                    page: None,
                    problem: Problem::new(Cause::MalformedAddress, error.to_string()),
                }),
            }
        }
    }

    fn redirect(
        &mut self,
        id: u64,
        Flight { kind, depth, host, .. }: Flight,
        to: &str,
        now: Instant,
    ) -> Result<(), JournalError> {
        let Ok(target) = Address::parse(to) else {
            let problem = Problem::new(Cause::InvalidRedirect, format!("redirect to {to:?}"));
            return self.fail(id, problem);
        };
        let start = match kind {
            Kind::Robots => format!("{}/robots.txt", self.hosts.get(host).origin),
            _ => self.journal.read(id)?.url,
        };
        let hops = self.redirects.entry(id).or_default();
        if start == target.as_str() || hops.iter().any(|hop| hop == target.as_str()) {
            let problem = Problem::new(Cause::RedirectLoop, format!("redirects back to {target}"));
            return self.fail(id, problem);
        }
        if hops.len() == MAX_REDIRECTS {
            let detail = format!("more than {MAX_REDIRECTS} redirects, the last to {target}");
            return self.fail(id, Problem::new(Cause::TooManyRedirects, detail));
        }
        hops.push(target.as_str().to_owned());
        if kind == Kind::Page {
            // Where a seed leads is what the user meant: `example.org` is often `www.example.org`.
            if depth == 0 {
                self.add_seed_page(&target);
            } else if !self.options.scope.allows(&self.seeds, &target) {
                return self.end(id, false);
            }
            // Its target is a page of its own right, and may be known as one already.
            let (from, to) =
                (Address::parse(&start).map_or(0, |start| key(&start, kind)), key(&target, kind));
            if !self.seen.insert(to) {
                if self.leads_back(from, to) {
                    let detail = format!("redirects in a circle by way of {target}");
                    return self.fail(id, Problem::new(Cause::RedirectLoop, detail));
                }
                self.moved.insert(from, to);
                return self.end(id, false);
            }
        }
        self.in_flight.remove(&id);
        if kind == Kind::Robots {
            self.hosts.get_mut(host).robots = Robots::Unknown;
            self.hosts.list(host);
        } else {
            let host = self.host_of(&target, now);
            self.hosts.push(host, id, kind.is_image(), true);
        }
        Ok(())
    }

    fn leads_back(&self, from: u128, to: u128) -> bool {
        std::iter::successors(Some(to), |at| self.moved.get(at).copied())
            .take(MAX_REDIRECTS)
            .any(|at| at == from)
    }

    /// The address at `id` has failed for good. Its host is told by the caller, if it was asked.
    pub(super) fn fail(&mut self, id: u64, problem: Problem) -> Result<(), JournalError> {
        let Some(&Flight { kind, host, .. }) = self.in_flight.get(&id) else {
            return Ok(());
        };
        if kind == Kind::Robots {
            self.hosts.get_mut(host).robots = match problem.cause {
                // A file that leads nowhere counts as none (RFC 9309 §2.3.1.2).
                Cause::RedirectLoop | Cause::TooManyRedirects | Cause::InvalidRedirect => {
                    Robots::Known(Box::new(Rules::parse("", &self.options.agent)))
                }
                _ => {
                    let detail = format!("robots.txt of the host: {}", problem.detail);
                    Robots::Unreachable(Box::new(Problem { detail, ..problem }))
                }
            };
            self.end(id, false)?;
            self.hosts.list(host);
            return Ok(());
        }
        let found = self.journal.read(id)?;
        let page = self.url_of(found.page)?;
        self.events.push(Event::Failed { url: found.url, kind, page, problem });
        self.end(id, false)
    }

    /// Ends an address that is handed out; `read` if it counts as a page that was read.
    fn end(&mut self, id: u64, read: bool) -> Result<(), JournalError> {
        self.attempts.remove(&id);
        let hops = self.redirects.remove(&id).unwrap_or_default();
        let Some(flight) = self.in_flight.remove(&id) else {
            return Ok(());
        };
        if flight.kind == Kind::Robots {
            return Ok(());
        }
        if flight.kind == Kind::Page {
            // The pages it redirected to are known from here on, after a restart too.
            for url in hops {
                let hop = Found { kind: flight.kind, depth: flight.depth, page: Some(id), url };
                let hop = self.journal.found(&hop);
                self.journal.ended(hop, false);
            }
        }
        self.journal.ended(id, read);
        if flight.kind == Kind::Page && self.options.max_depth.is_some() {
            self.level_left = self.level_left.saturating_sub(1);
            self.next_level_if_done()?;
        }
        Ok(())
    }
}
