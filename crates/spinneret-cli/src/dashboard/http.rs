//! Which request gets what, and who may ask.
//!
//! A page of any site that a user of this machine visits can send requests to loopback, and by
//! giving a name of its own the address 127.0.0.1 (DNS rebinding) it could read the answers, too.
//! What such a request cannot do is to name this machine in its `Host`; so that is looked at while
//! the dashboard is this machine's own.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{self, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use super::{Watched, metrics, state};

/// Connections at a time; others wait.
const CONNECTIONS: usize = 64;
/// Longest time for a request's head, and between two requests.
const HEAD: Duration = Duration::from_secs(5);
/// How long a connection is used for requests.
const AGE: Duration = Duration::from_mins(1);
/// How long the last answer of a connection may then take.
const LAST: Duration = Duration::from_secs(10);
/// How long to leave off accepting when the system has no more sockets.
const BREATH: Duration = Duration::from_millis(100);

/// The page takes scripts, styles and data from here only, and nobody may frame it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";
const PLAIN: &str = "text/plain; charset=utf-8";

/// What a request may call the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hosts {
    /// This machine: a loopback address or `localhost`.
    Local,
    /// Anything: whoever listens beyond this machine lets others read anyway.
    Any,
}

impl Hosts {
    /// For a dashboard that listens there.
    pub fn of(address: SocketAddr) -> Self {
        if address.ip().is_loopback() { Self::Local } else { Self::Any }
    }

    fn allow(self, request: &Request<Incoming>) -> bool {
        let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
        match self {
            Self::Any => true,
            Self::Local => host.is_some_and(is_local),
        }
    }
}

/// Whether a `Host` names this machine, with a port or without.
fn is_local(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    bare.parse().map_or(name.eq_ignore_ascii_case("localhost"), |ip: IpAddr| ip.is_loopback())
}

/// Accepts and answers for as long as it is polled.
pub async fn serve(listener: TcpListener, hosts: Hosts, watched: &Arc<Watched>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    // The semaphore is never closed.
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        match listener.accept().await {
            Ok((stream, _)) => {
                let watched = Arc::clone(watched);
                tokio::spawn(async move {
                    converse(stream, hosts, &watched).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the dashboard cannot accept a connection");
                sleep(BREATH).await;
            }
        }
    }
}

/// Serves one connection, for a bounded time: also who reads nothing of an answer has to go.
async fn converse(stream: TcpStream, hosts: Hosts, watched: &Watched) {
    let answer = service_fn(async |request| Ok::<_, Infallible>(answer(&request, hosts, watched)));
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .serve_connection(TokioIo::new(stream), answer);
    let mut serving = pin!(serving);
    let ended = tokio::select! {
        ended = serving.as_mut() => Ok(ended),
        () = sleep(AGE) => {
            serving.as_mut().graceful_shutdown();
            timeout(LAST, serving).await
        }
    };
    if let Ok(Err(error)) = ended {
        tracing::debug!(%error, "a connection to the dashboard broke");
    }
}

fn answer(request: &Request<Incoming>, hosts: Hosts, watched: &Watched) -> Response<Full<Bytes>> {
    if !hosts.allow(request) {
        let why = "this dashboard is for this machine: ask for it by 127.0.0.1 or localhost\n";
        return respond(StatusCode::MISDIRECTED_REQUEST, PLAIN, why);
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let why = "the dashboard can only be read\n";
        let mut refused = respond(StatusCode::METHOD_NOT_ALLOWED, PLAIN, why);
        refused.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refused;
    }
    let good = |kind, body| respond(StatusCode::OK, kind, body);
    match request.uri().path() {
        "/" => good(HTML, include_str!("page.html")),
        "/page.css" => good("text/css; charset=utf-8", include_str!("page.css")),
        "/page.js" => good("text/javascript; charset=utf-8", include_str!("page.js")),
        "/chart.js" => good("text/javascript; charset=utf-8", include_str!("chart.js")),
        "/icon.svg" => good("image/svg+xml", include_str!("icon.svg")),
        "/healthz" => good(PLAIN, "ok\n"),
        "/metrics" => respond(
            StatusCode::OK,
            "text/plain; version=0.0.4; charset=utf-8",
            metrics::text(watched),
        ),
        "/api/state" => match serde_json::to_vec(&state::state(watched, since(request))) {
            Ok(json) => respond(StatusCode::OK, "application/json", json),
            Err(error) => respond(StatusCode::INTERNAL_SERVER_ERROR, PLAIN, error.to_string()),
        },
        _ => respond(
            StatusCode::NOT_FOUND,
            PLAIN,
            "there are /, /metrics, /healthz and /api/state\n",
        ),
    }
}

/// The `since=N` of a request; without one, everything is asked for.
fn since(request: &Request<Incoming>) -> u64 {
    let query = request.uri().query().unwrap_or_default();
    let since = query.split('&').find_map(|pair| pair.strip_prefix("since="));
    since.and_then(|number| number.parse().ok()).unwrap_or_default()
}

fn respond(
    status: StatusCode,
    kind: &'static str,
    body: impl Into<Bytes>,
) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_local() {
        for host in [
            "localhost",
            "LOCALHOST:8080",
            "127.0.0.1",
            "127.0.0.1:9000",
            "127.9.9.9:1",
            "[::1]:80",
            "[::1]",
        ] {
            assert!(is_local(host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "evil.example:9000",
            "127.0.0.1.evil.example",
            "localhost.evil.example:9000",
            "192.0.2.7:9000",
            "[2001:db8::1]:80",
            "0.0.0.0:9000",
        ] {
            assert!(!is_local(host), "{host}");
        }
    }

    #[test]
    fn whoever_listens_beyond_this_machine_may_be_called_anything() {
        let of = |address: &str| Hosts::of(address.parse().unwrap());
        assert_eq!([of("127.0.0.1:1"), of("[::1]:1")], [Hosts::Local; 2]);
        assert_eq!([of("0.0.0.0:1"), of("192.0.2.7:1")], [Hosts::Any; 2]);
    }
}
