//! Which pages belong to a crawl.

use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Address;

/// How far from its seeds a crawl may go.
///
/// Scope is about pages only: the images (and style sheets) of a page are part of it wherever
/// they are kept, since sites commonly serve them from another host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// The same host and port as a seed, by `http` or `https`.
    #[default]
    Host,
    /// The same registrable domain as a seed by the Public Suffix List (`a.example.co.uk` and
    /// `b.example.co.uk`), at any port. IP addresses, and hosts that are a public suffix
    /// themselves or have no dot, only match themselves.
    Domain,
    /// The same host and port as a seed, and a path inside the seed's folder.
    Prefix,
    /// Everything.
    Any,
}

impl Scope {
    /// All scopes, in the order in which they are documented.
    pub const ALL: [Self; 4] = [Self::Host, Self::Domain, Self::Prefix, Self::Any];

    /// The scope's name, as the command line spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Domain => "domain",
            Self::Prefix => "prefix",
            Self::Any => "any",
        }
    }

    /// Whether the page `address` belongs to a crawl of `seeds`.
    pub fn allows(self, seeds: &SeedScope, address: &Address) -> bool {
        match self {
            Self::Any => true,
            Self::Host => seeds.hosts.contains(address.host_key()),
            Self::Domain => seeds.domains.contains(registrable_domain(address.host())),
            Self::Prefix => {
                let place = place(address);
                place.match_indices('/').any(|(at, _)| seeds.folders.contains(&place[..=at]))
            }
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that names no [`Scope`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown scope `{0}`: use host, domain, prefix or any")]
pub struct ParseScopeError(String);

impl FromStr for Scope {
    type Err = ParseScopeError;

    fn from_str(text: &str) -> Result<Self, ParseScopeError> {
        Self::ALL
            .into_iter()
            .find(|scope| scope.as_str() == text)
            .ok_or_else(|| ParseScopeError(text.to_owned()))
    }
}

/// The seeds of a crawl, prepared for [`Scope::allows`].
#[derive(Debug, Clone, Default)]
pub struct SeedScope {
    hosts: HashSet<Box<str>>,
    domains: HashSet<Box<str>>,
    /// Host key and path up to and with its last slash.
    folders: HashSet<Box<str>>,
}

impl SeedScope {
    /// The scope around these seeds.
    pub fn new<'a>(seeds: impl IntoIterator<Item = &'a Address>) -> Self {
        let mut scope = Self::default();
        for seed in seeds {
            scope.add(seed);
        }
        scope
    }

    /// Adds a seed: for example where a seed redirected to (`example.com` to `www.example.com`).
    pub fn add(&mut self, seed: &Address) {
        let place = place(seed);
        let folder = &place[..place.rfind('/').map_or(0, |at| at + 1)];
        self.folders.insert(folder.into());
        self.hosts.insert(seed.host_key().into());
        self.domains.insert(registrable_domain(seed.host()).into());
    }
}

/// Host key and path.
fn place(address: &Address) -> &str {
    let from = address.scheme().len() + "://".len();
    &address.as_str()[from..from + address.host_key().len() + address.path().len()]
}

/// The registrable domain of a host name, or the whole host where there is none.
fn registrable_domain(host: &str) -> &str {
    let last = host.rsplit('.').next().unwrap_or(host);
    // In canonical form only an IPv4 address ends in a number, and only IPv6 has brackets.
    if host.starts_with('[') || last.bytes().all(|b| b.is_ascii_digit()) {
        return host;
    }
    psl::domain_str(host).unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_limit_pages_to_where_the_seeds_are() {
        let address = |text: &str| Address::parse(text).unwrap();
        let seeds = SeedScope::new(&[
            address("https://www.example.co.uk/docs/start.html"),
            address("http://127.0.0.1:8080/a/"),
            address("http://localhost/"),
            address("https://someone.github.io/"),
        ]);
        let allowed = |text: &str| {
            let page = address(text);
            Scope::ALL
                .into_iter()
                .filter(|scope| scope.allows(&seeds, &page))
                .map(Scope::as_str)
                .collect::<Vec<_>>()
                .join(" ")
        };
        let table = [
            ("https://www.example.co.uk/docs/a", "host domain prefix any"),
            ("http://www.example.co.uk/docs/", "host domain prefix any"),
            ("https://www.example.co.uk/docs", "host domain any"),
            ("https://www.example.co.uk/", "host domain any"),
            ("https://www.example.co.uk:8443/docs/a", "domain any"),
            ("https://img.example.co.uk/docs/a", "domain any"),
            ("https://other.co.uk/", "any"),
            ("https://example.co.uk.evil.com/", "any"),
            ("http://127.0.0.1:8080/a/b", "host domain prefix any"),
            ("http://127.0.0.1:8080/b", "host domain any"),
            ("http://127.0.0.1:9090/a/b", "domain any"),
            ("http://127.0.0.2:8080/a/b", "any"),
            ("http://1.127.0.1:8080/", "any"),
            ("http://localhost/x", "host domain prefix any"),
            ("http://sub.localhost/x", "any"),
            ("https://someone.github.io/x", "host domain prefix any"),
            ("https://other.github.io/x", "any"),
        ];
        for (page, scopes) in table {
            assert_eq!(allowed(page), scopes, "{page}");
        }
    }

    #[test]
    fn a_scope_is_read_by_its_name() {
        for scope in Scope::ALL {
            assert_eq!(scope.to_string().parse(), Ok(scope));
            assert_eq!(serde_json::to_string(&scope).unwrap(), format!("\"{scope}\""));
        }
        assert_eq!(
            "Everything".parse::<Scope>().unwrap_err().to_string(),
            "unknown scope `Everything`: use host, domain, prefix or any"
        );
    }
}
