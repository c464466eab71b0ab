use super::*;

mod hostile;

const PAGE: &str = "http://h/dir/page.html";

fn html(text: &str) -> Extracted {
    extract_html(text, &Address::parse(PAGE).unwrap())
}

/// Addresses below `http://h/` in short, others whole.
fn short(list: &[Found]) -> Vec<&str> {
    list.iter()
        .map(|found| {
            let text = found.address.as_str();
            text.strip_prefix("http://h/").unwrap_or(text)
        })
        .collect()
}

/// Everything found, as `kind via address`, separated by commas.
fn summary(found: &Extracted) -> String {
    let lists = [("page", &found.pages), ("image", &found.images), ("sheet", &found.stylesheets)];
    let mut out = Vec::new();
    for (kind, list) in lists {
        for (address, link) in short(list).iter().zip(list) {
            out.push(format!("{kind} {} {address}", link.via));
        }
    }
    out.extend(found.malformed.iter().map(|link| format!("bad {}", link.text)));
    out.join(", ")
}

fn check(table: &[(&str, &str)]) {
    for (text, expected) in table {
        assert_eq!(summary(&html(text)), *expected, "{text}");
    }
}

#[test]
fn every_kind_of_place_is_known() {
    check(&[
        ("<a href=a>", "page anchor dir/a"),
        ("<a href=/x.JPG>", "image anchor x.JPG"),
        ("<a href=x.zip><a href=x.css><a href=x.mp4>", ""),
        ("<a href=/wiki/File:Cat.jpg>", "page anchor wiki/File:Cat.jpg"),
        ("<a href=a rel=nofollow>", "page anchor dir/a"),
        ("<a name=a><a href><a href=''><a href=#b><a href=javascript:c()>", ""),
        ("<map><area href=a><area href=b.png></map>", "page area dir/a, image area dir/b.png"),
        ("<frameset><frame src=a></frameset>", "page frame dir/a"),
        ("<iframe src=a>", "page frame dir/a"),
        (
            "<link rel=next href=a><link rel='prev' href=b>",
            "page link_rel dir/a, page link_rel dir/b",
        ),
        ("<meta http-equiv=Refresh content='0; URL=a'>", "page meta_refresh dir/a"),
        ("<img src=a>", "image img_src dir/a"),
        ("<img src=' a '>", "image img_src dir/a"),
        (
            "<img srcset='a 1x, b 2x' src=c>",
            "image img_src dir/c, image srcset dir/a, image srcset dir/b",
        ),
        (
            "<picture><source srcset='a.webp, b.webp 2x'><img src=c></picture>",
            "image srcset dir/a.webp, image srcset dir/b.webp, image img_src dir/c",
        ),
    ]);
}

#[test]
fn so_is_every_kind_of_place_in_heads_and_styles() {
    check(&[
        ("<video poster=a src=b.mp4><source src=c.mp4></video>", "image poster dir/a"),
        ("<input type=IMAGE src=a><input type=text src=b><input src=c>", "image input_image dir/a"),
        ("<link rel='shortcut ICON' href=a>", "image icon dir/a"),
        (
            "<link rel=apple-touch-icon href=a><link rel=mask-icon href=b><link rel=apple-touch-startup-image href=c>",
            "image icon dir/a, image icon dir/b, image icon dir/c",
        ),
        (
            "<link rel=preload as=image href=a imagesrcset='b 1x'>",
            "image preload dir/b, image preload dir/a",
        ),
        (
            "<link rel=preload as=font href=a><link rel=preload as=script href=b><link rel=canonical href=c>",
            "",
        ),
        ("<link rel=image_src href=a>", "image meta_image dir/a"),
        ("<meta property=og:image content=/a>", "image meta_image a"),
        (
            "<meta property=og:image:secure_url content=/a><meta property=og:image:width content=600>",
            "image meta_image a",
        ),
        (
            "<meta name=twitter:image content=/a><meta name=twitter:image:src content=/b>",
            "image meta_image a, image meta_image b",
        ),
        (
            "<meta name=msapplication-TileImage content=/a><meta itemprop=image content=/b>",
            "image meta_image a, image meta_image b",
        ),
        ("<meta name=description content=/a>", ""),
        (
            "<body background=a><table background=b><tr background=c><td background=d><th background=e>",
            "image background dir/a, image background dir/b, image background dir/c, image background dir/d, image background dir/e",
        ),
        ("<div background=a>", ""),
        ("<p style='background:url(\"a.png\")'>", "image css dir/a.png"),
        ("<p style='background:url(&quot;a.png&quot;)'>", "image css dir/a.png"),
        (
            "<style>@import 'a.css';p{background:url(b.png)}</style>",
            "image css dir/b.png, sheet css_import dir/a.css",
        ),
        ("<style>p{background:image-set('a.png' 1x)", "image css dir/a.png"),
        ("<style type=text/less>p{background:url(b.png)}</style>", ""),
        (
            "<link rel=stylesheet href=a><link rel='alternate stylesheet' href=b><link rel=preload as=style href=c>",
            "sheet stylesheet dir/a, sheet stylesheet dir/b, sheet stylesheet dir/c",
        ),
        (
            "<object data=a type=image/png></object><object data=b.svg></object><object data=c.swf></object>",
            "image object dir/a, image object dir/b.svg",
        ),
        (
            "<embed src=a.png><embed src=b.png type=application/pdf><embed src=c>",
            "image object dir/a.png",
        ),
        ("<image src=a>", "image img_src dir/a"),
        ("<noscript><img src=a></noscript>", "image img_src dir/a"),
    ]);
}

#[test]
fn lazy_images_are_found_in_their_attributes() {
    check(&[
        ("<img src=data:image/gif;base64,AA== data-src=a.jpg>", "image lazy dir/a.jpg"),
        (
            "<img data-src=image.php?id=1 data-srcset='a 1x, b.png 2x'>",
            "image lazy dir/image.php?id=1, image lazy dir/b.png",
        ),
        (
            "<img data-original=/a data-lazy=b.webp data-lazy-src=//c/d data-hi-res-src=e.png>",
            "image lazy a, image lazy dir/b.webp, image lazy http://c/d, image lazy dir/e.png",
        ),
        ("<source data-srcset='/a 100w'>", "image lazy a"),
        ("<div data-bg=/a>", "image lazy a"),
        (
            "<div data-bg='url(a.png)'><div data-background-image=\"url('b.png')\">",
            "image css dir/a.png, image css dir/b.png",
        ),
        ("<div data-style='background-image:url(a.png)'>", "image css dir/a.png"),
        ("<a data-full=a.png href=b>", "page anchor dir/b, image lazy dir/a.png"),
        ("<div data-src=/widget data-image=12 data-lazy=true data-background=dark>", ""),
        ("<img data-src='{{ url }}' data-lazy=true>", ""),
        ("<iframe data-src=/a data-poster=/b.png>", "page frame a"),
        ("<video data-src=/a.mp4 data-poster=/b><script data-src=/c.js></script>", "image lazy b"),
    ]);
}

#[test]
fn text_that_is_not_markup_holds_nothing() {
    check(&[
        ("<!-- <img src=a> --><img src=b>", "image img_src dir/b"),
        (
            "<!--[if IE]><img src=a><![endif]--><![if !IE]><img src=b><![endif]>",
            "image img_src dir/b",
        ),
        ("<!--><img src=a>-->", "image img_src dir/a"),
        ("<script>'<img src=a>'</script><img src=b>", "image img_src dir/b"),
        (
            "<script><!-- <script> <img src=a> </script> --></script><img src=b>",
            "image img_src dir/b",
        ),
        ("<SCRIPT></scripts><img src=a></ScRiPt ><img src=b>", "image img_src dir/b"),
        ("<textarea><img src=a></textarea><img src=b>", "image img_src dir/b"),
        ("<title><img src=a></title><img src=b>", "image img_src dir/b"),
        ("<style></style ><img src=b>", "image img_src dir/b"),
        ("<style><img src=a></style><img src=b>", "image img_src dir/b"),
        ("<iframe><img src=a></iframe><img src=b>", "image img_src dir/b"),
        ("<xmp><img src=a></xmp><noembed><img src=a></noembed><img src=b>", "image img_src dir/b"),
        ("<plaintext><img src=a>", ""),
        ("<p>x < y <img src=b>", "image img_src dir/b"),
        ("</img src=a>", ""),
        ("<![CDATA[<img src=a>]]>", ""),
        ("<img src=a", ""),
        ("<img title='<img src=a>' alt=\"<a href=b>\">", ""),
    ]);
}

#[test]
fn templates_are_no_part_of_the_page() {
    check(&[
        ("<template><img src=a></template><img src=b>", "image img_src dir/b"),
        ("<template><template></template><img src=a></template><img src=b>", "image img_src dir/b"),
        (
            "<template><base href=/x/><style>p{a:url(a.png)}</style></template><img src=b>",
            "image img_src dir/b",
        ),
        (
            "<template><svg></template><script>'<img src=a>'</script><img src=b>",
            "image img_src dir/b",
        ),
        (
            "<template shadowrootmode=open><img src=a></template><img src=b>",
            "image img_src dir/a, image img_src dir/b",
        ),
        ("</template><img src=b>", "image img_src dir/b"),
    ]);
}

#[test]
fn attributes_are_read_as_browsers_do() {
    check(&[
        ("<IMG SRC=a>", "image img_src dir/a"),
        ("<img\nsrc\t=\r\n'a'>", "image img_src dir/a"),
        ("<img/src=a/>", "image img_src dir/a/"),
        ("<img src=a src=b>", "image img_src dir/a"),
        ("<img src=\"a\"alt=b>", "image img_src dir/a"),
        ("<a href='?a=1&amp;b=2'>", "page anchor dir/page.html?a=1&b=2"),
        ("<a href='?a=1&b=2&copy=3&copy;'>", "page anchor dir/page.html?a=1&b=2&copy=3%C2%A9"),
        ("<a href='&#x61;&#98;&Uuml;'>", "page anchor dir/ab%C3%9C"),
        ("<a href=\"a\nb\">", "page anchor dir/ab"),
        ("<img src='a\0b'>", "image img_src dir/a%EF%BF%BDb"),
        ("<img xsrc=a data-srcs=b srcx=c>", ""),
        ("<a-b href=a><imgx src=b>", ""),
    ]);
}

#[test]
fn svg_and_mathml_inside_a_page_have_their_own_rules() {
    check(&[
        (
            "<svg><image href=a /><image xlink:href=b /><feImage href=c /></svg>",
            "image svg_image dir/a, image svg_image dir/b, image svg_image dir/c",
        ),
        (
            "<svg><a xlink:href=a></a><use href=s.svg#i /><use href=#j /></svg>",
            "page anchor dir/a, image svg_image dir/s.svg",
        ),
        ("<svg><style><![CDATA[p{a:url(a.png)}]]></style></svg>", "image css dir/a.png"),
        ("<svg><style/><title/><script/></svg><img src=a>", "image img_src dir/a"),
        ("<svg><title><img src=a></title></svg>", "image img_src dir/a"),
        (
            "<svg><foreignObject><img src=a><svg><image href=b /></svg><img src=c></foreignObject><image href=d /></svg>",
            "image img_src dir/a, image svg_image dir/b, image img_src dir/c, image svg_image dir/d",
        ),
        ("<svg><image src=a></svg>", ""),
        ("<svg><path><img src=a><script>'<img src=b>'</script>", "image img_src dir/a"),
        ("<div><svg></div><script>'<img src=a>'</script><img src=b>", "image img_src dir/b"),
        ("<svg><![CDATA[<img src=a>]]></svg>", ""),
        (
            "<math><mtext><img src=a></mtext><annotation-xml encoding=text/html><img src=b></annotation-xml></math>",
            "image img_src dir/a, image img_src dir/b",
        ),
        ("<svg/><image src=a>", "image img_src dir/a"),
        ("<svg><font color=red></font><style><img src=a></style>", ""),
    ]);
}

#[test]
fn a_base_element_moves_all_links_even_earlier_ones() {
    check(&[
        (
            "<img src=a><base href=/x/><base href=/y/><img src=b>",
            "image img_src x/a, image img_src x/b",
        ),
        (
            "<base href=http://other/d/><a href=a><a href=/b>",
            "page anchor http://other/d/a, page anchor http://other/b",
        ),
        ("<base href='data:,x'><img src=a>", "image img_src dir/a"),
        ("<base target=x><base href=x/><img src=a>", "image img_src dir/x/a"),
        ("<base href='http://['><img src=a>", "image img_src dir/a, bad http://["),
        ("<base href=/x/><p style='a:url(a.png)'>", "image css x/a.png"),
    ]);
}

#[test]
fn an_iframe_may_hold_its_page_in_an_attribute() {
    check(&[
        (
            "<iframe srcdoc='<img src=a><style>p{b:url(b.png)}</style><base href=/x/>'></iframe>",
            "image img_src x/a, image css x/b.png",
        ),
        ("<iframe srcdoc=\"<iframe srcdoc='<img src=a>'>\">", "image img_src dir/a"),
    ]);
    let mut text = "<img src=deep>".to_owned();
    for _ in 0..5 {
        let quoted = text.replace('&', "&amp;").replace('"', "&quot;");
        text = format!("<iframe srcdoc=\"{quoted}\">");
    }
    check(&[(&text, "")]);
}

#[test]
fn each_address_is_found_once_and_in_order() {
    let found = html(
        "<a href=b><a href=a><a href=b#x><a href=./b><a href=http://h/dir/b><a href=/dir/b?>
         <img src=b><img src=B><link rel=stylesheet href=b><a href=c.png><img src=c.png>",
    );
    assert_eq!(short(&found.pages), ["dir/b", "dir/a"]);
    assert_eq!(short(&found.images), ["dir/b", "dir/B", "dir/c.png"]);
    assert_eq!(short(&found.stylesheets), ["dir/b"]);
    assert_eq!(found.images[2].via, Via::Anchor);
}

#[test]
fn a_page_may_ask_not_to_be_followed() {
    for content in ["nofollow", "noindex,NOFOLLOW", "none", "noindex, nofollow"] {
        assert!(html(&format!("<meta name=Robots content='{content}'><a href=a>")).meta_nofollow);
    }
    for text in [
        "<meta name=robots content=noindex>",
        "<meta name=x content=nofollow>",
        "<!-- <meta name=robots content=none> -->",
    ] {
        assert!(!html(text).meta_nofollow, "{text}");
    }
}

#[test]
fn svg_documents_refer_to_images_pages_and_sheets() {
    let svg = r##"<?xml version="1.0"?>
        <?xml-stylesheet type="text/css" href = 'a.css'?>
        <!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://x/y.dtd" [ <!ENTITY e "http://e/"> ]>
        <svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">
          <style><![CDATA[ @import "b.css"; rect { fill: url(#g); mask: url(m.svg#x) } ]]></style>
          <style/><script/><title/>
          <image xlink:href="c.png"/><image href="data:image/png;base64,AA=="/>
          <a href="page.html"><rect style="fill:url(d.png)"/></a><use href="#self"/>
          <foreignObject><img xmlns="http://www.w3.org/1999/xhtml" src="e.png"/><style/></foreignObject>
          <div><image href="f.png"/></div>
        </svg>"##;
    let found = extract_svg(svg, &Address::parse("http://h/dir/x.svg").unwrap());
    assert_eq!(short(&found.stylesheets), ["dir/a.css", "dir/b.css"]);
    assert_eq!(
        short(&found.images),
        ["dir/m.svg", "dir/c.png", "dir/d.png", "dir/e.png", "dir/f.png"]
    );
    assert_eq!(short(&found.pages), ["dir/page.html"]);
}

#[test]
fn links_are_named_alike_in_all_forms() {
    for via in [Via::Anchor, Via::ImgSrc, Via::MetaImage, Via::CssImport, Via::SvgImage] {
        assert_eq!(serde_json::to_string(&via).unwrap(), format!("\"{via}\""));
    }
}
