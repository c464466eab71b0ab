//! Which impl blocks can be exposed, and what to tell the author of one that cannot.

use quote::ToTokens;
use syn::ext::IdentExt;
use syn::visit::{self, Visit};
use syn::{
    Error, FnArg, GenericParam, Generics, Ident, ImplItem, ImplItemFn, ItemImpl, Lifetime, Pat,
    Result, ReturnType, Type, TypeImplTrait, TypeInfer, TypeReference,
};

/// Words of some Python from 2.7 on, which make a method's name a syntax error there. Those that
/// Rust does not allow either are left out.
const WORDS_OF_PYTHON: &[&str] = &[
    "False", "None", "True", "and", "assert", "class", "def", "del", "elif", "except", "exec",
    "finally", "from", "global", "import", "is", "lambda", "nonlocal", "not", "or", "pass",
    "print", "raise", "with", // Words of both, which Rust has as raw identifiers.
    "as", "async", "await", "break", "continue", "else", "for", "if", "in", "return", "try",
    "while", "yield",
];

/// Names that Python's proxies need for themselves.
const NAMES_OF_PROXIES: &[&str] = &[
    "__class__",
    "__deepcopy__",
    "__del__",
    "__delattr__",
    "__dict__",
    "__getattr__",
    "__getattribute__",
    "__init__",
    "__new__",
    "__reduce__",
    "__reduce_ex__",
    "__repr__",
    "__setattr__",
    "__str__",
];

/// Says all that stands against exposing this block, each error at its own token.
pub(super) fn block(block: &ItemImpl) -> Result<()> {
    let mut faults = Faults::default();
    if let Some((_, of, _)) = &block.trait_ {
        faults.add(
            of,
            "#[exposed] goes on an impl block of the type itself: for a trait's methods, write one \
             that calls them",
        );
    }
    if let Some(token) = &block.unsafety {
        faults.add(token, "an exposed impl block cannot be unsafe");
    }
    faults.generics(
        &block.generics,
        "an exposed type cannot be generic: expose a type of its own that holds one",
    );
    for item in &block.items {
        match item {
            ImplItem::Fn(method) => faults.method(method),
            ImplItem::Const(_) => {}
            other => faults.add(other, "an exposed impl block has methods only"),
        }
    }
    faults.error.map_or(Ok(()), Err)
}

/// Names and types of what a checked method takes beside `&self`.
pub(super) fn parameters(method: &ImplItemFn) -> Vec<(String, &Type)> {
    let typed = method.sig.inputs.iter().filter_map(|input| match input {
        FnArg::Typed(typed) => Some(typed),
        FnArg::Receiver(_) => None,
    });
    let named = typed.filter_map(|typed| match &*typed.pat {
        Pat::Ident(pattern) => Some((pattern.ident.unraw().to_string(), &*typed.ty)),
        _ => None,
    });
    named.collect()
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
    fn add(&mut self, at: &impl ToTokens, message: &str) {
        let error = Error::new_spanned(at, message);
        match &mut self.error {
            Some(first) => first.combine(error),
            None => self.error = Some(error),
        }
    }

    fn generics(&mut self, generics: &Generics, message: &str) {
        if !generics.params.is_empty() {
            self.add(&generics.params, message);
        } else if let Some(clause) = &generics.where_clause {
            self.add(clause, message);
        }
    }

    fn method(&mut self, method: &ImplItemFn) {
        let signature = &method.sig;
        if let Some(token) = &signature.constness {
            self.add(token, "an exposed method cannot be a `const fn`: remove `const`");
        }
        if let Some(token) = &signature.unsafety {
            self.add(
                token,
                "an exposed method cannot be unsafe: its callers cannot uphold its contract",
            );
        }
        if let Some(abi) = &signature.abi {
            self.add(abi, "an exposed method cannot be an `extern` function");
        }
        let types_only = signature.generics.params.iter().all(|parameter| {
            // A lifetime of `&'a self` does not stand in the callers' way.
            matches!(parameter, GenericParam::Lifetime(_))
        });
        if !types_only || signature.generics.where_clause.is_some() {
            self.generics(
                &signature.generics,
                "an exposed method cannot be generic: its callers only know its name",
            );
        }
        self.name(&signature.ident);
        self.receiver(method);
        for input in &signature.inputs {
            if let FnArg::Typed(typed) = input {
                match &*typed.pat {
                    Pat::Ident(pattern) if pattern.subpat.is_none() => {
                        self.parameter_name(&pattern.ident);
                    }
                    other => self.add(
                        other,
                        "an exposed method's parameters need names, by which Python can give them",
                    ),
                }
                self.position = Position::Argument;
                self.visit_type(&typed.ty);
            }
        }
        if let ReturnType::Type(_, output) = &signature.output {
            self.position = Position::Result;
            match &**output {
                Type::Never(never) => self.add(never, "an exposed method must return"),
                // A borrowed result is written before the borrow ends.
                Type::Reference(_) => {}
                output => self.visit_type(output),
            }
        }
    }

    fn receiver(&mut self, method: &ImplItemFn) {
        let message = match method.sig.receiver() {
            Some(receiver) if receiver.colon_token.is_some() => "an exposed method takes `&self`",
            Some(receiver) if receiver.reference.is_none() => {
                "an exposed method takes `&self`: the object stays where it is"
            }
            Some(receiver) if receiver.mutability.is_some() => {
                "an exposed method takes `&self`, since several callers may call at once: keep \
                 what changes in a Mutex or an atomic"
            }
            Some(_) => return,
            None => {
                "every function of an exposed impl block is a method that takes `&self`: put \
                 others into an impl block of their own"
            }
        };
        match method.sig.receiver() {
            Some(receiver) => self.add(receiver, message),
            None => self.add(&method.sig.ident, message),
        }
    }

    fn name(&mut self, ident: &Ident) {
        let name = ident.unraw().to_string();
        let dunder = name.len() > 4 && name.starts_with("__") && name.ends_with("__");
        if !self.can_be_said(ident, &name) {
        } else if NAMES_OF_PROXIES.contains(&name.as_str()) {
            self.add(ident, "Python's proxies need this name for themselves: choose another");
        } else if name.starts_with('_') && !dunder {
            self.add(
                ident,
                "in Python a name with a leading underscore is private, and proxies have some of \
                 their own: choose another",
            );
        }
    }

    fn parameter_name(&mut self, ident: &Ident) {
        let name = ident.unraw().to_string();
        // Proxies pass keywords as a dict: any name can be given.
        if !name.is_ascii() {
            self.add(ident, "Python 2.7 has ASCII names only: choose another");
        }
    }

    fn can_be_said(&mut self, ident: &Ident, name: &str) -> bool {
        if WORDS_OF_PYTHON.contains(&name) {
            self.add(ident, "this is a word of Python, which no method can have as its name");
        } else if !name.is_ascii() {
            self.add(ident, "Python 2.7 has ASCII names only: choose another");
        } else {
            return true;
        }
        false
    }
}

impl<'ast> Visit<'ast> for Faults {
    fn visit_type_reference(&mut self, node: &'ast TypeReference) {
        match self.position {
            // No deeper: one error for a reference is enough, whatever lifetimes stand inside.
            Position::Argument => self.add(
                node,
                "an exposed method cannot borrow its arguments, they come over the network: take \
                 an owned type (String for &str, Vec<T> for &[T])",
            ),
            Position::Result => visit::visit_type_reference(self, node),
        }
    }

    fn visit_lifetime(&mut self, node: &'ast Lifetime) {
        if let Position::Argument = self.position {
            self.add(
                node,
                "an exposed method's arguments cannot borrow, they come over the network: use an \
                 owned type",
            );
        }
    }

    fn visit_type_impl_trait(&mut self, node: &'ast TypeImplTrait) {
        // What a method returns is written whatever its type; what it takes is read as one.
        if let Position::Argument = self.position {
            self.add(node, "an exposed method cannot take `impl Trait`: name the type");
        }
    }

    fn visit_type_infer(&mut self, node: &'ast TypeInfer) {
        self.add(node, "an exposed method's types must be written out");
    }
}
