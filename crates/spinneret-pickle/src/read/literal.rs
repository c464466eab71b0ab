//! The opcodes whose operands are lines of text: protocol 0, and large `int`s of Python 2.7.

use num_bigint::BigInt;

use super::machine::Machine;
use crate::{
    ReadError, Value,
    graph::Node,
    value::{Leaf, Repr},
};

/// As many as Python itself reads: more take time that grows with their square.
const MAX_DIGITS: usize = 4300;

impl Machine<'_> {
    pub fn int_literal(&mut self) -> Result<(), ReadError> {
        match self.line()?.1 {
            b"00" => self.push(Node::Bool(false)),
            b"01" => self.push(Node::Bool(true)),
            digits => self.number(digits, false),
        }
    }

    pub fn long_literal(&mut self) -> Result<(), ReadError> {
        let line = self.line()?.1;
        self.number(line.strip_suffix(b"L").unwrap_or(line), true)
    }

    fn number(&mut self, digits: &[u8], long: bool) -> Result<(), ReadError> {
        let text = std::str::from_utf8(digits).unwrap_or("").trim_ascii();
        if let Ok(value) = text.parse() {
            return self.push(Node::Int { value, long });
        }
        if text.len() > MAX_DIGITS {
            return Err(self.malformed("a decimal number has more than 4300 digits"));
        }
        let is_decimal = text.trim_start_matches('-').bytes().all(|byte| byte.is_ascii_digit());
        match text.parse::<BigInt>() {
            Ok(number) if is_decimal => {
                let bytes = number.to_signed_bytes_le();
                self.push_leaf(Leaf::Long(bytes.into()))
            }
            _ => Err(self.malformed("a decimal number is none")),
        }
    }

    pub fn float_literal(&mut self) -> Result<(), ReadError> {
        let text = std::str::from_utf8(self.line()?.1).unwrap_or("").trim_ascii();
        match text.parse() {
            Ok(value) => self.push(Node::Float(value)),
            Err(_) => Err(self.malformed("a decimal number is none")),
        }
    }

    /// The number of a memo entry.
    pub fn index_literal(&mut self) -> Result<u64, ReadError> {
        let text = std::str::from_utf8(self.line()?.1).unwrap_or("");
        text.parse().map_err(|_| self.malformed("the number of a memo entry is none"))
    }

    pub fn string_literal(&mut self) -> Result<(), ReadError> {
        let line = self.line()?.1.trim_ascii_end();
        let (Some((quote @ (b'"' | b'\''), rest)), true) = (line.split_first(), line.len() > 1)
        else {
            return Err(self.malformed("a string is not in quotes"));
        };
        let Some(escaped) = rest.strip_suffix(&[*quote]) else {
            return Err(self.malformed("a string is not in quotes"));
        };
        match unescape(escaped) {
            Some(bytes) => self.push_leaf(Leaf::Str2(bytes.into())),
            None => Err(self.malformed("a string has a wrong escape")),
        }
    }

    pub fn text_literal(&mut self) -> Result<(), ReadError> {
        let escaped = self.line()?.1;
        match unescape_unicode(escaped) {
            Some(text) => self.push_leaf(Leaf::Text(text.into())),
            None => Err(self.malformed("text has a wrong escape")),
        }
    }

    fn push_leaf(&mut self, leaf: Leaf) -> Result<(), ReadError> {
        self.graph.foreign.push(Value(Repr::Leaf(leaf)));
        self.push(Node::Foreign((self.graph.foreign.len() - 1) as u32))
    }
}

/// What Python's `repr` of an 8-bit string stands for.
fn unescape(mut escaped: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(escaped.len());
    while let Some((&byte, rest)) = escaped.split_first() {
        escaped = rest;
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        let (&kind, rest) = escaped.split_first()?;
        escaped = rest;
        let unescaped = match kind {
            b'\\' | b'\'' | b'"' => kind,
            b'a' => 7,
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'v' => 11,
            b'x' => {
                let (digits, rest) = escaped.split_at_checked(2)?;
                escaped = rest;
                u8::try_from(hex(digits)?).ok()?
            }
            b'0'..=b'7' => {
                let more = escaped.iter().take(2).take_while(|byte| matches!(byte, b'0'..=b'7'));
                let count = more.count();
                let (digits, rest) = escaped.split_at(count);
                escaped = rest;
                let value = digits.iter().fold(u32::from(kind - b'0'), |value, digit| {
                    value * 8 + u32::from(digit - b'0')
                });
                // As Python: what is too large is cut off.
                value as u8
            }
            _ => {
                out.extend_from_slice(&[b'\\', kind]);
                continue;
            }
        };
        out.push(unescaped);
    }
    Some(out)
}

/// What Python calls `raw-unicode-escape`: Latin-1, and `\u` and `\U` behind a backslash that is not
/// itself behind one.
fn unescape_unicode(mut escaped: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(escaped.len());
    while let Some((&byte, rest)) = escaped.split_first() {
        let backslashes = escaped.iter().take_while(|byte| **byte == b'\\').count();
        if backslashes == 0 {
            push_char(&mut out, byte.into())?;
            escaped = rest;
            continue;
        }
        let rest = &escaped[backslashes..];
        let digits = match rest.first() {
            Some(b'u') if backslashes % 2 == 1 => 4,
            Some(b'U') if backslashes % 2 == 1 => 8,
            _ => 0,
        };
        out.resize(out.len() + backslashes - usize::from(digits > 0), b'\\');
        escaped = rest;
        if digits > 0 {
            let (code, rest) = rest[1..].split_at_checked(digits)?;
            push_char(&mut out, hex(code)?)?;
            escaped = rest;
        }
    }
    Some(out)
}

fn hex(digits: &[u8]) -> Option<u32> {
    digits
        .iter()
        .try_fold(0, |value: u32, &digit| Some((value << 4) | char::from(digit).to_digit(16)?))
}

/// Appends a character or surrogate.
fn push_char(out: &mut Vec<u8>, code: u32) -> Option<()> {
    match char::from_u32(code) {
        Some(char) => out.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes()),
        None if (0xd800..0xe000).contains(&code) => {
            let low = |shift| 0x80 | (code >> shift) as u8 & 0x3f;
            out.extend_from_slice(&[0xe0 | (code >> 12) as u8, low(6), low(0)]);
        }
        None => return None,
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_those_of_python() {
        let unescaped = |text: &[u8]| unescape(text);
        assert_eq!(unescaped(br#"a\\\'\"\x41\n\t\101\0\q"#).unwrap(), b"a\\'\"A\n\tA\0\\q");
        assert_eq!(unescaped(br"\777").unwrap(), b"\xff");
        for wrong in [&br"\"[..], br"\x4", br"\xzz"] {
            assert_eq!(unescaped(wrong), None);
        }
    }

    #[test]
    fn unicode_escapes_are_those_of_python() {
        let text = |text: &[u8]| unescape_unicode(text);
        assert_eq!(text(br"a\u0431\U0001f600").unwrap(), "aб😀".as_bytes());
        assert_eq!(text(b"\xe9").unwrap(), "é".as_bytes());
        assert_eq!(text(br"\\u0041").unwrap(), br"\\u0041");
        assert_eq!(text(br"\\\u0041").unwrap(), br"\\A");
        assert_eq!(text(br"\ud800").unwrap(), b"\xed\xa0\x80");
        assert_eq!(text(br"\x\n").unwrap(), br"\x\n");
        for wrong in [&br"\u12"[..], br"\U00110000", br"\u12g4"] {
            assert_eq!(text(wrong), None);
        }
    }
}
