//! What the pictures show: webs, spiders, dew, moths and the night they live in.

use std::f32::consts::{PI, TAU};

use super::Rng;
use super::canvas::{Canvas, Colour, ellipse, length, mix, segment};

/// What a plate shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Motif {
    /// An orb web, seen from the front.
    Orb,
    /// A spider, seen from above.
    Spider,
    /// A spider in the hub of its web.
    Guard,
    /// Drops of dew on a web.
    Dew,
    /// The sagging threads of a sheet web.
    Sheet,
    /// A look down a funnel of silk.
    Funnel,
    /// A moth, the other party.
    Moth,
    /// An egg sac on its stalk.
    Cocoon,
    /// A spider hanging before the moon.
    Moon,
    /// Silk in the wind.
    Waves,
    /// A leaf with its veins.
    Leaf,
}

impl Motif {
    /// Every motif, in the order in which galleries show them.
    pub(crate) const ALL: [Self; 11] = [
        Self::Orb,
        Self::Spider,
        Self::Dew,
        Self::Guard,
        Self::Moth,
        Self::Sheet,
        Self::Moon,
        Self::Cocoon,
        Self::Funnel,
        Self::Leaf,
        Self::Waves,
    ];

    /// A caption of a few words.
    pub(crate) fn caption(self) -> &'static str {
        match self {
            Self::Orb => "An orb, finished before dawn",
            Self::Spider => "The maker, from above",
            Self::Guard => "Waiting in the hub",
            Self::Dew => "Dew on the spiral",
            Self::Sheet => "Threads of a sheet",
            Self::Funnel => "The way down",
            Self::Moth => "A visitor by night",
            Self::Cocoon => "Next year's spiders",
            Self::Moon => "Let down on one line",
            Self::Waves => "Silk in moving air",
            Self::Leaf => "A leaf for a roof",
        }
    }
}

/// One picture to paint.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plate {
    pub motif: Motif,
    /// Which colours, modulo the number there are.
    pub palette: usize,
    /// What the details are drawn from.
    pub seed: u64,
    pub width: usize,
    pub height: usize,
}

struct Palette {
    top: Colour,
    bottom: Colour,
    silk: Colour,
    body: Colour,
    accent: Colour,
}

const fn rgb(hex: u32) -> Colour {
    [
        ((hex >> 16) & 255) as f32 / 255.0,
        ((hex >> 8) & 255) as f32 / 255.0,
        (hex & 255) as f32 / 255.0,
    ]
}

const fn palette(top: u32, bottom: u32, silk: u32, body: u32, accent: u32) -> Palette {
    Palette {
        top: rgb(top),
        bottom: rgb(bottom),
        silk: rgb(silk),
        body: rgb(body),
        accent: rgb(accent),
    }
}

/// Night, meadow, amber, rose, pond, heath, slate, straw.
const PALETTES: [Palette; 8] = [
    palette(0x10_1b3a, 0x3c_4f7c, 0xe8_eefb, 0x0a_0f20, 0xf4_c95d),
    palette(0x1f_4d3a, 0x8d_b56b, 0xf4_f8e6, 0x2a_2418, 0xe9_b44c),
    palette(0x7a_3b12, 0xe8_a33d, 0xff_f3d6, 0x36_1807, 0xfd_e08d),
    palette(0x5b_1f3f, 0xd9_7b8f, 0xff_ecef, 0x2a_0c1c, 0xf7_c6a3),
    palette(0x0d_4250, 0x6f_bdb6, 0xe6_fbf7, 0x0b_2429, 0xf3_8d68),
    palette(0x3b_2a55, 0xa8_86b8, 0xf5_ecfb, 0x1d_1230, 0xe7_d28a),
    palette(0x2b_3138, 0x8a_97a3, 0xf5_f7f9, 0x12_1518, 0xd9_5d39),
    palette(0xb9_9557, 0xf3_e3b3, 0x5a_3e1b, 0x33_220d, 0xa6_3d2f),
];

/// Paints a plate; `phase` from 0 to 1 is the moment of an animation. With `clear`, the ground
/// stays transparent.
pub(crate) fn paint(plate: &Plate, phase: f32, clear: bool) -> Canvas {
    let colours = &PALETTES[plate.palette % PALETTES.len()];
    let mut rng = Rng::new(plate.seed ^ ((plate.palette as u64) << 32));
    let mut canvas = Canvas::new(plate.width, plate.height);
    if !clear {
        canvas.sky(colours.top, colours.bottom);
    }
    let swing = (phase * TAU).sin();
    match plate.motif {
        Motif::Orb => orb(&mut canvas, colours, &mut rng, swing * 0.05),
        Motif::Spider => spider(&mut canvas, colours, (0.0, 0.05 + swing * 0.05), 1.0, &mut rng),
        Motif::Guard => {
            orb(&mut canvas, colours, &mut rng, 0.0);
            spider(&mut canvas, colours, (0.0, swing * 0.04), 0.5, &mut rng);
        }
        Motif::Dew => dew(&mut canvas, colours, &mut rng, phase),
        Motif::Sheet => sheet(&mut canvas, colours, &mut rng, swing),
        Motif::Funnel => funnel(&mut canvas, colours, &mut rng, phase),
        Motif::Moth => moth(&mut canvas, colours, &mut rng, swing),
        Motif::Cocoon => cocoon(&mut canvas, colours, &mut rng, swing * 0.08),
        Motif::Moon => moon(&mut canvas, colours, &mut rng, swing),
        Motif::Waves => waves(&mut canvas, colours, &mut rng, phase),
        Motif::Leaf => leaf(&mut canvas, colours, &mut rng, swing * 0.05),
    }
    canvas
}

/// Distance to the threads of an orb web around the origin: spokes, and between them a spiral
/// that sags towards the hub.
fn threads(x: f32, y: f32, spokes: f32, gap: f32, turn: f32) -> f32 {
    let reach = length(x, y);
    let sector = TAU / spokes;
    let across = (y.atan2(x) + turn).rem_euclid(sector) - sector / 2.0;
    let to_spoke = reach * (sector / 2.0 - across.abs()).sin();
    let bend = across / (sector / 2.0);
    let round = reach / (1.0 - 0.14 * (1.0 - bend * bend));
    let ring = (round / gap).round().max(1.0);
    to_spoke.min((round - ring * gap).abs())
}

fn orb(canvas: &mut Canvas, colours: &Palette, rng: &mut Rng, sway: f32) {
    let pixel = canvas.pixel();
    let spokes = rng.between(11.0, 18.0).floor();
    let gap = (pixel * 5.0).max(rng.between(0.13, 0.2));
    let (turn, hub_x, hub_y) =
        (rng.between(0.0, TAU), rng.between(-0.25, 0.25) + sway, rng.between(-0.2, 0.2));
    canvas.glow(colours.accent, 0.35, (hub_x, hub_y), 1.1);
    canvas.fill(colours.silk, 0.85, |x, y| {
        threads(x - hub_x, y - hub_y, spokes, gap, turn) - pixel * 0.45
    });
}

fn spider(canvas: &mut Canvas, colours: &Palette, at: (f32, f32), size: f32, rng: &mut Rng) {
    let stance = rng.between(-0.08, 0.08);
    let fat = rng.between(0.24, 0.32) * size;
    let legs = [-1.05_f32, -0.45, 0.25, 0.9].map(|leg| {
        let angle = leg + stance * leg;
        let hip = (0.08 * size, (leg * 0.09 - 0.12) * size);
        let knee = (hip.0 + angle.cos() * 0.42 * size, hip.1 + (angle.sin() * 0.42 - 0.06) * size);
        let foot = (knee.0 + 0.3 * size, knee.1 + (angle * 0.34 + 0.06) * size);
        (hip, knee, foot)
    });
    canvas.fill_near(at, size * 1.1, colours.body, 1.0, |x, y| {
        let (x, y) = (x - at.0, y - at.1);
        let mut nearest = f32::MAX;
        for (hip, knee, foot) in legs {
            // Mirrored: one side is painted with the other.
            nearest = nearest
                .min(segment(x.abs(), y, hip, knee) - 0.035 * size)
                .min(segment(x.abs(), y, knee, foot) - 0.022 * size);
        }
        nearest.min(ellipse(x, y, (0.0, -0.16 * size), (0.17 * size, 0.19 * size))).min(ellipse(
            x,
            y,
            (0.0, 0.26 * size),
            (fat, fat * 1.35),
        ))
    });
    canvas.fill_near(at, size * 0.6, colours.accent, 0.95, |x, y| {
        let (x, y) = (x - at.0, y - at.1);
        ellipse(x, y, (0.0, 0.26 * size), (fat * 0.16, fat * 0.85)).min(ellipse(
            x,
            y,
            (0.0, 0.14 * size),
            (fat * 0.6, fat * 0.14),
        ))
    });
    canvas.fill_near(at, size * 0.4, colours.silk, 1.0, |x, y| {
        let eye = (0.06 * size, -0.27 * size);
        ellipse((x - at.0).abs(), y - at.1, eye, (0.03 * size, 0.03 * size))
    });
}

fn dew(canvas: &mut Canvas, colours: &Palette, rng: &mut Rng, phase: f32) {
    orb(canvas, colours, rng, 0.0);
    for drop in 0..9_u8 {
        let centre = (rng.between(-0.9, 0.9), rng.between(-0.9, 0.9));
        let twinkle = 0.8 + 0.2 * ((phase + f32::from(drop) / 9.0) * TAU).sin();
        let radius = rng.between(0.06, 0.17) * twinkle;
        canvas.fill_near(centre, radius, colours.accent, 0.55, |x, y| {
            ellipse(x, y, centre, (radius, radius))
        });
        canvas.glow([1.0; 3], 0.7, centre, radius * 1.1);
        canvas.fill_near(centre, radius, [1.0; 3], 0.95, |x, y| {
            let light = (centre.0 - radius * 0.35, centre.1 - radius * 0.35);
            ellipse(x, y, light, (radius * 0.28, radius * 0.28))
        });
    }
}

fn sheet(canvas: &mut Canvas, colours: &Palette, rng: &mut Rng, swing: f32) {
    let pixel = canvas.pixel();
    let (tilt, lean) = (rng.between(-0.3, 0.3), rng.between(2.0, 4.0));
    canvas.glow(colours.accent, 0.4, (tilt, -0.5), 1.2);
    for thread in 0..9_u8 {
        let level = f32::from(thread) * 0.2 - 0.75;
        let sag = rng.between(0.08, 0.3) + swing * 0.03;
        canvas.fill(colours.silk, 0.75, |x, y| {
            let line = level + sag * (1.0 - x * x) + tilt * x * 0.4;
            (y - line).abs() * 0.9 - pixel * 0.5
        });
    }
    canvas.fill(colours.silk, 0.35, |x, y| {
        ((x * lean + y * 0.7).rem_euclid(0.5) - 0.25).abs() / lean - pixel * 0.3
    });
}

fn funnel(canvas: &mut Canvas, colours: &Palette, rng: &mut Rng, phase: f32) {
    let pixel = canvas.pixel();
    let (drift_x, drift_y) = (rng.between(-0.35, 0.35), rng.between(-0.1, 0.4));
    let steps = 9_u8;
    for ring in 0..steps {
        let depth = (f32::from(ring) + phase) / f32::from(steps);
        let radius = 1.35 * (1.0 - depth).powf(1.4) + 0.04;
        let centre = (drift_x * depth, drift_y * depth);
        canvas.fill(colours.body, 0.2, |x, y| ellipse(x, y, centre, (radius, radius * 0.85)));
        canvas.fill(colours.silk, 0.7, |x, y| {
            ellipse(x, y, centre, (radius, radius * 0.85)).abs() - pixel * 0.45
        });
    }
    let turn = rng.between(0.0, 1.0);
    canvas.fill(colours.silk, 0.4, |x, y| {
        let (x, y) = (x - drift_x, y - drift_y);
        let across = (y.atan2(x) + turn).rem_euclid(PI / 7.0) - PI / 14.0;
        length(x, y) * across.abs() - pixel * 0.35
    });
}

fn moth(canvas: &mut Canvas, colours: &Palette, rng: &mut Rng, swing: f32) {
    let open = 0.62 + swing * 0.08;
    let (upper, lower) = (rng.between(0.28, 0.36), rng.between(0.24, 0.3));
    canvas.glow(colours.silk, 0.5, (0.0, 0.0), 1.2);
    canvas.fill(colours.silk, 0.95, |x, y| {
        let (x, y) = (x.abs(), y);
        let (lean_x, lean_y) = (x * 0.92 + y * 0.38, y * 0.92 - x * 0.38);
        ellipse(lean_x, lean_y, (0.34, -0.36), (open * 0.72, upper)).min(ellipse(
            x,
            y,
            (0.3, 0.26),
            (open * 0.55, lower),
        ))
    });
    let eye = rng.between(0.09, 0.13);
    canvas.fill(colours.accent, 1.0, |x, y| {
        ellipse(x.abs(), y, (0.44, -0.2), (eye, eye)).min(ellipse(
            x.abs(),
            y,
            (0.36, 0.28),
            (eye * 0.8, eye * 0.8),
        ))
    });
    canvas.fill(colours.body, 1.0, |x, y| {
        ellipse(x, y, (0.0, 0.05), (0.09, 0.42))
            .min(ellipse(x.abs(), y, (0.44, -0.2), (eye * 0.45, eye * 0.45)))
            .min(segment(x.abs(), y, (0.03, -0.34), (0.26, -0.66)) - 0.02)
    });
}

fn cocoon(canvas: &mut Canvas, colours: &Palette, rng: &mut Rng, sway: f32) {
    let pixel = canvas.pixel();
    let (fat, twist) = (rng.between(0.34, 0.46), rng.between(0.25, 0.6));
    canvas.glow(colours.accent, 0.5, (sway, 0.2), 1.0);
    canvas.fill(colours.silk, 0.9, |x, y| segment(x, y, (0.0, -1.4), (sway, -0.3)) - pixel * 0.7);
    canvas.fill(colours.silk, 1.0, |x, y| ellipse(x, y, (sway, 0.2), (fat, fat * 1.35)));
    canvas.fill(colours.bottom, 0.75, |x, y| {
        let band = ((y - 0.2 + (x - sway) * twist).rem_euclid(0.2) - 0.1).abs() - 0.03;
        band.max(ellipse(x, y, (sway, 0.2), (fat * 0.94, fat * 1.28)))
    });
    canvas.glow([1.0; 3], 0.6, (sway - fat * 0.35, -0.05), fat * 0.9);
}

fn moon(canvas: &mut Canvas, colours: &Palette, rng: &mut Rng, swing: f32) {
    let pixel = canvas.pixel();
    let centre = (rng.between(-0.4, 0.4), rng.between(-0.45, -0.1));
    let radius = rng.between(0.4, 0.55);
    canvas.glow(colours.accent, 0.8, centre, radius * 2.2);
    canvas.fill(colours.accent, 1.0, |x, y| ellipse(x, y, centre, (radius, radius)));
    canvas.fill(colours.silk, 0.25, |x, y| {
        let crater = (centre.0 - radius * 0.3, centre.1 + radius * 0.2);
        ellipse(x, y, crater, (radius * 0.3, radius * 0.26))
    });
    let hang = (centre.0 + radius * 0.2 + swing * 0.05, 0.42);
    canvas.fill(colours.body, 1.0, |x, y| {
        (segment(x, y, (centre.0, -1.6), (hang.0, hang.1 - 0.1)) - pixel * 0.4)
            .min(0.82 + 0.06 * (x * 5.0).sin() + 0.03 * (x * 13.0).cos() - y)
    });
    spider(canvas, colours, hang, 0.38, rng);
}

fn waves(canvas: &mut Canvas, colours: &Palette, rng: &mut Rng, phase: f32) {
    let pixel = canvas.pixel();
    for ribbon in 0..7_u8 {
        let share = f32::from(ribbon) / 6.0;
        let level = mix(-0.8, 0.8, share);
        let (height, pace) = (rng.between(0.1, 0.3), rng.between(1.5, 3.6));
        let shift = rng.between(0.0, TAU) + phase * TAU;
        let ink = if ribbon % 3 == 1 { colours.accent } else { colours.silk };
        canvas.fill(ink, 0.22, |x, y| level + height * (x * pace + shift).sin() - y);
        canvas.fill(ink, 0.9, |x, y| {
            (level + height * (x * pace + shift).sin() - y).abs() * 0.8 - pixel * 0.5
        });
    }
}

fn leaf(canvas: &mut Canvas, colours: &Palette, rng: &mut Rng, sway: f32) {
    let pixel = canvas.pixel();
    let turn = rng.between(-0.7, 0.7) + sway;
    let width = rng.between(0.85, 1.05);
    let (sine, cosine) = turn.sin_cos();
    let blade = |x: f32, y: f32| {
        // Two circles' overlap: the outline of a leaf.
        let (across, along) = (x * cosine - y * sine, x * sine + y * cosine);
        length(across.abs() + width - 0.42, along * 0.95) - width
    };
    canvas.fill(colours.body, 0.35, |x, y| blade(x - 0.06, y - 0.08));
    canvas.fill(colours.accent, 0.95, blade);
    canvas.fill(colours.body, 0.8, |x, y| {
        let (across, along) = (x * cosine - y * sine, x * sine + y * cosine);
        let vein = ((along + across.abs() * 0.8).rem_euclid(0.24) - 0.12).abs() * 0.78;
        (vein - pixel * 0.3).min(across.abs() - pixel * 0.6).max(blade(x, y) + 0.03)
    });
    canvas.glow([1.0; 3], 0.3, (-0.3, -0.4), 0.9);
}
