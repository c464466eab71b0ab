//! Which functions can be tasks, and what to tell the author of one that cannot.

use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{
    Error, FnArg, Lifetime, PatType, Result, ReturnType, Signature, Type, TypeImplTrait, TypeInfer,
    TypeReference,
};

/// serde implements its traits for tuples of up to this many members.
const MOST_ARGUMENTS: usize = 16;

/// Returns the arguments of a function that can be a task; otherwise all that stands against it,
/// each error at its own token.
pub(crate) fn arguments(signature: &Signature) -> Result<Vec<&PatType>> {
    let mut faults = Faults::default();
    if let Some(token) = &signature.constness {
        faults.add(token, "a task cannot be a `const fn`: remove `const`");
    }
    if let Some(token) = &signature.unsafety {
        faults.add(
            token,
            "a task cannot be unsafe: whoever runs it by its name cannot uphold its contract",
        );
    }
    if let Some(abi) = &signature.abi {
        faults.add(abi, "a task cannot be an `extern` function: call it from a task instead");
    }
    if let Some(variadic) = &signature.variadic {
        faults.add(variadic, "a task cannot take a variable number of arguments: pass a Vec");
    }
    if !signature.generics.params.is_empty() {
        faults.add(
            &signature.generics.params,
            "a task cannot be generic: another process looks it up by name and must know its types",
        );
    }
    if let Some(clause) = &signature.generics.where_clause {
        faults.add(clause, "a task cannot have a where clause: it cannot be generic");
    }

    let mut arguments = Vec::new();
    for argument in &signature.inputs {
        match argument {
            FnArg::Receiver(receiver) => faults.add(
                receiver,
                "a task cannot be a method: make it a free function and pass the value by argument",
            ),
            FnArg::Typed(argument) => {
                faults.position = Position::Argument;
                faults.visit_type(&argument.ty);
                arguments.push(argument);
            }
        }
    }
    if let Some(extra) = arguments.get(MOST_ARGUMENTS) {
        faults.add(extra, "a task takes at most 16 arguments: put them into a struct");
    }
    if let ReturnType::Type(_, output) = &signature.output {
        faults.position = Position::Result;
        if let Type::Never(never) = &**output {
            faults.add(never, "a task must return: its result is sent back to the caller");
        }
        faults.visit_type(output);
    }

    match faults.error {
        Some(error) => Err(error),
        None => Ok(arguments),
    }
}

#[derive(Clone, Copy, Default)]
enum Position {
    #[default]
    Argument,
    Result,
}

/// Collects faults, so that the author sees all of them at once.
#[derive(Default)]
struct Faults {
    position: Position,
    error: Option<Error>,
}

impl Faults {
    fn add(&mut self, at: &(impl Spanned + quote::ToTokens), message: &str) {
        let error = Error::new_spanned(at, message);
        match &mut self.error {
            Some(first) => first.combine(error),
            None => self.error = Some(error),
        }
    }
}

impl<'ast> Visit<'ast> for Faults {
    fn visit_type_reference(&mut self, node: &'ast TypeReference) {
        // No deeper: one error for a reference is enough, whatever lifetimes stand inside.
        self.add(
            node,
            match self.position {
                Position::Argument => {
                    "a task cannot borrow its arguments, they come from another process: take an \
                     owned type (String for &str, Vec<T> for &[T])"
                }
                Position::Result => {
                    "a task cannot return a reference, its result goes to another process: return \
                     an owned type"
                }
            },
        );
    }

    fn visit_lifetime(&mut self, node: &'ast Lifetime) {
        self.add(
            node,
            "a task's arguments and result cannot borrow, they travel between processes: use an \
             owned type",
        );
    }

    fn visit_type_impl_trait(&mut self, node: &'ast TypeImplTrait) {
        self.add(
            node,
            match self.position {
                Position::Argument => {
                    "a task cannot take `impl Trait`: another process must know the type, name it"
                }
                Position::Result => {
                    "a task cannot return `impl Trait`: another process must know the type, name it"
                }
            },
        );
    }

    fn visit_type_infer(&mut self, node: &'ast TypeInfer) {
        self.add(node, "a task's types must be written out");
    }

    fn visit_type(&mut self, node: &'ast Type) {
        visit::visit_type(self, node);
    }
}
