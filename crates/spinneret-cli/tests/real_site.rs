//! A real site behind a real server: the manual of aptitude behind nginx. What must be saved is
//! found by a walk of this file's own over the files, which shares nothing with the program.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a helper of tests may fail by panicking")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use common::nginx::Nginx;
use common::{Nest, assert_crawled, failures, images};

/// What a walk over the files finds, by paths as they stand in addresses.
#[derive(Default)]
struct Truth {
    pages: BTreeSet<String>,
    images: BTreeMap<String, Vec<u8>>,
}

fn root() -> PathBuf {
    let folder = std::env::var_os("SPINNERET_REAL_SITE").expect(
        "SPINNERET_REAL_SITE is not set: run the tests by `./test`, which unpacks the site, or \
         set it to a folder with Debian's aptitude-doc-en unpacked by dpkg -x",
    );
    let root = Path::new(&folder).join("usr/share/doc/aptitude/html/en");
    // nginx is told one folder, wherever it is linked from.
    root.canonicalize().unwrap_or_else(|error| panic!("{}: {error}", root.display()))
}

/// The quoted values of an attribute such as `href=` or of `url(`, wherever they stand.
fn values<'a>(text: &'a str, before: &str) -> Vec<&'a str> {
    let starts = text.split(before).skip(1);
    starts.map(|rest| rest.split(['"', '\'', ')']).find(|part| !part.is_empty()).unwrap()).collect()
}

/// The path that a reference leads to from a page; none if it leaves the site.
fn resolve(page: &str, reference: &str) -> Option<String> {
    let reference = reference.split(['#', '?']).next().unwrap();
    if reference.is_empty() || reference.contains(':') || reference.starts_with("//") {
        return None;
    }
    let folder = page.rsplit_once('/').unwrap().0;
    let whole = match reference.strip_prefix('/') {
        Some(absolute) => format!("/{absolute}"),
        None => format!("{folder}/{reference}"),
    };
    let mut parts: Vec<&str> = Vec::new();
    for part in whole.split('/').skip(1) {
        match part {
            "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    Some(format!("/{}", parts.join("/")))
}

/// Walks from `start` over the files below `root`.
fn walk(root: &Path, start: &str) -> Truth {
    let mut truth = Truth::default();
    let mut open = vec![start.to_owned()];
    let mut seen = BTreeSet::from([start.to_owned()]);
    while let Some(path) = open.pop() {
        let file = root.join(&path[1..]);
        let Ok(bytes) = fs::read(&file) else { continue };
        let ending = file.extension().unwrap_or_default().to_str().unwrap();
        match ending {
            "html" => truth.pages.insert(path.clone()),
            "css" => true,
            "png" | "gif" | "jpg" | "svg" | "ico" => {
                truth.images.insert(path, bytes);
                continue;
            }
            _ => continue,
        };
        let text = String::from_utf8_lossy(&bytes).into_owned();
        // Only what is shown: a link to an image is followed as a page, and is an image all the
        // same.
        let found = ["href=", "src=", "url("].map(|before| values(&text, before));
        for reference in found.concat() {
            if let Some(target) = resolve(&path, reference)
                && seen.insert(target.clone())
            {
                open.push(target);
            }
        }
    }
    truth
}

#[test]
fn the_manual_of_aptitude_is_saved_whole() {
    let (nest, root) = (Nest::new(), root());
    let truth = walk(&root, "/index.html");
    // A walk that finds nothing would prove nothing.
    assert!(truth.pages.len() >= 80, "{} pages", truth.pages.len());
    assert!(truth.images.len() >= 35, "{} images", truth.images.len());
    let server = Nginx::open(&nest, &root);
    let seed = server.url("/index.html");
    let ended = nest.run(&common::crawl_args(&seed, &["--workers", "2", "--strict"])).expect(0);
    let expected: BTreeMap<_, _> =
        truth.images.iter().map(|(path, bytes)| (server.url(path), bytes)).collect();
    assert_crawled(&nest.out(), &expected);
    assert_eq!(ended.count("pages"), truth.pages.len() as u64);
    assert_eq!(ended.count("images_saved"), truth.images.len() as u64);
    assert!(failures(&nest.out()).is_empty());

    // The server's own log: nothing was asked for twice, by nobody but us.
    let log = fs::read_to_string(nest.path("nginx/access.log")).unwrap();
    let mut asked = BTreeMap::<&str, u64>::new();
    for line in log.lines() {
        assert!(line.contains("\"spinneret/"), "{line}");
        *asked.entry(line.split('"').nth(1).unwrap()).or_default() += 1;
    }
    let twice: Vec<_> = asked.iter().filter(|(_, count)| **count > 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
    assert_eq!(images(&nest.out()).len(), truth.images.len());
}
