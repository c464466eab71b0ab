//! The arguments for keys and TLS, at either end of a connection.

use std::path::PathBuf;

/// Where the key comes from.
#[derive(Debug, clap::Args)]
pub struct KeyArgs {
    /// File with the key that manager and workers share. Else the environment variable
    /// `SPINNERET_AUTHKEY`, else, on one machine, a key file that the manager makes.
    #[arg(long, value_name = "FILE", global = true)]
    pub authkey_file: Option<PathBuf>,
}

/// How to connect to a manager: the key, and TLS if there is a file of an authority.
#[derive(Debug, clap::Args)]
pub struct ConnectArgs {
    #[command(flatten)]
    pub key: KeyArgs,
    // Which of these belong together is checked when they are used: clap checks what is global in
    // each subcommand by itself.
    /// Speak TLS, with a manager whose certificate is by the authority in FILE (ca.pem).
    #[arg(long, value_name = "FILE", global = true, help_heading = "TLS")]
    pub tls_ca: Option<PathBuf>,
    /// The certificate to show, if the manager asks for one.
    #[arg(long, value_name = "FILE", global = true, help_heading = "TLS")]
    pub tls_cert: Option<PathBuf>,
    /// The private key of that certificate.
    #[arg(long, value_name = "FILE", global = true, help_heading = "TLS")]
    pub tls_key: Option<PathBuf>,
    /// The name in the manager's certificate, if it is not the host in its address.
    #[arg(long, value_name = "NAME", global = true, help_heading = "TLS")]
    pub tls_name: Option<String>,
}

/// TLS for those who connect.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_field_names, reason = "their names on the command line")]
pub struct ServeTlsArgs {
    /// Speak TLS with this certificate. Other machines then have to, this one may.
    #[arg(long, value_name = "FILE", requires = "tls_key", help_heading = "TLS")]
    pub tls_cert: Option<PathBuf>,
    /// The private key of the certificate.
    #[arg(long, value_name = "FILE", requires = "tls_cert", help_heading = "TLS")]
    pub tls_key: Option<PathBuf>,
    /// Ask those who connect by TLS for a certificate by the authority in FILE.
    #[arg(long, value_name = "FILE", requires = "tls_cert", help_heading = "TLS")]
    pub tls_ca: Option<PathBuf>,
}
