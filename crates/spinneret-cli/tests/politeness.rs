//! A crawl keeps to what a host asks for and to the pace it was told.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a helper of tests may fail by panicking")]

mod common;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use common::handmade::Handmade;
use common::{Nest, Site, assert_crawled, failures, images};

/// The pauses between requests, in order of arrival.
fn gaps(mut times: Vec<Instant>) -> Vec<Duration> {
    times.sort();
    times.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

/// The smallest image that there is: a GIF of one pixel.
fn pixel() -> Vec<u8> {
    b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff,\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;".to_vec()
}

#[test]
fn what_robots_txt_forbids_is_fetched_only_by_request() {
    let site = Site::museum();
    let seed = site.url("/");
    let nest = Nest::new();
    let args = ["--workers", "2", "--max-image", "1M", "--attempts", "1"];
    let ended = nest.run(&common::crawl_args(&seed, &args)).expect(0);
    assert_eq!(ended.failed("robots"), 3);
    for forbidden in &site.expected.forbidden {
        assert_eq!(site.hits(forbidden), 0, "{forbidden}");
    }
    assert_eq!(site.hits("/robots.txt"), 1);
    // The longer rule allows a corner of what is forbidden.
    assert_eq!(site.hits("/private/visitors/badge.png"), 1);

    let nest = Nest::new();
    let args = ["--workers", "2", "--max-image", "1M", "--attempts", "1", "--ignore-robots"];
    let ended = nest.run(&common::crawl_args(&seed, &args)).expect(0);
    assert_eq!(ended.failed("robots"), 0);
    for forbidden in &site.expected.forbidden {
        assert_eq!(site.hits(forbidden), 1, "{forbidden}");
    }
    assert_eq!(site.hits("/robots.txt"), 1, "robots.txt was read, though it is ignored");
    let vault = site.url("/private/vault.png");
    assert!(images(&nest.out()).iter().any(|image| image.url == vault));
}

#[test]
fn a_delay_is_kept_by_all_workers_together() {
    let (nest, site) = (Nest::new(), Site::synthetic(3, 4, 0));
    let seed = site.url("/");
    nest.run(&common::crawl_args(&seed, &["--workers", "2", "--delay", "0.2"])).expect(0);
    assert_crawled(&nest.out(), &site.images());
    let times: Vec<_> = site.server.requests().iter().map(|hit| hit.at).collect();
    assert_eq!(times.len(), 1 + 3 + 12, "robots.txt, pages, images");
    let shortest = gaps(times).into_iter().min().unwrap();
    assert!(shortest >= Duration::from_millis(150), "{shortest:?}");
    assert_eq!(site.server.max_concurrent(), 1);
}

#[test]
fn a_host_that_is_slower_than_the_delay_gets_one_request_at_a_time() {
    let (nest, site) = (Nest::new(), Site::synthetic(2, 5, 60));
    let seed = site.url("/");
    nest.run(&common::crawl_args(&seed, &["--workers", "2", "--delay", "0.01"])).expect(0);
    assert_crawled(&nest.out(), &site.images());
    assert_eq!(site.server.max_concurrent(), 1);
}

#[test]
fn a_crawl_delay_in_robots_txt_is_kept() {
    let page = br#"<img src="/1.gif"><img src="/2.gif"><img src="/3.gif">"#;
    let site = Handmade::open(BTreeMap::from([
        ("/robots.txt", ("text/plain", b"User-agent: spinneret\nCrawl-delay: 0.3\n".to_vec())),
        ("/", ("text/html", page.to_vec())),
        ("/1.gif", ("image/gif", pixel())),
        ("/2.gif", ("image/gif", pixel())),
        ("/3.gif", ("image/gif", pixel())),
    ]));
    let nest = Nest::new();
    let seed = site.url("/");
    nest.run(&common::crawl_args(&seed, &["--workers", "2"])).expect(0);
    assert_eq!(images(&nest.out()).len(), 3);
    // Nobody could know of it before robots.txt was read.
    let times: Vec<_> = site.requests().iter().skip(1).map(|(at, _)| *at).collect();
    assert_eq!(times.len(), 4);
    let shortest = gaps(times).into_iter().min().unwrap();
    assert!(shortest >= Duration::from_millis(200), "{shortest:?}");
}

#[test]
fn a_robots_txt_that_breaks_forbids_everything() {
    let broken = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let site = Handmade::open(BTreeMap::from([
        ("/robots.txt", ("", broken.to_vec())),
        ("/", ("text/html", b"<img src=/1.gif>".to_vec())),
        ("/1.gif", ("image/gif", pixel())),
    ]));
    let nest = Nest::new();
    let seed = site.url("/");
    nest.run(&common::crawl_args(&seed, &["--workers", "1", "--attempts", "2"])).expect(0);
    assert_eq!(site.paths(), ["/robots.txt", "/robots.txt"]);
    let failures = failures(&nest.out());
    assert_eq!(failures.len(), 1);
    assert_eq!((failures[0].url.as_str(), failures[0].cause.as_str()), (seed.as_str(), "http_503"));
    assert!(failures[0].detail.contains("robots.txt"), "{}", failures[0].detail);
}

#[test]
fn a_page_that_asks_not_to_be_followed_is_not() {
    let page = b"<meta name=robots content=nofollow><img src=/1.gif><a href=/next>next</a>";
    let site = || {
        Handmade::open(BTreeMap::from([
            ("/", ("text/html", page.to_vec())),
            ("/next", ("text/html", b"<img src=/2.gif>".to_vec())),
            ("/1.gif", ("image/gif", pixel())),
            ("/2.gif", ("image/gif", pixel())),
        ]))
    };
    for (more, saved) in [(&["--workers", "1"][..], 1), (&["--workers", "1", "--ignore-robots"], 2)]
    {
        let (nest, site) = (Nest::new(), site());
        let seed = site.url("/");
        let ended = nest.run(&common::crawl_args(&seed, more)).expect(0);
        assert_eq!(ended.count("images_saved"), saved, "{:?}", site.paths());
        assert_eq!(site.paths().contains(&"/next".to_owned()), saved == 2);
    }
}

#[test]
fn the_user_agent_names_us_and_the_contact() {
    let (nest, site) = (Nest::new(), Site::synthetic(1, 1, 0));
    let seed = site.url("/");
    let args = ["--workers", "1", "--contact", "mail@example.org"];
    nest.run(&common::crawl_args(&seed, &args)).expect(0);
    let agents = site.server.user_agents();
    assert_eq!(agents.len(), 1);
    let agent = agents.first().unwrap();
    assert!(agent.starts_with("spinneret/") && agent.contains("mail@example.org"), "{agent}");
}
