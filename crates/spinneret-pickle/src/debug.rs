//! Values for people who look for a fault.

use std::fmt;

use crate::{Creation, ValueRef, View};

/// How deep it looks.
const LEVELS: usize = 4;
/// How much of a container or string it shows.
const SHOWN: usize = 32;

/// See the module.
pub(crate) fn fmt(value: ValueRef<'_>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    fmt::Debug::fmt(&Shown(value, LEVELS), f)
}

struct Shown<'a>(ValueRef<'a>, usize);

impl fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(levels) = self.1.checked_sub(1) else { return f.write_str("..") };
        let shown = |value| Shown(value, levels);
        match self.0.view() {
            View::None => f.write_str("None"),
            View::Bool(bool) => f.write_str(if bool { "True" } else { "False" }),
            View::Int(int) => write!(f, "{int}"),
            View::Float(float) => write!(f, "{float:?}"),
            View::Text(text) => write!(f, "{text:?}"),
            View::Str2(bytes) => write!(f, "str({:?})", Bytes(bytes)),
            View::Bytes(bytes) => write!(f, "bytes({:?})", Bytes(&bytes)),
            View::ByteArray(bytes) => write!(f, "bytearray({:?})", Bytes(&bytes)),
            View::Tuple(items) => {
                f.write_str("tuple")?;
                f.debug_list().entries(items.take(SHOWN).map(shown)).finish()
            }
            View::List(items) => f.debug_list().entries(items.take(SHOWN).map(shown)).finish(),
            View::Set(items) => {
                f.write_str("set")?;
                f.debug_list().entries(items.take(SHOWN).map(shown)).finish()
            }
            View::FrozenSet(items) => {
                f.write_str("frozenset")?;
                f.debug_list().entries(items.take(SHOWN).map(shown)).finish()
            }
            View::Dict(pairs) => {
                let pairs = pairs.take(SHOWN).map(|(key, value)| (shown(key), shown(value)));
                f.debug_map().entries(pairs).finish()
            }
            View::Complex { real, imaginary } => write!(f, "complex({real:?}, {imaginary:?})"),
            View::Slice { start, stop, step } => {
                write!(f, "slice({:?}, {:?}, {:?})", shown(start), shown(stop), shown(step))
            }
            View::Range { start, stop, step } => write!(f, "range({start}, {stop}, {step})"),
            View::Array(array) => write!(f, "array({:?}, ..)", array.typecode),
            View::Global(global) => write!(f, "<{global}>"),
            View::Object(object) => match object.creation() {
                Creation::Call { callable, args } => {
                    write!(f, "{:?}({:?})", shown(callable), shown(args))
                }
                Creation::New { class, args, .. } => {
                    write!(f, "new {:?}({:?})", shown(class), shown(args))
                }
                Creation::OldStyle { class, .. } => write!(f, "old {:?}(..)", shown(class)),
                Creation::Unnamed => f.write_str("<object>"),
            },
        }
    }
}

struct Bytes<'a>(&'a [u8]);

impl fmt::Debug for Bytes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = &self.0[..self.0.len().min(SHOWN)];
        write!(f, "\"{}{}\"", shown.escape_ascii(), if self.0.len() > SHOWN { ".." } else { "" })
    }
}
