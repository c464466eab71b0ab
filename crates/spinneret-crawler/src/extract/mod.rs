//! What a page links to: pages, images and style sheets, in document order, each once.
//!
//! Three readers, one result: [`extract_html`] for pages, [`extract_css`] for style sheets,
//! [`extract_svg`] for SVG documents. All take text that is decoded already (see
//! [`charset`](crate::charset)), never fail, and hold to the limits below whatever they are fed.
//!
//! How it goes: html5gum's tokenizer (which passes html5lib's tests) calls the `scan` module for
//! every tag; that keeps the few attributes that can hold an address and hands them, as text, to
//! the `collect` module, which forgets what it has seen before. Only at the end, when the page's
//! `base` element is known, is every remaining text resolved to an [`Address`].
//!
//! What is read as a browser with scripting off would: `noscript` is content; scripts, comments,
//! `textarea`, `title` and inert `template`s hold nothing. Images that scripts load later are
//! found through the attributes in which lazy loaders keep them (the table is in the `lazy` module).
//!
//! `rel=nofollow` on a link is about ranking, not about crawling: such links are followed. A page
//! that asks `<meta name=robots content=nofollow>` is reported in [`Extracted::meta_nofollow`],
//! for the caller to decide.
//!
//! Texts are resolved as UTF-8. For a query with non-ASCII characters in a page of a legacy
//! encoding, a browser would use that encoding; such links are rare, and come out in UTF-8 here.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::address::{Address, AddressError};

mod attrs;
mod collect;
mod css;
mod elements;
mod lazy;
mod scan;
mod srcset;
#[cfg(test)]
mod tests;

use collect::Collector;

/// The most links of one document that are kept, counted before spellings of one address are
/// merged. Reaching it sets [`Extracted::limit_reached`].
pub const MAX_LINKS: usize = 50_000;

/// The most malformed links of one document that are reported.
pub const MAX_MALFORMED: usize = 1_000;

/// Everything that a document links to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Extracted {
    /// Links that may be pages. Links to archives, films and the like
    /// ([`Address::is_unlikely_page`]) are left out.
    pub pages: Vec<Found>,
    /// Images, including links whose path has the extension of one.
    pub images: Vec<Found>,
    /// Style sheets, which may hold more images.
    pub stylesheets: Vec<Found>,
    /// What looked like a link but has no valid address, at most [`MAX_MALFORMED`].
    pub malformed: Vec<MalformedLink>,
    /// Whether the page asks robots not to follow its links (`<meta name=robots>`).
    pub meta_nofollow: bool,
    /// Whether there were more than [`MAX_LINKS`] links; the rest is not here.
    pub limit_reached: bool,
}

/// An address and where it was found first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Where it leads.
    pub address: Address,
    /// What kind of place it stood in.
    pub via: Via,
}

/// A link without a valid address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot follow `{text}`: {cause}")]
pub struct MalformedLink {
    /// The link as it stands in the document, cut short after 200 bytes.
    pub text: String,
    /// What is wrong with it.
    pub cause: AddressError,
}

/// The kind of place in which a link stood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Via {
    /// `a href`, also of SVG.
    Anchor,
    /// `area href`.
    Area,
    /// `frame src` or `iframe src`.
    Frame,
    /// `link rel=next` or `rel=prev`.
    LinkRel,
    /// `meta http-equiv=refresh`.
    MetaRefresh,
    /// `img src`.
    ImgSrc,
    /// `srcset` of `img` or `source`, `imagesrcset` of `link`.
    Srcset,
    /// An attribute in which scripts that load images late keep them, such as `data-src`.
    Lazy,
    /// `video poster`.
    Poster,
    /// `input type=image src`.
    InputImage,
    /// `link rel=icon` and its relatives.
    Icon,
    /// `link rel=preload as=image`.
    Preload,
    /// An image that `meta` names for previews, such as `og:image`.
    MetaImage,
    /// The `background` attribute of `body` and tables.
    Background,
    /// `image`, `feImage` or `use` of SVG.
    SvgImage,
    /// `object data` or `embed src`.
    Object,
    /// `url()` or `image-set()` in CSS.
    Css,
    /// `link rel=stylesheet`.
    Stylesheet,
    /// `@import` in CSS.
    CssImport,
}

impl Via {
    /// The kind's name in snake case, as it is serialised.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Anchor => "anchor",
            Self::Area => "area",
            Self::Frame => "frame",
            Self::LinkRel => "link_rel",
            Self::MetaRefresh => "meta_refresh",
            Self::ImgSrc => "img_src",
            Self::Srcset => "srcset",
            Self::Lazy => "lazy",
            Self::Poster => "poster",
            Self::InputImage => "input_image",
            Self::Icon => "icon",
            Self::Preload => "preload",
            Self::MetaImage => "meta_image",
            Self::Background => "background",
            Self::SvgImage => "svg_image",
            Self::Object => "object",
            Self::Css => "css",
            Self::Stylesheet => "stylesheet",
            Self::CssImport => "css_import",
        }
    }
}

impl fmt::Display for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The links of an HTML page that was fetched from `page`.
pub fn extract_html(text: &str, page: &Address) -> Extracted {
    let mut found = Collector::new(text.len());
    scan::html(text, &mut found);
    found.resolve(page)
}

/// The images and imports of a style sheet that was fetched from `sheet`.
pub fn extract_css(text: &str, sheet: &Address) -> Extracted {
    let mut found = Collector::new(text.len());
    css::stylesheet(text, &mut found);
    found.resolve(sheet)
}

/// The images, links and style sheets of an SVG document that was fetched from `document`.
///
/// Never the document itself, though it is an image too.
pub fn extract_svg(text: &str, document: &Address) -> Extracted {
    let mut found = Collector::new(text.len());
    scan::svg(text, &mut found);
    found.resolve(document)
}
