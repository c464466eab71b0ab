//! Certificates for a start, without an authority of one's own.

use std::{
    fs,
    io::{self, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::{Path, PathBuf},
};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, SanType,
};
use time::{Duration, OffsetDateTime};

use super::TlsError;

/// How long what is generated is valid.
const VALID: Duration = Duration::days(3650);
/// How far the clocks of two machines may differ.
const CLOCKS: Duration = Duration::days(1);

/// The files that [`generate`] made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generated {
    /// The authority's certificate, which clients are given a copy of: `ca.pem`.
    pub ca: PathBuf,
    /// The manager's certificate: `cert.pem`.
    pub cert: PathBuf,
    /// Its private key, which nobody else is to see: `key.pem`, mode 0600.
    pub key: PathBuf,
}

/// Makes an authority and a certificate by it, valid for ten years, in a folder that is made if
/// need be: `ca.pem`, `cert.pem` and `key.pem`.
///
/// The certificate is for `localhost`, `127.0.0.1`, `::1` and this machine's name, and serves as a
/// client's too, for mutual TLS among programs that one trusts alike. The authority's own key is
/// forgotten at once, so that nobody can make more certificates by it.
///
/// # Errors
/// If one of the files exists already, which then none is written over; or cannot be written.
pub fn generate(folder: impl AsRef<Path>) -> Result<Generated, TlsError> {
    let folder = folder.as_ref();
    let files = Generated {
        ca: folder.join("ca.pem"),
        cert: folder.join("cert.pem"),
        key: folder.join("key.pem"),
    };
    for path in [&files.ca, &files.cert, &files.key] {
        if path.symlink_metadata().is_ok() {
            return Err(TlsError::Exists { path: path.clone() });
        }
    }
    let made = make(&host_name()).map_err(|error| TlsError::Generate(error.to_string()))?;
    make_folder(folder).map_err(|source| TlsError::Unwritable { path: folder.into(), source })?;
    write_new(&files.key, &made.key, 0o600)?;
    write_new(&files.cert, &made.cert, 0o644)?;
    write_new(&files.ca, &made.ca, 0o644)?;
    Ok(files)
}

/// What is written, in PEM.
struct Made {
    ca: String,
    cert: String,
    key: String,
}

fn make(host: &str) -> Result<Made, rcgen::Error> {
    let now = OffsetDateTime::now_utc();
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, format!("spinneret on {host}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    (params.not_before, params.not_after) = (now - CLOCKS, now + VALID);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;

    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, format!("spinneret manager on {host}"));
    params.subject_alt_names = vec![
        SanType::DnsName("localhost".try_into()?),
        SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        SanType::IpAddress(IpAddr::V6(Ipv6Addr::LOCALHOST)),
    ];
    // A machine may have a name that no certificate can.
    if host != "localhost"
        && let Ok(name) = host.try_into()
    {
        params.subject_alt_names.push(SanType::DnsName(name));
    }
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    (params.not_before, params.not_after) = (now - CLOCKS, now + VALID);
    let key = KeyPair::generate()?;
    let cert = params.signed_by(&key, &authority)?;
    Ok(Made { ca: authority.pem(), cert: cert.pem(), key: key.serialize_pem() })
}

#[cfg(unix)]
fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[cfg(windows)]
fn host_name() -> String {
    std::env::var("COMPUTERNAME").unwrap_or_else(|_| "localhost".into())
}

fn make_folder(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

#[cfg_attr(windows, allow(unused_variables, reason = "files have no modes there"))]
fn write_new(path: &Path, text: &str, mode: u32) -> Result<(), TlsError> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    let mut file = options.open(path).map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => TlsError::Exists { path: path.into() },
        _ => TlsError::Unwritable { path: path.into(), source },
    })?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(|source| TlsError::Unwritable { path: path.into(), source })
}
