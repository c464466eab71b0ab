//! Ways to hang a picture: how the body of a page, its styles and its addresses name images.

use super::{figure, gallery, hang, open, picture, plate, sized};
use crate::art::{self, Motif, Plate};
use crate::site::{Builder, Resource};

/// A plate of these rooms; each number gives another.
pub(super) fn sample(number: usize) -> Plate {
    plate(Motif::ALL[number % Motif::ALL.len()], number / 3, 2000 + number as u64)
}

pub(super) fn build(site: &mut Builder) {
    lazy(site);
    choices(site);
    dressed(site);
    addresses(site);
    based(site);
    hang(site, "/img/ways/nail.png", &sized(sample(0), 48, 48));
    let body = format!(
        "<p class=\"lead\">A picture can be named in a page in more ways than there are nails in \
         a wall. A crawler that knows only one of them comes home with an empty bag.</p>\n\
         <ul class=\"rooms\">\n\
         <li><a href=\"lazy\">Later</a>: images that a script would hang up when you come near.</li>\n\
         <li><a href=\"choices\">Choices</a>: several sizes and formats of one picture.</li>\n\
         <li><a href=\"dressed\">In the wallpaper</a>: images named by styles.</li>\n\
         <li><a href=\"cards\">On the side</a>: cards, icons, posters, buttons, drawings.</li>\n\
         <li><a href=\"addresses\">Odd addresses</a>: spaces, alphabets, queries, lies.</li>\n\
         <li><a href=\"based\">Moved base</a>: a page that says where its addresses begin.</li>\n\
         </ul>\n{}",
        gallery(&picture("../img/ways/nail.png", "Named from one folder up"))
    );
    open(site, "/ways/", "Ways to hang a picture", "", &body);
}

/// Attributes that scripts read.
fn lazy(site: &mut Builder) {
    const BLANK: &str =
        "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7";
    let mut figures = String::new();
    for (number, attribute) in
        ["data-src", "data-original", "data-lazy-src", "data-lazy"].into_iter().enumerate()
    {
        let path = format!("/img/lazy/{attribute}.jpg");
        hang(site, &path, &sample(number + 1));
        let markup =
            format!("<img src=\"{BLANK}\" {attribute}=\"{path}\" alt=\"\" class=\"lazy\">");
        figures += &figure(&markup, &format!("<code>{attribute}</code>"));
    }
    for (number, name) in ["small", "large"].into_iter().enumerate() {
        hang(
            site,
            &format!("/img/lazy/set-{name}.webp"),
            &sized(sample(5), 32 << number, 32 << number),
        );
    }
    figures += &figure(
        "<img alt=\"\" data-srcset=\"/img/lazy/set-small.webp 32w, /img/lazy/set-large.webp 64w\">",
        "<code>data-srcset</code>",
    );
    hang(site, "/img/lazy/ground.png", &sample(6));
    figures += &figure(
        "<div class=\"box\" data-bg=\"/img/lazy/ground.png\"></div>",
        "<code>data-bg</code>",
    );
    hang(site, "/img/lazy/noscript.gif", &sample(7));
    figures += &figure(
        "<noscript><img src=\"/img/lazy/noscript.gif\" alt=\"\"></noscript>",
        "<code>noscript</code>",
    );
    hang(site, "/img/lazy/native.png", &sample(8));
    figures += &figure(
        "<img loading=\"lazy\" src=\"/img/lazy/native.png\" alt=\"\">",
        "<code>loading=lazy</code>",
    );
    let body = format!(
        "<p class=\"lead\">These frames look empty until a script fills them. No script will \
         come: the addresses wait in attributes of many names.</p>\n{}",
        gallery(&figures)
    );
    open(site, "/ways/lazy", "Later", "", &body);
}

/// `srcset` and `picture`.
fn choices(site: &mut Builder) {
    for (number, width) in [24_usize, 48, 96].into_iter().enumerate() {
        hang(site, &format!("/img/choice/wide-{width}.png"), &sized(sample(10), width, width / 2));
        hang(
            site,
            &format!("/img/choice/dense-{}.jpg", number + 1),
            &sized(sample(11), width, width),
        );
        hang(site, &format!("/img/choice/art-{width}.webp"), &sized(sample(12), width, width));
    }
    for name in ["fallback.png", "a,comma.png", "tight-1.gif", "tight-2.gif", "only-set.png"] {
        hang(site, &format!("/img/choice/{name}"), &sample(13 + name.len()));
    }
    let figures = figure(
        "<img src=\"/img/choice/wide-24.png\" sizes=\"50vw\" alt=\"\" srcset=\"\n\
         /img/choice/wide-24.png 24w,\n/img/choice/wide-48.png 48w,\n/img/choice/wide-96.png 96w\">",
        "<code>srcset</code> by width",
    ) + &figure(
        "<img src=\"/img/choice/dense-1.jpg\" alt=\"\" \
         srcset=\"/img/choice/dense-2.jpg 2x, /img/choice/dense-3.jpg 3.5x\">",
        "<code>srcset</code> by density",
    ) + &figure(
        "<picture><source media=\"(min-width: 60rem)\" srcset=\"/img/choice/art-96.webp\">\
         <source media=\"(min-width: 30rem)\" srcset=\"/img/choice/art-48.webp, \
         /img/choice/art-24.webp 0.5x\"><img src=\"/img/choice/fallback.png\" alt=\"\"></picture>",
        "<code>picture</code> and its sources",
    ) + &figure(
        "<img alt=\"\" srcset=\"/img/choice/a,comma.png 1x\">",
        "A comma that belongs to the name",
    ) + &figure(
        "<img alt=\"\" srcset=\"/img/choice/tight-1.gif 1x,/img/choice/tight-2.gif 2x\">",
        "No space after the comma",
    ) + &figure(
        "<img alt=\"\" srcset=\"/img/choice/only-set.png\">",
        "No descriptor at all",
    );
    let body = format!(
        "<p class=\"lead\">One picture, several files: the browser takes what suits its screen, \
         the collector takes them all.</p>\n{}",
        gallery(&figures)
    );
    open(site, "/ways/choices", "Choices", "", &body);
}

/// Images named by CSS.
fn dressed(site: &mut Builder) {
    for (number, name) in [
        "inline.png",
        "inline-quoted.jpg",
        "embedded.png",
        "embedded-set-1.png",
        "embedded-set-2.png",
        "plain.png",
        "single.jpg",
        "double.webp",
        "two%20words.png",
        "(bracket).png",
        "escaped.png",
        "list.gif",
        "border.svg",
        "imported.png",
        "imported-relative.png",
    ]
    .into_iter()
    .enumerate()
    {
        hang(site, &format!("/img/css/{name}"), &sample(20 + number));
    }
    site.stylesheet(
        "/style/dressed.css",
        "@import '/style/more/imported.css' screen;\n\
         .plain { background-image: url(/img/css/plain.png) }\n\
         .single { background-image: url( '/img/css/single.jpg' ) }\n\
         .double { background: #fff url(\"../img/css/double.webp\") no-repeat }\n\
         .spaced { background-image: url(\"/img/css/two words.png\") }\n\
         .bracket { background-image: url(/img/css/\\(bracket\\).png) }\n\
         .escaped { background-image: u\\72l(/img/css/e\\73 caped.png) }\n\
         .listed { list-style-image: URL(/img/css/list.gif) }\n\
         .border { border-image: url(/img/css/border.svg) 10 }\n\
         .nothing::after { content: \"url(/img/ghost-of-a-string.png)\" }\n\
         .data { background: url(data:image/gif;base64,R0lGODlhAQABAAAAACw=) }\n",
    );
    site.ghost("/img/ghost-of-a-string.png");
    site.stylesheet(
        "/style/more/imported.css",
        ".imported { background-image: url(/img/css/imported.png) }\n\
         .relative { background-image: url(../../img/css/imported-relative.png) }\n",
    );
    let mut figures = figure(
        "<div class=\"box\" style=\"background-image: url(/img/css/inline.png)\"></div>",
        "Inline style",
    ) + &figure(
        "<div class=\"box\" style='background: url(&quot;/img/css/inline-quoted.jpg&quot;)'></div>",
        "Inline style, quoted twice",
    );
    for (class, caption) in [
        ("embedded", "A style element"),
        ("plain", "A style sheet, no quotes"),
        ("single", "Single quotes and spaces"),
        ("double", "Double quotes, one folder up"),
        ("spaced", "Two words"),
        ("bracket", "Escaped brackets"),
        ("escaped", "Escaped letters"),
        ("imported", "An imported style sheet"),
        ("relative", "Relative to that one"),
    ] {
        figures += &figure(&format!("<div class=\"box {class}\"></div>"), caption);
    }
    let head = "<link rel=\"stylesheet\" href=\"/style/dressed.css\">\n<style>\n\
         .embedded { background-image: url(\"/img/css/embedded.png\") }\n\
         .set { background-image: image-set(url(/img/css/embedded-set-1.png) 1x, \
         url(/img/css/embedded-set-2.png) 2x) }\n</style>\n";
    let body = format!(
        "<p class=\"lead\">The wallpaper has pictures too. Their addresses are written in styles, \
         with quotes or without, some spelt in secret letters.</p>\n{}",
        gallery(&figures)
    );
    open(site, "/ways/dressed", "In the wallpaper", head, &body);
}

/// Addresses that need care, all of them good.
fn addresses(site: &mut Builder) {
    let mut figures = String::new();
    // As the page writes it, as it is asked for, what is special.
    for (number, (written, asked, caption)) in [
        ("/img/odd names/silk thread.png", "/img/odd%20names/silk%20thread.png", "Spaces"),
        ("/img/odd%20names/knot.png", "/img/odd%20names/knot.png", "Spaces, encoded"),
        (
            "/img/vieux château/fil d’or.jpg",
            "/img/vieux%20ch%C3%A2teau/fil%20d%E2%80%99or.jpg",
            "Accents",
        ),
        ("/img/蜘蛛.png", "/img/%E8%9C%98%E8%9B%9B.png", "Another alphabet"),
        ("/img/odd/100%25.png", "/img/odd/100%25.png", "A per cent sign"),
        ("/img/odd/plate.png?v=1", "/img/odd/plate.png?v=1", "Version 1"),
        ("/img/odd/plate.png?v=2", "/img/odd/plate.png?v=2", "Version 2, another picture"),
        ("/img/odd/plate.png", "/img/odd/plate.png", "No version, a third picture"),
        ("/img/odd/show.php?id=7&amp;size=64", "/img/odd/show.php?id=7&size=64", "By number"),
        ("/img/odd/plate.gif#detail", "/img/odd/plate.gif", "A part of a picture"),
        ("./../img/./odd/dots/../walk.png", "/img/odd/walk.png", "Back and forth"),
    ]
    .into_iter()
    .enumerate()
    {
        let bytes = super::render(asked, &sample(40 + number));
        let kind = crate::site::content_type_of(asked).or(Some("image/png"));
        site.image_as(asked, Resource::bytes(kind, bytes));
        figures += &picture(written, caption);
    }
    figures += &lies(site);
    hang(site, "/img/odd/whole.png", &sample(73));
    figures += &picture("{{origin}}/img/odd/whole.png", "The whole address");
    let body = format!(
        "<p class=\"lead\">Every picture of this room can be had, for those who spell its address \
         right and look at the picture more than at its label.</p>\n{}",
        gallery(&figures)
    );
    open(site, "/ways/addresses", "Odd addresses", "", &body);
}

/// Images whose addresses or labels say something else than their bytes.
fn lies(site: &mut Builder) -> String {
    let mut figures = String::new();
    // Two addresses, one picture.
    let twin = art::png(&sample(60));
    for name in ["twin-a.png", "twin-b.png"] {
        site.image(&format!("/img/odd/{name}"), twin.clone());
        figures += &picture(&format!("/img/odd/{name}"), "One of twins");
    }
    // Right bytes, wrong or missing words.
    let untrue = [
        ("/img/odd/as-text.png", Some("text/plain"), "PNG, says it is text"),
        ("/img/odd/as-jpeg.jpg", Some("image/jpeg"), "PNG, says it is JPEG"),
        ("/img/odd/as-bytes.png", Some("application/octet-stream"), "PNG, says nothing useful"),
        ("/img/odd/untyped.png", None, "PNG, says nothing"),
        ("/img/odd/no-ending", Some("image/png"), "PNG, without an ending"),
    ];
    for (number, (path, kind, caption)) in untrue.into_iter().enumerate() {
        site.image_as(path, Resource::bytes(kind, art::png(&sample(61 + number))));
        figures += &picture(path, caption);
    }
    site.image_as(
        "/img/odd/in-chunks.png",
        Resource::bytes(Some("image/png"), art::png(&sized(sample(66), 96, 96))).in_chunks(),
    );
    figures += &picture("/img/odd/in-chunks.png", "In chunks");
    for (number, status) in [301_u16, 302, 303, 307, 308].into_iter().enumerate() {
        let (from, to) = (format!("/moved/{status}.png"), format!("/img/moved/{status}.png"));
        hang(site, &to, &sample(67 + number));
        site.redirect(&from, status, &to);
        figures += &picture(&from, &format!("Moved, {status}"));
    }
    figures
}

/// A page with `base`.
fn based(site: &mut Builder) {
    for number in 1..=4_usize {
        hang(site, &format!("/img/based/far/{number}.png"), &sample(80 + number));
    }
    let figures: String =
        (1..=3).map(|number| picture(&format!("{number}.png"), "Next to the base")).collect();
    let body = format!(
        "<p class=\"lead\">This page lives in one place and says that its addresses begin in \
         another.</p>\n{}<p>The <a href=\"4.png\">fourth</a> is a link.</p>\n",
        gallery(&figures)
    );
    open(site, "/ways/based", "Moved base", "<base href=\"/img/based/far/\">\n", &body);
}
