//! How fast pages are read: every `.html` file below a folder is extracted on one core.
//!
//! `cargo run --release --example extract_throughput -- FOLDER [ROUNDS]`

use std::path::{Path, PathBuf};
use std::time::Instant;

use spinneret_crawler::address::Address;
use spinneret_crawler::{charset, extract};

const USAGE: &str = "usage: extract_throughput FOLDER [ROUNDS]";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args_os().skip(1);
    let folder = PathBuf::from(args.next().ok_or(USAGE)?);
    let rounds = match args.next() {
        Some(text) => text.to_string_lossy().parse().map_err(|_| USAGE)?,
        None => 3,
    };
    let mut pages = Vec::new();
    load(&folder, &folder, &mut pages)
        .map_err(|error| format!("cannot read {}: {error}", folder.display()))?;
    let bytes: usize = pages.iter().map(|(_, body)| body.len()).sum();
    let megabytes = bytes as f64 / 1e6;
    println!("{} pages, {megabytes:.1} MB", pages.len());
    for _ in 0..rounds {
        let (mut links, mut images, mut malformed) = (0, 0, 0);
        let started = Instant::now();
        for (address, body) in &pages {
            let decoded = charset::decode(body, Some("text/html"));
            let found = extract::extract_html(&decoded.text, address);
            links += found.pages.len();
            images += found.images.len();
            malformed += found.malformed.len();
        }
        let seconds = started.elapsed().as_secs_f64();
        println!(
            "{:.0} MB/s, {:.0} pages/s: {links} links, {images} images, {malformed} malformed in {seconds:.2} s",
            megabytes / seconds,
            pages.len() as f64 / seconds,
        );
    }
    Ok(())
}

/// Reads every page below `folder`, with the address it would have on a server at `root`.
fn load(
    root: &Path,
    folder: &Path,
    pages: &mut Vec<(Address, Vec<u8>)>,
) -> Result<(), Box<dyn std::error::Error>> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            load(root, &path, pages)?;
        } else if path.extension().is_some_and(|extension| extension == "html") {
            let name = path.strip_prefix(root)?.to_string_lossy().into_owned();
            let address = Address::parse(&format!("http://localhost:8000/{name}"))?;
            pages.push((address, std::fs::read(&path)?));
        }
    }
    Ok(())
}
