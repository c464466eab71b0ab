//! Four inventions made of silk.

use super::{figure, gallery, hang, open, picture, plate};
use crate::art::{self, Motif};
use crate::site::Builder;

struct Web {
    slug: &'static str,
    name: &'static str,
    motif: Motif,
    palette: usize,
    text: &'static str,
    /// Linked from the index; the others are inside a frame set.
    listed: bool,
}

const WEBS: [Web; 4] = [
    Web {
        slug: "orb",
        name: "The orb",
        motif: Motif::Orb,
        palette: 0,
        text: "First a thread is let out into the wind until it catches: the bridge. Then a Y, then \
               the spokes, each pulled tight against the others. A wide spiral of dry silk holds \
               them while the spider works inwards, laying the sticky spiral and eating the dry \
               one as it goes. Half an hour's work, about twenty metres of thread, and a weight \
               of less than a milligram.",
        listed: true,
    },
    Web {
        slug: "cobweb",
        name: "The cobweb",
        motif: Motif::Sheet,
        palette: 6,
        text: "It looks like a mess and is a machine. From a tangle high up, threads run down to \
               the ground, stretched tight and glued at the foot only. An insect that walks into \
               one breaks the foot loose, and the thread lifts it off the ground.",
        listed: true,
    },
    Web {
        slug: "ladder",
        name: "The ladder",
        motif: Motif::Moth,
        palette: 3,
        text: "Moths shed scales and slip off sticky threads, leaving their dust behind. So some \
               spiders build an orb with a tail a metre long: the moth tumbles down the ladder, \
               losing scales on each rung, until there are none left to lose.",
        listed: false,
    },
    Web {
        slug: "bolas",
        name: "The bolas",
        motif: Motif::Moon,
        palette: 5,
        text: "The whole web is one line with a drop of glue at its end. The spider smells like a \
               female moth, waits for a male to come looking, and swings. It is the only web that \
               is thrown.",
        listed: false,
    },
];

pub(super) fn build(site: &mut Builder) {
    let mut cards = String::new();
    for (number, web) in WEBS.iter().enumerate() {
        let drawing = format!("/img/webs/{}.svg", web.slug);
        site.image(&drawing, art::web_svg(50 + number as u64, "#2b3138", "#f5f7f9"));
        let markup = format!("<img src=\"{drawing}\" alt=\"{}\">", web.name);
        cards += &if web.listed {
            figure(&format!("<a href=\"{}\">{markup}</a>", web.slug), web.name)
        } else {
            let caption = format!("{} (<a href=\"/doors/frames\">framed</a>)", web.name);
            figure(&markup, &caption)
        };

        let mut figures = String::new();
        for (place, ending) in ["png", "jpg", "gif", "webp", "png"].iter().enumerate() {
            let path = format!("/img/webs/{}/{}.{ending}", web.slug, place + 1);
            let motif = if place % 2 == 0 { web.motif } else { Motif::ALL[place + number] };
            hang(site, &path, &plate(motif, web.palette, (300 + 10 * number + place) as u64));
            figures += &picture(&path, motif.caption());
        }
        let body = format!(
            "<p class=\"lead\">{}</p>\n{}<p><a href=\"/webs/\">All four inventions</a></p>\n",
            web.text,
            gallery(&figures)
        );
        open(site, &format!("/webs/{}", web.slug), web.name, "", &body);
    }
    let body = format!(
        "<p class=\"lead\">A web is a tool for one purpose: to make a large place feel like the \
         tip of a toe. Four ways to do that.</p>\n{}",
        gallery(&cards)
    );
    open(site, "/webs/", "Four inventions", "", &body);
}
