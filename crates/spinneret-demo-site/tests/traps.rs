//! Each thing that is broken on purpose is broken in the way that is said.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking, its helpers too")]

mod common;

use std::time::Duration;

use common::{answer, exchange, get, get_accepting, museum};
use spinneret_demo_site::{DemoSite, TRAPS};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Longer than any answer takes that is not meant to be slow.
const GENEROUS: Duration = Duration::from_secs(20);

#[tokio::test]
async fn every_failure_fails_in_its_way_and_at_once() {
    let server = museum().await;
    for (address, reason) in DemoSite::build().expected().failures {
        if !address.starts_with('/') {
            continue;
        }
        let answer = timeout(GENEROUS, get(server.addr(), &address)).await.expect(&address);
        match reason {
            "404 Not Found" | "404 for a page" => assert_eq!(answer.status, 404),
            "410 Gone" => assert_eq!(answer.status, 410),
            "403 Forbidden" => assert_eq!(answer.status, 403),
            "500 Internal Server Error" | "500 for a page" => assert_eq!(answer.status, 500),
            "a page declared as an image" => {
                assert_eq!(answer.header("content-type"), Some("image/png"));
                assert!(answer.body.starts_with(b"<!doctype html>"));
            }
            "empty body" => assert!(answer.status == 200 && answer.body.is_empty()),
            "body shorter than announced" | "chunked body cut off" => {
                assert!(answer.body.starts_with(b"\x89PNG") && !answer.whole, "{address}");
            }
            "body far too large" => {
                assert_eq!(answer.header("content-length"), Some("10000000000"));
                assert!(!answer.whole);
            }
            "corrupted gzip" => {
                assert_eq!(answer.header("content-encoding"), Some("gzip"));
                assert!(answer.whole && answer.decoded().is_err(), "{address}");
            }
            "decompression bomb" => {
                assert_eq!(answer.header("content-encoding"), Some("gzip"));
                assert!(answer.whole && answer.body.len() < 2 << 20, "{}", answer.body.len());
            }
            "image cut before its end" => {
                assert!(answer.whole && answer.body.starts_with(b"\xff\xd8"));
                assert!(!answer.body.ends_with(b"\xff\xd9"));
            }
            "unknown content coding" => {
                assert_eq!(answer.header("content-encoding"), Some("x-cocoon"));
                assert!(image::guess_format(&answer.body).is_err());
            }
            "redirects in a circle" => {
                assert_eq!(answer.header("location"), Some("/loop/2"));
                let back = get(server.addr(), "/loop/2").await;
                assert_eq!(back.header("location"), Some("/loop/1"));
            }
            "endless redirect" => {
                let (_, step) = address.rsplit_once('/').unwrap();
                let next = format!("/forever/{}", step.parse::<u64>().unwrap() + 1);
                assert_eq!(answer.header("location"), Some(next.as_str()));
            }
            "redirect without an address" => {
                assert!(answer.status == 302 && answer.header("location").is_none());
            }
            other => panic!("{address}: no check for {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_refused_connection_is_refused_while_the_site_lives() {
    let site = DemoSite::build();
    let failures = site.expected().failures;
    let (address, _) =
        failures.iter().find(|(_, reason)| **reason == "connection refused").unwrap();
    let host = address.strip_prefix("http://").unwrap().strip_suffix("/x.png").unwrap();
    let error = TcpStream::connect(host).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
    // Held: nobody else can listen there, so the test cannot depend on luck.
    assert!(std::net::TcpListener::bind(host).is_err());
    drop(site);
}

#[tokio::test]
async fn what_is_corrupted_is_so_whatever_the_client_accepts() {
    let server = museum().await;
    let answer = get_accepting(server.addr(), "/broken/shredded.png", "identity").await;
    assert_eq!(answer.header("content-encoding"), Some("gzip"));
}

#[tokio::test]
async fn every_trap_in_the_list_is_there_and_nothing_leads_to_it() {
    let site = DemoSite::build();
    let expected = site.expected();
    for (path, _) in TRAPS {
        assert!(!expected.failures.contains_key(path) && !expected.images.contains_key(path));
    }
    let server = museum().await;
    // An error of any kind but 404 shows that something is there; those that hold the line show
    // it by holding.
    for (path, _) in TRAPS {
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let mut stream = TcpStream::connect(server.addr()).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut start = [0; 12];
        if let Ok(Ok(read)) = timeout(Duration::from_millis(500), stream.read(&mut start)).await {
            assert_ne!(&start[..read], b"HTTP/1.1 404", "{path}");
        }
    }
}

#[tokio::test]
async fn the_slow_one_arrives_whole() {
    let server = museum().await;
    let slow = timeout(GENEROUS, get(server.addr(), "/trap/slow")).await.unwrap();
    assert!(slow.whole);
    image::load_from_memory(&slow.body).unwrap();
}

#[tokio::test]
async fn the_huge_and_the_trickling_one_start_well_and_hold_the_line() {
    let server = museum().await;
    for (path, announced) in [("/trap/huge", "10000000000"), ("/trap/trickle", "100000")] {
        let mut stream = TcpStream::connect(server.addr()).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        // Until a few bytes of the body are there; the end is not waited for.
        while bytes.windows(8).all(|window| window != b"\x89PNG\r\n\x1a\n") {
            let mut part = [0; 512];
            let read = timeout(GENEROUS, stream.read(&mut part)).await.unwrap().unwrap();
            assert!(read > 0, "{path} hung up");
            bytes.extend_from_slice(&part[..read]);
        }
        let start = answer(&bytes);
        assert_eq!(start.header("content-length"), Some(announced));
        assert!(!start.whole);
    }
}

#[tokio::test]
async fn the_held_one_says_nothing_and_lets_go_when_the_client_does() {
    let server = museum().await;
    let mut stream = TcpStream::connect(server.addr()).await.unwrap();
    stream.write_all(b"GET /trap/held HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut byte = [0; 1];
    assert!(timeout(Duration::from_millis(300), stream.read(&mut byte)).await.is_err());
    assert_eq!(server.max_concurrent(), 1);
    drop(stream);
    // Were the first still held, two would now run at once.
    tokio::time::sleep(Duration::from_millis(300)).await;
    get(server.addr(), "/").await;
    assert_eq!(server.max_concurrent(), 1);
}

#[tokio::test]
async fn the_endless_one_goes_on_past_any_sensible_limit() {
    let server = museum().await;
    let mut stream = TcpStream::connect(server.addr()).await.unwrap();
    stream.write_all(b"GET /trap/endless HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut limit = (&mut stream).take(40 << 20);
    let read = tokio::io::copy(&mut limit, &mut tokio::io::sink()).await.unwrap();
    assert_eq!(read, 40 << 20);
}

#[tokio::test]
async fn what_is_no_answer_is_none() {
    let server = museum().await;
    let request = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").into_bytes();
    assert!(exchange(server.addr(), &request("/trap/hang-up")).await.is_empty());
    let garbage = exchange(server.addr(), &request("/trap/garbage")).await;
    let mut lines = [httparse::EMPTY_HEADER; 16];
    assert!(httparse::Response::new(&mut lines).parse(&garbage).is_err());
    let long = exchange(server.addr(), &request("/trap/long-header")).await;
    assert!(long.len() > 1 << 20 && long.ends_with(b"\r\n\r\n"));
}

#[tokio::test]
async fn the_flaky_one_gives_in_at_the_third_try_for_each_query() {
    let server = museum().await;
    for path in ["/trap/flaky", "/trap/flaky?again"] {
        for status in [503, 503, 200, 200] {
            assert_eq!(get(server.addr(), path).await.status, status, "{path}");
        }
    }
    let busy = get(server.addr(), "/trap/busy").await;
    assert_eq!((busy.status, busy.header("retry-after")), (429, Some("1")));
    assert_eq!(get(server.addr(), "/trap/busy").await.status, 200);
}

#[tokio::test]
async fn redirects_to_where_no_crawler_should_go_are_there() {
    let server = museum().await;
    for (path, to) in [
        ("/trap/to-metadata", "http://169.254.169.254/latest/meta-data/"),
        ("/trap/to-file", "file:///etc/passwd"),
    ] {
        assert_eq!(get(server.addr(), path).await.header("location"), Some(to));
    }
}
