//! Proxies as values, so that a program can give another what it has made: by a queue, a list, an
//! argument.
//!
//! Such a value is what Python's own proxies are in a pickle: the call that makes one, with the
//! object's token.

use spinneret_pickle::{Creation, Value, ValueRef, View};

use super::{
    proxy::Proxy,
    reference::Reference,
    server::{Server, odd},
    twins::twins,
};
use crate::manager::{client::Client, error::ManagerError};

const MODULE: &str = "multiprocessing.managers";
/// The function that makes proxies.
const REBUILD: &str = "RebuildProxy";

impl Proxy {
    /// The proxy as a value, of which a program of Python that receives it makes a proxy of its
    /// own, and [`Client::received`] does here.
    ///
    /// Keep this proxy until then: the value itself keeps the object only while it is in a manager
    /// of ours, or inside of an object of a server of Python 3. One of Python 2.7 takes the value
    /// for the object itself. Servers of Python know their own proxies by the address, so connect
    /// to exactly the address that they have (`127.0.0.1:5000` and not `localhost:5000`).
    pub fn to_value(&self) -> Value {
        let reference = self.reference();
        let (host, port) = split(reference.server().address());
        let address = Value::tuple([Value::native(host), Value::int(port.into())]);
        let typeid = Value::native(reference.typeid());
        let token = [typeid, address, Value::native(&**reference.ident())];
        let token = Value::object(Value::global(MODULE, "Token"), [], Some(Value::tuple(token)));
        let class = class_of(reference.typeid());
        let exposed = reference.exposed().iter().map(|name| Value::native(name.as_str()));
        let keywords =
            (class == "AutoProxy").then(|| (Value::native("exposed"), Value::tuple(exposed)));
        let args =
            [Value::global(MODULE, class), token, Value::native("pickle"), Value::dict(keywords)];
        Value::reduce(Value::global(MODULE, REBUILD), args)
    }
}

impl Client {
    twins! {
        /// A proxy that came as a value: in an item of a queue, for example, or in what a method
        /// gave. It must be one of this client's manager.
        ///
        /// # Errors
        /// [`ManagerError::Protocol`] if the value is no proxy; a `KeyError` in
        /// [`ManagerError::Remote`] if its object is not there any more.
        received / received_async(self, value: &Value) -> Proxy {
            let token = token(value).ok_or_else(|| odd("the value is no proxy"))?;
            let (typeid, ident) =
                parts(&token).ok_or_else(|| odd("the proxy's token has no ident"))?;
            self.python().refer(&typeid, &ident, token).await.map(Proxy::new)
        }
    }
}

impl Server {
    /// One more reference to an object that is known by its token.
    async fn refer(
        self: &std::sync::Arc<Self>,
        typeid: &str,
        ident: &str,
        token: Value,
    ) -> Result<Reference, ManagerError> {
        self.control("incref", vec![Value::native(ident)], vec![]).await?;
        // From here on the reference is given back whatever happens.
        let mut reference = Reference::new(self, typeid.into(), ident, Value::none().as_ref());
        let methods = self.control("get_methods", vec![token], vec![]).await?;
        reference.expose(methods.as_ref());
        Ok(reference)
    }
}

/// The token of the proxy that a value is.
fn token(value: &Value) -> Option<Value> {
    let View::Object(object) = value.view() else {
        return None;
    };
    let Creation::Call { callable, args } = object.creation() else {
        return None;
    };
    if !callable.as_global()?.is(MODULE, REBUILD) {
        return None;
    }
    args.items()?.get(1).map(ValueRef::to_value)
}

/// Type and ident of a token.
pub(crate) fn parts(token: &Value) -> Option<(String, String)> {
    let View::Object(token) = token.view() else {
        return None;
    };
    // The address between them may be any that the server knows itself by.
    let state: Vec<_> = token.state()?.items()?.collect();
    let [typeid, _, ident] = state.as_slice() else {
        return None;
    };
    Some((typeid.as_str()?.into(), ident.as_str()?.into()))
}

/// Python's class of proxies for a type.
fn class_of(typeid: &str) -> &'static str {
    match typeid {
        "Lock" | "RLock" | "Semaphore" | "BoundedSemaphore" => "AcquirerProxy",
        "Condition" => "ConditionProxy",
        "Event" => "EventProxy",
        "Barrier" => "BarrierProxy",
        "Namespace" => "NamespaceProxy",
        "Value" => "ValueProxy",
        "Array" => "ArrayProxy",
        "list" => "ListProxy",
        "dict" => "DictProxy",
        "Iterator" => "IteratorProxy",
        _ => "AutoProxy",
    }
}

/// Host and port, as Python has them.
fn split(address: &str) -> (&str, u16) {
    let (host, port) = address.rsplit_once(':').unwrap_or((address, ""));
    // It was connected to, so it is a number.
    (host.trim_matches(['[', ']']), port.parse().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_found_in_a_proxy_and_nowhere_else() {
        let state = [Value::native("list"), Value::none(), Value::native("7f")];
        let token_of = |state: &[Value]| {
            let state = Value::tuple(state.iter().cloned());
            Value::object(Value::global(MODULE, "Token"), [], Some(state))
        };
        let proxy_by = |function: &str, token: Value| {
            let class = Value::global(MODULE, "ListProxy");
            Value::reduce(Value::global(MODULE, function), [class, token])
        };
        let found = token(&proxy_by(REBUILD, token_of(&state))).unwrap();
        assert_eq!(parts(&found), Some(("list".into(), "7f".into())));
        assert!(token(&proxy_by("BaseManager", token_of(&state))).is_none());
        for value in [Value::int(1), Value::global(MODULE, REBUILD), token_of(&state)] {
            assert!(token(&value).is_none(), "{value:?}");
        }
        assert_eq!(parts(&token_of(&state[..2])), None);
        assert_eq!(parts(&Value::int(1)), None);
    }

    #[test]
    fn addresses_are_split_as_python_has_them() {
        assert_eq!(split("127.0.0.1:5000"), ("127.0.0.1", 5000));
        assert_eq!(split("[::1]:5000"), ("::1", 5000));
        assert_eq!(split("example.org:80"), ("example.org", 80));
    }
}
