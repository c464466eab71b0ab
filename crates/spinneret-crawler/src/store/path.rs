//! Where an image is stored: a path made from its address alone, so that fetching it again
//! replaces the same file.

use std::borrow::Cow;
use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use crate::address::Address;

/// Longest file or folder name in bytes; file systems end at 255.
const MAX_NAME: usize = 120;
/// Deepest folder, so that a whole path stays well below the common limit of 4,096 bytes.
const MAX_DEPTH: usize = 16;

/// The place of `address` below the output folder: `images/HOST/...`, `/`-separated.
///
/// `HOST` is the host's name, with `+PORT` behind it for a port other than the scheme's own. The
/// file ends in `extension`, its real type's, unless its name has an equivalent ending already.
/// What cannot stand in a file's name (`..`, separators, control characters, names that Windows
/// reserves) is replaced; then, and where the name alone does not tell the address (a query, a
/// changed ending), `~` and a hash of the address keep it unique.
pub(super) fn image_path(address: &Address, extension: &str) -> String {
    let (folders, name) = address.path().rsplit_once('/').unwrap_or(("", address.path()));
    let mut plain = !address.as_str().contains('?') && !name.is_empty();
    let mut path = format!("images/{}", host_folder(address));
    for (depth, folder) in folders.split('/').skip(1).enumerate() {
        if depth == MAX_DEPTH {
            plain = false;
            break;
        }
        path.push('/');
        path.push_str(&safe_name(folder, &mut plain));
    }
    let name = safe_name(if name.is_empty() { "index" } else { name }, &mut plain);
    path.push('/');
    match name.rsplit_once('.') {
        Some((stem, ending)) if !stem.is_empty() && same_type(ending, extension) => {
            push_unique(&mut path, stem, plain, address);
            path.push('.');
            path.push_str(ending);
        }
        _ => {
            push_unique(&mut path, &name, false, address);
            path.push('.');
            path.push_str(extension);
        }
    }
    path
}

/// Where an image goes when another has a file where this one needs a folder, or the reverse:
/// a name of its hash alone.
pub(super) fn fallback_path(address: &Address, extension: &str) -> String {
    let mut path = format!("images/{}/~", host_folder(address));
    push_hash(&mut path, address, 16);
    path.push('.');
    path.push_str(extension);
    path
}

fn push_unique(path: &mut String, stem: &str, plain: bool, address: &Address) {
    path.push_str(stem);
    if !plain {
        path.push('~');
        push_hash(path, address, 6);
    }
}

fn push_hash(path: &mut String, address: &Address, bytes: usize) {
    for byte in Sha256::digest(address.as_str()).iter().take(bytes) {
        // Writing to a String cannot fail.
        let _ = write!(path, "{byte:02x}");
    }
}

fn host_folder(address: &Address) -> String {
    let host = address.host().trim_matches(['[', ']']).replace(':', "_");
    match address.host_key().strip_prefix(address.host()) {
        Some(port) if !port.is_empty() => format!("{host}+{}", &port[1..]),
        _ => host,
    }
}

/// A segment of an address as a file's name; `plain` turns false if the two differ.
fn safe_name(segment: &str, plain: &mut bool) -> String {
    let decoded = percent_decode(segment);
    let mut name: String = decoded
        .chars()
        .map(|c| match c {
            '/' | '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|' | '~' => '_',
            c if c.is_control() || is_formatting(c) => '_',
            c => c,
        })
        .collect();
    while name.len() > MAX_NAME {
        // The end is kept, for a file's ending is there.
        let cut = name.char_indices().nth(1).map_or(name.len(), |(at, _)| at);
        name.drain(..cut);
    }
    // A name of dots is a folder's own or its parent's; one that ends in a dot or a space is cut
    // by Windows; one that starts with a dot is hidden.
    if name.starts_with('.') {
        name.replace_range(..1, "_");
    }
    if name.ends_with(['.', ' ']) {
        name.pop();
        name.push('_');
    }
    if name.is_empty() || is_reserved(&name) {
        name.push('_');
    }
    *plain &= name == decoded;
    name
}

/// Characters that change how the text around them is shown.
fn is_formatting(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' | char::REPLACEMENT_CHARACTER)
}

/// Names of devices on Windows, whatever their ending.
fn is_reserved(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or(name).to_ascii_uppercase();
    matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL")
        || (stem.len() == 4
            && (stem.starts_with("COM") || stem.starts_with("LPT"))
            && stem.ends_with(|c: char| c.is_ascii_digit()))
}

fn percent_decode(segment: &str) -> Cow<'_, str> {
    percent_encoding::percent_decode_str(segment).decode_utf8_lossy()
}

/// Whether a file named `.had` is recognised as one of type `wanted`.
fn same_type(had: &str, wanted: &str) -> bool {
    let family = |ending: &str| match ending.to_ascii_lowercase().as_str() {
        "jpeg" | "jpe" | "jfif" => "jpg".to_owned(),
        "apng" => "png".to_owned(),
        "tiff" => "tif".to_owned(),
        "heif" => "heic".to_owned(),
        "cur" => "ico".to_owned(),
        "dib" => "bmp".to_owned(),
        other => other.to_owned(),
    };
    family(had) == family(wanted)
}

#[cfg(test)]
#[expect(clippy::case_sensitive_file_extension_comparisons, reason = "the endings are as asked")]
mod tests {
    use super::*;

    fn path(address: &str, extension: &str) -> String {
        image_path(&Address::parse(address).unwrap(), extension)
    }

    #[test]
    fn a_plain_address_keeps_its_path() {
        assert_eq!(path("https://a.org/x/y.png", "png"), "images/a.org/x/y.png");
        assert_eq!(path("http://a.org:8080/y.JPEG", "jpg"), "images/a.org+8080/y.JPEG");
        assert_eq!(path("http://[2001:db8::1]/y.gif", "gif"), "images/2001_db8__1/y.gif");
        assert_eq!(path("https://a.org/m%C3%BCll%20x.png", "png"), "images/a.org/müll x.png");
    }

    #[test]
    fn addresses_that_share_a_path_get_different_files() {
        let plain = path("https://a.org/y.png", "png");
        let query = path("https://a.org/y.png?v=1", "png");
        let other = path("https://a.org/y.png?v=2", "png");
        let wrong = path("https://a.org/y", "png");
        assert!(query.starts_with("images/a.org/y~") && query.ends_with(".png"), "{query}");
        assert!(wrong.starts_with("images/a.org/y~") && wrong.ends_with(".png"), "{wrong}");
        let all = [&plain, &query, &other, &wrong];
        assert_eq!(all.iter().collect::<std::collections::BTreeSet<_>>().len(), 4);
    }

    #[test]
    fn no_address_leaves_the_output_folder() {
        let long = format!("https://a.org/{}.png", "x".repeat(4000));
        let deep = format!("https://a.org/{}y.png", "d/".repeat(600));
        for address in [
            "https://a.org/../../etc/passwd.png",
            "https://a.org/img/..%2f..%2fetc%2fpasswd.png",
            "https://a.org/%2e%2e/%2e%2e/x.png",
            "https://a.org/..%5c..%5cx.png",
            "https://a.org/a//b///c.png",
            "https://a.org/%00/x%0a.png",
            "https://a.org/C%3a/x.png",
            "https://a.org/.hidden/.png",
            "https://a.org/aux/con.png",
            "https://a.org/",
            "https://a.org/.",
            &long,
            &deep,
        ] {
            let path = path(address, "png");
            assert!(path.starts_with("images/a.org/"), "{address}: {path}");
            assert!(path.len() < 2200, "{address}: {} bytes", path.len());
            for part in path.split('/') {
                assert!(!part.is_empty() && part != "." && part != "..", "{address}: {path}");
                assert!(
                    part.len() < 200 && !part.contains(['\\', '\0', '\n', ':']),
                    "{address}: {path}"
                );
            }
        }
    }

    #[test]
    fn the_ending_tells_the_real_type() {
        assert!(path("https://a.org/photo.php", "png").ends_with(".png"));
        assert!(path("https://a.org/photo.gif", "webp").ends_with(".webp"));
        assert!(path("https://a.org/photo.tiff", "tif").ends_with("photo.tiff"));
    }

    #[test]
    fn equal_addresses_get_equal_paths() {
        let a = Address::parse("http://a.org/x?y").unwrap();
        assert_eq!(image_path(&a, "png"), image_path(&a, "png"));
        assert_ne!(fallback_path(&a, "png"), image_path(&a, "png"));
    }
}
