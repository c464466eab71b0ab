//! Timeouts as Python's methods take them.

use std::time::{Duration, Instant};

use spinneret_pickle::{Dialect, Exception, Value, View, semantics};

use super::errors::{overflow_error, type_error, value_error};

/// The longest timeout of Python's locks, in seconds.
const LONGEST: f64 = 9_223_372_036.0;

/// How long a caller waits for its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    /// Not at all.
    None,
    /// Until then; `None` is for ever.
    Until(Option<Instant>),
}

impl Patience {
    /// As `threading.Lock` takes its arguments, for which -1 is for ever.
    pub fn of_lock(
        blocking: Option<&Value>,
        timeout: Option<&Value>,
        dialect: Dialect,
    ) -> Result<Self, Exception> {
        let blocking = blocking.is_none_or(|value| semantics::truth(value.as_ref()));
        let timeout = timeout.map_or(Ok(-1.0), |value| seconds(value, dialect))?;
        let for_ever = (timeout + 1.0).abs() < f64::EPSILON;
        match (blocking, for_ever) {
            (false, true) => Ok(Self::None),
            (false, false) => Err(value_error("can't specify a timeout for a non-blocking call")),
            (true, true) => Ok(Self::Until(None)),
            (true, false) if timeout < 0.0 => {
                Err(value_error("timeout value must be a non-negative number"))
            }
            (true, false) if timeout > LONGEST => Err(overflow_error("timeout value is too large")),
            (true, false) => Ok(Self::Until(after(timeout))),
        }
    }

    /// As `threading.Semaphore` takes its arguments, where no timeout is `None` and a negative one
    /// is over at once.
    pub fn of_semaphore(
        blocking: Option<&Value>,
        timeout: Option<&Value>,
        dialect: Dialect,
    ) -> Result<Self, Exception> {
        let blocking = blocking.is_none_or(|value| semantics::truth(value.as_ref()));
        match timeout.filter(|timeout| !timeout.is_none()) {
            None if blocking => Ok(Self::Until(None)),
            None => Ok(Self::None),
            Some(_) if !blocking => {
                Err(value_error("can't specify timeout for non-blocking acquire"))
            }
            Some(timeout) => deadline(Some(timeout), dialect).map(Self::Until),
        }
    }
}

/// The end of a timeout that may be `None`, which is none.
pub(super) fn deadline(
    timeout: Option<&Value>,
    dialect: Dialect,
) -> Result<Option<Instant>, Exception> {
    match timeout.filter(|timeout| !timeout.is_none()) {
        None => Ok(None),
        Some(timeout) => seconds(timeout, dialect).map(after),
    }
}

/// A number of seconds.
pub(super) fn seconds(value: &Value, dialect: Dialect) -> Result<f64, Exception> {
    match (value.view(), value.as_f64()) {
        (View::Float(_) | View::Int(_) | View::Bool(_), Some(seconds)) if seconds.is_nan() => {
            Err(value_error("Invalid value NaN (not a number)"))
        }
        (View::Float(_) | View::Int(_) | View::Bool(_), Some(seconds)) => Ok(seconds),
        _ => {
            let name = semantics::type_name(value.as_ref(), dialect);
            Err(type_error(format!("'{name}' object cannot be interpreted as an integer")))
        }
    }
}

/// So many seconds from now; never, if that is further than time goes.
pub(super) fn after(seconds: f64) -> Option<Instant> {
    let duration = Duration::try_from_secs_f64(seconds.max(0.0)).ok()?;
    // By tokio's clock, which tests can stop.
    tokio::time::Instant::now().into_std().checked_add(duration)
}
