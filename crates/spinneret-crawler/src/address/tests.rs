use super::*;

fn parsed(text: &str) -> String {
    match Address::parse(text) {
        Ok(address) => address.to_string(),
        Err(error) => format!("error: {error}"),
    }
}

fn joined(base: &str, reference: &str) -> Option<String> {
    let base = Address::parse(base).expect("a valid base");
    base.join(reference).expect("a valid reference").map(|address| address.to_string())
}

#[test]
fn spellings_of_one_resource_become_one_text() {
    let table = [
        ("http://example.com", "http://example.com/"),
        ("HTTP://EXAMPLE.COM/", "http://example.com/"),
        ("  https://example.com/a b \n", "https://example.com/a%20b"),
        ("https://exa\nmple.com/a\tb", "https://example.com/ab"),
        ("https://example.com:443/", "https://example.com/"),
        ("http://example.com:443/", "http://example.com:443/"),
        ("http://example.com:0080/", "http://example.com/"),
        ("https://example.com/a#b", "https://example.com/a"),
        ("https://example.com/a?#b", "https://example.com/a"),
        ("https://example.com?", "https://example.com/"),
        ("https://example.com?b=2&a=1", "https://example.com/?b=2&a=1"),
        ("https://example.com/a/./b/../c", "https://example.com/a/c"),
        ("https://example.com/../../c", "https://example.com/c"),
        ("https://example.com/a/%2E%2e/c", "https://example.com/c"),
        ("https://example.com/a/..", "https://example.com/"),
        ("https://example.com/a/b/.", "https://example.com/a/b/"),
        ("https://example.com//a//../b", "https://example.com//a/b"),
        ("https://example.com\\a\\b", "https://example.com/a/b"),
        ("https:example.com/a", "https://example.com/a"),
        ("https://user:pass@example.com/", "https://example.com/"),
        ("https://user@example.com/", "https://example.com/"),
        ("https://bücher.example/ü", "https://xn--bcher-kva.example/%C3%BC"),
        ("https://example.com/%7euser%2fx%c3%bc", "https://example.com/~user%2Fx%C3%BC"),
        ("https://example.com/?q=%41%2b%zz%4", "https://example.com/?q=A%2B%zz%4"),
        ("http://0x7f.1/", "http://127.0.0.1/"),
        ("http://2130706433/", "http://127.0.0.1/"),
        ("http://[0:0::1]:8080/a", "http://[::1]:8080/a"),
        ("http://example.com/a'b?c'd", "http://example.com/a'b?c%27d"),
    ];
    for (text, canonical) in table {
        assert_eq!(parsed(text), canonical, "{text:?}");
        assert_eq!(parsed(canonical), canonical, "canonical stays so: {text:?}");
    }
}

#[test]
fn what_cannot_be_crawled_is_refused_with_the_cause() {
    let scheme = |text| match Address::parse(text) {
        Err(AddressError::UnsupportedScheme { scheme }) => scheme,
        other => panic!("{text}: {other:?}"),
    };
    assert_eq!(scheme("ftp://example.com/"), "ftp");
    assert_eq!(scheme("mailto:a@example.com"), "mailto");
    assert_eq!(scheme("file:///etc/passwd"), "file");
    for text in
        ["", "/a", "example.com", "http://", "http://[::1", "http://a b/", "http://a:99999/"]
    {
        assert!(matches!(Address::parse(text), Err(AddressError::Malformed(_))), "{text:?}");
    }
    let long = format!("http://example.com/{}", "a".repeat(MAX_ADDRESS_LEN));
    assert_eq!(Address::parse(&long), Err(AddressError::TooLong { len: long.len() }));
    // Short as it is written, too long once it is encoded.
    let long = format!("http://example.com/{}", "ü".repeat(MAX_ADDRESS_LEN / 3));
    assert!(matches!(Address::parse(&long), Err(AddressError::TooLong { .. })));
    let longest = format!("http://example.com/{}", "a".repeat(MAX_ADDRESS_LEN - 19));
    assert_eq!(parsed(&longest).len(), MAX_ADDRESS_LEN);
}

#[test]
fn parts_are_found_without_parsing_again() {
    let address = Address::parse("https://a.example:8443/dir/Photo.JPG?x=1/2.png").unwrap();
    assert_eq!(address.scheme(), "https");
    assert_eq!(address.origin(), "https://a.example:8443");
    assert_eq!(address.host_key(), "a.example:8443");
    assert_eq!(address.host(), "a.example");
    assert_eq!(address.port(), 8443);
    assert_eq!(address.path(), "/dir/Photo.JPG");
    assert_eq!(address.query(), Some("x=1/2.png"));
    assert_eq!(address.path_and_query(), "/dir/Photo.JPG?x=1/2.png");
    assert_eq!(address.extension(), Some("JPG"));

    let plain = Address::parse("http://[::1]/").unwrap();
    assert_eq!((plain.host(), plain.port()), ("[::1]", 80));
    assert_eq!((plain.path(), plain.query(), plain.extension()), ("/", None, None));
    let ported = Address::parse("http://[::1]:81/").unwrap();
    assert_eq!((ported.host(), ported.port()), ("[::1]", 81));
    let secure = Address::parse("https://a.example/").unwrap();
    assert_eq!((secure.host_key(), secure.port()), ("a.example", 443));
}

#[test]
fn extensions_tell_images_and_pages_apart() {
    let kind = |path: &str| {
        let address = Address::parse(&format!("https://example.com{path}")).unwrap();
        (address.has_image_extension(), address.looks_like_page())
    };
    for path in ["/a.jpg", "/a.JPEG", "/a.b.webp?x", "/a.svg", "/.png"] {
        assert_eq!(kind(path), (true, false), "{path}");
    }
    for path in ["/a.zip", "/a.pdf", "/a.tar.gz", "/a.css?b=c.html", "/A.WOFF2"] {
        assert_eq!(kind(path), (false, false), "{path}");
    }
    for path in ["/", "/a", "/a.", "/a.html", "/a.php?b=c.jpg", "/a.jpg/", "/a.png/b", "/1.95.0"] {
        assert_eq!(kind(path), (false, true), "{path}");
    }
}

#[test]
fn references_resolve_as_in_a_browser() {
    // RFC 3986 §5.4, without the fragments, which an address does not keep.
    let base = "http://a/b/c/d;p?q";
    let table = [
        ("g", "http://a/b/c/g"),
        ("./g", "http://a/b/c/g"),
        ("g/", "http://a/b/c/g/"),
        ("/g", "http://a/g"),
        ("//g", "http://g/"),
        ("?y", "http://a/b/c/d;p?y"),
        ("g?y", "http://a/b/c/g?y"),
        ("g#s", "http://a/b/c/g"),
        ("g?y#s", "http://a/b/c/g?y"),
        (";x", "http://a/b/c/;x"),
        ("g;x?y#s", "http://a/b/c/g;x?y"),
        (".", "http://a/b/c/"),
        ("./", "http://a/b/c/"),
        ("..", "http://a/b/"),
        ("../", "http://a/b/"),
        ("../g", "http://a/b/g"),
        ("../..", "http://a/"),
        ("../../g", "http://a/g"),
        ("../../../g", "http://a/g"),
        ("/./g", "http://a/g"),
        ("/../g", "http://a/g"),
        ("g.", "http://a/b/c/g."),
        (".g", "http://a/b/c/.g"),
        ("g..", "http://a/b/c/g.."),
        ("..g", "http://a/b/c/..g"),
        ("./../g", "http://a/b/g"),
        ("./g/.", "http://a/b/c/g/"),
        ("g/./h", "http://a/b/c/g/h"),
        ("g/../h", "http://a/b/c/h"),
        ("g;x=1/../y", "http://a/b/c/y"),
        ("g?y/../x", "http://a/b/c/g?y/../x"),
        ("http:g", "http://a/b/c/g"),
        ("?", "http://a/b/c/d;p"),
        ("http://a", "http://a/"),
        ("http://a/x//../y", "http://a/x/y"),
        ("http://ab/x", "http://ab/x"),
        ("a:b", ""),
        ("./a:b", "http://a/b/c/a:b"),
        ("g/a:b", "http://a/b/c/g/a:b"),
        (" g h ", "http://a/b/c/g%20h"),
        ("\\g", "http://a/g"),
    ];
    for (reference, expected) in table {
        let expected = (!expected.is_empty()).then(|| expected.to_owned());
        assert_eq!(joined(base, reference), expected, "{reference:?}");
    }
}

#[test]
fn what_names_no_other_resource_is_skipped_silently() {
    for reference in [
        "",
        "  ",
        "#",
        "#top",
        "\t#top",
        "data:image/png;base64,AAAA",
        "DATA:,x",
        "  javascript:void(0)",
        "javascript:a('http://[')",
        "mailto:a@example.com",
        "tel:+1 2",
        "blob:https://a/b",
        "about:blank",
        "ftp://example.com/a",
        "magnet:?xt=1",
        "intent://x#Intent;end",
    ] {
        assert_eq!(joined("https://example.com/a", reference), None, "{reference:?}");
    }
    let base = Address::parse("https://example.com/").unwrap();
    for reference in ["http://[::1", "//a b/", "https://exa%mple.com/", "//"] {
        assert!(base.join(reference).is_err(), "{reference:?}");
    }
    let huge = format!("data:image/png;base64,{}", "A".repeat(1 << 20));
    assert_eq!(base.join(&huge), Ok(None));
    let huge = "a".repeat(1 << 20);
    assert_eq!(base.join(&huge), Err(AddressError::TooLong { len: 1 << 20 }));
}

/// A small generator (xorshift64*), so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % n
    }

    fn text(&mut self, pieces: &[&str], most: usize) -> String {
        (0..=self.below(most)).map(|_| pieces[self.below(pieces.len())]).collect()
    }
}

const PIECES: &[&str] = &[
    "/",
    "/",
    "/",
    "//",
    ".",
    "..",
    "../",
    "./",
    "a",
    "b",
    "Z",
    "0",
    "9",
    "x.html",
    "%",
    "%2",
    "%2e",
    "%2E",
    "%61",
    "%7E",
    "%c3%bc",
    "%00",
    "%zz",
    "?",
    "?",
    "#",
    "#",
    "&",
    "=",
    ":",
    ";",
    "@",
    "!",
    "$",
    "'",
    "\"",
    "(",
    ")",
    "*",
    "+",
    ",",
    "[",
    "]",
    "{",
    "}",
    "|",
    "\\",
    "^",
    "`",
    "~",
    "-",
    "_",
    "<",
    ">",
    " ",
    "\t",
    "\n",
    "\u{0}",
    "\u{7f}",
    "ü",
    "\u{202e}",
    "😀",
    "http:",
    "https:",
    "http://",
    "https://",
    "HTTP://",
    "//host",
    "host",
    ".com",
    "www.",
    "xn--",
    "xn--bcher-kva",
    "--",
    "127.0.0.1",
    "0x7f",
    "1",
    ".1",
    ":80",
    ":443",
    ":8080",
    "user@",
    "user:pw@",
    "[::1]",
    "data:",
    "javascript:",
    "ftp://h/",
    "file:///",
];

#[test]
fn shortcuts_agree_with_the_whole_parser() {
    let mut random = Random(0x5EED);
    let (mut fast_absolute, mut fast_relative) = (0, 0);
    for _ in 0..40_000 {
        let scheme = ["", "http://", "https://"][random.below(3)];
        let text = format!("{scheme}{}", random.text(PIECES, 8));
        if let Some(address) = fast::absolute(&text) {
            fast_absolute += 1;
            let slow = Address::parse_slowly(&text).unwrap();
            assert_eq!(address, slow, "{text:?}");
            assert_eq!((address.path(), address.query()), (slow.path(), slow.query()));
        }
        let Ok(base) = Address::parse(&format!("http://host{}", random.text(PIECES, 6))) else {
            continue;
        };
        let reference = match random.below(4) {
            0 => format!("{}{}", base.origin(), random.text(PIECES, 8)),
            _ => random.text(PIECES, 8),
        };
        if let Some(address) = fast::relative(&base, &reference) {
            fast_relative += 1;
            let slow = Resolver::new(&base).resolve_slowly(&reference);
            assert_eq!(Ok(Some(address)), slow, "{reference:?} on {base}");
        }
    }
    assert!(fast_absolute > 200 && fast_relative > 200, "{fast_absolute} {fast_relative}");
}

#[test]
fn every_address_is_its_own_canonical_form() {
    let mut random = Random(0xF00D);
    let mut seen = 0;
    for _ in 0..40_000 {
        let text = format!("http://h/{}", random.text(PIECES, 10));
        let Ok(address) = Address::parse(&text) else {
            continue;
        };
        seen += 1;
        assert_eq!(Address::parse_slowly(address.as_str()).as_ref(), Ok(&address), "{text:?}");
        assert_eq!(Address::parse(address.as_str()).as_ref(), Ok(&address), "{text:?}");
        assert!(address.path().starts_with('/') && !address.as_str().contains('#'));
        assert!(!address.host_key().is_empty() && address.query() != Some(""));
    }
    assert!(seen > 2_000, "{seen}");
}

#[test]
fn fingerprints_are_the_same_forever() {
    let of = |text: &str| Address::parse(text).unwrap().fingerprint();
    assert_eq!(of("http://example.com/"), of("HTTP://example.com:80/#a"));
    assert_ne!(of("http://example.com/"), of("https://example.com/"));
    // printf 'https://example.com/' | sha256sum | head -c 32
    assert_eq!(of("https://example.com/"), 0x0f11_5db0_62b7_c0dd_030b_1687_8c99_dea5);
}

#[test]
fn an_address_is_checked_when_it_is_read_back() {
    let address = Address::parse("https://example.com/a?b").unwrap();
    let json = serde_json::to_string(&address).unwrap();
    assert_eq!(json, r#""https://example.com/a?b""#);
    assert_eq!(serde_json::from_str::<Address>(&json).unwrap(), address);
    assert!(serde_json::from_str::<Address>(r#""file:///etc/passwd""#).is_err());
    assert!(serde_json::from_str::<Address>("7").is_err());
}
