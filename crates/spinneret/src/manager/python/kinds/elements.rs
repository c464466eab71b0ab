//! What an element of an `Array` may be.

use spinneret_pickle::{Dialect, Exception, Int, Value, View, semantics};

use super::errors::{overflow_error, type_error, value_error};

/// A type of elements, by its typecode in Python's module `array`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Element {
    typecode: char,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// So many bytes in the machine's order, which is taken for little-endian.
    Signed(u32),
    Unsigned(u32),
    Float,
    Double,
    /// A character of Python 2.7's `str`.
    Char,
    /// A character of text, in 4 bytes.
    Unicode,
}

impl Element {
    /// The type with that code, if that Python has it.
    pub fn of(typecode: &Value, dialect: Dialect) -> Result<Self, Exception> {
        let python2 = dialect.is_python2();
        let mut chars = typecode.as_str().unwrap_or_default().chars();
        let (Some(code), None) = (chars.next(), chars.next()) else {
            let name = semantics::type_name(typecode.as_ref(), dialect);
            return Err(type_error(if python2 {
                format!(
                    "array() argument 1 or typecode must be char (string or ascii-unicode with \
                     length 1), not {name}"
                )
            } else {
                format!("array() argument 1 must be a unicode character, not {name}")
            }));
        };
        let kind = match code {
            'b' => Kind::Signed(1),
            'B' => Kind::Unsigned(1),
            'h' => Kind::Signed(2),
            'H' => Kind::Unsigned(2),
            'i' => Kind::Signed(4),
            'I' => Kind::Unsigned(4),
            'l' => Kind::Signed(8),
            'L' => Kind::Unsigned(8),
            'q' if !python2 => Kind::Signed(8),
            'Q' if !python2 => Kind::Unsigned(8),
            'f' => Kind::Float,
            'd' => Kind::Double,
            'c' if python2 => Kind::Char,
            'u' => Kind::Unicode,
            'w' if !python2 => Kind::Unicode,
            _ => {
                let codes = if python2 {
                    "c, b, B, u, h, H, i, I, l, L, f or d"
                } else {
                    "b, B, u, h, H, i, I, l, L, q, Q, f or d"
                };
                return Err(value_error(format!("bad typecode (must be {codes})")));
            }
        };
        Ok(Self { typecode: code, kind })
    }

    pub fn typecode(self) -> char {
        self.typecode
    }

    /// Whether the elements are characters.
    pub fn is_text(self) -> bool {
        matches!(self.kind, Kind::Char | Kind::Unicode)
    }

    /// The value as it comes out of the array again.
    ///
    /// # Errors
    /// What Python raises if it is of another type, or too large.
    pub fn convert(self, value: &Value, dialect: Dialect) -> Result<Value, Exception> {
        let python2 = dialect.is_python2();
        let view = value.view();
        match self.kind {
            Kind::Char => match view {
                View::Str2(&[byte]) => Ok(Value::str2(vec![byte])),
                _ => Err(type_error("array item must be char")),
            },
            Kind::Unicode => {
                let is_text = matches!(view, View::Text(_)) || !python2;
                let is_one = semantics::length(value.as_ref(), dialect).is_ok_and(|len| len == 1);
                match view {
                    View::Text(_) | View::Str2(_) if is_text && is_one => Ok(value.clone()),
                    _ => Err(type_error("array item must be unicode character")),
                }
            }
            Kind::Float | Kind::Double => {
                let number = value.as_f64().ok_or_else(|| {
                    let name = semantics::type_name(value.as_ref(), dialect);
                    type_error(if python2 {
                        "a float is required".to_owned()
                    } else {
                        format!("must be real number, not {name}")
                    })
                })?;
                let single = self.kind == Kind::Float;
                Ok(Value::float(if single { f64::from(number as f32) } else { number }))
            }
            Kind::Signed(_) | Kind::Unsigned(_) => match view {
                View::Bool(bool) => self.integer(Some(bool.into()), python2),
                View::Int(int) => self.integer(wide(int), python2),
                View::Float(_) if python2 => {
                    Err(type_error("integer argument expected, got float"))
                }
                _ if python2 => Err(type_error("an integer is required")),
                _ => {
                    let name = semantics::type_name(value.as_ref(), dialect);
                    Err(type_error(format!("'{name}' object cannot be interpreted as an integer")))
                }
            },
        }
    }

    /// An integer, if it is in range. (`None`: it is far beyond.)
    fn integer(self, number: Option<i128>, python2: bool) -> Result<Value, Exception> {
        let (lowest, highest): (i128, i128) = match self.kind {
            Kind::Signed(bytes) => (-(1 << (8 * bytes - 1)), (1 << (8 * bytes - 1)) - 1),
            Kind::Unsigned(bytes) => (0, (1 << (8 * bytes)) - 1),
            _ => (0, 0),
        };
        match number {
            Some(number) if (lowest..=highest).contains(&number) => {
                // Python 2.7 has a `long` where an `int` might not do.
                let long = matches!(self.typecode, 'I' | 'L');
                Ok(match i64::try_from(number) {
                    Ok(number) if !long => Value::int(number),
                    _ => Value::long(&number.to_le_bytes()),
                })
            }
            number => Err(overflow_error(self.complaint(number.unwrap_or(i128::MAX), python2))),
        }
    }

    /// What Python says of a number that is out of range: it depends on how many conversions the
    /// number passes.
    fn complaint(self, number: i128, python2: bool) -> String {
        let high = number > 0;
        let side = if high { "greater than maximum" } else { "less than minimum" };
        let within = |bits: u32| (-(1_i128 << (bits - 1))..1 << (bits - 1)).contains(&number);
        let by_long = matches!(self.typecode, 'b' | 'B' | 'h' | 'H' | 'i' | 'l');
        if by_long && !within(64) {
            return "Python int too large to convert to C long".to_owned();
        }
        let beyond = number > i128::from(u64::MAX);
        match self.typecode {
            'b' if within(16) => format!("signed char is {side}"),
            'b' | 'h' => format!("signed short integer is {side}"),
            'B' => format!("unsigned byte integer is {side}"),
            'H' if within(32) => format!("unsigned short is {side}"),
            'H' | 'i' => format!("signed integer is {side}"),
            'Q' if !high => "can't convert negative int to unsigned".to_owned(),
            'q' | 'Q' => "int too big to convert".to_owned(),
            _ if !high && !python2 => "can't convert negative value to unsigned int".to_owned(),
            _ if beyond && python2 => "long int too large to convert".to_owned(),
            _ if beyond => "Python int too large to convert to C unsigned long".to_owned(),
            _ if !high && !within(64) => "can't convert negative value to unsigned long".to_owned(),
            'I' => format!("unsigned int is {side}"),
            _ => format!("unsigned long is {side}"),
        }
    }

    /// The elements as they would lie in memory.
    pub fn encode<'a>(self, items: impl Iterator<Item = &'a Value>) -> Vec<u8> {
        let mut bytes = Vec::new();
        for item in items {
            match (self.kind, item.view()) {
                (Kind::Signed(size) | Kind::Unsigned(size), View::Int(int)) => {
                    let number = wide(int).unwrap_or(0).to_le_bytes();
                    bytes.extend_from_slice(&number[..size as usize]);
                }
                (Kind::Float, View::Float(float)) => {
                    bytes.extend_from_slice(&(float as f32).to_le_bytes());
                }
                (Kind::Double, View::Float(float)) => bytes.extend_from_slice(&float.to_le_bytes()),
                (Kind::Unicode, View::Text(text)) => {
                    bytes.extend_from_slice(&semantics::code_point(text).to_le_bytes());
                }
                (Kind::Unicode | Kind::Char, View::Str2(string)) => {
                    bytes.extend_from_slice(string);
                    let width = if self.kind == Kind::Unicode { 4 } else { 1 };
                    bytes.resize(bytes.len().next_multiple_of(width), 0);
                }
                // Elements are what `convert` gives.
                _ => {}
            }
        }
        bytes
    }
}

/// A number of up to 128 bits.
fn wide(int: Int<'_>) -> Option<i128> {
    int.as_i128().or_else(|| (int.to_f64() < 0.0).then_some(i128::MIN))
}
