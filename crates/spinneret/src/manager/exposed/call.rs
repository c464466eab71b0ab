//! A call, and how its arguments find their parameters.

use std::{fmt, vec};

use serde::{
    de::{self, DeserializeOwned, Deserializer, Visitor},
    forward_to_deserialize_any,
};
use spinneret_pickle::{DecodeError, Exception, ExceptionKind, Value};

use super::Answer;

/// A call of one of the methods of an [`Exposed`](super::Exposed).
#[derive(Clone, Debug)]
pub struct Call {
    method: String,
    positional: Vec<Value>,
    keywords: Vec<(String, Value)>,
}

/// Arguments that found their parameters, to be taken in the order of those.
#[derive(Debug)]
pub struct Arguments {
    method: String,
    /// The parameters and what was given for them.
    rest: vec::IntoIter<(String, Option<Value>)>,
}

impl Call {
    pub(crate) fn new(
        method: &str,
        positional: Vec<Value>,
        keywords: Vec<(String, Value)>,
    ) -> Self {
        Self { method: method.into(), positional, keywords }
    }

    /// The method's name.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// The arguments that were given by position.
    pub fn positional(&self) -> &[Value] {
        &self.positional
    }

    /// The arguments that were given by name.
    pub fn keywords(&self) -> &[(String, Value)] {
        &self.keywords
    }

    /// Gives each parameter its argument, by position or by name. Some may be left without.
    ///
    /// # Errors
    /// Python's `TypeError` if there are too many arguments, or one has a name that no parameter
    /// has, or is given twice.
    pub fn bind(self, parameters: &[&str]) -> Result<Arguments, Exception> {
        let Self { method, positional, keywords } = self;
        if positional.len() > parameters.len() {
            // Python counts `self` in.
            let (takes, given) = (parameters.len() + 1, positional.len() + 1);
            let plural = if takes == 1 { "" } else { "s" };
            return Err(type_error(format!(
                "{method}() takes {takes} positional argument{plural} but {given} were given"
            )));
        }
        let mut given = positional.into_iter();
        let mut slots: Vec<(String, Option<Value>)> =
            parameters.iter().map(|name| ((*name).to_owned(), given.next())).collect();
        for (name, value) in keywords {
            let Some((_, slot)) = slots.iter_mut().find(|(parameter, _)| *parameter == name) else {
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
        Ok(Arguments { method, rest: slots.into_iter() })
    }

    /// The answer to a name that is none of the methods.
    pub fn no_such_method(self) -> Answer {
        let text = format!("there is no method '{}'", self.method);
        let error = Exception::with_message(ExceptionKind::AttributeError, text);
        Box::pin(std::future::ready(Err(error)))
    }
}

impl Arguments {
    /// The next parameter's argument. If there is none, an `Option` is `None`.
    ///
    /// # Errors
    /// A `TypeError` if the argument is missing or no `T`.
    pub fn take<T: DeserializeOwned>(&mut self) -> Result<T, Exception> {
        let Some((parameter, given)) = self.rest.next() else {
            return Err(type_error(format!("{}() has no more parameters", self.method)));
        };
        match given {
            Some(value) => spinneret_pickle::from_value(&value).map_err(|error| {
                type_error(format!("{}() argument '{parameter}': {error}", self.method))
            }),
            None => T::deserialize(Missing).map_err(|_| {
                type_error(format!(
                    "{}() missing 1 required positional argument: '{parameter}'",
                    self.method
                ))
            }),
        }
    }

    /// As [`take`](Self::take), the argument as Python has it; `None` if there is none.
    pub fn take_value(&mut self) -> Option<Value> {
        self.rest.next().and_then(|(_, given)| given)
    }
}

fn type_error(text: String) -> Exception {
    Exception::with_message(ExceptionKind::TypeError, text)
}

/// What is not there: `None` for an `Option`, an error for everything else.
struct Missing;

impl<'de> Deserializer<'de> for Missing {
    type Error = DecodeError;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, DecodeError> {
        Err(de::Error::custom(fmt::Error))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_none()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(positional: &[i64], keywords: &[(&str, i64)]) -> Call {
        let positional = positional.iter().map(|number| Value::int(*number)).collect();
        let keywords =
            keywords.iter().map(|(name, value)| ((*name).into(), Value::int(*value))).collect();
        Call::new("add", positional, keywords)
    }

    fn bound(call: Call) -> Result<(i64, Option<i64>), Exception> {
        let mut arguments = call.bind(&["by", "times"])?;
        Ok((arguments.take()?, arguments.take()?))
    }

    #[track_caller]
    fn refused(call: Call, text: &str) {
        let error = bound(call).unwrap_err();
        assert_eq!(error.kind(), &ExceptionKind::TypeError);
        assert_eq!(error.message(), Some(text));
    }

    #[test]
    fn arguments_find_their_parameters_by_position_and_by_name() {
        assert_eq!(bound(call(&[3, 4], &[])).unwrap(), (3, Some(4)));
        assert_eq!(bound(call(&[3], &[("times", 4)])).unwrap(), (3, Some(4)));
        assert_eq!(bound(call(&[], &[("times", 4), ("by", 3)])).unwrap(), (3, Some(4)));
    }

    #[test]
    fn an_option_may_be_left_out() {
        assert_eq!(bound(call(&[3], &[])).unwrap(), (3, None));
    }

    #[test]
    fn wrong_arguments_are_refused_in_python_s_words() {
        refused(call(&[1, 2, 3], &[]), "add() takes 3 positional arguments but 4 were given");
        refused(call(&[], &[]), "add() missing 1 required positional argument: 'by'");
        refused(call(&[1], &[("of", 2)]), "add() got an unexpected keyword argument 'of'");
        refused(call(&[1], &[("by", 2)]), "add() got multiple values for argument 'by'");
    }

    #[test]
    fn an_argument_of_another_type_is_refused_by_its_name() {
        let mut arguments = Call::new("add", vec![Value::text("x")], vec![]).bind(&["by"]).unwrap();
        let error = arguments.take::<i64>().unwrap_err();
        assert_eq!(error.kind(), &ExceptionKind::TypeError);
        let text = error.message().unwrap();
        assert!(text.starts_with("add() argument 'by': "), "{text}");
        assert!(arguments.take::<Option<i64>>().is_err(), "there is no second parameter");
    }
}
