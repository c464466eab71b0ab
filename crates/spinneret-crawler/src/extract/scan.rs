//! Walking through the tags of a document.
//!
//! The tokenizer leaves to its emitter what in a browser the tree builder knows: which elements
//! hold text only, and whether the current place is HTML or "foreign" (SVG, `MathML`), where those
//! elements hold markup, `/>` ends an element and `CDATA` exists. [`Scan`] keeps just enough of
//! the tree for that: the open foreign elements and the HTML islands inside them.

use std::convert::Infallible;

use html5gum::{Emitter, Error, State, Tokenizer};

use super::Via;
use super::attrs::{Attr, Attrs, Tag};
use super::collect::{Collector, Kind};
use super::{css, elements};

/// How deep `srcdoc` documents inside one another are read.
const MAX_SRCDOC_DEPTH: u8 = 2;

/// How many open foreign elements are remembered: far more than real pages nest.
const MAX_FOREIGN_DEPTH: usize = 256;

/// Gathers the links of an HTML page.
pub(super) fn html(text: &str, found: &mut Collector) {
    run(text, Scan::new(found, 0));
}

/// Gathers the links of an SVG document.
pub(super) fn svg(text: &str, found: &mut Collector) {
    let mut scan = Scan::new(found, 0);
    scan.is_xml = true;
    scan.foreign.push(Tag::Svg);
    run(text, scan);
}

fn run(text: &str, scan: Scan<'_>) {
    // Neither reading a `str` nor this emitter can fail.
    let Ok(()) = Tokenizer::new_with_emitter(text, scan).finish();
}

/// A name in lower case, as far as it matters.
#[derive(Debug)]
struct Name {
    bytes: [u8; Self::MAX],
    len: usize,
}

impl Name {
    /// No name that matters is longer.
    const MAX: usize = 40;

    fn new() -> Self {
        Self { bytes: [0; Self::MAX], len: 0 }
    }

    fn push(&mut self, more: &[u8]) {
        let end = self.len + more.len();
        match self.bytes.get_mut(self.len..end) {
            Some(space) => space.copy_from_slice(more),
            // Too long: keep it unlike every known name, and full.
            None => self.bytes = [b'-'; Self::MAX],
        }
        self.len = end.min(Self::MAX);
    }

    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// What becomes of the value of the current attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Value {
    /// Its name is not complete yet.
    Unknown,
    Ignored,
    Kept,
}

struct Scan<'c> {
    found: &'c mut Collector,
    srcdoc_depth: u8,
    is_xml: bool,

    name: Name,
    /// The element of `name`, known when the name is complete.
    tag: Option<Tag>,
    is_end: bool,
    self_closing: bool,
    attr_name: Name,
    value: Value,
    attrs: Attrs,
    /// The last start tag's name: only its end tag ends an element with nothing but text.
    last_start: Name,

    /// The open `svg` and `math` elements, and the elements inside them that hold HTML again.
    foreign: Vec<Tag>,
    /// The inert `template`s that are open, each as the length of `foreign` before it. What they
    /// hold is not part of the page.
    templates: Vec<usize>,
    /// The text so far of the `style` element that is open, if one is.
    style: Option<Vec<u8>>,
    /// The comment or processing instruction being read, in XML only.
    comment: Vec<u8>,
}

impl<'c> Scan<'c> {
    fn new(found: &'c mut Collector, srcdoc_depth: u8) -> Self {
        Self {
            found,
            srcdoc_depth,
            is_xml: false,
            name: Name::new(),
            tag: None,
            is_end: false,
            self_closing: false,
            attr_name: Name::new(),
            value: Value::Ignored,
            attrs: Attrs::default(),
            last_start: Name::new(),
            foreign: Vec::new(),
            templates: Vec::new(),
            style: None,
            comment: Vec::new(),
        }
    }

    /// Whether the current place is in SVG or `MathML` rather than HTML.
    fn in_foreign(&self) -> bool {
        matches!(self.foreign.last(), Some(Tag::Svg | Tag::Math))
    }

    fn tag(&mut self) -> Tag {
        let name = &self.name;
        *self.tag.get_or_insert_with(|| Tag::of(name.as_bytes()))
    }

    /// Decides, when the name of an attribute is complete, whether its value matters.
    fn decide_value(&mut self) {
        self.value = Value::Ignored;
        if self.is_end {
            return;
        }
        let tag = self.tag();
        if let Some(attr) = Attr::of(tag, self.attr_name.as_bytes()) {
            self.attrs.begin(attr);
            self.value = Value::Kept;
        }
    }

    fn start_tag(&mut self) -> Option<State> {
        let tag = self.tag();
        if self.in_foreign() && !self.is_xml && tag.ends_foreign_content(&self.attrs) {
            self.leave_foreign();
        }
        let foreign = self.in_foreign();
        if self.templates.is_empty() {
            elements::links(tag, foreign, &self.attrs, self.found);
        }
        match tag {
            Tag::Svg | Tag::Math => self.open_foreign(tag),
            Tag::SvgHtml | Tag::Title if self.foreign.last() == Some(&Tag::Svg) => {
                self.open_foreign(tag);
            }
            Tag::MathText if self.foreign.last() == Some(&Tag::Math) => self.open_foreign(tag),
            Tag::AnnotationXml if self.foreign.last() == Some(&Tag::Math) => {
                let html = ["text/html", "application/xhtml+xml"];
                if html.iter().any(|mime| self.attrs.is(Attr::Encoding, mime)) {
                    self.open_foreign(tag);
                }
            }
            Tag::Style => {
                let ended = self.self_closing && foreign;
                let is_css = self
                    .attrs
                    .get(Attr::Type)
                    .is_none_or(|mime| mime.is_empty() || mime.eq_ignore_ascii_case("text/css"));
                if is_css && !ended && self.templates.is_empty() {
                    self.style = Some(Vec::new());
                }
            }
            Tag::Template if !foreign => {
                // A declarative shadow root is part of the page.
                let shown =
                    ["open", "closed"].iter().any(|mode| self.attrs.is(Attr::ShadowRootMode, mode));
                if !self.templates.is_empty() || !shown {
                    self.templates.push(self.foreign.len());
                }
            }
            Tag::Iframe => self.srcdoc(),
            _ => {}
        }
        if foreign || self.is_xml {
            return None;
        }
        match tag {
            Tag::Textarea | Tag::Title => Some(State::RcData),
            Tag::Style | Tag::Iframe | Tag::RawText => Some(State::RawText),
            Tag::Script => Some(State::ScriptData),
            Tag::Plaintext => Some(State::PlainText),
            _ => None,
        }
    }

    /// Back to the nearest HTML.
    fn leave_foreign(&mut self) {
        while self.in_foreign() {
            self.foreign.pop();
        }
    }

    fn open_foreign(&mut self, tag: Tag) {
        if !self.self_closing && self.foreign.len() < MAX_FOREIGN_DEPTH {
            self.foreign.push(tag);
        }
    }

    /// Reads the page that an `iframe` holds in an attribute.
    fn srcdoc(&mut self) {
        if !self.templates.is_empty() || self.srcdoc_depth >= MAX_SRCDOC_DEPTH {
            return;
        }
        if let Some(text) = self.attrs.get(Attr::Srcdoc) {
            run(text, Scan::new(self.found, self.srcdoc_depth + 1));
        }
    }

    fn end_tag(&mut self) {
        match self.tag() {
            Tag::Style => self.end_style(),
            Tag::Template => {
                if let Some(open) = self.templates.pop() {
                    self.foreign.truncate(open);
                }
            }
            // Most likely that of an element around an `svg` that was never ended.
            Tag::Breakout | Tag::Background if !self.is_xml => self.leave_foreign(),
            tag @ (Tag::Svg
            | Tag::Math
            | Tag::SvgHtml
            | Tag::Title
            | Tag::MathText
            | Tag::AnnotationXml) => {
                if let Some(open) = self.foreign.iter().rposition(|&have| have == tag) {
                    self.foreign.truncate(open);
                }
            }
            _ => {}
        }
    }

    fn end_style(&mut self) {
        if let Some(text) = self.style.take() {
            // As for attributes, this is UTF-8 already.
            css::stylesheet(&String::from_utf8_lossy(&text), self.found);
        }
    }

    /// A processing instruction of XML that names a style sheet (which the tokenizer of HTML takes
    /// for a comment).
    fn xml_stylesheet(&mut self) {
        let comment = String::from_utf8_lossy(&self.comment);
        let Some(attributes) = comment.strip_prefix("?xml-stylesheet") else {
            return;
        };
        let href = attributes.split_once("href").and_then(|(_, rest)| {
            let rest = rest.trim_start().strip_prefix('=')?.trim_start();
            let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''))?;
            rest[1..].split_once(quote).map(|(href, _)| href)
        });
        if let Some(href) = href {
            self.found.push(Kind::Stylesheet, Via::Stylesheet, href);
        }
    }
}

impl Emitter for Scan<'_> {
    type Token = Infallible;

    fn set_last_start_tag(&mut self, _: Option<&[u8]>) {}

    fn emit_eof(&mut self) {
        self.end_style();
    }

    fn emit_error(&mut self, _: Error) {}

    #[inline]
    fn should_emit_errors(&mut self) -> bool {
        false
    }

    #[inline]
    fn pop_token(&mut self) -> Option<Infallible> {
        None
    }

    #[inline]
    fn emit_string(&mut self, text: &[u8]) {
        if let Some(style) = &mut self.style {
            style.extend_from_slice(text);
        }
    }

    #[inline]
    fn init_start_tag(&mut self) {
        self.name.len = 0;
        self.tag = None;
        self.is_end = false;
        self.self_closing = false;
        self.value = Value::Ignored;
        self.attrs.clear();
    }

    #[inline]
    fn init_end_tag(&mut self) {
        self.init_start_tag();
        self.is_end = true;
    }

    #[inline]
    fn push_tag_name(&mut self, name: &[u8]) {
        self.name.push(name);
    }

    #[inline]
    fn init_attribute(&mut self) {
        self.attr_name.len = 0;
        self.value = Value::Unknown;
    }

    #[inline]
    fn push_attribute_name(&mut self, name: &[u8]) {
        self.attr_name.push(name);
    }

    #[inline]
    fn push_attribute_value(&mut self, value: &[u8]) {
        if self.value == Value::Unknown {
            self.decide_value();
        }
        if self.value == Value::Kept {
            self.attrs.extend(value);
        }
    }

    fn set_self_closing(&mut self) {
        self.self_closing = true;
    }

    #[inline]
    fn emit_current_tag(&mut self) -> Option<State> {
        if self.is_end {
            self.end_tag();
            return None;
        }
        let state = self.start_tag();
        if state.is_some() {
            self.last_start.len = 0;
            self.last_start.push(self.name.as_bytes());
        }
        state
    }

    fn current_is_appropriate_end_tag_token(&mut self) -> bool {
        self.is_end && self.name.as_bytes() == self.last_start.as_bytes()
    }

    fn adjusted_current_node_present_but_not_in_html_namespace(&mut self) -> bool {
        self.in_foreign()
    }

    fn init_comment(&mut self) {
        self.comment.clear();
    }

    fn push_comment(&mut self, text: &[u8]) {
        if self.is_xml && self.comment.len() < 4096 {
            self.comment.extend_from_slice(text);
        }
    }

    fn emit_current_comment(&mut self) {
        if self.is_xml {
            self.xml_stylesheet();
        }
    }

    fn init_doctype(&mut self) {}

    fn push_doctype_name(&mut self, _: &[u8]) {}

    fn set_doctype_public_identifier(&mut self, _: &[u8]) {}

    fn set_doctype_system_identifier(&mut self, _: &[u8]) {}

    fn push_doctype_public_identifier(&mut self, _: &[u8]) {}

    fn push_doctype_system_identifier(&mut self, _: &[u8]) {}

    fn set_force_quirks(&mut self) {}

    fn emit_current_doctype(&mut self) {}
}
