//! What `Expected` says, checked by a walk of its own: a crude scan of attributes and `url()`s,
//! which shares nothing with the site's builder.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking, its helpers too")]

mod common;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use common::{Answer, get, get_accepting, museum, open};
use spinneret_demo_site::{DemoSite, ServeOptions, ServerHandle, synthetic};
use url::Url;

/// Attributes that name pages or images.
const ADDRESSES: [&str; 17] = [
    "href",
    "src",
    "poster",
    "data-src",
    "data-original",
    "data-lazy-src",
    "data-lazy",
    "data-bg",
    "background",
    "xlink:href",
    "data",
    "content",
    "srcset",
    "data-srcset",
    "style",
    "alt",
    "type",
];

#[derive(Default)]
struct Walk {
    /// Every address that was referred to, by path and query, or whole if it is elsewhere.
    referred: BTreeSet<String>,
    /// Every answer with status 200 below, by the address that was referred to.
    found: BTreeMap<String, Answer>,
    /// Addresses of pages, after redirects.
    pages: BTreeSet<String>,
    stylesheets: BTreeSet<String>,
}

/// The text of a page, decoded as its header, byte order mark or meta element says.
fn text_of(answer: &Answer) -> String {
    let bytes = answer.decoded().unwrap();
    let start = String::from_utf8_lossy(&bytes[..bytes.len().min(600)]).to_ascii_lowercase();
    let declared = answer.header("content-type").unwrap_or_default().to_ascii_lowercase();
    let encoding = if declared.contains("windows-1252") {
        encoding_rs::WINDOWS_1252
    } else if start.contains("charset=shift_jis") {
        encoding_rs::SHIFT_JIS
    } else {
        // Also follows a byte order mark.
        encoding_rs::UTF_8
    };
    encoding.decode(&bytes).0.into_owned()
}

/// Name and value of every attribute of every tag outside comments, the first of each name.
fn attributes(html: &str) -> Vec<(String, String, String)> {
    let mut found = Vec::new();
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        rest = &rest[at..];
        if let Some(comment) = rest.strip_prefix("<!--") {
            rest = comment.split_once("-->").map_or("", |(_, after)| after);
            continue;
        }
        let name: String =
            rest[1..].chars().take_while(char::is_ascii_alphanumeric).collect::<String>();
        rest = &rest[1 + name.len()..];
        let mut seen = BTreeSet::new();
        let mut tag = Vec::new();
        let closed = loop {
            rest = rest.trim_start_matches(|letter: char| letter.is_whitespace() || letter == '/');
            if rest.is_empty() {
                break false;
            }
            if let Some(after) = rest.strip_prefix('>') {
                rest = after;
                break true;
            }
            let end = rest
                .find(|letter: char| letter.is_whitespace() || "=>".contains(letter))
                .unwrap_or(rest.len());
            let attribute = rest[..end].to_ascii_lowercase();
            rest = &rest[end..];
            let Some(after) = rest.strip_prefix('=') else {
                if end == 0 {
                    rest = &rest[1..];
                }
                continue;
            };
            let quote = after.chars().next().filter(|letter| "\"'".contains(*letter));
            let (value, after) = match quote {
                Some(quote) => {
                    let Some(parts) = after[1..].split_once(quote) else {
                        rest = "";
                        break false;
                    };
                    parts
                }
                None => after.split_at(
                    after
                        .find(|letter: char| letter.is_whitespace() || letter == '>')
                        .unwrap_or(after.len()),
                ),
            };
            rest = after;
            if seen.insert(attribute.clone()) {
                let value =
                    value.replace("&amp;", "&").replace("&#38;", "&").replace("&quot;", "\"");
                tag.push((name.to_ascii_lowercase(), attribute, value));
            }
        };
        if closed {
            found.extend(tag);
        }
    }
    found
}

/// What stands in `url(...)`, with escapes resolved, outside comments.
fn urls_of_css(css: &str) -> Vec<String> {
    let mut clean = String::new();
    let mut rest = css;
    while let Some((before, comment)) = rest.split_once("/*") {
        clean += before;
        rest = comment.split_once("*/").map_or("", |(_, after)| after);
    }
    clean += rest;
    // The only escapes that the museum uses; escaped brackets are set aside until the end.
    for (escaped, meant) in
        [("\\72l", "rl"), ("\\73 ", "s"), ("\\(", "<"), ("\\)", ">"), ("URL(", "url(")]
    {
        clean = clean.replace(escaped, meant);
    }
    clean = clean.replace("content: \"url(", "");
    let mut found: Vec<String> = clean
        .split("url(")
        .skip(1)
        .filter_map(|part| part.split_once(')'))
        .map(|(inside, _)| {
            inside.trim().trim_matches(['"', '\'']).replace('<', "(").replace('>', ")")
        })
        .collect();
    for import in clean.split("@import ").skip(1) {
        let quote = import.chars().next().unwrap();
        if "\"'".contains(quote) {
            found.push(import[1..].split(quote).next().unwrap().to_owned());
        }
    }
    found
}

/// The candidates of a `srcset`; a comma inside a name is no separator.
fn candidates(srcset: &str) -> Vec<String> {
    srcset
        .replace("1x,/", "1x, /")
        .split_whitespace()
        .map(|part| part.trim_end_matches(',').to_owned())
        .filter(|part| part.contains('/'))
        .collect()
}

/// What a page or style sheet refers to.
fn references(text: &str, is_css: bool) -> Vec<String> {
    if is_css {
        return urls_of_css(text);
    }
    let mut found = Vec::new();
    for (tag, attribute, value) in attributes(text) {
        if !ADDRESSES.contains(&attribute.as_str()) || tag == "base" {
            continue;
        }
        match attribute.as_str() {
            "srcset" | "data-srcset" => found.extend(candidates(&value)),
            "style" => found.extend(urls_of_css(&value)),
            "content" if value.to_ascii_lowercase().contains("url=") => {
                let (_, target) = value.split_once('=').unwrap();
                found.push(target.trim_matches('\'').to_owned());
            }
            "content" if !value.contains("/img/") => {}
            "alt" | "type" => {}
            _ => found.push(value),
        }
    }
    for style in text.split("<style>").skip(1) {
        found.extend(urls_of_css(style.split("</style>").next().unwrap()));
    }
    found
}

/// Path and query of an address on this server, the whole of any other.
fn key(address: &Url, server: &ServerHandle) -> String {
    if address.port() == Some(server.addr().port()) {
        address[url::Position::BeforePath..url::Position::AfterQuery].to_owned()
    } else {
        address.to_string()
    }
}

async fn walk(server: &ServerHandle, site: &DemoSite) -> Walk {
    let forbidden = site.expected().forbidden;
    let home = Url::parse(&server.url("/")).unwrap();
    let mut walk = Walk::default();
    let mut queue = VecDeque::from([home.clone()]);
    walk.referred.insert("/".to_owned());
    while let Some(address) = queue.pop_front() {
        let asked = key(&address, server);
        if !asked.starts_with('/') || forbidden.contains(&asked) {
            continue;
        }
        let mut place = address.clone();
        let mut answer = get(server.addr(), &asked).await;
        for _ in 0..5 {
            let Some(location) = answer.header("location").filter(|_| answer.status / 100 == 3)
            else {
                break;
            };
            place = place.join(location).unwrap();
            answer = get(server.addr(), &key(&place, server)).await;
        }
        if answer.status != 200 {
            continue;
        }
        let kind = answer.header("content-type").unwrap_or_default().to_owned();
        let is_css = kind.starts_with("text/css");
        if is_css || (kind.starts_with("text/html") && answer.decoded().is_ok()) {
            let arrived = key(&place, server);
            let first =
                if is_css { walk.stylesheets.insert(arrived) } else { walk.pages.insert(arrived) };
            if first {
                let text = text_of(&answer);
                let base = attributes(&text)
                    .into_iter()
                    .find(|(tag, attribute, _)| tag == "base" && attribute == "href")
                    .map_or(place.clone(), |(_, _, base)| place.join(&base).unwrap());
                for reference in references(&text, is_css) {
                    let Ok(mut target) = base.join(reference.trim()) else {
                        continue;
                    };
                    target.set_fragment(None);
                    let followed = target.scheme() == "http" && !reference.trim().is_empty();
                    if followed && walk.referred.insert(key(&target, server)) {
                        queue.push_back(target);
                    }
                }
            }
        }
        walk.found.insert(asked, answer);
    }
    walk
}

#[tokio::test]
async fn every_page_and_only_those_can_be_reached_from_the_lobby() {
    let site = DemoSite::build();
    let server = open(site.clone(), ServeOptions::default()).await;
    let walk = walk(&server, &site).await;
    let expected = site.expected();
    assert_eq!(walk.pages, expected.pages);
    assert_eq!(walk.stylesheets, expected.stylesheets);
    assert!((36..=48).contains(&walk.pages.len()), "{} pages", walk.pages.len());
}

#[tokio::test]
async fn every_expected_image_is_referred_to_and_comes_with_the_expected_bytes() {
    let site = DemoSite::build();
    let server = open(site.clone(), ServeOptions::default()).await;
    let walk = walk(&server, &site).await;
    let expected = site.expected();
    for (path, bytes) in &expected.images {
        let answer = walk.found.get(path).unwrap_or_else(|| panic!("nothing refers to {path}"));
        assert!(answer.whole, "{path}");
        assert_eq!(answer.decoded().unwrap().as_slice(), bytes.as_ref(), "{path}");
    }
    assert!((300..=400).contains(&expected.images.len()), "{} images", expected.images.len());
}

#[tokio::test]
async fn whatever_is_referred_to_is_expected_as_something() {
    let site = DemoSite::build();
    let server = open(site.clone(), ServeOptions::default()).await;
    let walk = walk(&server, &site).await;
    let expected = site.expected();
    for address in &walk.referred {
        let known = expected.pages.contains(address)
            || expected.images.contains_key(address)
            || expected.failures.contains_key(address)
            || expected.forbidden.contains(address)
            || expected.stylesheets.contains(address)
            || expected.redirects.contains_key(address)
            || expected.ghosts.contains(address);
        assert!(known, "{address} is referred to and not expected");
    }
    for address in expected.failures.keys().chain(&expected.forbidden) {
        let from_forbidden = expected.forbidden.contains(address);
        assert!(walk.referred.contains(address) || from_forbidden, "nothing refers to {address}");
    }
    assert!(walk.referred.contains("/private/") && walk.referred.contains("/species/?print=1"));
    for ghost in expected.ghosts.iter().filter(|ghost| ghost.contains("ghost")) {
        assert!(!walk.referred.contains(ghost), "{ghost} should stand in comments only");
    }
}

#[tokio::test]
async fn no_address_is_good_and_bad_at_once() {
    let expected = DemoSite::build().expected();
    for path in expected.images.keys().chain(&expected.pages) {
        assert!(!expected.failures.contains_key(path), "{path}");
        assert!(!expected.forbidden.contains(path), "{path}");
        assert!(!expected.ghosts.contains(path), "{path}");
    }
}

#[tokio::test]
async fn redirects_lead_where_they_are_said_to() {
    let server = museum().await;
    for (from, to) in DemoSite::build().expected().redirects {
        let answer = get(server.addr(), &from).await;
        assert_eq!(answer.status / 100, 3, "{from}");
        assert_eq!(answer.header("location"), Some(to.as_str()));
    }
}

#[tokio::test]
async fn pages_travel_in_every_coding_and_also_without() {
    let server = museum().await;
    let mut codings = BTreeSet::new();
    let mut in_chunks = 0;
    for path in DemoSite::build().expected().pages {
        let packed = get(server.addr(), &path).await;
        let plain = get_accepting(server.addr(), &path, "identity").await;
        assert_eq!(plain.header("content-encoding"), None, "{path}");
        assert_eq!(packed.decoded().unwrap(), plain.body, "{path}");
        assert!(packed.whole && plain.whole, "{path}");
        in_chunks += usize::from(plain.header("transfer-encoding") == Some("chunked"));
        codings.insert(packed.header("content-encoding").unwrap_or("none").to_owned());
    }
    assert_eq!(codings.into_iter().collect::<Vec<_>>(), ["br", "gzip", "none", "zstd"]);
    assert!(in_chunks >= 5, "{in_chunks} pages in chunks");
}

#[tokio::test]
async fn the_origin_in_a_page_is_the_one_that_was_asked() {
    let server = museum().await;
    let page = get(server.addr(), "/ways/cards").await;
    let text = text_of(&page);
    let whole = format!("content=\"http://{}/img/cards/og.png\"", server.addr());
    assert!(text.contains(&whole) && !text.contains("{{origin}}"));
    let robots = get(server.addr(), "/robots.txt").await;
    let robots = String::from_utf8(robots.body).unwrap();
    assert!(robots.contains(&format!("Sitemap: {}", server.url("/sitemap.xml"))));
    assert!(robots.contains("Disallow: /private/\n"));
}

#[tokio::test]
async fn a_synthetic_site_can_be_walked_to_its_last_image() {
    let site = synthetic(40, 3, 9);
    let server = open(site.clone(), ServeOptions::default()).await;
    let walk = walk(&server, &site).await;
    let expected = site.expected();
    assert_eq!(walk.pages, expected.pages);
    assert_eq!(walk.pages.len(), 40);
    for (path, bytes) in &expected.images {
        assert_eq!(walk.found[path].body.as_slice(), bytes.as_ref(), "{path}");
    }
    assert_eq!(walk.found.len(), 40 + 120);
}
