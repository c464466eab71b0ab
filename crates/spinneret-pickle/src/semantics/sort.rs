//! `list.sort()`.

use std::{collections::VecDeque, mem};

use super::less;
use crate::{Dialect, Exception, Value};

/// So many values are one run, and in larger lists a run has at least half as many: shorter ones are
/// made longer by insertion.
const SHORT: usize = 63;

/// Sorts values stably, after the idea of Tim Peters' sort: what is sorted already is kept as runs,
/// which are merged. Fewer than 64 values are compared in the same order as in Python up to 3.12, so that for
/// those without an order the same pair is complained about.
///
/// # Errors
/// Those of [`less`]. The values are then in some order, none is lost.
pub fn sort(values: &mut [Value], reverse: bool, dialect: Dialect) -> Result<(), Exception> {
    let less = |one: &Value, other: &Value| less(one.as_ref(), other.as_ref(), dialect);
    // Turned before and after, equal values keep their order.
    if reverse {
        values.reverse();
    }
    let sorted = sort_up(values, &less);
    if reverse {
        values.reverse();
    }
    sorted
}

fn sort_up(
    values: &mut [Value],
    less: &impl Fn(&Value, &Value) -> Result<bool, Exception>,
) -> Result<(), Exception> {
    let short = if values.len() <= SHORT { SHORT } else { SHORT / 2 + 1 };
    let mut runs = VecDeque::new();
    let mut start = 0;
    while start < values.len() {
        let rest = &mut values[start..];
        let sorted = first_run(rest, less)?;
        let run = sorted.max(short.min(rest.len()));
        insert(&mut rest[..run], sorted, less)?;
        runs.push_back((start, run));
        start += run;
    }
    // Neighbours together, round after round.
    let mut merged = VecDeque::new();
    while runs.len() > 1 {
        while let Some((start, one)) = runs.pop_front() {
            let other = runs.pop_front().map_or(0, |(_, other)| other);
            merge(&mut values[start..start + one + other], one, less)?;
            merged.push_back((start, one + other));
        }
        mem::swap(&mut runs, &mut merged);
    }
    Ok(())
}

/// How many values at the start are in order; those in strictly falling order are turned first.
fn first_run(
    values: &mut [Value],
    less: &impl Fn(&Value, &Value) -> Result<bool, Exception>,
) -> Result<usize, Exception> {
    if values.len() < 2 {
        return Ok(values.len());
    }
    let falling = less(&values[1], &values[0])?;
    let mut run = 2;
    while run < values.len() && less(&values[run], &values[run - 1])? == falling {
        run += 1;
    }
    if falling {
        values[..run].reverse();
    }
    Ok(run)
}

/// Puts the values behind the first `sorted` ones where they belong.
fn insert(
    values: &mut [Value],
    sorted: usize,
    less: &impl Fn(&Value, &Value) -> Result<bool, Exception>,
) -> Result<(), Exception> {
    for next in sorted..values.len() {
        let (mut low, mut high) = (0, next);
        while low < high {
            let middle = low + (high - low) / 2;
            if less(&values[next], &values[middle])? {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        values[low..=next].rotate_right(1);
    }
    Ok(())
}

/// Merges the first `middle` values with those behind.
fn merge(
    values: &mut [Value],
    middle: usize,
    less: &impl Fn(&Value, &Value) -> Result<bool, Exception>,
) -> Result<(), Exception> {
    if middle == values.len() {
        return Ok(());
    }
    let left: Vec<Value> = values[..middle].iter_mut().map(take).collect();
    // `put` places before `right` are free, as many as there are values left of `left`.
    let (mut put, mut right) = (0, middle);
    let mut left = left.into_iter().peekable();
    let mut outcome = Ok(());
    while let Some(one) = left.peek() {
        let behind = match values.get(right) {
            None => false,
            Some(other) => match less(other, one) {
                Ok(less) => less,
                Err(error) => {
                    outcome = Err(error);
                    break;
                }
            },
        };
        if behind {
            values[put] = take(&mut values[right]);
            right += 1;
        } else if let Some(one) = left.next() {
            values[put] = one;
        }
        put += 1;
    }
    // After an error: what was not placed yet goes into the free places.
    for one in left {
        values[put] = one;
        put += 1;
    }
    outcome
}

fn take(value: &mut Value) -> Value {
    mem::replace(value, Value::none())
}
