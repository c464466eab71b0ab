//! TLS by the command line: certificates for a start, and what goes with what.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a helper of tests may fail by panicking")]

mod common;

use std::os::unix::fs::PermissionsExt;

use common::{Nest, Office, Site, assert_crawled, crawl_args};

/// A folder with `ca.pem`, `cert.pem` and `key.pem`; the arguments to serve by them.
fn generate(nest: &Nest, name: &str) -> Vec<String> {
    let folder = nest.path(name);
    let made = nest.run(&["manager", "--tls-generate", folder.to_str().unwrap()]).expect(0);
    assert!(made.stdout.contains("clients: --tls-ca "), "{}", made.stdout);
    let key = folder.join("key.pem");
    assert_eq!(std::fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    ["--tls-cert", "cert.pem", "--tls-key", "key.pem"]
        .map(|word| if word.starts_with("--") { word.into() } else { file(nest, name, word) })
        .into()
}

fn file(nest: &Nest, folder: &str, name: &str) -> String {
    nest.path(folder).join(name).to_str().unwrap().to_owned()
}

/// The same texts, borrowed.
fn texts(args: &[String]) -> Vec<&str> {
    args.iter().map(String::as_str).collect()
}

#[test]
fn a_generated_pair_serves_clients_that_trust_it() {
    let nest = Nest::new();
    let serve = generate(&nest, "tls");
    let office = Office::open_with(&["tasks"], &texts(&serve));
    let ca = file(&nest, "tls", "ca.pem");
    office.queue("tasks", &["put", "one", "--tls-ca", &ca]).expect(0);
    // This machine may do without.
    assert_eq!(office.queue("tasks", &["len"]).expect(0).stdout, "1\n");

    generate(&nest, "others");
    let others = file(&nest, "others", "ca.pem");
    let refused = office.queue("tasks", &["len", "--tls-ca", &others]).expect(3);
    assert!(refused.stderr.contains("certificate"), "{}", refused.stderr);
    let wrong_name = ["len", "--tls-ca", &ca, "--tls-name", "elsewhere.example"];
    office.queue("tasks", &wrong_name).expect(3);
    office.queue("tasks", &["len", "--tls-ca", &ca, "--tls-name", "localhost"]).expect(0);

    // Nothing is written over.
    let again = nest.run(&["manager", "--tls-generate", nest.path("tls").to_str().unwrap()]);
    assert!(again.expect(3).stderr.contains("ca.pem"));
}

#[test]
fn a_manager_may_ask_for_certificates_of_its_clients() {
    let nest = Nest::new();
    let mut serve = generate(&nest, "tls");
    let ca = file(&nest, "tls", "ca.pem");
    serve.extend(["--tls-ca".to_owned(), ca.clone()]);
    let office = Office::open_with(&["tasks"], &texts(&serve));
    let bare = office.queue("tasks", &["len", "--tls-ca", &ca]).expect(3);
    assert!(bare.stderr.contains("certificate"), "{}", bare.stderr);
    let (cert, key) = (file(&nest, "tls", "cert.pem"), file(&nest, "tls", "key.pem"));
    let mine = ["len", "--tls-ca", &ca, "--tls-cert", &cert, "--tls-key", &key];
    assert_eq!(office.queue("tasks", &mine).expect(0).stdout, "0\n");
}

#[test]
fn a_worker_may_join_a_crawl_by_tls() {
    let (nest, site) = (Nest::new(), Site::synthetic(5, 3, 0));
    nest.write("key", "shared by all workers");
    let serve = generate(&nest, "tls");
    let seed = site.url("/");
    let listen = ["--listen", "127.0.0.1:0", "--authkey-file", "key", "--workers", "0"];
    let mut args = crawl_args(&seed, &listen);
    args.extend(texts(&serve));
    let mut crawl = nest.start(&args);
    let address = crawl.wait_for_stderr("workers can join: spinneret worker ");
    let ca = file(&nest, "tls", "ca.pem");
    let worker = ["worker", &address, "--authkey-file", "key", "--tls-ca", &ca];
    nest.run(&worker).expect(0);
    crawl.finish().expect(0);
    assert_crawled(&nest.out(), &site.images());
}

#[test]
fn what_is_missing_or_does_not_go_together_is_wrong_usage() {
    let nest = Nest::new();
    let key = nest.write("key", "any");
    let queue = ["queue", "127.0.0.1:9", "tasks", "len", "--authkey-file", &key];
    let crawl = ["crawl", "http://127.0.0.1:9/", "--allow-private"];
    for (start, more, named) in [
        (&["manager"][..], &["--tls-cert", "cert.pem"][..], "--tls-key"),
        (&["manager"], &["--tls-key", "key.pem"], "--tls-cert"),
        (&["manager"], &["--tls-ca", "ca.pem"], "--tls-cert"),
        (&["manager"], &["--allow-plaintext"], "--tls-cert"),
        (&["manager"], &["--tls-generate", "tls", "--register", "tasks"], "--tls-generate"),
        (&queue, &["--tls-cert", "cert.pem", "--tls-key", "key.pem"], "--tls-ca"),
        (&queue, &["--tls-ca", "ca.pem", "--tls-cert", "cert.pem"], "--tls-key"),
        (&queue, &["--tls-ca", "ca.pem", "--tls-key", "key.pem"], "--tls-cert"),
        (&queue, &["--tls-name", "one"], "--tls-ca"),
        (&crawl, &["--tls-cert", "cert.pem", "--tls-key", "key.pem"], "--listen"),
    ] {
        let wrong = nest.run(&[start, more].concat()).expect(2);
        assert!(wrong.stderr.contains(named), "{more:?}: {}", wrong.stderr);
    }
    assert!(!nest.path("tls").exists());
    let missing =
        ["manager", "--listen", "127.0.0.1:0", "--tls-cert", "no.pem", "--tls-key", "no.pem"];
    let missing = nest.run(&missing).expect(3);
    assert!(missing.stderr.contains("no.pem"), "{}", missing.stderr);
}
