//! Gathering links as text, each once, and resolving them when the base is known.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

use super::{Extracted, Found, MAX_LINKS, MAX_MALFORMED, MalformedLink, Via};
use crate::address::{
    Address, AddressError, FileKind, MAX_ADDRESS_LEN, Resolver, has_skipped_scheme,
};

/// What a link leads to, by the place it stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// A page, unless its extension says that it is an image.
    Page,
    /// An image, whatever it is called.
    Image,
    /// An image, unless its extension says that it is something else. For places that hold all
    /// sorts of things, such as `url()` in CSS.
    MaybeImage,
    /// A style sheet.
    Stylesheet,
}

/// One link as it stands in the document, without its fragment.
struct Raw {
    /// Where in `Collector::text` it stands.
    start: usize,
    len: usize,
    kind: Kind,
    via: Via,
}

/// The links seen so far.
///
/// Invariant: `seen` holds the index of every entry of `raws` exactly once.
pub(super) struct Collector {
    /// The texts of all `raws`, one behind the other.
    text: String,
    raws: Vec<Raw>,
    seen: HashTable<u32>,
    hasher: DefaultHashBuilder,
    /// The `href` of the first `base` element.
    base: Option<String>,
    /// Links too long to be kept: the start of each and its length.
    too_long: Vec<(String, usize)>,
    pub(super) meta_nofollow: bool,
    limit_reached: bool,
}

impl Collector {
    /// A collector for a document of about `len` bytes.
    pub(super) fn new(len: usize) -> Self {
        // About one distinct link in 300 bytes, of some 30 bytes, in pages with many.
        let expected = (len / 300).clamp(8, 1024);
        Self {
            text: String::with_capacity(expected * 32),
            raws: Vec::with_capacity(expected),
            seen: HashTable::with_capacity(expected),
            hasher: DefaultHashBuilder::default(),
            base: None,
            too_long: Vec::new(),
            meta_nofollow: false,
            limit_reached: false,
        }
    }

    /// Remembers the first `base` element's `href`.
    pub(super) fn set_base(&mut self, href: &str) {
        if self.base.is_none() {
            self.base = Some(href.to_owned());
        }
    }

    /// Remembers a link, unless it is there already or names no other resource.
    pub(super) fn push(&mut self, kind: Kind, via: Via, reference: &str) {
        // Most repeats of a link differ in the fragment only.
        let reference = match memchr::memchr(b'#', reference.as_bytes()) {
            Some(i) => &reference[..i],
            None => reference,
        };
        let reference = reference.trim_matches(|c: char| c <= ' ');
        if reference.is_empty() {
            return;
        }
        // Before the check for a scheme: most links are repeats.
        let hash = self.hasher.hash_one((kind, reference));
        let same = |&i: &u32| {
            let raw = &self.raws[i as usize];
            raw.kind == kind && &self.text[raw.start..raw.start + raw.len] == reference
        };
        if self.seen.find(hash, same).is_some() || has_skipped_scheme(reference) {
            return;
        }
        if self.raws.len() >= MAX_LINKS {
            self.limit_reached = true;
            return;
        }
        if reference.len() > MAX_ADDRESS_LEN {
            if self.too_long.len() < MAX_MALFORMED {
                self.too_long.push((shorten(reference), reference.len()));
            }
            return;
        }
        let index = self.raws.len() as u32; // At most MAX_LINKS.
        self.raws.push(Raw { start: self.text.len(), len: reference.len(), kind, via });
        self.text.push_str(reference);
        let (raws, text, hasher) = (&self.raws, &self.text, &self.hasher);
        self.seen.insert_unique(hash, index, |&i| {
            let raw = &raws[i as usize];
            hasher.hash_one((raw.kind, &text[raw.start..raw.start + raw.len]))
        });
    }

    /// Resolves what was gathered, relative to `document` or its `base` element.
    pub(super) fn resolve(self, document: &Address) -> Extracted {
        let mut out = Extracted {
            meta_nofollow: self.meta_nofollow,
            limit_reached: self.limit_reached,
            ..Extracted::default()
        };
        let mut base = None;
        match self.base.as_deref().map(|href| (href, document.join(href))) {
            Some((_, Ok(address))) => base = address,
            Some((href, Err(cause))) => malformed(&mut out, href, cause),
            None => {}
        }
        let resolver = Resolver::new(base.as_ref().unwrap_or(document));
        let mut lists = [
            Distinct::new(&self.hasher, self.raws.len()),
            Distinct::new(&self.hasher, self.raws.len() / 4),
            Distinct::new(&self.hasher, 8),
        ];
        for raw in &self.raws {
            let text = &self.text[raw.start..raw.start + raw.len];
            match resolver.resolve(text) {
                Ok(Some(address)) => {
                    if let Some(list) = list_of(raw.kind, &address) {
                        lists[list].push(address, raw.via);
                    }
                }
                Ok(None) => {}
                Err(cause) => malformed(&mut out, text, cause),
            }
        }
        for (text, len) in self.too_long {
            malformed(&mut out, &text, AddressError::TooLong { len });
        }
        [out.pages, out.images, out.stylesheets] = lists.map(|list| list.found);
        out
    }
}

const PAGES: usize = 0;
const IMAGES: usize = 1;
const STYLESHEETS: usize = 2;

/// In which list an address of this kind belongs, if in any.
fn list_of(kind: Kind, address: &Address) -> Option<usize> {
    match kind {
        Kind::Stylesheet => Some(STYLESHEETS),
        Kind::Image => Some(IMAGES),
        Kind::Page => match address.file_kind() {
            FileKind::Image if is_wiki_page(address) => Some(PAGES),
            FileKind::Image => Some(IMAGES),
            FileKind::Unknown => Some(PAGES),
            FileKind::Other => None,
        },
        Kind::MaybeImage => match address.file_kind() {
            FileKind::Image => Some(IMAGES),
            FileKind::Unknown if !is_markup(address) => Some(IMAGES),
            FileKind::Unknown | FileKind::Other => None,
        },
    }
}

/// Whether the file's name has a colon: then it is a page about an image, as in the wikis'
/// `/wiki/File:Cat.jpg`.
fn is_wiki_page(address: &Address) -> bool {
    let path = address.path();
    let name = &path[path.rfind('/').map_or(0, |i| i + 1)..];
    name.contains(':') || name.contains("%3A")
}

/// Whether the extension is one of the markup that CSS and `object` refer to beside images.
fn is_markup(address: &Address) -> bool {
    address.extension().is_some_and(|have| {
        ["htc", "xml", "xbl", "html", "htm", "xhtml"]
            .iter()
            .any(|markup| have.eq_ignore_ascii_case(markup))
    })
}

/// A list of addresses, each once.
struct Distinct<'a> {
    found: Vec<Found>,
    seen: HashTable<u32>,
    hasher: &'a DefaultHashBuilder,
}

impl<'a> Distinct<'a> {
    fn new(hasher: &'a DefaultHashBuilder, expected: usize) -> Self {
        Self { found: Vec::new(), seen: HashTable::with_capacity(expected), hasher }
    }

    fn push(&mut self, address: Address, via: Via) {
        let hash = self.hasher.hash_one(address.as_str());
        let found = &self.found;
        if self.seen.find(hash, |&i| found[i as usize].address == address).is_some() {
            return;
        }
        let index = found.len() as u32; // At most MAX_LINKS.
        self.found.push(Found { address, via });
        let (found, hasher) = (&self.found, self.hasher);
        self.seen
            .insert_unique(hash, index, |&i| hasher.hash_one(found[i as usize].address.as_str()));
    }
}

fn malformed(out: &mut Extracted, text: &str, cause: AddressError) {
    if out.malformed.len() < MAX_MALFORMED {
        out.malformed.push(MalformedLink { text: shorten(text), cause });
    }
}

/// The first 200 bytes or a little less, so that a report stays readable.
fn shorten(text: &str) -> String {
    text[..text.floor_char_boundary(200)].to_owned()
}
