//! `dict`.

use std::sync::Arc;

use parking_lot::Mutex;
use spinneret_pickle::{
    Dialect, Exception, ExceptionKind, Value,
    semantics::{self, Key},
};

use super::{errors::key_error, iterator::KeyIterator, open, table::Table, whole};
use crate::manager::python::object::{Answer, Call, Object, Outcome};

/// A `dict` of Python, in the order of insertion.
pub(super) struct Dict {
    table: Mutex<Table>,
}

impl Dict {
    pub fn create(call: Call) -> Result<Self, Exception> {
        let dict = Self { table: Mutex::default() };
        dict.update("dict", call)?;
        Ok(dict)
    }

    pub fn len(&self) -> usize {
        self.table.lock().len()
    }

    /// How many keys there are, and the first one behind a place, see [`Table::key_behind`].
    pub fn look_behind(&self, place: u64) -> (usize, Option<(u64, Value)>) {
        let table = self.table.lock();
        let next = table.key_behind(place).map(|(place, key)| (place, key.clone()));
        (table.len(), next)
    }

    /// The methods that need nothing but the table; `None` if there is no such.
    fn method(&self, method: &str, call: Call) -> Result<Option<Value>, Exception> {
        let Call { args, objects, .. } = call;
        let table = &mut *self.table.lock();
        Ok(Some(match method {
            "__contains__" | "has_key" => {
                let ([key], []) = args.positional(method)?;
                Value::bool(table.contains(&Key::new(key)?))
            }
            "__delitem__" => {
                let ([key], []) = args.positional(method)?;
                let key = Key::new(key)?;
                table.remove(&key).ok_or_else(|| key_error(key.value().clone()))?;
                Value::none()
            }
            "__getitem__" => {
                let ([key], []) = args.positional(method)?;
                table.item(key)?
            }
            "__setitem__" => {
                let ([key, value], []) = args.positional(method)?;
                table.insert(Key::new(objects.keep(&key))?, objects.keep(&value));
                Value::none()
            }
            "__len__" => {
                let ([], []) = args.positional(method)?;
                whole(table.len())
            }
            "clear" => {
                let ([], []) = args.positional(method)?;
                table.clear();
                Value::none()
            }
            "copy" => {
                let ([], []) = args.positional(method)?;
                table.to_value()
            }
            "get" => {
                let ([key], [default]) = args.positional(method)?;
                let value = table.get(&Key::new(key)?).cloned();
                value.or(default).unwrap_or_else(Value::none)
            }
            "setdefault" => {
                let ([key], [default]) = args.positional(method)?;
                let key = Key::new(key)?;
                if let Some(value) = table.get(&key) {
                    return Ok(Some(value.clone()));
                }
                let default = default.unwrap_or_else(Value::none);
                table.insert(Key::new(objects.keep(key.value()))?, objects.keep(&default));
                default
            }
            "pop" => {
                let ([key], [default]) = args.positional(method)?;
                let key = Key::new(key)?;
                let value = table.remove(&key).or(default);
                value.ok_or_else(|| key_error(key.value().clone()))?
            }
            "popitem" => {
                let ([], []) = args.positional(method)?;
                let (key, value) = table.pop().ok_or_else(|| {
                    let text = "popitem(): dictionary is empty";
                    Exception::with_message(ExceptionKind::KeyError, text)
                })?;
                Value::tuple([key, value])
            }
            "items" => {
                let ([], []) = args.positional(method)?;
                let pair =
                    |(key, value): &(Value, Value)| Value::tuple([key.clone(), value.clone()]);
                Value::list(table.iter().map(pair))
            }
            "keys" => {
                let ([], []) = args.positional(method)?;
                Value::list(table.iter().map(|(key, _)| key.clone()))
            }
            "values" => {
                let ([], []) = args.positional(method)?;
                Value::list(table.iter().map(|(_, value)| value.clone()))
            }
            _ => return Ok(None),
        }))
    }

    fn update(&self, method: &str, call: Call) -> Result<Value, Exception> {
        let Call { mut args, objects, dialect, .. } = call;
        let keywords = std::mem::take(&mut args.keywords);
        let ([], [mut source]) = args.positional(method)?;
        if let Some(source) = &mut source {
            // Before the lock: the proxy may be this dict's own.
            open(source, &objects, dialect);
        }
        self.table.lock().update(source.as_ref(), keywords, &objects, dialect)?;
        Ok(Value::none())
    }
}

impl Object for Dict {
    fn exposed(&self, dialect: Dialect) -> Vec<&str> {
        let mut names = METHODS.to_vec();
        if dialect.is_python2() {
            names.insert(9, "has_key");
        }
        names
    }

    fn call(self: Arc<Self>, method: &str, call: Call) -> Answer {
        match method {
            "update" => self.update(method, call).into(),
            "__iter__" => {
                let bound = call.args.positional(method);
                let proxy = |([], []): ([Value; 0], [Option<Value>; 0])| Outcome::Proxy {
                    typeid: "Iterator",
                    object: Arc::new(KeyIterator::new(self)),
                };
                bound.map_or_else(Outcome::Raise, proxy).into()
            }
            _ => match self.method(method, call) {
                Ok(value) => value.map_or(Outcome::NoSuchMethod, Outcome::Return).into(),
                Err(raised) => Outcome::Raise(raised).into(),
            },
        }
    }

    fn repr(&self, dialect: Dialect) -> String {
        let value = self.table.lock().to_value();
        semantics::repr(value.as_ref(), dialect)
    }

    fn value(&self, _dialect: Dialect) -> Option<Value> {
        Some(self.table.lock().to_value())
    }
}

const METHODS: [&str; 17] = [
    "__contains__",
    "__delitem__",
    "__getitem__",
    "__iter__",
    "__len__",
    "__setitem__",
    "clear",
    "copy",
    "get",
    "items",
    "keys",
    "pop",
    "popitem",
    "setdefault",
    "update",
    "values",
    // Once more, as it has a typeid of its own.
    "__iter__",
];
