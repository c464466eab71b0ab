//! Ways to a manager, and TLS at either end of them.

use spinneret::manager::{Client, TlsClient, TlsServer};

use crate::args::{ConnectArgs, ServeTlsArgs};
use crate::{UsageError, key};

/// Connects to the manager at an address.
pub async fn connect(args: &ConnectArgs, address: &str) -> anyhow::Result<Client> {
    let mut builder = Client::builder();
    if let Some(tls) = tls_client(args)? {
        builder = builder.tls(tls);
    }
    let key = key::for_client(&args.key, address)?;
    Ok(builder.connect_async(address, &key).await?)
}

/// How to speak TLS with a manager, if that is asked for.
pub fn tls_client(args: &ConnectArgs) -> anyhow::Result<Option<TlsClient>> {
    let wrong = |why: &str| Err(UsageError(why.to_owned()).into());
    let Some(ca) = &args.tls_ca else {
        if args.tls_cert.is_some() || args.tls_key.is_some() || args.tls_name.is_some() {
            return wrong(
                "TLS needs the authority that the manager's certificate is by: --tls-ca FILE",
            );
        }
        return Ok(None);
    };
    let mut tls = TlsClient::new(ca);
    match (&args.tls_cert, &args.tls_key) {
        (Some(cert), Some(key)) => tls = tls.identity(cert, key),
        (None, None) => {}
        (Some(_), None) => return wrong("--tls-cert needs its private key: --tls-key FILE"),
        (None, Some(_)) => return wrong("--tls-key needs its certificate: --tls-cert FILE"),
    }
    if let Some(name) = &args.tls_name {
        tls = tls.server_name(name);
    }
    Ok(Some(tls))
}

/// How to speak TLS with those who connect, if that is asked for.
pub fn tls_server(args: &ServeTlsArgs) -> Option<TlsServer> {
    let tls = TlsServer::new(args.tls_cert.as_ref()?, args.tls_key.as_ref()?);
    Some(match &args.tls_ca {
        Some(ca) => tls.client_ca(ca),
        None => tls,
    })
}
