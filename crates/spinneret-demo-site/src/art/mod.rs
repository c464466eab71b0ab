//! The museum's pictures, painted when the site is built: the same on every run and machine.

mod canvas;
mod encode;
mod motifs;
mod vector;

pub(crate) use encode::{apng, bmp, gif, gif_animation, ico, jpeg, jpeg_grey, jpeg_progressive};
pub(crate) use encode::{png, png_alpha, png_palette, tiff, webp};
pub(crate) use motifs::{Motif, Plate};
pub(crate) use vector::{badge_svg, web_svg};

/// A small deterministic generator (Steele, Lea and Flood's `SplitMix64`).
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// A number from `low` up to, not including, `high`.
    pub(crate) fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * ((self.next() >> 40) as f32 / (1_u64 << 24) as f32)
    }
}
