//! Where the key comes from that manager and workers share.

use std::net::{IpAddr, ToSocketAddrs};
use std::path::PathBuf;

use anyhow::Context;
use spinneret::manager::AuthKey;

use crate::args::KeyArgs;
use crate::{UsageError, out};

const HOW: &str = "give one with --authkey-file FILE or the environment variable SPINNERET_AUTHKEY";

/// The key of a manager that will listen at `address`. For this machine alone, one is made if there
/// is none.
pub fn for_manager(args: &KeyArgs, address: &str) -> anyhow::Result<AuthKey> {
    if let Some(key) = given(args)? {
        return Ok(key);
    }
    if !is_local(address) {
        let why = format!("{address} can be reached from other machines, so it needs a key: {HOW}");
        return Err(UsageError(why).into());
    }
    let path = default_path()?;
    if path.exists() {
        return AuthKey::from_file(&path).context("the key file of earlier managers");
    }
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    }
    let key = AuthKey::generate()?;
    match key.write_new(&path) {
        Ok(()) => out::say(format_args!("made the key file {}", path.display())),
        // Another manager was faster: its key it is.
        Err(_) if path.exists() => return Ok(AuthKey::from_file(&path)?),
        Err(error) => return Err(error.into()),
    }
    Ok(key)
}

/// The key for the manager at `address`.
pub fn for_client(args: &KeyArgs, address: &str) -> anyhow::Result<AuthKey> {
    if let Some(key) = given(args)? {
        return Ok(key);
    }
    let path = default_path()?;
    if is_local(address) && path.exists() {
        return Ok(AuthKey::from_file(&path)?);
    }
    Err(UsageError(format!("the manager at {address} asks for a key: {HOW}")).into())
}

fn given(args: &KeyArgs) -> anyhow::Result<Option<AuthKey>> {
    match &args.authkey_file {
        Some(path) => Ok(Some(AuthKey::from_file(path)?)),
        None if std::env::var_os("SPINNERET_AUTHKEY").is_some() => Ok(Some(AuthKey::from_env()?)),
        None => Ok(None),
    }
}

/// `authkey` in the user's state folder for spinneret.
fn default_path() -> anyhow::Result<PathBuf> {
    let folder = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|p| p.is_absolute());
    let folder = match (folder, std::env::home_dir()) {
        (Some(folder), _) => folder,
        (None, Some(home)) => home.join(".local/state"),
        (None, None) => {
            return Err(UsageError(format!("no home folder to keep a key in: {HOW}")).into());
        }
    };
    Ok(folder.join("spinneret/authkey"))
}

/// Whether nobody but this machine can reach the address. One that does not resolve is left for the
/// caller that uses it to complain about.
fn is_local(address: &str) -> bool {
    match address.to_socket_addrs() {
        Ok(addresses) => addresses.map(|address| address.ip()).all(|ip: IpAddr| ip.is_loopback()),
        Err(_) => true,
    }
}
