//! Pictures as SVG text.

use std::f32::consts::TAU;
use std::fmt::Write as _;

use super::Rng;

/// An orb web as SVG, 96 by 96, drawn from `seed`, in the given colours.
pub(crate) fn web_svg(seed: u64, ground: &str, silk: &str) -> String {
    let mut rng = Rng::new(seed);
    let spokes = 11 + (rng.next() % 7) as u16;
    let rings = 5 + (rng.next() % 4) as u16;
    let turn = rng.between(0.0, TAU);
    let point = |spoke: u16, reach: f32| {
        let angle = turn + f32::from(spoke) * TAU / f32::from(spokes);
        (48.0 + reach * angle.cos(), 48.0 + reach * angle.sin())
    };
    let mut path = String::new();
    for spoke in 0..spokes {
        let (x, y) = point(spoke, 46.0);
        let _ = write!(path, "M48 48L{x:.1} {y:.1}");
    }
    for ring in 1..=rings {
        let reach = 44.0 * f32::from(ring) / f32::from(rings);
        for spoke in 0..=spokes {
            let (x, y) = point(spoke, reach);
            if spoke == 0 {
                let _ = write!(path, "M{x:.1} {y:.1}");
            } else {
                // Between two spokes the thread sags towards the hub.
                let before = point(spoke - 1, reach);
                let sag = ((x + before.0) * 0.41 + 8.64, (y + before.1) * 0.41 + 8.64);
                let _ = write!(path, "Q{:.1} {:.1} {x:.1} {y:.1}", sag.0, sag.1);
            }
        }
    }
    format!(
        concat!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" width="96" height="96" "#,
            r#"viewBox="0 0 96 96"><rect width="96" height="96" fill="{}"/>"#,
            r#"<path d="{}" fill="none" stroke="{}" stroke-width=".8"/></svg>"#,
        ),
        ground, path, silk
    )
}

/// A spider in a circle, the museum's badge, as SVG.
pub(crate) fn badge_svg(ground: &str, ink: &str) -> String {
    let mut legs = String::new();
    for (knee, foot) in [(14, 8), (24, 20), (40, 46), (52, 62)] {
        for side in [-1, 1] {
            let (knee_x, foot_x) = (32 + side * 16, 32 + side * 23);
            let _ = write!(legs, "M32 32L{knee_x} {knee}L{foot_x} {foot}");
        }
    }
    format!(
        concat!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" width="64" height="64" "#,
            r#"viewBox="0 0 64 64"><circle cx="32" cy="32" r="31" fill="{ground}"/>"#,
            r#"<path d="{legs}" fill="none" stroke="{ink}" stroke-width="2.5"/>"#,
            r#"<circle cx="32" cy="25" r="6" fill="{ink}"/>"#,
            r#"<ellipse cx="32" cy="39" rx="8" ry="11" fill="{ink}"/></svg>"#,
        ),
        ground = ground,
        legs = legs,
        ink = ink
    )
}
