//! Look-ups by hickory-resolver: questions to name servers, asked by the hub's own event loop.
//!
//! It finds addresses only. What `getaddrinfo` makes of an address, a service and hints is left to
//! libc: it is asked once more for each address that was found, which needs nobody else then.

use std::{cell::OnceCell, net::IpAddr, ptr};

use hickory_resolver::{TokioResolver, net::NetError};
use libc::{addrinfo, c_int};

use super::{Found, Question, numeric};
use crate::{green, task::Interrupted};

thread_local! {
    /// The hub's own, for its tasks live on the hub's runtime.
    static RESOLVER: OnceCell<TokioResolver> = const { OnceCell::new() };
}

/// This hub's resolver; on the hub's own stack. `/etc/resolv.conf` is read for the first.
fn resolver() -> Result<TokioResolver, NetError> {
    RESOLVER.with(|cell| {
        if let Some(resolver) = cell.get() {
            return Ok(resolver.clone());
        }
        let resolver = TokioResolver::builder_tokio()?.build()?;
        Ok(cell.get_or_init(|| resolver).clone())
    })
}

/// The addresses of `name`, those of version 4 first.
async fn addresses(name: String) -> Result<Vec<IpAddr>, NetError> {
    let found = resolver()?.lookup_ip(name).await?;
    let mut all: Vec<IpAddr> = found.iter().collect();
    all.sort_by_key(IpAddr::is_ipv6);
    Ok(all)
}

/// Looks up a name, suspending the green thread.
pub(super) fn ask(question: &Question) -> Result<Found, Interrupted> {
    let name = question.node.as_ref().and_then(|node| node.to_str().ok()).map(str::to_owned);
    let Some(name) = name else { return Ok(Found::failed(libc::EAI_NONAME)) };
    let all = match green::block_on(addresses(name))? {
        Ok(all) => all,
        Err(error) => return Ok(Found::failed(code(&error))),
    };
    let family = question.hints.map_or(libc::AF_UNSPEC, |hints| hints.ai_family);
    let wanted = all.into_iter().filter(|address| match family {
        libc::AF_INET => address.is_ipv4(),
        libc::AF_INET6 => address.is_ipv6(),
        _ => true,
    });
    let mut whole = Found::failed(libc::EAI_NONAME);
    for address in wanted {
        let mut part = green::on_hub(|| numeric(question, address));
        if part.code != 0 {
            if whole.list.is_null() {
                whole = part;
            }
            continue;
        }
        whole.code = 0;
        append(&mut whole.list, std::mem::replace(&mut part.list, ptr::null_mut()));
    }
    Ok(whole)
}

/// What `getaddrinfo` says of an error.
fn code(error: &NetError) -> c_int {
    match error {
        error if error.is_no_records_found() => libc::EAI_NONAME,
        NetError::Timeout | NetError::NoConnections | NetError::Busy => libc::EAI_AGAIN,
        NetError::Proto(_) => libc::EAI_NONAME,
        _ => libc::EAI_FAIL,
    }
}

/// Puts one list behind another. libc frees them entry by entry.
fn append(list: &mut *mut addrinfo, more: *mut addrinfo) {
    let mut place = list;
    // SAFETY: the entries of a list are valid until it is freed.
    while let Some(entry) = unsafe { place.as_mut() } {
        place = &mut entry.ai_next;
    }
    *place = more;
}
