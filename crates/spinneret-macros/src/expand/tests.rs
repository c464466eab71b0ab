//! The macro as a function from tokens to tokens: what it makes, and what it says when it refuses.

use std::fmt::Write;

use super::*;

fn tokens(text: &str) -> TokenStream {
    text.parse().expect("tokens")
}

/// The messages of all errors of an expansion.
fn errors(options: &str, item: &str) -> Vec<String> {
    let error = expand(tokens(options), tokens(item)).expect_err("this cannot be a task");
    error.into_iter().map(|error| error.to_string()).collect()
}

#[track_caller]
fn refused(item: &str, message: &str) {
    let errors = errors("", item);
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].contains(message), "{:?} does not say {message:?}", errors[0]);
}

fn squeezed(tokens: &TokenStream) -> String {
    tokens.to_string().split_whitespace().collect()
}

/// The expansion, of which it is sure that it is Rust, without white space.
fn expanded(options: &str, item: &str) -> String {
    let tokens = expand(tokens(options), tokens(item)).expect("this is a task");
    syn::parse2::<syn::File>(tokens.clone()).expect("the expansion is Rust");
    squeezed(&tokens)
}

#[track_caller]
fn contains(text: &str, part: &str) {
    let part = squeezed(&tokens(part));
    assert!(text.contains(&part), "{part} is not in {text}");
}

#[test]
fn one_argument_travels_as_itself() {
    let text = expanded("", "pub(crate) fn f(path: PathBuf) -> u32 { 1 }");
    contains(&text, "pub(crate) struct f {}");
    contains(&text, "pub(crate) const f: f = f {};");
    contains(&text, "type Args = PathBuf;");
    contains(&text, "type Output = u32;");
    contains(&text, "type Target = fn(PathBuf) -> u32;");
    contains(&text, r#"::spinneret::task::signature("(PathBuf)->u32")"#);
}

#[test]
fn several_arguments_travel_as_a_tuple_and_none_as_the_unit() {
    let text = expanded("", "fn f(a: u8, (b, c): (u8, u8)) {}");
    contains(&text, "type Args = (u8, (u8, u8));");
    contains(&text, "type Output = ();");
    contains(&expanded("", "fn f() -> u8 { 3 }"), "type Args = ();");
}

#[test]
fn an_async_task_dereferences_to_a_function_that_returns_a_boxed_future() {
    let text = expanded("", "async fn f(a: String) -> u8 { 3 }");
    contains(&text, "type Output = u8;");
    contains(&text, "dyn ::core::future::Future<Output = u8> + ::core::marker::Send");
    contains(&text, "Call::Pending(boxed(argument_0))");
}

#[test]
fn the_name_is_the_module_path_unless_given() {
    let text = expanded("", "fn r#match() {}");
    contains(&text, r#"::core::concat!(::core::module_path!(), "::", "match")"#);
    contains(&text, "struct r#match {}");
    let text = expanded(r#"name = "resize""#, "fn f() {}");
    contains(&text, r#"const NAME: &'static str = "resize";"#);
}

#[test]
fn the_crate_can_be_found_elsewhere() {
    let text = expanded(r#"crate = crate::toolkit, name = "x""#, "fn f() {}");
    contains(&text, "impl crate::toolkit::Task for f");
    assert!(!text.contains("::spinneret::"), "{text}");
}

#[test]
fn the_signature_ignores_spacing_and_tells_types_apart() {
    let of = |types: &[Type], output: Type| signature(types, &output);
    assert_eq!(of(&[parse_quote!(Vec<u8>)], parse_quote!(u8)), "(Vec<u8>)->u8");
    let one = of(&[parse_quote!(u8)], parse_quote!(u8));
    assert_ne!(one, of(&[], parse_quote!(u8)));
    assert_ne!(one, of(&[parse_quote!(u8)], parse_quote!(u16)));
}

#[test]
fn attributes_go_where_they_mean_something() {
    let text = expanded(
        "",
        r"
            #[doc = text]
            #[cfg(unix)]
            #[inline(never)]
            #[deprecated]
            fn f() {}
        ",
    );
    contains(&text, "#[cfg(unix)] #[doc = text] #[deprecated]");
    contains(&text, "#[cfg(unix)] #[deprecated] #[doc(hidden)]");
    contains(&text, "#[cfg(unix)] #[allow(deprecated)] const _: ()");
    contains(&text, "#[inline(never)] fn __spinneret_f() {}");
}

#[test]
fn methods_generics_and_odd_functions_are_refused() {
    refused("fn f(&self) {}", "cannot be a method");
    refused("fn f<T>(a: T) {}", "cannot be generic");
    refused("fn f<const N: usize>(a: [u8; N]) {}", "cannot be generic");
    refused("fn f(a: u8) where u8: Copy {}", "cannot have a where clause");
    refused("const fn f() {}", "`const fn`");
    refused("unsafe fn f() {}", "cannot be unsafe");
    refused(r#"extern "C" fn f() {}"#, "`extern` function");
    refused("struct F;", "goes on a function");
    refused("fn f() -> ! { loop {} }", "must return");
}

#[test]
fn borrowed_and_unnamed_types_are_refused() {
    refused("fn f(a: &str) {}", "cannot borrow its arguments");
    refused("fn f(a: Option<&'static str>) {}", "cannot borrow its arguments");
    refused("fn f(a: Cow<'static, str>) {}", "cannot borrow");
    refused(r#"fn f() -> &'static str { "" }"#, "cannot return a reference");
    refused("fn f(a: impl Into<String>) {}", "cannot take `impl Trait`");
    refused("fn f() -> impl Iterator<Item = u8> { [].into_iter() }", "cannot return `impl");
    refused("fn f(a: Vec<_>) {}", "must be written out");
}

#[test]
fn more_arguments_than_serde_takes_are_refused() {
    let list = |count: usize| {
        (0..count).fold(String::new(), |mut list, index| {
            write!(list, "a{index}: u8,").expect("memory");
            list
        })
    };
    refused(&format!("fn f({}) {{}}", list(17)), "at most 16 arguments");
    contains(&expanded("", &format!("fn f({}) {{}}", list(16))), "argument_15");
}

#[test]
fn every_fault_is_named_at_once() {
    let errors = errors("", "unsafe fn f<T>(a: &T) {}");
    assert_eq!(errors.len(), 3, "{errors:?}");
}

#[test]
fn unknown_doubled_and_empty_options_are_refused() {
    let first = |options| errors(options, "fn f() {}").remove(0);
    assert!(first(r#"nam = "x""#).contains("unknown option `nam`"));
    assert!(first(r#"name = """#).contains("cannot be empty"));
    assert!(first(r#"name = "a", name = "b""#).contains("given twice"));
    assert!(first("crate = a, crate = b").contains("given twice"));
}
