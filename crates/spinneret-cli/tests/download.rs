//! `download` fetches the images of a list, whatever form it has.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a helper of tests may fail by panicking")]

mod common;

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use common::procs::{children, kill, wait_until_gone};
use common::{Ended, Nest, Run, Site, assert_crawled, failures, wait_until};
use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

fn args<'a>(list: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut args = vec!["download", list, "--allow-private", "--json", "-o", "out"];
    args.extend(["--workers", "1"]);
    args.extend(more);
    args
}

fn addresses(site: &Site) -> Vec<String> {
    site.images().into_keys().collect()
}

/// A Parquet file as data sets have them: a number and an address in each row, missing in some.
fn write_parquet(path: &Path, column: &str, rows: &[Option<&str>]) {
    let schema =
        format!("message list {{ REQUIRED INT64 id; OPTIONAL BYTE_ARRAY {column} (UTF8); }}");
    let schema = Arc::new(parse_message_type(&schema).unwrap());
    let file = File::create(path).unwrap();
    let properties = Arc::new(WriterProperties::default());
    let mut writer = SerializedFileWriter::new(file, schema, properties).unwrap();
    // Several groups of rows, as in files that were written in pieces.
    for rows in rows.chunks(3) {
        let mut group = writer.next_row_group().unwrap();
        let mut ids = group.next_column().unwrap().unwrap();
        let numbers: Vec<i64> = (0..).take(rows.len()).collect();
        ids.typed::<Int64Type>().write_batch(&numbers, None, None).unwrap();
        ids.close().unwrap();
        let mut texts = group.next_column().unwrap().unwrap();
        let values: Vec<ByteArray> = rows.iter().flatten().map(|text| (*text).into()).collect();
        let levels: Vec<i16> = rows.iter().map(|row| i16::from(row.is_some())).collect();
        texts.typed::<ByteArrayType>().write_batch(&values, Some(&levels), None).unwrap();
        texts.close().unwrap();
        group.close().unwrap();
    }
    writer.close().unwrap();
}

fn assert_all(nest: &Nest, site: &Site, ended: &Ended) {
    assert_crawled(&nest.out(), &site.images());
    let count = site.expected.images.len() as u64;
    assert_eq!((ended.count("images_found"), ended.count("images_saved")), (count, count));
    assert_eq!(ended.count("pages"), 0);
    assert!(site.server.hits().values().all(|hits| *hits == 1), "{:?}", site.server.hits());
    assert!(common::images(&nest.out()).iter().all(|image| image.page.is_none()));
}

#[test]
fn a_text_list_with_windows_line_ends_and_doubles() {
    let (nest, site) = (Nest::new(), Site::synthetic(4, 5, 0));
    let mut lines = addresses(&site);
    lines.extend(lines.clone());
    // The same address in other words.
    lines.push(lines[0].replace("http://", "HTTP://") + "#top");
    let list = nest.write("list.txt", format!("\u{feff}# list\r\n{}", lines.join("\r\n")));
    let ended = nest.run(&args(&list, &[])).expect(0);
    assert_all(&nest, &site, &ended);
    assert!(failures(&nest.out()).is_empty());
}

#[test]
fn a_jsonl_list_with_a_field_of_ones_own() {
    let (nest, site) = (Nest::new(), Site::synthetic(4, 5, 0));
    let line = |url: &String| serde_json::json!({"id": 1, "image": url, "url": "x"}).to_string();
    let lines: Vec<String> = addresses(&site).iter().map(line).collect();
    let list = nest.write("list.jsonl", lines.join("\n"));
    let ended = nest.run(&args(&list, &["--field", "image"])).expect(0);
    assert_all(&nest, &site, &ended);
}

#[test]
fn a_list_from_standard_input() {
    let (nest, site) = (Nest::new(), Site::synthetic(4, 5, 0));
    let list = addresses(&site).join("\n");
    let ended = nest.run_with_input(&args("-", &[]), list.as_bytes()).expect(0);
    assert_all(&nest, &site, &ended);
}

#[test]
fn a_parquet_list_and_its_empty_rows() {
    let (nest, site) = (Nest::new(), Site::synthetic(4, 5, 0));
    let addresses = addresses(&site);
    let mut rows: Vec<_> = addresses.iter().map(|url| Some(url.as_str())).collect();
    rows.insert(3, None);
    rows.insert(9, Some("no address"));
    let list = nest.path("list.parquet");
    write_parquet(&list, "image_url", &rows);
    let list = list.to_str().unwrap();
    let ended = nest.run(&args(list, &["--field", "image_url"])).expect(0);
    assert_all(&nest, &site, &ended);
    assert_eq!(ended.failed("malformed_address"), 2);
    let bad: Vec<_> = failures(&nest.out()).into_iter().map(|f| f.detail).collect();
    assert!(bad[0].contains("4:") && bad[1].contains("10:"), "{bad:?}");
}

#[test]
fn a_parquet_column_that_is_not_there_is_wrong_usage() {
    let nest = Nest::new();
    write_parquet(&nest.path("list.parquet"), "image_url", &[Some("http://a.org/x.png")]);
    let wrong = nest.run(&args("list.parquet", &[])).expect(2);
    assert!(wrong.stderr.contains("image_url"), "it names those that are: {}", wrong.stderr);
    nest.write("list.parquet", b"PAR1 and then nothing that it should have");
    let refused = nest.run(&args("list.parquet", &[]));
    assert_ne!(refused.status.code(), Some(0));
    assert!(refused.stderr.contains("list.parquet"), "{}", refused.stderr);
    assert!(!nest.out().exists());
}

#[test]
fn an_empty_list_is_done_at_once() {
    let nest = Nest::new();
    let list = nest.write("list.txt", "");
    let ended = nest.run(&args(&list, &["--strict"])).expect(0);
    assert_eq!((ended.count("images_found"), ended.count("images_saved")), (0, 0));
}

#[test]
fn a_download_that_was_killed_is_resumed() {
    let (nest, site) = (Nest::new(), Site::synthetic(20, 20, 20));
    let mut lines = addresses(&site);
    lines.insert(7, "no address".to_owned());
    let list = nest.write("list.txt", lines.join("\n"));
    let run = Run::start(nest.command(&args(&list, &["--concurrency", "4"])));
    wait_until("images are fetched", || site.image_hits() >= 100);
    let workers = children(run.pid());
    assert!(kill(run.pid()));
    wait_until_gone(&workers);
    drop(run);
    let ended = nest.run(&args(&list, &["--resume"])).expect(0);
    assert_crawled(&nest.out(), &site.images());
    assert_eq!(ended.count("images_saved"), 400);
    assert_eq!(failures(&nest.out()).len(), 1, "the bad line is named once");
    // What was under way when it died, and reported but not written down, is all that is repeated.
    let twice = site.server.hits().values().filter(|hits| **hits > 1).count();
    assert!(twice < 200, "{twice} images were fetched twice");
}
