//! Documents that are wrong, too long or made to do harm.

use super::*;

/// One text for each number, one behind the other.
fn numbered(numbers: std::ops::Range<usize>, text: impl Fn(usize) -> String) -> String {
    numbers.map(text).collect::<Vec<_>>().concat()
}

#[test]
fn malformed_links_are_reported_and_the_rest_goes_on() {
    let long = "x".repeat(10_000);
    let found = html(&format!(
        "<a href='http://['><a href='//a b/'><a href={long}><a href=ok><a href='http://['>"
    ));
    assert_eq!(short(&found.pages), ["dir/ok"]);
    let texts: Vec<&str> = found.malformed.iter().map(|link| &*link.text).collect();
    assert_eq!(texts, ["http://[", "//a b/", &long[..200]]);
    assert_eq!(found.malformed[2].cause, AddressError::TooLong { len: 10_000 });
    let many = numbered(0..5_000, |i| format!("<a href='http://[{i}'>"));
    assert_eq!(html(&many).malformed.len(), MAX_MALFORMED);
}

#[test]
fn a_page_full_of_links_is_cut_at_the_limit() {
    let text = numbered(0..MAX_LINKS + 10, |i| format!("<a href={i}>"));
    let found = html(&text);
    assert!(found.limit_reached);
    assert_eq!(found.pages.len(), MAX_LINKS);
    let text = numbered(0..MAX_LINKS + 10, |i| format!("<a href=#{i}><a href={}>", i % 10));
    let found = html(&text);
    assert!(!found.limit_reached);
    assert_eq!(found.pages.len(), 10);
}

/// Every feature at once: what the mutations below start from.
const EVERYTHING: &str = r#"<!DOCTYPE html><html><head><meta charset=utf-8><base href="/b/"><title>T</title>
<link rel="stylesheet" href="s.css"><link rel=icon href='i.ico'><meta property="og:image" content="/og.jpg">
<meta http-equiv=refresh content="5;url='r.html'"><style>@import "x.css";@font-face{src:url(f.woff)}a{b:url( 'c.png' )}</style>
<script>if (a<b) document.write("<img src=no.png>")</script></head><body background=bg.gif style="c:image-set('d.png' 1x)">
<!-- <img src=no> --><a href="?q=1&amp;r=ü#frag">x</a><img src="a.png" srcset="b.png 1x, c.png 2x" data-src=l.jpg>
<noscript><img src=n.png></noscript><template><img src=no></template><iframe srcdoc="&lt;img src=q.png&gt;"></iframe>
<svg><style>e{f:url(g.png)}</style><image xlink:href="h.png"/><![CDATA[ x ]]><foreignObject><p>y</foreignObject></svg>
<textarea><img src=no></textarea><video poster=p.jpg></video><object data=o.png></object></body></html>"#;

#[test]
fn any_text_is_read_without_panic_and_within_limits() {
    let page = Address::parse(PAGE).unwrap();
    let mut state = 0x0BAD_5EED_u64;
    let mut random = move |n: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) as usize % n
    };
    let pieces = [
        "<",
        ">",
        "\"",
        "'",
        "=",
        "&",
        "&#",
        "&#x110000;",
        ";",
        "(",
        ")",
        "{",
        "}",
        "\\",
        "/",
        "/*",
        "*/",
        "<!--",
        "-->",
        "<![CDATA[",
        "]]>",
        "<svg>",
        "</svg>",
        "<style>",
        "</style>",
        "<script>",
        "</script>",
        "<template>",
        "url(",
        "@import ",
        "\0",
        "\r\n",
        "ü",
        "😀",
        "\u{feff}",
        "<img src=",
        "srcset=",
        "<math>",
        "<p>",
        "<plaintext>",
        "</",
        "<?",
        "http://[",
        "//",
    ];
    for _ in 0..1_000 {
        let mut text: Vec<char> = EVERYTHING.chars().collect();
        for _ in 0..=random(8) {
            let at = random(text.len());
            match random(3) {
                0 => {
                    let piece = pieces[random(pieces.len())];
                    text.splice(at..at, piece.chars());
                }
                1 => {
                    let end = (at + random(30)).min(text.len());
                    text.drain(at..end);
                }
                _ => {
                    let end = (at + random(200)).min(text.len());
                    let copy = text[at..end].to_vec();
                    let to = random(text.len());
                    text.splice(to..to, copy);
                }
            }
            if text.is_empty() {
                break;
            }
        }
        let text: String = text.into_iter().collect();
        for found in
            [extract_html(&text, &page), extract_css(&text, &page), extract_svg(&text, &page)]
        {
            for list in [&found.pages, &found.images, &found.stylesheets] {
                let distinct: std::collections::HashSet<_> =
                    list.iter().map(|f| &f.address).collect();
                assert_eq!(distinct.len(), list.len(), "{text}");
                for link in list {
                    // Canonical, whatever it was made from.
                    assert_eq!(
                        Address::parse(link.address.as_str()).as_ref(),
                        Ok(&link.address),
                        "{text}"
                    );
                }
            }
        }
    }
}

#[test]
fn deep_and_long_pages_are_only_long() {
    for piece in [
        "<svg>",
        "<svg><foreignObject>",
        "<template>",
        "<div><a href=x>",
        "<style>",
        "<!--",
        "<a ",
        "<a b=",
        "<p style='a:url(",
    ] {
        let text = piece.repeat(50_000);
        assert!(html(&text).pages.len() <= 1, "{piece}");
    }
    let attributes = numbered(0..50_000, |i| format!(" data-src=/{i}.png"));
    assert_eq!(html(&format!("<img{attributes}>")).images.len(), 50_000);
}
