//! The `srcset` attribute: image candidates with their widths or densities.
//!
//! This follows the algorithm "parse a srcset attribute" of the HTML standard, which is what makes
//! commas inside addresses (`data:` ones, and those of image services) come out right.

/// Calls `found` with the address of every valid candidate.
pub(super) fn candidates<'a>(text: &'a str, mut found: impl FnMut(&'a str)) {
    let bytes = text.as_bytes();
    let mut at = 0;
    loop {
        while at < bytes.len() && (is_space(bytes[at]) || bytes[at] == b',') {
            at += 1;
        }
        if at == bytes.len() {
            return;
        }
        let start = at;
        while at < bytes.len() && !is_space(bytes[at]) {
            at += 1;
        }
        let url = &text[start..at];
        let trimmed = url.trim_end_matches(',');
        if trimmed.len() < url.len() {
            // The comma ended the candidate: it has no descriptors.
            found(trimmed);
            continue;
        }
        let start = at;
        // A comma inside parentheses belongs to a descriptor of the future.
        let mut in_parens = false;
        while at < bytes.len() && (in_parens || bytes[at] != b',') {
            in_parens = match bytes[at] {
                b'(' => true,
                b')' => false,
                _ => in_parens,
            };
            at += 1;
        }
        if are_valid_descriptors(&text[start..at]) {
            found(url);
        }
    }
}

/// Whether browsers would use a candidate with these descriptors: at most one of width (`100w`),
/// density (`2x`) and, next to a width, height (`50h`).
fn are_valid_descriptors(text: &str) -> bool {
    let (mut width, mut density, mut height) = (false, false, false);
    for token in text.split(|c: char| c.is_ascii() && is_space(c as u8)) {
        let Some((last, value)) = token.as_bytes().split_last() else {
            continue;
        };
        let value = std::str::from_utf8(value).unwrap_or("");
        let digits = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
        let nonzero = value.bytes().any(|b| b != b'0');
        match last {
            b'w' if digits && nonzero && !width && !density => width = true,
            b'h' if digits && nonzero && !height && !density => height = true,
            b'x' if !width && !density && !height && is_float(value) => density = true,
            _ => return false,
        }
    }
    !height || width
}

/// A valid floating-point number of the HTML standard that is not negative.
fn is_float(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'))
        && !text.starts_with('+')
        && text.parse::<f64>().is_ok_and(|value| value.is_finite() && value >= 0.0)
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\x0c' | b'\r')
}

#[cfg(test)]
mod tests {
    use super::candidates;

    fn urls(text: &str) -> Vec<&str> {
        let mut out = Vec::new();
        candidates(text, |url| out.push(url));
        out
    }

    #[test]
    fn candidates_are_split_as_the_standard_says() {
        let table: &[(&str, &[&str])] = &[
            ("", &[]),
            (" , ,, ", &[]),
            ("a.png", &["a.png"]),
            ("a.png 1x, b.png 2x", &["a.png", "b.png"]),
            ("a.png 1x,b.png 2x", &["a.png", "b.png"]),
            ("a.png, b.png 2x", &["a.png", "b.png"]),
            ("a.png,b.png 2x", &["a.png,b.png"]),
            ("a.png,,, b.png", &["a.png", "b.png"]),
            ("\n\ta.png\t100w\x0c,\r\nb.png 200w 50h", &["a.png", "b.png"]),
            ("data:image/png;base64,AA== 1x, b.png 2x", &["data:image/png;base64,AA==", "b.png"]),
            (
                "https://i.example/w_100,h_50/a.png 100w, https://i.example/w_200,h_90/a.png 200w",
                &["https://i.example/w_100,h_50/a.png", "https://i.example/w_200,h_90/a.png"],
            ),
            ("a.png 1.5x, b.png .5x, c.png 1e2x, d.png 0x", &["a.png", "b.png", "c.png", "d.png"]),
            ("a.png 1x", &["a.png"]),
            ("a.png (x, y) 1x, b.png 1x", &["b.png"]),
            ("a.png calc(1, 2, b.png 1x", &[]),
        ];
        for (text, expected) in table {
            assert_eq!(urls(text), *expected, "{text:?}");
        }
    }

    #[test]
    fn candidates_with_wrong_descriptors_are_dropped() {
        for text in [
            "a.png 1",
            "a.png x",
            "a.png w",
            "a.png 0w",
            "a.png -1w",
            "a.png 1.5w",
            "a.png -1x",
            "a.png +1x",
            "a.png NaNx",
            "a.png infx",
            "a.png 1x 2x",
            "a.png 1w 1x",
            "a.png 1w 2w",
            "a.png 50h",
            "a.png 1x 50h",
            "my photo.png 1x",
            "a.png 1X",
            "a.png ü",
        ] {
            assert_eq!(urls(text), Vec::<&str>::new(), "{text:?}");
        }
    }
}
