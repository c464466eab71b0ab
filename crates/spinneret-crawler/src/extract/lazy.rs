//! Attributes in which scripts that load images late keep their addresses.
//!
//! There is no standard. These are the names that common libraries and content systems use
//! (lazysizes, lozad, vanilla-lazyload, jQuery Lazy, unveil, echo, Slick, Flickity, Swiper,
//! `WordPress`, `WooCommerce`, Rocket, Shopify, Cloudflare's Rocket Loader, Zhihu and others).

use crate::address::FileKind;

/// What an attribute's value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value {
    /// An address, or `url(...)` as in CSS: of an image if the element is one.
    Address,
    /// The same, of an image by the attribute's name.
    Image,
    /// Image candidates as in `srcset`.
    Srcset,
    /// CSS declarations, as in `style`.
    Style,
}

/// What the attribute `data-{name}` holds, if it is one of these.
pub(super) fn value_of(name: &[u8]) -> Option<Value> {
    Some(match name {
        b"src"
        | b"lazy"
        | b"lazy-src"
        | b"original"
        | b"original-src"
        | b"orig-src"
        | b"orig-file"
        | b"lazyload"
        | b"lazyload-src"
        | b"lazy-original"
        | b"ll-src"
        | b"actualsrc"
        | b"cfsrc"
        | b"deferred-src"
        | b"defer-src"
        | b"delayed-url"
        | b"real-src"
        | b"echo"
        | b"unveil"
        | b"ks-lazyload"
        | b"layzr"
        | b"flickity-lazyload"
        | b"flickity-lazyload-src"
        | b"hi-res-src"
        | b"hires"
        | b"highres"
        | b"src-retina"
        | b"retina"
        | b"at2x"
        | b"src-2x"
        | b"src2x"
        | b"src-large"
        | b"src-medium"
        | b"src-small"
        | b"src-fallback"
        | b"src-mobile"
        | b"src-desktop"
        | b"src-webp"
        | b"src-avif"
        | b"large"
        | b"large-src"
        | b"large-file"
        | b"medium-file"
        | b"full"
        | b"full-src"
        | b"fullsrc"
        | b"big"
        | b"zoom"
        | b"zoom-src"
        | b"zoomsrc"
        | b"magnify-src"
        | b"media" => Value::Address,
        b"large_image" | b"full-image" | b"zoom-image" | b"image" | b"image-src" | b"image-url"
        | b"image-desktop" | b"image-mobile" | b"img" | b"img-src" | b"img-url" | b"imgsrc"
        | b"imgurl" | b"thumb" | b"thumb-src" | b"thumbnail" | b"poster" | b"pin-media" | b"bg"
        | b"bg-src" | b"bg-image" | b"bg-hidpi" | b"bg-url" | b"background" | b"background-src"
        | b"background-image" | b"background-url" | b"backgroundimage" | b"lazy-background"
        | b"lazy-bg" | b"parallax-image" => Value::Image,
        b"srcset"
        | b"lazy-srcset"
        | b"original-set"
        | b"lazyload-srcset"
        | b"ll-srcset"
        | b"flickity-lazyload-srcset"
        | b"orig-srcset"
        | b"src-set"
        | b"retina-srcset"
        | b"bgset"
        | b"bg-srcset"
        | b"srcset-webp"
        | b"deferred-srcset"
        | b"cfsrcset" => Value::Srcset,
        b"style" | b"lazy-style" | b"bg-style" | b"bg-multi" => Value::Style,
        _ => return None,
    })
}

/// Whether a value looks like the address of an image: these attributes also hold numbers,
/// booleans, JSON and placeholders of templates.
///
/// `trusted` is for elements that are images anyway, where anything with a dot or slash will do.
pub(super) fn looks_like_address(value: &str, trusted: bool) -> bool {
    let value = value.trim();
    if value.is_empty() || value.contains(['{', '}', '<', '>', '"', '\\']) {
        return false;
    }
    if ["http://", "https://", "//", "/", "./", "../"].iter().any(|start| value.starts_with(start))
    {
        return true;
    }
    let is_number = value.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    has_image_extension(value) || trusted && !is_number && value.contains(['.', '/', '?'])
}

/// Whether the path of a reference ends in the extension of an image, as it is written.
pub(super) fn has_image_extension(reference: &str) -> bool {
    let reference = reference.trim();
    let path = &reference[..reference.find(['?', '#']).unwrap_or(reference.len())];
    path.rsplit_once('.').is_some_and(|(stem, extension)| {
        !stem.is_empty() && FileKind::of(extension) == FileKind::Image
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_attributes_have_their_kind() {
        assert_eq!(value_of(b"src"), Some(Value::Address));
        assert_eq!(value_of(b"background-image"), Some(Value::Image));
        assert_eq!(value_of(b"lazy-srcset"), Some(Value::Srcset));
        assert_eq!(value_of(b"id"), None);
        assert_eq!(value_of(b""), None);
    }

    #[test]
    fn only_values_that_look_like_addresses_count() {
        for value in ["/a", "//cdn/a", "https://a/b", "../a", "a.jpg", "img/a.webp?v=1", " a.PNG "]
        {
            assert!(looks_like_address(value, false), "{value:?}");
        }
        for value in [
            "",
            "true",
            "12",
            "1.5",
            "dark",
            "a/b",
            "{{ image }}",
            "{\"a\":\"/b.png\"}",
            "<img src=/a.png>",
            ".png",
        ] {
            assert!(!looks_like_address(value, false), "{value:?}");
        }
        for value in ["a/b", "image.php?id=1", "?id=1"] {
            assert!(looks_like_address(value, true), "{value:?}");
        }
        for value in ["true", "1.5", "3", "/{{ id }}.png"] {
            assert!(!looks_like_address(value, true), "{value:?}");
        }
    }
}
