//! What an exposed impl block becomes: itself, and a table of its methods that finds one by its
//! name and gives it arguments that were read from a message.

mod check;
#[cfg(test)]
mod tests;

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::ext::IdentExt;
use syn::parse::{ParseStream, Parser};
use syn::{
    Attribute, Error, Ident, ImplItem, ImplItemFn, Item, ItemImpl, Path, Result, Token, Type,
    parse_quote,
};

/// Expands `#[exposed(options)] item`.
pub(crate) fn expand(options: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let krate = read_options.parse2(options)?;
    let block = match syn::parse2(item)? {
        Item::Impl(block) => block,
        other => return Err(Error::new_spanned(other, "#[exposed] goes on an impl block")),
    };
    check::block(&block)?;
    let methods: Vec<Method> = methods(&block).map(Method::of).collect();
    let names = methods.iter().map(|Method { conditions, name, .. }| quote!(#(#conditions)* #name));
    let arms = methods.iter().map(|method| method.arm(&krate));
    let object = &block.self_ty;
    let conditions = conditions(&block.attrs);
    Ok(quote! {
        // Its callers want a method, whatever that makes of the object and the arguments.
        #[allow(clippy::needless_pass_by_value, clippy::unused_async, clippy::unused_self)]
        #block

        #(#conditions)*
        impl #krate::manager::Exposed for #object {
            fn methods(&self) -> &[&str] {
                &[#(#names),*]
            }

            #[allow(deprecated)]
            fn call(
                self: ::std::sync::Arc<Self>,
                call: #krate::manager::exposed::Call,
            ) -> #krate::manager::exposed::Answer {
                #[allow(unused_imports, reason = "which of them a method needs, its type says")]
                use #krate::__private::exposed::{ByText as _, Plainly as _};

                match call.method() {
                    #(#arms)*
                    _ => call.no_such_method(),
                }
            }
        }
    })
}

/// Reads `crate = path`; where the generated code finds the crate `spinneret`.
fn read_options(input: ParseStream) -> Result<Path> {
    let mut krate = None;
    while !input.is_empty() {
        let key = input.call(Ident::parse_any)?;
        if key != "crate" {
            let text = format!("unknown option `{key}`: #[exposed] takes `crate = path`");
            return Err(Error::new(key.span(), text));
        }
        input.parse::<Token![=]>()?;
        if krate.replace(input.call(Path::parse_mod_style)?).is_some() {
            return Err(Error::new(key.span(), "`crate` is given twice"));
        }
        if !input.is_empty() {
            input.parse::<Token![,]>()?;
        }
    }
    Ok(krate.unwrap_or_else(|| parse_quote!(::spinneret)))
}

fn methods(block: &ItemImpl) -> impl Iterator<Item = &ImplItemFn> {
    block.items.iter().filter_map(|item| match item {
        ImplItem::Fn(method) => Some(method),
        _ => None,
    })
}

fn conditions(attributes: &[Attribute]) -> Vec<&Attribute> {
    attributes.iter().filter(|attribute| attribute.path().is_ident("cfg")).collect()
}

/// A method as its callers see it.
struct Method<'a> {
    conditions: Vec<&'a Attribute>,
    ident: &'a Ident,
    name: String,
    is_async: bool,
    /// Names and types of what it takes beside `&self`.
    parameters: Vec<(String, &'a Type)>,
}

impl<'a> Method<'a> {
    fn of(method: &'a ImplItemFn) -> Self {
        Self {
            conditions: conditions(&method.attrs),
            ident: &method.sig.ident,
            name: method.sig.ident.unraw().to_string(),
            is_async: method.sig.asyncness.is_some(),
            parameters: check::parameters(method),
        }
    }

    /// The arm that calls it.
    fn arm(&self, krate: &Path) -> TokenStream {
        let Self { conditions, ident, name, parameters, .. } = self;
        let names = parameters.iter().map(|(name, _)| name);
        let types = parameters.iter().map(|(_, ty)| ty);
        let values: Vec<_> =
            (0..parameters.len()).map(|index| format_ident!("argument_{index}")).collect();
        let outcome = quote!(#krate::__private::exposed::Outcome);
        let bind = quote! {
            #[allow(unused_mut, unused_variables)]
            let mut arguments = call.bind(&[#(#names),*])?;
            #(let #values: #types = arguments.take()?;)*
        };
        if self.is_async {
            quote! {
                #(#conditions)*
                #name => #krate::__private::exposed::inline(async move {
                    #bind
                    #outcome(Self::#ident(&self #(, #values)*).await).answer()
                }),
            }
        } else {
            quote! {
                #(#conditions)*
                #name => #krate::__private::exposed::apart(move || {
                    #bind
                    #outcome(Self::#ident(&self #(, #values)*)).answer()
                }),
            }
        }
    }
}
