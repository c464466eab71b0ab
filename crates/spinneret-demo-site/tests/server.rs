//! The server as a server: connections, methods, records, and what is no HTTP.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking, its helpers too")]

mod common;

use std::time::Duration;

use common::{answer, exchange, get, museum, open};
use spinneret_demo_site::{DemoSite, ServeOptions, synthetic};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[tokio::test]
async fn a_connection_serves_many_requests_also_when_they_come_together() {
    let server = museum().await;
    let requests = "GET /img/badge.svg HTTP/1.1\r\nHost: x\r\n\r\n\
                    HEAD /favicon.ico HTTP/1.1\r\nHost: x\r\n\r\n\
                    GET /private/visitors/badge.png HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let bytes = exchange(server.addr(), requests.as_bytes()).await;
    let answers = bytes.windows(12).filter(|window| window == b"HTTP/1.1 200").count();
    assert_eq!(answers, 3);
    assert_eq!(server.connections(), 1);
    assert_eq!(server.hits().values().sum::<u64>(), 3);
}

#[tokio::test]
async fn head_has_the_length_and_no_body() {
    let server = museum().await;
    let head = exchange(
        server.addr(),
        b"HEAD /favicon.ico HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    )
    .await;
    let head = answer(&head);
    let whole = get(server.addr(), "/favicon.ico").await;
    assert_eq!(head.header("content-length"), Some(whole.body.len().to_string().as_str()));
    assert!(head.body.is_empty() && !whole.body.is_empty());
}

#[tokio::test]
async fn an_old_client_gets_no_chunks() {
    let server = museum().await;
    let bytes = exchange(server.addr(), b"GET /img/odd/in-chunks.png HTTP/1.0\r\n\r\n").await;
    let plain = answer(&bytes);
    assert!(plain.whole && plain.header("transfer-encoding").is_none());
    let chunked = get(server.addr(), "/img/odd/in-chunks.png").await;
    assert_eq!(chunked.header("transfer-encoding"), Some("chunked"));
    assert_eq!(chunked.body, plain.body);
}

#[tokio::test]
async fn other_methods_are_refused_and_their_bodies_not_taken_for_requests() {
    let server = museum().await;
    let bytes = exchange(
        server.addr(),
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 27\r\n\r\nGET /private/ HTTP/1.1\r\n\r\n",
    )
    .await;
    let refused = answer(&bytes);
    assert_eq!((refused.status, refused.header("allow")), (405, Some("GET, HEAD")));
    assert!(!server.hits().contains_key("/private/"));
}

#[tokio::test]
async fn what_was_asked_for_is_on_record() {
    let server = museum().await;
    for path in ["/", "/img/odd/plate.png?v=1", "/img/odd/plate.png?v=1", "/nowhere"] {
        get(server.addr(), path).await;
    }
    let hits = server.hits();
    assert_eq!(hits["/img/odd/plate.png?v=1"], 2);
    assert_eq!((hits["/"], hits["/nowhere"]), (1, 1));
    let requests = server.requests();
    let targets: Vec<&str> = requests.iter().map(|hit| hit.target.as_str()).collect();
    assert_eq!(targets, ["/", "/img/odd/plate.png?v=1", "/img/odd/plate.png?v=1", "/nowhere"]);
    assert!(requests.is_sorted_by_key(|hit| hit.at));
    assert_eq!(server.user_agents().into_iter().collect::<Vec<_>>(), ["test"]);
    assert_eq!(server.max_concurrent(), 1);
}

#[tokio::test]
async fn latency_comes_before_every_answer_and_does_not_serialize_them() {
    let options = ServeOptions { latency: Duration::from_secs(1), ..ServeOptions::default() };
    let server = open(synthetic(3, 0, 1), options).await;
    let address = server.addr();
    let asked = std::time::Instant::now();
    let all: Vec<_> = ["/", "/page/1", "/page/2"]
        .into_iter()
        .map(|path| tokio::spawn(async move { get(address, path).await.status }))
        .collect();
    for one in all {
        assert_eq!(one.await.unwrap(), 200);
    }
    // At least the latency; how much more is the machine's affair.
    assert!(asked.elapsed() >= Duration::from_secs(1));
    assert_eq!(server.max_concurrent(), 3);
}

#[tokio::test]
async fn robots_can_be_switched_off() {
    let options = ServeOptions { robots: false, ..ServeOptions::default() };
    let server = open(DemoSite::build(), options).await;
    assert_eq!(get(server.addr(), "/robots.txt").await.status, 404);
    assert_eq!(get(museum().await.addr(), "/robots.txt").await.status, 200);
}

#[tokio::test]
async fn escapes_in_either_case_find_the_same() {
    let server = museum().await;
    let upper = get(server.addr(), "/img/..%2F..%2Fetc%2Fpasswd.png").await;
    let lower = get(server.addr(), "/img/..%2f..%2fetc%2fpasswd.png").await;
    assert_eq!((upper.status, lower.status), (200, 200));
    assert_eq!(upper.body, lower.body);
}

#[tokio::test]
async fn nonsense_is_refused_and_the_next_client_is_served() {
    let server = museum().await;
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(5000));
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(200_000));
    let nonsense: [&[u8]; 11] = [
        b"\r\n\r\n\r\n\r\n",
        b"\x00\x00\x00\x00\x00",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"GET nowhere HTTP/1.1\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost\xff: \xff\r\n\r\n",
        b"GET /%ff%fe%%%\x80 HTTP/1.1\r\nAccept-Encoding: ;;;q=,,*;q=x\r\nConnection: close\r\n\r\n",
        b"GET /forever/18446744073709551615 HTTP/1.1\r\nConnection: close\r\n\r\n",
        many.as_bytes(),
        long.as_bytes(),
    ];
    for input in nonsense {
        let mut stream = TcpStream::connect(server.addr()).await.unwrap();
        // The server may close before it has read all of it.
        let _ = stream.write_all(input).await;
        let _ = stream.shutdown().await;
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes).await;
        if !bytes.is_empty() {
            let text = String::from_utf8_lossy(&bytes);
            let status: u16 = text.split(' ').nth(1).unwrap().parse().unwrap();
            assert!((400..500).contains(&status), "{text}");
        }
    }
    assert_eq!(get(server.addr(), "/").await.status, 200);
}

#[tokio::test]
async fn a_host_that_could_break_a_page_is_not_repeated() {
    let server = museum().await;
    let bytes = exchange(
        server.addr(),
        b"GET / HTTP/1.1\r\nHost: x\"><script>\r\nConnection: close\r\n\r\n",
    )
    .await;
    let page = String::from_utf8(bytes).unwrap();
    assert!(!page.contains("<script>") && page.contains(&server.url("/img/lobby/card.png")));
}

#[tokio::test]
async fn after_shutdown_nobody_answers() {
    let server = museum().await;
    let address = server.addr();
    let mut open_line = TcpStream::connect(address).await.unwrap();
    get(address, "/").await;
    server.shutdown().await;
    assert!(TcpStream::connect(address).await.is_err());
    // The connection that was open is closed: end of file, or a reset.
    let read = open_line.read(&mut [0; 1]).await;
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
}
