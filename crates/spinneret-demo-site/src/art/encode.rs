//! Pixels into files, one function per format. The formats without compression are written by
//! hand: their headers are shorter than a dependency.

use std::borrow::Cow;
use std::collections::HashMap;

use super::canvas::Canvas;
use super::motifs::{Plate, paint};

/// Why encoding cannot fail: every size is between 1 and a few hundred pixels, and the writer is
/// a vector.
const FITS: &str = "a small picture encodes into memory";

/// PNG with 8 bits of red, green and blue.
pub(crate) fn png(plate: &Plate) -> Vec<u8> {
    let canvas = paint(plate, 0.0, false);
    png_file(&canvas, png::ColorType::Rgb, None, &[&canvas.rgb()])
}

/// PNG with 8 bits of red, green, blue and alpha, the ground transparent.
pub(crate) fn png_alpha(plate: &Plate) -> Vec<u8> {
    let canvas = paint(plate, 0.0, true);
    png_file(&canvas, png::ColorType::Rgba, None, &[&canvas.rgba()])
}

/// PNG with a palette of at most 256 colours.
pub(crate) fn png_palette(plate: &Plate) -> Vec<u8> {
    let canvas = paint(plate, 0.0, false);
    let (palette, indices) = quantize(&canvas.rgb());
    png_file(&canvas, png::ColorType::Indexed, Some(palette), &[&indices])
}

/// Animated PNG, four frames.
pub(crate) fn apng(plate: &Plate) -> Vec<u8> {
    let frames = FRAMES.map(|phase| paint(plate, phase, false));
    let pixels = frames.each_ref().map(Canvas::rgb);
    let frames_of_bytes = pixels.each_ref().map(Vec::as_slice);
    png_file(&frames[0], png::ColorType::Rgb, None, &frames_of_bytes)
}

/// The moments of an animation.
const FRAMES: [f32; 4] = [0.0, 0.25, 0.5, 0.75];

fn png_file(
    canvas: &Canvas,
    colour: png::ColorType,
    palette: Option<Vec<u8>>,
    frames: &[&[u8]],
) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, canvas.width() as u32, canvas.height() as u32);
    encoder.set_color(colour);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::Fast);
    if let Some(palette) = palette {
        encoder.set_palette(Cow::Owned(palette));
    }
    if frames.len() > 1 {
        encoder.set_animated(frames.len() as u32, 0).expect(FITS);
        encoder.set_frame_delay(1, 6).expect(FITS);
    }
    let mut writer = encoder.write_header().expect(FITS);
    for frame in frames {
        writer.write_image_data(frame).expect(FITS);
    }
    writer.finish().expect(FITS);
    file
}

/// Baseline JPEG.
pub(crate) fn jpeg(plate: &Plate) -> Vec<u8> {
    jpeg_file(plate, false, false)
}

/// Progressive JPEG.
pub(crate) fn jpeg_progressive(plate: &Plate) -> Vec<u8> {
    jpeg_file(plate, true, false)
}

/// Baseline JPEG of one channel.
pub(crate) fn jpeg_grey(plate: &Plate) -> Vec<u8> {
    jpeg_file(plate, false, true)
}

fn jpeg_file(plate: &Plate, progressive: bool, grey: bool) -> Vec<u8> {
    let canvas = paint(plate, 0.0, false);
    let (pixels, colour) = if grey {
        (canvas.grey(), jpeg_encoder::ColorType::Luma)
    } else {
        (canvas.rgb(), jpeg_encoder::ColorType::Rgb)
    };
    let mut file = Vec::new();
    let mut encoder = jpeg_encoder::Encoder::new(&mut file, 88);
    encoder.set_progressive(progressive);
    encoder.encode(&pixels, canvas.width() as u16, canvas.height() as u16, colour).expect(FITS);
    file
}

/// GIF with one frame.
pub(crate) fn gif(plate: &Plate) -> Vec<u8> {
    gif_file(&[paint(plate, 0.0, false)])
}

/// GIF that moves, four frames, for ever.
pub(crate) fn gif_animation(plate: &Plate) -> Vec<u8> {
    gif_file(&FRAMES.map(|phase| paint(plate, phase, false)))
}

fn gif_file(frames: &[Canvas]) -> Vec<u8> {
    let (width, height) = (frames[0].width() as u16, frames[0].height() as u16);
    let mut file = Vec::new();
    let mut encoder = gif::Encoder::new(&mut file, width, height, &[]).expect(FITS);
    if frames.len() > 1 {
        encoder.set_repeat(gif::Repeat::Infinite).expect(FITS);
    }
    for canvas in frames {
        let (palette, indices) = quantize(&canvas.rgb());
        let mut frame = gif::Frame::from_palette_pixels(width, height, indices, palette, None);
        // In hundredths of a second.
        frame.delay = 16;
        encoder.write_frame(&frame).expect(FITS);
    }
    drop(encoder);
    file
}

/// Lossless WebP; `clear` keeps the ground transparent.
pub(crate) fn webp(plate: &Plate, clear: bool) -> Vec<u8> {
    let canvas = paint(plate, 0.0, clear);
    let (pixels, colour) = if clear {
        (canvas.rgba(), image_webp::ColorType::Rgba8)
    } else {
        (canvas.rgb(), image_webp::ColorType::Rgb8)
    };
    let mut file = Vec::new();
    image_webp::WebPEncoder::new(&mut file)
        .encode(&pixels, canvas.width() as u32, canvas.height() as u32, colour)
        .expect(FITS);
    file
}

/// BMP, 24 bits, rows from the bottom up.
pub(crate) fn bmp(plate: &Plate) -> Vec<u8> {
    const HEAD: u32 = 54;
    let canvas = paint(plate, 0.0, false);
    let (width, height) = (canvas.width(), canvas.height());
    let stride = (width * 3).next_multiple_of(4);
    let size = HEAD + (stride * height) as u32;
    let mut file = Vec::with_capacity(size as usize);
    file.extend(b"BM");
    // The file's size, two reserved shorts, where the pixels start; then the info header.
    for field in [size, 0, HEAD, 40, width as u32, height as u32] {
        file.extend(field.to_le_bytes());
    }
    file.extend(1_u16.to_le_bytes());
    file.extend(24_u16.to_le_bytes());
    // No compression, size of the pixels, pixels per metre twice, colours used and important.
    for field in [0, size - HEAD, 2835, 2835, 0, 0] {
        file.extend(field.to_le_bytes());
    }
    for row in canvas.rgb().chunks_exact(width * 3).rev() {
        for pixel in row.chunks_exact(3) {
            file.extend([pixel[2], pixel[1], pixel[0]]);
        }
        file.resize(file.len() + stride - width * 3, 0);
    }
    file
}

/// ICO with the plate at 16, 32 and 48 pixels, each a PNG with alpha.
pub(crate) fn ico(plate: &Plate) -> Vec<u8> {
    let sizes = [16_usize, 32, 48];
    let pictures = sizes.map(|side| png_alpha(&Plate { width: side, height: side, ..*plate }));
    let mut file = vec![0, 0, 1, 0, sizes.len() as u8, 0];
    let mut offset = file.len() + 16 * sizes.len();
    for (side, picture) in sizes.iter().zip(&pictures) {
        // Width, height, no palette, reserved, one plane, 32 bits.
        file.extend([*side as u8, *side as u8, 0, 0, 1, 0, 32, 0]);
        file.extend((picture.len() as u32).to_le_bytes());
        file.extend((offset as u32).to_le_bytes());
        offset += picture.len();
    }
    file.extend(pictures.iter().flatten());
    file
}

/// TIFF, uncompressed RGB in one strip; `big_endian` writes the Motorola byte order.
pub(crate) fn tiff(plate: &Plate, big_endian: bool) -> Vec<u8> {
    const ENTRIES: u16 = 10;
    const DIRECTORY: u32 = 8;
    let canvas = paint(plate, 0.0, false);
    let pixels = canvas.rgb();
    let short = |value: u16| {
        if big_endian { value.to_be_bytes() } else { value.to_le_bytes() }
    };
    let long = |value: u32| {
        if big_endian { value.to_be_bytes() } else { value.to_le_bytes() }
    };
    let bits_at = DIRECTORY + 2 + u32::from(ENTRIES) * 12 + 4;
    let pixels_at = bits_at + 6;
    let (width, height) = (canvas.width() as u32, canvas.height() as u32);
    let mut file = if big_endian { b"MM".to_vec() } else { b"II".to_vec() };
    file.extend(short(42));
    file.extend(long(DIRECTORY));
    file.extend(short(ENTRIES));
    // Tag, whether it is a long, count, value; in ascending order, as the format demands.
    for (tag, is_long, count, value) in [
        (256, true, 1, width),
        (257, true, 1, height),
        (258, false, 3, bits_at),
        (259, false, 1, 1),
        (262, false, 1, 2),
        (273, true, 1, pixels_at),
        (277, false, 1, 3),
        (278, true, 1, height),
        (279, true, 1, pixels.len() as u32),
        (284, false, 1, 1),
    ] {
        file.extend(short(tag));
        file.extend(short(if is_long { 4 } else { 3 }));
        file.extend(long(count));
        if is_long || count > 1 {
            file.extend(long(value));
        } else {
            // A short sits in the first half of its field, in either byte order.
            file.extend(short(value as u16));
            file.extend(short(0));
        }
    }
    file.extend(long(0));
    for _ in 0..3 {
        file.extend(short(8));
    }
    file.extend(pixels);
    file
}

/// At most 256 colours for a picture, and each pixel's index: the most frequent colours of the
/// cube cut into 16 steps a side, each as the average of its pixels; the rest take the nearest.
fn quantize(rgb: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let bin = |pixel: &[u8]| {
        (usize::from(pixel[0] >> 4) << 8)
            | (usize::from(pixel[1] >> 4) << 4)
            | usize::from(pixel[2] >> 4)
    };
    let mut sums: HashMap<usize, [u32; 4]> = HashMap::new();
    for pixel in rgb.chunks_exact(3) {
        let sum = sums.entry(bin(pixel)).or_default();
        for channel in 0..3 {
            sum[channel] += u32::from(pixel[channel]);
        }
        sum[3] += 1;
    }
    let mut bins: Vec<(usize, [u32; 4])> = sums.into_iter().collect();
    // By frequency, then by colour: the order of a hash map must not show.
    bins.sort_unstable_by_key(|&(bin, sum)| (u32::MAX - sum[3], bin));
    let colours: Vec<[u8; 3]> = bins
        .iter()
        .map(|&(_, [red, green, blue, count])| [red, green, blue].map(|sum| (sum / count) as u8))
        .collect();
    let kept = &colours[..colours.len().min(256)];
    let index_of: HashMap<usize, u8> = bins
        .iter()
        .zip(&colours)
        .enumerate()
        .map(|(rank, (&(bin, _), colour))| {
            (bin, if rank < kept.len() { rank as u8 } else { nearest(kept, *colour) })
        })
        .collect();
    let indices = rgb.chunks_exact(3).map(|pixel| index_of[&bin(pixel)]).collect();
    (kept.concat(), indices)
}

fn nearest(palette: &[[u8; 3]], colour: [u8; 3]) -> u8 {
    let far = |candidate: &[u8; 3]| -> u32 {
        (0..3).map(|channel| u32::from(candidate[channel].abs_diff(colour[channel])).pow(2)).sum()
    };
    let best = palette.iter().enumerate().min_by_key(|(_, candidate)| far(candidate));
    best.map_or(0, |(index, _)| index as u8)
}
