//! Telling SVG from other text.

use std::borrow::Cow;

use super::{Format, Look, Size};

/// What a beginning that has no binary signature is.
pub(super) fn look(head: &[u8]) -> Look {
    if head.is_empty() {
        return Look::TooShort;
    }
    let Some(text) = as_text(head) else {
        return Look::Not("unknown data");
    };
    let Some(rest) = skip_prologue(&text) else {
        return Look::TooShort;
    };
    let Some(tag) = rest.strip_prefix('<') else {
        return match rest.chars().next() {
            None => Look::TooShort,
            Some('{' | '[') => Look::Not("JSON"),
            Some(_) => Look::Not("text"),
        };
    };
    if starts_with_ignore_case(tag, "!doctype html") {
        return Look::Not("HTML");
    }
    let is_name = |c: char| c.is_alphanumeric() || matches!(c, ':' | '-' | '_' | '.');
    let Some(end) = tag.find(|c| !is_name(c)) else {
        // The name may go on.
        return if tag.len() < 64 { Look::TooShort } else { Look::Not("text") };
    };
    let (name, attributes) = tag.split_at(end);
    if name.rsplit(':').next() == Some("svg") {
        return Look::Image(Format::Svg, size(attributes));
    }
    let html = [
        "html", "head", "body", "title", "script", "style", "meta", "link", "div", "span", "p",
        "a", "table", "center", "font", "iframe", "h1", "h2", "b", "br", "img", "form", "noscript",
        "base",
    ];
    Look::Not(if html.iter().any(|known| name.eq_ignore_ascii_case(known)) {
        "HTML"
    } else if name.is_empty() {
        "text"
    } else {
        "XML"
    })
}

/// The beginning as text, or `None` if it has bytes that text does not have.
fn as_text(head: &[u8]) -> Option<Cow<'_, str>> {
    if let Some((encoding, len)) = encoding_rs::Encoding::for_bom(head) {
        return Some(encoding.decode_without_bom_handling(&head[len..]).0);
    }
    let is_binary = |&b: &u8| b < b' ' && !matches!(b, b'\t' | b'\n' | b'\r' | b'\x0c' | b'\x1b');
    if head.iter().take(512).any(is_binary) {
        return None;
    }
    Some(String::from_utf8_lossy(head))
}

/// Past everything that may stand before the root element of a document; `None` if it goes on
/// behind the end. An HTML doctype is left there.
fn skip_prologue(text: &str) -> Option<&str> {
    let mut rest = text.trim_start_matches('\u{feff}').trim_start();
    loop {
        let (start, end) = if rest.starts_with("<?") {
            (2, "?>")
        } else if rest.starts_with("<!--") {
            (4, "-->")
        } else if starts_with_ignore_case(rest, "<!doctype") {
            let name = rest[9..].trim_start();
            if name.len() < 4 {
                return None;
            }
            if starts_with_ignore_case(name, "html") {
                return Some("<!doctype html");
            }
            rest = rest[doctype_len(rest)?..].trim_start();
            continue;
        } else if "<!doctype".starts_with(&rest.to_ascii_lowercase()) || "<!--".starts_with(rest) {
            // Also nothing at all.
            return None;
        } else {
            return Some(rest);
        };
        rest = rest[start..].split_once(end)?.1.trim_start();
    }
}

/// How long a doctype is, with the declarations that it may hold in brackets.
fn doctype_len(text: &str) -> Option<usize> {
    let (mut quote, mut in_brackets) = (None, false);
    for (i, byte) in text.bytes().enumerate() {
        match byte {
            _ if quote == Some(byte) => quote = None,
            _ if quote.is_some() => {}
            b'"' | b'\'' => quote = Some(byte),
            b'[' => in_brackets = true,
            b']' => in_brackets = false,
            b'>' if !in_brackets => return Some(i + 1),
            _ => {}
        }
    }
    None
}

/// The dimensions that the attributes of an `svg` element give, up to the end of its tag.
fn size(mut rest: &str) -> Size {
    let (mut width, mut height, mut view_box) = (None, None, None);
    loop {
        rest = rest.trim_start();
        if rest.starts_with('>') || rest.starts_with("/>") {
            break;
        }
        let Some((name, after)) = rest.split_once('=') else {
            return Size::Later;
        };
        let Some(quote) = after.trim_start().chars().next() else {
            return Size::Later;
        };
        if !matches!(quote, '"' | '\'') {
            return Size::Unknown;
        }
        let Some((value, after)) = after.trim_start()[1..].split_once(quote) else {
            return Size::Later;
        };
        match name.trim() {
            "width" => width = length(value),
            "height" => height = length(value),
            "viewBox" => view_box = view_box_size(value),
            _ => {}
        }
        rest = after;
    }
    let (width, height) = match (width, height, view_box) {
        (Some(width), Some(height), _) | (None, None, Some((width, height))) => (width, height),
        (Some(width), None, Some((w, h))) => (width, width * h / w),
        (None, Some(height), Some((w, h))) => (height * w / h, height),
        _ => return Size::Unknown,
    };
    match (pixels(width), pixels(height)) {
        (Some(width), Some(height)) => Size::Known(width, height),
        _ => Size::Unknown,
    }
}

/// A length in pixels, unless it depends on the surroundings (`100%`, `2em`).
fn length(text: &str) -> Option<f64> {
    let text = text.trim();
    let units = [
        ("px", 1.0),
        ("pt", 96.0 / 72.0),
        ("pc", 16.0),
        ("mm", 96.0 / 25.4),
        ("cm", 96.0 / 2.54),
        ("in", 96.0),
    ];
    let found = units.iter().find_map(|&(unit, pixels)| {
        let number = text.strip_suffix(unit)?;
        Some((number, pixels))
    });
    let (number, pixels) = found.unwrap_or((text, 1.0));
    Some(number.trim().parse::<f64>().ok()? * pixels)
}

fn view_box_size(text: &str) -> Option<(f64, f64)> {
    let mut numbers = text
        .split([' ', ',', '\t', '\n', '\r'])
        .filter(|part| !part.is_empty())
        .skip(2)
        .map(str::parse::<f64>);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

fn pixels(value: f64) -> Option<u32> {
    let value = value.round();
    // Also false for what is not a number.
    #[allow(clippy::cast_sign_loss)] // Positive.
    (1.0..=f64::from(i32::MAX)).contains(&value).then_some(value as u32)
}

fn starts_with_ignore_case(text: &str, start: &str) -> bool {
    text.as_bytes()
        .get(..start.len())
        .is_some_and(|have| have.eq_ignore_ascii_case(start.as_bytes()))
}
