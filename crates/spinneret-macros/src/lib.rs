//! The `#[task]` attribute.
use proc_macro::TokenStream;

/// Marks a function as a task.
#[proc_macro_attribute]
pub fn task(_args: TokenStream, item: TokenStream) -> TokenStream {
    item
}
