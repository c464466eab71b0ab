//! Ctrl-C and SIGTERM end a crawl so that it can go on later.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a helper of tests may fail by panicking")]

mod common;

use common::procs::{children, wait_until_gone};
use common::{Ended, Nest, Run, Site, assert_crawled, wait_until};
use rustix::process::Signal;

const WORKERS: [&str; 4] = ["--workers", "2", "--concurrency", "4"];

/// Starts a crawl and waits until it is in the middle of things.
fn start_in_the_middle(nest: &Nest, site: &Site) -> Run {
    let seed = site.url("/");
    let run = nest.start(&common::crawl_args(&seed, &WORKERS));
    wait_until("images are fetched", || site.image_hits() >= 60);
    run
}

fn assert_resumes(nest: &Nest, site: &Site) -> Ended {
    let seed = site.url("/");
    let mut args = common::crawl_args(&seed, &WORKERS);
    args.push("--resume");
    let ended = nest.run(&args).expect(0);
    assert_crawled(&nest.out(), &site.images());
    ended
}

#[test]
fn ctrl_c_keeps_the_state_and_resume_goes_on() {
    let (nest, site) = (Nest::new(), Site::synthetic(40, 10, 20));
    let run = start_in_the_middle(&nest, &site);
    let workers = children(run.pid());
    assert_eq!(workers.len(), 2);
    run.signal_group(Signal::INT);
    let ended = run.finish().expect(130);
    wait_until_gone(&workers);
    let saved = ended.count("images_saved");
    assert!((1..400).contains(&saved), "{saved}");
    assert_eq!(common::images(&nest.out()).len() as u64, saved);
    assert!(ended.stderr.contains("--resume"), "{}", ended.stderr);
    let lowered = ended.stderr.to_lowercase();
    assert!(!lowered.contains("panick") && !lowered.contains("error"), "{}", ended.stderr);
    common::lists::assert_no_parts(&nest.out());

    // What was under way was waited for, so nothing at all is fetched twice.
    assert_resumes(&nest, &site);
    let hits = site.server.hits();
    let twice: Vec<_> =
        hits.iter().filter(|(path, count)| **count > 1 && *path != "/robots.txt").collect();
    assert!(twice.is_empty(), "fetched twice: {twice:?}");
}

#[test]
fn an_unfinished_crawl_is_not_begun_again_by_mistake() {
    let (nest, site) = (Nest::new(), Site::synthetic(40, 10, 20));
    let run = start_in_the_middle(&nest, &site);
    run.signal_group(Signal::INT);
    run.finish().expect(130);
    let before = common::images(&nest.out()).len();
    let seed = site.url("/");
    let refused = nest.run(&common::crawl_args(&seed, &WORKERS)).expect(3);
    assert!(refused.stderr.contains("--resume"), "{}", refused.stderr);
    assert_eq!(common::images(&nest.out()).len(), before, "the lists were touched");
    assert_resumes(&nest, &site);
}

#[test]
fn sigterm_to_the_crawl_alone_ends_it_just_so() {
    let (nest, site) = (Nest::new(), Site::synthetic(40, 10, 20));
    let run = start_in_the_middle(&nest, &site);
    let workers = children(run.pid());
    run.signal(Signal::TERM);
    run.finish().expect(130);
    wait_until_gone(&workers);
    assert_resumes(&nest, &site);
}

#[test]
fn a_second_ctrl_c_waits_for_nobody() {
    // Every answer takes a minute: a crawl that waits for them is caught by its own grace period.
    let (nest, site) = (Nest::new(), Site::synthetic(2, 2, 60_000));
    let seed = site.url("/");
    let mut run = nest.start(&common::crawl_args(&seed, &["--workers", "1", "--ignore-robots"]));
    wait_until("the page is asked for", || site.hits("/") == 1);
    let workers = children(run.pid());
    run.signal_group(Signal::INT);
    run.wait_for_stderr("interrupted: waiting");
    run.signal_group(Signal::INT);
    let ended = run.finish().expect(130);
    wait_until_gone(&workers);
    // The grace period is 15 seconds, and the summary counts them.
    assert!(ended.summary()["seconds"].as_f64() < Some(14.0), "{}", ended.stdout);
}

#[test]
fn two_crawls_do_not_share_a_folder() {
    let (nest, site) = (Nest::new(), Site::synthetic(40, 10, 20));
    let run = start_in_the_middle(&nest, &site);
    let seed = site.url("/");
    for more in [&["--workers", "1"][..], &["--workers", "1", "--resume"]] {
        let refused = nest.run(&common::crawl_args(&seed, more)).expect(3);
        assert!(refused.stderr.contains("another crawl"), "{}", refused.stderr);
    }
    run.finish().expect(0);
    assert_crawled(&nest.out(), &site.images());
}

#[test]
fn nothing_to_resume_is_said() {
    let nest = Nest::new();
    let refused = nest.run(&["crawl", "--resume", "-o", "out"]).expect(3);
    assert!(refused.stderr.contains("--resume"), "{}", refused.stderr);
}

#[test]
fn ctrl_c_is_heard_while_a_list_is_still_being_typed() {
    let nest = Nest::new();
    let mut command = nest.command(&["download", "-", "-o", "out", "--json"]);
    let (reader, writer) = std::io::pipe().unwrap();
    command.stdin(reader);
    let run = Run::start(command);
    wait_until("the list is open", || nest.out().join(".spinneret/frontier").exists());
    run.signal_group(Signal::INT);
    let ended = run.finish().expect(130);
    assert_eq!(ended.count("images_found"), 0);
    // Its writer was there all the time.
    drop(writer);
}
