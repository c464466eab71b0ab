//! Unchanged HTTP clients in coroutines, against an unchanged blocking server in coroutines, plain
//! and over TLS.
#![cfg(green_threads)]
#![allow(
    clippy::unwrap_used,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    clippy::large_stack_arrays
)]

mod common;

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener},
    sync::{
        Arc, Once,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use common::{finish, patched};
use spinneret_green::{join_all, spawn};

const CLIENTS: usize = 20;
const REQUESTS: usize = 5;

/// A server's certificate and key, in PEM.
struct Identity {
    certificate: String,
    key: String,
}

fn identity() -> Identity {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        rustls::crypto::ring::default_provider().install_default().unwrap();
    });
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    Identity { certificate: made.cert.pem(), key: made.signing_key.serialize_pem() }
}

fn tls_settings(identity: &Identity) -> Arc<rustls::ServerConfig> {
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
    let certificate = CertificateDer::from_pem_slice(identity.certificate.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap();
    let settings = rustls::ServerConfig::builder().with_no_client_auth();
    Arc::new(settings.with_single_cert(vec![certificate], key).unwrap())
}

/// How many requests were open at once, at most.
static OPEN: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

/// Answers the requests of one connection with their paths, each after a while.
fn converse(stream: impl Read + Write) {
    let mut stream = BufReader::new(stream);
    loop {
        let mut path = None;
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            if line.trim_end().is_empty() {
                break;
            }
            path.get_or_insert_with(|| line.split(' ').nth(1).unwrap().to_owned());
        }
        let path = path.unwrap();
        MOST.fetch_max(OPEN.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        thread::sleep(Duration::from_millis(10));
        OPEN.fetch_sub(1, Ordering::SeqCst);
        let (length, body) = (path.len(), path);
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}");
        if stream.get_mut().write_all(answer.as_bytes()).is_err() {
            return;
        }
        stream.get_mut().flush().unwrap();
    }
}

/// A server of coroutines; with TLS if there is an identity.
fn serve(identity: Option<&Identity>) -> SocketAddr {
    let settings = identity.map(tls_settings);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(spawn(move || {
        for socket in listener.incoming() {
            let socket = socket.unwrap();
            let settings = settings.clone();
            drop(spawn(move || match settings {
                None => converse(socket),
                Some(settings) => {
                    let session = rustls::ServerConnection::new(settings).unwrap();
                    converse(rustls::StreamOwned::new(session, socket));
                }
            }));
        }
    }));
    address
}

/// Every client's every request is answered, and many at once.
fn all_get(get: impl Fn(&str) -> String + Clone + Send + 'static) {
    let clients = (0..CLIENTS).map(|client| {
        let get = get.clone();
        spawn(move || {
            for request in 0..REQUESTS {
                let path = format!("/{client}/{request}");
                assert_eq!(get(&path), path);
            }
        })
    });
    join_all(clients).into_iter().for_each(Result::unwrap);
    assert!(MOST.load(Ordering::SeqCst) > 2, "one after the other");
}

fn ureq_agent(identity: Option<&Identity>) -> ureq::Agent {
    use ureq::tls::{Certificate, RootCerts, TlsConfig};
    let mut settings = ureq::Agent::config_builder().timeout_global(Some(common::LONG));
    if let Some(identity) = identity {
        let root = Certificate::from_pem(identity.certificate.as_bytes()).unwrap();
        let tls = TlsConfig::builder().root_certs(RootCerts::from([root])).build();
        settings = settings.tls_config(tls);
    }
    settings.build().into()
}

#[test]
fn ureq_over_http() {
    patched(1);
    let address = serve(None);
    let agent = ureq_agent(None);
    all_get(move |path| {
        let mut answer = agent.get(format!("http://{address}{path}")).call().unwrap();
        answer.body_mut().read_to_string().unwrap()
    });
}

#[test]
fn ureq_over_https() {
    patched(2);
    let identity = identity();
    let port = serve(Some(&identity)).port();
    let agent = ureq_agent(Some(&identity));
    all_get(move |path| {
        let mut answer = agent.get(format!("https://localhost:{port}{path}")).call().unwrap();
        answer.body_mut().read_to_string().unwrap()
    });
}

#[test]
fn reqwest_blocking_over_http() {
    identity();
    patched(1);
    let address = serve(None);
    // Its runtime is a thread of the system, which its callers wait for.
    let client = finish(spawn(|| {
        reqwest::blocking::Client::builder().no_proxy().timeout(common::LONG).build().unwrap()
    }));
    let inner = client.clone();
    all_get(move |path| {
        inner.get(format!("http://{address}{path}")).send().unwrap().text().unwrap()
    });
}

#[test]
fn reqwest_blocking_over_https() {
    let identity = identity();
    patched(2);
    let port = serve(Some(&identity)).port();
    let root = reqwest::Certificate::from_pem(identity.certificate.as_bytes()).unwrap();
    let client = reqwest::blocking::Client::builder()
        .no_proxy()
        .timeout(common::LONG)
        .tls_certs_only([root])
        .build()
        .unwrap();
    all_get(move |path| {
        let url = format!("https://localhost:{port}{path}");
        client.get(url).send().unwrap().text().unwrap()
    });
}
