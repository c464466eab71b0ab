//! Requests and replies, as Python's managers write them.

use spinneret_pickle::{Dialect, Exception, Items, Value, ValueRef, View, WriteError};

use super::{args::Args, objects::NoValue};

/// What a client asks for: a pickle of `(ident, method, args, kwds)`.
pub(super) struct Request<'a> {
    /// Empty if it is none, as in a request to the server itself.
    pub ident: &'a str,
    pub method: &'a str,
    pub args: Args,
}

impl<'a> Request<'a> {
    /// The request that the value is, or what is wrong with it.
    pub fn of(value: &'a Value) -> Result<Self, &'static str> {
        let parts: Option<[_; 4]> = value.items().and_then(|items| collect(items));
        let Some([ident, method, args, keywords]) = parts else {
            return Err("TypeError: a request has an ident, a method, arguments and keywords");
        };
        let method = method.as_str().ok_or("TypeError: a method's name is a string")?;
        let positional = args.items().ok_or("TypeError: arguments are a tuple")?;
        let View::Dict(keywords) = keywords.view() else {
            return Err("TypeError: keywords are a dict");
        };
        let named =
            keywords.map(|(name, value)| Some((name.as_str()?.to_owned(), value.to_value())));
        let keywords: Option<Vec<_>> = named.collect();
        Ok(Self {
            ident: ident.as_str().unwrap_or_default(),
            method,
            args: Args::new(
                positional.map(ValueRef::to_value).collect(),
                keywords.ok_or("TypeError: keywords are strings")?,
            ),
        })
    }
}

/// The items, if there are exactly that many.
fn collect<const N: usize>(mut items: Items<'_>) -> Option<[ValueRef<'_>; N]> {
    let first = items.clone().next()?;
    if items.len() != N {
        return None;
    }
    Some(std::array::from_fn(|_| items.next().unwrap_or(first)))
}

/// What a reply says.
#[derive(Clone, Debug)]
pub(super) enum Reply {
    Return(Value),
    Error(Exception),
    /// The call could not be made: something for people to read.
    Traceback(String),
    /// There is a result, but this client cannot be given it; why.
    Unserializable(String),
    /// A new object: what a proxy for it is made of.
    Proxy(Value),
}

impl Reply {
    pub fn none() -> Self {
        Self::Return(Value::none())
    }

    /// A traceback without the server's stack, which says nothing to the client: only what went
    /// wrong, in the form in which Python ends one.
    pub fn traceback(error: impl std::fmt::Display) -> Self {
        Self::Traceback(format!("Traceback (most recent call last):\n{error}\n"))
    }

    /// What Python says that does not find a name.
    pub fn key_error(key: &str) -> Self {
        Self::traceback(format_args!("KeyError: '{}'", key.escape_debug()))
    }

    /// The reply as a pickle that such a client reads.
    pub fn to_value(&self) -> Value {
        let (kind, result) = match self {
            Self::Return(value) => ("#RETURN", value.clone()),
            Self::Error(exception) => ("#ERROR", exception.to_value()),
            Self::Traceback(text) => ("#TRACEBACK", Value::native(text.as_str())),
            Self::Unserializable(text) => ("#UNSERIALIZABLE", Value::native(text.as_str())),
            Self::Proxy(value) => ("#PROXY", value.clone()),
        };
        Value::tuple([Value::native(kind), result])
    }
}

/// Why a value does not reach a client.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unsendable {
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error(transparent)]
    NoValue(#[from] NoValue),
    #[error("it has {0} bytes, and {1} reads messages of at most 2147483647")]
    TooLong(usize, Dialect),
}

/// A message with its length before it, to be written at once.
pub(super) fn frame(value: &Value, dialect: Dialect) -> Result<Vec<u8>, Unsendable> {
    let mut frame = vec![0; 4];
    value.write_to(&mut frame, dialect)?;
    let length = frame.len() - 4;
    if let Ok(short) = i32::try_from(length) {
        frame[..4].copy_from_slice(&short.to_be_bytes());
    } else if dialect == Dialect::Python38 {
        let head = [&[0xff; 4][..], &(length as u64).to_be_bytes()].concat();
        frame.splice(..4, head);
    } else {
        return Err(Unsendable::TooLong(length, dialect));
    }
    Ok(frame)
}
