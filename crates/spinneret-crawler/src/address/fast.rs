//! Shortcuts past the whole URL parser for the spellings that nearly all links have.
//!
//! Each takes only texts for which the result is plain to see: every character is one that the
//! URL standard copies unchanged, so that only dot segments and the fragment need work. Anything
//! else is `None` and goes the long way. That both ways agree is tested on generated texts.

use super::{Address, MAX_ADDRESS_LEN};

/// Copied unchanged where it stands in a path.
const IN_PATH: u8 = 1;
/// Copied unchanged where it stands in a query.
const IN_QUERY: u8 = 2;

const CLASS: [u8; 256] = {
    let mut table = [0; 256];
    let mut b = 0;
    while b < 128 {
        let byte = b as u8;
        if byte.is_ascii_alphanumeric() {
            table[b] = IN_PATH | IN_QUERY;
        }
        b += 1;
    }
    let both = b"-_.~/!$&()*+,;=@:";
    let mut i = 0;
    while i < both.len() {
        table[both[i] as usize] = IN_PATH | IN_QUERY;
        i += 1;
    }
    table[b'\'' as usize] = IN_PATH;
    table[b'?' as usize] = IN_QUERY;
    table
};

/// A path and query of plain characters, without the fragment.
struct Plain<'a> {
    path: &'a str,
    /// With its `?`; empty when there is none or nothing behind it.
    query: &'a str,
}

/// Splits a reference that has neither scheme nor host, if all of it is plain.
fn plain(text: &str) -> Option<Plain<'_>> {
    let bytes = text.as_bytes();
    let run = |from: usize, class: u8| {
        bytes[from..]
            .iter()
            .position(|&b| CLASS[usize::from(b)] & class == 0)
            .map_or(bytes.len(), |i| from + i)
    };
    let path_end = run(0, IN_PATH);
    let mut end = path_end;
    if bytes.get(end) == Some(&b'?') {
        end = run(end + 1, IN_QUERY);
    }
    // What follows may only be a fragment. It is dropped, whatever it holds.
    if bytes.get(end).is_some_and(|&b| b != b'#') {
        return None;
    }
    let query = &text[path_end..end];
    Some(Plain { path: &text[..path_end], query: if query.len() > 1 { query } else { "" } })
}

/// An absolute address with a plain host name and no port, user or escapes.
pub(super) fn absolute(text: &str) -> Option<Address> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"))?;
    let scheme_len = text.len() - rest.len();
    let host_len = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    if !is_plain_host(&rest[..host_len]) {
        return None;
    }
    let rooted = plain(&rest[host_len..])?;
    let path_at = scheme_len + host_len;
    build(&text[..path_at], path_at, rooted.path, rooted.query)
}

/// Whether the URL standard takes this host unchanged: lower-case labels, none of them empty or
/// with the double hyphen of punycode, the last not a number (that would be an IPv4 address).
fn is_plain_host(host: &str) -> bool {
    let bytes = host.as_bytes();
    let mut last_label = 0;
    let mut before = b'.';
    for (i, &b) in bytes.iter().enumerate() {
        match b {
            b'a'..=b'z' | b'0'..=b'9' => {}
            b'.' if before != b'.' => last_label = i + 1,
            b'-' if before != b'-' => {}
            _ => return false,
        }
        before = b;
    }
    bytes.len() <= 253 && bytes.get(last_label).is_some_and(u8::is_ascii_lowercase)
}

/// A reference resolved against `base`, if both the reference and the way are plain.
pub(super) fn relative(base: &Address, reference: &str) -> Option<Address> {
    let path_at = usize::from(base.path_at);
    // The base's own origin in front, as many sites write all their links.
    if let Some(rest) = reference.strip_prefix(base.origin())
        && rest.starts_with('/')
    {
        let rooted = plain(rest)?;
        return build(base.origin(), path_at, rooted.path, rooted.query);
    }
    let Plain { path, query } = plain(reference)?;
    match path.as_bytes().first() {
        // Two slashes name a host.
        Some(b'/') if path.as_bytes().get(1) == Some(&b'/') => None,
        Some(b'/') => build(base.origin(), path_at, path, query),
        Some(_) => {
            let first_segment = path.find('/').unwrap_or(path.len());
            if path[..first_segment].contains(':') {
                return None; // A scheme.
            }
            let folder = base.path().rfind('/')? + path_at + 1;
            build(&base.text[..folder], path_at, path, query)
        }
        // Only a query. Without one it is the base itself or a fragment of it.
        None if query.len() > 1 => {
            build(&base.text[..usize::from(base.path_end)], path_at, "", query)
        }
        None => None,
    }
}

/// `start` (whose path, if any, is canonical) followed by the segments of `path` and the query.
fn build(start: &str, path_at: usize, path: &str, query: &str) -> Option<Address> {
    let len = start.len() + path.len() + query.len() + 1;
    if len > MAX_ADDRESS_LEN {
        return None;
    }
    let mut out = String::with_capacity(len);
    out.push_str(start);
    let mut segments = path;
    if start.len() == path_at {
        out.push('/');
        segments = path.strip_prefix('/').unwrap_or(path);
    }
    if has_dot_segment(segments) {
        loop {
            let (segment, rest) = match segments.find('/') {
                Some(i) => (&segments[..i], Some(&segments[i + 1..])),
                None => (segments, None),
            };
            match segment {
                "." => {}
                ".." => {
                    // `out` ends with the slash of the last whole segment: take that segment off.
                    let above = out[path_at..out.len() - 1].rfind('/');
                    out.truncate(above.map_or(path_at + 1, |i| path_at + i + 1));
                }
                _ => {
                    out.push_str(segment);
                    if rest.is_some() {
                        out.push('/');
                    }
                }
            }
            match rest {
                Some(rest) => segments = rest,
                None => break,
            }
        }
    } else {
        out.push_str(segments);
    }
    out.push_str(query);
    Some(Address::from_canonical(out.into_boxed_str(), path_at))
}

/// Whether a segment starts with a dot: then the path goes segment by segment.
fn has_dot_segment(segments: &str) -> bool {
    segments.starts_with('.') || segments.contains("/.")
}
