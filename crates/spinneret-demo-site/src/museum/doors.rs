//! The doors: how one page can lead to another.

use super::{HTML, frame, gallery, hang, open, picture, plate, sized};
use crate::art::Motif;
use crate::site::{Builder, Resource};

pub(super) fn build(site: &mut Builder) {
    hang(site, "/img/doors/map.png", &sized(plate(Motif::Leaf, 1, 801), 96, 64));
    hang(site, "/img/doors/curtain.jpg", &plate(Motif::Waves, 3, 802));
    hang(site, "/img/doors/behind.webp", &plate(Motif::Moth, 5, 803));
    let body = "<p class=\"lead\">A door can be a word, a spot on a map, a window in the wall, a \
         curtain that opens by itself, or a sign that says: we have moved.</p>\n\
         <h2>A map</h2>\n<p>Three makers live here: touch the left, the middle or the right of \
         the leaf.</p>\n\
         <img src=\"/img/doors/map.png\" usemap=\"#leaf\" width=\"96\" height=\"64\" alt=\"Map\">\n\
         <map name=\"leaf\">\
         <area shape=\"rect\" coords=\"0,0,32,64\" href=\"/species/barn-funnel\" alt=\"Left\">\
         <area shape=\"rect\" coords=\"32,0,64,64\" href=\"/species/purse-web\" alt=\"Middle\">\
         <area shape=\"rect\" coords=\"64,0,96,64\" href=\"/species/bark-spider\" alt=\"Right\">\
         </map>\n\
         <h2>A window</h2>\n<iframe src=\"/journal/1\" title=\"The night keeper's journal\"></iframe>\n\
         <h2>Others</h2>\n<ul class=\"rooms\">\n\
         <li><a href=\"frames\">Two rooms in one frame</a></li>\n\
         <li><a href=\"curtain\">A curtain that opens by itself</a></li>\n\
         <li>Signs that say that a room has moved: to <a href=\"/moved/301\">France</a> (301), to \
         <a href=\"/moved/302\">Japan</a> (302), to <a href=\"/moved/307\">Greece</a> (307), to \
         <a href=\"/moved/308\">a place with a damaged sign</a> (308, twice).</li>\n\
         <li><a href=\"#top\">The door you came in by</a></li>\n</ul>\n";
    open(site, "/doors/", "The doors", "", body);

    let frames = "<!doctype html>\n<html><head><title>Two rooms in one frame</title></head>\n\
         <frameset cols=\"50%,50%\"><frame src=\"/webs/ladder\"><frame src=\"/webs/bolas\">\n\
         <noframes><body>Your browser is younger than frames.</body></noframes></frameset></html>\n";
    site.page("/doors/frames", Resource::text(HTML, frames));

    let body = "<p class=\"lead\">Wait a moment. The curtain opens by itself.</p>\n".to_owned()
        + &gallery(&picture("/img/doors/curtain.jpg", "The curtain"));
    let head = "<meta http-equiv=\"Refresh\" content=\"5; URL='behind'\">\n";
    site.page("/doors/curtain", Resource::text(HTML, frame("A curtain", head, &body)));

    let body = "<p class=\"lead\">No link leads here, only the curtain.</p>\n".to_owned()
        + &gallery(&picture("/img/doors/behind.webp", "It sleeps by day"));
    open(site, "/doors/behind", "Behind the curtain", "", &body);

    for (status, room) in [(301, "french"), (302, "japanese"), (307, "greek")] {
        site.redirect(&format!("/moved/{status}"), status, &format!("/tongues/{room}"));
    }
    // Two steps, the second with a relative address.
    site.redirect("/moved/308", 308, "/moved/again");
    site.redirect("/moved/again", 302, "../tongues/damaged");
}
