//! The attributes `#[spinneret::task]`, which turns a function into a task that can run anywhere,
//! and `#[spinneret::exposed]`, whose methods can be called from anywhere.
//!
//! Use them through the crate `spinneret`, which re-exports them beside the traits they implement.

mod attributes;
mod check;
mod expand;
mod exposed;
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

/// Makes the methods of an impl block callable by name from other machines, Python's included.
///
/// The block stays as it is, and its type becomes an `Exposed` of `spinneret::manager`, which a
/// manager can register under a name. Every function of the block is exposed, whatever its
/// visibility: others belong into an impl block of their own.
///
/// Parameters are found by position or by name and can be of any type that implements serde's
/// `DeserializeOwned`; one that is an `Option` may be left out. The result can be of any type that
/// implements `Serialize`, and may borrow from the object. An `Err` is raised in the caller as an
/// exception: as the one that its type turns into (`impl From<MyError> for Exception`), else as
/// a `RuntimeError` with its `Display` text.
///
/// A plain method runs on a thread for blocking work, where it holds up nobody; an `async` one
/// runs among the manager's own, so that it must not block, and ends when its caller leaves. One
/// that panics raises a `RuntimeError`.
///
/// # Options
/// - `crate = path`: where to find the crate `spinneret`, if it was renamed or re-exported.
///
/// # Errors
/// A block of a trait or of a generic type, functions without `&self` (or with `&mut self`),
/// generic, `unsafe`, `const` or `extern` ones, borrowed or unnamed parameters, and names that
/// Python cannot say or needs for itself are compile errors at the offending token.
#[proc_macro_attribute]
pub fn exposed(options: TokenStream, item: TokenStream) -> TokenStream {
    exposed::expand(options.into(), item.into())
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}
