//! The cabinet's two harmless drawers: strange names and malformed links, all with images that
//! can be had.

use super::ways::sample;
use super::{HTML, figure, frame, gallery, hang, open, picture};
use crate::art;
use crate::site::{Builder, Resource};

pub(super) fn build(site: &mut Builder) {
    names(site);
    malformed(site);
}

/// Names that a careless program would write outside its folder, or not at all.
fn names(site: &mut Builder) {
    let long = format!("/img/long/{}.png", "s".repeat(296));
    let rows: [(&str, &str, &str); 19] = [
        ("/img/..%2F..%2Fetc%2Fpasswd.png", "", "climbs out of the folder, if decoded"),
        ("/img/%2e%2e/x.png", "/x.png", "dots that are encoded are still dots"),
        ("/../../y.png", "/y.png", "above the root there is nothing"),
        ("/img/..%5C..%5Cwindows.png", "", "climbs out on another system"),
        ("/img/%252e%252e%252fsecret.png", "", "climbs out if decoded twice"),
        (&long, "", "longer than a file system takes"),
        ("/img/odd/nul%00byte.png", "", "ends early in C"),
        ("/img/odd/line%0Abreak.png", "", "forges a line in a log"),
        ("/img/odd/escape%1B%5B31m.png", "", "colours a terminal"),
        ("/img/odd/CON.png", "", "a device, on another system"),
        ("/img/odd/c:drive.png", "", "a drive, on another system"),
        ("/img/odd/Case.png", "", "the same as the next, on other systems"),
        ("/img/odd/case.png", "", "the same as the one before"),
        ("/img/odd/spider", "", "a file here"),
        ("/img/odd/spider/eye.png", "", "and a folder of that name here"),
        ("/img/odd/-rf.png", "", "an option, for a careless script"),
        ("/img/odd/show?file=../../../z.png", "", "climbs in the query"),
        ("/img/odd/txt%E2%80%AEgnp.exe.png", "", "reads backwards from the middle"),
        ("/img/odd//double.png", "", "an empty folder name"),
    ];
    let mut figures = String::new();
    for (number, (written, asked, what)) in rows.into_iter().enumerate() {
        let asked = if asked.is_empty() { written } else { asked };
        let bytes = art::png(&sample(200 + number));
        site.image_as(asked, Resource::bytes(Some("image/png"), bytes.clone()));
        if asked == "/x.png" {
            // For clients that do not resolve encoded dots.
            site.serve(written, Resource::bytes(Some("image/png"), bytes));
        }
        figures += &picture(written, what);
    }
    let body = format!(
        "<p class=\"lead\">Each of these pictures can be had. The trouble begins when a program \
         wants to call a file as the picture is called.</p>\n{}",
        gallery(&figures)
    );
    open(site, "/cabinet/names", "Strange names", "", &body);
}

/// HTML as people write it.
fn malformed(site: &mut Builder) {
    for (number, asked) in [
        "/img/malformed/shout.png",
        "/img/malformed/bare.png",
        "/img/malformed/single.png",
        "/img/malformed/around.png",
        "/img/malformed/inside.png",
        "/img/malformed/entity.png?a=1&b=2",
        "/img/malformed/backslash.png",
        "/img/malformed/first.png",
        "/img/malformed/unclosed.png",
        "/img/malformed/scheme.png",
    ]
    .into_iter()
    .enumerate()
    {
        hang(site, asked, &sample(230 + number));
    }
    // A second attribute of the same name does not count, nor does a tag that never ends.
    site.ghost("/img/ghost-of-a-second-attribute.png");
    site.ghost("/img/ghost-without-an-end.png");
    let figures = figure("<IMG SRC=\"/img/malformed/shout.png\" ALT=\"\">", "Shouted")
        + &figure("<img alt src=/img/malformed/bare.png>", "No quotes")
        + &figure("<img src='/img/malformed/single.png' alt=''>", "Single quotes")
        + &figure("<img alt='' src=\"\n  /img/malformed/around.png\t\n\">", "Space around")
        + &figure("<img alt='' src=\"/img/malf\normed/ins\tide.png\">", "Breaks inside")
        + &figure("<img alt='' src=\"/img/malformed/entity.png?a=1&#38;b=2\">", "An entity")
        + &figure("<img alt='' src=\"\\img\\malformed\\backslash.png\">", "Backslashes")
        + &figure(
            "<img alt='' src=\"/img/malformed/first.png\" \
             src=\"/img/ghost-of-a-second-attribute.png\">",
            "Two sources: the first counts",
        )
        + &figure("<img alt='' src=\"/img/malformed/unclosed.png\"><div><p><b>", "Nothing closed")
        + &figure("<img alt='' src=\"HTTP:/img/malformed/scheme.png\">", "Half an address");
    let body = format!(
        "<p class=\"lead\">People write pages by hand, at night, in a hurry. All ten pictures can \
         be had; all of the links below lead nowhere and must not trouble anyone.</p>\n{}\
         <p>Nowhere: <a href=\"http://[::1\">a</a> <a href=\"http://:80/\">b</a> \
         <a href=\"http://exa mple.invalid/\">c</a> <a href=\"http://host:99999/\">d</a> \
         <a href=\"javascript:void(0)\">e</a> <a href=\"mailto:spider@museum.invalid\">f</a> \
         <a href=\"tel:+0000\">g</a> <a href=\"data:text/html,<p>h\">h</a> \
         <a href=\"about:blank\">i</a> <a>j</a> <a href>k</a> <img> <img src> \
         <img src=\"   \"> <img src=\"http://\"> <img srcset=\", ,\"> <a href=\"//\">l</a></p>\n",
        gallery(&figures)
    );
    let page = frame("Malformed", "", &body) + "<img src=\"/img/ghost-without-an-end.png\" alt=\"";
    site.page("/cabinet/malformed", Resource::text(HTML, page));
}
