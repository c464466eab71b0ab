//! Whatever is killed, and when: nothing is lost, nothing is listed twice, nothing is left behind.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a helper of tests may fail by panicking")]

mod common;

use std::collections::BTreeMap;

use common::procs::{children, kill, wait_until_gone};
use common::{Image, Nest, Site, assert_crawled, failures, images, wait_until};

#[test]
fn workers_that_are_killed_cost_a_second_fetch_and_nothing_else() {
    let (nest, site) = (Nest::new(), Site::synthetic(50, 12, 20));
    let seed = site.url("/");
    let run = nest.start(&common::crawl_args(&seed, &["--workers", "2", "--concurrency", "4"]));
    // One of two, the other, then both at once.
    let mut killed = 0;
    for (images, victims) in [(60, 1), (200, 1), (350, 2)] {
        wait_until("images are fetched", || site.image_hits() >= images);
        let mut workers = children(run.pid());
        wait_until("the workers are there", || {
            workers = children(run.pid());
            workers.len() >= victims
        });
        killed += workers.iter().take(victims).filter(|worker| kill(**worker)).count();
        wait_until_gone(&workers[..victims]);
    }
    assert_eq!(killed, 4);
    let ended = run.finish().expect(0);
    assert_crawled(&nest.out(), &site.images());
    assert_eq!(ended.count("images_saved"), 600);
    assert_eq!(ended.count("pages"), 50);
    assert!(failures(&nest.out()).is_empty());
}

/// Kills the crawl itself once the site was asked for this many images, resumes it, and compares.
fn kill_the_crawl_at(moment: u64) {
    let (nest, site) = (Nest::new(), Site::synthetic(40, 10, 15));
    let seed = site.url("/");
    let args = common::crawl_args(&seed, &["--workers", "2", "--concurrency", "4"]);
    let run = nest.start(&args);
    wait_until("images are fetched", || site.image_hits() >= moment);
    let workers = children(run.pid());
    assert!(!workers.is_empty());
    assert!(kill(run.pid()));
    wait_until_gone(&workers);
    drop(run);

    // A line cut short by the kill does not count.
    let mut before = std::fs::read_to_string(nest.out().join("images.jsonl")).unwrap();
    before.truncate(before.rfind('\n').map_or(0, |end| end + 1));
    let listed: Vec<Image> =
        before.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let hits_before = site.server.hits();
    assert!((listed.len() as u64) < site.expected.images.len() as u64, "killed too late");

    let resumed = common::crawl_args(&seed, &["--workers", "2", "--resume"]);
    let ended = nest.run(&resumed).expect(0);
    assert_crawled(&nest.out(), &site.images());
    assert!(failures(&nest.out()).is_empty());
    assert_eq!(ended.count("images_saved"), 400);
    assert_eq!(ended.count("images_found"), 400);
    assert_eq!(ended.count("pages"), 40);
    let hits = site.server.hits();
    let by_url: BTreeMap<String, u64> =
        hits.iter().map(|(path, count)| (site.url(path), *count)).collect();
    for image in listed {
        let path = &image.url[site.url("").len()..];
        assert_eq!(by_url[&image.url], hits_before[path], "{} was fetched again", image.url);
    }
}

#[test]
fn a_crawl_killed_near_its_beginning_is_resumed() {
    kill_the_crawl_at(1);
}

#[test]
fn a_crawl_killed_in_its_middle_is_resumed() {
    kill_the_crawl_at(200);
}

#[test]
fn a_crawl_killed_near_its_end_is_resumed() {
    kill_the_crawl_at(370);
}

#[test]
fn a_crawl_killed_again_and_again_gets_there() {
    let (nest, site) = (Nest::new(), Site::synthetic(30, 10, 15));
    let seed = site.url("/");
    let mut args = common::crawl_args(&seed, &["--workers", "1", "--concurrency", "4"]);
    for moment in [40, 110, 180] {
        let run = nest.start(&args);
        wait_until("images are fetched", || site.image_hits() >= moment);
        let workers = children(run.pid());
        assert!(kill(run.pid()));
        wait_until_gone(&workers);
        drop(run);
        if !args.contains(&"--resume") {
            args.push("--resume");
        }
    }
    // The addresses may be left out now.
    args.retain(|arg| *arg != seed);
    nest.run(&args).expect(0);
    assert_crawled(&nest.out(), &site.images());
}

#[test]
fn a_finished_crawl_that_is_resumed_fetches_nothing() {
    let (nest, site) = (Nest::new(), Site::synthetic(5, 4, 0));
    let seed = site.url("/");
    nest.run(&common::crawl_args(&seed, &["--workers", "1"])).expect(0);
    let requests = site.server.requests().len();
    let ended = nest.run(&common::crawl_args(&seed, &["--workers", "1", "--resume"])).expect(0);
    assert_eq!(site.server.requests().len(), requests);
    assert_eq!((ended.count("pages"), ended.count("images_saved")), (5, 20));
    assert_eq!(images(&nest.out()).len(), 20);
    assert_crawled(&nest.out(), &site.images());
}
