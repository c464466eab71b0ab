//! Lists of image addresses: text, JSONL or Parquet, read as they are needed.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read, Seek};
use std::path::Path;

use anyhow::Context;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row};
use spinneret_crawler::address::Address;
use spinneret_crawler::crawl::BadLine;

use crate::UsageError;

/// Longest line that is read; the rest of a longer one is skipped.
const MAX_LINE: u64 = 64 * 1024;
/// What a Parquet file begins with.
const PARQUET: &[u8] = b"PAR1";
/// How much of a bad line is quoted.
const QUOTED: usize = 200;

type Entry = Result<Address, BadLine>;

/// Opens a list. `field` names the member of a JSON object or the column of a Parquet file.
pub fn open(path: &Path, field: &str) -> anyhow::Result<Box<dyn Iterator<Item = Entry> + Send>> {
    if path == Path::new("-") {
        return Ok(Box::new(Lines::new(Box::new(BufReader::new(io::stdin())), field)));
    }
    let unreadable =
        |error: io::Error| UsageError(format!("cannot read the list {}: {error}", path.display()));
    let mut file = File::open(path).map_err(unreadable)?;
    let mut head = Vec::new();
    (&mut file).take(PARQUET.len() as u64).read_to_end(&mut head).map_err(unreadable)?;
    if head == PARQUET {
        // Its directory is at its end.
        file.rewind().map_err(|error| {
            let path = path.display();
            UsageError(format!("{path}: a Parquet list has to be a file: {error}"))
        })?;
        return parquet(file, field)
            .with_context(|| format!("cannot read the list {}", path.display()));
    }
    // Not opened or sought again: a pipe gives its bytes once.
    let input = BufReader::new(Cursor::new(head).chain(file));
    Ok(Box::new(Lines::new(Box::new(input), field)))
}

/// The entries of a text or JSONL list.
struct Lines {
    input: Box<dyn BufRead + Send>,
    field: String,
    number: u64,
}

impl Lines {
    fn new(input: Box<dyn BufRead + Send>, field: &str) -> Self {
        Self { input, field: field.to_owned(), number: 0 }
    }

    fn entry(&self, line: &[u8]) -> Option<Entry> {
        let bad = |reason: String| {
            Some(Err(bad_line(self.number, &String::from_utf8_lossy(line), reason)))
        };
        let text = match str::from_utf8(line) {
            Ok(text) => text.trim_start_matches('\u{feff}').trim(),
            Err(error) => return bad(format!("not UTF-8: {error}")),
        };
        if text.is_empty() || text.starts_with('#') {
            return None;
        }
        if !text.starts_with('{') {
            return Some(parse(self.number, text));
        }
        match serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text) {
            Err(error) => bad(format!("not a JSON object: {error}")),
            Ok(object) => match object.get(&self.field) {
                Some(serde_json::Value::String(address)) => Some(parse(self.number, address)),
                Some(_) => bad(format!("field {:?} is not a text", self.field)),
                None => bad(format!("no field {:?}; --field names another", self.field)),
            },
        }
    }
}

impl Iterator for Lines {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        loop {
            let mut line = Vec::new();
            self.number += 1;
            let read = (&mut self.input).take(MAX_LINE).read_until(b'\n', &mut line);
            match read {
                Err(error) => {
                    // Nothing can be read behind it, so the list ends here, and says so.
                    self.input = Box::new(io::empty());
                    return Some(Err(bad_line(
                        self.number,
                        "",
                        format!("cannot read on: {error}"),
                    )));
                }
                Ok(0) => return None,
                Ok(_) => {}
            }
            if line.len() as u64 == MAX_LINE && line.last() != Some(&b'\n') {
                let skipped = self.input.skip_until(b'\n');
                let reason = match skipped {
                    Ok(_) => format!("longer than {MAX_LINE} bytes"),
                    Err(error) => format!("cannot read on: {error}"),
                };
                return Some(Err(bad_line(self.number, &String::from_utf8_lossy(&line), reason)));
            }
            if let Some(entry) = self.entry(&line) {
                return Some(entry);
            }
        }
    }
}

fn parquet(file: File, field: &str) -> anyhow::Result<Box<dyn Iterator<Item = Entry> + Send>> {
    let reader = SerializedFileReader::new(file)?;
    let schema = reader.metadata().file_metadata().schema();
    let mut columns = schema.get_fields().iter();
    let Some(column) = columns.find(|column| column.name() == field) else {
        let names: Vec<_> = schema.get_fields().iter().map(|column| column.name()).collect();
        let names = names.join(", ");
        return Err(UsageError(format!("no column {field:?}; --field names one of {names}")).into());
    };
    let projection = parquet::schema::types::Type::group_type_builder(schema.name())
        .with_fields(vec![column.clone()])
        .build()?;
    let rows = reader_into_rows(reader, projection)?;
    Ok(Box::new(rows.zip(1..).map(|(row, number)| {
        let row = row.map_err(|error| bad_line(number, "", error.to_string()))?;
        match row.get_column_iter().next() {
            Some((_, Field::Str(address))) => parse(number, address),
            Some((_, Field::Bytes(bytes))) => parse(number, &String::from_utf8_lossy(bytes.data())),
            Some((_, other)) => Err(bad_line(number, &other.to_string(), "not a text".to_owned())),
            None => Err(bad_line(number, "", "an empty row".to_owned())),
        }
    })))
}

fn reader_into_rows(
    reader: SerializedFileReader<File>,
    projection: parquet::schema::types::Type,
) -> parquet::errors::Result<impl Iterator<Item = parquet::errors::Result<Row>> + Send> {
    parquet::record::reader::RowIter::from_file_into(Box::new(reader)).project(Some(projection))
}

fn parse(number: u64, text: &str) -> Entry {
    Address::parse(text).map_err(|error| bad_line(number, text, error.to_string()))
}

fn bad_line(number: u64, text: &str, reason: String) -> BadLine {
    let text: String = text.trim_end().chars().take(QUOTED).collect();
    BadLine { number, text, reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &'static [u8]) -> Vec<Entry> {
        Lines::new(Box::new(text), "url").collect()
    }

    #[test]
    fn text_and_json_lines_may_be_mixed_and_bad_ones_are_named() {
        let entries = read(
            b"\xef\xbb\xbfhttp://a.org/1.png\r\n\n# a comment\n{\"url\": \"http://a.org/2.png\"}\n\
              not an address\n{\"url\": 7}\n{\"src\": \"x\"}\n{broken\n\xff\xfe\nhttp://a.org/3.png",
        );
        let good: Vec<_> =
            entries.iter().filter_map(|e| e.as_ref().ok()).map(Address::as_str).collect();
        assert_eq!(good, ["http://a.org/1.png", "http://a.org/2.png", "http://a.org/3.png"]);
        let bad: Vec<_> =
            entries.iter().filter_map(|e| e.as_ref().err()).map(|b| b.number).collect();
        assert_eq!(bad, [5, 6, 7, 8, 9]);
    }

    #[test]
    fn an_endless_line_is_one_bad_line() {
        let mut text = vec![b'x'; 1_000_000];
        text.extend_from_slice(b"\nhttp://a.org/1.png\n");
        let entries = read(text.leak());
        assert_eq!(entries.len(), 2);
        assert!(entries[0].as_ref().unwrap_err().reason.contains("longer than"));
        assert!(entries[0].as_ref().unwrap_err().text.len() <= QUOTED);
        assert!(entries[1].is_ok());
    }
}
