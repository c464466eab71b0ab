//! What can go wrong with TLS.

use std::{
    io,
    path::{Path, PathBuf},
};

use rustls::{AlertDescription, CertificateError, pki_types::pem};

/// What can go wrong with TLS: its files, or its handshake.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file is missing or cannot be read.
    #[error("cannot read {}: {source}; give a file in PEM", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file is not what its ending says: its PEM is damaged.
    #[error("{} is no PEM file: {reason}; take a whole copy of it", path.display())]
    BadPem {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A file has no certificate in it.
    #[error("{} has no certificate in it; give the file that begins with `-----BEGIN CERTIFICATE`", path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// A file has no private key in it.
    #[error("{} has no private key in it; give the file with the line `-----BEGIN PRIVATE KEY-----`", path.display())]
    NoKey {
        /// The file.
        path: PathBuf,
    },
    /// A certificate's file can be read, but its content cannot be used.
    #[error("the certificate in {} cannot be used: {reason}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// A private key is not that of the certificate.
    #[error("{} and {} do not belong together: {reason}; give a certificate and its own key", cert.display(), key.display())]
    BadPair {
        /// The certificate's file.
        cert: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What is wrong with them.
        reason: String,
    },
    /// No certificate can have this name.
    #[error("`{name}` is no name that a certificate can have; give a host's name or IP address")]
    BadServerName {
        /// The name.
        name: String,
    },
    /// The manager has no TLS.
    #[error(
        "the manager at {address} does not speak TLS: start it with a certificate and its key, or \
         connect to it in plain text if you trust everything in between"
    )]
    NotOffered {
        /// The address as it was given.
        address: String,
    },
    /// The manager takes peers of other machines over TLS only.
    #[error(
        "the manager at {address} takes peers of other machines over TLS only: connect with its \
         authority's file (ca.pem)"
    )]
    Required {
        /// The address as it was given.
        address: String,
    },
    /// The manager's certificate is not one that this client trusts.
    #[error("the manager at {address} is not to be trusted: {reason}")]
    Untrusted {
        /// The address as it was given.
        address: String,
        /// What is wrong with its certificate, and what to do.
        reason: String,
    },
    /// The manager does not take this client's certificate, or misses one.
    #[error("the manager at {address} refused this client: {reason}")]
    Unwelcome {
        /// The address as it was given.
        address: String,
        /// What it said, and what to do.
        reason: String,
    },
    /// The TLS handshake failed in another way.
    #[error("no TLS with the manager at {address}: {source}")]
    Handshake {
        /// The address as it was given.
        address: String,
        /// What went wrong.
        source: io::Error,
    },
    /// A file that was to be generated exists already, and none is overwritten.
    #[error("{} exists already; remove it first or choose another folder", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// A file cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// No certificate could be made.
    #[error("cannot make a certificate: {0}")]
    Generate(String),
}

impl TlsError {
    pub(super) fn pem(path: &Path, error: pem::Error) -> Self {
        let path = path.into();
        match error {
            pem::Error::Io(source) => Self::Unreadable { path, source },
            pem::Error::NoItemsFound => Self::NoCertificate { path },
            other => Self::BadPem { path, reason: other.to_string() },
        }
    }

    pub(super) fn unusable(path: &Path, error: &dyn std::error::Error) -> Self {
        Self::Unusable { path: path.into(), reason: error.to_string() }
    }

    pub(super) fn pair(cert: &Path, key: &Path, error: &rustls::Error) -> Self {
        Self::BadPair { cert: cert.into(), key: key.into(), reason: error.to_string() }
    }

    /// What a failed handshake means to a client, and what it can do about it.
    pub(crate) fn of_handshake(address: &str, error: io::Error) -> Self {
        let address = address.to_owned();
        match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            Some(rustls::Error::InvalidCertificate(wrong)) => {
                Self::Untrusted { address, reason: what_is_wrong(wrong) }
            }
            Some(rustls::Error::AlertReceived(alert)) => {
                Self::Unwelcome { address, reason: what_it_said(*alert) }
            }
            _ if is_gone(&error) => Self::NotOffered { address },
            _ => Self::Handshake { address, source: error },
        }
    }

    /// Whether an error after the client's half of the handshake is the manager's verdict on its
    /// certificate, which comes only then.
    pub(crate) fn of_verdict(address: &str, error: &io::Error) -> Option<Self> {
        match error.get_ref()?.downcast_ref::<rustls::Error>()? {
            rustls::Error::AlertReceived(alert) => {
                Some(Self::Unwelcome { address: address.into(), reason: what_it_said(*alert) })
            }
            _ => None,
        }
    }
}

fn is_gone(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), UnexpectedEof | ConnectionReset | ConnectionAborted | BrokenPipe)
}

fn what_is_wrong(error: &CertificateError) -> String {
    match error {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "its certificate is by another authority; give the ca.pem that belongs to it".into()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "its certificate has expired; give the manager a new one, or set this machine's clock"
                .into()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "its certificate is not valid yet; check the clocks of both machines".into()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            format!("{error}; connect by a name of its certificate, or say which name to expect")
        }
        other => other.to_string(),
    }
}

fn what_it_said(alert: AlertDescription) -> String {
    match alert {
        AlertDescription::CertificateRequired => {
            "it takes only clients with a certificate; give one, and its key".into()
        }
        AlertDescription::UnknownCA
        | AlertDescription::BadCertificate
        | AlertDescription::DecryptError => {
            "this client's certificate is not by an authority that it trusts".into()
        }
        AlertDescription::CertificateExpired => "this client's certificate has expired".into(),
        other => format!("it sent the alert {other:?}"),
    }
}
