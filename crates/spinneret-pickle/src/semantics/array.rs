//! What is in an `array.array`, however it was written.

use crate::{Array, ArrayData, Value, ValueRef, View};

/// What an element is. (`c` and `u`: a character of 2.7's `str`, one of text.)
#[derive(Clone, Copy)]
enum Element {
    Unsigned(usize),
    Signed(usize),
    Float,
    Double,
    Byte,
    Utf16,
    Utf32,
}

/// The elements of an array; `None` if its data are damaged.
pub fn array_items(array: &Array<'_>) -> Option<Vec<Value>> {
    match array.data {
        ArrayData::Items(ref items) => {
            items.clone().map(|item| is_element(item).then(|| item.to_value())).collect()
        }
        ArrayData::Native(bytes) => decode(native(array.typecode)?, false, bytes),
        ArrayData::Coded(format, bytes) => {
            let (element, big_endian) = coded(format)?;
            decode(element, big_endian, bytes)
        }
    }
}

/// Whether a value can be in an array: a number of the machine, or one character. Anything else
/// could be as long and as deep as a message can make it.
fn is_element(value: ValueRef<'_>) -> bool {
    match value.view() {
        View::Bool(_) | View::Float(_) => true,
        View::Int(int) => int.as_i128().is_some(),
        View::Text(text) => text.as_bytes().len() <= 4,
        View::Str2(bytes) => bytes.len() <= 1,
        _ => false,
    }
}

/// As they lie in memory on 64-bit Linux and macOS.
fn native(typecode: char) -> Option<Element> {
    Some(match typecode {
        'b' => Element::Signed(1),
        'B' => Element::Unsigned(1),
        'h' => Element::Signed(2),
        'H' => Element::Unsigned(2),
        'i' => Element::Signed(4),
        'I' => Element::Unsigned(4),
        'l' | 'q' => Element::Signed(8),
        'L' | 'Q' => Element::Unsigned(8),
        'f' => Element::Float,
        'd' => Element::Double,
        'c' => Element::Byte,
        'u' | 'w' => Element::Utf32,
        _ => return None,
    })
}

/// The formats of `array._array_reconstructor`, with whether they are big-endian.
fn coded(format: u8) -> Option<(Element, bool)> {
    let element = match format {
        0 => Element::Unsigned(1),
        1 => Element::Signed(1),
        2 | 3 => Element::Unsigned(2),
        4 | 5 => Element::Signed(2),
        6 | 7 => Element::Unsigned(4),
        8 | 9 => Element::Signed(4),
        10 | 11 => Element::Unsigned(8),
        12 | 13 => Element::Signed(8),
        14 | 15 => Element::Float,
        16 | 17 => Element::Double,
        18 | 19 => Element::Utf16,
        20 | 21 => Element::Utf32,
        _ => return None,
    };
    Some((element, format > 1 && format % 2 == 1))
}

fn decode(element: Element, big_endian: bool, bytes: &[u8]) -> Option<Vec<Value>> {
    let size = match element {
        Element::Unsigned(size) | Element::Signed(size) => size,
        Element::Byte => 1,
        Element::Utf16 => 2,
        Element::Float | Element::Utf32 => 4,
        Element::Double => 8,
    };
    let chunks = bytes.chunks_exact(size);
    if !chunks.remainder().is_empty() {
        return None;
    }
    if let Element::Utf16 = element {
        let units = chunks.map(|chunk| unsigned(chunk, big_endian) as u16);
        let chars = char::decode_utf16(units.collect::<Vec<_>>());
        return Some(
            chars.map(|char| character(char.map_err(|lone| lone.unpaired_surrogate()))).collect(),
        );
    }
    chunks
        .map(|chunk| {
            let raw = unsigned(chunk, big_endian);
            Some(match element {
                // What does not fit into Python 2.7's `int` is a `long` there, as in its arrays.
                Element::Unsigned(4 | 8) => Value::long(&u128::from(raw).to_le_bytes()),
                Element::Unsigned(_) => Value::int(raw.cast_signed()),
                Element::Signed(size) => {
                    let unused = 64 - 8 * size as u32;
                    Value::int((raw << unused).cast_signed() >> unused)
                }
                Element::Float => Value::float(f32::from_bits(raw as u32).into()),
                Element::Double => Value::float(f64::from_bits(raw)),
                Element::Byte => Value::str2(chunk.to_vec()),
                Element::Utf16 | Element::Utf32 => {
                    let code = raw as u32;
                    let surrogate = (0xd800..0xe000).contains(&code);
                    match char::from_u32(code) {
                        Some(char) => character(Ok(char)),
                        None if surrogate => character(Err(code as u16)),
                        None => return None,
                    }
                }
            })
        })
        .collect()
}

fn unsigned(chunk: &[u8], big_endian: bool) -> u64 {
    let join = |number: u64, &byte: &u8| number << 8 | u64::from(byte);
    if big_endian { chunk.iter().fold(0, join) } else { chunk.iter().rev().fold(0, join) }
}

/// A character, or half of one, as text.
pub(super) fn character(char: Result<char, u16>) -> Value {
    match char {
        Ok(char) => Value::text(char),
        Err(surrogate) => Value::lone_surrogate(surrogate),
    }
}
