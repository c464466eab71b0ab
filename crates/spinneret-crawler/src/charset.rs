//! From bytes to text: which encoding a document is in, and decoding it.
//!
//! In the order of the [HTML standard]: a byte order mark, the charset of the `Content-Type`
//! header, what the document says of itself in its first 1024 bytes (`<meta>`, and also the XML
//! declaration and CSS's `@charset`, so that one function serves all kinds), and else a guess:
//! UTF-8 if the bytes are valid UTF-8, otherwise what chardetng, Firefox's detector, makes of them.
//!
//! [HTML standard]: https://html.spec.whatwg.org/#determining-the-character-encoding

use std::borrow::Cow;

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252, X_USER_DEFINED};

mod prescan;

/// How many bytes the detector looks at. More make its guess no better.
const GUESS_FROM: usize = 64 * 1024;

/// A decoded document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded<'a> {
    /// The text, without a byte order mark. It borrows the bytes when they are the text already.
    pub text: Cow<'a, str>,
    /// The encoding's name, as the [Encoding standard](https://encoding.spec.whatwg.org/) has it.
    pub encoding: &'static str,
    /// What was wrong. The text is usable all the same.
    pub problem: Option<CharsetProblem>,
}

/// What was wrong with a document's encoding.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CharsetProblem {
    /// The server named an encoding that does not exist. It was passed over.
    #[error("unknown charset `{label}`: the text was read by other signs")]
    Unknown {
        /// What the server said, at most 40 bytes of it.
        label: String,
    },
    /// Some bytes mean nothing in the encoding and became U+FFFD.
    #[error("not valid {encoding}: wrong bytes were replaced")]
    Invalid {
        /// The encoding's name.
        encoding: &'static str,
    },
}

/// Decodes a document that came with this `Content-Type`, if it came with any.
pub fn decode<'a>(bytes: &'a [u8], content_type: Option<&str>) -> Decoded<'a> {
    let mut problem = None;
    let (encoding, body) = if let Some((encoding, len)) = Encoding::for_bom(bytes) {
        (encoding, &bytes[len..])
    } else {
        let declared = content_type.and_then(charset_parameter);
        let from_header = declared.and_then(|label| Encoding::for_label(label.as_bytes()));
        if let (Some(label), None) = (declared, from_header) {
            let label = label[..label.floor_char_boundary(40)].to_owned();
            problem = Some(CharsetProblem::Unknown { label });
        }
        let encoding = from_header.or_else(|| prescan::declared_encoding(bytes));
        (encoding.unwrap_or_else(|| guess(bytes)), bytes)
    };
    let (text, had_errors) = encoding.decode_without_bom_handling(body);
    if had_errors {
        problem = Some(CharsetProblem::Invalid { encoding: encoding.name() });
    }
    Decoded { text, encoding: encoding.name(), problem }
}

/// The value of the `charset` parameter of a media type.
fn charset_parameter(content_type: &str) -> Option<&str> {
    let mut parameters = content_type.split(';').skip(1);
    let value = parameters.find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then_some(value)
    })?;
    let value = value.trim().trim_matches(['"', '\'']).trim();
    (!value.is_empty()).then_some(value)
}

fn guess(bytes: &[u8]) -> &'static Encoding {
    if std::str::from_utf8(bytes).is_ok() {
        return UTF_8;
    }
    let head = &bytes[..bytes.len().min(GUESS_FROM)];
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    detector.feed(head, head.len() == bytes.len());
    detector.guess(None, Utf8Detection::Allow)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoding(bytes: &[u8], content_type: Option<&str>) -> &'static str {
        decode(bytes, content_type).encoding
    }

    #[test]
    fn a_byte_order_mark_wins_over_everything() {
        let latin = Some("text/html; charset=iso-8859-1");
        let decoded = decode(b"\xEF\xBB\xBFa\xC3\xBC", latin);
        assert_eq!((&*decoded.text, decoded.encoding), ("aü", "UTF-8"));
        let decoded = decode(b"\xFF\xFEa\0\xFC\0", latin);
        assert_eq!((&*decoded.text, decoded.encoding), ("aü", "UTF-16LE"));
        let decoded = decode(b"\xFE\xFF\0a\0\xFC", None);
        assert_eq!((&*decoded.text, decoded.encoding), ("aü", "UTF-16BE"));
    }

    #[test]
    fn the_header_wins_over_the_document() {
        let page = b"<meta charset=utf-8>\xFC";
        for header in [
            "text/html; charset=windows-1252",
            "text/html;charset=\"Windows-1252\"",
            "text/html ; a=b; CHARSET = latin1 ; c=d",
            "text/html; charset='iso-8859-1'",
        ] {
            let decoded = decode(page, Some(header));
            assert_eq!(decoded.encoding, "windows-1252", "{header}");
            assert!(decoded.text.ends_with('ü') && decoded.problem.is_none());
        }
        for header in
            ["text/html", "", "text/html; charset=", "charset=latin1", "text/html; xcharset=latin1"]
        {
            assert_eq!(
                encoding(b"<meta charset=shift_jis>", Some(header)),
                "Shift_JIS",
                "{header}"
            );
        }
    }

    #[test]
    fn an_unknown_charset_is_reported_and_passed_over() {
        let decoded =
            decode("<meta charset=utf-8>ü".as_bytes(), Some("text/html; charset=klingon"));
        assert_eq!(decoded.encoding, "UTF-8");
        assert_eq!(decoded.problem, Some(CharsetProblem::Unknown { label: "klingon".into() }));
        let long = format!("text/html; charset={}", "ü".repeat(1000));
        match decode(b"a", Some(&long)).problem {
            Some(CharsetProblem::Unknown { label }) => assert_eq!(label.len(), 40),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn wrong_bytes_are_reported_and_replaced() {
        let decoded = decode(b"<p>\xFF</p>", Some("text/html; charset=utf-8"));
        assert_eq!(decoded.text, "<p>\u{FFFD}</p>");
        assert_eq!(decoded.problem, Some(CharsetProblem::Invalid { encoding: "UTF-8" }));
        let decoded = decode(b"\xFF\xFEa", None);
        assert_eq!(decoded.problem, Some(CharsetProblem::Invalid { encoding: "UTF-16LE" }));
    }

    #[test]
    fn valid_utf8_is_not_copied() {
        for text in ["", "plain", "größe 😀"] {
            let decoded = decode(text.as_bytes(), None);
            assert_eq!((decoded.encoding, decoded.problem), ("UTF-8", None));
            assert!(matches!(decoded.text, Cow::Borrowed(borrowed) if borrowed == text));
        }
    }

    #[test]
    fn what_says_nothing_of_itself_is_guessed() {
        let (bytes, _, _) = encoding_rs::WINDOWS_1251
            .encode("Съешь же ещё этих мягких французских булок, да выпей чаю");
        let decoded = decode(&bytes, None);
        assert_eq!(decoded.encoding, "windows-1251");
        assert!(decoded.text.starts_with("Съешь"));
        let (bytes, _, _) = encoding_rs::SHIFT_JIS.encode("吾輩は猫である。名前はまだ無い。");
        assert_eq!(encoding(&bytes, None), "Shift_JIS");
        assert_eq!(encoding(b"Stra\xDFe und Gr\xFC\xDFe", None), "windows-1252");
    }

    #[test]
    fn any_bytes_decode() {
        let mut state = 1_u32;
        for len in (0..2_000_usize).step_by(7) {
            let bytes: Vec<u8> = (0..len)
                .map(|_| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (state >> 24) as u8
                })
                .collect();
            let decoded = decode(&bytes, None);
            assert!(!decoded.encoding.is_empty());
        }
    }
}
