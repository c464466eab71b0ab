//! The cabinet of failures: what cannot be had, and why.

use std::fmt::Write as _;
use std::io::Write as _;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::ways::sample;
use super::{HTML, frame, gallery, hang, open, picture};
use crate::art::{self, Motif};
use crate::bomb::gzip_bomb;
use crate::server::Trap;
use crate::site::{Builder, Resource};

/// An image that cannot be had: its address, the reason a test expects, what the label says.
type Exhibit = (String, &'static str, &'static str);

pub(super) fn build(site: &mut Builder) {
    let whole: Bytes = art::png(&super::plate(Motif::Guard, 6, 1300)).into();
    let mut exhibits = by_status(site);
    exhibits.extend(by_body(site, &whole));
    exhibits.extend(by_way(site));
    traps(site, &whole);

    let mut rows = String::new();
    for (address, reason, label) in &exhibits {
        let _ = writeln!(
            rows,
            "<tr><td><img src=\"{address}\" alt=\"\"></td><td><b>{reason}</b><br>\
             <code>{address}</code></td><td>{label}</td></tr>"
        );
    }
    hang(site, "/img/cabinet/label.png", &sample(5));
    let survivor = picture("/img/cabinet/label.png", "Nothing is wrong with this one");
    let body = format!(
        "<p class=\"lead\">Everything in this cabinet is broken, on purpose. A crawler that comes \
         through should leave with nothing from it but a list of what was wrong, and it should \
         not take long.</p>\n<table><tr><th></th><th>Exhibit</th><th>What happens</th></tr>\n\
         {rows}</table>\n\
         <h2>Broken doors</h2>\n<ul class=\"rooms\">\n\
         <li><a href=\"/broken/no-such-room\">A room that does not exist</a></li>\n\
         <li><a href=\"/broken/room-on-fire\">A room that is on fire</a></li>\n\
         <li><a href=\"/broken/shredded\">A page that was packed and then shredded</a></li>\n\
         <li><a href=\"/forever/1\">A corridor that grows as you walk</a></li>\n</ul>\n\
         <h2>One survivor</h2>\n\
         {}<h2>Other drawers</h2>\n<ul class=\"rooms\">\n\
         <li><a href=\"names\">Strange names</a></li>\n\
         <li><a href=\"malformed\">Malformed links</a></li>\n</ul>\n",
        gallery(&survivor)
    );
    open(site, "/cabinet/", "The cabinet of failures", "", &body);
}

/// The server says no.
fn by_status(site: &mut Builder) -> Vec<Exhibit> {
    let page = |text: &str| {
        Resource::text(HTML, frame(text, "", &format!("<p class=\"lead\">{text}.</p>\n")))
    };
    site.failure("/broken/no-such-room", "404 for a page", page("No such room").with_status(404));
    site.failure("/broken/room-on-fire", "500 for a page", page("On fire").with_status(500));
    site.failure("/broken/shredded", "corrupted gzip", {
        let packed = gzip(frame("Shredded", "", "<p>You cannot read this.</p>").as_bytes());
        Resource::bytes(Some(HTML), shred(packed)).with_header("Content-Encoding", "gzip")
    });
    site.fails("/forever/1", "endless redirect");

    let mut exhibits = Vec::new();
    for (name, status, reason, label) in [
        ("missing.png", 404, "404 Not Found", "The nail is still there."),
        ("gone.png", 410, "410 Gone", "Sold, and it will not come back."),
        ("locked.png", 403, "403 Forbidden", "Behind glass, and the glass is locked."),
        ("error.png", 500, "500 Internal Server Error", "The museum trips over its own feet."),
    ] {
        let path = format!("/broken/{name}");
        site.failure(&path, reason, page(reason).with_status(status));
        exhibits.push((path, reason, label));
    }
    exhibits
}

/// The answer is 200, and what follows is no image.
fn by_body(site: &mut Builder, whole: &Bytes) -> Vec<Exhibit> {
    let png = Some("image/png");
    let page = frame("Not an image", "", "<p>Welcome! Please log in.</p>\n");
    let start = &whole[..33];
    // Not the image itself: clients that overlook the coding would be right by accident.
    let cocoon: Vec<u8> = whole.iter().map(|byte| byte ^ 0x5a).collect();
    let mut half = art::jpeg(&super::plate(Motif::Dew, 4, 1301));
    half.truncate(half.len() / 2);
    let shown: [(&str, &'static str, &'static str, Resource); 8] = [
        (
            "page.png",
            "a page declared as an image",
            "Says that it is a PNG. It is a page that asks you to log in.",
            Resource::bytes(png, page.into_bytes()),
        ),
        (
            "empty.png",
            "empty body",
            "A frame without a picture.",
            Resource::bytes(png, Bytes::new()),
        ),
        (
            "cut-short.png",
            "body shorter than announced",
            "Announces twice as many bytes as it has, then hangs up.",
            Resource::trap(Trap::CutShort(whole.clone())),
        ),
        (
            "cut-chunk.png",
            "chunked body cut off",
            "Travels in chunks; the last never arrives.",
            Resource::trap(Trap::CutChunk(whole.clone())),
        ),
        (
            "shredded.png",
            "corrupted gzip",
            "Packed, then shredded.",
            Resource::bytes(png, shred(gzip(whole))).with_header("Content-Encoding", "gzip"),
        ),
        (
            "bomb.png",
            "decompression bomb",
            "A megabyte on the way, a gigabyte when unpacked.",
            Resource::bytes(png, gzip_bomb(start)).with_header("Content-Encoding", "gzip"),
        ),
        (
            "ten-gigabytes.png",
            "body far too large",
            "Announces ten gigabytes.",
            Resource::trap(Trap::TenGigabytes(whole.clone())),
        ),
        (
            "unknown-coding.png",
            "unknown content coding",
            "Packed in a way that nobody can undo.",
            Resource::bytes(png, cocoon).with_header("Content-Encoding", "x-cocoon"),
        ),
    ];
    let mut exhibits = Vec::new();
    for (name, reason, label, resource) in shown {
        let path = format!("/broken/{name}");
        site.failure(&path, reason, resource);
        exhibits.push((path, reason, label));
    }
    // No failure of the transfer: what the site has is what a crawler saves.
    let path = "/broken/half.jpg".to_owned();
    site.image_as(&path, Resource::bytes(Some("image/jpeg"), half));
    let label = "Cut in half by its owner, and announced as the half that it is.";
    exhibits.push((path, "half an image, but all that the site has", label));
    exhibits
}

/// The way there ends nowhere.
fn by_way(site: &mut Builder) -> Vec<Exhibit> {
    let mut exhibits: Vec<Exhibit> = Vec::new();
    site.failure("/loop/1", "redirects in a circle", Resource::redirect(302, "/loop/2"));
    site.serve("/loop/2", Resource::redirect(302, "/loop/1"));
    let nowhere = Resource { headers: Vec::new(), ..Resource::redirect(302, "") };
    site.failure("/broken/nowhere.png", "redirect without an address", nowhere);
    let refused = format!("http://127.0.0.1:{}/x.png", site.refusing_port());
    site.fails("/forever/100", "endless redirect");
    site.fails(&refused, "connection refused");
    site.fails("http://no-such-host.invalid/x.png", "unresolvable host");
    for (address, reason, label) in [
        ("/loop/1", "redirects in a circle", "Ask at the other desk. And there: ask at the first."),
        ("/forever/100", "endless redirect", "Always one door further on."),
        ("/broken/nowhere.png", "redirect without an address", "Moved, but where to?"),
        (refused.as_str(), "connection refused", "Nobody opens at this port."),
        ("http://no-such-host.invalid/x.png", "unresolvable host", "No such house in any street."),
    ] {
        exhibits.push((address.to_owned(), reason, label));
    }
    exhibits
}

/// What costs time is served but not linked.
fn traps(site: &mut Builder, whole: &Bytes) {
    for (name, trap) in [
        ("slow", Trap::Slow(whole.clone())),
        ("trickle", Trap::Trickle(whole.clone())),
        ("held", Trap::Held),
        ("huge", Trap::Huge(whole.clone())),
        ("endless", Trap::Endless(whole.clone())),
        ("hang-up", Trap::HangUp),
        ("garbage", Trap::Garbage),
        ("long-header", Trap::LongHeader),
        ("flaky", Trap::Flaky(whole.clone())),
        ("busy", Trap::Busy(whole.clone())),
    ] {
        site.serve(&format!("/trap/{name}"), Resource::trap(trap));
    }
    let metadata = Resource::redirect(302, "http://169.254.169.254/latest/meta-data/");
    site.serve("/trap/to-metadata", metadata);
    site.serve("/trap/to-file", Resource::redirect(302, "file:///etc/passwd"));
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(data).and_then(|()| encoder.finish()).expect("a vector takes every byte")
}

/// Damages what is in the middle of a file.
fn shred(mut packed: Vec<u8>) -> Vec<u8> {
    let middle = packed.len() / 2;
    for byte in &mut packed[middle..middle + 16] {
        *byte ^= 0xff;
    }
    packed
}
