//! The frontier's memory: an append-only file with a line for each address found and each one
//! ended.
//!
//! An address's number is the offset of its line, so that the frontier holds eight bytes for a
//! waiting address and reads the rest back when its turn comes. Lines are written with one call,
//! and a line that a crash cut short is dropped when the file is opened again. What was written
//! survives the end of any process; a machine's power loss can cost the last seconds.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

#[cfg(unix)]
use self::unix::{read_at, write_all_at};
#[cfg(windows)]
use self::windows::{read_at, write_all_at};
use crate::job::Kind;

/// First line of a journal: what it is and the version of its lines.
const HEADER: &str = "spinneret frontier 1\n";
/// Lines may gather up to about this many bytes before they should be written.
const BUFFER: usize = 1 << 20;
/// Longest line read back; addresses end at 8 KiB.
const MAX_LINE: usize = 16 * 1024;

/// An address as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub kind: Kind,
    /// Links followed from a seed to the page it was found on; 0 for a seed.
    pub depth: u32,
    /// The number of the page it was found on; none for a seed.
    pub page: Option<u64>,
    pub url: String,
}

/// A line, when a journal is read again.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    Found(u64, Found),
    Ended { id: u64, page: bool },
}

/// A journal could not be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file cannot be read or written.
    #[error("cannot use the crawl's journal {path}: {cause}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        cause: io::Error,
    },
    /// It is not a journal, or not of this version.
    #[error("{path} is not a crawl's journal of this version; choose another output folder")]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// A line that nothing wrote.
    #[error("{path} is damaged at byte {offset}; choose another output folder")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Offset of the line.
        offset: u64,
    },
}

#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    file: File,
    /// Bytes of the file that are written.
    written: u64,
    /// Lines that are not.
    buffer: Vec<u8>,
}

impl Journal {
    /// Starts an empty journal in place of any other.
    pub(super) fn create(path: &Path) -> Result<Self, JournalError> {
        let fail = |cause| JournalError::Io { path: path.to_owned(), cause };
        let file = OpenOptions::new()
            .create(true)
            .truncate(true)
            .read(true)
            .write(true)
            .open(path)
            .map_err(fail)?;
        write_all_at(&file, HEADER.as_bytes(), 0).map_err(fail)?;
        let written = HEADER.len() as u64;
        Ok(Self { path: path.to_owned(), file, written, buffer: Vec::new() })
    }

    /// Opens a journal to go on, giving each of its lines to `visit`.
    pub(super) fn open(path: &Path, mut visit: impl FnMut(Line)) -> Result<Self, JournalError> {
        let fail = |cause| JournalError::Io { path: path.to_owned(), cause };
        let file = OpenOptions::new().read(true).write(true).open(path).map_err(fail)?;
        let mut lines = BufReader::new(&file);
        let mut line = Vec::new();
        let mut offset = 0;
        loop {
            line.clear();
            let length = lines.read_until(b'\n', &mut line).map_err(fail)?;
            if line.pop() != Some(b'\n') {
                break;
            }
            if offset == 0 {
                if line != HEADER.trim_end().as_bytes() {
                    return Err(JournalError::Foreign { path: path.to_owned() });
                }
            } else {
                let text = str::from_utf8(&line).ok();
                let parsed = text
                    .and_then(|text| parse(offset, text))
                    .ok_or_else(|| JournalError::Damaged { path: path.to_owned(), offset })?;
                visit(parsed);
            }
            offset += length as u64;
        }
        if offset == 0 {
            return Err(JournalError::Foreign { path: path.to_owned() });
        }
        // What follows the last whole line was being written when everything ended.
        file.set_len(offset).map_err(fail)?;
        Ok(Self { path: path.to_owned(), file, written: offset, buffer: Vec::new() })
    }

    /// Adds an address; its number.
    pub(super) fn found(&mut self, found: &Found) -> u64 {
        let id = self.written + self.buffer.len() as u64;
        let kind = match found.kind {
            Kind::Robots => 'r',
            Kind::Page => 'p',
            Kind::Stylesheet => 's',
            Kind::Image => 'i',
        };
        let page = found.page.unwrap_or(0);
        self.line(format_args!("+{kind} {} {page} {}\n", found.depth, found.url));
        id
    }

    /// Notes that an address needs no more work; `page` if it was read as a page.
    pub(super) fn ended(&mut self, id: u64, page: bool) {
        self.line(format_args!("-{} {id}\n", if page { 'p' } else { 'x' }));
    }

    /// Reads an address back by its number.
    pub(super) fn read(&mut self, id: u64) -> Result<Found, JournalError> {
        let mut chunk = [0; 512];
        let mut line = Vec::new();
        if id >= self.written {
            // Still gathered: the buffer begins where the file ends.
            let start = (id - self.written) as usize;
            let rest = self.buffer.get(start..).unwrap_or_default();
            line.extend_from_slice(&rest[..rest.len().min(MAX_LINE)]);
        } else {
            let mut at = id;
            while line.len() < MAX_LINE && !line.contains(&b'\n') {
                let wanted = chunk.len().min((self.written - at) as usize);
                let read = read_at(&self.file, &mut chunk[..wanted], at).map_err(|c| self.io(c))?;
                if read == 0 {
                    break;
                }
                line.extend_from_slice(&chunk[..read]);
                at += read as u64;
            }
        }
        let end = line.iter().position(|&byte| byte == b'\n').unwrap_or(0);
        match str::from_utf8(&line[..end]).ok().and_then(|text| parse(id, text)) {
            Some(Line::Found(_, found)) => Ok(found),
            _ => Err(JournalError::Damaged { path: self.path.clone(), offset: id }),
        }
    }

    /// Writes what was gathered, so that it survives the end of this process.
    pub(super) fn flush(&mut self) -> Result<(), JournalError> {
        if !self.buffer.is_empty() {
            write_all_at(&self.file, &self.buffer, self.written).map_err(|cause| self.io(cause))?;
            self.written += self.buffer.len() as u64;
            self.buffer.clear();
        }
        Ok(())
    }

    /// Whether enough has gathered that it should be written.
    ///
    /// Nothing is written but by [`Journal::flush`]: the caller has lists of its own that must be on
    /// disk before the ends of what they list.
    pub(super) fn is_due(&self) -> bool {
        self.buffer.len() >= BUFFER
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a Vec cannot fail.
        let _ = self.buffer.write_fmt(line);
    }

    fn io(&self, cause: io::Error) -> JournalError {
        JournalError::Io { path: self.path.clone(), cause }
    }
}

fn parse(offset: u64, line: &str) -> Option<Line> {
    let (head, rest) = line.split_once(' ')?;
    let kind = match head {
        "-p" | "-x" => {
            return Some(Line::Ended { id: rest.parse().ok()?, page: head == "-p" });
        }
        "+r" => Kind::Robots,
        "+p" => Kind::Page,
        "+s" => Kind::Stylesheet,
        "+i" => Kind::Image,
        _ => return None,
    };
    let (depth, rest) = rest.split_once(' ')?;
    let (page, url) = rest.split_once(' ')?;
    let page: u64 = page.parse().ok()?;
    let page = (page != 0).then_some(page);
    Some(Line::Found(offset, Found { kind, depth: depth.parse().ok()?, page, url: url.to_owned() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(url: &str, page: Option<u64>) -> Found {
        Found { kind: Kind::Image, depth: 3, page, url: url.to_owned() }
    }

    #[test]
    fn addresses_are_read_back_by_number_before_and_after_they_are_written() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = Journal::create(&folder.path().join("j")).unwrap();
        let long = found(&format!("http://a/{}", "x".repeat(8000)), None);
        let first = journal.found(&long);
        let second = journal.found(&found("http://a/b", Some(first)));
        for _ in 0..2 {
            assert_eq!(journal.read(first).unwrap(), long);
            assert_eq!(journal.read(second).unwrap(), found("http://a/b", Some(first)));
            journal.flush().unwrap();
        }
        assert!(matches!(journal.read(second + 1), Err(JournalError::Damaged { .. })));
        assert!(journal.read(u64::MAX).is_err());
    }

    #[test]
    fn a_line_cut_short_is_dropped_and_the_rest_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("j");
        let mut journal = Journal::create(&path).unwrap();
        let first = journal.found(&found("http://a/1", None));
        journal.ended(first, true);
        let second = journal.found(&found("http://a/2", None));
        journal.flush().unwrap();
        let whole = std::fs::read(&path).unwrap();
        for cut in second as usize..whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let mut lines = Vec::new();
            let mut again = Journal::open(&path, |line| lines.push(line)).unwrap();
            assert_eq!(lines.len(), 2, "cut at {cut}");
            assert_eq!(lines[1], Line::Ended { id: first, page: true });
            assert_eq!(again.found(&found("http://a/3", None)), second);
            assert_eq!(again.read(second).unwrap().url, "http://a/3");
        }
    }

    #[test]
    fn nothing_reaches_the_file_before_it_is_flushed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("j");
        let mut journal = Journal::create(&path).unwrap();
        let mut last = 0;
        while !journal.is_due() {
            last = journal.found(&found("http://a/b", None));
            journal.ended(last, false);
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap(), HEADER);
        assert_eq!(journal.read(last).unwrap().url, "http://a/b");
        journal.flush().unwrap();
        assert!(!journal.is_due());
    }

    #[test]
    fn another_file_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("j");
        std::fs::write(&path, "my notes\nmore").unwrap();
        assert!(matches!(Journal::open(&path, |_| {}), Err(JournalError::Foreign { .. })));
        std::fs::write(&path, format!("{HEADER}+z 0 0 x\n")).unwrap();
        assert!(matches!(Journal::open(&path, |_| {}), Err(JournalError::Damaged { .. })));
        assert!(std::fs::read_to_string(&path).unwrap().ends_with("+z 0 0 x\n"));
    }
}
