//! Any object of a manager: [`Proxy`].

use std::{fmt, sync::Arc};

use serde::{Serialize, de::DeserializeOwned};
use spinneret_pickle::Value;

use super::{
    flight::Undo,
    reference::Reference,
    server::{Answer, odd},
    twins::twins,
    values::{arguments, from_value},
};
use crate::manager::error::ManagerError;

/// An object that lives in a manager, whose methods are called by name: Python's `AutoProxy`.
///
/// Get one from [`Client::object`](crate::manager::Client::object), and give it a type if it is one
/// of the kinds that have one here: `List::<String>::from(proxy)`. The object lives at least as
/// long as the proxy and its clones.
///
/// Arguments are a tuple in the order of the method's parameters (`()` for none, `(x,)` for one),
/// or a struct or map that names them. Arguments and results are of any types that serde can write
/// and read.
///
/// Calls of one proxy may be made at once; each takes a connection of its own meanwhile. An async
/// call whose future is dropped may have been done all the same.
#[derive(Clone)]
pub struct Proxy {
    reference: Arc<Reference>,
}

impl Proxy {
    pub(crate) fn new(reference: Reference) -> Self {
        Self { reference: Arc::new(reference) }
    }

    /// The name of its type in the server, such as `list`, or the one it is registered under.
    pub fn typeid(&self) -> &str {
        self.reference.typeid()
    }

    /// What names it in the server. Another object may have it once the last proxy is gone.
    pub fn ident(&self) -> &str {
        self.reference.ident()
    }

    /// The methods that the server says it has. Python's own kinds of objects may have others.
    pub fn methods(&self) -> impl Iterator<Item = &str> {
        self.reference.exposed().iter().map(String::as_str)
    }

    twins! {
        /// Calls a method.
        ///
        /// # Errors
        /// [`ManagerError::Remote`] with what the method raised; others if the arguments cannot be
        /// written, the result is no `R`, or the server cannot be asked.
        call / call_async[R: DeserializeOwned](self, method: &str, args: impl Serialize) -> R {
            let (positional, keywords) = arguments(&args)?;
            from_value(method, &self.call_value_async(method, positional, keywords).await?)
        }

        /// Calls a method that gives another object: in Python one with a `method_to_typeid`.
        ///
        /// # Errors
        /// As [`call`](Self::call), and if it gives a plain value.
        call_object / call_object_async(self, method: &str, args: impl Serialize) -> Proxy {
            let (positional, keywords) = arguments(&args)?;
            match self.answer(method, positional, keywords, None).await? {
                Answer::Object(reference) => Ok(Proxy::new(reference)),
                Answer::Value(_) => Err(odd("it gave a value where an object was asked for")),
            }
        }

        /// Calls a method with values of Python: for what has no counterpart in Rust, like objects
        /// of a class that only Python programs know.
        ///
        /// # Errors
        /// As [`call`](Self::call).
        call_value / call_value_async(
            self, method: &str, positional: Vec<Value>, keywords: Vec<(String, Value)>
        ) -> Value {
            match self.answer(method, positional, keywords, None).await? {
                Answer::Value(value) => Ok(value),
                Answer::Object(_) => Err(odd("it gave an object: call it with `call_object`")),
            }
        }

        /// The object as text, by its `repr`.
        ///
        /// # Errors
        /// If the server cannot be asked.
        repr / repr_async(self) -> String {
            self.ask("__repr__", vec![]).await.and_then(|text| from_value("__repr__", &text))
        }
    }

    pub(crate) fn reference(&self) -> &Reference {
        &self.reference
    }

    /// Calls a method that gives a value.
    pub(crate) async fn ask(&self, method: &str, args: Vec<Value>) -> Result<Value, ManagerError> {
        self.call_value_async(method, args, vec![]).await
    }

    /// Calls a method whose result is taken from somewhere, and has to go back if nobody takes it.
    pub(crate) async fn take(
        &self,
        method: &str,
        args: Vec<Value>,
        undo: Undo,
    ) -> Result<Value, ManagerError> {
        match self.answer(method, args, vec![], Some(undo)).await? {
            Answer::Value(value) => Ok(value),
            Answer::Object(_) => Err(odd("it gave an object where a value belongs")),
        }
    }

    /// The object itself, as a copy.
    pub(crate) async fn value(&self) -> Result<Value, ManagerError> {
        self.ask("#GETVALUE", vec![]).await
    }

    async fn answer(
        &self,
        method: &str,
        args: Vec<Value>,
        keywords: Vec<(String, Value)>,
        undo: Option<Undo>,
    ) -> Result<Answer, ManagerError> {
        let reference = &self.reference;
        reference.server().call(reference.ident(), method, args, keywords, undo).await
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy")
            .field("typeid", &self.typeid())
            .field("ident", &self.ident())
            .finish_non_exhaustive()
    }
}

/// What the types of proxies for one kind of objects have in common: how to make one of any proxy
/// and the other way round, clones, a name for debugging. Types with parameters have a field `items`
/// for them.
macro_rules! kind {
    ($name:ident $(<$($item:ident),+>)?) => {
        impl $(<$($item),+>)? $name $(<$($item),+>)? {
            /// The object as one whose methods are called by name.
            pub fn as_proxy(&self) -> &$crate::manager::proxy::Proxy {
                &self.proxy
            }
        }

        /// Does not ask the server: if it is an object of another kind, the first use says so.
        impl $(<$($item),+>)? From<$crate::manager::proxy::Proxy> for $name $(<$($item),+>)? {
            fn from(proxy: $crate::manager::proxy::Proxy) -> Self {
                Self { proxy $(, items: std::marker::PhantomData::<fn() -> ($($item,)+)>)? }
            }
        }

        impl $(<$($item),+>)? Clone for $name $(<$($item),+>)? {
            fn clone(&self) -> Self {
                self.proxy.clone().into()
            }
        }

        impl $(<$($item),+>)? std::fmt::Debug for $name $(<$($item),+>)? {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($name))
                    .field("ident", &self.proxy.ident())
                    .finish_non_exhaustive()
            }
        }
    };
}

pub(super) use kind;
