use std::fs;

use super::*;

fn files() -> (tempfile::TempDir, Generated) {
    let folder = tempfile::tempdir().unwrap();
    let files = generate(folder.path().join("made/here")).unwrap();
    (folder, files)
}

#[test]
fn what_is_generated_serves_both_ends() {
    let (_folder, files) = files();
    TlsServer::new(&files.cert, &files.key).client_ca(&files.ca).load().unwrap();
    let client = TlsClient::new(&files.ca).identity(&files.cert, &files.key);
    for address in ["localhost:1", "127.0.0.1:8001", "[::1]:8001"] {
        client.load(address).unwrap();
    }
}

#[cfg(unix)]
#[test]
fn only_its_owner_reads_a_generated_key() {
    use std::os::unix::fs::MetadataExt as _;
    let (_folder, files) = files();
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
    assert_eq!(mode(&files.key), 0o600);
    assert_eq!(mode(files.key.parent().unwrap()), 0o700);
}

#[test]
fn nothing_is_written_over() {
    let (_folder, files) = files();
    let before = fs::read(&files.key).unwrap();
    fs::remove_file(&files.ca).unwrap();
    let folder = files.key.parent().unwrap();
    let error = generate(folder).unwrap_err();
    assert!(matches!(&error, TlsError::Exists { path } if *path == files.cert), "{error}");
    assert_eq!(fs::read(&files.key).unwrap(), before);
    assert!(!files.ca.exists());
}

#[test]
fn a_bad_file_is_named_with_what_is_wrong_with_it() {
    let (folder, files) = files();
    let missing = folder.path().join("missing.pem");
    let error = TlsServer::new(&missing, &files.key).load().err().unwrap();
    assert!(matches!(&error, TlsError::Unreadable { path, .. } if *path == missing), "{error}");

    let error = TlsServer::new(&files.key, &files.key).load().err().unwrap();
    assert!(matches!(&error, TlsError::NoCertificate { path } if *path == files.key), "{error}");
    let error = TlsServer::new(&files.cert, &files.cert).load().err().unwrap();
    assert!(matches!(&error, TlsError::NoKey { path } if *path == files.cert), "{error}");

    let cut = folder.path().join("cut.pem");
    let whole = fs::read_to_string(&files.cert).unwrap();
    fs::write(&cut, &whole[..whole.len() / 2]).unwrap();
    let error = TlsServer::new(&cut, &files.key).load().err().unwrap();
    assert!(matches!(&error, TlsError::BadPem { path, .. } if *path == cut), "{error}");

    let nonsense = folder.path().join("nonsense.pem");
    fs::write(&nonsense, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    let error = TlsClient::new(&nonsense).load("localhost:1").err().unwrap();
    assert!(matches!(&error, TlsError::Unusable { path, .. } if *path == nonsense), "{error}");

    let (_other_folder, other) = self::files();
    let error = TlsServer::new(&files.cert, &other.key).load().err().unwrap();
    assert!(matches!(&error, TlsError::BadPair { .. }), "{error}");
}

#[test]
fn a_name_that_no_certificate_has_is_refused() {
    let (_folder, files) = files();
    let error = TlsClient::new(&files.ca).load("no host:1").err().unwrap();
    assert!(matches!(&error, TlsError::BadServerName { name } if name == "no host"), "{error}");
    TlsClient::new(&files.ca).server_name("localhost").load("no host:1").unwrap();
}

#[test]
fn a_host_is_told_from_its_port() {
    assert_eq!(host("example.org:8001"), "example.org");
    assert_eq!(host("[::1]:8001"), "::1");
    assert_eq!(host("127.0.0.1:1"), "127.0.0.1");
}
