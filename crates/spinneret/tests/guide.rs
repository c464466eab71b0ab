//! The guide in `docs/`: no chapter is forgotten, none leads nowhere.
//!
//! That its examples work is the business of the doc-tests, for which `src/guide.rs` lists the
//! chapters.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const DOC_TESTS: &str = include_str!("../src/guide.rs");

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/src")
}

fn read(file: &str) -> String {
    fs::read_to_string(folder().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// Where the links of a text lead.
fn links(text: &str) -> impl Iterator<Item = &str> {
    text.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0))
}

/// The chapters that the table of contents lists.
fn chapters() -> BTreeSet<String> {
    let chapters: BTreeSet<_> = links(&read("SUMMARY.md")).map(str::to_owned).collect();
    assert!(chapters.len() > 5, "{chapters:?}");
    chapters
}

/// The lines of a chapter, and whether each is within a block of code.
fn lines(chapter: &str) -> Vec<(String, bool)> {
    let mut within = false;
    let lines = chapter.lines().map(|line| {
        let fence = line.starts_with("```");
        within ^= fence;
        (line.to_owned(), within || fence)
    });
    lines.collect()
}

/// What a heading is called in links, as mdBook does it.
fn anchor(heading: &str) -> String {
    let kept = |c: char| match c {
        ' ' => Some('-'),
        c if c.is_alphanumeric() || "_-".contains(c) => Some(c.to_ascii_lowercase()),
        _ => None,
    };
    heading.trim_start_matches('#').trim().chars().filter_map(kept).collect()
}

fn anchors(file: &str) -> Vec<String> {
    let lines = lines(&read(file)).into_iter();
    lines
        .filter(|(line, code)| line.starts_with('#') && !code)
        .map(|(line, _)| anchor(&line))
        .collect()
}

#[test]
fn every_chapter_is_listed_and_its_examples_are_tested() {
    let chapters = chapters();
    for chapter in &chapters {
        let included = format!("\"../../../docs/src/{chapter}\"");
        assert!(DOC_TESTS.contains(&included), "src/guide.rs does not include {chapter}");
    }
    let files = fs::read_dir(folder()).unwrap();
    let files: BTreeSet<_> =
        files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    let listed = chapters.into_iter().chain(["SUMMARY.md".to_owned()]).collect();
    assert_eq!(files, listed, "the files in docs/src, and what SUMMARY.md lists");
}

#[test]
fn every_chapter_begins_with_a_short_example_and_no_example_is_left_out() {
    for chapter in chapters() {
        let text = read(&chapter);
        let beginning = text.split("\n## ").next().unwrap();
        let example = beginning.split("```rust\n").nth(1).unwrap_or_else(|| panic!("{chapter}"));
        let count = example.split("```").next().unwrap().lines().count();
        assert!(count < 25, "the first example of {chapter} has {count} lines");
        assert!(!text.contains("```rust,ignore"), "{chapter}");
    }
}

#[test]
fn links_between_chapters_lead_to_what_is_there() {
    let mut count = 0;
    for chapter in chapters() {
        for link in links(&read(&chapter)).filter(|link| !link.contains("://")) {
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let file = if file.is_empty() { &chapter } else { file };
            let anchors = anchors(file);
            let found = heading.is_empty() || anchors.iter().any(|anchor| anchor == heading);
            assert!(found, "{chapter} links to {link}, but {file} has only {anchors:?}");
            count += 1;
        }
    }
    assert!(count > 10, "{count}");
}
