//! A crawl saves every image that its site has, byte for byte, once each, and says of all else why
//! it could not be had.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a helper of tests may fail by panicking")]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::{Nest, Site, assert_crawled, failures, images};

/// The cabinet of failures: address and cause, whether it is tried again, and where it stands.
const BROKEN: [(&str, &str, u64); 19] = [
    ("/broken/missing.png", "http_404", 1),
    ("/broken/gone.png", "http_410", 1),
    ("/broken/locked.png", "http_403", 1),
    ("/broken/error.png", "http_500", 3),
    ("/broken/no-such-room", "http_404", 1),
    ("/broken/room-on-fire", "http_500", 3),
    ("/broken/shredded", "invalid_encoding", 1),
    ("/broken/shredded.png", "invalid_encoding", 1),
    ("/broken/page.png", "not_an_image", 1),
    ("/broken/unknown-coding.png", "not_an_image", 1),
    ("/broken/empty.png", "empty", 1),
    ("/broken/cut-short.png", "truncated", 3),
    ("/broken/cut-chunk.png", "truncated", 3),
    ("/broken/bomb.png", "too_large", 1),
    ("/broken/ten-gigabytes.png", "too_large", 1),
    ("/broken/nowhere.png", "invalid_redirect", 1),
    ("/loop/1", "redirect_loop", 1),
    ("/forever/1", "too_many_redirects", 1),
    ("/forever/100", "too_many_redirects", 1),
];

/// Links of the page `/cabinet/malformed` that are no addresses, as they stand there.
const MALFORMED: [&str; 6] = [
    "http://[::1",
    "http://:80/",
    "http://exa mple.invalid/",
    "http://host:99999/",
    "http://",
    "//",
];

/// Every line that belongs in `failures.jsonl`, as address and cause.
fn expected_failures(site: &Site) -> BTreeSet<(String, String)> {
    let mut expected: Vec<(String, &str)> =
        BROKEN.iter().map(|(path, cause, _)| (site.url(path), *cause)).collect();
    for (address, reason) in &site.expected.failures {
        match *reason {
            "connection refused" => expected.push((address.clone(), "connection_refused")),
            "unresolvable host" => expected.push((address.clone(), "unresolvable_host")),
            // The table must know every other one.
            reason => assert!(
                BROKEN.iter().any(|(path, ..)| path == address),
                "no cause is expected for {address} ({reason})"
            ),
        }
    }
    // What the storerooms hold is never heard of, since nobody reads their page.
    let forbidden = site.expected.forbidden.iter().filter(|path| *path != "/private/vault.png");
    expected.extend(forbidden.map(|path| (site.url(path), "robots")));
    expected.extend(MALFORMED.map(|link| (link.to_owned(), "malformed_address")));
    // Both are read all the same; the first stands behind the sign at `/moved/308`.
    expected.push((site.url("/moved/308"), "invalid_text"));
    expected.push((site.url("/tongues/unknown"), "unknown_charset"));
    expected.into_iter().map(|(url, cause)| (url, cause.to_owned())).collect()
}

#[test]
fn the_museum_is_saved_whole_and_its_failures_are_named() {
    let (nest, site) = (Nest::new(), Site::museum());
    let seed = site.url("/");
    let args = common::crawl_args(&seed, &["--workers", "2", "--max-image", "4M"]);
    let ended = nest.run(&args).expect(0);

    assert_crawled(&nest.out(), &site.images());
    let lines = failures(&nest.out());
    let found: BTreeSet<_> = lines.iter().map(|f| (f.url.clone(), f.cause.clone())).collect();
    assert_eq!(found, expected_failures(&site));
    assert_eq!(found.len(), lines.len(), "a failure is listed twice");
    for failure in &lines {
        assert!(failure.page.is_some() && !failure.detail.is_empty(), "{failure:?}");
    }

    // The summary says what the lists say.
    let saved = images(&nest.out());
    assert_eq!(ended.count("pages"), site.expected.pages.len() as u64);
    assert_eq!(ended.count("images_saved"), saved.len() as u64);
    assert_eq!(ended.count("bytes"), saved.iter().map(|image| image.bytes).sum::<u64>());
    let failed_images = lines.iter().filter(|failure| failure.kind == "image").count();
    assert_eq!(ended.count("images_found"), (saved.len() + failed_images) as u64);
    let mut by_cause = BTreeMap::<&str, u64>::new();
    for failure in &lines {
        *by_cause.entry(&failure.cause).or_default() += 1;
    }
    assert_eq!(ended.summary()["failures"], serde_json::to_value(by_cause).unwrap());
    assert!(ended.summary()["seconds"].as_f64().unwrap() > 0.0);

    // Nothing was asked for that should not be, and nothing twice but what may have passed.
    let hits = site.server.hits();
    for never in site.expected.forbidden.iter().chain(&site.expected.ghosts) {
        assert_eq!(hits.get(never), None, "{never} was asked for");
    }
    let tries: BTreeMap<_, _> = BROKEN.iter().map(|(path, _, tries)| (*path, *tries)).collect();
    for (target, count) in &hits {
        assert_eq!(*count, tries.get(target.as_str()).copied().unwrap_or(1), "{target}");
    }
    assert!(hits.contains_key("/robots.txt"));
    let agents = site.server.user_agents();
    assert!(agents.iter().all(|agent| agent.starts_with("spinneret/")), "{agents:?}");
}

#[test]
fn a_line_says_where_its_image_was_found_and_what_it_is() {
    let (nest, site) = (Nest::new(), Site::synthetic(3, 2, 0));
    let seed = site.url("/");
    nest.run(&common::crawl_args(&seed, &["--workers", "1"])).expect(0);
    let lines = images(&nest.out());
    assert_eq!(lines.len(), 6);
    for image in lines {
        let number = image.url.rsplit('/').nth(1).unwrap();
        let page = if number == "0" { site.url("/") } else { site.url(&format!("/page/{number}")) };
        assert_eq!(image.page, Some(page));
        assert_eq!(image.content_type, "image/png");
        assert_eq!(image.stored_on, None);
        let host = site.server.addr().to_string().replace(':', "+");
        assert!(image.path.starts_with(&format!("images/{host}/image/")), "{}", image.path);
    }
    let text = std::fs::read_to_string(nest.out().join("images.jsonl")).unwrap();
    let first: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!((&first["width"], &first["height"]), (&8.into(), &8.into()));
    assert!(first["fetched_at"].as_str().unwrap().ends_with('Z'));
}

#[test]
fn the_scope_and_the_depth_bound_what_is_followed() {
    let (nest, site) = (Nest::new(), Site::synthetic(30, 1, 0));
    let seed = site.url("/");
    // Pages 0 to 8 are at most one link away.
    let ended = nest.run(&common::crawl_args(&seed, &["--workers", "1", "--depth", "1"])).expect(0);
    assert_eq!((ended.count("pages"), ended.count("images_saved")), (9, 9));
    // Below `/page/`, what only `/` links to is out of reach.
    let nest = Nest::new();
    let seed = site.url("/page/1");
    let args = common::crawl_args(&seed, &["--workers", "1", "--scope", "prefix"]);
    let ended = nest.run(&args).expect(0);
    assert_eq!((ended.count("pages"), ended.count("images_saved")), (9, 9));
}

#[test]
fn the_demo_needs_no_network_and_says_what_it_did() {
    let nest = Nest::new();
    let ended = nest.run(&["demo", "-o", "demo", "--json"]).expect(0);
    let museum = spinneret_demo_site::DemoSite::build().expected();
    assert_eq!(ended.count("pages"), museum.pages.len() as u64);
    assert_eq!(ended.count("images_saved"), museum.images.len() as u64);
    assert_eq!(images(&nest.path("demo")).len(), museum.images.len());
    // Someone else's folder stays, even that of a crawl.
    std::fs::create_dir_all(nest.path("mine/.spinneret")).unwrap();
    nest.write("mine/notes.txt", "mine");
    let refused = nest.run(&["demo", "-o", "mine"]).expect(2);
    assert!(refused.stderr.contains("another folder"), "{}", refused.stderr);
    assert_eq!(std::fs::read_to_string(nest.path("mine/notes.txt")).unwrap(), "mine");
}
