//! A plain site of any size, all of it good, for tests of speed and of being killed.

use std::fmt::Write as _;

use crate::DemoSite;
use crate::art::Rng;
use crate::site::{Builder, Resource};

/// How many pages a page of a synthetic site links to.
const CHILDREN: usize = 8;

/// A site of `pages` pages, each with `images_per_page` images of its own.
///
/// The pages form a tree: `/` is page 0, the others are `/page/1` and so on, each linking to its
/// parent and to at most eight children, so that a thousand pages are at most four links from
/// `/`. Every image is a valid PNG of 8 by 8 pixels and about 150 bytes, no two with the same
/// bytes, at `/image/PAGE/NUMBER.png`. The same arguments always give the same site; another seed
/// gives other images.
pub fn synthetic(pages: usize, images_per_page: usize, seed: u64) -> DemoSite {
    let mut site = Builder::default();
    let mut rng = Rng::new(seed);
    for page in 0..pages {
        let mut html = format!(
            "<!doctype html><html lang=en><meta charset=utf-8><title>Page {page}</title>\
             <h1>Page {page} of {pages}</h1>\n<p><a href=\"{}\">up</a>\n",
            address(page.saturating_sub(1) / CHILDREN)
        );
        for child in (page * CHILDREN + 1..=page * CHILDREN + CHILDREN).take_while(|&c| c < pages) {
            let _ = writeln!(html, "<a href=\"{}\">page {child}</a>", address(child));
        }
        for image in 0..images_per_page {
            let path = format!("/image/{page}/{image}.png");
            let _ = writeln!(html, "<img src=\"{path}\" alt=\"\" width=64 height=64>");
            site.image(&path, tile(&mut rng, &format!("{seed}/{page}/{image}")));
        }
        site.page(&address(page), Resource::text("text/html; charset=utf-8", html));
    }
    site.finish()
}

fn address(page: usize) -> String {
    if page == 0 { "/".to_owned() } else { format!("/page/{page}") }
}

/// A PNG of 8 by 8 pixels in four random colours, with a comment that no other has. Written by
/// hand, since thousands are wanted at once and only the colours differ.
fn tile(rng: &mut Rng, name: &str) -> Vec<u8> {
    /// Two bits a pixel: four rings around a dot.
    const ROWS: [u16; 8] = [
        0b00_00_00_00_00_00_00_00,
        0b00_01_01_01_01_01_01_00,
        0b00_01_10_10_10_10_01_00,
        0b00_01_10_11_11_10_01_00,
        0b00_01_10_11_11_10_01_00,
        0b00_01_10_10_10_10_01_00,
        0b00_01_01_01_01_01_01_00,
        0b00_00_00_00_00_00_00_00,
    ];
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    // Width, height, two bits, palette, and the only compression, filter and order.
    png_chunk(&mut file, *b"IHDR", &[0, 0, 0, 8, 0, 0, 0, 8, 2, 3, 0, 0, 0]);
    let colours: Vec<u8> = (0..12).map(|_| (rng.next() >> 56) as u8).collect();
    png_chunk(&mut file, *b"PLTE", &colours);
    png_chunk(&mut file, *b"tEXt", format!("Title\0{name}").as_bytes());
    // Rows start with their filter, none. A zlib stream of one stored block holds them.
    let pixels: Vec<u8> =
        ROWS.iter().flat_map(|row| [0, row.to_be_bytes()[0], row.to_be_bytes()[1]]).collect();
    let length = pixels.len() as u16;
    let mut zlib = vec![0x78, 0x01, 0x01];
    zlib.extend(length.to_le_bytes());
    zlib.extend((!length).to_le_bytes());
    zlib.extend(&pixels);
    zlib.extend(adler32(&pixels).to_be_bytes());
    png_chunk(&mut file, *b"IDAT", &zlib);
    png_chunk(&mut file, *b"IEND", &[]);
    file
}

fn png_chunk(file: &mut Vec<u8>, kind: [u8; 4], data: &[u8]) {
    let mut checksum = flate2::Crc::new();
    checksum.update(&kind);
    checksum.update(data);
    file.extend((data.len() as u32).to_be_bytes());
    file.extend(kind);
    file.extend(data);
    file.extend(checksum.sum().to_be_bytes());
}

fn adler32(data: &[u8]) -> u32 {
    let (mut low, mut high) = (1_u32, 0_u32);
    for &byte in data {
        low = (low + u32::from(byte)) % 65521;
        high = (high + low) % 65521;
    }
    high << 16 | low
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn it_has_the_pages_and_images_that_were_asked_for_and_no_two_alike() {
        let expected = synthetic(30, 5, 7).expected();
        assert_eq!(expected.pages.len(), 30);
        assert_eq!(expected.images.len(), 150);
        let distinct: BTreeSet<_> = expected.images.values().collect();
        assert_eq!(distinct.len(), 150);
        assert!(expected.failures.is_empty() && expected.forbidden.is_empty());
    }

    #[test]
    fn its_images_are_valid_pngs() {
        for bytes in synthetic(2, 3, 1).expected().images.values() {
            let picture = image::load_from_memory(bytes).unwrap();
            assert_eq!((picture.width(), picture.height()), (8, 8));
        }
    }

    #[test]
    fn the_seed_decides() {
        assert_eq!(synthetic(3, 2, 1).expected(), synthetic(3, 2, 1).expected());
        assert_ne!(synthetic(3, 2, 1).expected(), synthetic(3, 2, 2).expected());
    }

    #[test]
    fn nothing_at_all_is_a_site_too() {
        assert!(synthetic(0, 5, 1).expected().pages.is_empty());
    }
}
