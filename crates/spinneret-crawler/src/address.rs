//! Addresses: the canonical form in which the crawler names a page or an image.
//!
//! One resource has many spellings; the frontier must see one. An [`Address`] is an absolute
//! `http` or `https` URL in the form that the [WHATWG URL standard] gives it, normalised further
//! where RFC 3986 §6.2.2 says that two spellings mean the same:
//!
//! - scheme and host in lower case, international host names in punycode, IPv4 in dotted decimal;
//! - the scheme's default port, the fragment, an empty query (`?`) and userinfo dropped (an image
//!   behind a password in the address is not something to store that password for);
//! - dot segments resolved, white space around and line breaks within removed as browsers do;
//! - percent-encoding in upper case, and decoded where it hides an unreserved character.
//!
//! The order of a query's parts is kept: servers may tell them apart.
//!
//! [WHATWG URL standard]: https://url.spec.whatwg.org/

use std::borrow::Borrow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};
use url::{Position, Url};

mod extensions;
mod fast;
mod resolver;
mod scope;
#[cfg(test)]
mod tests;

pub(crate) use extensions::FileKind;
pub use resolver::Resolver;
pub(crate) use resolver::has_skipped_scheme;
pub use scope::{ParseScopeError, Scope, SeedScope};

/// The longest address that is accepted, in bytes of its canonical form.
///
/// Servers commonly refuse more than 8 KiB; longer ones are almost always traps or data.
pub const MAX_ADDRESS_LEN: usize = 8 * 1024;

/// Why a text is not an address that can be crawled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// The URL standard calls the text invalid.
    #[error("malformed address: {0}")]
    Malformed(#[from] url::ParseError),
    /// The address is of another scheme than `http` and `https`.
    #[error("cannot crawl `{scheme}:` addresses: only http and https")]
    UnsupportedScheme {
        /// The scheme, without its colon.
        scheme: String,
    },
    /// The address is longer than [`MAX_ADDRESS_LEN`].
    #[error("address of {len} bytes is longer than the limit of {MAX_ADDRESS_LEN}")]
    TooLong {
        /// Its length in bytes.
        len: usize,
    },
}

/// A canonical absolute `http` or `https` URL without fragment and userinfo.
///
/// Equality, order and hash are those of [`Address::as_str`]. It serialises as that string, and is
/// checked again when it is read back.
#[derive(Clone)]
pub struct Address {
    /// Invariant: the canonical form, at most `MAX_ADDRESS_LEN` bytes.
    text: Box<str>,
    /// Where the path starts (it always has one: at least `/`).
    path_at: u16,
    /// Where the path ends: at the `?` of the query, or at the end of the text.
    path_end: u16,
}

impl Address {
    /// Reads an absolute address as a browser's address bar would, and makes it canonical.
    ///
    /// # Errors
    /// [`AddressError`] when it is not absolute, not `http(s)`, malformed, or too long.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        if let Some(address) = fast::absolute(text) {
            return Ok(address);
        }
        Self::parse_slowly(text)
    }

    /// The whole of the URL standard's parser: what [`fast::absolute`] must agree with.
    fn parse_slowly(text: &str) -> Result<Self, AddressError> {
        check_len(text.len())?;
        Self::from_url(Url::parse(text)?)
    }

    /// The canonical form of a parsed URL.
    ///
    /// # Errors
    /// [`AddressError`] when it is not `http(s)` or too long.
    pub fn from_url(mut url: Url) -> Result<Self, AddressError> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(AddressError::UnsupportedScheme { scheme: url.scheme().to_owned() });
        }
        url.set_fragment(None);
        if url.query() == Some("") {
            url.set_query(None);
        }
        if !url.username().is_empty() || url.password().is_some() {
            // Both fail only for URLs without a host, which http and https do not allow.
            let _ = url.set_password(None);
            let _ = url.set_username("");
        }
        let path_at = url[..Position::BeforePath].len();
        let text = normalise_percent(url.into(), path_at);
        check_len(text.len())?;
        Ok(Self::from_canonical(text.into_boxed_str(), path_at))
    }

    /// Wraps a text that is canonical already and at most `MAX_ADDRESS_LEN` bytes long.
    fn from_canonical(text: Box<str>, path_at: usize) -> Self {
        debug_assert!(text.len() <= MAX_ADDRESS_LEN && text.as_bytes()[path_at] == b'/');
        let path_end = text[path_at..].find('?').map_or(text.len(), |i| path_at + i);
        // Both fit: MAX_ADDRESS_LEN is far below 2^16.
        Self { path_at: path_at as u16, path_end: path_end as u16, text }
    }

    /// The address that `reference` means when it stands on this page, as in an `href`.
    ///
    /// `None` for what names no other resource: nothing at all, a fragment of this page, or
    /// another scheme than `http(s)` (`data:`, `javascript:`, `mailto:`, ...). To resolve many
    /// references against one base, a [`Resolver`] is cheaper.
    ///
    /// # Errors
    /// [`AddressError`] when the reference is malformed or too long.
    pub fn join(&self, reference: &str) -> Result<Option<Self>, AddressError> {
        Resolver::new(self).resolve(reference)
    }

    /// The whole address.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the scheme is `https` rather than `http`.
    pub fn is_https(&self) -> bool {
        self.text.as_bytes()[4] == b's'
    }

    /// `http` or `https`.
    pub fn scheme(&self) -> &str {
        if self.is_https() { "https" } else { "http" }
    }

    /// Scheme, host and port, such as `https://example.com:8443`, without a trailing slash.
    pub fn origin(&self) -> &str {
        &self.text[..usize::from(self.path_at)]
    }

    /// Host and, unless it is the scheme's default, port: by which scopes tell hosts apart. `http`
    /// and `https` of one host at their default ports share it.
    pub fn host_key(&self) -> &str {
        &self.text[self.scheme().len() + 3..usize::from(self.path_at)]
    }

    /// The host: a name, an IPv4 address, or an IPv6 address in brackets.
    pub fn host(&self) -> &str {
        self.split_port().0
    }

    /// The port, explicit or the scheme's default.
    pub fn port(&self) -> u16 {
        let default = if self.is_https() { 443 } else { 80 };
        self.split_port().1.and_then(|port| port.parse().ok()).unwrap_or(default)
    }

    fn split_port(&self) -> (&str, Option<&str>) {
        let authority = self.host_key();
        // The colons of an IPv6 address are inside its brackets.
        let name_end = authority.rfind(']').map_or(0, |i| i + 1);
        match authority[name_end..].find(':') {
            Some(i) => (&authority[..name_end + i], Some(&authority[name_end + i + 1..])),
            None => (authority, None),
        }
    }

    /// The path, with its leading `/` and without the query.
    pub fn path(&self) -> &str {
        &self.text[usize::from(self.path_at)..usize::from(self.path_end)]
    }

    /// The query without its `?`, if there is one.
    pub fn query(&self) -> Option<&str> {
        self.text.get(usize::from(self.path_end) + 1..)
    }

    /// Path and query: what a request's first line names.
    pub fn path_and_query(&self) -> &str {
        &self.text[usize::from(self.path_at)..]
    }

    /// What follows the last dot of the path's last segment, as it is spelled there.
    pub fn extension(&self) -> Option<&str> {
        let path = self.path();
        let name = &path[path.rfind('/').map_or(0, |i| i + 1)..];
        let dot = name.rfind('.')?;
        let extension = &name[dot + 1..];
        (!extension.is_empty()).then_some(extension)
    }

    /// What the extension says about the file.
    pub(crate) fn file_kind(&self) -> FileKind {
        self.extension().map_or(FileKind::Unknown, FileKind::of)
    }

    /// Whether the path ends in the extension of an image, raster or vector.
    pub fn has_image_extension(&self) -> bool {
        self.file_kind() == FileKind::Image
    }

    /// Whether the path ends in an extension that an HTML page does not have: archives, media,
    /// documents, programs, style sheets, scripts, images.
    pub fn is_unlikely_page(&self) -> bool {
        self.file_kind() != FileKind::Unknown
    }

    /// Whether the address may be an HTML page: no extension, or one not known to be otherwise.
    pub fn looks_like_page(&self) -> bool {
        !self.is_unlikely_page()
    }

    /// 128 bits that stand for this address in the seen-set: the first 16 bytes, big-endian, of
    /// the SHA-256 of [`as_str`](Self::as_str).
    ///
    /// The value is the same on every machine and in every version. A cryptographic hash, because
    /// sites choose the addresses that are hashed and the set is shared between sites: with a fast
    /// hash without a key, one site could make addresses that hide another's. Finding an address
    /// that collides with a given one takes 2^128 tries.
    pub fn fingerprint(&self) -> u128 {
        let digest = Sha256::digest(self.text.as_bytes());
        let mut first = [0; 16];
        first.copy_from_slice(&digest[..16]);
        u128::from_be_bytes(first)
    }
}

fn check_len(len: usize) -> Result<(), AddressError> {
    if len > MAX_ADDRESS_LEN {
        return Err(AddressError::TooLong { len });
    }
    Ok(())
}

/// Percent-encoding after `from` in upper case, and decoded where it hides an unreserved character
/// (RFC 3986 §6.2.2).
fn normalise_percent(text: String, from: usize) -> String {
    let bytes = text.as_bytes();
    let Some(first) = bytes[from..].iter().position(|&b| b == b'%') else {
        return text;
    };
    let mut out = String::with_capacity(text.len());
    let mut copied = 0;
    let mut at = from + first;
    // Where in `out` the last `%` stands that begins no triplet. A character decoded right behind
    // it could make one, and the result would then mean something else.
    let mut stray = None;
    while at < bytes.len() {
        if bytes[at] != b'%' {
            at += 1;
            continue;
        }
        out.push_str(&text[copied..at]);
        let value = match bytes.get(at + 1..at + 3) {
            Some(&[high, low]) => hex(high).zip(hex(low)).map(|(h, l)| h << 4 | l),
            _ => None,
        };
        if let Some(value) = value {
            let after_stray = stray.is_some_and(|s| out.len() - s <= 2);
            if is_unreserved(value) && !(after_stray && value.is_ascii_hexdigit()) {
                out.push(char::from(value));
            } else {
                out.push_str(&text[at..at + 3].to_ascii_uppercase());
            }
            at += 3;
        } else {
            stray = Some(out.len());
            out.push('%');
            at += 1;
        }
        copied = at;
    }
    out.push_str(&text[copied..]);
    out
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

impl AsRef<str> for Address {
    fn as_ref(&self) -> &str {
        &self.text
    }
}

impl Borrow<str> for Address {
    fn borrow(&self) -> &str {
        &self.text
    }
}

impl PartialEq for Address {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Address {}

impl PartialOrd for Address {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Address {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.text.cmp(&other.text)
    }
}

impl Hash for Address {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({})", self.text)
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        Self::parse(text)
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Address;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an http or https address")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Address, E> {
                Address::parse(text).map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}
