//! The macro as a function from tokens to tokens: what it makes, and what it says when it refuses.

use super::*;

fn tokens(text: &str) -> TokenStream {
    text.parse().expect("tokens")
}

/// The messages of all errors of an expansion.
fn errors(options: &str, item: &str) -> Vec<String> {
    let error = expand(tokens(options), tokens(item)).expect_err("this cannot be exposed");
    error.into_iter().map(|error| error.to_string()).collect()
}

#[track_caller]
fn refused(item: &str, message: &str) {
    let errors = errors("", item);
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].contains(message), "{:?} does not say {message:?}", errors[0]);
}

#[track_caller]
fn method_refused(method: &str, message: &str) {
    refused(&format!("impl Counter {{ {method} }}"), message);
}

fn squeezed(tokens: &TokenStream) -> String {
    tokens.to_string().split_whitespace().collect()
}

/// The expansion, of which it is sure that it is Rust, without white space.
fn expanded(options: &str, item: &str) -> String {
    let tokens = expand(tokens(options), tokens(item)).expect("this can be exposed");
    syn::parse2::<syn::File>(tokens.clone()).expect("the expansion is Rust");
    squeezed(&tokens)
}

#[track_caller]
fn contains(text: &str, part: &str) {
    let part = squeezed(&tokens(part));
    assert!(text.contains(&part), "{part} is not in {text}");
}

#[test]
fn the_block_stays_as_it_was() {
    let text = expanded(
        "",
        "impl Counter { #[doc = \"Adds.\"] pub fn add(&self, by: i64) -> i64 { by } }",
    );
    contains(&text, "impl Counter { #[doc = \"Adds.\"] pub fn add(&self, by: i64) -> i64 { by } }");
    contains(&text, "impl ::spinneret::manager::Exposed for Counter");
}

#[test]
fn methods_and_parameters_are_known_by_their_names() {
    let text =
        expanded("", "impl Counter { fn add(&self, by: i64, r#type: String) {} fn get(&self) {} }");
    contains(&text, r#"&["add", "get"]"#);
    contains(&text, r#"call.bind(&["by", "type"])?"#);
    contains(&text, "let argument_0: i64 = arguments.take()?;");
    contains(&text, "let argument_1: String = arguments.take()?;");
    contains(&text, "Self::add(&self, argument_0, argument_1)");
    contains(&text, "call.bind(&[])?");
}

#[test]
fn plain_methods_run_apart_and_async_ones_in_line() {
    let text = expanded("", "impl Counter { fn plain(&self) {} async fn waiting(&self) {} }");
    contains(&text, r#""plain" => ::spinneret::__private::exposed::apart"#);
    contains(&text, r#""waiting" => ::spinneret::__private::exposed::inline"#);
    contains(&text, "Self::waiting(&self).await");
}

#[test]
fn conditions_hold_for_the_names_too() {
    let text = expanded(
        "",
        "#[cfg(unix)] impl Counter { #[cfg(windows)] #[doc = text] fn add(&self) {} }",
    );
    contains(&text, r#"&[#[cfg(windows)] "add"]"#);
    contains(&text, r#"#[cfg(windows)] "add" =>"#);
    contains(&text, "#[cfg(unix)] impl ::spinneret::manager::Exposed for Counter");
}

#[test]
fn the_crate_can_be_found_elsewhere() {
    let text = expanded("crate = crate::toolkit", "impl Counter { fn add(&self) {} }");
    contains(&text, "impl crate::toolkit::manager::Exposed for Counter");
    assert!(!text.contains("::spinneret::"), "{text}");
}

#[test]
fn results_may_borrow_from_the_object() {
    expanded("", "impl Counter { fn name(&self) -> &str { &self.name } }");
    expanded("", "impl Counter { fn names(&self) -> Vec<&'static str> { vec![] } }");
    expanded(
        "",
        "impl Counter { const MOST: u8 = 3; fn name<'a>(&'a self) -> Option<&'a str> { None } }",
    );
}

#[test]
fn only_plain_impl_blocks_are_exposed() {
    refused("fn f() {}", "goes on an impl block");
    refused("struct F;", "goes on an impl block");
    refused("impl Trait for Counter {}", "of the type itself");
    refused("impl<T> Counter<T> {}", "cannot be generic");
    refused("impl Counter where u8: Copy {}", "cannot be generic");
    refused("impl Counter { type T = u8; }", "has methods only");
}

#[test]
fn methods_take_a_shared_self() {
    method_refused("fn new() -> Self { Self }", "put others into an impl block of their own");
    method_refused("fn f(&mut self) {}", "keep what changes in a Mutex");
    method_refused("fn f(self) {}", "the object stays where it is");
    method_refused("fn f(self: Arc<Self>) {}", "takes `&self`");
}

#[test]
fn odd_methods_are_refused() {
    method_refused("fn f<T>(&self, a: T) {}", "cannot be generic");
    method_refused("fn f(&self) where u8: Copy {}", "cannot be generic");
    method_refused("const fn f(&self) {}", "`const fn`");
    method_refused("unsafe fn f(&self) {}", "cannot be unsafe");
    method_refused(r#"extern "C" fn f(&self) {}"#, "`extern` function");
    method_refused("fn f(&self) -> ! { loop {} }", "must return");
}

#[test]
fn borrowed_and_unnamed_arguments_are_refused() {
    method_refused("fn f(&self, a: &str) {}", "cannot borrow its arguments");
    method_refused("fn f(&self, a: Cow<'static, str>) {}", "cannot borrow");
    method_refused("fn f(&self, a: impl Into<String>) {}", "cannot take `impl Trait`");
    method_refused("fn f(&self, a: Vec<_>) {}", "must be written out");
    method_refused("fn f(&self, (a, b): (u8, u8)) {}", "need names");
    method_refused("fn f(&self, _: u8) {}", "need names");
}

#[test]
fn names_that_python_cannot_say_are_refused() {
    for word in ["print", "lambda", "None", "r#if", "exec", "r#async"] {
        method_refused(&format!("fn {word}(&self) {{}}"), "a word of Python");
    }
    for name in ["__init__", "__reduce__", "__getattribute__"] {
        method_refused(&format!("fn {name}(&self) {{}}"), "for themselves");
    }
    method_refused("fn _callmethod(&self) {}", "leading underscore");
    method_refused("fn größe(&self) {}", "ASCII");
    method_refused("fn f(&self, größe: u8) {}", "ASCII");
    expanded("", "impl Counter { fn __len__(&self) -> usize { 0 } fn r#match(&self) {} }");
}

#[test]
fn every_fault_is_named_at_once() {
    let errors = errors("", "impl Counter { unsafe fn print<T>(&mut self, a: &T) {} }");
    assert_eq!(errors.len(), 5, "{errors:?}");
}

#[test]
fn unknown_and_doubled_options_are_refused() {
    let first = |options| errors(options, "impl Counter {}").remove(0);
    assert!(first(r#"name = "x""#).contains("unknown option `name`"));
    assert!(first("crate = a, crate = b").contains("given twice"));
}
