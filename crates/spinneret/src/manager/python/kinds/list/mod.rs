//! `list`.

mod slices;

use std::sync::Arc;

use parking_lot::Mutex;
use spinneret_pickle::{
    Dialect, Exception, ExceptionKind, Value, ValueRef, View,
    semantics::{self, equal, index},
};

use super::{
    errors::{index_error, memory_error, overflow_error, type_error, value_error},
    iterator::iterate,
    open,
    places::{clamped, place},
    whole,
};
use crate::manager::python::{
    args::Args,
    object::{Answer, Call, Object, Outcome},
    objects::Objects,
};

/// Items that a list gets by being multiplied, at most.
const MOST_ITEMS: usize = 1 << 24;

/// A `list` of Python.
pub(super) struct List {
    items: Mutex<Vec<Value>>,
}

impl List {
    pub fn create(call: Call) -> Result<Self, Exception> {
        let Call { args, objects, dialect, .. } = call;
        let ([], [source]) = args.positional("list")?;
        let items = source.map_or(Ok(Vec::new()), |mut source| {
            open(&mut source, &objects, dialect);
            iterate(source.as_ref(), dialect)
        })?;
        let items = kept(items, &objects).collect();
        Ok(Self { items: Mutex::new(items) })
    }

    fn method(&self, method: &str, call: Call) -> Result<Option<Value>, Exception> {
        let Call { mut args, objects, dialect, .. } = call;
        // Before the lock: the proxy may be this list's own.
        let sliced =
            args.positional.first().is_some_and(|at| matches!(at.view(), View::Slice { .. }));
        if matches!(method, "extend" | "__add__" | "__setslice__")
            || method == "__setitem__" && sliced
        {
            args.positional.iter_mut().for_each(|value| open(value, &objects, dialect));
        }
        let items = &mut *self.items.lock();
        match method {
            "__getitem__" | "__setitem__" | "__delitem__" | "__getslice__" | "__setslice__"
            | "__delslice__" => slices::call(items, method, args, &objects, dialect),
            "append" | "extend" | "insert" | "pop" | "remove" | "reverse" | "sort" | "__imul__" => {
                change(items, method, args, &objects, dialect)
            }
            _ => read(items, method, args, dialect),
        }
    }
}

/// The methods that leave the list as it is; `None` if there is no such.
fn read(
    items: &[Value],
    method: &str,
    args: Args,
    dialect: Dialect,
) -> Result<Option<Value>, Exception> {
    Ok(Some(match method {
        "__len__" => {
            let ([], []) = args.positional(method)?;
            whole(items.len())
        }
        "__contains__" => {
            let ([value], []) = args.positional(method)?;
            Value::bool(find(items, &value).is_some())
        }
        "count" => {
            let ([value], []) = args.positional(method)?;
            let same = items.iter().filter(|item| equal(item.as_ref(), value.as_ref()));
            whole(same.count())
        }
        "index" => {
            let ([value], [from, to]) = args.positional(method)?;
            let bound = |bound: Option<Value>, default: usize| {
                bound.map_or(Ok(default), |bound| {
                    slices::bound(&bound).map(|at| clamped(at, items.len()))
                })
            };
            let (from, to) = (bound(from, 0)?, bound(to, items.len())?);
            let at = find(items.get(from..to).unwrap_or_default(), &value);
            let at = at.ok_or_else(|| {
                let value = semantics::repr(value.as_ref(), dialect);
                value_error(format!("{value} is not in list"))
            })?;
            whole(from + at)
        }
        "__add__" => {
            let ([other], []) = args.positional(method)?;
            let View::List(more) = other.view() else {
                let name = semantics::type_name(other.as_ref(), dialect);
                return Err(type_error(format!(
                    "can only concatenate list (not \"{name}\") to list"
                )));
            };
            Value::list(items.iter().cloned().chain(more.map(ValueRef::to_value)))
        }
        "__mul__" | "__rmul__" => {
            let ([times], []) = args.positional(method)?;
            Value::list(multiplied(items, index(times.as_ref(), dialect)?)?)
        }
        "__reversed__" => {
            let ([], []) = args.positional(method)?;
            reversed(items, dialect)
        }
        _ => return Ok(None),
    }))
}

/// The methods that change the list, but for those with subscripts.
fn change(
    items: &mut Vec<Value>,
    method: &str,
    args: Args,
    objects: &Objects,
    dialect: Dialect,
) -> Result<Option<Value>, Exception> {
    Ok(Some(match method {
        "append" => {
            let ([value], []) = args.positional(method)?;
            items.push(objects.keep(&value));
            Value::none()
        }
        "extend" => {
            let ([source], []) = args.positional(method)?;
            items.extend(kept(iterate(source.as_ref(), dialect)?, objects));
            Value::none()
        }
        "insert" => {
            let ([at, value], []) = args.positional(method)?;
            let at = clamped(count(&at, dialect)?, items.len());
            items.insert(at, objects.keep(&value));
            Value::none()
        }
        "pop" => {
            let ([], [at]) = args.positional(method)?;
            let at = at.map_or(Ok(-1), |at| count(&at, dialect))?;
            if items.is_empty() {
                return Err(index_error("pop from empty list"));
            }
            let at = place(at, items.len()).ok_or_else(|| index_error("pop index out of range"))?;
            items.remove(at)
        }
        "remove" => {
            let ([value], []) = args.positional(method)?;
            let at = find(items, &value);
            let at = at.ok_or_else(|| value_error("list.remove(x): x not in list"))?;
            items.remove(at);
            Value::none()
        }
        "reverse" => {
            let ([], []) = args.positional(method)?;
            items.reverse();
            Value::none()
        }
        "__imul__" => {
            let ([times], []) = args.positional(method)?;
            *items = multiplied(items, index(times.as_ref(), dialect)?)?;
            Value::list(items.iter().cloned())
        }
        "sort" => {
            sort(items, args, dialect)?;
            Value::none()
        }
        _ => return Ok(None),
    }))
}

/// `sort()`, without functions of the client's.
fn sort(items: &mut [Value], args: Args, dialect: Dialect) -> Result<(), Exception> {
    let (required, [key, reverse]) = if dialect.is_python2() {
        let ([], [cmp, key, reverse]) = args.bind("sort", [], ["cmp", "key", "reverse"])?;
        (cmp, [key, reverse])
    } else {
        if let given @ 1.. = args.positional.len() {
            return Err(type_error(format!(
                "sort() takes no positional arguments ({given} given)"
            )));
        }
        let ([], rest) = args.bind("sort", [], ["key", "reverse"])?;
        (None, rest)
    };
    if [required, key].into_iter().flatten().any(|function| !function.is_none()) {
        return Err(type_error(
            "this server runs no code of its clients: sort without a key, or a copy \
                         of the list",
        ));
    }
    let reverse = reverse.is_some_and(|value| semantics::truth(value.as_ref()));
    semantics::sort(items, reverse, dialect)
}

/// An argument of a method that takes an integer of the machine.
fn count(value: &Value, dialect: Dialect) -> Result<i64, Exception> {
    index(value.as_ref(), dialect).map_err(|raised| match raised.kind() {
        ExceptionKind::IndexError => overflow_error("Python int too large to convert to C ssize_t"),
        _ if dialect.is_python2() => type_error("an integer is required"),
        _ => raised,
    })
}

/// Values as they are to be kept.
fn kept(values: Vec<Value>, objects: &Objects) -> impl Iterator<Item = Value> {
    values.into_iter().map(|value| objects.keep(&value))
}

fn find(items: &[Value], value: &Value) -> Option<usize> {
    items.iter().position(|item| equal(item.as_ref(), value.as_ref()))
}

fn multiplied(items: &[Value], times: i64) -> Result<Vec<Value>, Exception> {
    let times = usize::try_from(times).unwrap_or(0);
    match items.len().checked_mul(times) {
        Some(count) if count <= MOST_ITEMS.max(items.len()) => {
            Ok(items.iter().cycle().take(count).cloned().collect())
        }
        _ => Err(memory_error()),
    }
}

/// The iterator that `reversed()` gives, as Python 3 pickles it: over a copy of the list. Python
/// 2.7 cannot pickle such; there it is the reversed list, over which one can loop as well.
fn reversed(items: &[Value], dialect: Dialect) -> Value {
    if dialect.is_python2() {
        return Value::list(items.iter().rev().cloned());
    }
    let copy = Value::list(items.iter().cloned());
    Value::reduce(Value::global("builtins", "reversed"), [copy])
}

impl Object for List {
    fn exposed(&self, dialect: Dialect) -> Vec<&str> {
        if dialect.is_python2() { METHODS2.to_vec() } else { METHODS.to_vec() }
    }

    fn call(self: Arc<Self>, method: &str, call: Call) -> Answer {
        match self.method(method, call) {
            Ok(value) => value.map_or(Outcome::NoSuchMethod, Outcome::Return).into(),
            Err(raised) => Outcome::Raise(raised).into(),
        }
    }

    fn repr(&self, dialect: Dialect) -> String {
        let value = Value::list(self.items.lock().iter().cloned());
        semantics::repr(value.as_ref(), dialect)
    }

    fn value(&self, _dialect: Dialect) -> Option<Value> {
        Some(Value::list(self.items.lock().iter().cloned()))
    }
}

const METHODS: [&str; 19] = [
    "__add__",
    "__contains__",
    "__delitem__",
    "__getitem__",
    "__len__",
    "__mul__",
    "__reversed__",
    "__rmul__",
    "__setitem__",
    "append",
    "count",
    "extend",
    "index",
    "insert",
    "pop",
    "remove",
    "reverse",
    "sort",
    "__imul__",
];

const METHODS2: [&str; 22] = [
    "__add__",
    "__contains__",
    "__delitem__",
    "__delslice__",
    "__getitem__",
    "__getslice__",
    "__len__",
    "__mul__",
    "__reversed__",
    "__rmul__",
    "__setitem__",
    "__setslice__",
    "append",
    "count",
    "extend",
    "index",
    "insert",
    "pop",
    "remove",
    "reverse",
    "sort",
    "__imul__",
];
