mod resume;

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::*;
use crate::job::{Cause, Job, Link, Outcome, Report, SavedImage};

const ALL: Room = Room { links: 1000, images: 1000 };

fn options() -> FrontierOptions {
    FrontierOptions {
        max_depth: None,
        obey_robots: false,
        agent: "spinneret".to_owned(),
        delay: Some(Duration::ZERO),
        max_attempts: 3,
        retry_delay: Duration::from_millis(500),
        scope: Scope::Host,
    }
}

/// A frontier with a journal of its own and a clock that stands still unless moved.
struct Rig {
    folder: tempfile::TempDir,
    frontier: Frontier,
    now: Instant,
}

impl Rig {
    fn new(options: FrontierOptions, seeds: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut frontier = Frontier::create(&folder.path().join("journal"), options).unwrap();
        let now = Instant::now();
        for seed in seeds {
            frontier.add_seed(&Address::parse(seed).unwrap(), Kind::Page, now);
        }
        Self { folder, frontier, now }
    }

    fn journal(&self) -> PathBuf {
        self.folder.path().join("journal")
    }

    fn jobs(&mut self) -> Vec<Job> {
        self.frontier.next_jobs(self.now, ALL).unwrap()
    }

    fn urls(&mut self) -> Vec<String> {
        self.jobs().into_iter().map(|job| job.url).collect()
    }

    fn one(&mut self) -> Job {
        let mut jobs = self.jobs();
        assert_eq!(jobs.len(), 1, "{jobs:?}");
        jobs.remove(0)
    }

    fn report(&mut self, id: u64, outcome: Outcome) {
        let attempt = self.frontier.in_flight.get(&id).map_or(0, |flight| flight.attempt);
        self.late_report(id, attempt, outcome);
    }

    fn late_report(&mut self, id: u64, attempt: u32, outcome: Outcome) {
        self.frontier.commit(Report { id, attempt, outcome }, self.now).unwrap();
    }

    fn read(&mut self, id: u64, links: &[(&str, Kind)]) {
        let links = links.iter().map(|&(url, kind)| Link { url: url.to_owned(), kind }).collect();
        self.report(id, Outcome::Read { links, problems: Vec::new() });
    }

    fn fail(&mut self, id: u64, cause: Cause) {
        self.report(id, Outcome::Failed(Problem::new(cause, "test")));
    }

    fn redirect(&mut self, id: u64, to: &str) {
        self.report(id, Outcome::Redirected { to: to.to_owned() });
    }

    fn causes(&mut self) -> Vec<(String, Cause)> {
        let failed = |event| match event {
            Event::Failed { url, problem, .. } => Some((url, problem.cause)),
            _ => None,
        };
        self.frontier.take_events().into_iter().filter_map(failed).collect()
    }

    /// Everything ends, and the same journal is opened again, as after kill -9.
    fn killed_and_resumed(
        mut self,
        options: FrontierOptions,
        recorded: &HashSet<u128>,
    ) -> (Self, u64) {
        self.frontier.flush().unwrap();
        let (frontier, pages) =
            Frontier::resume(&self.journal(), options, recorded, self.now).unwrap();
        (Self { frontier, ..self }, pages)
    }
}

fn saved() -> SavedImage {
    SavedImage {
        path: "images/a/x.png".to_owned(),
        sha256: String::new(),
        bytes: 7,
        content_type: "image/png".to_owned(),
        width: None,
        height: None,
        fetched_at: String::new(),
        stored_on: None,
    }
}

#[test]
fn an_address_is_handed_out_once_however_often_it_is_found() {
    let mut rig = Rig::new(options(), &["http://a/", "http://a/"]);
    let seed = rig.one();
    rig.read(
        seed.id,
        &[("http://a/", Kind::Page), ("http://a/x", Kind::Page), ("http://a/x", Kind::Page)],
    );
    let next = rig.one();
    assert_eq!((next.url.as_str(), next.page.as_deref()), ("http://a/x", Some("http://a/")));
    assert_eq!(rig.frontier.counts().in_flight, 1);
    rig.read(next.id, &[]);
    assert!(rig.frontier.is_finished());
}

#[test]
fn one_address_can_be_a_page_and_an_image() {
    let mut rig = Rig::new(options(), &["http://a/"]);
    let seed = rig.one();
    rig.read(seed.id, &[("http://a/x", Kind::Page), ("http://a/x", Kind::Image)]);
    let kinds: HashSet<Kind> = rig.jobs().into_iter().map(|job| job.kind).collect();
    assert_eq!(kinds, HashSet::from([Kind::Page, Kind::Image]));
    assert_eq!(rig.frontier.counts().images_found, 1);
}

#[test]
fn a_second_report_of_a_job_counts_for_nothing_but_its_links() {
    let mut rig = Rig::new(options(), &["http://a/"]);
    let seed = rig.one();
    rig.read(seed.id, &[]);
    assert_eq!(rig.frontier.take_events(), [Event::Page]);
    rig.read(seed.id, &[("http://a/late", Kind::Page)]);
    assert_eq!(rig.frontier.take_events(), []);
    assert_eq!(rig.urls(), ["http://a/late"]);
    // Numbers that nobody handed out are ignored, too.
    rig.read(12345, &[("http://a/bogus", Kind::Page)]);
    rig.report(u64::MAX, Outcome::Robots { body: String::new() });
    assert_eq!(rig.urls(), Vec::<String>::new());
}

#[test]
fn pages_stay_in_scope_and_images_need_not() {
    let mut rig = Rig::new(options(), &["http://a/"]);
    let seed = rig.one();
    rig.read(seed.id, &[("http://b/", Kind::Page), ("http://b/x.png", Kind::Image)]);
    assert_eq!(rig.urls(), ["http://b/x.png"]);
}

#[test]
fn a_seed_that_redirects_to_another_host_takes_the_scope_along() {
    let mut rig = Rig::new(options(), &["http://a.org/"]);
    let seed = rig.one();
    rig.redirect(seed.id, "http://www.a.org/");
    let moved = rig.one();
    assert_eq!((moved.id, moved.url.as_str()), (seed.id, "http://www.a.org/"));
    rig.read(moved.id, &[("http://www.a.org/x", Kind::Page), ("http://c.org/", Kind::Page)]);
    assert_eq!(rig.urls(), ["http://www.a.org/x"]);
}

#[test]
fn robots_txt_comes_first_and_is_obeyed() {
    let mut rig = Rig::new(FrontierOptions { obey_robots: true, ..options() }, &["http://a/"]);
    let robots = rig.one();
    assert_eq!((robots.kind, robots.url.as_str()), (Kind::Robots, "http://a/robots.txt"));
    assert!(rig.jobs().is_empty());
    rig.report(robots.id, Outcome::Robots { body: "User-agent: *\nDisallow: /no\n".to_owned() });
    let seed = rig.one();
    rig.read(seed.id, &[("http://a/no/x.png", Kind::Image), ("http://a/yes", Kind::Page)]);
    assert_eq!(rig.urls(), ["http://a/yes"]);
    assert_eq!(rig.causes(), [("http://a/no/x.png".to_owned(), Cause::Robots)]);
}

#[test]
fn rules_for_our_own_name_win_over_those_for_all() {
    let mut rig = Rig::new(FrontierOptions { obey_robots: true, ..options() }, &["http://a/x?y"]);
    let robots = rig.one();
    let body = "User-agent: *\nDisallow: /\n\nUser-agent: Spinneret\nDisallow: /z\nAllow: /x?y\n";
    rig.report(robots.id, Outcome::Robots { body: body.to_owned() });
    assert_eq!(rig.urls(), ["http://a/x?y"]);
}

#[test]
fn a_robots_txt_that_cannot_be_had_fails_its_host_with_the_true_cause() {
    let mut rig =
        Rig::new(FrontierOptions { obey_robots: true, ..options() }, &["http://a/", "http://a/x"]);
    let robots = rig.one();
    rig.fail(robots.id, Cause::UnresolvableHost);
    assert!(rig.jobs().is_empty());
    let causes: Vec<Cause> = rig.causes().into_iter().map(|(_, cause)| cause).collect();
    assert_eq!(causes, [Cause::UnresolvableHost; 2]);
    assert!(rig.frontier.is_finished());
}

#[test]
fn a_robots_txt_is_tried_again_and_may_redirect() {
    let mut rig = Rig::new(FrontierOptions { obey_robots: true, ..options() }, &["http://a/"]);
    let robots = rig.one();
    rig.fail(robots.id, Cause::Timeout);
    assert!(rig.jobs().is_empty() && !rig.frontier.is_finished());
    rig.now += Duration::from_secs(1);
    let again = rig.one();
    assert_eq!(again.id, robots.id);
    rig.redirect(again.id, "http://b/robots.txt");
    let moved = rig.one();
    assert_eq!((moved.id, moved.url.as_str()), (robots.id, "http://b/robots.txt"));
    rig.report(moved.id, Outcome::Robots { body: String::new() });
    assert_eq!(rig.urls(), ["http://a/"]);
}

#[test]
fn with_a_pause_a_host_gets_one_request_at_a_time_and_others_do_not_wait() {
    let pause = Duration::from_secs(1);
    let paced = FrontierOptions { delay: Some(pause), ..options() };
    let mut rig = Rig::new(paced, &["http://a/1", "http://a/2", "http://b/1"]);
    let first: Vec<Job> = rig.jobs();
    assert_eq!(first.len(), 2);
    rig.now += pause * 5;
    assert!(rig.jobs().is_empty(), "a request is under way at both hosts");
    rig.read(first[0].id, &[]);
    assert!(rig.jobs().is_empty());
    rig.now += pause;
    assert_eq!(rig.urls(), ["http://a/2"]);
}

#[test]
fn the_pause_runs_from_the_end_of_a_request_and_crawl_delay_lengthens_it() {
    let paced =
        FrontierOptions { delay: Some(Duration::from_secs(1)), obey_robots: true, ..options() };
    let mut rig = Rig::new(paced, &["http://a/1", "http://a/2"]);
    let robots = rig.one();
    let body = "User-agent: *\nCrawl-delay: 3\n".to_owned();
    rig.report(robots.id, Outcome::Robots { body });
    rig.now += Duration::from_secs(3);
    let first = rig.one();
    rig.now += Duration::from_mins(1);
    rig.read(first.id, &[]);
    rig.now += Duration::from_millis(2900);
    assert!(rig.jobs().is_empty());
    let wake = rig.frontier.next_wake(rig.now).unwrap();
    assert_eq!(wake - rig.now, Duration::from_millis(100));
    rig.now += Duration::from_millis(100);
    assert_eq!(rig.urls(), ["http://a/2"]);
}

#[test]
fn a_host_whose_pause_is_over_and_that_has_no_room_asks_for_no_wake() {
    let paced = FrontierOptions { delay: Some(Duration::from_secs(1)), ..options() };
    let mut rig = Rig::new(paced, &["http://a/1", "http://b/1"]);
    rig.now += Duration::from_secs(5);
    let none = Room { links: 0, images: 10 };
    assert!(rig.frontier.next_jobs(rig.now, none).unwrap().is_empty());
    assert_eq!(rig.frontier.next_wake(rig.now), None);
    assert_eq!(rig.urls().len(), 2);
}

#[test]
fn a_job_that_is_given_up_lets_its_host_go_on() {
    let paced = FrontierOptions { delay: Some(Duration::from_secs(1)), ..options() };
    let mut rig = Rig::new(paced, &["http://a/1", "http://a/2"]);
    let first = rig.one();
    let problem = Problem::new(Cause::WorkerDied, "test");
    rig.frontier.give_up(first.id, problem, rig.now).unwrap();
    assert_eq!(rig.causes(), [("http://a/1".to_owned(), Cause::WorkerDied)]);
    rig.now += Duration::from_secs(1);
    assert_eq!(rig.urls(), ["http://a/2"]);
}

#[test]
fn a_report_of_an_earlier_attempt_neither_redirects_nor_fails() {
    let mut rig = Rig::new(options(), &["http://a/"]);
    let first = rig.one();
    let to = "http://a/home".to_owned();
    rig.redirect(first.id, &to);
    let second = rig.one();
    assert!(second.attempt > first.attempt);
    // The first worker died before it acknowledged, and another did the same job.
    rig.late_report(first.id, first.attempt, Outcome::Redirected { to });
    let gone = Outcome::Failed(Problem::new(Cause::Http(404), "test"));
    rig.late_report(first.id, first.attempt, gone);
    assert_eq!(rig.causes(), []);
    rig.read(second.id, &[]);
    assert_eq!(rig.frontier.take_events(), [Event::Page]);
    assert!(rig.frontier.is_finished());
}

#[test]
fn a_robots_txt_that_redirects_for_ever_counts_as_none() {
    let mut rig = Rig::new(FrontierOptions { obey_robots: true, ..options() }, &["http://a/"]);
    let robots = rig.one();
    rig.redirect(robots.id, "http://a/robots.txt");
    assert_eq!(rig.urls(), ["http://a/"]);
}

#[test]
fn the_default_pause_spares_public_hosts_and_not_private_ones() {
    let mut rig = Rig::new(
        FrontierOptions { delay: None, ..options() },
        &["http://a.org/1", "http://a.org/2", "http://127.0.0.1/1", "http://127.0.0.1/2"],
    );
    assert_eq!(rig.urls().len(), 3);
}

#[test]
fn what_may_pass_is_tried_again_with_growing_pauses_and_then_fails() {
    let mut rig = Rig::new(options(), &["http://a/"]);
    for pause in [500, 1000] {
        let job = rig.one();
        rig.fail(job.id, Cause::Http(503));
        rig.now += Duration::from_millis(pause - 1);
        assert!(rig.jobs().is_empty());
        rig.now += Duration::from_millis(1);
    }
    let last = rig.one();
    rig.fail(last.id, Cause::Http(503));
    assert_eq!(rig.causes(), [("http://a/".to_owned(), Cause::Http(503))]);
    assert!(rig.frontier.is_finished());
}

#[test]
fn what_will_not_pass_fails_at_once() {
    let mut rig = Rig::new(options(), &["http://a/"]);
    let job = rig.one();
    rig.fail(job.id, Cause::Http(404));
    assert_eq!(rig.causes().len(), 1);
    assert!(rig.frontier.is_finished());
}

#[test]
fn an_image_that_redirects_stays_the_image_that_was_found() {
    let mut rig = Rig::new(options(), &["http://a/"]);
    let seed = rig.one();
    rig.read(seed.id, &[("http://a/x.png", Kind::Image)]);
    let image = rig.one();
    rig.redirect(image.id, "http://cdn/y.png");
    let moved = rig.one();
    assert_eq!((moved.url.as_str(), moved.found_as()), ("http://cdn/y.png", "http://a/x.png"));
    rig.report(moved.id, Outcome::Saved(saved()));
    let events = rig.frontier.take_events();
    assert!(
        matches!(&events[1], Event::Saved { url, .. } if url == "http://a/x.png"),
        "{events:?}"
    );
    assert_eq!(rig.frontier.counts().images_found, 1);
}

#[test]
fn endless_redirects_fail_whether_they_turn_in_a_circle_or_not() {
    let mut rig = Rig::new(options(), &["http://a/1"]);
    let job = rig.one();
    rig.redirect(job.id, "http://a/2");
    let job = rig.one();
    rig.redirect(job.id, "http://a/1");
    assert_eq!(rig.causes(), [("http://a/1".to_owned(), Cause::RedirectLoop)]);

    let mut rig = Rig::new(options(), &["http://a/0"]);
    for hop in 1..=MAX_REDIRECTS + 1 {
        let job = rig.one();
        rig.redirect(job.id, &format!("http://a/{hop}"));
    }
    assert_eq!(rig.causes(), [("http://a/0".to_owned(), Cause::TooManyRedirects)]);
    assert!(rig.frontier.is_finished());
}

#[test]
fn two_found_pages_that_redirect_to_each_other_fail() {
    let mut rig = Rig::new(options(), &["http://a/1", "http://a/2"]);
    let jobs = rig.jobs();
    rig.redirect(jobs[0].id, "http://a/2");
    assert_eq!(rig.causes(), []);
    rig.redirect(jobs[1].id, "http://a/1");
    assert_eq!(rig.causes(), [("http://a/2".to_owned(), Cause::RedirectLoop)]);
    assert!(rig.frontier.is_finished());
}

#[test]
fn a_redirect_to_a_page_that_is_known_ends_there() {
    let mut rig = Rig::new(options(), &["http://a/", "http://a/old"]);
    let jobs = rig.jobs();
    rig.redirect(jobs[1].id, "http://a/");
    rig.read(jobs[0].id, &[]);
    assert_eq!(rig.causes(), []);
    assert!(rig.frontier.is_finished());
}

#[test]
fn the_depth_limit_counts_the_shortest_way() {
    let mut rig =
        Rig::new(FrontierOptions { max_depth: Some(2), ..options() }, &["http://a/", "http://a/b"]);
    let seeds = rig.jobs();
    assert_eq!(seeds.len(), 2);
    rig.read(seeds[0].id, &[("http://a/1", Kind::Page), ("http://a/i.png", Kind::Image)]);
    assert_eq!(rig.urls(), ["http://a/i.png"], "the next level waits for the other seed");
    rig.read(seeds[1].id, &[]);
    let one = rig.one();
    assert!(one.follow);
    rig.read(one.id, &[("http://a/2", Kind::Page)]);
    let two = rig.one();
    assert!(!two.follow);
    rig.read(two.id, &[("http://a/3", Kind::Page), ("http://a/j.png", Kind::Image)]);
    assert_eq!(rig.urls(), ["http://a/j.png"]);
}

#[test]
fn a_page_that_is_an_image_becomes_one_and_other_documents_are_no_failure() {
    let mut rig = Rig::new(options(), &["http://a/"]);
    let seed = rig.one();
    rig.read(seed.id, &[("http://a/photo", Kind::Page), ("http://a/paper", Kind::Page)]);
    let jobs = rig.jobs();
    let other = |content_type: &str, image| Outcome::OtherType {
        content_type: content_type.to_owned(),
        image,
    };
    rig.report(jobs[0].id, other("image/png", true));
    rig.report(jobs[1].id, other("application/pdf", false));
    assert_eq!(rig.causes(), []);
    let image = rig.one();
    assert_eq!((image.kind, image.page.as_deref()), (Kind::Image, Some("http://a/")));
}

#[test]
fn there_is_never_more_than_there_is_room_for() {
    let mut rig = Rig::new(options(), &["http://a/"]);
    let seed = rig.one();
    let urls: Vec<String> = (0..100).map(|n| format!("http://a/{n}")).collect();
    let links: Vec<(&str, Kind)> = urls
        .iter()
        .flat_map(|url| [(url.as_str(), Kind::Page), (url.as_str(), Kind::Image)])
        .collect();
    rig.read(seed.id, &links);
    let jobs = rig.frontier.next_jobs(rig.now, Room { links: 3, images: 0 }).unwrap();
    assert_eq!(jobs.len(), 3);
    assert!(jobs.iter().all(|job| job.kind == Kind::Page));
    let jobs = rig.frontier.next_jobs(rig.now, Room { links: 0, images: 50 }).unwrap();
    assert_eq!(jobs.len(), 50);
    assert!(jobs.iter().all(|job| job.kind == Kind::Image));
    assert_eq!(rig.jobs().len(), 147);
}
