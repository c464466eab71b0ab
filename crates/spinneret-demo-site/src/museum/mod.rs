//! The Silk Museum: what its rooms hold and how their pages look.

mod cabinet;
mod cards;
mod doors;
mod failures;
mod journal;
mod prints;
mod species;
mod tongues;
mod ways;
mod webs;

use std::fmt::Write as _;
use std::sync::OnceLock;

use crate::DemoSite;
use crate::art::{self, Motif, Plate};
use crate::site::{Builder, Coding, Resource};

const HTML: &str = "text/html; charset=utf-8";

impl DemoSite {
    /// The museum: a few dozen pages, a few hundred images, and troubles. The same on every run,
    /// except for one port number in one address that refuses connections.
    ///
    /// It is made by the first call in a process; later ones share it.
    pub fn build() -> Self {
        static MUSEUM: OnceLock<DemoSite> = OnceLock::new();
        MUSEUM.get_or_init(Self::make).clone()
    }

    fn make() -> Self {
        let mut site = Builder::default();
        dressing(&mut site);
        lobby(&mut site);
        private_rooms(&mut site);
        species::build(&mut site);
        webs::build(&mut site);
        prints::build(&mut site);
        ways::build(&mut site);
        cards::build(&mut site);
        doors::build(&mut site);
        journal::build(&mut site);
        tongues::build(&mut site);
        cabinet::build(&mut site);
        failures::build(&mut site);
        sitemap(&mut site);
        site.finish()
    }
}

/// A plate of the museum's usual size.
fn plate(motif: Motif, palette: usize, seed: u64) -> Plate {
    Plate { motif, palette, seed, width: 64, height: 64 }
}

/// The same plate in another size.
fn sized(plate: Plate, width: usize, height: usize) -> Plate {
    Plate { width, height, ..plate }
}

/// A plate in the format that the name's ending stands for.
fn render(path: &str, plate: &Plate) -> Vec<u8> {
    let name = path.split('?').next().unwrap_or(path);
    match name.rsplit('.').next().unwrap_or_default() {
        "jpg" | "jpeg" => art::jpeg(plate),
        "gif" => art::gif(plate),
        "webp" => art::webp(plate, false),
        "bmp" => art::bmp(plate),
        "ico" => art::ico(plate),
        "tif" | "tiff" => art::tiff(plate, false),
        "apng" => art::apng(plate),
        "svg" => art::web_svg(plate.seed, "#16263f", "#e8eefb").into_bytes(),
        _ => art::png(plate),
    }
}

/// Renders a plate and puts it on the wall.
fn hang(site: &mut Builder, path: &str, plate: &Plate) {
    site.image(path, render(path, plate));
}

/// An image with its caption, as a card of a gallery.
fn figure(markup: &str, caption: &str) -> String {
    format!("<figure>{markup}<figcaption>{caption}</figcaption></figure>\n")
}

/// The most common figure: one `img` with a `src`.
fn picture(src: &str, caption: &str) -> String {
    figure(&format!("<img src=\"{src}\" alt=\"{caption}\">"), caption)
}

fn gallery(figures: &str) -> String {
    format!("<div class=\"gallery\">\n{figures}</div>\n")
}

/// A whole page in the museum's frame.
fn frame(title: &str, head: &str, body: &str) -> String {
    framed("<meta charset=\"utf-8\">", title, head, body)
}

/// A page that declares its charset in its own way, or not at all.
fn framed(charset: &str, title: &str, head: &str, body: &str) -> String {
    const ROOMS: [(&str, &str); 7] = [
        ("/species/", "Species"),
        ("/webs/", "Webs"),
        ("/prints/", "Print room"),
        ("/ways/", "Ways to hang"),
        ("/doors/", "Doors"),
        ("/tongues/", "Reading room"),
        ("/cabinet/", "Cabinet of failures"),
    ];
    let mut rooms = String::new();
    for (path, name) in ROOMS {
        let _ = write!(rooms, "<a href=\"{path}\">{name}</a> ");
    }
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n{charset}\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title} | The Silk Museum</title>\n\
         <link rel=\"stylesheet\" href=\"/style/museum.css\">\n\
         <link rel=\"icon\" href=\"/favicon.ico\" sizes=\"any\">\n{head}</head>\n<body>\n\
         <header><a class=\"sign\" href=\"/\"><img src=\"/img/badge.svg\" alt=\"\" width=\"40\" \
         height=\"40\"> The Silk Museum</a>\n<nav>{rooms}</nav></header>\n\
         <main>\n<h1>{title}</h1>\n{body}</main>\n\
         <footer>A field guide to spiders and what they make. Open by night. \
         Every picture was drawn for this museum.</footer>\n</body>\n</html>\n"
    )
}

/// Puts a page up, in the content coding that is its turn: none, gzip, Brotli, Zstandard; every
/// third page travels in chunks.
fn open(site: &mut Builder, path: &str, title: &str, head: &str, body: &str) {
    const CODINGS: [Coding; 4] = [Coding::Gzip, Coding::Brotli, Coding::Zstd, Coding::Identity];
    let turn: usize = path.bytes().map(usize::from).sum();
    let mut resource =
        Resource::text(HTML, frame(title, head, body)).with_coding(CODINGS[turn % 4]);
    if turn.is_multiple_of(3) {
        resource = resource.in_chunks();
    }
    site.page(path, resource);
}

/// What every page wears: style sheets, badge, icon.
fn dressing(site: &mut Builder) {
    site.stylesheet("/style/museum.css", include_str!("../../assets/museum.css"));
    site.stylesheet("/style/details.css", include_str!("../../assets/details.css"));
    // In the style sheet's comment.
    site.ghost("/img/ghost-of-a-comment.png");
    site.image("/img/style/ground.svg", art::web_svg(4, "#fbf7ee", "#efe6d2"));
    let badge = Resource::bytes(Some("image/svg+xml"), art::badge_svg("#16263f", "#f4c95d"));
    site.image_as("/img/badge.svg", badge.with_coding(Coding::Gzip));
    hang(site, "/favicon.ico", &plate(Motif::Spider, 7, 1));
    hang(site, "/img/style/thread.png", &sized(plate(Motif::Waves, 7, 9), 96, 8));
    hang(site, "/img/style/night%20sky.png", &plate(Motif::Moon, 0, 3));
}

fn lobby(site: &mut Builder) {
    let mut figures = String::new();
    for (number, (motif, palette)) in
        [(Motif::Moon, 0), (Motif::Dew, 4), (Motif::Guard, 1), (Motif::Moth, 3), (Motif::Leaf, 5)]
            .into_iter()
            .enumerate()
    {
        let path = format!("/img/lobby/{}.jpg", number + 1);
        hang(site, &path, &sized(plate(motif, palette, 20 + number as u64), 96, 96));
        figures += &picture(&path, motif.caption());
    }
    let body = format!(
        "<p class=\"lead\">A spider carries its workshop with it. From a gland comes a liquid, \
         from a nozzle no wider than a hair comes a thread, and from the thread come houses, \
         nets, ropes, letters, parachutes and cradles. This museum collects what they make.</p>\n\
         {}\
         <h2>Begin here</h2>\n<ul class=\"rooms\">\n\
         <li><a href=\"/species/\">The species</a>: eight makers, each with its plates.</li>\n\
         <li><a href=\"/webs/\">The webs</a>: four inventions, explained.</li>\n\
         <li><a href=\"/prints/\">The print room</a>: one motif in every format there is.</li>\n\
         <li><a href=\"/ways/\">Ways to hang a picture</a>: how a page can point at an image.</li>\n\
         <li><a href=\"/doors/\">The doors</a>: how a page can lead to a page.</li>\n\
         <li><a href=\"/tongues/\">The reading room</a>: pages in other alphabets.</li>\n\
         <li><a href=\"/cabinet/\">The cabinet of failures</a>: everything here is broken, on \
         purpose.</li>\n</ul>\n\
         <p>The <a href=\"/private/\">storerooms</a> and the <a href=\"/private/ledger\">ledger</a> \
         are for staff, says <code>robots.txt</code>; \
         the <a href=\"/private/visitors/\">visitors' corner</a> of the storerooms is open.</p>\n\
         <!-- Taken down for cleaning: <img src=\"/img/ghost-of-the-lobby.png\"> -->\n",
        gallery(&figures)
    );
    site.ghost("/img/ghost-of-the-lobby.png");
    let head = "<meta property=\"og:title\" content=\"The Silk Museum\">\n\
                <meta property=\"og:image\" content=\"{{origin}}/img/lobby/card.png\">\n";
    hang(site, "/img/lobby/card.png", &sized(plate(Motif::Orb, 0, 30), 96, 50));
    open(site, "/", "A field guide to spiders", head, &body);
}

/// What robots.txt forbids, and the exception that it makes.
fn private_rooms(site: &mut Builder) {
    site.serve(
        "/robots.txt",
        Resource::text(
            "text/plain; charset=utf-8",
            "# The Silk Museum\n\
             User-agent: *\n\
             Disallow: /private/\n\
             Allow: /private/visitors/\n\
             Disallow: /*?print=\n\
             \n\
             User-agent: moth\n\
             Disallow: /\n\
             \n\
             Sitemap: {{origin}}/sitemap.xml\n",
        ),
    );
    let inside = |title: &str, body: &str| Resource::text(HTML, frame(title, "", body));
    site.forbidden(
        "/private/",
        inside(
            "Storerooms",
            "<p>You should not be reading this.</p><img src=\"/private/vault.png\" alt=\"\">\
             <a href=\"/private/ledger\">The ledger</a>\n",
        ),
    );
    site.forbidden("/private/ledger", inside("Ledger", "<p>Silk in, silk out.</p>\n"));
    site.forbidden("/species/?print=1", inside("Species, to print", "<p>On paper.</p>\n"));
    let vault = art::png(&plate(Motif::Cocoon, 6, 77));
    site.forbidden("/private/vault.png", Resource::bytes(Some("image/png"), vault));

    hang(site, "/private/visitors/badge.png", &plate(Motif::Leaf, 5, 78));
    let body = "<p>Behind the rope, but open: <code>robots.txt</code> forbids what is around this \
                corner and allows the corner itself, and the longer rule wins.</p>\n"
        .to_owned()
        + &gallery(&picture("badge.png", "Your badge, please wear it"));
    open(site, "/private/visitors/", "The visitors' corner", "", &body);
}

fn sitemap(site: &mut Builder) {
    let mut map = String::from(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <urlset xmlns=\"http://www.sitemaps.org/schemas/sitemap/0.9\">\n",
    );
    for path in ["/", "/species/", "/webs/", "/prints/", "/ways/", "/doors/", "/cabinet/"] {
        let _ = writeln!(map, "<url><loc>{{{{origin}}}}{path}</loc></url>");
    }
    map += "</urlset>\n";
    site.serve("/sitemap.xml", Resource::text("application/xml", map));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_museum_is_the_same_whenever_it_is_made() {
        let (first, second) = (DemoSite::make(), DemoSite::make());
        let (first, second) = (first.expected(), second.expected());
        assert_eq!(first.images, second.images);
        assert_eq!(first.pages, second.pages);
        assert_eq!(first.failures.len(), second.failures.len());
    }

    #[test]
    fn later_builds_share_what_the_first_made() {
        let (first, second) = (DemoSite::build(), DemoSite::build());
        assert!(std::sync::Arc::ptr_eq(&first.content, &second.content));
    }
}
