//! Workers from elsewhere join a crawl, share its work, and may go as they came.

#![cfg(unix)]

mod common;

use std::path::Path;

use common::lists::assert_saved;
use common::procs::kill;
use common::{Ended, Nest, Run, Site, assert_crawled, images, wait_until};

/// Starts a crawl that workers can join; its program and address.
fn listen(nest: &Nest, site: &Site, more: &[&str]) -> (Run, String) {
    nest.write("key", "shared by all workers");
    let seed = site.url("/");
    let mut args = common::crawl_args(&seed, &["--listen", "127.0.0.1:0", "--authkey-file", "key"]);
    args.extend(more);
    let mut crawl = nest.start(&args);
    let address = crawl.wait_for_stderr("workers can join: spinneret worker ");
    (crawl, address)
}

fn join(nest: &Nest, address: &str, more: &[&str]) -> Run {
    let mut args = vec!["worker", address, "--authkey-file", "key"];
    args.extend(more);
    nest.start(&args)
}

/// A number that a worker printed at its end.
fn printed(ended: &Ended, name: &str) -> u64 {
    let line = ended.stdout.lines().find_map(|line| line.strip_prefix(name));
    let number = line.unwrap_or_else(|| panic!("no {name}: {} {}", ended.stdout, ended.stderr));
    number.trim().parse().unwrap_or_else(|_| panic!("{number:?} is no number"))
}

#[test]
fn a_worker_that_joins_shares_the_work() {
    // The crawl's own worker alone would take half a minute.
    let (nest, site) = (Nest::new(), Site::synthetic(60, 10, 50));
    let (crawl, address) = listen(&nest, &site, &["--workers", "1", "--concurrency", "1"]);
    let worker = join(&nest, &address, &[]).finish().expect(0);
    let ended = crawl.finish().expect(0);
    assert_crawled(&nest.out(), &site.images());
    let (jobs, saved) = (printed(&worker, "jobs done"), printed(&worker, "images saved"));
    assert!(jobs > 0 && saved > 0, "{}", worker.stdout);
    // 600 images, 60 pages and robots.txt: the other one did its part.
    assert!(jobs < 661, "{}", worker.stdout);
    assert_eq!(ended.count("images_saved"), 600);
}

#[test]
fn a_crawl_without_workers_of_its_own_waits_for_the_two_roles() {
    let (nest, site) = (Nest::new(), Site::synthetic(20, 5, 0));
    let (crawl, address) = listen(&nest, &site, &["--workers", "0"]);
    let links = join(&nest, &address, &["--role", "links"]);
    wait_until("the last page is read", || site.hits("/page/19") == 1);
    assert_eq!(site.image_hits(), 0, "a link finder fetched images");
    let finder = join(&nest, &address, &["--role", "images", "--concurrency", "4"]);
    crawl.finish().expect(0);
    assert_crawled(&nest.out(), &site.images());
    let (links, finder) = (links.finish().expect(0), finder.finish().expect(0));
    assert_eq!((printed(&links, "jobs done"), printed(&links, "images saved")), (21, 0));
    assert_eq!((printed(&finder, "jobs done"), printed(&finder, "images saved")), (100, 100));
}

#[test]
fn a_worker_may_keep_its_images_in_a_folder_of_its_own() {
    let (nest, site) = (Nest::new(), Site::synthetic(5, 5, 0));
    let (crawl, address) = listen(&nest, &site, &["--workers", "0"]);
    let worker = join(&nest, &address, &["-o", "elsewhere"]);
    crawl.finish().expect(0);
    worker.finish().expect(0);
    assert_saved(&nest.out(), &nest.path("elsewhere"), &site.images());
    let folder = nest.path("elsewhere").canonicalize().unwrap_or_default();
    for image in images(&nest.out()) {
        let stored_on = image.stored_on.unwrap_or_default();
        let (host, path) = stored_on.split_once(':').unwrap_or_default();
        assert!(!host.is_empty() && Path::new(path) == folder, "{stored_on}");
    }
    assert!(!nest.out().join("images").exists(), "images were stored in the crawl's folder, too");
}

#[test]
fn a_joined_worker_that_is_killed_loses_nothing() {
    let (nest, site) = (Nest::new(), Site::synthetic(40, 10, 20));
    let (crawl, address) = listen(&nest, &site, &["--workers", "0"]);
    let first = join(&nest, &address, &["--concurrency", "4"]);
    wait_until("images are fetched", || site.image_hits() >= 100);
    assert!(kill(first.pid()));
    drop(first);
    let second = join(&nest, &address, &[]);
    crawl.finish().expect(0);
    let second = second.finish().expect(0);
    assert_crawled(&nest.out(), &site.images());
    assert!(printed(&second, "jobs done") > 0);
    assert!(common::failures(&nest.out()).is_empty());
}

#[test]
fn a_worker_that_is_interrupted_leaves_its_work_to_others() {
    let (nest, site) = (Nest::new(), Site::synthetic(40, 10, 20));
    let (crawl, address) = listen(&nest, &site, &["--workers", "1", "--concurrency", "4"]);
    let worker = join(&nest, &address, &["--concurrency", "4"]);
    wait_until("images are fetched", || site.image_hits() >= 100);
    worker.signal_group(rustix::process::Signal::INT);
    worker.finish().expect(130);
    crawl.finish().expect(0);
    assert_crawled(&nest.out(), &site.images());
}

#[test]
fn no_workers_and_nobody_who_could_join_is_wrong_usage() {
    let nest = Nest::new();
    let wrong = nest.run(&["crawl", "http://127.0.0.1:9/", "--allow-private", "--workers", "0"]);
    assert!(wrong.expect(2).stderr.contains("--listen"));
}
