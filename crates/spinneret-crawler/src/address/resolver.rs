//! Resolving many references against one base.

use std::cell::OnceCell;

use url::Url;

use super::{Address, AddressError, check_len, fast};

/// Resolves references as they stand on one page; parses the page's address at most once.
#[derive(Debug)]
pub struct Resolver<'a> {
    base: &'a Address,
    url: OnceCell<Url>,
}

impl<'a> Resolver<'a> {
    /// A resolver for references on the page (or relative to the `base` element) `base`.
    pub fn new(base: &'a Address) -> Self {
        Self { base, url: OnceCell::new() }
    }

    /// The address that `reference` means here. See [`Address::join`].
    ///
    /// # Errors
    /// [`AddressError`] when the reference is malformed or too long.
    pub fn resolve(&self, reference: &str) -> Result<Option<Address>, AddressError> {
        if let Some(address) =
            fast::relative(self.base, reference).or_else(|| fast::absolute(reference))
        {
            return Ok(Some(address));
        }
        self.resolve_slowly(reference)
    }

    /// The URL standard's own way: what the shortcuts must agree with.
    pub(super) fn resolve_slowly(&self, reference: &str) -> Result<Option<Address>, AddressError> {
        let reference = reference.trim_matches(|c: char| c <= ' ');
        if reference.is_empty() || reference.starts_with('#') || has_skipped_scheme(reference) {
            return Ok(None);
        }
        check_len(reference.len())?;
        match Address::from_url(self.base_url()?.join(reference)?) {
            Ok(address) => Ok(Some(address)),
            Err(AddressError::UnsupportedScheme { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn base_url(&self) -> Result<&Url, AddressError> {
        if let Some(url) = self.url.get() {
            return Ok(url);
        }
        let url = Url::parse(self.base.as_str())?;
        Ok(self.url.get_or_init(|| url))
    }
}

/// Schemes that never name something to crawl, told by their first letters so that a megabyte of
/// `data:` costs nothing, and a `javascript:` that is no URL is no error.
const SKIPPED_SCHEMES: &[&str] = &["data:", "javascript:", "mailto:", "tel:", "blob:", "about:"];

/// Whether a reference begins with a scheme that is skipped without a word.
pub(crate) fn has_skipped_scheme(reference: &str) -> bool {
    let bytes = reference.as_bytes();
    SKIPPED_SCHEMES.iter().any(|scheme| {
        bytes.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme.as_bytes()))
    })
}
