//! A disk that is full stops a crawl, and a crawl that goes on later has lost nothing.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a helper of tests may fail by panicking")]

mod common;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use common::handmade::{Handmade, PIXEL, Page};
use common::{Nest, assert_crawled};

/// Pages that are found quickly, each with more links than fit into one write of the crawl's
/// journal: what has ended must not get there before the lists have it.
fn site() -> (Handmade, Vec<&'static str>) {
    let mut pages = BTreeMap::<&'static str, Page>::new();
    let mut images = Vec::new();
    let mut start = String::new();
    for number in 0..20 {
        let path: &'static str = format!("/page{number}").leak();
        let _ = write!(start, "<a href={path}>");
        let mut html = String::new();
        for image in 0..40 {
            let name = format!("/{number}/{image}/{}.gif", "long".repeat(500));
            let name: &'static str = name.leak();
            let _ = write!(html, "<img src={name}>");
            pages.insert(name, ("image/gif", PIXEL.to_vec()));
            images.push(name);
        }
        pages.insert(path, ("text/html", html.into_bytes()));
    }
    pages.insert("/", ("text/html", start.into_bytes()));
    (Handmade::open(pages), images)
}

#[test]
fn a_list_that_cannot_be_written_stops_the_crawl_and_resume_loses_nothing() {
    let (nest, (site, paths)) = (Nest::new(), site());
    std::fs::create_dir(nest.out()).unwrap();
    let list = nest.out().join("images.jsonl");
    std::os::unix::fs::symlink("/dev/full", &list).unwrap();
    let seed = site.url("/");
    let stopped = nest.run(&common::crawl_args(&seed, &["--workers", "1"])).expect(3);
    assert!(stopped.stderr.contains("images.jsonl"), "{}", stopped.stderr);
    assert!(stopped.stderr.contains("No space left"), "{}", stopped.stderr);

    // Room again.
    std::fs::remove_file(&list).unwrap();
    let resumed = nest.run(&common::crawl_args(&seed, &["--workers", "1", "--resume"])).expect(0);
    let expected = paths.into_iter().map(|path| (site.url(path), PIXEL)).collect();
    assert_crawled::<&[u8]>(&nest.out(), &expected);
    assert_eq!(resumed.count("images_saved"), 800);
}
