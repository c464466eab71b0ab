//! Proxies, as they travel in messages.
//!
//! A proxy is a call of `multiprocessing.managers.RebuildProxy` with its class, a token, the name
//! of the serializer and a `dict`; the token's state is a typeid, an address and an ident.

use std::{collections::HashSet, net::SocketAddr};

use memchr::memmem;
use spinneret_pickle::{Change, Dialect, Global, Value, ValueRef, View};

use super::object::Object;

const MODULE: &str = "multiprocessing.managers";

/// Whether the message may have proxies in it. No proxy can be written without this word.
pub(super) fn mentions_proxies(message: &[u8]) -> bool {
    memmem::find(message, b"RebuildProxy").is_some()
}

/// The ident of what a proxy stands for, if the value is one.
pub(super) fn ident(value: ValueRef<'_>) -> Option<&str> {
    let View::Object(object) = value.view() else {
        return None;
    };
    if !is(object.class()?, "RebuildProxy") {
        return None;
    }
    token_ident(object.args()?.nth(1)?)
}

/// The ident in a token.
pub(super) fn token_ident(token: ValueRef<'_>) -> Option<&str> {
    let View::Object(token) = token.view() else {
        return None;
    };
    if !is(token.class()?, "Token") {
        return None;
    }
    token.state()?.items()?.nth(2)?.as_str()
}

fn is(class: Global<'_>, name: &str) -> bool {
    class.is(MODULE, name)
}

/// The token of an object, from which the client that gets it makes a proxy.
pub(super) fn token(typeid: &str, address: SocketAddr, ident: &str) -> Value {
    let address =
        Value::tuple([Value::native(address.ip().to_string()), Value::int(address.port().into())]);
    let state = Value::tuple([Value::native(typeid), address, Value::native(ident)]);
    Value::object(Value::global(MODULE, "Token"), [], Some(state))
}

/// The names of an object's methods, for its reader to make a proxy with.
pub(super) fn names(object: &dyn Object, dialect: Dialect) -> Value {
    Value::tuple(object.exposed(dialect).into_iter().map(Value::native))
}

/// Whether there is a proxy in the value.
pub(super) fn any(value: ValueRef<'_>) -> bool {
    let mut found = false;
    walk(value, |_| {
        found = true;
        false
    });
    found
}

/// The idents of all proxies in the value, each once.
pub(super) fn idents(value: ValueRef<'_>) -> HashSet<&str> {
    let mut idents = HashSet::new();
    walk(value, |ident| {
        idents.insert(ident);
        true
    });
    idents
}

/// Visits the proxies in a value until `visit` has enough. Does not recurse, and visits what is
/// shared or contains itself once.
fn walk<'a>(value: ValueRef<'a>, mut visit: impl FnMut(&'a str) -> bool) {
    let mut seen = HashSet::new();
    let mut waiting = vec![value];
    while let Some(value) = waiting.pop() {
        match value.view() {
            View::Tuple(items) | View::List(items) | View::Set(items) | View::FrozenSet(items)
                if seen.insert(value.identity()) =>
            {
                waiting.extend(items);
            }
            View::Dict(pairs) if seen.insert(value.identity()) => {
                waiting.extend(pairs.flat_map(|(key, value)| [key, value]));
            }
            View::Object(object) if seen.insert(value.identity()) => {
                if let Some(ident) = ident(value)
                    && !visit(ident)
                {
                    return;
                }
                waiting.extend(object.args().into_iter().flatten());
                for change in object.changes() {
                    match change {
                        Change::Append(items) | Change::Add(items) => waiting.extend(items),
                        Change::SetItems(pairs) => {
                            waiting.extend(pairs.flat_map(|(key, value)| [key, value]));
                        }
                        Change::State(state) => waiting.push(state),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
}
