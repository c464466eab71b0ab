//! Whether an image file is all there, by its structure.
//!
//! A connection that breaks off early is usually told by the body's length; this is for servers
//! that do not say the length, or say the wrong one. When in doubt a file is whole: writers leave
//! things out and put things behind the end, and viewers do not mind.

use super::{Format, be16, be32, le16, le32};

/// How many of the last bytes [`check_complete`] wants to see.
pub const TAIL_LEN: usize = 64 * 1024;

/// An image that ends too early.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("truncated {format}: {missing} is missing")]
pub struct Truncated {
    /// The image's format.
    pub format: Format,
    /// The part that should be there.
    pub missing: &'static str,
}

/// Looks whether an image of `len` bytes has the end that its format demands.
///
/// `head` are its first bytes and `tail` its last ones: as many as there are, or at least some
/// kilobytes of head and [`TAIL_LEN`] of tail. If `head` is the whole file, PNG, JPEG and GIF are
/// walked through from part to part; otherwise the end is searched for its mark. TIFF is not
/// checked: its parts may lie in any order.
///
/// # Errors
/// [`Truncated`] if the end is not there.
pub fn check_complete(format: Format, len: u64, head: &[u8], tail: &[u8]) -> Result<(), Truncated> {
    let whole = (head.len() as u64 == len).then_some(head);
    let missing = match format {
        Format::Jpeg => jpeg(whole, tail),
        Format::Png => png(whole, tail),
        Format::Gif => gif(whole, tail),
        Format::WebP => webp(len, head),
        Format::Bmp => bmp(len, head),
        Format::Ico | Format::Cur => icon(len, head),
        Format::Avif | Format::Heic => boxes(len, head),
        Format::Jxl if head.starts_with(super::JXL) => boxes(len, head),
        Format::Svg => svg(head, tail),
        Format::Jxl | Format::Tiff => None,
    };
    match missing {
        Some(missing) => Err(Truncated { format, missing }),
        None => Ok(()),
    }
}

/// The part that is missing, if one is.
type Missing = Option<&'static str>;

fn jpeg(whole: Option<&[u8]>, tail: &[u8]) -> Missing {
    let missing = Some("the end-of-image marker");
    if let Some(bytes) = whole {
        return if jpeg_has_end(bytes) { None } else { missing };
    }
    // A compressed picture has no other marker behind a 0xff than restarts and stuffing. Anything
    // else behind the last marker is a film or some such that was put behind the picture.
    let mut pairs = tail.windows(2).filter(|pair| pair[0] == 0xff);
    let in_picture = pairs.all(|pair| matches!(pair[1], 0x00 | 0xd0..=0xd7 | 0xff));
    let is_padding = tail.iter().all(|&b| b == 0);
    if in_picture && !is_padding { missing } else { None }
}

/// Walks from marker to marker.
fn jpeg_has_end(bytes: &[u8]) -> bool {
    let mut at = 2;
    loop {
        // To the next marker: inside a picture, past stuffing and restarts.
        let Some(found) = bytes.get(at..).and_then(|rest| memchr::memchr(0xff, rest)) else {
            return false;
        };
        at += found;
        match bytes.get(at + 1) {
            None => return false,
            Some(0xd9) => return true,
            Some(0xff) => at += 1,
            Some(0x00 | 0x01 | 0xd0..=0xd8) => at += 2,
            Some(_) => match be16(bytes, at + 2) {
                Some(len) => at += 2 + usize::from(len.max(2)),
                None => return false,
            },
        }
    }
}

fn png(whole: Option<&[u8]>, tail: &[u8]) -> Missing {
    let missing = Some("the IEND chunk");
    let Some(bytes) = whole else {
        let end = memchr::memmem::find(tail, b"IEND\xae\x42\x60\x82");
        return if end.is_some() { None } else { missing };
    };
    let mut at = super::PNG.len();
    loop {
        let (Some(len), Some(kind)) = (be32(bytes, at), bytes.get(at + 4..at + 8)) else {
            return missing;
        };
        at = at.saturating_add(12).saturating_add(len as usize);
        if kind == b"IEND" {
            // Some writers forget its checksum, and all viewers forgive that.
            return None;
        }
    }
}

fn gif(whole: Option<&[u8]>, tail: &[u8]) -> Missing {
    let complete = if let Some(bytes) = whole {
        gif_has_trailer(bytes).is_some()
    } else {
        let padding = tail.iter().rev().take_while(|&&b| b == 0).count();
        let end = &tail[tail.len().saturating_sub(1024)..];
        tail[..tail.len() - padding].last() == Some(&b';')
            || memchr::memmem::find(end, b"\0;").is_some()
    };
    if complete { None } else { Some("the trailer") }
}

/// Walks from block to block.
fn gif_has_trailer(bytes: &[u8]) -> Option<()> {
    let table = |flags: u8| {
        if flags & 0x80 != 0 { 3 << ((flags & 7) + 1) } else { 0 }
    };
    let mut at = 13 + table(*bytes.get(10)?);
    loop {
        match bytes.get(at)? {
            b'!' => at += 2,
            b',' => at += 11 + table(*bytes.get(at + 9)?),
            // The trailer (`;`), or no block at all: viewers show what came before.
            _ => return Some(()),
        }
        // The data, in pieces of up to 255 bytes and an empty one.
        loop {
            let len = usize::from(*bytes.get(at)?);
            at += 1 + len;
            if len == 0 {
                break;
            }
        }
    }
}

fn webp(len: u64, head: &[u8]) -> Missing {
    let stated = u64::from(le32(head, 4)?) + 8;
    // Some writers count a last byte of padding that they leave out.
    (stated > len + 1).then_some("a part of the RIFF container")
}

fn bmp(len: u64, head: &[u8]) -> Missing {
    (u64::from(le32(head, 2)?) > len).then_some("a part of the bitmap")
}

fn icon(len: u64, head: &[u8]) -> Missing {
    let count = le16(head, 4)? as usize;
    let entries = head.get(6..)?.chunks_exact(16).take(count);
    let end =
        entries.filter_map(|e| Some(u64::from(le32(e, 8)?) + u64::from(le32(e, 12)?))).max()?;
    (end > len).then_some("a picture")
}

/// The boxes of image files that matter. Anything else at the end may be garbage.
const BOXES: [&[u8; 4]; 6] = [b"ftyp", b"meta", b"mdat", b"moov", b"jxlc", b"jxlp"];

/// ISO media: every box says its length.
fn boxes(len: u64, head: &[u8]) -> Missing {
    let mut at = 0_u64;
    loop {
        // Behind the head the file cannot be seen; a length of zero means up to the end.
        let start = usize::try_from(at).ok()?;
        let size = match be32(head, start)? {
            0 => return None,
            1 => u64::from(be32(head, start + 8)?) << 32 | u64::from(be32(head, start + 12)?),
            size => u64::from(size),
        };
        if size < 8 {
            return None;
        }
        at = at.checked_add(size)?;
        if at > len {
            let kind = head.get(start + 4..start + 8)?;
            let matters = BOXES.iter().any(|known| kind == known.as_slice());
            return matters.then_some("a part of a box");
        }
    }
}

fn svg(head: &[u8], tail: &[u8]) -> Missing {
    // In UTF-16 every other byte is zero.
    let ascii = |bytes: &[u8]| bytes.iter().copied().filter(|&b| b != 0).collect::<Vec<u8>>();
    let tail = ascii(tail);
    let closes = memchr::memmem::rfind(&tail, b"</").is_some_and(|at| {
        let name = tail[at + 2..].split(|&b| b == b'>' || b.is_ascii_whitespace()).next();
        name.is_some_and(|name| name.ends_with(b"svg"))
    });
    let self_closing = tail.trim_ascii_end().ends_with(b"/>") && root_ends_itself(&ascii(head));
    if closes || self_closing { None } else { Some("the end of the root element") }
}

/// Whether the tag of the root element ends in `/>`.
fn root_ends_itself(head: &[u8]) -> bool {
    let starts: [&[u8]; 2] = [b"<svg", b":svg"];
    let mut starts = starts.iter().filter_map(|s| memchr::memmem::find(head, s));
    let Some(root) = starts.next() else {
        return false;
    };
    let mut quote = None;
    let mut before = 0;
    for &byte in &head[root..] {
        match byte {
            _ if quote == Some(byte) => quote = None,
            _ if quote.is_some() => {}
            b'"' | b'\'' => quote = Some(byte),
            b'>' => return before == b'/',
            _ => {}
        }
        before = byte;
    }
    false
}
