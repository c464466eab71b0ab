//! The names that matter: elements, and the attributes of theirs that are kept.

use super::lazy;

/// The elements that the scan tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tag {
    A,
    AnnotationXml,
    Area,
    Base,
    /// `body` and the parts of tables that have a `background`.
    Background,
    /// HTML elements that end foreign content when they start in it, and nothing else.
    Breakout,
    Embed,
    FeImage,
    Font,
    Frame,
    Iframe,
    /// `image`: of SVG, or an old name of `img`.
    Image,
    Img,
    Input,
    Link,
    Math,
    /// Elements of `MathML` that hold HTML again.
    MathText,
    Meta,
    Object,
    Other,
    Plaintext,
    /// Elements with nothing but text up to their end tag.
    RawText,
    Script,
    Source,
    Style,
    Svg,
    /// `foreignObject` and `desc`: elements of SVG that hold HTML again.
    SvgHtml,
    Template,
    Textarea,
    Title,
    Use,
    Video,
}

impl Tag {
    /// The element with this name in lower case.
    pub(super) fn of(name: &[u8]) -> Self {
        match name {
            b"a" => Self::A,
            b"annotation-xml" => Self::AnnotationXml,
            b"area" => Self::Area,
            b"base" => Self::Base,
            b"body" | b"table" | b"thead" | b"tbody" | b"tfoot" | b"tr" | b"td" | b"th" => {
                Self::Background
            }
            b"b" | b"big" | b"blockquote" | b"br" | b"center" | b"code" | b"dd" | b"div"
            | b"dl" | b"dt" | b"em" | b"h1" | b"h2" | b"h3" | b"h4" | b"h5" | b"h6" | b"head"
            | b"hr" | b"i" | b"li" | b"listing" | b"menu" | b"nobr" | b"ol" | b"p" | b"pre"
            | b"ruby" | b"s" | b"small" | b"span" | b"strong" | b"strike" | b"sub" | b"sup"
            | b"tt" | b"u" | b"ul" | b"var" => Self::Breakout,
            b"embed" => Self::Embed,
            b"feimage" => Self::FeImage,
            b"font" => Self::Font,
            b"frame" => Self::Frame,
            b"iframe" => Self::Iframe,
            b"image" => Self::Image,
            b"img" | b"amp-img" | b"amp-anim" => Self::Img,
            b"input" => Self::Input,
            b"link" => Self::Link,
            b"math" => Self::Math,
            b"mi" | b"mo" | b"mn" | b"ms" | b"mtext" => Self::MathText,
            b"meta" => Self::Meta,
            b"object" => Self::Object,
            b"plaintext" => Self::Plaintext,
            b"xmp" | b"noembed" | b"noframes" => Self::RawText,
            b"script" => Self::Script,
            b"source" => Self::Source,
            b"style" => Self::Style,
            b"svg" => Self::Svg,
            b"foreignobject" | b"desc" => Self::SvgHtml,
            b"template" => Self::Template,
            b"textarea" => Self::Textarea,
            b"title" => Self::Title,
            b"use" => Self::Use,
            b"video" | b"amp-video" => Self::Video,
            _ => Self::Other,
        }
    }

    /// Whether a start tag of this name inside SVG or `MathML` means that the author forgot to end
    /// that (HTML standard, "the rules for parsing tokens in foreign content").
    pub(super) fn ends_foreign_content(self, attrs: &Attrs) -> bool {
        match self {
            Self::Breakout | Self::Background | Self::Embed | Self::Img | Self::Meta => true,
            Self::Font => attrs.get(Attr::FontLook).is_some(),
            _ => false,
        }
    }
}

/// The attributes that are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attr {
    As,
    Background,
    Content,
    Data,
    Encoding,
    /// `color`, `face` or `size` of `font`.
    FontLook,
    Href,
    HttpEquiv,
    ImageSrcset,
    Itemprop,
    /// One of the table in [`lazy`].
    Lazy(lazy::Value),
    Name,
    Poster,
    Property,
    Rel,
    ShadowRootMode,
    Src,
    Srcdoc,
    Srcset,
    Style,
    Type,
    XlinkHref,
}

impl Attr {
    /// The attribute with this name in lower case, if it matters on `tag`.
    pub(super) fn of(tag: Tag, name: &[u8]) -> Option<Self> {
        // By far the most attributes of real pages.
        if matches!(name, b"class" | b"id" | b"title") {
            return None;
        }
        if let Some(rest) = name.strip_prefix(b"data-") {
            return lazy::value_of(rest).map(Self::Lazy);
        }
        let attr = match name {
            b"style" => return Some(Self::Style),
            b"as" => Self::As,
            b"background" => Self::Background,
            b"color" | b"face" | b"size" => Self::FontLook,
            b"content" => Self::Content,
            b"data" => Self::Data,
            b"encoding" => Self::Encoding,
            b"href" => Self::Href,
            b"http-equiv" => Self::HttpEquiv,
            b"imagesrcset" => Self::ImageSrcset,
            b"itemprop" => Self::Itemprop,
            b"name" => Self::Name,
            b"poster" => Self::Poster,
            b"property" => Self::Property,
            b"rel" => Self::Rel,
            b"shadowrootmode" => Self::ShadowRootMode,
            b"src" => Self::Src,
            b"srcdoc" => Self::Srcdoc,
            b"srcset" => Self::Srcset,
            b"type" => Self::Type,
            b"xlink:href" => Self::XlinkHref,
            _ => return None,
        };
        let matters = match tag {
            Tag::A | Tag::Image | Tag::FeImage | Tag::Use => {
                matches!(attr, Self::Href | Self::XlinkHref | Self::Src | Self::Srcset)
            }
            Tag::AnnotationXml => attr == Self::Encoding,
            Tag::Area | Tag::Base => attr == Self::Href,
            Tag::Background => attr == Self::Background,
            Tag::Embed => matches!(attr, Self::Src | Self::Type),
            Tag::Font => attr == Self::FontLook,
            Tag::Frame => attr == Self::Src,
            Tag::Iframe => matches!(attr, Self::Src | Self::Srcdoc),
            Tag::Img | Tag::Source => matches!(attr, Self::Src | Self::Srcset),
            Tag::Input => matches!(attr, Self::Src | Self::Type),
            Tag::Link => matches!(
                attr,
                Self::As | Self::Href | Self::ImageSrcset | Self::Itemprop | Self::Rel
            ),
            Tag::Meta => matches!(
                attr,
                Self::Content | Self::HttpEquiv | Self::Itemprop | Self::Name | Self::Property
            ),
            Tag::Object => matches!(attr, Self::Data | Self::Type),
            Tag::Style => attr == Self::Type,
            Tag::Template => attr == Self::ShadowRootMode,
            Tag::Video => attr == Self::Poster,
            _ => false,
        };
        matters.then_some(attr)
    }
}

/// The attributes of one tag that matter, with their values.
#[derive(Debug, Default)]
pub(super) struct Attrs {
    /// All values, one behind the other.
    values: Vec<u8>,
    /// Each attribute and where its value starts; it ends where the next one starts.
    entries: Vec<(Attr, usize)>,
}

impl Attrs {
    pub(super) fn clear(&mut self) {
        self.values.clear();
        self.entries.clear();
    }

    /// Begins an attribute, whose value is empty so far.
    pub(super) fn begin(&mut self, attr: Attr) {
        self.entries.push((attr, self.values.len()));
    }

    /// Continues the value of the attribute that was begun last.
    pub(super) fn extend(&mut self, value: &[u8]) {
        self.values.extend_from_slice(value);
    }

    /// The value of an attribute. Of several of one name the first counts, as in browsers.
    pub(super) fn get(&self, attr: Attr) -> Option<&str> {
        let at = self.entries.iter().position(|&(have, _)| have == attr)?;
        Some(self.value(at))
    }

    /// Whether an attribute has this value, in whatever case.
    pub(super) fn is(&self, attr: Attr, value: &str) -> bool {
        self.get(attr).is_some_and(|have| have.trim().eq_ignore_ascii_case(value))
    }

    /// The attributes whose names are `wanted`, with their values.
    pub(super) fn all(&self, wanted: impl Fn(Attr) -> bool) -> impl Iterator<Item = (Attr, &str)> {
        let entries = self.entries.iter().enumerate();
        entries
            .filter(move |(_, (attr, _))| wanted(*attr))
            .map(|(at, &(attr, _))| (attr, self.value(at)))
    }

    fn value(&self, at: usize) -> &str {
        let start = self.entries[at].1;
        let end = self.entries.get(at + 1).map_or(self.values.len(), |next| next.1);
        // The tokenizer reads a `str` and decodes to UTF-8, so that this does not fail.
        std::str::from_utf8(&self.values[start..end]).unwrap_or("")
    }
}
