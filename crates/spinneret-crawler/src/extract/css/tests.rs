use crate::address::Address;
use crate::extract::{Extracted, Found, extract_css};

fn extract(css: &str) -> Extracted {
    extract_css(css, &Address::parse("http://h/css/main.css").unwrap())
}

fn short(list: &[Found]) -> Vec<&str> {
    list.iter()
        .map(|f| f.address.as_str().strip_prefix("http://h/").unwrap_or(f.address.as_str()))
        .collect()
}

fn images(css: &str) -> Vec<String> {
    short(&extract(css).images).into_iter().map(str::to_owned).collect()
}

#[test]
fn addresses_are_found_in_all_their_spellings() {
    let table = [
        ("a{background:url(x.png)}", "css/x.png"),
        ("a{background:url( \n x.png\t )}", "css/x.png"),
        ("a{background:URL('x.png')}", "css/x.png"),
        ("a{background:url(\"x y.png\")}", "css/x%20y.png"),
        ("a{background:url( \"x.png\" )}", "css/x.png"),
        ("a{background:#fff url(../x.png) no-repeat}", "x.png"),
        ("a{background:url(x\\.png)}", "css/x.png"),
        ("a{background:url(x\\28 1\\29.png)}", "css/x(1).png"),
        ("a{background:url('x\\\ny.png')}", "css/xy.png"),
        ("a{background:\\75 rl(x.png)}", "css/x.png"),
        ("a{background:u\\72l(x.png)}", "css/x.png"),
        ("a{background:url(x.png", "css/x.png"),
        ("a{background:url('x.png", "css/x.png"),
        ("a{b:url(//cdn/x)}", "http://cdn/x"),
        ("a{b:url(/image?id=1)}", "image?id=1"),
        ("a{b:src('x.png')}", "css/x.png"),
        ("@media print{a{b:url(x.png)}}", "css/x.png"),
        ("a{b:url(x.png)}}}c{", "css/x.png"),
        ("a{b:cross-fade(url(x.png), red)}", "css/x.png"),
        ("a{cursor:url(x.cur),auto}", "css/x.cur"),
        ("<!-- a{b:url(x.png)} -->", "css/x.png"),
        ("a{--logo:url(x.png)}", "css/x.png"),
        ("a{b:/**/url(x.png)/**/}", "css/x.png"),
        ("a{content:'/*';b:url(x.png);c:'*/'}", "css/x.png"),
    ];
    for (css, expected) in table {
        assert_eq!(images(css), [expected], "{css:?}");
    }
}

#[test]
fn what_is_not_an_image_is_left_out() {
    for css in [
        "/* url(x.png) */",
        "a{b:'url(x.png)'}",
        "a{b:\"url(x.png)\"}",
        "a{b:myurl(x.png)}",
        "a{b:url (x.png)}",
        "a{b:url(data:image/png;base64,AA==)}",
        "a{b:url(#gradient)}",
        "a{b:url()}",
        "a{b:url('')}",
        "a{b:url(x y.png)}",
        "a{b:url(x'y.png)}",
        "a{b:url(x(y.png)}",
        "a{behavior:url(x.htc)}",
        "@font-face{src:url(x.woff2)}",
        "@font-face{src:url(x.svg#font) format('svg'),url(x)}",
        "@FONT-FACE{src:url('x.eot?#iefix')}",
        "@font\\-face{src:url(x.svg)}",
        "@namespace url(http://www.w3.org/1999/xhtml);",
        "@namespace svg 'http://www.w3.org/2000/svg';",
        "@-moz-document url(http://a/x.png), url-prefix(http://b/){}",
        "a{src:url(x.ttf)}",
        "@charset \"x.png\";",
    ] {
        assert_eq!(images(css), [""; 0], "{css:?}");
    }
}

#[test]
fn fonts_end_with_their_block() {
    let css = "@font-face{src:url(f.svg)} a{b:url(x.svg)} @font-face;c{d:url(y.svg)}";
    assert_eq!(images(css), ["css/x.svg", "css/y.svg"]);
    let css = "@media x{@font-face{a:format((];src:url(f.svg)} a{b:url(x.svg)}}";
    assert_eq!(images(css), ["css/x.svg"]);
}

#[test]
fn image_sets_hold_strings_and_addresses() {
    let css = "a{b:image-set(\"a.png\" 1x, url(b.png) 2x, 'c.avif' type(\"image/avif\"))}
               c{b:-webkit-image-set(url(d.png) 1x);content:'e.png'}";
    assert_eq!(images(css), ["css/a.png", "css/b.png", "css/c.avif", "css/d.png"]);
}

#[test]
fn imports_are_style_sheets() {
    let css = "@charset \"utf-8\";@import 'a.css';@import url(b.css) screen;
               @IMPORT url(\"c.css\") layer(x) supports(background: url(no.png));
               @import \"d.css\" 'no.css'; a{b:url(x.png)} @import;'no.css'";
    let found = extract(css);
    assert_eq!(short(&found.stylesheets), ["css/a.css", "css/b.css", "css/c.css", "css/d.css"]);
    assert_eq!(short(&found.images), ["css/x.png"]);
}

#[test]
fn escapes_mean_what_the_standard_says() {
    let table = [
        ("url(\\41 .png)", "css/A.png"),
        ("url(\\000041.png)", "css/A.png"),
        ("url(\\0000412.png)", "css/A2.png"),
        ("url(\\41\r\n.png)", "css/A.png"),
        ("url(\\0.png)", "css/%EF%BF%BD.png"),
        ("url(\\d800.png)", "css/%EF%BF%BD.png"),
        ("url(\\110000.png)", "css/%EF%BF%BD.png"),
        ("url(\\ü.png)", "css/%C3%BC.png"),
        ("url('a\\\r\nb.png')", "css/ab.png"),
        ("url('a.png\\", "css/a.png"),
    ];
    for (css, expected) in table {
        assert_eq!(images(css), [expected], "{css:?}");
    }
}

#[test]
fn deep_nesting_is_only_long() {
    let css = format!("{}url(x.png)", "a{b:c((".repeat(100_000));
    assert_eq!(images(&css), ["css/x.png"]);
    let css = format!("{}a{{b:url(x.png)}}", "})".repeat(100_000));
    assert_eq!(images(&css), ["css/x.png"]);
}
