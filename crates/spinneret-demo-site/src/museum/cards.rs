//! Images that are not in the text: cards, icons, posters, buttons, drawings inside drawings.

use super::ways::sample;
use super::{figure, gallery, hang, open, sized};
use crate::site::{Builder, Resource};

pub(super) fn build(site: &mut Builder) {
    for (number, name) in [
        "og.png",
        "og-second.jpg",
        "twitter.png",
        "tile.png",
        "icon-32.png",
        "touch.png",
        "preloaded.webp",
        "poster.jpg",
        "button.png",
        "object.gif",
        "svg-href.png",
        "svg-xlink.png",
        "ground.png",
    ]
    .into_iter()
    .enumerate()
    {
        hang(site, &format!("/img/cards/{name}"), &sized(sample(100 + number), 56, 56));
    }
    hang(site, "/img/cards/safari.svg", &sample(3));
    // A film is no image: the first bytes of a WebM, no more.
    let film = Resource::bytes(Some("video/webm"), &b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01"[..]);
    site.serve("/media/weaving.webm", film);
    site.ghost("/media/weaving.webm");

    let head = "<meta property=\"og:image\" content=\"{{origin}}/img/cards/og.png\">\n\
         <meta property=\"og:image:secure_url\" content=\"{{origin}}/img/cards/og-second.jpg\">\n\
         <meta name=\"twitter:image\" content=\"/img/cards/twitter.png\">\n\
         <meta name=\"msapplication-TileImage\" content=\"/img/cards/tile.png\">\n\
         <link rel=\"shortcut icon\" href=\"/img/cards/icon-32.png\" sizes=\"32x32\">\n\
         <link rel=\"apple-touch-icon\" href=\"/img/cards/touch.png\">\n\
         <link rel=\"mask-icon\" href=\"/img/cards/safari.svg\" color=\"#16263f\">\n\
         <link rel=\"preload\" as=\"image\" href=\"/img/cards/preloaded.webp\">\n";
    let figures = figure(
        "<video poster=\"/img/cards/poster.jpg\" preload=\"none\">\
         <source src=\"/media/weaving.webm\" type=\"video/webm\"></video>",
        "The poster of a film",
    ) + &figure(
        "<input type=\"image\" src=\"/img/cards/button.png\" alt=\"A button\">",
        "A button",
    ) + &figure(
        "<object data=\"/img/cards/object.gif\" type=\"image/gif\"></object>",
        "An object",
    ) + &figure(
        "<svg viewBox=\"0 0 56 56\"><image href=\"/img/cards/svg-href.png\" width=\"56\" \
         height=\"56\"/></svg>",
        "A picture in a drawing",
    ) + &figure(
        "<svg viewBox=\"0 0 56 56\" xmlns:xlink=\"http://www.w3.org/1999/xlink\">\
         <image xlink:href=\"/img/cards/svg-xlink.png\" width=\"56\" height=\"56\"/></svg>",
        "The same, as it was written once",
    );
    let body = format!(
        "<p class=\"lead\">Some pictures are never in the text: they stand on the cards that are \
         passed around, on the tabs of browsers, on the cover of a film.</p>\n{}\
         <table background=\"/img/cards/ground.png\"><tr>\
         <td style=\"color: #fff; text-shadow: 0 0 4px #000\">And some lie under a table, as they \
         did in the last century.</td></tr></table>\n",
        gallery(&figures)
    );
    open(site, "/ways/cards", "On the side", head, &body);
}
