//! The attribute `#[spinneret::task]`: turns a function into a task that can run anywhere.
//!
//! Use it through the crate `spinneret`, which re-exports it beside the trait it implements.

mod attributes;
mod check;
mod expand;
mod options;

use proc_macro::TokenStream;

/// Marks a function, sync or `async`, as a task: work that a pool can run in another process.
///
/// The arguments and the result must be owned types that implement serde's `Serialize` and
/// `Deserialize`. The function stays callable as it was: the attribute replaces it by a unit
/// struct of the same name that implements `spinneret::Task` and dereferences to the function,
/// so `thumbnail(path)` still works, and so does `fetch(url).await` when it is `async`.
/// One argument travels as itself, several as a tuple, none as `()`.
///
/// As with any unit struct, a `let` or an argument of the task's own name in its scope is taken for
/// the struct and refused: call the variable otherwise.
///
/// A task is known to other processes by its module path and name. Two tasks in functions of one
/// module may collide; the program then stops at its start and says where both are.
///
/// # Options
/// - `name = "..."`: the name to register under instead of the module path.
/// - `crate = path`: where to find the crate `spinneret`, if it was renamed or re-exported.
///
/// # Errors
/// A method, a generic, `unsafe`, `const` or `extern` function, borrowed or `impl Trait`
/// arguments or results, and more than 16 arguments are compile errors at the offending token.
#[proc_macro_attribute]
pub fn task(options: TokenStream, item: TokenStream) -> TokenStream {
    expand::expand(options.into(), item.into())
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}
