//! Keeps a crawl away from private addresses, whatever name or redirect leads there.
//!
//! The check sits after name resolution, on the very addresses that are connected to, so that a
//! name that changes between check and use (DNS rebinding) gains nothing.

use std::error::Error;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::job::{Cause, Problem};

/// Why a name gave no address to connect to.
#[derive(Debug)]
pub(super) enum ResolveError {
    /// The resolver's own error.
    Unresolvable { host: String, cause: String },
    /// It resolves, but only to addresses the crawl must not touch.
    Private { host: String, address: IpAddr },
}

impl fmt::Display for ResolveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unresolvable { host, cause } => write!(f, "cannot resolve {host}: {cause}"),
            Self::Private { host, address } => {
                write!(
                    f,
                    "{host} is at the private address {address}; --allow-private permits that"
                )
            }
        }
    }
}

impl Error for ResolveError {}

/// The system's resolver, less the private addresses.
pub(super) struct GuardedResolver {
    allow_private: bool,
}

impl GuardedResolver {
    pub(super) fn new(allow_private: bool) -> Self {
        Self { allow_private }
    }
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let allow_private = self.allow_private;
        let host = name.as_str().to_owned();
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((host.as_str(), 0))
                .await
                .map_err(|error| ResolveError::Unresolvable {
                    host: host.clone(),
                    cause: error.to_string(),
                })?
                .collect();
            let public: Vec<SocketAddr> = found
                .iter()
                .copied()
                .filter(|address| allow_private || !is_private(address.ip()))
                .collect();
            match (public.is_empty(), found.first()) {
                (false, _) => Ok(Box::new(public.into_iter()) as Addrs),
                (true, Some(address)) => {
                    Err(ResolveError::Private { host, address: address.ip() }.into())
                }
                (true, None) => Err(ResolveError::Unresolvable {
                    host,
                    cause: "the name has no address".to_owned(),
                }
                .into()),
            }
        })
    }
}

/// Checks a host that is written as an IP address, which no resolver sees.
pub(super) fn check_literal(host: &str) -> Result<(), Problem> {
    match host.trim_matches(['[', ']']).parse::<IpAddr>() {
        Ok(address) if is_private(address) => Err(Problem::new(
            Cause::PrivateAddress,
            format!("{address} is a private address; --allow-private permits it"),
        )),
        _ => Ok(()),
    }
}

/// Whether an address is anything but a public unicast one: loopback, private, link-local, shared,
/// reserved, multicast, or an IPv6 form that embeds such an IPv4 address.
///
/// The blocks are those of the IANA special-purpose registries (RFC 6890 and successors).
pub fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_private_v4(v4),
        IpAddr::V6(v6) => is_private_v6(v6),
    }
}

fn is_private_v4(v4: Ipv4Addr) -> bool {
    let [a, b, c, _] = v4.octets();
    v4.is_private()
        || v4.is_loopback()
        || v4.is_link_local()
        || v4.is_multicast()
        || a == 0
        || a >= 240
        || (a == 100 && (64..128).contains(&b))
        || (a == 198 && (18..20).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || v4.is_documentation()
}

fn is_private_v6(v6: Ipv6Addr) -> bool {
    let segments = v6.segments();
    let embedded = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        is_private_v4(Ipv4Addr::new(a, b, c, d))
    };
    match segments {
        // Unspecified, loopback, IPv4-mapped and IPv4-compatible.
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] => {
            v6.is_loopback() || v6.is_unspecified() || embedded(high, low)
        }
        // NAT64 (RFC 6052) and 6to4 (RFC 3056).
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => embedded(high, low),
        // Local-use NAT64 (RFC 8215), discard-only, Teredo and documentation blocks.
        [0x64, 0xff9b, 1, ..] | [0x100, 0, 0, 0, ..] | [0x2001, 0 | 0xdb8, ..] => true,
        [first, ..] => {
            v6.is_multicast() || (first & 0xfe00) == 0xfc00 || (first & 0xffc0) == 0xfe80
                // Site-local, deprecated by RFC 3879 but still routed inside some sites.
                || (first & 0xffc0) == 0xfec0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_addresses_are_told_from_public_ones() {
        for private in [
            "127.0.0.1",
            "127.255.0.9",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "240.0.0.1",
            "192.0.0.8",
            "203.0.113.9",
            "::1",
            "::",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "fc00::1",
            "fd12::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "2001:db8::1",
            "100::1",
        ] {
            assert!(is_private(private.parse().unwrap()), "{private}");
        }
        for public in [
            "1.1.1.1",
            "8.8.8.8",
            "172.32.0.1",
            "100.128.0.1",
            "198.20.0.1",
            "192.0.1.1",
            "2606:4700::1111",
            "::ffff:8.8.8.8",
            "64:ff9b::808:808",
            "2002:808:808::",
            "2001:4860::8888",
        ] {
            assert!(!is_private(public.parse().unwrap()), "{public}");
        }
    }

    #[test]
    fn a_literal_private_host_is_refused_before_any_connection() {
        assert_eq!(check_literal("[::1]").unwrap_err().cause, Cause::PrivateAddress);
        assert_eq!(check_literal("192.168.0.1").unwrap_err().cause, Cause::PrivateAddress);
        assert_eq!(check_literal("example.org"), Ok(()));
        assert_eq!(check_literal("9.9.9.9"), Ok(()));
    }

    #[tokio::test]
    async fn a_name_with_only_private_addresses_does_not_resolve_unless_allowed() {
        let resolve = |allow| GuardedResolver::new(allow).resolve("localhost".parse().unwrap());
        let error = resolve(false).await.err().unwrap();
        assert!(
            error
                .downcast_ref::<ResolveError>()
                .is_some_and(|e| matches!(e, ResolveError::Private { .. }))
        );
        assert!(resolve(true).await.unwrap().next().is_some());
    }
}
