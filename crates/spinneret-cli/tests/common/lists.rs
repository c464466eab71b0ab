//! What a crawl leaves, read again and compared.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use super::program::files_below;

/// A line of `images.jsonl`.
#[derive(Clone, Debug, Deserialize)]
pub struct Image {
    pub url: String,
    pub page: Option<String>,
    pub path: String,
    pub sha256: String,
    pub bytes: u64,
    pub content_type: String,
    pub stored_on: Option<String>,
}

/// A line of `failures.jsonl`.
#[derive(Clone, Debug, Deserialize)]
pub struct Failure {
    pub url: String,
    pub kind: String,
    pub page: Option<String>,
    pub cause: String,
    pub detail: String,
}

pub fn images(out: &Path) -> Vec<Image> {
    read(&out.join("images.jsonl"))
}

pub fn failures(out: &Path) -> Vec<Failure> {
    read(&out.join("failures.jsonl"))
}

fn read<T: DeserializeOwned>(path: &Path) -> Vec<T> {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'), "{}: the last line is cut", path.display());
    let parse = |line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
    text.lines().map(parse).collect()
}

pub fn sha256(bytes: &[u8]) -> String {
    let mut hex = String::new();
    for byte in Sha256::digest(bytes) {
        write!(hex, "{byte:02x}").unwrap();
    }
    hex
}

/// Asserts that `out` holds exactly these images, by whole address, with these bytes: a line each,
/// a file that agrees with its line, no temporary file, and nothing outside `images`.
#[track_caller]
pub fn assert_crawled<B: AsRef<[u8]>>(out: &Path, expected: &BTreeMap<String, B>) {
    assert_saved(out, out, expected);
    let stored: BTreeSet<_> = images(out).into_iter().map(|image| image.path.into()).collect();
    let files: BTreeSet<_> =
        files_below(out).into_iter().filter(|file| file.starts_with("images")).collect();
    assert_eq!(files, stored, "files in images/ and paths in images.jsonl");
    assert_no_parts(out);
}

/// Asserts the lines of `out`'s list and that their files are in `store`.
#[track_caller]
pub fn assert_saved<B: AsRef<[u8]>>(out: &Path, store: &Path, expected: &BTreeMap<String, B>) {
    let lines = images(out);
    let urls: BTreeSet<&str> = lines.iter().map(|image| image.url.as_str()).collect();
    let wanted: BTreeSet<&str> = expected.keys().map(String::as_str).collect();
    let missing: Vec<_> = wanted.difference(&urls).collect();
    let too_many: Vec<_> = urls.difference(&wanted).collect();
    assert!(missing.is_empty() && too_many.is_empty(), "missing {missing:?}, extra {too_many:?}");
    assert_eq!(lines.len(), urls.len(), "an address has two lines");
    for image in &lines {
        assert_agrees(image, store, expected[&image.url].as_ref());
    }
}

#[track_caller]
fn assert_agrees(image: &Image, store: &Path, bytes: &[u8]) {
    let file = fs::read(store.join(&image.path)).unwrap_or_else(|e| panic!("{e}: {image:?}"));
    assert!(file == bytes, "{}: {} bytes in place of {}", image.url, file.len(), bytes.len());
    assert_eq!(image.bytes, bytes.len() as u64, "{}", image.url);
    assert_eq!(image.sha256, sha256(bytes), "{}", image.url);
}

/// Asserts that no temporary file was left.
#[track_caller]
pub fn assert_no_parts(folder: &Path) {
    let left: Vec<_> = files_below(folder)
        .into_iter()
        .filter(|file| file.to_string_lossy().contains(".part"))
        .collect();
    assert!(left.is_empty(), "temporary files were left: {left:?}");
}
