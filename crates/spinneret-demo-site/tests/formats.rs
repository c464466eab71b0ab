//! Every image is of the format that it is shown as.

use std::collections::BTreeMap;

use image::ImageFormat;
use spinneret_demo_site::DemoSite;

/// The ending of an address' name.
fn ending(path: &str) -> &str {
    let name = path.split('?').next().unwrap_or(path).rsplit('/').next().unwrap_or_default();
    name.rsplit_once('.').map_or("", |(_, ending)| ending)
}

#[test]
fn every_raster_image_decodes_in_full() {
    for (path, bytes) in DemoSite::build().expected().images {
        if bytes.starts_with(b"<svg ") || ending(&path) == "avif" {
            continue;
        }
        let decoded = image::load_from_memory(&bytes);
        let picture = decoded.unwrap_or_else(|error| panic!("{path}: {error}"));
        assert!((8..=96).contains(&picture.width()), "{path}");
        let rgb = picture.to_rgb8();
        let first = rgb.pixels().next().unwrap();
        assert!(rgb.pixels().any(|pixel| pixel != first), "{path} is of one colour");
    }
}

#[test]
fn endings_tell_the_format_where_nothing_else_is_said() {
    for (path, bytes) in DemoSite::build().expected().images {
        let format = match ending(&path) {
            "svg" => {
                assert!(bytes.starts_with(b"<svg ") && bytes.ends_with(b"</svg>"), "{path}");
                continue;
            }
            "avif" => {
                assert_eq!(&bytes[4..12], b"ftypavif", "{path}");
                continue;
            }
            "png" | "apng" => ImageFormat::Png,
            // One that lies.
            "jpg" if path == "/img/odd/as-jpeg.jpg" => ImageFormat::Png,
            "jpg" | "jpeg" => ImageFormat::Jpeg,
            "gif" => ImageFormat::Gif,
            "webp" => ImageFormat::WebP,
            "bmp" => ImageFormat::Bmp,
            "ico" => ImageFormat::Ico,
            "tif" | "tiff" => ImageFormat::Tiff,
            _ => continue,
        };
        assert_eq!(image::guess_format(&bytes).unwrap(), format, "{path}");
    }
}

#[test]
fn every_kind_of_every_format_is_there() {
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    let has = |bytes: &[u8], part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
    for (path, bytes) in DemoSite::build().expected().images {
        let kind = match bytes.as_ref() {
            png if png.starts_with(b"\x89PNG") => match png[25] {
                _ if has(png, b"acTL") => "PNG, animated",
                2 => "PNG, colour",
                3 => "PNG, palette",
                6 => "PNG, alpha",
                other => panic!("{path}: colour type {other}"),
            },
            jpeg if jpeg.starts_with(b"\xff\xd8") => {
                if has(jpeg, b"\xff\xc2\x00") {
                    "JPEG, progressive"
                } else if has(jpeg, b"\xff\xc0\x00\x0b") {
                    "JPEG, grey"
                } else {
                    "JPEG, baseline"
                }
            }
            gif if gif.starts_with(b"GIF89a") => {
                if has(gif, b"NETSCAPE2.0") {
                    "GIF, animated"
                } else {
                    "GIF, still"
                }
            }
            webp if webp.starts_with(b"RIFF") => {
                if image::load_from_memory(webp).unwrap().color().has_alpha() {
                    "WebP, alpha"
                } else {
                    "WebP"
                }
            }
            tiff if tiff.starts_with(b"II*\0") => "TIFF, little-endian",
            tiff if tiff.starts_with(b"MM\0*") => "TIFF, big-endian",
            bmp if bmp.starts_with(b"BM") => "BMP",
            [0, 0, 1, 0, 3, 0, ..] => "ICO",
            svg if svg.starts_with(b"<svg ") => "SVG",
            avif if &avif[4..12] == b"ftypavif" => "AVIF",
            _ => panic!("{path} is of no known format"),
        };
        *kinds.entry(kind).or_default() += 1;
    }
    assert_eq!(kinds.len(), 17, "{kinds:?}");
}
