//! The night keeper's journal: pages that only the head of the one before leads to.

use super::{gallery, hang, open, picture, plate};
use crate::art::Motif;
use crate::site::Builder;

const NIGHTS: [(&str, &str, Motif); 4] = [
    (
        "First night",
        "Rain until two. The garden cross in the north window took down her web at dusk, as if \
         she had read the forecast, and sat under the frame with her legs drawn in.",
        Motif::Dew,
    ),
    (
        "Second night",
        "Clear and cold. She let out a line at half past three. I saw it only because the moon \
         ran along it. At four there were spokes, at five there was an orb.",
        Motif::Moon,
    ),
    (
        "Third night",
        "A moth in the stairwell, pale as paper. It flew to the lamp, then to the window, then \
         to the one place in the window where it should not have gone.",
        Motif::Moth,
    ),
    (
        "Fourth night",
        "An egg sac behind the fuse box, wrapped in yellow silk. I have moved the ladder so that \
         nobody will need that fuse before May.",
        Motif::Cocoon,
    ),
];

pub(super) fn build(site: &mut Builder) {
    for (number, (title, text, motif)) in NIGHTS.into_iter().enumerate() {
        let night = number + 1;
        let mut figures = String::new();
        for (sketch, motif) in [motif, Motif::ALL[number * 2]].into_iter().enumerate() {
            let ending = if sketch == 0 { "jpg" } else { "png" };
            let path = format!("/img/journal/{night}-{}.{ending}", sketch + 1);
            hang(site, &path, &plate(motif, number * 2, (900 + 10 * night + sketch) as u64));
            figures += &picture(&path, "From the margin");
        }
        let head = if night < NIGHTS.len() {
            format!("<link rel=\"next\" href=\"{}\">\n", night + 1)
        } else {
            String::new()
        };
        let body = format!("<p class=\"lead\">{text}</p>\n{}", gallery(&figures));
        open(site, &format!("/journal/{night}"), title, &head, &body);
    }
}
