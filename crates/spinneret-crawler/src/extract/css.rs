//! Links of style sheets and of `style` attributes.
//!
//! A small lexer after [CSS Syntax §4](https://www.w3.org/TR/css-syntax-3/#tokenization) that
//! knows what decides about addresses: comments, strings, escapes, `url()` tokens, at-rules and
//! blocks. It has a stack instead of recursion, so that nesting costs memory and no more; a full
//! CSS parser would build values that nobody reads.

use std::borrow::Cow;

use super::Via;
use super::collect::{Collector, Kind};

#[cfg(test)]
mod tests;

/// Gathers the images and imports of a style sheet.
pub(super) fn stylesheet(text: &str, found: &mut Collector) {
    Lexer::new(text, found).run();
}

/// Gathers the images of declarations, as in a `style` attribute.
pub(super) fn declarations(text: &str, found: &mut Collector) {
    // Nothing else than a function can hold an address here.
    if memchr::memchr(b'(', text.as_bytes()).is_some() {
        Lexer::new(text, found).run();
    }
}

/// What is open around the current place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Open {
    Block,
    /// The block of an `@font-face`: its addresses are fonts.
    FontBlock,
    Parens,
    /// `image-set(`, in which a string is an address.
    ImageSet,
}

/// Which at-rule's prelude the current place is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Prelude {
    /// None, or one whose addresses are as any others.
    Plain,
    /// `@import`, whose first string or `url()` is a style sheet.
    Import,
    FontFace,
    /// One whose addresses are names, such as `@namespace`.
    Names,
}

struct Lexer<'a, 'c> {
    text: &'a str,
    at: usize,
    open: Vec<Open>,
    /// How many of `open` are font blocks.
    font_blocks: usize,
    prelude: Prelude,
    found: &'c mut Collector,
}

/// Bytes that end a run of nothing interesting.
const STOPS: [bool; 256] = {
    let mut table = [false; 256];
    let stops = b"/\"'@\\(){};";
    let mut i = 0;
    while i < stops.len() {
        table[stops[i] as usize] = true;
        i += 1;
    }
    let mut b = 0;
    while b < 256 {
        table[b] = table[b] || is_name(b as u8);
        b += 1;
    }
    table
};

/// Whether a byte can be part of a name; every byte of a non-ASCII character can.
const fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_' || byte >= 0x80
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b'\x0c')
}

impl<'a, 'c> Lexer<'a, 'c> {
    fn new(text: &'a str, found: &'c mut Collector) -> Self {
        Self { text, at: 0, open: Vec::new(), font_blocks: 0, prelude: Prelude::Plain, found }
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        self.text.as_bytes().get(self.at + ahead).copied()
    }

    fn run(&mut self) {
        while let Some(byte) = self.peek(0) {
            match byte {
                b'/' if self.peek(1) == Some(b'*') => self.comment(),
                b'"' | b'\'' => {
                    let value = self.string(byte);
                    self.on_string(&value);
                }
                b'@' => {
                    self.at += 1;
                    let name = self.name();
                    self.prelude = match_name(&name, PRELUDES).unwrap_or(Prelude::Plain);
                }
                b'{' => {
                    self.at += 1;
                    let font = self.prelude == Prelude::FontFace;
                    self.font_blocks += usize::from(font);
                    self.open.push(if font { Open::FontBlock } else { Open::Block });
                    self.prelude = Prelude::Plain;
                }
                b'}' => {
                    self.at += 1;
                    self.close_block();
                }
                b';' => {
                    self.at += 1;
                    if !self.in_parens() {
                        self.prelude = Prelude::Plain;
                    }
                }
                b'(' => {
                    self.at += 1;
                    self.open.push(Open::Parens);
                }
                b')' => {
                    self.at += 1;
                    if self.in_parens() {
                        self.open.pop();
                    }
                }
                b'\\' => self.ident(),
                _ if is_name(byte) => self.ident(),
                _ => {
                    let rest = &self.text.as_bytes()[self.at + 1..];
                    let run = rest.iter().position(|&b| STOPS[usize::from(b)]);
                    self.at += 1 + run.unwrap_or(rest.len());
                }
            }
        }
    }

    fn in_parens(&self) -> bool {
        matches!(self.open.last(), Some(Open::Parens | Open::ImageSet))
    }

    /// Closes the innermost block, and the parentheses that were left open inside it.
    fn close_block(&mut self) {
        while let Some(open) = self.open.pop() {
            if open == Open::FontBlock {
                self.font_blocks -= 1;
            }
            if matches!(open, Open::Block | Open::FontBlock) {
                break;
            }
        }
        self.prelude = Prelude::Plain;
    }

    /// A name, and what it opens if it is a function's.
    fn ident(&mut self) {
        let name = self.name();
        if self.peek(0) != Some(b'(') {
            return;
        }
        self.at += 1;
        match match_name(&name, FUNCTIONS) {
            Some(Function::Url) => {
                let value = self.url();
                self.on_url(&value);
            }
            Some(Function::ImageSet) => self.open.push(Open::ImageSet),
            Some(Function::Names) => {
                self.url();
            }
            None => self.open.push(Open::Parens),
        }
    }

    fn on_url(&mut self, value: &str) {
        match self.prelude {
            Prelude::Import => self.import(value),
            Prelude::Plain | Prelude::FontFace if self.font_blocks == 0 => {
                self.found.push(Kind::MaybeImage, Via::Css, value);
            }
            Prelude::Plain | Prelude::FontFace | Prelude::Names => {}
        }
    }

    fn on_string(&mut self, value: &str) {
        if self.prelude == Prelude::Import {
            self.import(value);
        } else if self.open.last() == Some(&Open::ImageSet) {
            self.on_url(value);
        }
    }

    fn import(&mut self, value: &str) {
        self.found.push(Kind::Stylesheet, Via::CssImport, value);
        // What follows are conditions: `layer(x) supports(y) screen`.
        self.prelude = Prelude::Names;
    }

    fn comment(&mut self) {
        let rest = &self.text.as_bytes()[self.at + 2..];
        let end = memchr::memmem::find(rest, b"*/");
        self.at = end.map_or(self.text.len(), |i| self.at + 2 + i + 2);
    }

    fn skip_space(&mut self) {
        while self.peek(0).is_some_and(is_space) {
            self.at += 1;
        }
    }

    /// The name that starts here, with its escapes decoded; empty if none does.
    fn name(&mut self) -> Cow<'a, str> {
        self.piece(|byte| !is_name(byte))
    }

    /// The contents of the string that starts here with `quote`, and past its end.
    ///
    /// A line break ends it, as if it had been closed.
    fn string(&mut self, quote: u8) -> Cow<'a, str> {
        self.at += 1;
        let value = self.piece(|byte| byte == quote || matches!(byte, b'\n' | b'\r' | b'\x0c'));
        if self.peek(0).is_some() {
            self.at += 1;
        }
        value
    }

    /// The address in a `url(` whose parenthesis has been read, and past its end. Empty for one
    /// that is not valid.
    fn url(&mut self) -> Cow<'a, str> {
        self.skip_space();
        if let Some(quote @ (b'"' | b'\'')) = self.peek(0) {
            let value = self.string(quote);
            // Modifiers may follow; they hold no addresses.
            self.skip_to_paren();
            return value;
        }
        let ends = |byte| is_space(byte) || matches!(byte, b')' | b'"' | b'\'' | b'(');
        let value = self.piece(ends);
        self.skip_space();
        let valid = matches!(self.peek(0), Some(b')') | None);
        self.skip_to_paren();
        if valid { value } else { Cow::Borrowed("") }
    }

    /// Past the next `)` that is not escaped.
    fn skip_to_paren(&mut self) {
        while let Some(byte) = self.peek(0) {
            match byte {
                b')' => {
                    self.at += 1;
                    return;
                }
                b'\\' => {
                    self.escape();
                }
                _ => {
                    let rest = &self.text.as_bytes()[self.at + 1..];
                    self.at += 1 + memchr::memchr2(b')', b'\\', rest).unwrap_or(rest.len());
                }
            }
        }
    }

    /// What is here up to a byte that `ends` it, with escapes decoded.
    fn piece(&mut self, ends: impl Fn(u8) -> bool) -> Cow<'a, str> {
        let text = self.text;
        let mut start = self.at;
        let mut decoded = None;
        while let Some(byte) = self.peek(0) {
            if byte == b'\\' {
                let before = &text[start..self.at];
                let out = decoded.get_or_insert_with(String::new);
                out.push_str(before);
                out.extend(self.escape());
                start = self.at;
            } else if ends(byte) {
                break;
            } else {
                self.at += 1;
            }
        }
        let last = &text[start..self.at];
        match decoded {
            Some(mut out) => {
                out.push_str(last);
                Cow::Owned(out)
            }
            None => Cow::Borrowed(last),
        }
    }

    /// The character that the backslash here and what follows it mean, if any.
    fn escape(&mut self) -> Option<char> {
        self.at += 1;
        let rest = &self.text[self.at..];
        let digits = rest.bytes().take(6).take_while(u8::is_ascii_hexdigit).count();
        if digits > 0 {
            self.at += digits;
            // One white space ends the digits and belongs to them.
            if self.peek(0) == Some(b'\r') && self.peek(1) == Some(b'\n') {
                self.at += 2;
            } else if self.peek(0).is_some_and(is_space) {
                self.at += 1;
            }
            let value = u32::from_str_radix(&rest[..digits], 16).unwrap_or(0);
            let c = char::from_u32(value).filter(|&c| c != '\0');
            return Some(c.unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        let c = rest.chars().next()?;
        self.at += c.len_utf8();
        if c == '\r' && self.peek(0) == Some(b'\n') {
            self.at += 1;
        }
        // An escaped line break continues a string and means nothing.
        (!matches!(c, '\n' | '\r' | '\x0c')).then_some(c)
    }
}

#[derive(Debug, Clone, Copy)]
enum Function {
    Url,
    ImageSet,
    /// One whose address is matched with, not followed.
    Names,
}

const FUNCTIONS: &[(&str, Function)] = &[
    ("url", Function::Url),
    ("src", Function::Url),
    ("image-set", Function::ImageSet),
    ("-webkit-image-set", Function::ImageSet),
    ("url-prefix", Function::Names),
];

const PRELUDES: &[(&str, Prelude)] = &[
    ("import", Prelude::Import),
    ("font-face", Prelude::FontFace),
    ("namespace", Prelude::Names),
    ("document", Prelude::Names),
    ("-moz-document", Prelude::Names),
];

fn match_name<T: Copy>(name: &str, table: &[(&str, T)]) -> Option<T> {
    table.iter().find(|(known, _)| name.eq_ignore_ascii_case(known)).map(|&(_, value)| value)
}
