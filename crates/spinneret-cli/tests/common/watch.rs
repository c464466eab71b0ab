//! What a dashboard serves, read over plain sockets.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::Value;

use super::WATCHDOG;

/// The answer to a request: its head, and its body.
pub fn request(address: &str, head: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(WATCHDOG)).unwrap();
    stream.write_all(format!("{head}\r\nConnection: close\r\n\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

/// The body of the page at a path.
pub fn get(address: &str, path: &str) -> String {
    let (head, body) = request(address, &format!("GET {path} HTTP/1.1\r\nHost: {address}"));
    assert!(head.starts_with("HTTP/1.1 200 "), "{path}: {head}");
    body
}

/// The state as JSON, with the samples after number `since`.
pub fn state(address: &str, since: u64) -> Value {
    serde_json::from_str(&get(address, &format!("/api/state?since={since}"))).unwrap()
}

/// Reads Prometheus' text format as strictly as its description is; panics at what is against it.
/// The samples as they are written, by name and labels.
pub fn parse_exposition(text: &str) -> BTreeMap<String, String> {
    let is_name = |name: &str| {
        name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
            && name.chars().all(|char| char.is_ascii_alphanumeric() || char == '_')
    };
    assert!(text.ends_with('\n'), "the last line is not ended");
    let (mut samples, mut families) = (BTreeMap::new(), BTreeSet::new());
    let (mut helped, mut family) = (String::new(), (String::new(), String::new()));
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, help) = help.split_once(' ').unwrap();
            assert!(is_name(name) && !help.is_empty() && !help.contains('\\'), "{line}");
            name.clone_into(&mut helped);
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            assert_eq!(name, helped, "a type without its help");
            assert!(["counter", "gauge"].contains(&kind), "{line}");
            assert_eq!(name.ends_with("_total"), kind == "counter", "{line}");
            assert!(families.insert(name.to_owned()), "{name} is in two places");
            family = (name.to_owned(), kind.to_owned());
        } else {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let (name, labels) = match series.split_once('{') {
                Some((name, labels)) => (name, labels.strip_suffix('}').unwrap()),
                None => (series, ""),
            };
            assert_eq!(name, family.0, "a sample outside its family");
            check_labels(labels, is_name);
            let number: f64 = value.parse().unwrap();
            assert!(family.1 != "counter" || number >= 0.0, "{line}");
            assert!(
                samples.insert(series.to_owned(), value.to_owned()).is_none(),
                "{series} comes twice"
            );
        }
    }
    samples
}

/// `name="value",...`, where a value has `\`, `"` and line breaks escaped.
fn check_labels(mut labels: &str, is_name: impl Fn(&str) -> bool) {
    while !labels.is_empty() {
        let (name, rest) = labels.split_once("=\"").unwrap();
        assert!(is_name(name), "{labels}");
        let (mut escaped, mut end) = (false, None);
        for (at, char) in rest.char_indices() {
            match (escaped, char) {
                (true, '\\' | '"' | 'n') => escaped = false,
                (true, other) => panic!("\\{other} is no escape: {labels}"),
                (false, '\\') => escaped = true,
                (false, '"') => {
                    end = Some(at);
                    break;
                }
                (false, _) => {}
            }
        }
        let after = &rest[end.unwrap_or_else(|| panic!("a value without end: {labels}")) + 1..];
        labels = after.strip_prefix(',').unwrap_or(after);
        assert!(labels.len() < after.len() || labels.is_empty(), "{after:?} after a value");
    }
}
