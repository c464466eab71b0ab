//! What a document says of its encoding in its first bytes.
//!
//! The HTML standard's "prescan a byte stream to determine its encoding", which is meant to find
//! just what browsers find, in documents that may be broken in any way.

use super::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252, X_USER_DEFINED};

/// How far the standard looks.
const PRESCAN: usize = 1024;

/// The encoding that a document in an ASCII-compatible encoding declares.
pub(super) fn declared_encoding(bytes: &[u8]) -> Option<&'static Encoding> {
    let head = &bytes[..bytes.len().min(PRESCAN)];
    if let Some(rest) = head.strip_prefix(b"@charset \"") {
        // CSS wants exactly this spelling.
        let end = rest.windows(2).position(|pair| pair == b"\";")?;
        return for_declared_label(&rest[..end]);
    }
    if head.starts_with(b"<\0?\0x\0") {
        return Some(UTF_16LE);
    }
    if head.starts_with(b"\0<\0?\0x") {
        return Some(UTF_16BE);
    }
    xml_declaration(head).or_else(|| Prescan { bytes: head, at: 0 }.run())
}

/// The encoding of a label found inside a document: one found by reading ASCII cannot be UTF-16.
fn for_declared_label(label: &[u8]) -> Option<&'static Encoding> {
    let encoding = Encoding::for_label(label)?;
    Some(if encoding == UTF_16LE || encoding == UTF_16BE {
        UTF_8
    } else if encoding == X_USER_DEFINED {
        WINDOWS_1252
    } else {
        encoding
    })
}

fn xml_declaration(head: &[u8]) -> Option<&'static Encoding> {
    let rest = head.strip_prefix(b"<?xml")?;
    let end = rest.iter().position(|&b| b == b'>')?;
    let at = memchr::memmem::find(&rest[..end], b"encoding")?;
    let rest = rest[at + 8..end].trim_ascii_start().strip_prefix(b"=")?;
    let (&quote, value) = rest.trim_ascii_start().split_first()?;
    if quote != b'"' && quote != b'\'' {
        return None;
    }
    let end = value.iter().position(|&b| b == quote)?;
    for_declared_label(&value[..end])
}

struct Prescan<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Prescan<'_> {
    fn rest(&self) -> &[u8] {
        &self.bytes[self.at..]
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn starts_with_ignore_case(&self, text: &[u8]) -> bool {
        self.rest().get(..text.len()).is_some_and(|have| have.eq_ignore_ascii_case(text))
    }

    fn run(&mut self) -> Option<&'static Encoding> {
        while self.at < self.bytes.len() {
            self.at += memchr::memchr(b'<', self.rest())?;
            if self.rest().starts_with(b"<!--") {
                // The comment's dashes may overlap: `<!-->` is one.
                self.at += 2;
                self.at += memchr::memmem::find(self.rest(), b"-->")? + 3;
            } else if self.starts_with_ignore_case(b"<meta")
                && matches!(self.bytes.get(self.at + 5), Some(&b) if is_space(b) || b == b'/')
            {
                self.at += 5;
                if let Some(encoding) = self.meta() {
                    return Some(encoding);
                }
            } else if self.is_tag() {
                while self.peek().is_some_and(|b| !is_space(b) && b != b'>') {
                    self.at += 1;
                }
                while self.attribute().is_some() {}
            } else if matches!(self.bytes.get(self.at + 1), Some(b'!' | b'/' | b'?')) {
                self.at += memchr::memchr(b'>', self.rest())? + 1;
            } else {
                self.at += 1;
            }
        }
        None
    }

    fn is_tag(&self) -> bool {
        let rest = self.rest();
        let name = rest.strip_prefix(b"</").unwrap_or(&rest[1..]);
        name.first().is_some_and(u8::is_ascii_alphabetic)
    }

    fn meta(&mut self) -> Option<&'static Encoding> {
        let (mut charset, mut content) = (None, None);
        let mut got_pragma = false;
        let mut seen = Vec::new();
        while let Some((name, value)) = self.attribute() {
            if seen.contains(&name) {
                continue;
            }
            match name.as_slice() {
                b"http-equiv" => got_pragma |= value == b"content-type",
                b"content" if charset.is_none() => {
                    content = content.or_else(|| label_in_content(&value).map(<[u8]>::to_vec));
                }
                b"charset" => charset = Some(value),
                _ => {}
            }
            seen.push(name);
        }
        match (charset, content) {
            (Some(label), _) => for_declared_label(&label),
            (None, Some(label)) if got_pragma => for_declared_label(&label),
            _ => None,
        }
    }

    /// The next attribute of the tag that is being read, name and value in lower case, or `None`
    /// past the tag's end: the standard's "get an attribute".
    fn attribute(&mut self) -> Option<(Vec<u8>, Vec<u8>)> {
        while self.peek().is_some_and(|b| is_space(b) || b == b'/') {
            self.at += 1;
        }
        if self.peek()? == b'>' {
            return None;
        }
        let mut name = Vec::new();
        while let Some(b) = self.peek() {
            if b == b'=' && !name.is_empty() || is_space(b) || b == b'/' || b == b'>' {
                break;
            }
            name.push(b.to_ascii_lowercase());
            self.at += 1;
        }
        self.skip_space();
        if self.peek() != Some(b'=') {
            return Some((name, Vec::new()));
        }
        self.at += 1;
        self.skip_space();
        let mut value = Vec::new();
        let first = self.peek()?;
        if !matches!(first, b'"' | b'\'') {
            while let Some(b) = self.peek().filter(|&b| !is_space(b) && b != b'>') {
                value.push(b.to_ascii_lowercase());
                self.at += 1;
            }
            return Some((name, value));
        }
        self.at += 1;
        while let Some(b) = self.peek() {
            self.at += 1;
            if b == first {
                return Some((name, value));
            }
            value.push(b.to_ascii_lowercase());
        }
        // Cut off inside the value: better nothing than half a label.
        None
    }

    fn skip_space(&mut self) {
        while self.peek().is_some_and(is_space) {
            self.at += 1;
        }
    }
}

/// The label behind `charset=` in the `content` of a `meta` element.
fn label_in_content(value: &[u8]) -> Option<&[u8]> {
    let mut rest = value;
    loop {
        rest = &rest[memchr::memmem::find(rest, b"charset")? + 7..];
        let trimmed = rest.trim_ascii_start();
        let Some(label) = trimmed.strip_prefix(b"=") else {
            continue;
        };
        let label = label.trim_ascii_start();
        let (first, rest) = label.split_first()?;
        return if matches!(first, b'"' | b'\'') {
            let end = rest.iter().position(|b| b == first)?;
            Some(&rest[..end])
        } else {
            let end = label.iter().position(|&b| is_space(b) || b == b';');
            Some(&label[..end.unwrap_or(label.len())])
        };
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b'\t' | b'\n' | b'\x0c' | b'\r' | b' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared(text: &str) -> Option<&'static str> {
        declared_encoding(text.as_bytes()).map(Encoding::name)
    }

    #[test]
    fn declarations_are_found_as_browsers_find_them() {
        let table = [
            "<meta charset=gbk>",
            "<META CHARSET='GBK'>",
            "<meta/charset = \"gbk\" />",
            "<meta a=b charset=gbk c",
            "<meta http-equiv=Content-Type content='text/html; charset=gbk'>",
            "<meta content='text/html; charset = \"gbk\"' http-equiv=\"content-type\">",
            "<meta http-equiv=content-type content='charset charset=gbk;x'>",
            "<!doctype html><html lang=a><!-- <meta charset=big5> --><head><meta charset=gbk>",
            "<!--><meta charset=gbk>",
            "<a title='<meta charset=big5>'><meta charset=gbk>",
            "</a b='<meta charset=big5>'><meta charset=gbk>",
            "<?php <meta charset=big5> ?><meta charset=gbk>",
            "< a <1 <meta charset=nonsense><metal charset=big5><meta charset=gbk>",
            "<meta charset=gbk charset=big5>",
            "<meta charset=gbk http-equiv=content-type content='charset=big5'>",
            "<?xml version='1.0' encoding = \"gbk\"?><svg/>",
            "@charset \"gbk\";a{}",
        ];
        for text in table {
            assert_eq!(declared(text), Some("GBK"), "{text}");
        }
    }

    #[test]
    fn what_is_no_declaration_is_passed_over() {
        let late = format!("{}<meta charset=gbk>", " ".repeat(1024));
        for text in [
            "",
            "<",
            "<!",
            "<!--",
            "<m",
            "<meta",
            "<meta ",
            "<meta charset",
            "<meta charset=",
            "<meta charset='gbk",
            "<metacharset=gbk>",
            "<meta content='charset=gbk'>",
            "<meta http-equiv=refresh content='charset=gbk'>",
            "<meta http-equiv=content-type content='charset=\"gbk'>",
            "<!-- <meta charset=gbk>",
            "<meta charset=nonsense>",
            "<?xml encoding=gbk?>",
            "<?xml encoding='gbk'",
            "@charset 'gbk';",
            "@charset \"gbk\"",
            &late,
        ] {
            assert_eq!(declared(text), None, "{text}");
        }
    }

    #[test]
    fn a_label_read_as_ascii_cannot_mean_utf16() {
        assert_eq!(declared("<meta charset=utf-16>"), Some("UTF-8"));
        assert_eq!(declared("<meta charset=x-user-defined>"), Some("windows-1252"));
        assert_eq!(declared_encoding(b"<\0?\0x\0m\0l\0"), Some(UTF_16LE));
        assert_eq!(declared_encoding(b"\0<\0?\0x\0m\0l"), Some(UTF_16BE));
    }
}
