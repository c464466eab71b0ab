//! The dashboard of a crawl: its manager's queues and connections, and what it has done so far.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a helper of tests may fail by panicking")]

mod common;

use std::collections::BTreeMap;
use std::net::TcpListener;

use common::handmade::{Handmade, PIXEL};
use common::watch::{get, parse_exposition, state};
use common::{Browser, Nest, Run, wait_until};
use serde_json::Value;

/// A site of two pages, three images and one that is missing, and a last image on a host that takes
/// connections and never answers: whoever crawls it comes to rest there, until `release`.
struct Site {
    pages: Handmade,
    silent: TcpListener,
}

impl Site {
    fn open() -> Self {
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let never = format!("<img src=http://{}/never.gif>", silent.local_addr().unwrap());
        let start =
            format!("<a href=/two><img src=/a.gif><img src=/b.gif><img src=/none.gif>{never}");
        let image = || ("image/gif", PIXEL.to_vec());
        let pages = Handmade::open(BTreeMap::from([
            ("/", ("text/html", start.into_bytes())),
            ("/two", ("text/html", b"<img src=/a.gif><img src=/c.gif>".to_vec())),
            ("/a.gif", image()),
            ("/b.gif", image()),
            ("/c.gif", image()),
        ]));
        Self { pages, silent }
    }

    /// Refuses the last image.
    fn release(self) {
        drop(self.silent);
    }
}

/// Starts a crawl with a dashboard, whose address is returned.
fn start(nest: &Nest, args: &[&str]) -> (Run, String) {
    let more = ["--allow-private", "--json", "--read-timeout", "100", "--dashboard", "0"];
    let mut run = nest.start(&[args, &["-o", "out"], &more].concat());
    let address = run.wait_for_stderr("dashboard on http://");
    assert!(address.starts_with("127.0.0.1:"), "{address}");
    (run, address)
}

/// Waits until so many workers have saved so many images, and have nothing left but the silent host;
/// the state then.
fn at_rest(address: &str, workers: u64, saved: u64) -> Value {
    let mut now = Value::Null;
    wait_until("the crawl is at rest", || {
        now = state(address, 0);
        let crawl = &now["crawl"];
        crawl["images_saved"] == saved
            && crawl["failures"]["http_404"] == 1
            && crawl["workers"] == workers
            // What is done is reported before its lease ends.
            && leased(&now) == 1
    });
    now
}

/// Jobs that workers have.
fn leased(state: &Value) -> u64 {
    let queues = state["queues"].as_array().unwrap();
    queues.iter().map(|queue| queue["leased"].as_u64().unwrap()).sum()
}

#[test]
fn a_crawl_shows_its_queues_its_workers_and_what_it_has_done() {
    let (nest, site) = (Nest::new(), Site::open());
    let seed = site.pages.url("/");
    let (run, address) = start(&nest, &["crawl", &seed, "--workers", "2"]);
    let now = at_rest(&address, 2, 3);
    let crawl = &now["crawl"];
    assert_eq!((&crawl["pages"], &crawl["images_found"]), (&2.into(), &5.into()));
    assert_eq!(crawl["bytes"], 3 * PIXEL.len());
    assert_eq!((&crawl["waiting"], &crawl["in_flight"]), (&1.into(), &1.into()));
    let queues = now["queues"].as_array().unwrap();
    let names: Vec<_> = queues.iter().map(|queue| queue["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["images", "links", "results"]);
    // The silent host's robots.txt.
    assert_eq!(queues[1]["leased"], 1);
    assert!(queues[0]["done"].as_u64() >= Some(4), "{queues:?}");
    assert_eq!(now["connections"]["total"], 2);
    let first = now["connections"]["first"][0]["name"].as_str().unwrap();
    assert!(first.starts_with("crawl-worker-"), "{first}");

    let samples = parse_exposition(&get(&address, "/metrics"));
    let of = |name: &str| samples[&format!("spinneret_crawl_{name}")].as_str();
    assert_eq!((of("pages_total"), of("images_found_total")), ("2", "5"));
    assert_eq!((of("images_saved_total"), of("in_flight")), ("3", "1"));
    assert_eq!(of("image_bytes_total"), (3 * PIXEL.len()).to_string());
    assert_eq!((of("waiting"), of("workers")), ("1", "2"));
    assert_eq!(of(r#"failures_total{cause="http_404"}"#), "1");
    assert_eq!(samples[r#"spinneret_queue_leased{queue="links"}"#], "1");

    let mut browser = Browser::start();
    browser.resize(1280, 1000);
    browser.open(&format!("http://{address}/"));
    browser.wait_until("document.querySelector('#status').dataset.state === 'live'");
    assert_eq!(browser.text("h1"), "spinneret crawl");
    assert_eq!(browser.text("#crawl-pages span"), "2");
    assert_eq!(browser.text("#crawl-saved span"), "3");
    assert_eq!(browser.text("#crawl-failed"), "1");
    assert_eq!(browser.text("#crawl-causes"), "failed: 1 http_404");
    let visible = |id: &str| format!("document.querySelector('{id}').checkVisibility()");
    assert_eq!(browser.eval(&visible("#crawl")), true);
    assert_eq!(browser.eval(&visible("#cluster")), false);
    for (width, scheme) in [(400, "dark"), (1280, "light")] {
        browser.resize(width, 1000);
        browser.prefer(scheme);
        browser.wait_until(&format!("document.documentElement.scrollWidth <= {width}"));
        if let Some(folder) = std::env::var_os("SPINNERET_SCREENSHOTS") {
            let file = std::path::Path::new(&folder).join(format!("crawl-{width}-{scheme}.png"));
            std::fs::write(file, browser.screenshot()).unwrap();
        }
    }
    assert_eq!(browser.take_errors(), [""; 0]);

    site.release();
    let ended = run.finish().expect(0);
    assert_eq!((ended.count("pages"), ended.count("images_saved")), (2, 3));
    assert_eq!(ended.stdout.lines().count(), 1, "{}", ended.stdout);
    assert!(std::net::TcpStream::connect(&address).is_err());
}

#[test]
fn a_download_shows_what_it_has_saved() {
    let (nest, site) = (Nest::new(), Site::open());
    let host = site.silent.local_addr().unwrap();
    let list = ["/a.gif", "/b.gif", "/none.gif"].map(|path| site.pages.url(path)).join("\n");
    let list = nest.write("list.txt", format!("{list}\nhttp://{host}/never.gif\n"));
    let (run, address) = start(&nest, &["download", &list, "--workers", "1"]);
    let now = at_rest(&address, 1, 2);
    assert_eq!((&now["crawl"]["pages"], &now["crawl"]["images_found"]), (&0.into(), &4.into()));
    site.release();
    assert_eq!(run.finish().expect(0).count("images_saved"), 2);
}

#[test]
fn an_address_in_use_is_refused_before_anything_is_changed() {
    let nest = Nest::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let list = nest.write("list.txt", "http://127.0.0.1:1/a.gif\n");
    for args in [["crawl", "http://127.0.0.1:1/"], ["download", &list]] {
        let args = [&args[..], &["--allow-private", "-o", "out", "--dashboard"]].concat();
        let refused = nest.run(&[&args[..], &[&taken]].concat()).expect(3);
        let message = format!("the dashboard cannot listen on {taken}: Address already in use");
        assert!(refused.stderr.contains(&message), "{}", refused.stderr);
        assert!(refused.stdout.is_empty() && !nest.out().exists(), "{}", refused.stdout);
        let wrong = nest.run(&[&args[..], &["nowhere"]].concat()).expect(2);
        assert!(wrong.stderr.contains("HOST:PORT"), "{}", wrong.stderr);
    }
}
