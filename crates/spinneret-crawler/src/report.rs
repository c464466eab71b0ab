//! What a crawl leaves for people and programs to read: `images.jsonl`, `failures.jsonl` and the
//! summary.

use std::collections::{BTreeMap, HashSet};
#[cfg(test)]
use std::fs;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::address::Address;
use crate::frontier::Event;
use crate::job::{Cause, SavedImage};

/// A line of `images.jsonl`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageLine {
    /// Canonical address of the image.
    pub url: String,
    /// The page it was found on; null for an address that was given.
    pub page: Option<String>,
    /// The file, and what is in it.
    #[serde(flatten)]
    pub image: SavedImage,
}

/// A line of `failures.jsonl`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureLine {
    /// The address at fault.
    pub url: String,
    /// `page`, `stylesheet` or `image`.
    pub kind: String,
    /// The page it was found on.
    pub page: Option<String>,
    /// The kind of failure, as the summary counts it.
    pub cause: String,
    /// The particulars.
    pub detail: String,
    /// RFC 3339, UTC.
    pub failed_at: String,
}

/// What a crawl did. Serialized, it is the object that `--json` prints.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Pages read.
    pub pages: u64,
    /// Distinct image addresses found.
    pub images_found: u64,
    /// Distinct image addresses stored.
    pub images_saved: u64,
    /// Bytes of the stored images.
    pub bytes: u64,
    /// Failures by cause.
    pub failures: BTreeMap<String, u64>,
    /// Wall-clock seconds of this run.
    pub seconds: f64,
}

impl Summary {
    /// Failures that `--strict` counts: all but what a robots.txt forbade.
    pub fn strict_failures(&self) -> u64 {
        let robots = Cause::Robots.to_string();
        self.failures.iter().filter(|(cause, _)| **cause != robots).map(|(_, count)| count).sum()
    }
}

/// A list could not be written or read.
#[derive(Debug, thiserror::Error)]
#[error("cannot use {path}: {cause}")]
pub struct ReportError {
    path: PathBuf,
    cause: io::Error,
}

/// The lists of one crawl, open for writing.
#[derive(Debug)]
pub struct Reporter {
    images: List,
    failures: List,
    summary: Summary,
}

#[derive(Debug)]
struct List {
    path: PathBuf,
    file: BufWriter<File>,
}

impl Reporter {
    /// Starts empty lists in `folder`.
    pub fn create(folder: &Path) -> Result<Self, ReportError> {
        let open = |name: &str| List::open(folder.join(name), true);
        Ok(Self {
            images: open("images.jsonl")?,
            failures: open("failures.jsonl")?,
            summary: Summary::default(),
        })
    }

    /// Goes on with the lists in `folder`. Also returns the fingerprints of the images they hold.
    ///
    /// A line cut short by a crash is removed.
    pub fn resume(folder: &Path) -> Result<(Self, HashSet<u128>), ReportError> {
        let mut summary = Summary::default();
        let mut recorded = HashSet::new();
        let images = List::resume(folder.join("images.jsonl"), |line: ImageLine| {
            if let Ok(address) = Address::parse(&line.url) {
                recorded.insert(address.fingerprint());
            }
            summary.images_saved += 1;
            summary.bytes += line.image.bytes;
        })?;
        let failures = List::resume(folder.join("failures.jsonl"), |line: FailureLine| {
            *summary.failures.entry(line.cause).or_default() += 1;
        })?;
        Ok((Self { images, failures, summary }, recorded))
    }

    /// Counts pages that were read before a restart, which no list holds.
    pub fn count_pages(&mut self, pages: u64) {
        self.summary.pages += pages;
    }

    /// Writes down what ended.
    pub fn record(&mut self, event: Event) -> Result<(), ReportError> {
        match event {
            Event::Page => self.summary.pages += 1,
            Event::Saved { url, page, image } => {
                self.summary.images_saved += 1;
                self.summary.bytes += image.bytes;
                self.images.write(&ImageLine { url, page, image })?;
            }
            Event::Failed { url, kind, page, problem } => {
                let cause = problem.cause.to_string();
                *self.summary.failures.entry(cause.clone()).or_default() += 1;
                self.failures.write(&FailureLine {
                    url,
                    kind: kind.to_string(),
                    page,
                    cause,
                    detail: problem.detail,
                    failed_at: humantime::format_rfc3339_millis(SystemTime::now()).to_string(),
                })?;
            }
        }
        Ok(())
    }

    /// Makes every line survive the end of this process.
    pub fn flush(&mut self) -> Result<(), ReportError> {
        self.images.flush()?;
        self.failures.flush()
    }

    /// The counts so far; `images_found` and `seconds` are the crawl's to fill in.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }
}

impl List {
    fn open(path: PathBuf, truncate: bool) -> Result<Self, ReportError> {
        let opened = OpenOptions::new().create(true).write(true).truncate(truncate).open(&path);
        match opened {
            Ok(file) => Ok(Self { path, file: BufWriter::new(file) }),
            Err(cause) => Err(ReportError { path, cause }),
        }
    }

    fn resume<T: for<'a> Deserialize<'a>>(
        path: PathBuf,
        mut visit: impl FnMut(T),
    ) -> Result<Self, ReportError> {
        let mut whole = 0;
        let mut scan = || -> io::Result<()> {
            let file = match File::open(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                opened => opened?,
            };
            let mut lines = BufReader::new(file);
            let mut line = Vec::new();
            loop {
                line.clear();
                let length = lines.read_until(b'\n', &mut line)?;
                if line.last() != Some(&b'\n') {
                    return Ok(());
                }
                whole += length as u64;
                // A line of someone else's stays, and counts for nothing.
                if let Ok(line) = serde_json::from_slice(&line) {
                    visit(line);
                }
            }
        };
        if let Err(cause) = scan() {
            return Err(ReportError { path, cause });
        }
        let mut list = Self::open(path, false)?;
        let cut =
            list.file.get_mut().set_len(whole).and_then(|()| list.file.seek(io::SeekFrom::End(0)));
        match cut {
            Ok(_) => Ok(list),
            Err(cause) => Err(ReportError { path: list.path, cause }),
        }
    }

    fn write<T: Serialize>(&mut self, line: &T) -> Result<(), ReportError> {
        serde_json::to_writer(&mut self.file, line)
            .map_err(io::Error::from)
            .and_then(|()| self.file.write_all(b"\n"))
            .map_err(|cause| ReportError { path: self.path.clone(), cause })
    }

    fn flush(&mut self) -> Result<(), ReportError> {
        self.file.flush().map_err(|cause| ReportError { path: self.path.clone(), cause })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::{Kind, Problem};

    fn saved(url: &str) -> Event {
        let image = SavedImage {
            path: "images/a/x.png".to_owned(),
            sha256: "00".to_owned(),
            bytes: 10,
            content_type: "image/png".to_owned(),
            width: Some(1),
            height: None,
            fetched_at: "2026-01-01T00:00:00Z".to_owned(),
            stored_on: None,
        };
        Event::Saved { url: url.to_owned(), page: None, image }
    }

    fn failed(url: &str) -> Event {
        let problem = Problem::new(Cause::Http(404), "gone");
        Event::Failed { url: url.to_owned(), kind: Kind::Image, page: None, problem }
    }

    #[test]
    fn each_image_is_a_line_with_the_promised_keys() {
        let folder = tempfile::tempdir().unwrap();
        let mut reporter = Reporter::create(folder.path()).unwrap();
        reporter.record(saved("http://a/x.png")).unwrap();
        reporter.flush().unwrap();
        let text = fs::read_to_string(folder.path().join("images.jsonl")).unwrap();
        let line: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&text).unwrap();
        let keys: Vec<&str> = line.keys().map(String::as_str).collect();
        let promised = [
            "bytes",
            "content_type",
            "fetched_at",
            "height",
            "page",
            "path",
            "sha256",
            "url",
            "width",
        ];
        let mut sorted = keys.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, promised);
    }

    #[test]
    fn counts_survive_a_restart_and_a_line_cut_short_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let mut reporter = Reporter::create(folder.path()).unwrap();
        for event in [saved("http://a/1"), saved("http://a/2"), failed("http://a/3")] {
            reporter.record(event).unwrap();
        }
        reporter.flush().unwrap();
        let path = folder.path().join("images.jsonl");
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() - 5]).unwrap();
        let (mut reporter, recorded) = Reporter::resume(folder.path()).unwrap();
        assert_eq!(recorded, HashSet::from([Address::parse("http://a/1").unwrap().fingerprint()]));
        assert_eq!((reporter.summary().images_saved, reporter.summary().bytes), (1, 10));
        assert_eq!(reporter.summary().failures["http_404"], 1);
        reporter.record(saved("http://a/2")).unwrap();
        reporter.flush().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 2);
    }

    #[test]
    fn strict_counts_every_failure_but_what_robots_txt_forbade() {
        let failures = [("http_404", 2), ("robots", 5)].map(|(k, n)| (k.to_owned(), n)).into();
        assert_eq!(Summary { failures, ..Summary::default() }.strict_failures(), 2);
    }
}
