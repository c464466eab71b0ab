//! Strings and floats as `repr()` writes them.

use std::fmt::Write;

use crate::Text;

/// Text as Python 3 writes it.
pub(super) fn text(out: &mut String, wtf8: &[u8]) {
    let quote = start(out, wtf8);
    for char in code_points(wtf8) {
        match char {
            Ok(char) if char.is_ascii() => byte(out, char as u8, quote),
            Ok(char) if is_printable(char) => out.push(char),
            Ok(char) => escape(out, char.into()),
            Err(surrogate) => escape(out, surrogate.into()),
        }
    }
    out.push(quote);
}

/// `unicode` as Python 2.7 writes it, all ASCII.
pub(super) fn unicode2(out: &mut String, wtf8: &[u8]) {
    out.push('u');
    let quote = start(out, wtf8);
    for char in code_points(wtf8) {
        match char {
            Ok(char) if char.is_ascii() => byte(out, char as u8, quote),
            Ok(char) => escape(out, char.into()),
            Err(surrogate) => escape(out, surrogate.into()),
        }
    }
    out.push(quote);
}

/// What is between the quotes and the quotes, of `bytes` and of Python 2.7's `str`.
pub(super) fn bytes(out: &mut String, bytes: &[u8]) {
    let quote = start(out, bytes);
    for &each in bytes {
        byte(out, each, quote);
    }
    out.push(quote);
}

/// The same of a `bytearray`, where single quotes are escaped whatever the quotes around are.
pub(super) fn bytearray(out: &mut String, bytes: &[u8]) {
    let quote = start(out, bytes);
    for &each in bytes {
        byte(out, each, '\'');
    }
    out.push(quote);
}

/// Opens with single quotes, unless there are such inside and no double ones.
fn start(out: &mut String, inside: &[u8]) -> char {
    let quote = if inside.contains(&b'\'') && !inside.contains(&b'"') { '"' } else { '\'' };
    out.push(quote);
    quote
}

fn byte(out: &mut String, byte: u8, quote: char) {
    match byte {
        b'\t' => out.push_str("\\t"),
        b'\n' => out.push_str("\\n"),
        b'\r' => out.push_str("\\r"),
        b'\\' => out.push_str("\\\\"),
        b' '..=b'~' => {
            if char::from(byte) == quote {
                out.push('\\');
            }
            out.push(byte.into());
        }
        _ => escape(out, byte.into()),
    }
}

fn escape(out: &mut String, code: u32) {
    // Writing to a string cannot fail.
    let _ = match code {
        0..=0xff => write!(out, "\\x{code:02x}"),
        0x100..=0xffff => write!(out, "\\u{code:04x}"),
        _ => write!(out, "\\U{code:08x}"),
    };
}

/// Whether Python prints that character as it is. Rust's own escapes follow the same categories.
fn is_printable(char: char) -> bool {
    // Behind another character, so that marks which combine with one are not escaped for that.
    let mut pair = [0; 5];
    pair[0] = b'a';
    let len = 1 + char.encode_utf8(&mut pair[1..]).len();
    let Ok(pair) = std::str::from_utf8(&pair[..len]) else { return false };
    pair.escape_debug().nth(1) == Some(char)
}

/// The characters of UTF-8 that may have lone surrogates, which are the errors.
pub(super) fn code_points(wtf8: &[u8]) -> impl Iterator<Item = Result<char, u16>> {
    let mut rest = wtf8;
    std::iter::from_fn(move || {
        let len = match rest.first()? {
            0..0x80 => 1,
            0x80..0xe0 => 2,
            0xe0..0xf0 => 3,
            _ => 4,
        };
        let (char, behind) = rest.split_at(len.min(rest.len()));
        rest = behind;
        Some(match (std::str::from_utf8(char), char) {
            (Ok(text), _) => Ok(text.chars().next().unwrap_or(char::REPLACEMENT_CHARACTER)),
            (Err(_), &[_, middle, last]) => {
                Err(0xd000 | (u16::from(middle & 0x3f) << 6) | u16::from(last & 0x3f))
            }
            _ => Ok(char::REPLACEMENT_CHARACTER),
        })
    })
}

/// The number of a text's first character, or of half of one; 0 if the text is empty.
pub fn code_point(text: Text<'_>) -> u32 {
    match code_points(text.as_bytes()).next() {
        Some(Ok(char)) => char.into(),
        Some(Err(surrogate)) => surrogate.into(),
        None => 0,
    }
}

/// A float with the fewest digits that are read back as the same, in Python's notation.
pub(super) fn float(out: &mut String, float: f64) {
    let start = out.len();
    digits(out, float);
    if !out[start..].contains(['.', 'e', 'n']) {
        out.push_str(".0");
    }
}

/// A complex number.
pub(super) fn complex(out: &mut String, real: f64, imaginary: f64) {
    // A real part of -0.0 is shown.
    if real.to_bits() == 0 {
        digits(out, imaginary);
        out.push('j');
        return;
    }
    out.push('(');
    digits(out, real);
    if imaginary.is_nan() || !imaginary.is_sign_negative() {
        out.push('+');
    }
    digits(out, imaginary);
    out.push_str("j)");
}

/// Without `.0` for whole numbers, as complex ones have it.
fn digits(out: &mut String, float: f64) {
    if float.is_nan() {
        return out.push_str("nan");
    }
    if float.is_infinite() {
        return out.push_str(if float > 0.0 { "inf" } else { "-inf" });
    }
    let scientific = format!("{float:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    // Writing to a string cannot fail.
    let _ = if (-4..16).contains(&exponent) {
        write!(out, "{float}")
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        write!(out, "{mantissa}e{sign}{:02}", exponent.abs())
    };
}
