//! `Array`.

use std::sync::Arc;

use parking_lot::Mutex;
use spinneret_pickle::{
    Array as ArrayView, ArrayData, Dialect, Exception, ExceptionKind, Value, View,
    semantics::{self, index},
};

use super::{
    elements::Element,
    errors::{index_error, type_error, value_error},
    iterator::iterate,
    open, places, whole,
};
use crate::manager::python::{
    args::Args,
    object::{Answer, Call, Object, Outcome},
};

/// An `array.array` of Python: numbers of one type, or characters.
pub(super) struct Array {
    element: Element,
    /// Each as the element would give it.
    items: Mutex<Vec<Value>>,
}

impl Array {
    pub fn create(call: Call) -> Result<Self, Exception> {
        let Call { args, objects, dialect, .. } = call;
        let ([typecode, mut source], [_lock]) =
            args.bind("Array", ["typecode", "sequence"], ["lock"])?;
        let element = Element::of(&typecode, dialect)?;
        open(&mut source, &objects, dialect);
        let items = initial(element, &source, dialect)?;
        Ok(Self { element, items: Mutex::new(items) })
    }

    fn method(
        &self,
        method: &str,
        args: Args,
        dialect: Dialect,
    ) -> Result<Option<Value>, Exception> {
        let items = &mut *self.items.lock();
        let length = items.len();
        let plain = |from: &Value, to: &Value| {
            semantics::slice([from.as_ref(), to.as_ref(), Value::none().as_ref()], length)
        };
        Ok(Some(match method {
            "__len__" => {
                let ([], []) = args.positional(method)?;
                whole(length)
            }
            "__getitem__" => {
                let ([at], []) = args.positional(method)?;
                if let View::Slice { start, stop, step } = at.view() {
                    let span = semantics::slice([start, stop, step], length)?;
                    self.part(span.places().map(|place| &items[place]), dialect)
                } else {
                    items[place(&at, length, "array index out of range", dialect)?].clone()
                }
            }
            "__setitem__" => {
                let ([at, value], []) = args.positional(method)?;
                if let View::Slice { start, stop, step } = at.view() {
                    let span = semantics::slice([start, stop, step], length)?;
                    self.assign(items, span, &value, dialect)?;
                } else {
                    let text = "array assignment index out of range";
                    let place = place(&at, length, text, dialect)?;
                    items[place] = self.element.convert(&value, dialect)?;
                }
                Value::none()
            }
            "__getslice__" => {
                let ([from, to], []) = args.positional(method)?;
                let span = plain(&from, &to)?;
                self.part(span.places().map(|place| &items[place]), dialect)
            }
            "__setslice__" => {
                let ([from, to, value], []) = args.positional(method)?;
                let span = plain(&from, &to)?;
                self.assign(items, span, &value, dialect)?;
                Value::none()
            }
            _ => return Ok(None),
        }))
    }

    /// Elements as an array of their own.
    fn part<'a>(&self, items: impl Iterator<Item = &'a Value>, dialect: Dialect) -> Value {
        let class = Value::global("array", "array");
        let data = if dialect.is_python2() {
            Value::list(items.cloned())
        } else {
            Value::bytes(self.element.encode(items))
        };
        Value::reduce(class, [Value::native(self.element.typecode()), data])
    }

    fn assign(
        &self,
        items: &mut Vec<Value>,
        span: semantics::Span,
        value: &Value,
        dialect: Dialect,
    ) -> Result<(), Exception> {
        let View::Array(array) = value.view() else {
            let name = semantics::type_name(value.as_ref(), dialect);
            return Err(type_error(format!(
                "can only assign array (not \"{name}\") to array slice"
            )));
        };
        if array.typecode != self.element.typecode() {
            return Err(type_error("bad argument type for built-in operation"));
        }
        let values = decoded(&array)?;
        if span.step == 1 {
            items.splice(span.start..span.start + span.count, values);
            return Ok(());
        }
        if values.len() != span.count {
            let (given, count) = (values.len(), span.count);
            return Err(value_error(format!(
                "attempt to assign array of size {given} to extended slice of size {count}"
            )));
        }
        for (place, value) in span.places().zip(values) {
            items[place] = value;
        }
        Ok(())
    }
}

/// What an array is made of at first.
fn initial(element: Element, source: &Value, dialect: Dialect) -> Result<Vec<Value>, Exception> {
    let typecode = element.typecode();
    let raw = match source.view() {
        View::Text(_) if !element.is_text() && !dialect.is_python2() => {
            return Err(type_error(format!(
                "cannot use a str to initialize an array with typecode '{typecode}'"
            )));
        }
        View::Str2(bytes) if dialect.is_python2() => Some(bytes.to_vec()),
        View::Bytes(bytes) | View::ByteArray(bytes) => Some(bytes.into_owned()),
        View::Str2(bytes) if !bytes.is_ascii() => Some(bytes.to_vec()),
        _ => None,
    };
    match raw {
        Some(bytes) => {
            let data = ArrayData::Native(&bytes);
            semantics::array_items(&ArrayView { typecode, data }).ok_or_else(|| {
                let kind = if dialect.is_python2() { "string" } else { "bytes" };
                value_error(format!("{kind} length not a multiple of item size"))
            })
        }
        None => iterate(source.as_ref(), dialect)?
            .iter()
            .map(|item| element.convert(item, dialect))
            .collect(),
    }
}

fn decoded(array: &ArrayView<'_>) -> Result<Vec<Value>, Exception> {
    semantics::array_items(array).ok_or_else(|| value_error("the array is damaged"))
}

fn place(at: &Value, length: usize, text: &str, dialect: Dialect) -> Result<usize, Exception> {
    let index = index(at.as_ref(), dialect).map_err(|raised| match raised.kind() {
        ExceptionKind::IndexError => raised,
        _ => type_error("array indices must be integers"),
    })?;
    places::place(index, length).ok_or_else(|| index_error(text))
}

impl Object for Array {
    fn exposed(&self, dialect: Dialect) -> Vec<&str> {
        if dialect.is_python2() {
            vec!["__len__", "__getitem__", "__setitem__", "__getslice__", "__setslice__"]
        } else {
            vec!["__len__", "__getitem__", "__setitem__"]
        }
    }

    fn call(self: Arc<Self>, method: &str, call: Call) -> Answer {
        match self.method(method, call.args, call.dialect) {
            Ok(value) => value.map_or(Outcome::NoSuchMethod, Outcome::Return).into(),
            Err(raised) => Outcome::Raise(raised).into(),
        }
    }

    fn repr(&self, dialect: Dialect) -> String {
        let value = self.part(self.items.lock().iter(), dialect);
        semantics::repr(value.as_ref(), dialect)
    }

    fn value(&self, dialect: Dialect) -> Option<Value> {
        Some(self.part(self.items.lock().iter(), dialect))
    }
}
