//! Whether bytes are an image: of which format, how large, and all there.
//!
//! What a server calls an image often is not: error pages come with status 200 and an image's
//! type. So the bytes decide. [`probe`] looks at the first ones while they arrive, and
//! [`check_complete`] at both ends of the finished file. Nothing is decoded.
//!
//! Signatures and the simple headers are read here, since the questions are ours: is this not yet
//! or never an image, and what is it instead? For the three formats whose dimensions are deep
//! inside (TIFF, AVIF and HEIC, JPEG XL) the `imagesize` crate finds them.
//!
//! Compressed SVG (`.svgz`) is gzip until it is unpacked, as servers that send it with the right
//! `Content-Encoding` have HTTP clients do; without, it is reported as gzip.

use std::fmt;

mod complete;
mod markup;
#[cfg(test)]
mod tests;

pub use complete::{TAIL_LEN, Truncated, check_complete};

/// With this many bytes [`probe`] always decides.
///
/// The dimensions of a JPEG come after its metadata, which may hold a preview and a colour profile.
pub const PROBE_LEN: usize = 256 * 1024;

/// The image formats that are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// JPEG.
    Jpeg,
    /// PNG, also animated.
    Png,
    /// GIF.
    Gif,
    /// WebP.
    WebP,
    /// AVIF.
    Avif,
    /// HEIC and other HEIF.
    Heic,
    /// Windows bitmap.
    Bmp,
    /// Windows icon.
    Ico,
    /// Windows cursor.
    Cur,
    /// TIFF and `BigTIFF`.
    Tiff,
    /// SVG.
    Svg,
    /// JPEG XL.
    Jxl,
}

impl Format {
    /// The media type.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::Gif => "image/gif",
            Self::WebP => "image/webp",
            Self::Avif => "image/avif",
            Self::Heic => "image/heic",
            Self::Bmp => "image/bmp",
            Self::Ico | Self::Cur => "image/x-icon",
            Self::Tiff => "image/tiff",
            Self::Svg => "image/svg+xml",
            Self::Jxl => "image/jxl",
        }
    }

    /// The usual file extension, without a dot.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Jpeg => "jpg",
            Self::Png => "png",
            Self::Gif => "gif",
            Self::WebP => "webp",
            Self::Avif => "avif",
            Self::Heic => "heic",
            Self::Bmp => "bmp",
            Self::Ico => "ico",
            Self::Cur => "cur",
            Self::Tiff => "tif",
            Self::Svg => "svg",
            Self::Jxl => "jxl",
        }
    }

    /// The name that people use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Jpeg => "JPEG",
            Self::Png => "PNG",
            Self::Gif => "GIF",
            Self::WebP => "WebP",
            Self::Avif => "AVIF",
            Self::Heic => "HEIC",
            Self::Bmp => "BMP",
            Self::Ico => "ICO",
            Self::Cur => "CUR",
            Self::Tiff => "TIFF",
            Self::Svg => "SVG",
            Self::Jxl => "JPEG XL",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What the first bytes of a body say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    /// An image.
    Image {
        /// Its format.
        format: Format,
        /// The format's media type.
        content_type: &'static str,
        /// The format's usual extension, without a dot.
        extension: &'static str,
        /// Its width in pixels, as stored (before any rotation that metadata asks for); of an icon
        /// that of its largest picture. `None` if the format does not say, or not within
        /// [`PROBE_LEN`] bytes.
        width: Option<u32>,
        /// Its height in pixels, likewise.
        height: Option<u32>,
    },
    /// More bytes are needed to tell. Never with [`PROBE_LEN`] bytes or more.
    NeedMore,
    /// Not an image of a known format.
    NotImage {
        /// What it is instead, such as `HTML`.
        looks_like: &'static str,
    },
}

/// Looks at the first bytes of a body that is still arriving.
pub fn probe(head: &[u8]) -> Probe {
    if head.len() >= PROBE_LEN {
        return probe_complete(head);
    }
    to_probe(look(head)).unwrap_or(Probe::NeedMore)
}

/// Looks at a body of which there is no more to come. Never [`Probe::NeedMore`].
pub fn probe_complete(bytes: &[u8]) -> Probe {
    let head = &bytes[..bytes.len().min(PROBE_LEN)];
    let look = match look(head) {
        Look::Image(format, Size::Later) => Look::Image(format, Size::Unknown),
        other => other,
    };
    to_probe(look).unwrap_or(Probe::NotImage {
        looks_like: if head.is_empty() { "nothing" } else { "the beginning of something" },
    })
}

fn to_probe(look: Look) -> Option<Probe> {
    let (format, size) = match look {
        Look::TooShort | Look::Image(_, Size::Later) => return None,
        Look::Not(looks_like) => return Some(Probe::NotImage { looks_like }),
        Look::Image(format, Size::Known(width, height)) => (format, Some((width, height))),
        Look::Image(format, Size::Unknown) => (format, None),
    };
    // Formats with a zero for "not known here" have it in either place.
    let size = size.filter(|&(width, height)| width > 0 && height > 0);
    Some(Probe::Image {
        format,
        content_type: format.content_type(),
        extension: format.extension(),
        width: size.map(|(width, _)| width),
        height: size.map(|(_, height)| height),
    })
}

/// What can be said of some first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    TooShort,
    Image(Format, Size),
    Not(&'static str),
}

/// What can be said of an image's dimensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Size {
    Known(u32, u32),
    /// They may come in later bytes.
    Later,
    /// They will not.
    Unknown,
}

impl Size {
    /// Dimensions read at a fixed place, if that is there already.
    fn at(width: Option<u32>, height: Option<u32>) -> Self {
        match (width, height) {
            (Some(width), Some(height)) => Self::Known(width, height),
            _ => Self::Later,
        }
    }
}

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";
const JXL: &[u8] = b"\0\0\0\x0cJXL \r\n\x87\n";

/// Signatures of what is not an image but is often met in its place.
const OTHERS: &[(&[u8], &str)] = &[
    (b"%PDF-", "PDF"),
    (b"\x1f\x8b", "gzip"),
    (b"PK\x03\x04", "ZIP"),
    (b"8BPS", "Photoshop"),
    (b"\x1aE\xdf\xa3", "Matroska or WebM"),
    (b"OggS", "Ogg"),
    (b"ID3", "MP3"),
    (b"wOFF", "a font"),
    (b"wOF2", "a font"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
];

fn look(head: &[u8]) -> Look {
    use Format::{Gif, Jpeg, Png, Tiff, WebP};
    if head.starts_with(b"\xff\xd8\xff") {
        return Look::Image(Jpeg, jpeg_size(head));
    }
    if head.starts_with(PNG) {
        let size = match head.get(12..16) {
            Some(b"IHDR") | None => Size::at(be32(head, 16), be32(head, 20)),
            Some(_) => Size::Unknown,
        };
        return Look::Image(Png, size);
    }
    if head.starts_with(b"GIF87a") || head.starts_with(b"GIF89a") {
        return Look::Image(Gif, Size::at(le16(head, 6), le16(head, 8)));
    }
    if head.starts_with(b"RIFF") && head.len() >= 12 {
        return match &head[8..12] {
            b"WEBP" => Look::Image(WebP, webp_size(head)),
            _ => Look::Not("RIFF, but not WebP"),
        };
    }
    if head.get(4..8) == Some(b"ftyp") {
        return heif(head);
    }
    if [b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"].iter().any(|s| head.starts_with(*s)) {
        return Look::Image(Tiff, deep_size(head));
    }
    if head.starts_with(JXL) {
        return Look::Image(Format::Jxl, deep_size(head));
    }
    if head.starts_with(b"\xff\x0a") {
        return bare_jxl(head);
    }
    if head.starts_with(b"BM")
        && let Some(found) = bmp(head)
    {
        return found;
    }
    if head.starts_with(b"\0\0\x01\0") || head.starts_with(b"\0\0\x02\0") {
        return icon(head);
    }
    if let Some((_, name)) = OTHERS.iter().find(|(start, _)| head.starts_with(start)) {
        return Look::Not(name);
    }
    // What decides about a bitmap is in its first 18 bytes, and about the others in fewer.
    if head.len() < 18 && could_be_signature(head) {
        return Look::TooShort;
    }
    markup::look(head)
}

/// Whether so short a beginning may still become one of the binary signatures.
fn could_be_signature(head: &[u8]) -> bool {
    let signatures: [&[u8]; 9] =
        [b"\xff\xd8\xff", PNG, b"GIF8", b"RIFF", b"II", b"MM", JXL, b"BM", b"\0\0"];
    let others = OTHERS.iter().map(|&(start, _)| start);
    signatures
        .into_iter()
        .chain(others)
        .any(|s| s.starts_with(head) || head.starts_with(s))
        // The size of an `ftyp` box, whose name comes behind it.
        || head.first() == Some(&0)
}

fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn le32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn le16(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?)))
}

fn le24(bytes: &[u8], at: usize) -> Option<u32> {
    let &[a, b, c] = bytes.get(at..)?.first_chunk()?;
    Some(u32::from_le_bytes([a, b, c, 0]))
}

/// The dimensions are in the frame header, behind any number of other segments.
fn jpeg_size(head: &[u8]) -> Size {
    let mut at = 2;
    loop {
        match (head.get(at), head.get(at + 1)) {
            (None, _) | (_, None) => return Size::Later,
            // Any number of these may come before a marker.
            (Some(0xff), Some(0xff)) => at += 1,
            // Markers without a segment.
            (Some(0xff), Some(0x01 | 0xd0..=0xd8)) => at += 2,
            // The end, or the picture itself, without a frame header before it.
            (Some(0xff), Some(0xd9 | 0xda)) => return Size::Unknown,
            (Some(0xff), Some(0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf)) => {
                let size = (be16(head, at + 7), be16(head, at + 5));
                return Size::at(size.0.map(u32::from), size.1.map(u32::from));
            }
            (Some(0xff), Some(_)) => match be16(head, at + 2) {
                None => return Size::Later,
                Some(len @ 2..) => at += 2 + usize::from(len),
                Some(_) => return Size::Unknown,
            },
            _ => return Size::Unknown,
        }
    }
}

fn webp_size(head: &[u8]) -> Size {
    let Some(chunk) = head.get(12..16) else {
        return Size::Later;
    };
    match chunk {
        b"VP8X" => Size::at(le24(head, 24).map(|w| w + 1), le24(head, 27).map(|h| h + 1)),
        b"VP8 " => Size::at(le16(head, 26).map(|w| w & 0x3fff), le16(head, 28).map(|h| h & 0x3fff)),
        b"VP8L" => {
            let bits = le32(head, 21);
            Size::at(
                bits.map(|bits| (bits & 0x3fff) + 1),
                bits.map(|bits| (bits >> 14 & 0x3fff) + 1),
            )
        }
        _ => Size::Unknown,
    }
}

/// ISO media: the brands in the first box tell images from films.
fn heif(head: &[u8]) -> Look {
    let end = be32(head, 0).unwrap_or(0) as usize;
    if !(16..=4096).contains(&end) {
        return Look::Not("ISO media, such as MP4");
    }
    let Some(body) = head.get(8..end) else {
        return Look::TooShort;
    };
    // The major brand, four bytes of version, and the compatible brands.
    let brands = || body.chunks_exact(4).enumerate().filter(|&(i, _)| i != 1);
    let has = |names: &[&[u8; 4]]| brands().any(|(_, b)| names.iter().any(|n| b == n.as_slice()));
    let format = if has(&[b"avif", b"avis"]) {
        Format::Avif
    } else if has(&[
        b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1",
    ]) {
        Format::Heic
    } else {
        return Look::Not("ISO media, such as MP4");
    };
    Look::Image(format, deep_size(head))
}

/// Dimensions that are deep inside. The errors do not tell whether more bytes would help.
fn deep_size(head: &[u8]) -> Size {
    let size = imagesize::blob_size(head).ok();
    match size.map(|size| (u32::try_from(size.width), u32::try_from(size.height))) {
        Some((Ok(width), Ok(height))) => Size::Known(width, height),
        _ => Size::Later,
    }
}

/// JPEG XL without a container has a signature of two bytes only, so the header has to make sense.
fn bare_jxl(head: &[u8]) -> Look {
    match deep_size(head) {
        size @ Size::Known(..) => Look::Image(Format::Jxl, size),
        _ if head.len() < 64 => Look::TooShort,
        _ => Look::Not("unknown data"),
    }
}

/// `BM` alone is too little of a signature: the size of the second header must be one of those
/// that exist.
fn bmp(head: &[u8]) -> Option<Look> {
    let size = match le32(head, 14)? {
        12 => Size::at(le16(head, 18), le16(head, 20)),
        16 | 40 | 52 | 56 | 64 | 108 | 124 => {
            // A negative height means that the rows are stored from the top.
            let abs = |value: u32| value.cast_signed().unsigned_abs();
            Size::at(le32(head, 18).map(abs), le32(head, 22).map(abs))
        }
        _ => return None,
    };
    Some(Look::Image(Format::Bmp, size))
}

/// Icons and cursors: a count, and an entry of 16 bytes for each picture.
fn icon(head: &[u8]) -> Look {
    let (Some(count), Some(first)) = (le16(head, 4), head.get(6..22)) else {
        return Look::TooShort;
    };
    let directory = 6 + 16 * u64::from(count);
    let offset = u64::from(le32(first, 12).unwrap_or(0));
    if count == 0 || first[3] != 0 || offset < directory {
        return Look::Not("unknown data");
    }
    let format = if head[2] == 1 { Format::Ico } else { Format::Cur };
    let Some(entries) = head.get(6..directory as usize) else {
        return Look::Image(format, Size::Later);
    };
    let pixels = |byte: u8| if byte == 0 { 256 } else { u32::from(byte) };
    let sizes = entries.chunks_exact(16).map(|e| (pixels(e[0]), pixels(e[1])));
    let largest = sizes.max_by_key(|&(width, height)| width * height);
    Look::Image(format, largest.map_or(Size::Unknown, |(w, h)| Size::Known(w, h)))
}
