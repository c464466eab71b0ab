//! What stands between the parentheses of `#[task(...)]`.

use proc_macro2::TokenStream;
use syn::ext::IdentExt;
use syn::parse::{ParseStream, Parser};
use syn::{Error, Ident, LitStr, Path, Result, Token, parse_quote};

/// The options of one `#[task(...)]`.
pub(crate) struct Options {
    /// The registered name; the module path and the function's name if none.
    pub(crate) name: Option<LitStr>,
    /// Where the generated code finds the crate `spinneret`.
    pub(crate) krate: Path,
}

impl Options {
    /// Reads `name = "..."` and `crate = path`, each at most once.
    pub(crate) fn parse(tokens: TokenStream) -> Result<Self> {
        Self::read.parse2(tokens)
    }

    fn read(input: ParseStream) -> Result<Self> {
        let (mut name, mut krate) = (None, None);
        while !input.is_empty() {
            let key = input.call(Ident::parse_any)?;
            let again = || Error::new(key.span(), format!("`{key}` is given twice"));
            match key.to_string().as_str() {
                "name" => {
                    input.parse::<Token![=]>()?;
                    let value: LitStr = input.parse()?;
                    if value.value().is_empty() {
                        return Err(Error::new(value.span(), "a task's name cannot be empty"));
                    }
                    if name.replace(value).is_some() {
                        return Err(again());
                    }
                }
                "crate" => {
                    input.parse::<Token![=]>()?;
                    if krate.replace(input.call(Path::parse_mod_style)?).is_some() {
                        return Err(again());
                    }
                }
                _ => {
                    return Err(Error::new(
                        key.span(),
                        format!(
                            "unknown option `{key}`: a task takes `name = \"...\"` and `crate = path`"
                        ),
                    ));
                }
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(Self { name, krate: krate.unwrap_or_else(|| parse_quote!(::spinneret)) })
    }
}
