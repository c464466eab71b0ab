use super::*;

/// What the probe says, in a line.
fn said(bytes: &[u8]) -> String {
    match probe_complete(bytes) {
        Probe::Image { format, width, height, .. } => match (width, height) {
            (Some(width), Some(height)) => format!("{format} {width}x{height}"),
            (None, None) => format.to_string(),
            other => panic!("half of the dimensions: {other:?}"),
        },
        Probe::NotImage { looks_like } => format!("not: {looks_like}"),
        Probe::NeedMore => panic!("needs more than everything"),
    }
}

fn concat(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

fn png_chunk(kind: &[u8], data: &[u8], crc: [u8; 4]) -> Vec<u8> {
    concat(&[&(data.len() as u32).to_be_bytes(), kind, data, &crc])
}

fn png(data: &[u8]) -> Vec<u8> {
    concat(&[
        PNG,
        &png_chunk(
            b"IHDR",
            &concat(&[&640_u32.to_be_bytes(), &480_u32.to_be_bytes(), &[8, 2, 0, 0, 0]]),
            [1; 4],
        ),
        &png_chunk(b"IDAT", data, [2; 4]),
        &png_chunk(b"IEND", b"", *b"\xae\x42\x60\x82"),
    ])
}

/// A JPEG with a preview in its metadata, fill bytes, two scans and stuffing.
fn jpeg(picture: &[u8]) -> Vec<u8> {
    let preview = b"\xff\xd8\xff\xc0\0\x0b\x08\0\x01\0\x01\x01\x01\x11\0\xff\xd9";
    concat(&[
        b"\xff\xd8\xff\xe1",
        &(preview.len() as u16 + 2).to_be_bytes(),
        preview,
        b"\xff\xff\xff\xc2\0\x0b\x08\x01\xe0\x02\x80\x01\x01\x11\0",
        b"\xff\xda\0\x08\x01\x01\0\0\x3f\0",
        picture,
        b"\xff\x00\xff\xd0\xff\xc4\0\x04\0\0\xff\xda\0\x08\x01\x01\0\0\x3f\0",
        picture,
        b"\xff\xd9",
    ])
}

fn gif() -> Vec<u8> {
    concat(&[
        b"GIF89a\x80\x02\xe0\x01\x80\0\0",
        &[7; 6],
        b"!\xf9\x04\0\0\0\0\0",
        b",\0\0\0\0\x01\0\x01\0\0",
        b"\x02\x02L\x01\0",
        b";",
    ])
}

fn webp(chunk: &[u8], data: &[u8]) -> Vec<u8> {
    concat(&[
        b"RIFF",
        &(data.len() as u32 + 12).to_le_bytes(),
        b"WEBP",
        chunk,
        &(data.len() as u32).to_le_bytes(),
        data,
    ])
}

fn iso_box(kind: &[u8], data: &[u8]) -> Vec<u8> {
    concat(&[&(data.len() as u32 + 8).to_be_bytes(), kind, data])
}

fn heif_file(major: &[u8], compatible: &[u8]) -> Vec<u8> {
    let ispe =
        iso_box(b"ispe", &concat(&[&[0; 4], &640_u32.to_be_bytes(), &480_u32.to_be_bytes()]));
    let iprp = iso_box(b"iprp", &iso_box(b"ipco", &ispe));
    concat(&[
        &iso_box(b"ftyp", &concat(&[major, &[0; 4], compatible])),
        &iso_box(b"meta", &concat(&[&[0; 4], &iprp])),
        &iso_box(b"mdat", &[5; 100]),
    ])
}

fn bmp_file(height: i32) -> Vec<u8> {
    concat(&[
        b"BM",
        &70_u32.to_le_bytes(),
        &[0; 4],
        &54_u32.to_le_bytes(),
        &40_u32.to_le_bytes(),
        &640_i32.to_le_bytes(),
        &height.to_le_bytes(),
        &[1, 0, 24, 0],
        &[0; 40],
    ])
}

fn icon_file(kind: u8, sizes: &[(u8, u8)]) -> Vec<u8> {
    let mut out = vec![0, 0, kind, 0, sizes.len() as u8, 0];
    for (i, &(width, height)) in sizes.iter().enumerate() {
        out.extend([width, height, 0, 0, 1, 0, 32, 0]);
        out.extend(10_u32.to_le_bytes());
        out.extend((6 + 16 * sizes.len() as u32 + 10 * i as u32).to_le_bytes());
    }
    out.extend(vec![9; 10 * sizes.len()]);
    out
}

fn tiff() -> Vec<u8> {
    let entry = |tag: u16, value: u16| {
        concat(&[&tag.to_le_bytes(), &[3, 0, 1, 0, 0, 0], &value.to_le_bytes(), &[0; 2]])
    };
    concat(&[b"II*\0\x08\0\0\0\x02\0", &entry(0x100, 640), &entry(0x101, 480), &[0; 4]])
}

/// A bare JPEG XL code stream: not small, both sizes of 9 bits, no ratio.
fn jxl() -> Vec<u8> {
    let (height, width) = (480_u128 - 1, 512_u128 - 1);
    let bits = 0xaff | height << 19 | width << 33 | 1 << 42;
    let mut bytes = bits.to_le_bytes().to_vec();
    bytes[..2].copy_from_slice(b"\xff\x0a");
    bytes
}

fn samples() -> Vec<(&'static str, Vec<u8>)> {
    let jxl_in_container =
        concat(&[JXL, &iso_box(b"ftyp", b"jxl \0\0\0\0jxl "), &iso_box(b"jxlc", &jxl())]);
    vec![
        ("PNG 640x480", png(b"data")),
        ("JPEG 640x480", jpeg(b"picture")),
        ("GIF 640x480", gif()),
        ("WebP 640x480", webp(b"VP8X", b"\0\0\0\0\x7f\x02\0\xdf\x01\0")),
        ("WebP 640x480", webp(b"VP8L", b"\x2f\x7f\xc2\x77\0\0")),
        ("WebP 640x480", webp(b"VP8 ", b"\0\0\0\x9d\x01\x2a\x80\x02\xe0\x01")),
        ("AVIF 640x480", heif_file(b"avif", b"mif1miaf")),
        ("AVIF 640x480", heif_file(b"mif1", b"mif1avif")),
        ("HEIC 640x480", heif_file(b"heic", b"mif1heic")),
        ("BMP 640x480", bmp_file(480)),
        ("BMP 640x480", bmp_file(-480)),
        ("ICO 48x48", icon_file(1, &[(16, 16), (48, 48), (32, 32)])),
        ("ICO 256x256", icon_file(1, &[(16, 16), (0, 0)])),
        ("CUR 32x32", icon_file(2, &[(32, 32)])),
        ("TIFF 640x480", tiff()),
        ("JPEG XL 512x480", jxl()),
        ("JPEG XL 512x480", jxl_in_container),
        ("SVG 640x480", b"<svg width='640' height='480'><path/></svg>".to_vec()),
    ]
}

#[test]
fn formats_and_dimensions_are_read_from_the_bytes() {
    for (expected, bytes) in samples() {
        assert_eq!(said(&bytes), expected);
        assert_eq!(probe(&bytes), probe_complete(&bytes), "{expected}");
    }
}

#[test]
fn a_verdict_on_the_beginning_stands() {
    for (expected, bytes) in samples() {
        let whole = probe_complete(&bytes);
        let mut decided = false;
        for len in 0..=bytes.len() {
            match probe(&bytes[..len]) {
                Probe::NeedMore => assert!(!decided, "{expected} at {len}"),
                verdict => {
                    decided = true;
                    assert_eq!(verdict, whole, "{expected} at {len}");
                }
            }
        }
        assert!(decided, "{expected}");
    }
}

#[test]
fn what_is_not_an_image_is_named() {
    let table: &[(&[u8], &str)] = &[
        (b"", "nothing"),
        (b"<!DOCTYPE html><html>", "HTML"),
        (b"\xef\xbb\xbf\r\n<!-- x --><HTML lang=en>", "HTML"),
        (b"<!doctype\nhtml PUBLIC '-//W3C//DTD XHTML 1.0 Strict//EN'>", "HTML"),
        (b"<?xml version='1.0'?><html xmlns='x'><svg/></html>", "HTML"),
        (b"  <body>404 <svg/>", "HTML"),
        (b"<?xml version='1.0'?><rss/>", "XML"),
        (b"<svgs/>", "XML"),
        (b"{\"error\":404}", "JSON"),
        (b"Not found: this is no image at all", "text"),
        (b"< svg>", "text"),
        (b"BMW is a company in Munich, Bavaria", "text"),
        (b"II, the second, is a number of Rome", "text"),
        (b"%PDF-1.7 ...............", "PDF"),
        (b"\x1f\x8b\x08\0\0\0\0\0\0\0\0\0\0", "gzip"),
        (b"PK\x03\x04..............", "ZIP"),
        (b"8BPS\0\x01\0\0\0\0\0\0\0\x03", "Photoshop"),
        (b"RIFF\x24\0\0\0WAVEfmt ", "RIFF, but not WebP"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom", "ISO media, such as MP4"),
        (b"\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", "unknown data"),
        (b"\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e", "unknown data"),
        (b"\x89PNG", "the beginning of something"),
        (b"<!-- never closed", "the beginning of something"),
    ];
    for (bytes, name) in table {
        assert_eq!(said(bytes), format!("not: {name}"), "{}", bytes.escape_ascii());
    }
}

#[test]
fn svg_is_found_behind_any_prologue() {
    let utf16 =
        |text: &str, to: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(to).collect::<Vec<u8>>();
    let table: Vec<(Vec<u8>, &str)> = [
        ("<svg>", "SVG"),
        ("<svg/>", "SVG"),
        ("<svg:svg xmlns:svg='x' width='4' height='5'/>", "SVG 4x5"),
        ("\u{feff} \n<svg width=\"4\" height=\"5\">", "SVG 4x5"),
        ("<?xml version='1.0'?><!-- <html> --><!DOCTYPE svg PUBLIC '>' \"x\" [ <!ENTITY a '<b>'> ]><svg viewBox='0 0 4 5'>", "SVG 4x5"),
        ("<svg viewBox=' -1,-1 , 4.4 5.5e0 '>", "SVG 4x6"),
        ("<svg width='8' viewBox='0 0 4 5'>", "SVG 8x10"),
        ("<svg height='10' viewBox='0 0 4 5'>", "SVG 8x10"),
        ("<svg width='100%' height='100%' viewBox='0 0 4 5'>", "SVG 4x5"),
        ("<svg width='1in' height='72pt'>", "SVG 96x96"),
        ("<svg width='4px' height=' 5 px '>", "SVG 4x5"),
        ("<svg data-a='>' width = '4'\nheight = '5' >", "SVG 4x5"),
        ("<svg width='1em' height='5'>", "SVG"),
        ("<svg width='NaN' height='inf'>", "SVG"),
        ("<svg width='-4' height='0'>", "SVG"),
        ("<svg width='1e300' height='1e300'>", "SVG"),
        ("<svg viewBox='0 0 0 0' width='1'>", "SVG"),
        ("<svg width=4 height=5>", "SVG"),
        ("<svg width='4'", "SVG"),
    ]
    .into_iter()
    .map(|(text, expected)| (text.as_bytes().to_vec(), expected))
    .chain([
        (utf16("\u{feff}<svg width='4' height='5'>", u16::to_le_bytes), "SVG 4x5"),
        (utf16("\u{feff}<svg width='4' height='5'>", u16::to_be_bytes), "SVG 4x5"),
    ])
    .collect();
    for (bytes, expected) in table {
        assert_eq!(said(&bytes), expected, "{}", bytes.escape_ascii());
    }
}

#[test]
fn dimensions_that_are_not_there_are_unknown() {
    let no_frame = b"\xff\xd8\xff\xe0\0\x04\0\0\xff\xda\0\x02\0\0\xff\xd9";
    assert_eq!(said(no_frame), "JPEG");
    assert_eq!(said(b"\xff\xd8\xff\xe0\0\0\0\0\0\0\0\0"), "JPEG");
    // A height of zero: it comes later in the file.
    assert_eq!(said(b"\xff\xd8\xff\xc0\0\x0b\x08\0\0\x02\x80\x01\x01\x11\0"), "JPEG");
    assert_eq!(said(b"\x89PNG\r\n\x1a\n\0\0\0\x04CgBI\x50\0\x20\x02...."), "PNG");
    assert_eq!(said(b"GIF89a"), "GIF");
    assert_eq!(said(&webp(b"ABCD", &[0; 20])), "WebP");
    assert_eq!(said(b"MM\0*\xff\xff\xff\xff\0\0\0\0"), "TIFF");
}

#[test]
fn enough_bytes_always_decide() {
    let mut endless = b"<!-- ".to_vec();
    endless.resize(PROBE_LEN - 1, b'x');
    assert_eq!(probe(&endless), Probe::NeedMore);
    endless.push(b'x');
    assert!(matches!(probe(&endless), Probe::NotImage { .. }));
    let mut endless = b"\xff\xd8".to_vec();
    endless.resize(PROBE_LEN, 0xff);
    assert!(matches!(probe(&endless), Probe::Image { format: Format::Jpeg, width: None, .. }));
}

fn complete(format: Format, bytes: &[u8]) -> bool {
    let tail = &bytes[bytes.len().saturating_sub(TAIL_LEN)..];
    check_complete(format, bytes.len() as u64, bytes, tail).is_ok()
}

fn format_of(bytes: &[u8]) -> Format {
    match probe_complete(bytes) {
        Probe::Image { format, .. } => format,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_file_cut_anywhere_is_truncated() {
    for (name, bytes) in samples() {
        let format = format_of(&bytes);
        assert!(complete(format, &bytes), "{name}");
        if format == Format::Tiff || name.starts_with("JPEG XL") {
            continue;
        }
        let whole = [&bytes[..], b"\0\0 garbage"].concat();
        // What ends with a mark of its own may have anything behind it.
        assert!(complete(format, &whole), "{name} with garbage behind it");
        // The checksum of a PNG's last chunk, a byte of padding in WebP: nobody misses them.
        let spared = match format {
            Format::Png => 4,
            Format::WebP | Format::Svg => 1,
            _ => 0,
        };
        for len in 8..bytes.len() - spared {
            // Between two boxes, or in the first bytes of one, nothing says that more should follow.
            let boundaries = [be32(&bytes, 0).unwrap() as usize, bytes.len().saturating_sub(108)];
            let between = matches!(format, Format::Avif | Format::Heic)
                && boundaries.iter().any(|&at| (at..at + 8).contains(&len));
            let short = matches!(format, Format::Ico | Format::Cur) && len < 22;
            let cut = complete(format, &bytes[..len]);
            assert_eq!(cut, between || short, "{name} cut to {len} of {}", bytes.len());
        }
    }
}

#[test]
fn a_long_file_is_judged_by_its_end() {
    let noise: Vec<u8> =
        (0..300_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let stuffed: Vec<u8> =
        noise.iter().flat_map(|&b| if b == 0xff { vec![b, 0] } else { vec![b] }).collect();
    let ends = |format, bytes: &[u8], len: usize| {
        let (head, tail) = (&bytes[..1024], &bytes[len - TAIL_LEN..len]);
        check_complete(format, len as u64, head, tail)
    };
    let film = concat(&[&iso_box(b"ftyp", b"mp42"), &noise]);
    for (format, bytes) in [(Format::Jpeg, jpeg(&stuffed)), (Format::Png, png(&noise))] {
        assert_eq!(ends(format, &bytes, bytes.len()), Ok(()));
        let cut = ends(format, &bytes, bytes.len() - 1000).unwrap_err();
        assert_eq!(cut.format, format);
        assert!(cut.to_string().starts_with(&format!("truncated {format}: the ")), "{cut}");
        let padded = concat(&[&bytes, &[0; 100]]);
        assert_eq!(ends(format, &padded, padded.len()), Ok(()));
    }
    // A picture with a film behind it, as telephones take them.
    let moving = concat(&[&jpeg(&stuffed), &film]);
    assert_eq!(ends(Format::Jpeg, &moving, moving.len()), Ok(()));

    let pieces: Vec<u8> =
        stuffed.chunks(255).filter(|c| c.len() == 255).flat_map(|c| [&[255], c].concat()).collect();
    let gif = concat(&[&gif()[..38], &pieces, b"\0;"]);
    assert_eq!(ends(Format::Gif, &gif, gif.len()), Ok(()));
    let svg = concat(&[b"<svg>", &b"<g></g>".repeat(20_000), b"</svg >\n"]);
    assert_eq!(ends(Format::Svg, &svg, svg.len()), Ok(()));
    assert!(ends(Format::Svg, &svg, svg.len() - 10).is_err());
}

#[test]
fn any_bytes_are_probed_and_checked() {
    let mut state = 7_u64;
    let mut random = move |n: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) as usize % n
    };
    let samples = samples();
    for round in 0..40_000 {
        let mut bytes = samples[round % samples.len()].1.clone();
        for _ in 0..=random(4) {
            let at = random(bytes.len());
            bytes[at] = [0, 1, 0x7f, 0x80, 0xff, random(256) as u8][random(6)];
        }
        bytes.truncate(random(bytes.len() + 1));
        let verdict = probe(&bytes);
        assert_ne!(probe_complete(&bytes), Probe::NeedMore);
        if let Probe::Image { format, .. } = verdict {
            // Whatever it says, it says something.
            let _ = check_complete(format, random(1 << 20) as u64, &bytes, &bytes);
            complete(format, &bytes);
        }
    }
}
