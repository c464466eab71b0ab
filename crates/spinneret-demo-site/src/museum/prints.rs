//! The print room: the same motifs in every format.

use std::fmt::Write as _;

use super::{gallery, hang, open, picture, plate, sized};
use crate::art::{self, Motif, Plate};
use crate::site::{Builder, Coding, Resource};

/// One wall: a page with prints of a few kinds.
struct Wall {
    slug: &'static str,
    title: &'static str,
    text: &'static str,
    /// Name, ending, and how to make it.
    kinds: &'static [(&'static str, &'static str, Encode)],
    /// How many of each kind hang here.
    each: usize,
}

type Encode = fn(&Plate) -> Vec<u8>;

const WALLS: [Wall; 5] = [
    Wall {
        slug: "png",
        title: "PNG",
        text: "Every pixel as it was drawn. In full colour, with a palette of at most 256 colours, \
               with a transparent ground, and moving (APNG).",
        kinds: &[
            ("colour", "png", art::png),
            ("palette", "png", art::png_palette),
            ("alpha", "png", art::png_alpha),
            ("moving", "apng", art::apng),
        ],
        each: 3,
    },
    Wall {
        slug: "jpeg",
        title: "JPEG",
        text: "Made for photographs and kind to gradients. Line by line (baseline), from coarse \
               to fine (progressive), and without colour.",
        kinds: &[
            ("baseline", "jpg", art::jpeg),
            ("progressive", "jpeg", art::jpeg_progressive),
            ("grey", "jpg", art::jpeg_grey),
        ],
        each: 4,
    },
    Wall {
        slug: "gif",
        title: "GIF",
        text: "The oldest of the common formats, with 256 colours and a taste for motion.",
        kinds: &[("still", "gif", art::gif), ("moving", "gif", art::gif_animation)],
        each: 4,
    },
    Wall {
        slug: "new",
        title: "WebP and AVIF",
        text: "The young ones. WebP without loss, with and without a transparent ground; AVIF, \
               which came here as a gift, in two prints only.",
        kinds: &[("plain", "webp", webp), ("clear", "webp", webp_clear)],
        each: 4,
    },
    Wall {
        slug: "old",
        title: "BMP, ICO and TIFF",
        text: "Formats with a past. Bitmaps from the bottom up, icons of three sizes in one file, \
               and TIFF in both of its byte orders.",
        kinds: &[
            ("bitmap", "bmp", art::bmp),
            ("icon", "ico", art::ico),
            ("intel", "tif", tiff_little),
            ("motorola", "tiff", tiff_big),
        ],
        each: 3,
    },
];

fn webp(plate: &Plate) -> Vec<u8> {
    art::webp(plate, false)
}

fn webp_clear(plate: &Plate) -> Vec<u8> {
    art::webp(plate, true)
}

fn tiff_little(plate: &Plate) -> Vec<u8> {
    art::tiff(plate, false)
}

fn tiff_big(plate: &Plate) -> Vec<u8> {
    art::tiff(plate, true)
}

pub(super) fn build(site: &mut Builder) {
    let mut list = String::new();
    for (number, wall) in WALLS.iter().enumerate() {
        let _ =
            writeln!(list, "<li><a href=\"{}\">{}</a>: {}</li>", wall.slug, wall.title, wall.text);
        let mut figures = String::new();
        for (kind, (name, ending, encode)) in wall.kinds.iter().enumerate() {
            for print in 0..wall.each {
                let path = format!("/img/prints/{}/{name}-{}.{ending}", wall.slug, print + 1);
                let seed = (500 + number * 100 + kind * 10 + print) as u64;
                let motif = Motif::ALL[(print * 2 + kind + number) % Motif::ALL.len()];
                let shown = plate(motif, print + kind + number, seed);
                // Uncompressed ones are kept smaller.
                let edge = if wall.slug == "old" { 40 } else { 64 };
                site.image(&path, encode(&sized(shown, edge, edge)));
                figures += &picture(&path, &format!("{}, {name}", ending.to_uppercase()));
            }
        }
        if wall.slug == "new" {
            site.image("/img/prints/new/orb.avif", &include_bytes!("../../assets/orb.avif")[..]);
            site.image("/img/prints/new/moon.avif", &include_bytes!("../../assets/moon.avif")[..]);
            figures += &picture("/img/prints/new/orb.avif", "AVIF, a gift");
            figures += &picture("/img/prints/new/moon.avif", "AVIF, another");
        }
        let body = format!("<p class=\"lead\">{}</p>\n{}", wall.text, gallery(&figures));
        open(site, &format!("/prints/{}", wall.slug), wall.title, "", &body);
    }
    vector_wall(site);
    list += "<li><a href=\"svg\">SVG</a>: not pixels but instructions.</li>\n";
    hang(site, "/img/prints/press.png", &sized(plate(Motif::Waves, 2, 999), 96, 40));
    let body = format!(
        "<p class=\"lead\">Silk holds whatever is laid on it, and so does a press. Each wall of \
         this room shows one family of formats.</p>\n<ul class=\"rooms\">\n{list}</ul>\n{}",
        gallery(&picture("/img/prints/press.png", "Fresh from the press"))
    );
    open(site, "/prints/", "The print room", "", &body);
}

fn vector_wall(site: &mut Builder) {
    let mut figures = String::new();
    for (number, (ground, ink)) in [
        ("#101b3a", "#e8eefb"),
        ("#1f4d3a", "#e9b44c"),
        ("#7a3b12", "#ffe9b8"),
        ("#5b1f3f", "#f7c6a3"),
        ("#0d4250", "#e6fbf7"),
    ]
    .into_iter()
    .enumerate()
    {
        let path = format!("/img/prints/svg/web-{}.svg", number + 1);
        let web = art::web_svg(700 + number as u64, ground, ink);
        let mut resource = Resource::bytes(Some("image/svg+xml"), web);
        // Text packs well: half of the drawings travel compressed, and must be saved unpacked.
        if number % 2 == 0 {
            resource = resource.with_coding(Coding::Gzip);
        }
        site.image_as(&path, resource);
        figures += &picture(&path, "SVG, a web");
        let path = format!("/img/prints/svg/badge-{}.svg", number + 1);
        site.image(&path, art::badge_svg(ground, ink));
        figures += &picture(&path, "SVG, a badge");
    }
    let body = format!(
        "<p class=\"lead\">Not pixels but instructions, sharp at any size. Every other drawing \
         here travels gzipped, and lands unpacked.</p>\n{}",
        gallery(&figures)
    );
    open(site, "/prints/svg", "SVG", "", &body);
}
