//! Messages for the fuzz target `python`: a connection that calls whatever there is.

use std::sync::Arc;

use spinneret_pickle::{Dialect, Value};

use super::{Server, args::Args, message, object::Call};

const DIALECTS: [Dialect; 3] = [Dialect::Python2, Dialect::Python3, Dialect::Python38];

/// The dialect that a number stands for.
pub(crate) fn dialect(number: u8) -> Dialect {
    DIALECTS[usize::from(number) % DIALECTS.len()]
}

/// The first message of a connection, after which it calls objects.
pub(crate) fn accept(dialect: Dialect) -> Vec<u8> {
    frame("", "accept_connection", Value::tuple([Value::text("fuzz")]), dialect)
}

/// A call with these arguments, or with none if they are no tuple.
pub(crate) fn request(ident: &str, method: &str, args: Value, dialect: Dialect) -> Vec<u8> {
    frame(ident, method, args, dialect)
}

fn frame(ident: &str, method: &str, args: Value, dialect: Dialect) -> Vec<u8> {
    let ident = if ident.is_empty() { Value::none() } else { Value::text(ident) };
    let request = Value::tuple([ident, Value::text(method), args, Value::dict([])]);
    // What cannot be written for a dialect, its clients cannot ask for.
    message::frame(&request, dialect).unwrap_or_default()
}

impl Server {
    /// One object of each kind: its ident, and the names of its methods.
    pub(crate) fn one_of_each(&self, dialect: Dialect) -> Vec<(String, Vec<String>)> {
        let text = || Value::text("i");
        let numbers = || Value::list([1, 2, 3].map(Value::int));
        let kinds = [
            ("Queue", vec![Value::int(2)]),
            ("JoinableQueue", vec![]),
            ("Event", vec![]),
            ("Lock", vec![]),
            ("RLock", vec![]),
            ("Semaphore", vec![Value::int(2)]),
            ("BoundedSemaphore", vec![]),
            ("Condition", vec![]),
            ("Barrier", vec![Value::int(1)]),
            ("list", vec![numbers()]),
            ("dict", vec![]),
            ("Value", vec![text(), Value::int(7)]),
            ("Array", vec![text(), numbers()]),
            ("Namespace", vec![]),
            ("Iterator", vec![Value::reduce(Value::global("builtins", "iter"), [numbers()])]),
        ];
        let made = kinds.map(|(typeid, args)| {
            let args = Args::new(args, vec![]);
            let call = Call { owner: 1, dialect, args, objects: Arc::clone(&self.objects) };
            let (ident, object) = self.create(typeid, call).unwrap_or_else(|error| {
                unreachable!("{typeid} is made of these arguments: {error:?}")
            });
            let mut methods: Vec<String> =
                object.exposed(dialect).into_iter().map(str::to_owned).collect();
            methods.extend(["__str__", "#GETVALUE", "__next__"].map(str::to_owned));
            (ident.to_string(), methods)
        });
        made.into()
    }
}

/// Reads bytes as a message of Python and writes it for each version; for the fuzz target
/// `messages`.
#[cfg(all(any(test, fuzzing), shared_memory))]
pub(crate) fn read_anything(bytes: bytes::Bytes) {
    use super::{message::Request, objects::Objects};
    use spinneret_pickle::Limits;

    let objects = Objects::new();
    let Ok(value) = objects.read(bytes, &Limits { bytes: 1 << 20, ..Limits::default() }) else {
        return;
    };
    let _ = Request::of(&value);
    let _ = objects.keep(&value);
    for dialect in DIALECTS {
        let _ = message::frame(&value, dialect);
        let _ = objects.referents(&value, dialect);
    }
}
