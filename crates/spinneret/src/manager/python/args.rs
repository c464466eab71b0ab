//! Arguments of a call, and how they find their parameters.

use spinneret_pickle::{Exception, ExceptionKind, Value};

/// Positional and keyword arguments.
#[derive(Clone, Debug, Default)]
pub(crate) struct Args {
    pub positional: Vec<Value>,
    pub keywords: Vec<(String, Value)>,
}

impl Args {
    pub fn new(positional: Vec<Value>, keywords: Vec<(String, Value)>) -> Self {
        Self { positional, keywords }
    }

    /// Gives each parameter its argument, as a function written in Python takes them: by position
    /// or by name, the required ones first.
    ///
    /// # Errors
    /// Python's `TypeError` if an argument is missing, given twice, or one too many.
    pub fn bind<const R: usize, const O: usize>(
        self,
        method: &str,
        required: [&str; R],
        optional: [&str; O],
    ) -> Result<([Value; R], [Option<Value>; O]), Exception> {
        let mut needed: [Option<Value>; R] = [const { None }; R];
        let mut others: [Option<Value>; O] = [const { None }; O];
        let given = self.positional.len();
        if given > R + O {
            return Err(too_many(method, R, O, given));
        }
        let slots = needed.iter_mut().chain(&mut others);
        for (slot, value) in slots.zip(self.positional) {
            *slot = Some(value);
        }
        for (name, value) in self.keywords {
            let mut slots =
                required.iter().zip(&mut needed).chain(optional.iter().zip(&mut others));
            let Some((_, slot)) = slots.find(|(parameter, _)| **parameter == name) else {
                return Err(type_error(format!(
                    "{method}() got an unexpected keyword argument '{name}'"
                )));
            };
            if slot.replace(value).is_some() {
                return Err(type_error(format!(
                    "{method}() got multiple values for argument '{name}'"
                )));
            }
        }
        let missing = required.iter().zip(&needed).filter(|(_, slot)| slot.is_none());
        let missing: Vec<&str> = missing.map(|(parameter, _)| *parameter).collect();
        if !missing.is_empty() {
            return Err(lacking(method, &missing));
        }
        // None is `None`, as was just checked.
        Ok((needed.map(|slot| slot.unwrap_or_else(Value::none)), others))
    }

    /// Gives each parameter its argument, as a function written in C takes them: by position only.
    ///
    /// # Errors
    /// Python's `TypeError` if there are too few or too many, or any have names.
    pub fn positional<const R: usize, const O: usize>(
        self,
        method: &str,
    ) -> Result<([Value; R], [Option<Value>; O]), Exception> {
        if !self.keywords.is_empty() {
            return Err(type_error(format!("{method}() takes no keyword arguments")));
        }
        let given = self.positional.len();
        if given < R || given > R + O {
            let text = match (R, O) {
                (0, 0) => format!("{method}() takes no arguments ({given} given)"),
                (1, 0) => format!("{method}() takes exactly one argument ({given} given)"),
                (_, 0) => format!("{method} expected {R} arguments, got {given}"),
                _ if given < R => {
                    format!("{method} expected at least {}, got {given}", arguments(R))
                }
                _ => format!("{method} expected at most {}, got {given}", arguments(R + O)),
            };
            return Err(type_error(text));
        }
        let mut values = self.positional.into_iter();
        let needed = std::array::from_fn(|_| values.next().unwrap_or_else(Value::none));
        Ok((needed, std::array::from_fn(|_| values.next())))
    }
}

fn arguments(count: usize) -> String {
    format!("{count} argument{}", if count == 1 { "" } else { "s" })
}

fn too_many(method: &str, required: usize, optional: usize, given: usize) -> Exception {
    // Python counts `self` in.
    let (least, most, given) = (required + 1, required + optional + 1, given + 1);
    let takes = if optional == 0 { least.to_string() } else { format!("from {least} to {most}") };
    let plural = if most == 1 { "" } else { "s" };
    type_error(format!(
        "{method}() takes {takes} positional argument{plural} but {given} were given"
    ))
}

fn lacking(method: &str, missing: &[&str]) -> Exception {
    let names: Vec<String> = missing.iter().map(|name| format!("'{name}'")).collect();
    let names = match names.as_slice() {
        [one] => one.clone(),
        [one, two] => format!("{one} and {two}"),
        [most @ .., last] => format!("{}, and {last}", most.join(", ")),
        [] => String::new(),
    };
    let (count, plural) = (missing.len(), if missing.len() == 1 { "" } else { "s" });
    type_error(format!("{method}() missing {count} required positional argument{plural}: {names}"))
}

fn type_error(text: String) -> Exception {
    Exception::with_message(ExceptionKind::TypeError, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(positional: &[i64], keywords: &[(&str, i64)]) -> Args {
        Args::new(
            positional.iter().map(|value| Value::int(*value)).collect(),
            keywords.iter().map(|(name, value)| ((*name).into(), Value::int(*value))).collect(),
        )
    }

    /// What `put(item, block, timeout)` gets, or the error's text.
    fn put(positional: &[i64], keywords: &[(&str, i64)]) -> Result<[Option<i64>; 3], String> {
        let bound = args(positional, keywords).bind("put", ["item"], ["block", "timeout"]);
        let ([item], [block, timeout]) = bound.map_err(|error| error.to_string())?;
        Ok([Some(item), block, timeout].map(|value| value?.as_i64()))
    }

    #[test]
    fn arguments_find_their_parameters_by_place_and_by_name() {
        assert_eq!(put(&[1], &[]), Ok([Some(1), None, None]));
        assert_eq!(put(&[1, 2, 3], &[]), Ok([Some(1), Some(2), Some(3)]));
        assert_eq!(put(&[1], &[("timeout", 3)]), Ok([Some(1), None, Some(3)]));
        assert_eq!(put(&[], &[("timeout", 3), ("item", 1)]), Ok([Some(1), None, Some(3)]));
    }

    #[test]
    fn arguments_that_do_not_fit_are_python_s_type_errors() {
        for (bound, expected) in [
            (put(&[], &[]), "put() missing 1 required positional argument: 'item'"),
            (
                put(&[1, 2, 3, 4], &[]),
                "put() takes from 2 to 4 positional arguments but 5 were given",
            ),
            (put(&[1], &[("item", 2)]), "put() got multiple values for argument 'item'"),
            (put(&[1], &[("nope", 2)]), "put() got an unexpected keyword argument 'nope'"),
        ] {
            assert_eq!(bound, Err(format!("TypeError: {expected}")));
        }
        let two = args(&[], &[]).bind("f", ["a", "b", "c"], []).unwrap_err();
        let expected = "TypeError: f() missing 3 required positional arguments: 'a', 'b', and 'c'";
        assert_eq!(two.to_string(), expected);
    }

    #[test]
    fn functions_of_c_take_arguments_by_place_only() {
        let ([one], []) = args(&[1], &[]).positional("append").unwrap();
        assert_eq!(one.as_i64(), Some(1));
        let ([], [first, second]) = args(&[1], &[]).positional("pop").unwrap();
        assert_eq!((first.unwrap().as_i64(), second.is_none()), (Some(1), true));
        let error = |bound: Result<([Value; 1], [Option<Value>; 1]), Exception>| {
            bound.map(drop).unwrap_err().to_string()
        };
        let named = error(args(&[1], &[("x", 1)]).positional("get"));
        assert_eq!(named, "TypeError: get() takes no keyword arguments");
        let few = error(args(&[], &[]).positional("get"));
        assert_eq!(few, "TypeError: get expected at least 1 argument, got 0");
        let many = error(args(&[1, 2, 3], &[]).positional("get"));
        assert_eq!(many, "TypeError: get expected at most 2 arguments, got 3");
    }
}
