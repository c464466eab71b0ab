//! Rust's values as Python's, and back.

use std::{any::type_name, time::Duration};

use serde::{Serialize, de::DeserializeOwned};
use spinneret_pickle::{Dialect, Limits, Value, ValueRef, View};

use crate::{manager::error::ManagerError, process::attachment};

/// A value as Python's.
pub(crate) fn to_value<T: Serialize + ?Sized>(value: &T) -> Result<Value, ManagerError> {
    let (written, refusal) =
        attachment::refusing(|| spinneret_pickle::to_bytes(value, Dialect::Python38));
    let unencodable = |reason: String| match refusal {
        Some(_) => ManagerError::NotSendableOverNetwork { what: type_name::<T>() },
        None => ManagerError::Unencodable { type_name: type_name::<T>(), reason },
    };
    let pickle = written.map_err(|error| unencodable(error.to_string()))?;
    Value::read(&pickle.into(), &Limits::default()).map_err(|error| unencodable(error.to_string()))
}

/// Several values as Python's.
pub(crate) fn to_values<'a, T: Serialize + 'a>(
    values: impl IntoIterator<Item = &'a T>,
) -> Result<Vec<Value>, ManagerError> {
    values.into_iter().map(to_value).collect()
}

/// What `method` gave, as a `T`.
pub(crate) fn from_value<T: DeserializeOwned>(
    method: &str,
    value: &Value,
) -> Result<T, ManagerError> {
    spinneret_pickle::from_value(value).map_err(|error| ManagerError::UndecodableValue {
        name: method.into(),
        // What was read can be written, if there is the memory.
        bytes: value.write(Dialect::Python38).unwrap_or_default().into(),
        type_name: type_name::<T>(),
        reason: error.to_string(),
    })
}

/// Positional and keyword arguments.
pub(crate) type Arguments = (Vec<Value>, Vec<(String, Value)>);

/// The arguments that a value stands for: in order those of a tuple or sequence, by name those of
/// a struct or map, none of `()`.
pub(crate) fn arguments<A: Serialize>(args: &A) -> Result<Arguments, ManagerError> {
    let value = to_value(args)?;
    match value.view() {
        View::None => Ok((vec![], vec![])),
        View::Tuple(items) | View::List(items) => {
            Ok((items.map(ValueRef::to_value).collect(), vec![]))
        }
        View::Dict(pairs) => {
            let mut keywords = Vec::new();
            for (name, value) in pairs {
                let Some(name) = name.as_str() else {
                    return Err(no_arguments::<A>());
                };
                keywords.push((name.to_owned(), value.to_value()));
            }
            Ok((vec![], keywords))
        }
        _ => Err(no_arguments::<A>()),
    }
}

fn no_arguments<A>() -> ManagerError {
    let reason = "arguments are a tuple, of one `(x,)`, or by name a struct or a map";
    ManagerError::Unencodable { type_name: type_name::<A>(), reason: reason.into() }
}

/// A time as Python has it, in seconds; `None` is for ever.
pub(crate) fn seconds(time: Option<Duration>) -> Value {
    // What is longer than this, the calls of some systems take for an error.
    const LONGEST: f64 = 3e8;
    time.map_or_else(Value::none, |time| Value::float(time.as_secs_f64().min(LONGEST)))
}

/// A length or count as Python has it.
pub(crate) fn count(number: usize) -> Value {
    Value::int(i64::try_from(number).unwrap_or(i64::MAX))
}
