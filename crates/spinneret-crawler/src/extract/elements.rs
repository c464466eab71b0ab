//! Which links an element's attributes hold.

use super::Via;
use super::attrs::{Attr, Attrs, Tag};
use super::collect::{Collector, Kind};
use super::{css, lazy, srcset};

/// Gathers the links of one start tag. `foreign`: whether it stands in SVG or `MathML`.
pub(super) fn links(tag: Tag, foreign: bool, attrs: &Attrs, found: &mut Collector) {
    if foreign {
        svg_links(tag, attrs, found);
    } else {
        html_links(tag, attrs, found);
    }
    for (attr, value) in attrs.all(|attr| matches!(attr, Attr::Style | Attr::Lazy(_))) {
        match attr {
            Attr::Style => css::declarations(value, found),
            Attr::Lazy(kind) => lazy_links(tag, kind, value, found),
            _ => {}
        }
    }
}

fn svg_links(tag: Tag, attrs: &Attrs, found: &mut Collector) {
    let (kind, via) = match tag {
        Tag::A => (Kind::Page, Via::Anchor),
        Tag::Image | Tag::FeImage => (Kind::Image, Via::SvgImage),
        // A part of another SVG document.
        Tag::Use => (Kind::MaybeImage, Via::SvgImage),
        _ => return,
    };
    let href = attrs.get(Attr::Href).or_else(|| attrs.get(Attr::XlinkHref));
    if let Some(href) = href {
        found.push(kind, via, href);
    }
}

fn html_links(tag: Tag, attrs: &Attrs, found: &mut Collector) {
    let mut push = |kind, via, attr| {
        if let Some(value) = attrs.get(attr) {
            found.push(kind, via, value);
        }
    };
    match tag {
        Tag::A => push(Kind::Page, Via::Anchor, Attr::Href),
        Tag::Area => push(Kind::Page, Via::Area, Attr::Href),
        Tag::Frame | Tag::Iframe => push(Kind::Page, Via::Frame, Attr::Src),
        Tag::Video => push(Kind::Image, Via::Poster, Attr::Poster),
        Tag::Background => push(Kind::Image, Via::Background, Attr::Background),
        Tag::Input if attrs.is(Attr::Type, "image") => {
            push(Kind::Image, Via::InputImage, Attr::Src);
        }
        Tag::Img | Tag::Image => {
            push(Kind::Image, Via::ImgSrc, Attr::Src);
            candidates(attrs.get(Attr::Srcset), Via::Srcset, found);
        }
        // The `src` of a `source` is sound or film.
        Tag::Source => candidates(attrs.get(Attr::Srcset), Via::Srcset, found),
        Tag::Object => object(attrs, Attr::Data, found),
        Tag::Embed => object(attrs, Attr::Src, found),
        Tag::Link => link(attrs, found),
        Tag::Meta => meta(attrs, found),
        Tag::Base => {
            if let Some(href) = attrs.get(Attr::Href) {
                found.set_base(href);
            }
        }
        _ => {}
    }
}

fn candidates(value: Option<&str>, via: Via, found: &mut Collector) {
    if let Some(value) = value {
        srcset::candidates(value, |url| found.push(Kind::Image, via, url));
    }
}

/// `object` and `embed`: an image if the type or, without one, the extension says so.
fn object(attrs: &Attrs, attr: Attr, found: &mut Collector) {
    let Some(value) = attrs.get(attr) else { return };
    let is_image = match attrs.get(Attr::Type).map(str::trim) {
        Some(mime) if !mime.is_empty() => starts_with_ignore_case(mime, "image/"),
        _ => lazy::has_image_extension(value),
    };
    if is_image {
        found.push(Kind::Image, Via::Object, value);
    }
}

fn link(attrs: &Attrs, found: &mut Collector) {
    let has_rel = |names: &[&str]| {
        attrs.get(Attr::Rel).is_some_and(|rel| {
            rel.split_ascii_whitespace()
                .any(|token| names.iter().any(|name| token.eq_ignore_ascii_case(name)))
        })
    };
    let is_preload = has_rel(&["preload", "prefetch"]);
    if is_preload && attrs.is(Attr::As, "image") {
        candidates(attrs.get(Attr::ImageSrcset), Via::Preload, found);
    }
    let Some(href) = attrs.get(Attr::Href) else {
        return;
    };
    if has_rel(&["stylesheet"]) || is_preload && attrs.is(Attr::As, "style") {
        found.push(Kind::Stylesheet, Via::Stylesheet, href);
    } else if is_preload && attrs.is(Attr::As, "image") {
        found.push(Kind::Image, Via::Preload, href);
    } else if has_rel(&[
        "icon",
        "apple-touch-icon",
        "apple-touch-icon-precomposed",
        "apple-touch-startup-image",
        "mask-icon",
        "fluid-icon",
    ]) {
        found.push(Kind::Image, Via::Icon, href);
    } else if has_rel(&["image_src"]) || attrs.is(Attr::Itemprop, "image") {
        found.push(Kind::Image, Via::MetaImage, href);
    } else if has_rel(&["next", "prev"]) {
        found.push(Kind::Page, Via::LinkRel, href);
    }
}

/// Names under which a `meta` element names an image.
const META_IMAGES: &[&str] = &[
    "og:image",
    "og:image:url",
    "og:image:secure_url",
    "twitter:image",
    "twitter:image:src",
    "msapplication-tileimage",
    "msapplication-square70x70logo",
    "msapplication-square150x150logo",
    "msapplication-wide310x150logo",
    "msapplication-square310x310logo",
    "thumbnail",
    "image",
];

fn meta(attrs: &Attrs, found: &mut Collector) {
    let Some(content) = attrs.get(Attr::Content) else {
        return;
    };
    if attrs.is(Attr::HttpEquiv, "refresh") {
        if let Some(url) = refresh_url(content) {
            found.push(Kind::Page, Via::MetaRefresh, url);
        }
        return;
    }
    if attrs.is(Attr::Name, "robots") {
        found.meta_nofollow |= content
            .split([',', ' '])
            .any(|word| word.eq_ignore_ascii_case("nofollow") || word.eq_ignore_ascii_case("none"));
    }
    let names_image = [Attr::Property, Attr::Name]
        .into_iter()
        .any(|attr| META_IMAGES.iter().any(|name| attrs.is(attr, name)));
    if names_image || attrs.is(Attr::Itemprop, "image") {
        found.push(Kind::Image, Via::MetaImage, content);
    }
}

/// The address in the `content` of a refresh, by the HTML standard's "shared declarative refresh
/// steps": `5; url='next.html'`, with nearly everything optional.
fn refresh_url(content: &str) -> Option<&str> {
    let text = content.trim_start();
    let number = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    if number.len() == text.len() {
        return None;
    }
    let rest = number.trim_start();
    let separated = rest.strip_prefix([';', ',']);
    if separated.is_none() && rest.len() == number.len() {
        return None;
    }
    let mut url = separated.unwrap_or(rest).trim_start();
    if starts_with_ignore_case(url, "url")
        && let Some(value) = url[3..].trim_start().strip_prefix('=')
    {
        url = value.trim_start();
    }
    for quote in ['"', '\''] {
        if let Some(quoted) = url.strip_prefix(quote) {
            url = quoted.split(quote).next().unwrap_or(quoted);
            break;
        }
    }
    (!url.is_empty()).then_some(url)
}

/// Links in attributes for scripts that load images late.
fn lazy_links(tag: Tag, kind: lazy::Value, value: &str, found: &mut Collector) {
    let is_image = matches!(tag, Tag::Img | Tag::Image | Tag::Source);
    match kind {
        lazy::Value::Style => css::declarations(value, found),
        lazy::Value::Srcset => srcset::candidates(value, |url| {
            if lazy::looks_like_address(url, true) {
                found.push(Kind::MaybeImage, Via::Lazy, url);
            }
        }),
        lazy::Value::Address | lazy::Value::Image => {
            if value.contains("url(") {
                css::declarations(value, found);
            } else if tag == Tag::Iframe {
                if kind == lazy::Value::Address && lazy::looks_like_address(value, true) {
                    found.push(Kind::Page, Via::Frame, value);
                }
            } else if lazy::looks_like_address(value, is_image)
                // On other elements the general names hold all sorts of things.
                && (is_image || kind == lazy::Value::Image || lazy::has_image_extension(value))
            {
                found.push(Kind::MaybeImage, Via::Lazy, value);
            }
        }
    }
}

fn starts_with_ignore_case(text: &str, start: &str) -> bool {
    text.as_bytes()
        .get(..start.len())
        .is_some_and(|have| have.eq_ignore_ascii_case(start.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::refresh_url;

    #[test]
    fn refreshes_are_read_as_browsers_do() {
        let table = [
            ("0; url=a.html", Some("a.html")),
            ("0;url=a.html", Some("a.html")),
            ("0, URL = 'a.html' x", Some("a.html")),
            ("0;url=\"a b.html", Some("a b.html")),
            (" 5.5 ; a.html", Some("a.html")),
            ("5 a.html", Some("a.html")),
            (".5;url=a", Some("a")),
            ("0;urls.html", Some("urls.html")),
            ("0;url", Some("url")),
            ("0; 'a.html'", Some("a.html")),
            ("0", None),
            ("0;", None),
            ("0;url=", None),
            ("0a.html", None),
            ("url=a.html", None),
            ("", None),
        ];
        for (content, expected) in table {
            assert_eq!(refresh_url(content), expected, "{content:?}");
        }
    }
}
