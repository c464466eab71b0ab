//! What a task becomes: a unit struct that stands for the function and is registered under a name.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::ext::IdentExt;
use syn::{Attribute, Error, Item, ItemFn, Result, ReturnType, Type, parse_quote};

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
    let Attributes {
        conditions,
        of_struct,
        of_function,
    } = Attributes::take(&mut function);
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
    let values: Vec<_> = (0..types.len())
        .map(|index| format_ident!("argument_{index}"))
        .collect();
    let (args, pattern) = match (types.as_slice(), values.as_slice()) {
        ([one], [value]) => (quote!(#one), quote!(#value)),
        _ => (quote!((#(#types),*)), quote!((#(#values),*))),
    };

    let (pointer, boxed, target, run) = if function.sig.asyncness.is_some() {
        let future = quote! {
            ::core::pin::Pin<::std::boxed::Box<
                dyn ::core::future::Future<Output = #output> + ::core::marker::Send
            >>
        };
        let boxed = quote! {
            fn boxed(#(#values: #types),*) -> #future {
                ::std::boxed::Box::pin(#body(#(#values),*))
            }
        };
        (
            quote!(boxed),
            boxed,
            future,
            quote!(Pending(boxed(#(#values),*))),
        )
    } else {
        (
            quote!(#body),
            quote!(),
            quote!(#output),
            quote!(Done(#body(#(#values),*))),
        )
    };

    Ok(quote! {
        #(#conditions)*
        #(#of_struct)*
        #[allow(non_camel_case_types)]
        #[derive(::core::clone::Clone, ::core::marker::Copy, ::core::fmt::Debug)]
        #vis struct #task;

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

/// The types as text without white space, so that two compilers that print tokens differently
/// agree about a task.
fn signature(types: &[Type], output: &Type) -> String {
    let mut text = quote!((#(#types),*) -> #output).to_string();
    text.retain(|character| !character.is_whitespace());
    text
}

/// A function's attributes, by where they belong.
struct Attributes {
    /// `cfg`: on everything.
    conditions: Vec<Attribute>,
    /// What a reader of the documentation sees: on the struct.
    of_struct: Vec<Attribute>,
    /// Everything else is about the body.
    of_function: Vec<Attribute>,
}

impl Attributes {
    fn take(function: &mut ItemFn) -> Self {
        let mut sorted = Self {
            conditions: vec![],
            of_struct: vec![],
            of_function: vec![],
        };
        for attribute in function.attrs.drain(..) {
            let place = if attribute.path().is_ident("cfg") {
                &mut sorted.conditions
            } else if attribute.path().is_ident("doc") || attribute.path().is_ident("deprecated") {
                &mut sorted.of_struct
            } else {
                &mut sorted.of_function
            };
            place.push(attribute);
        }
        sorted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The messages of all errors of an expansion, or the panic that there are none.
    fn errors(options: TokenStream, item: TokenStream) -> Vec<String> {
        let error = expand(options, item).expect_err("this cannot be a task");
        error.into_iter().map(|error| error.to_string()).collect()
    }

    #[track_caller]
    fn refused(item: TokenStream, message: &str) {
        let errors = errors(quote!(), item);
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert!(
            errors[0].contains(message),
            "{:?} does not say {message:?}",
            errors[0]
        );
    }

    fn expanded(options: TokenStream, item: TokenStream) -> String {
        let tokens = expand(options, item).expect("this is a task");
        syn::parse2::<syn::File>(tokens.clone()).expect("the expansion is Rust");
        tokens.to_string().split_whitespace().collect()
    }

    #[track_caller]
    fn contains(text: &str, part: &TokenStream) {
        let part: String = part.to_string().split_whitespace().collect();
        assert!(text.contains(&part), "{part} is not in {text}");
    }

    #[test]
    fn one_argument_travels_as_itself() {
        let text = expanded(
            quote!(),
            quote!(
                pub(crate) fn f(path: PathBuf) -> u32 {
                    1
                }
            ),
        );
        contains(
            &text,
            &quote!(
                pub(crate) struct f;
            ),
        );
        contains(
            &text,
            &quote!(
                type Args = PathBuf;
            ),
        );
        contains(
            &text,
            &quote!(
                type Output = u32;
            ),
        );
        contains(
            &text,
            &quote!(
                type Target = fn(PathBuf) -> u32;
            ),
        );
        contains(
            &text,
            &quote!(::spinneret::task::signature("(PathBuf)->u32")),
        );
    }

    #[test]
    fn several_arguments_travel_as_a_tuple_and_none_as_the_unit() {
        let text = expanded(
            quote!(),
            quote!(
                fn f(a: u8, (b, c): (u8, u8)) {}
            ),
        );
        contains(
            &text,
            &quote!(
                type Args = (u8, (u8, u8));
            ),
        );
        contains(
            &text,
            &quote!(
                type Output = ();
            ),
        );
        let text = expanded(
            quote!(),
            quote!(
                fn f() -> u8 {
                    3
                }
            ),
        );
        contains(
            &text,
            &quote!(
                type Args = ();
            ),
        );
    }

    #[test]
    fn an_async_task_dereferences_to_a_function_that_returns_a_boxed_future() {
        let text = expanded(
            quote!(),
            quote!(
                async fn f(a: String) -> u8 {
                    3
                }
            ),
        );
        contains(
            &text,
            &quote!(
                type Output = u8;
            ),
        );
        contains(
            &text,
            &quote!(dyn ::core::future::Future<Output = u8> + ::core::marker::Send),
        );
        contains(&text, &quote!(Call::Pending(boxed(argument_0))));
    }

    #[test]
    fn the_name_is_the_module_path_unless_given() {
        let text = expanded(
            quote!(),
            quote!(
                fn r#match() {}
            ),
        );
        contains(
            &text,
            &quote!(::core::concat!(::core::module_path!(), "::", "match")),
        );
        contains(
            &text,
            &quote!(
                struct r#match;
            ),
        );
        let text = expanded(
            quote!(name = "resize"),
            quote!(
                fn f() {}
            ),
        );
        contains(
            &text,
            &quote!(
                const NAME: &'static str = "resize";
            ),
        );
    }

    #[test]
    fn the_crate_can_be_found_elsewhere() {
        let text = expanded(
            quote!(crate = crate::toolkit, name = "x"),
            quote!(
                fn f() {}
            ),
        );
        contains(&text, &quote!(impl crate::toolkit::Task for f));
        assert!(!text.contains("::spinneret::"), "{text}");
    }

    #[test]
    fn the_signature_ignores_spacing_and_tells_types_apart() {
        let of = |types: &[Type], output: Type| signature(types, &output);
        assert_eq!(
            of(&[parse_quote!(Vec<u8>)], parse_quote!(u8)),
            of(&[parse_quote!(Vec<u8>)], parse_quote!(u8)),
        );
        assert_ne!(
            of(&[parse_quote!(u8)], parse_quote!(u8)),
            of(&[], parse_quote!(u8))
        );
        assert_ne!(
            of(&[parse_quote!(u8)], parse_quote!(u8)),
            of(&[parse_quote!(u8)], parse_quote!(u16))
        );
    }

    #[test]
    fn documentation_goes_to_the_struct_and_other_attributes_to_the_body() {
        let text = expanded(
            quote!(),
            quote! {
                /// Makes a thumbnail.
                #[cfg(unix)]
                #[inline(never)]
                fn f() {}
            },
        );
        contains(&text, &quote!(#[cfg(unix)] #[doc = r" Makes a thumbnail."]));
        contains(
            &text,
            &quote!(
                #[inline(never)]
                fn __spinneret_f() {}
            ),
        );
        contains(
            &text,
            &quote!(#[cfg(unix)] #[allow(deprecated)] const _: ()),
        );
    }

    #[test]
    fn methods_generics_and_odd_functions_are_refused() {
        refused(
            quote!(
                fn f(&self) {}
            ),
            "cannot be a method",
        );
        refused(
            quote!(
                fn f<T>(a: T) {}
            ),
            "cannot be generic",
        );
        refused(
            quote!(
                fn f<const N: usize>(a: [u8; N]) {}
            ),
            "cannot be generic",
        );
        refused(
            quote!(
                const fn f() {}
            ),
            "`const fn`",
        );
        refused(
            quote!(
                unsafe fn f() {}
            ),
            "cannot be unsafe",
        );
        refused(
            quote!(
                extern "C" fn f() {}
            ),
            "`extern` function",
        );
        refused(
            quote!(
                struct F;
            ),
            "goes on a function",
        );
        refused(
            quote!(
                fn f() -> ! {
                    loop {}
                }
            ),
            "must return",
        );
    }

    #[test]
    fn borrowed_and_unnamed_types_are_refused() {
        refused(
            quote!(
                fn f(a: &str) {}
            ),
            "cannot borrow its arguments",
        );
        refused(
            quote!(
                fn f(a: Option<&'static str>) {}
            ),
            "cannot borrow its arguments",
        );
        refused(
            quote!(
                fn f(a: Cow<'static, str>) {}
            ),
            "cannot borrow",
        );
        refused(
            quote!(
                fn f() -> &'static str {
                    ""
                }
            ),
            "cannot return a reference",
        );
        refused(
            quote!(
                fn f(a: impl Into<String>) {}
            ),
            "cannot take `impl Trait`",
        );
        refused(
            quote!(
                fn f() -> impl Iterator<Item = u8> {
                    [].into_iter()
                }
            ),
            "cannot return `impl",
        );
        refused(
            quote!(
                fn f(a: Vec<_>) {}
            ),
            "must be written out",
        );
    }

    #[test]
    fn more_arguments_than_serde_takes_are_refused() {
        let arguments = (0..17).map(|index| {
            let name = format_ident!("a{index}");
            quote!(#name: u8)
        });
        refused(quote!(fn f(#(#arguments),*) {}), "at most 16 arguments");
    }

    #[test]
    fn every_fault_is_named_at_once() {
        let errors = errors(
            quote!(),
            quote!(
                unsafe fn f<T>(a: &T) {}
            ),
        );
        assert_eq!(errors.len(), 3, "{errors:?}");
    }

    #[test]
    fn unknown_doubled_and_empty_options_are_refused() {
        let item = || {
            quote!(
                fn f() {}
            )
        };
        assert!(errors(quote!(nam = "x"), item())[0].contains("unknown option `nam`"));
        assert!(errors(quote!(name = ""), item())[0].contains("cannot be empty"));
        assert!(errors(quote!(name = "a", name = "b"), item())[0].contains("given twice"));
        assert!(errors(quote!(crate = a, crate = b), item())[0].contains("given twice"));
    }
}
