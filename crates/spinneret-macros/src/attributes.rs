//! Where the attributes of a function go when it becomes a task.

use syn::{Attribute, ItemFn};

/// A function's attributes, by where they belong.
pub(crate) struct Attributes {
    /// `cfg`: on everything.
    pub(crate) conditions: Vec<Attribute>,
    /// On the struct.
    pub(crate) documentation: Vec<Attribute>,
    /// `deprecated`: on all that a user can name.
    pub(crate) deprecation: Vec<Attribute>,
    /// Everything else is about the body.
    pub(crate) of_function: Vec<Attribute>,
}

impl Attributes {
    /// Takes them off the function.
    pub(crate) fn take(function: &mut ItemFn) -> Self {
        let mut sorted = Self {
            conditions: vec![],
            documentation: vec![],
            deprecation: vec![],
            of_function: vec![],
        };
        for attribute in function.attrs.drain(..) {
            let place = if attribute.path().is_ident("cfg") {
                &mut sorted.conditions
            } else if attribute.path().is_ident("doc") {
                &mut sorted.documentation
            } else if attribute.path().is_ident("deprecated") {
                &mut sorted.deprecation
            } else {
                &mut sorted.of_function
            };
            place.push(attribute);
        }
        sorted
    }
}
