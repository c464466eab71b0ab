//! Eight spiders, a page each.

use super::{figure, gallery, hang, open, picture, plate, render, sized};
use crate::art::{self, Motif};
use crate::site::Builder;

struct Species {
    slug: &'static str,
    name: &'static str,
    latin: &'static str,
    /// Two paragraphs.
    text: [&'static str; 2],
}

const SPECIES: [Species; 8] = [
    Species {
        slug: "garden-cross",
        name: "Garden cross spider",
        latin: "Araneus diadematus",
        text: [
            "The spider of every autumn hedge. The white cross on its back is made of guanine, a \
             waste product put on show. It sits head down in the hub of its orb, a foot on the \
             signal threads, and can tell a fly from a falling leaf by the tremor alone.",
            "Most nights it takes the whole web down and eats it. The silk's building blocks are \
             back in a new web within the hour, so that the ruin of one orb is the yarn of the \
             next.",
        ],
    },
    Species {
        slug: "golden-orb",
        name: "Golden silk orb-weaver",
        latin: "Trichonephila clavipes",
        text: [
            "Its threads are yellow: in the sun they lure bees, in the shade they vanish among \
             leaves, and the spider can tune the colour to the light. Webs a metre across stand \
             for weeks and are mended, not remade.",
            "The female is several times as long as the male, who lives at the edge of her web \
             and approaches when she is busy eating.",
        ],
    },
    Species {
        slug: "wasp-spider",
        name: "Wasp spider",
        latin: "Argiope bruennichi",
        text: [
            "Dressed in yellow, white and black, it hangs in low webs among tall grass where \
             grasshoppers land. Down the middle of the orb runs a zigzag of dense silk, the \
             stabilimentum. What it is for has been argued over for more than a century.",
            "Once a spider of the south, it has walked and ballooned its way across northern \
             Europe within a few human generations.",
        ],
    },
    Species {
        slug: "zebra-jumper",
        name: "Zebra jumping spider",
        latin: "Salticus scenicus",
        text: [
            "No web for this one. It stalks across sunny walls, turns its great front eyes on a \
             midge and jumps many times its own length. The legs have no muscles to stretch them \
             in the leap: blood pressure does it.",
            "Before every jump it fixes a thread to the ground. If it misses, it climbs back up \
             its own safety line.",
        ],
    },
    Species {
        slug: "diving-bell",
        name: "Diving bell spider",
        latin: "Argyroneta aquatica",
        text: [
            "The only spider that spends nearly all its life under water. It spins a sheet among \
             pond weeds and fills it with air, carried down from the surface in the hairs of its \
             belly, until the sheet stands up as a bell.",
            "The bell works as a gill. Oxygen seeps in from the water as the spider uses it up, \
             so that on a quiet day one visit to the surface is enough.",
        ],
    },
    Species {
        slug: "barn-funnel",
        name: "Barn funnel weaver",
        latin: "Tegenaria domestica",
        text: [
            "The tenant of cellars, barns and the corner behind the wardrobe. Its web is a sheet \
             of dry silk, not sticky at all, drawn back into a tube where the owner waits. What \
             stumbles across the sheet is outrun.",
            "Given peace, a female may live for several years, and the web grows grey and \
             thick with her.",
        ],
    },
    Species {
        slug: "purse-web",
        name: "Purse-web spider",
        latin: "Atypus affinis",
        text: [
            "A relative of the tarantulas that few people have ever seen, though it may live \
             under their heath. It spends its life inside a closed tube of silk, most of which \
             is buried; the end above ground lies there like a dead root.",
            "When an insect walks over the tube, two long fangs come through the wall from \
             below. Afterwards the spider mends the hole.",
        ],
    },
    Species {
        slug: "bark-spider",
        name: "Darwin's bark spider",
        latin: "Caerostris darwini",
        text: [
            "Found in Madagascar and described only in 2010. It hangs its orb over rivers, from \
             bridge lines that reach from bank to bank, the longest of them about twenty-five \
             metres.",
            "Its dragline is the toughest material known from any living thing: to break it \
             takes about ten times the energy that breaks the same weight of Kevlar.",
        ],
    },
];

/// The endings that a page's plates have, in turn.
const ENDINGS: [&str; 10] =
    ["png", "jpg", "gif", "webp", "svg", "png", "jpg", "bmp", "gif", "webp"];

pub(super) fn build(site: &mut Builder) {
    let mut cards = String::new();
    for (number, species) in SPECIES.iter().enumerate() {
        page(site, number, species);
        let thumb = format!("/img/species/{}/index.png", species.slug);
        hang(site, &thumb, &plate(Motif::Guard, number, 100 + number as u64));
        // The last three are reached through the image map of the doors instead.
        let markup = format!("<img src=\"{thumb}\" alt=\"{}\">", species.name);
        cards += &if number < 5 {
            let linked = format!("<a href=\"/species/{}\">{markup}</a>", species.slug);
            figure(&linked, species.name)
        } else {
            figure(&markup, &format!("{} (by the <a href=\"/doors/\">map</a>)", species.name))
        };
    }
    let body = format!(
        "<p class=\"lead\">Some fifty thousand species of spider have names. Here are eight that \
         make something worth a detour.</p>\n{}\
         <p><a href=\"/species/?print=1\">This page to print</a> (not for robots)</p>\n",
        gallery(&cards)
    );
    open(site, "/species/", "Eight makers", "", &body);
}

fn page(site: &mut Builder, number: usize, species: &Species) {
    let folder = format!("/img/species/{}", species.slug);
    let seed = 1000 + 100 * number as u64;

    let hero = sized(plate(Motif::Guard, number, seed), 96, 72);
    hang(site, &format!("{folder}/hero.webp"), &hero);
    hang(site, &format!("{folder}/hero.jpg"), &sized(hero, 72, 54));
    site.image(&format!("{folder}/hero@2x.jpg"), art::jpeg_progressive(&hero));
    hang(site, &format!("{folder}/card.png"), &sized(plate(Motif::Orb, number, seed + 1), 80, 42));

    let mut figures = String::new();
    for (place, ending) in ENDINGS.iter().enumerate() {
        let motif = Motif::ALL[(place + number) % Motif::ALL.len()];
        let shown = plate(motif, number, seed + 10 + place as u64);
        let path = format!("{folder}/plate-{}.{ending}", place + 1);
        if *ending == "svg" {
            let grounds = ["#16263f", "#1f4d3a", "#7a3b12", "#5b1f3f", "#0d4250", "#3b2a55"];
            let web = art::web_svg(shown.seed, grounds[number % grounds.len()], "#f4f0e4");
            site.image(&path, web);
            figures += &picture(&path, "Construction drawing");
        } else {
            hang(site, &path, &shown);
            figures += &picture(&path, motif.caption());
        }
    }

    let mut large = String::new();
    for (place, ending) in ["jpg", "png", "webp"].iter().enumerate() {
        let motif = Motif::ALL[(place * 4 + number + 1) % Motif::ALL.len()];
        let full = sized(plate(motif, number + 1 + place, seed + 40 + place as u64), 96, 96);
        let path = format!("{folder}/full-{}.{ending}", place + 1);
        let thumb = format!("{folder}/thumb-{}.png", place + 1);
        let bytes = if place == 0 { art::jpeg_progressive(&full) } else { render(&path, &full) };
        site.image(&path, bytes);
        hang(site, &thumb, &sized(full, 48, 48));
        large += &figure(
            &format!("<a href=\"{path}\"><img src=\"{thumb}\" alt=\"{}\"></a>", motif.caption()),
            "Enlarge",
        );
    }

    let body = format!(
        "<p class=\"latin\">{latin}</p>\n<picture class=\"hero\">\
         <source type=\"image/webp\" srcset=\"{folder}/hero.webp\">\
         <img src=\"{folder}/hero.jpg\" srcset=\"{folder}/hero.jpg 1x, {folder}/hero@2x.jpg 2x\" \
         alt=\"{name}\"></picture>\n<p class=\"lead\">{first}</p>\n<p>{second}</p>\n\
         <h2>Plates</h2>\n{plates}<h2>In full size</h2>\n{large}\
         <p><a href=\"/species/\">All eight makers</a></p>\n",
        latin = species.latin,
        name = species.name,
        first = species.text[0],
        second = species.text[1],
        plates = gallery(&figures),
        large = gallery(&large),
    );
    let head =
        format!("<meta property=\"og:image\" content=\"{{{{origin}}}}{folder}/card.png\">\n");
    open(site, &format!("/species/{}", species.slug), species.name, &head, &body);
}
