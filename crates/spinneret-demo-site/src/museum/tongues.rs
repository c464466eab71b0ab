//! The reading room: pages in other alphabets and encodings. Each refers to an image whose name
//! comes out right only if the page was decoded right.

use super::{framed, gallery, hang, open, picture, plate};
use crate::art::Motif;
use crate::site::{Builder, Coding, Resource};

pub(super) fn build(site: &mut Builder) {
    for (number, name) in [
        "fa%C3%A7ade.png",
        "%E7%B5%B9.png",
        "%E1%BC%80%CF%81%CE%AC%CF%87%CE%BD%CE%B7.png",
        "damaged.png",
        "unknown.png",
    ]
    .into_iter()
    .enumerate()
    {
        let motif = Motif::ALL[(number * 2 + 1) % Motif::ALL.len()];
        hang(site, &format!("/img/tongues/{name}"), &plate(motif, number, 1100 + number as u64));
    }
    hang(site, "/img/tongues/shelf.jpg", &plate(Motif::Leaf, 7, 1110));

    let body = "<p class=\"lead\">Spiders have been written about wherever there was something to \
         write on. Most of these books stand behind a sign: see <a href=\"/doors/\">the doors</a>. \
         One is here: <a href=\"unknown\">in a script that nobody knows</a>.</p>\n"
        .to_owned()
        + &gallery(&picture("/img/tongues/shelf.jpg", "The shelf"));
    open(site, "/tongues/", "The reading room", "", &body);

    // Declared by the header alone.
    let french = framed(
        "",
        "L’araignée",
        "",
        &("<p class=\"lead\">« Araignée du matin, chagrin ; araignée du soir, espoir. » La façade \
           du musée, tissée de rosée, en a vu des deux sortes.</p>\n"
            .to_owned() + &gallery(&picture("/img/tongues/façade.png", "La façade"))),
    );
    let bytes = encoding_rs::WINDOWS_1252.encode(&french).0.into_owned();
    site.page("/tongues/french", Resource::bytes(Some("text/html; charset=windows-1252"), bytes));

    // Declared by the page alone.
    let japanese = framed(
        "<meta http-equiv=\"Content-Type\" content=\"text/html; charset=Shift_JIS\">",
        "蜘蛛の糸",
        "",
        &("<p class=\"lead\">細い銀色の糸が、遠い空から一筋、光りながら下りて来る。絹よりも細く、\
           鋼よりも強い。</p>\n"
            .to_owned()
            + &gallery(&picture("/img/tongues/絹.png", "絹"))),
    );
    let bytes = encoding_rs::SHIFT_JIS.encode(&japanese).0.into_owned();
    let page = Resource::bytes(Some("text/html"), bytes).with_coding(Coding::Gzip);
    site.page("/tongues/japanese", page);

    // Declared by the byte order mark alone.
    let greek = framed(
        "",
        "Ἀράχνη",
        "",
        &("<p class=\"lead\">Ἡ Ἀράχνη ὕφαινε καλύτερα ἀπὸ τὴν Ἀθηνᾶ. Ἔτσι τοὐλάχιστον ἔλεγε, καὶ \
           γι’ αὐτὸ ὑφαίνει ἀκόμη.</p>\n"
            .to_owned()
            + &gallery(&picture("/img/tongues/ἀράχνη.png", "Ἀράχνη"))),
    );
    let bytes: Vec<u8> =
        std::iter::once(0xfeff).chain(greek.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    site.page("/tongues/greek", Resource::bytes(Some("text/html"), bytes));

    // Says UTF-8 and is not, in one place.
    let damaged = super::frame(
        "A damaged page",
        "",
        &("<p class=\"lead\">The mice have been here: @@ and here: @@. The rest can be read.</p>\n"
            .to_owned()
            + &gallery(&picture("/img/tongues/damaged.png", "What the mice left"))),
    );
    let mut bytes = damaged.into_bytes();
    for pair in 1..bytes.len() {
        if bytes[pair - 1..=pair] == *b"@@" {
            bytes[pair - 1..=pair].copy_from_slice(b"\xc3\xff");
        }
    }
    site.page("/tongues/damaged", Resource::bytes(Some(super::HTML), bytes));

    let unknown = framed(
        "<meta charset=\"x-orb-weaver\">",
        "An unknown script",
        "",
        &("<p class=\"lead\">Its charset is called x-orb-weaver, which only spiders can \
           read. The letters happen to be plain ones.</p>\n"
            .to_owned()
            + &gallery(&picture("/img/tongues/unknown.png", "Perhaps a signature"))),
    );
    let kind = Some("text/html; charset=x-orb-weaver");
    site.page("/tongues/unknown", Resource::bytes(kind, unknown.into_bytes()));
}
