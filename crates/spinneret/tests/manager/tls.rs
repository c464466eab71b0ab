//! TLS on the manager's one port.

use std::{fs, io::Write as _, path::Path, thread, time::Duration};

use spinneret::manager::{
    AuthKey, Client, Manager, ManagerError, Queue, QueueOptions, TlsClient, TlsError, TlsServer,
    tls::{self, Generated},
};
use tempfile::TempDir;

use super::{HOLD, LONG, builder, client, eventually, key, raw::Raw};

fn files() -> (TempDir, Generated) {
    let folder = tempfile::tempdir().unwrap();
    let files = tls::generate(folder.path()).unwrap();
    (folder, files)
}

fn secured(tls: TlsServer) -> Manager {
    let wait = Duration::from_millis(500);
    builder().tls(tls).handshake_timeout(wait).register("q", QueueOptions::new()).start().unwrap()
}

fn over_tls(manager: &Manager, tls: TlsClient) -> Result<Client, ManagerError> {
    let client = Client::builder().tls(tls).connect(manager.local_addr(), &key())?;
    // A manager's verdict on a client's certificate may come only now.
    client.ping().map(|()| client)
}

#[track_caller]
fn assert_serves(manager: &Manager, files: &Generated) {
    let encrypted = over_tls(manager, TlsClient::new(&files.ca)).unwrap().queue::<u32>("q");
    let plain = client(manager).queue::<u32>("q");
    encrypted.put(7).unwrap();
    assert_eq!(plain.get().unwrap(), 7);
}

#[test]
fn encrypted_and_plain_clients_share_a_queue() {
    let (_folder, files) = files();
    let manager = secured(TlsServer::new(&files.cert, &files.key));
    let encrypted = over_tls(&manager, TlsClient::new(&files.ca)).unwrap();
    let plain = client(&manager);
    let (mine, theirs) = (encrypted.queue::<String>("q"), plain.queue::<String>("q"));
    let taking = thread::spawn({
        let theirs = theirs.clone();
        move || theirs.get().unwrap()
    });
    // More than fits into a record, a buffer or a socket.
    let large = "x".repeat(5 << 20);
    mine.put(large.clone()).unwrap();
    assert!(taking.join().unwrap() == large);
    mine.put_many(vec!["y".repeat(3000); 1000]).unwrap();
    let lease = mine.lease(HOLD).unwrap();
    assert_eq!(theirs.get_many(1000, LONG).unwrap().len(), 999);
    lease.done().unwrap();

    let mut flags: Vec<_> =
        manager.connections().into_iter().map(|connection| connection.encrypted).collect();
    flags.sort_unstable();
    assert_eq!(flags, [false, true]);
    drop((mine, encrypted));
    eventually("it is gone", || manager.connections().iter().all(|one| !one.encrypted));
}

#[tokio::test]
async fn awaiting_clients_use_tls_too() {
    let (_folder, files) = files();
    let manager = secured(TlsServer::new(&files.cert, &files.key));
    let client = Client::builder()
        .tls(TlsClient::new(&files.ca).server_name("localhost"))
        .connect_async(manager.local_addr(), &key())
        .await
        .unwrap();
    let queue: Queue<String> = client.queue("q");
    let (got, put) = tokio::join!(queue.get_async(), queue.put_async("паук".into()));
    put.unwrap();
    assert_eq!(got.unwrap(), "паук");
    manager.shutdown_async().await;
    assert!(queue.len_async().await.is_err());
}

#[test]
fn a_client_trusts_only_its_own_authority() {
    let ((_folder, files), (_other_folder, other)) = (files(), files());
    let manager = secured(TlsServer::new(&files.cert, &files.key));
    let error = over_tls(&manager, TlsClient::new(&other.ca)).unwrap_err();
    assert!(matches!(error, ManagerError::Tls(TlsError::Untrusted { .. })), "{error:?}");
    assert!(error.to_string().contains("ca.pem"), "{error}");
    let elsewhere = TlsClient::new(&files.ca).server_name("example.org");
    let error = over_tls(&manager, elsewhere).unwrap_err();
    assert!(matches!(error, ManagerError::Tls(TlsError::Untrusted { .. })), "{error:?}");
    assert!(error.to_string().contains("example.org"), "{error}");
    assert_serves(&manager, &files);
}

/// A certificate that is valid no more, with itself as its authority.
fn expired(folder: &Path) -> Generated {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec!["127.0.0.1".into()]).unwrap();
    params.not_before = rcgen::date_time_ymd(2001, 1, 1);
    params.not_after = rcgen::date_time_ymd(2002, 1, 1);
    let cert = params.self_signed(&key).unwrap();
    let (ca, path) = (folder.join("cert.pem"), folder.join("key.pem"));
    fs::write(&ca, cert.pem()).unwrap();
    fs::write(&path, key.serialize_pem()).unwrap();
    Generated { cert: ca.clone(), ca, key: path }
}

#[test]
fn an_expired_certificate_is_said_to_be() {
    let folder = tempfile::tempdir().unwrap();
    let files = expired(folder.path());
    let manager = secured(TlsServer::new(&files.cert, &files.key));
    let error = over_tls(&manager, TlsClient::new(&files.ca)).unwrap_err();
    assert!(matches!(error, ManagerError::Tls(TlsError::Untrusted { .. })), "{error:?}");
    assert!(error.to_string().contains("expired"), "{error}");
}

#[test]
fn a_manager_may_ask_for_clients_certificates() {
    let ((_folder, files), (_other_folder, other)) = (files(), files());
    let manager = secured(TlsServer::new(&files.cert, &files.key).client_ca(&files.ca));
    let nobody = TlsClient::new(&files.ca);
    let error = over_tls(&manager, nobody.clone()).unwrap_err();
    assert!(matches!(error, ManagerError::Tls(TlsError::Unwelcome { .. })), "{error:?}");
    assert!(error.to_string().contains("certificate"), "{error}");
    let error = over_tls(&manager, nobody.clone().identity(&other.cert, &other.key)).unwrap_err();
    assert!(matches!(error, ManagerError::Tls(TlsError::Unwelcome { .. })), "{error:?}");
    let known = over_tls(&manager, nobody.identity(&files.cert, &files.key)).unwrap();
    known.queue::<u32>("q").put(1).unwrap();
}

#[test]
fn a_manager_without_tls_is_said_to_have_none() {
    let (_folder, files) = files();
    let manager = builder().start().unwrap();
    let error = over_tls(&manager, TlsClient::new(&files.ca)).unwrap_err();
    assert!(matches!(error, ManagerError::Tls(TlsError::NotOffered { .. })), "{error:?}");
    client(&manager).ping().unwrap();
}

#[test]
fn a_certificate_is_no_key() {
    let (_folder, files) = files();
    let manager = secured(TlsServer::new(&files.cert, &files.key));
    let error = Client::builder()
        .tls(TlsClient::new(&files.ca))
        .connect(manager.local_addr(), &AuthKey::new("eyiq"))
        .unwrap_err();
    assert!(matches!(error, ManagerError::WrongKey { .. }), "{error:?}");
    assert_serves(&manager, &files);
}

#[test]
fn a_bad_file_keeps_a_manager_from_starting() {
    let (_folder, files) = files();
    let error = builder().tls(TlsServer::new(&files.key, &files.key)).start().unwrap_err();
    assert!(matches!(error, ManagerError::Tls(TlsError::NoCertificate { .. })), "{error:?}");
}

#[test]
fn a_tls_handshake_that_breaks_off_costs_that_connection_only() {
    let (_folder, files) = files();
    let manager = secured(TlsServer::new(&files.cert, &files.key));
    // The head of a ClientHello of 512 bytes, and no more: once closed, once silent.
    let hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
    let mut peer = Raw::silent(manager.local_addr());
    peer.0.write_all(hello).unwrap();
    drop(peer);
    let mut silent = Raw::silent(manager.local_addr());
    silent.0.write_all(hello).unwrap();
    let mut garbage = Raw::silent(manager.local_addr());
    garbage.0.write_all(&[&hello[..], &[0xff; 600]].concat()).unwrap();
    assert!(garbage.is_closed());
    assert!(silent.is_closed(), "after the time for handshakes");
    assert_serves(&manager, &files);
}
