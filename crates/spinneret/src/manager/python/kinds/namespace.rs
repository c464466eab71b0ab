//! `Namespace`.

use std::sync::Arc;

use parking_lot::Mutex;
use spinneret_pickle::{
    Dialect, Exception, ExceptionKind, Value,
    semantics::{self, Key},
};

use super::{
    errors::{no_attribute, type_error},
    table::Table,
};
use crate::manager::python::{
    args::Args,
    object::{Answer, Call, Object, Outcome},
};

/// Attributes, each a value.
pub(super) struct Namespace {
    attributes: Mutex<Table>,
}

impl Namespace {
    pub fn create(call: Call) -> Result<Self, Exception> {
        let Call { args: Args { positional, keywords }, objects, dialect, .. } = call;
        let ([], []) = Args::new(positional, Vec::new()).bind("Namespace", [], [])?;
        let mut attributes = Table::default();
        attributes.update(None, keywords, &objects, dialect)?;
        Ok(Self { attributes: Mutex::new(attributes) })
    }

    fn method(&self, method: &str, call: Call) -> Result<Option<Value>, Exception> {
        let Call { args, objects, dialect, .. } = call;
        let attributes = &mut *self.attributes.lock();
        Ok(Some(match method {
            "__getattribute__" => {
                let ([name], []) = args.positional(method)?;
                let (name, key) = attribute(&name, dialect)?;
                match attributes.get(&key) {
                    Some(value) => value.clone(),
                    None if name == "__dict__" => attributes.to_value(),
                    None => return Err(no_attribute("Namespace", &name)),
                }
            }
            "__setattr__" => {
                let ([name, value], []) = args.positional(method)?;
                let (_, key) = attribute(&name, dialect)?;
                attributes.insert(key, objects.keep(&value));
                Value::none()
            }
            "__delattr__" => {
                let ([name], []) = args.positional(method)?;
                let (name, key) = attribute(&name, dialect)?;
                attributes.remove(&key).ok_or_else(|| {
                    if dialect.is_python2() {
                        Exception::with_message(ExceptionKind::AttributeError, name)
                    } else {
                        no_attribute("Namespace", &name)
                    }
                })?;
                Value::none()
            }
            _ => return Ok(None),
        }))
    }
}

/// An attribute's name, and as a key.
fn attribute(name: &Value, dialect: Dialect) -> Result<(String, Key), Exception> {
    let Some(text) = name.as_str() else {
        let name = semantics::type_name(name.as_ref(), dialect);
        return Err(type_error(format!("attribute name must be string, not '{name}'")));
    };
    // As every Python's own `str`: names go into `__dict__`.
    Ok((text.to_owned(), Key::new(Value::native(text))?))
}

impl Object for Namespace {
    fn exposed(&self, _dialect: Dialect) -> Vec<&str> {
        vec!["__getattribute__", "__setattr__", "__delattr__"]
    }

    fn call(self: Arc<Self>, method: &str, call: Call) -> Answer {
        match self.method(method, call) {
            Ok(value) => value.map_or(Outcome::NoSuchMethod, Outcome::Return).into(),
            Err(raised) => Outcome::Raise(raised).into(),
        }
    }

    fn repr(&self, dialect: Dialect) -> String {
        let shown = |(name, value): &(Value, Value)| {
            let name = name.as_str().filter(|name| !name.starts_with('_'))?;
            Some(format!("{name}={}", semantics::repr(value.as_ref(), dialect)))
        };
        let mut shown: Vec<String> = self.attributes.lock().iter().filter_map(shown).collect();
        shown.sort();
        format!("Namespace({})", shown.join(", "))
    }

    fn value(&self, _dialect: Dialect) -> Option<Value> {
        let class = Value::global("multiprocessing.managers", "Namespace");
        let attributes = self.attributes.lock();
        let state = (attributes.len() > 0).then(|| attributes.to_value());
        Some(Value::object(class, [], state))
    }
}
