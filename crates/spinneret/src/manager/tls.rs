//! TLS between our own peers, on the manager's one port.
//!
//! The manager speaks first, and in plain text: a challenge. A client that is to use TLS skips it
//! and begins a TLS handshake, whose first byte no answer to a challenge starts with; so one port
//! serves both kinds. Inside TLS the proof of the [`AuthKey`](super::AuthKey) is made anew: a
//! certificate says which manager this is, the key says who may use it.
//!
//! [`generate`] makes certificates for a start, by which any number of clients can tell this
//! manager from others:
//!
//! ```
//! use spinneret::manager::{AuthKey, Client, Manager, QueueOptions, TlsClient, TlsServer, tls};
//!
//! # let folder = tempfile::tempdir()?;
//! # let folder = folder.path().join("tls");
//! let files = tls::generate(&folder)?;
//! let key = AuthKey::new("qiye");
//! let manager = Manager::builder()
//!     .listen("127.0.0.1:0")
//!     .authkey(key.clone())
//!     .tls(TlsServer::new(&files.cert, &files.key))
//!     .register("tasks", QueueOptions::new())
//!     .start()?;
//!
//! // On another machine, which has a copy of `ca.pem`:
//! let client = Client::builder()
//!     .tls(TlsClient::new(&files.ca))
//!     .connect(manager.local_addr(), &key)?;
//! client.ping()?;
//! assert!(manager.connections()[0].encrypted);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod door;
mod error;
mod generate;

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem, pem::PemObject as _},
    server::WebPkiClientVerifier,
    version::TLS13,
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

pub(crate) use door::{Door, Verdict};
pub use error::TlsError;
pub use generate::{Generated, generate};

/// The first byte of a TLS handshake. An answer to a challenge starts with `\0`, being short.
pub(crate) const CLIENT_HELLO: u8 = 0x16;

/// What a manager needs to serve TLS: PEM files, read when it starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsServer {
    cert: PathBuf,
    key: PathBuf,
    client_ca: Option<PathBuf>,
}

impl TlsServer {
    /// A certificate, followed in its file by those that lead to its authority, if any; and its
    /// private key.
    pub fn new(cert: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        Self { cert: cert.into(), key: key.into(), client_ca: None }
    }

    /// Mutual TLS: clients must have a certificate by an authority of this file.
    #[must_use]
    pub fn client_ca(mut self, ca: impl Into<PathBuf>) -> Self {
        self.client_ca = Some(ca.into());
        self
    }

    /// Reads the files.
    pub(crate) fn load(&self) -> Result<TlsAcceptor, TlsError> {
        let (chain, key) = (certificates(&self.cert)?, private_key(&self.key)?);
        let provider = provider();
        let config = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&TLS13])
            .map_err(|error| TlsError::unusable(&self.cert, &error))?;
        let config = match &self.client_ca {
            None => config.with_no_client_auth(),
            Some(ca) => {
                let roots = Arc::new(authorities(ca)?);
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider)
                    .build()
                    .map_err(|error| TlsError::unusable(ca, &error))?;
                config.with_client_cert_verifier(verifier)
            }
        };
        let config = config
            .with_single_cert(chain, key)
            .map_err(|error| TlsError::pair(&self.cert, &self.key, &error))?;
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

/// What a client needs to use a manager over TLS: PEM files, read when it connects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsClient {
    ca: PathBuf,
    identity: Option<(PathBuf, PathBuf)>,
    server_name: Option<String>,
}

impl TlsClient {
    /// The file of the authority, or authorities, by one of which the manager's certificate must
    /// be. The system's own are not asked.
    pub fn new(ca: impl Into<PathBuf>) -> Self {
        Self { ca: ca.into(), identity: None, server_name: None }
    }

    /// A certificate of this client and its private key, for a manager that asks for one.
    #[must_use]
    pub fn identity(mut self, cert: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.identity = Some((cert.into(), key.into()));
        self
    }

    /// The name that the manager's certificate must have, where it is not the host's in the
    /// address: behind a forwarded port, for instance.
    #[must_use]
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    /// Reads the files.
    pub(crate) fn load(&self, address: &str) -> Result<Dialler, TlsError> {
        let name = self.server_name.as_deref().unwrap_or_else(|| host(address));
        let name = ServerName::try_from(name.to_owned())
            .map_err(|_| TlsError::BadServerName { name: name.into() })?;
        let config = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])
            .map_err(|error| TlsError::unusable(&self.ca, &error))?
            .with_root_certificates(authorities(&self.ca)?);
        let config = match &self.identity {
            None => config.with_no_client_auth(),
            Some((cert, key)) => config
                .with_client_auth_cert(certificates(cert)?, private_key(key)?)
                .map_err(|error| TlsError::pair(cert, key, &error))?,
        };
        Ok(Dialler { connector: TlsConnector::from(Arc::new(config)), name })
    }
}

/// Makes the TLS of outgoing connections.
#[derive(Clone)]
pub(crate) struct Dialler {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl Dialler {
    /// The client's half of the TLS handshake.
    pub async fn connect(&self, stream: TcpStream) -> io::Result<client::TlsStream<TcpStream>> {
        self.connector.connect(self.name.clone(), stream).await
    }
}

/// What a manager's connections may be.
#[derive(Clone)]
pub(crate) struct Policy {
    pub tls: Option<TlsAcceptor>,
    /// Whether peers of other machines may do without, though there is TLS.
    pub allow_plaintext: bool,
}

impl Policy {
    /// Whether peers of other machines may do without TLS.
    pub fn allows_plaintext(&self) -> bool {
        self.tls.is_none() || self.allow_plaintext
    }

    /// The server's half of the TLS handshake, if the peer begins one: its first byte tells.
    pub async fn accept(&self, stream: TcpStream) -> io::Result<server::TlsStream<TcpStream>> {
        match &self.tls {
            Some(acceptor) => acceptor.accept(stream).await,
            None => Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "it wants TLS, for which this manager has no certificate",
            )),
        }
    }
}

impl std::fmt::Debug for Policy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Policy")
            .field("tls", &self.tls.is_some())
            .field("allow_plaintext", &self.allow_plaintext)
            .finish()
    }
}

/// Named here, so that it does not matter which one the program has installed, if any.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// The host of `HOST:PORT`, without the brackets of an IPv6 address.
fn host(address: &str) -> &str {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, pem::Error> =
        CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    match found {
        Ok(none) if none.is_empty() => Err(TlsError::NoCertificate { path: path.into() }),
        Ok(found) => Ok(found),
        Err(error) => Err(TlsError::pem(path, error)),
    }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_file(path).map_err(|error| match error {
        pem::Error::NoItemsFound => TlsError::NoKey { path: path.into() },
        error => TlsError::pem(path, error),
    })
}

fn authorities(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|error| TlsError::unusable(path, &error))?;
    }
    Ok(roots)
}

#[cfg(test)]
mod tests;
