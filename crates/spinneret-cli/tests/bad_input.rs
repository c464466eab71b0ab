//! Whatever a site or a list throws at it, the program counts it, names it, and goes on.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a helper of tests may fail by panicking")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use common::handmade::{Handmade, PIXEL, Page};
use common::program::files_below;
use common::{Nest, Site, assert_crawled, failures, images};
use tokio::net::TcpSocket;

const HTML: &str = "text/html";

fn site(pages: &[(&'static str, Page)]) -> Handmade {
    Handmade::open(pages.iter().cloned().collect())
}

/// A port at which connections are refused, for as long as the socket is kept.
fn refusing_port() -> (TcpSocket, u16) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let port = socket.local_addr().unwrap().port();
    (socket, port)
}

/// Address and cause of each failure.
fn causes(out: &Path) -> BTreeSet<(String, String)> {
    let all = failures(out);
    let distinct: BTreeSet<_> = all.iter().map(|f| (f.url.clone(), f.cause.clone())).collect();
    assert_eq!(distinct.len(), all.len(), "a failure is listed twice");
    distinct
}

fn pairs<'a>(expected: impl IntoIterator<Item = (String, &'a str)>) -> BTreeSet<(String, String)> {
    expected.into_iter().map(|(url, cause)| (url, cause.to_owned())).collect()
}

#[test]
fn seeds_that_cannot_be_had_are_failures_and_the_others_are_crawled() {
    let (nest, museum, good) = (Nest::new(), Site::museum(), Site::synthetic(2, 2, 0));
    let (_held, port) = refusing_port();
    let text = site(&[("/notes.txt", ("text/plain", b"no page".to_vec()))]);
    let refused = format!("http://127.0.0.1:{port}/");
    let (forever, circle) = (museum.url("/forever/1"), museum.url("/loop/1"));
    let (nowhere, notes) = (museum.url("/broken/no-such-room"), text.url("/notes.txt"));
    let unresolvable = "http://no-such-host.invalid/".to_owned();
    let expected = pairs([
        (unresolvable.clone(), "unresolvable_host"),
        (refused.clone(), "connection_refused"),
        (forever.clone(), "too_many_redirects"),
        (circle.clone(), "redirect_loop"),
        (nowhere.clone(), "http_404"),
        (notes.clone(), "not_a_page"),
    ]);
    let seed = good.url("/");
    let more = [&unresolvable, &refused, &forever, &circle, &nowhere, &notes];
    let mut args = common::crawl_args(&seed, &["--workers", "1", "--attempts", "2"]);
    args.extend(more.map(String::as_str));
    let ended = nest.run(&args).expect(0);
    assert_crawled(&nest.out(), &good.images());
    assert_eq!(causes(&nest.out()), expected);
    assert_eq!(ended.summary()["failures"].as_object().unwrap().len(), expected.len());
    // The folder holds a finished crawl, so that the same may be run again, and strictly.
    args.push("--strict");
    nest.run(&args).expect(1);
    assert_eq!(causes(&nest.out()), expected);
}

#[test]
fn what_robots_txt_forbids_is_no_failure_to_be_strict_about() {
    let (nest, museum) = (Nest::new(), Site::museum());
    let seed = museum.url("/private/ledger");
    let ended = nest.run(&common::crawl_args(&seed, &["--workers", "1", "--strict"])).expect(0);
    assert_eq!(ended.failed("robots"), 1);
}

#[test]
fn traps_are_counted_and_cost_little() {
    let (nest, museum) = (Nest::new(), Site::museum());
    let url = |path: &str| museum.url(path);
    let broken = [
        ("/trap/huge", "too_large"),
        ("/trap/endless", "too_large"),
        ("/trap/hang-up", "truncated"),
        ("/trap/garbage", "invalid_response"),
        ("/trap/long-header", "invalid_response"),
        ("/trap/to-file", "invalid_redirect"),
        ("/broken/page.png", "not_an_image"),
        ("/broken/bomb.png", "too_large"),
        ("/broken/cut-short.png", "truncated"),
        ("/forever/100", "too_many_redirects"),
        ("/broken/nowhere.png", "invalid_redirect"),
        ("/tongues/unknown", "not_an_image"),
    ];
    let fine = ["/trap/flaky", "/trap/busy", "/trap/flaky?again", "/img/lobby/1.jpg"];
    let paths = broken.iter().map(|(path, _)| path).chain(&fine);
    let list = nest.write("list.txt", paths.map(|path| url(path) + "\n").collect::<String>());
    let args = ["--workers", "1", "--max-image", "1M", "--json", "--allow-private", "-o", "out"];
    let args = [&["download", &list][..], &args].concat();
    let ended = nest.run(&args).expect(0);
    assert_eq!(causes(&nest.out()), pairs(broken.map(|(path, cause)| (url(path), cause))));
    let saved: BTreeSet<_> = images(&nest.out()).into_iter().map(|image| image.url).collect();
    assert_eq!(saved, fine.map(url).into());
    common::lists::assert_no_parts(&nest.out());
    assert_eq!(ended.count("images_found"), (broken.len() + fine.len()) as u64);
    assert_eq!(ended.count("pages"), 0);
    assert_eq!((museum.hits("/trap/flaky"), museum.hits("/trap/busy")), (3, 2));
}

#[test]
fn a_server_that_goes_to_sleep_is_left() {
    let (nest, museum) = (Nest::new(), Site::museum());
    let traps = ["/trap/held", "/trap/trickle"].map(|path| museum.url(path));
    let list = nest.write("list.txt", traps.join("\n"));
    let limits = ["--attempts", "1", "--read-timeout", "1", "--timeout", "2", "--workers", "1"];
    let args = ["download", &list, "--json", "--allow-private", "-o", "out"];
    let ended = nest.run(&[&args[..], &limits].concat()).expect(0);
    assert_eq!(causes(&nest.out()), pairs(traps.map(|url| (url, "timeout"))));
    assert_eq!(ended.failed("timeout"), 2);
    common::lists::assert_no_parts(&nest.out());
}

#[test]
fn a_page_that_is_damaged_gives_what_it_has() {
    let cut = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 1000\r\n\
                Connection: close\r\n\r\n<img src=/never.gif>";
    let large = [b"<img src=/never.gif>".to_vec(), vec![b' '; 20_000]].concat();
    let start = b"<a href=/latin>1</a><a href=/alien>2</a><a href=/cut>3</a><a href=/large>4</a>";
    let site = site(&[
        ("/", (HTML, start.to_vec())),
        ("/latin", ("text/html; charset=utf-8", b"\xe9t\xe9: <img src=/1.gif>\xc3".to_vec())),
        ("/alien", ("text/html; charset=klingon", b"<img src=/2.gif>".to_vec())),
        ("/cut", ("", cut.to_vec())),
        ("/large", (HTML, large)),
        ("/1.gif", ("image/gif", PIXEL.to_vec())),
        ("/2.gif", (HTML, PIXEL.to_vec())),
    ]);
    let (nest, seed) = (Nest::new(), site.url("/"));
    let args = ["--workers", "1", "--max-page", "10K", "--attempts", "1"];
    let ended = nest.run(&common::crawl_args(&seed, &args)).expect(0);
    let saved = ["/1.gif", "/2.gif"].map(|path| (site.url(path), PIXEL)).into();
    assert_crawled::<&[u8]>(&nest.out(), &saved);
    let expected = [
        ("/latin", "invalid_text"),
        ("/alien", "unknown_charset"),
        ("/cut", "truncated"),
        ("/large", "too_large"),
    ];
    assert_eq!(causes(&nest.out()), pairs(expected.map(|(path, cause)| (site.url(path), cause))));
    assert_eq!(ended.count("pages"), 3);
}

#[test]
fn no_name_leads_out_of_the_folder() {
    let names = [
        "/img/..%2F..%2F..%2F..%2Fescaped.gif",
        "/%2e%2e/%2e%2e/escaped.gif",
        "/../../../escaped.gif",
        "/img/..%5C..%5Cescaped.gif",
        "/img/show?file=../../../../escaped.gif",
        "/.ssh/.escaped.gif",
        "//escaped.gif",
        "/escaped/",
        "/escaped",
        "/escaped/x.gif",
    ];
    let page = names.map(|name| format!("<img src='.{name}'>")).concat();
    let image = ("image/gif", PIXEL.to_vec());
    let served = [
        "/img/..%2F..%2F..%2F..%2Fescaped.gif",
        "/escaped.gif",
        "/img/..%5C..%5Cescaped.gif",
        "/img/show?file=../../../../escaped.gif",
        "/.ssh/.escaped.gif",
        "//escaped.gif",
        "/escaped/",
        "/escaped",
        "/escaped/x.gif",
    ];
    let mut pages: BTreeMap<_, _> = served.map(|path| (path, image.clone())).into();
    pages.insert("/", (HTML, page.into_bytes()));
    let (nest, site) = (Nest::new(), Handmade::open(pages));
    let seed = site.url("/");
    nest.run(&common::crawl_args(&seed, &["--workers", "1"])).expect(0);
    let saved = served.map(|path| (site.url(path), PIXEL)).into();
    assert_crawled::<&[u8]>(&nest.out(), &saved);
    for file in files_below(&nest.path("")) {
        assert!(file.starts_with("out"), "{} was written", file.display());
    }
    for image in images(&nest.out()) {
        assert!(!image.path.contains("/.") && !image.path.starts_with('/'), "{}", image.path);
    }
}

const LIST: &str = "\
# the good\n{good}/image/0/0.png\n\n  {good}/image/0/1.png  \n{\"url\": \"{good}/image/1/0.png\"}\n\
not an address\nftp://a.org/x.png\n{\"url\": 7}\n{\"src\": \"x\"}\n{broken\n{good}/missing.png\n";

#[test]
fn broken_lines_of_a_list_are_named_and_the_others_fetched() {
    let good = Site::synthetic(2, 2, 0);
    let mut list = LIST.replace("{good}", &good.url("")).into_bytes();
    list.extend_from_slice(b"\xff\xfe\n");
    let common = ["--workers", "1", "--json", "--allow-private", "-o", "out"];
    // The last is a pipe by its name, as of `download <(program)`.
    for (from, strict) in [("list.txt", false), ("-", false), ("-", true), ("/dev/stdin", true)] {
        let nest = Nest::new();
        nest.write("list.txt", &list);
        let mut args = vec!["download", from];
        args.extend(common);
        args.extend(strict.then_some("--strict"));
        let ended = nest.run_with_input(&args, if from == "list.txt" { b"" } else { &list });
        let ended = ended.expect(i32::from(strict));
        let saved: BTreeSet<_> = images(&nest.out()).into_iter().map(|image| image.url).collect();
        let wanted = ["/image/0/0.png", "/image/0/1.png", "/image/1/0.png"];
        assert_eq!(saved, wanted.map(|path| good.url(path)).into());
        assert_eq!((ended.failed("malformed_address"), ended.failed("http_404")), (6, 1));
        let lines = failures(&nest.out());
        assert_eq!(lines.len(), 7);
        // The number of the line is what one needs to find it.
        for (number, text) in [(6, "not an address"), (7, "ftp://a.org/x.png"), (10, "{broken")] {
            let named = lines.iter().find(|failure| failure.url == text);
            let detail = &named.unwrap_or_else(|| panic!("{text}: {lines:?}")).detail;
            assert!(detail.contains(&format!("{number}:")), "{detail}");
        }
    }
}

#[test]
fn a_private_host_is_refused_unless_it_is_allowed() {
    let site = Site::synthetic(1, 1, 0);
    let port = site.server.addr().port();
    for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1"] {
        let nest = Nest::new();
        let seed = format!("http://{host}:{port}/");
        let refused = nest.run(&["crawl", &seed, "-o", "out"]).expect(3);
        assert!(refused.stderr.contains("--allow-private"), "{}", refused.stderr);
        assert!(!nest.out().exists());
    }
    let nest = Nest::new();
    let private = [
        format!("http://127.0.0.1:{port}/image/0/0.png"),
        format!("http://localhost:{port}/image/0/0.png"),
        "http://10.0.0.1/x.png".to_owned(),
        "http://169.254.169.254/latest/meta-data/".to_owned(),
        "http://[::1]/x.png".to_owned(),
    ];
    let list = nest.write("list.txt", private.join("\n"));
    let args = ["download", &list, "--workers", "1", "--json", "-o", "out"];
    let ended = nest.run(&args).expect(0);
    assert_eq!(ended.failed("private_address"), private.len() as u64);
    assert_eq!(causes(&nest.out()), pairs(private.map(|url| (url, "private_address"))));
    assert!(site.server.requests().is_empty(), "{:?}", site.server.requests());
}

#[test]
fn wrong_usage_is_told_from_failure() {
    let nest = Nest::new();
    for args in [
        &[][..],
        &["crawl"],
        &["fly"],
        &["crawl", "http://a.org", "--workers", "many"],
        &["crawl", "http://a.org", "--delay", "-1"],
        &["crawl", "http://a.org", "--scope", "galaxy"],
        &["crawl", "ftp://a.org/"],
        &["crawl", "http://[::1"],
        &["download"],
        &["manager", "--register", "tasks:maxsize=lots"],
        &["worker", "127.0.0.1:9", "--role", "boss"],
        &["queue", "127.0.0.1:9", "tasks", "steal"],
        // None of these would ever do anything.
        &["crawl", "http://a.org", "--concurrency", "0"],
        &["crawl", "http://a.org", "--attempts", "0"],
        &["crawl", "http://a.org", "--timeout", "0"],
        &["crawl", "http://a.org", "--max-image", "0"],
        &["worker", "127.0.0.1:9", "--concurrency", "0"],
        // And these are no addresses.
        &["crawl", "http://a.org", "--listen", "8001"],
        &["manager", "--listen", "127.0.0.1"],
        &["worker", "one"],
        &["queue", "one:http", "tasks"],
        &["demo", "--serve", "8000"],
        // Which of the two is meant?
        &["manager", "--listen", "127.0.0.1:0", "--register", "a", "--register", "a:maxsize=1"],
    ] {
        let wrong = nest.run(args).expect(2);
        assert!(!wrong.stderr.is_empty() && wrong.stdout.is_empty(), "{args:?}");
    }
    let missing = nest.run(&["download", "nowhere.txt"]).expect(2);
    assert!(missing.stderr.contains("nowhere.txt"), "{}", missing.stderr);
    // A Parquet file is read from its end, which a pipe does not have.
    let piped = nest.run_with_input(&["download", "/dev/stdin"], b"PAR1 and more");
    let piped = piped.expect(2);
    assert!(piped.stderr.contains("/dev/stdin"), "{}", piped.stderr);
    assert!(files_below(&nest.path("")).is_empty(), "something was written");
    assert!(nest.run(&["--help"]).expect(0).stdout.contains("crawl"));
}

#[test]
fn a_folder_that_cannot_be_written_is_refused() {
    let (nest, site) = (Nest::new(), Site::synthetic(1, 1, 0));
    nest.write("out", "a file stands here");
    let seed = site.url("/");
    let refused = nest.run(&common::crawl_args(&seed, &[])).expect(3);
    assert!(refused.stderr.contains("out"), "{}", refused.stderr);
    assert!(site.server.requests().is_empty());
}
