//! `Value`.

use std::sync::Arc;

use parking_lot::Mutex;
use spinneret_pickle::{Dialect, Exception, Value, semantics};

use crate::manager::python::object::{Answer, Call, Object, Outcome};

/// A box with one value. Its typecode is only remembered, as in Python.
pub(super) struct Boxed {
    typecode: Value,
    value: Mutex<Value>,
}

impl Boxed {
    pub fn create(call: Call) -> Result<Self, Exception> {
        let Call { args, objects, .. } = call;
        let ([typecode, value], [_lock]) = args.bind("Value", ["typecode", "value"], ["lock"])?;
        let (typecode, value) = (objects.keep(&typecode), objects.keep(&value));
        Ok(Self { typecode, value: Mutex::new(value) })
    }
}

impl Object for Boxed {
    fn exposed(&self, _dialect: Dialect) -> Vec<&str> {
        vec!["get", "set"]
    }

    fn call(self: Arc<Self>, method: &str, call: Call) -> Answer {
        match method {
            "get" => {
                let bound = call.args.bind(method, [], []);
                bound.map(|([], [])| self.value.lock().clone()).into()
            }
            "set" => {
                let bound = call.args.bind(method, ["value"], []);
                let set = bound.map(|([value], [])| {
                    *self.value.lock() = call.objects.keep(&value);
                    Value::none()
                });
                set.into()
            }
            _ => Outcome::NoSuchMethod.into(),
        }
    }

    fn repr(&self, dialect: Dialect) -> String {
        let value = self.value.lock().clone();
        let [typecode, value] =
            [&self.typecode, &value].map(|value| semantics::repr(value.as_ref(), dialect));
        format!("Value({typecode}, {value})")
    }

    fn value(&self, _dialect: Dialect) -> Option<Value> {
        let class = Value::global("multiprocessing.managers", "Value");
        let state = Value::dict([
            (Value::native("_typecode"), self.typecode.clone()),
            (Value::native("_value"), self.value.lock().clone()),
        ]);
        Some(Value::object(class, [], Some(state)))
    }
}
