//! What a task becomes: a struct without fields that stands for the function and is registered
//! under a name.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::ext::IdentExt;
use syn::{Error, Ident, Item, Result, ReturnType, Type, parse_quote};

use crate::attributes::Attributes;
use crate::check;
use crate::options::Options;

/// Expands `#[task(options)] item`.
pub(crate) fn expand(options: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let Options { name, krate } = Options::parse(options)?;
    let mut function = match syn::parse2(item)? {
        Item::Fn(function) => function,
        other => return Err(Error::new_spanned(other, "#[task] goes on a function")),
    };
    let types: Vec<Type> = check::arguments(&function.sig)?
        .into_iter()
        .map(|argument| (*argument.ty).clone())
        .collect();
    let output: Type = match &function.sig.output {
        ReturnType::Default => parse_quote!(()),
        ReturnType::Type(_, output) => (**output).clone(),
    };
    let signature = signature(&types, &output);
    let Attributes { conditions, documentation, deprecation, of_function } =
        Attributes::take(&mut function);
    let (task, vis) = (function.sig.ident.clone(), function.vis.clone());

    let bare = task.unraw();
    let name = if let Some(name) = name {
        quote!(#name)
    } else {
        let bare = bare.to_string();
        quote!(::core::concat!(::core::module_path!(), "::", #bare))
    };

    // The function gets a name of its own, so that inside its body the task's name still means the
    // task: it can call itself and can hand itself to a pool.
    let body = format_ident!("__spinneret_{bare}");
    function.sig.ident = body.clone();
    function.vis = syn::Visibility::Inherited;
    let values: Vec<_> = (0..types.len()).map(|index| format_ident!("argument_{index}")).collect();
    let (args, pattern) = match (types.as_slice(), values.as_slice()) {
        ([one], [value]) => (quote!(#one), quote!(#value)),
        _ => (quote!((#(#types),*)), quote!((#(#values),*))),
    };

    let Forms { pointer, target, boxed, run } = if function.sig.asyncness.is_some() {
        Forms::of_async(&body, &types, &values, &output)
    } else {
        Forms::of_plain(&body, &values, &output)
    };

    Ok(quote! {
        #(#conditions)*
        #(#documentation)*
        #(#deprecation)*
        #[allow(non_camel_case_types)]
        #[derive(::core::clone::Clone, ::core::marker::Copy, ::core::fmt::Debug)]
        #vis struct #task {}

        // The one value of the struct, under the same name: together they are a unit struct, except
        // that tools do not take a call of the value for the construction of a tuple struct.
        #(#conditions)*
        #(#deprecation)*
        #[doc(hidden)]
        #[allow(non_upper_case_globals, dead_code, deprecated)]
        #vis const #task: #task = #task {};

        #(#conditions)*
        #[allow(deprecated)]
        const _: () = {
            // A task has to own its arguments, whatever it does with them.
            #[allow(clippy::needless_pass_by_value)]
            #(#of_function)*
            #function

            #boxed

            impl ::core::ops::Deref for #task {
                type Target = fn(#(#types),*) -> #target;

                fn deref(&self) -> &Self::Target {
                    const POINTER: fn(#(#types),*) -> #target = #pointer;
                    &POINTER
                }
            }

            impl #krate::Task for #task {
                type Args = #args;
                type Output = #output;
                const NAME: &'static str = #name;
                const SIGNATURE: u64 = #krate::task::signature(#signature);

                fn run(#pattern: Self::Args) -> #krate::task::Call<Self::Output> {
                    #krate::task::Call::#run
                }
            }

            #[#krate::__private::linkme::distributed_slice(#krate::__private::TASKS)]
            #[linkme(crate = #krate::__private::linkme)]
            static ENTRY: #krate::__private::Entry = #krate::__private::Entry::of::<#task>(
                ::core::file!(),
                ::core::line!(),
            );
        };
    })
}

/// What differs between a plain and an `async` function.
struct Forms {
    /// The function that the task dereferences to.
    pointer: Ident,
    /// What that returns.
    target: TokenStream,
    /// Its definition, if it is not the task's body itself.
    boxed: TokenStream,
    /// The variant of `Call` that `run` returns.
    run: TokenStream,
}

impl Forms {
    fn of_plain(body: &Ident, values: &[Ident], output: &Type) -> Self {
        Self {
            pointer: body.clone(),
            target: quote!(#output),
            boxed: quote!(),
            run: quote!(Done(#body(#(#values),*))),
        }
    }

    /// An `async fn` has a type that cannot be named; boxed, its future has one.
    fn of_async(body: &Ident, types: &[Type], values: &[Ident], output: &Type) -> Self {
        let future = quote! {
            ::core::pin::Pin<::std::boxed::Box<
                dyn ::core::future::Future<Output = #output> + ::core::marker::Send
            >>
        };
        Self {
            pointer: format_ident!("boxed"),
            boxed: quote! {
                fn boxed(#(#values: #types),*) -> #future {
                    ::std::boxed::Box::pin(#body(#(#values),*))
                }
            },
            target: future,
            run: quote!(Pending(boxed(#(#values),*))),
        }
    }
}

/// The types as text without white space, so that two compilers that print tokens differently
/// agree about a task.
fn signature(types: &[Type], output: &Type) -> String {
    let mut text = quote!((#(#types),*) -> #output).to_string();
    text.retain(|character| !character.is_whitespace());
    text
}

#[cfg(test)]
mod tests;
