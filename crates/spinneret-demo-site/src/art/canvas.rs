//! A small anti-aliased canvas: shapes are signed distances, painted over what is there.

use std::ops::Range;

/// A colour, red, green and blue from 0 to 1.
pub(crate) type Colour = [f32; 3];

/// A picture being painted. Coordinates have their origin in the middle, x to the right and y
/// down, and the shorter side spans -1 to 1, so that a motif looks the same at every size.
pub(crate) struct Canvas {
    width: usize,
    height: usize,
    /// Straight (not premultiplied) colour and alpha, row by row.
    pixels: Vec<[f32; 4]>,
}

impl Canvas {
    /// An empty, transparent canvas.
    pub(crate) fn new(width: usize, height: usize) -> Self {
        Self { width, height, pixels: vec![[0.0; 4]; width * height] }
    }

    /// Columns of pixels.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// Rows of pixels.
    pub(crate) fn height(&self) -> usize {
        self.height
    }

    /// How wide one pixel is in the canvas' coordinates.
    pub(crate) fn pixel(&self) -> f32 {
        2.0 / self.width.min(self.height) as f32
    }

    /// Fills everything with a gradient from `top` to `bottom`, a little lighter in the middle.
    pub(crate) fn sky(&mut self, top: Colour, bottom: Colour) {
        self.each(|x, y, pixel| {
            let blend = (y * 0.5 + 0.5).clamp(0.0, 1.0);
            let glow = (1.0 - length(x, y)).max(0.0) * 0.12;
            for channel in 0..3 {
                pixel[channel] = mix(top[channel], bottom[channel], blend) + glow;
            }
            pixel[3] = 1.0;
        });
    }

    /// Paints the inside of a shape: `distance(x, y)` is negative inside it.
    pub(crate) fn fill(&mut self, ink: Colour, opacity: f32, distance: impl Fn(f32, f32) -> f32) {
        self.fill_near((0.0, 0.0), f32::MAX, ink, opacity, distance);
    }

    /// The same for a shape that lies within `reach` of `centre`, without a look at the rest.
    pub(crate) fn fill_near(
        &mut self,
        centre: (f32, f32),
        reach: f32,
        ink: Colour,
        opacity: f32,
        distance: impl Fn(f32, f32) -> f32,
    ) {
        let soft = self.pixel();
        self.each_near(centre, reach, |x, y, pixel| {
            let cover = (0.5 - distance(x, y) / soft).clamp(0.0, 1.0) * opacity;
            if cover > 0.0 {
                over(pixel, ink, cover);
            }
        });
    }

    /// Paints a soft light that fades with the distance from a point.
    pub(crate) fn glow(&mut self, ink: Colour, opacity: f32, (cx, cy): (f32, f32), radius: f32) {
        self.each_near((cx, cy), radius, |x, y, pixel| {
            let near = 1.0 - length(x - cx, y - cy) / radius;
            if near > 0.0 {
                over(pixel, ink, near * near * opacity);
            }
        });
    }

    /// The pixels as 8-bit red, green, blue and alpha.
    pub(crate) fn rgba(&self) -> Vec<u8> {
        self.pixels.iter().flat_map(|pixel| pixel.map(byte)).collect()
    }

    /// The pixels as 8-bit red, green and blue, transparent ones over white.
    pub(crate) fn rgb(&self) -> Vec<u8> {
        self.pixels
            .iter()
            .flat_map(|&[red, green, blue, alpha]| {
                [red, green, blue].map(|value| byte(mix(1.0, value, alpha)))
            })
            .collect()
    }

    /// The pixels as 8-bit brightness.
    pub(crate) fn grey(&self) -> Vec<u8> {
        self.rgb()
            .chunks_exact(3)
            .map(|rgb| {
                let [red, green, blue] = [rgb[0], rgb[1], rgb[2]].map(u32::from);
                ((red * 299 + green * 587 + blue * 114) / 1000) as u8
            })
            .collect()
    }

    fn each(&mut self, paint: impl FnMut(f32, f32, &mut [f32; 4])) {
        self.each_near((0.0, 0.0), f32::MAX, paint);
    }

    /// Calls `paint` for every pixel of a square around `centre`, or what of it is on the canvas.
    fn each_near(
        &mut self,
        centre: (f32, f32),
        reach: f32,
        mut paint: impl FnMut(f32, f32, &mut [f32; 4]),
    ) {
        let scale = self.pixel();
        let (middle_x, middle_y) = (self.width as f32 / 2.0, self.height as f32 / 2.0);
        let columns = span(centre.0, reach, scale, self.width);
        let rows = span(centre.1, reach, scale, self.height);
        for row in rows {
            let y = (row as f32 + 0.5 - middle_y) * scale;
            let line = &mut self.pixels[row * self.width..][columns.clone()];
            for (column, pixel) in columns.clone().zip(line) {
                paint((column as f32 + 0.5 - middle_x) * scale, y, pixel);
            }
        }
    }
}

/// The pixels of a side that lie within `reach` of `centre`, and one more at each end.
#[expect(clippy::cast_sign_loss, reason = "casts of floats saturate at the type's limits")]
fn span(centre: f32, reach: f32, scale: f32, side: usize) -> Range<usize> {
    let middle = side as f32 / 2.0;
    let first = ((centre - reach) / scale + middle - 1.0) as usize;
    let last = ((centre + reach) / scale + middle + 2.0) as usize;
    first.min(side)..last.min(side)
}

fn over(pixel: &mut [f32; 4], ink: Colour, cover: f32) {
    let under = pixel[3];
    let alpha = cover + under * (1.0 - cover);
    for channel in 0..3 {
        pixel[channel] = (ink[channel] * cover + pixel[channel] * under * (1.0 - cover)) / alpha;
    }
    pixel[3] = alpha;
}

/// Distance to the origin. `f32::hypot` guards against overflow that coordinates near 1 cannot
/// reach, and takes several times as long.
pub(crate) fn length(x: f32, y: f32) -> f32 {
    (x * x + y * y).sqrt()
}

/// `from` at 0, `to` at 1.
pub(crate) fn mix(from: f32, to: f32, share: f32) -> f32 {
    from + (to - from) * share
}

#[expect(clippy::cast_sign_loss, reason = "clamped to 0..=255 first")]
fn byte(value: f32) -> u8 {
    (value * 255.0 + 0.5).clamp(0.0, 255.0) as u8
}

/// Distance to the straight line between two points.
pub(crate) fn segment(x: f32, y: f32, (ax, ay): (f32, f32), (bx, by): (f32, f32)) -> f32 {
    let (dx, dy) = (bx - ax, by - ay);
    let square = (dx * dx + dy * dy).max(f32::EPSILON);
    let along = (((x - ax) * dx + (y - ay) * dy) / square).clamp(0.0, 1.0);
    length(x - ax - dx * along, y - ay - dy * along)
}

/// About the distance to an ellipse around `centre`, negative inside.
pub(crate) fn ellipse(x: f32, y: f32, centre: (f32, f32), radii: (f32, f32)) -> f32 {
    let reach = length((x - centre.0) / radii.0, (y - centre.1) / radii.1);
    (reach - 1.0) * radii.0.min(radii.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_painted_near_its_place_looks_as_if_painted_everywhere() {
        let centre = (0.7, -0.4);
        let disc = |x: f32, y: f32| ellipse(x, y, centre, (0.5, 0.5));
        let (mut near, mut all) = (Canvas::new(33, 20), Canvas::new(33, 20));
        near.fill_near(centre, 0.5, [1.0, 0.5, 0.0], 0.9, disc);
        all.fill([1.0, 0.5, 0.0], 0.9, disc);
        assert_eq!(near.rgba(), all.rgba());
        assert!(all.rgba().contains(&255));
    }

    #[test]
    fn nothing_is_painted_beside_the_canvas() {
        let mut canvas = Canvas::new(8, 8);
        for centre in [(-9.0, 0.0), (9.0, 0.0), (0.0, -9.0), (0.0, f32::MAX)] {
            canvas.fill_near(centre, 1.0, [1.0; 3], 1.0, |_, _| -1.0);
        }
        assert!(canvas.rgba().iter().all(|&byte| byte == 0));
    }

    #[test]
    fn what_is_transparent_is_white_without_an_alpha_channel() {
        assert_eq!(Canvas::new(1, 1).rgb(), [255; 3]);
        assert_eq!(Canvas::new(1, 1).grey(), [255]);
    }
}
