//! Where images land: each is checked by its bytes while it streams into a temporary file, then
//! renamed into place, so that no reader ever sees half of one.

mod path;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use sha2::{Digest, Sha256};

use crate::address::Address;
use crate::image::{self, Format, PROBE_LEN, Probe, TAIL_LEN};
use crate::job::{Cause, Problem, SavedImage};

/// Folder of temporary files, below the output folder and so on the same file system.
const TEMPORARY: &str = ".spinneret/parts";
/// The output folder, as one process writes to it. Several processes may share one.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    /// `HOST:FOLDER` if this is not the crawl's own folder.
    stored_on: Option<String>,
    parts: AtomicU64,
    /// Folders known to exist; saves a system call or three an image.
    folders: Mutex<HashSet<PathBuf>>,
}

impl Store {
    /// Opens `folder`, making it if need be.
    pub fn open(folder: &Path, stored_on: Option<String>) -> io::Result<Self> {
        fs::create_dir_all(folder.join(TEMPORARY))?;
        fs::create_dir_all(folder.join("images"))?;
        Ok(Self {
            folder: folder.to_owned(),
            stored_on,
            parts: AtomicU64::new(0),
            folders: Mutex::default(),
        })
    }

    /// Removes what workers that were killed left half-written. Only for when none is running.
    pub fn remove_parts(folder: &Path) -> io::Result<()> {
        match fs::remove_dir_all(folder.join(TEMPORARY)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Starts to receive the image at `address`.
    ///
    /// A body that ends with its connection may have been cut short, which only the image itself
    /// can tell: with `unframed`, one that is not whole is refused. One that comes whole is stored
    /// as the site has it.
    pub fn receive<'a>(&'a self, address: &'a Address, unframed: bool) -> Incoming<'a> {
        Incoming {
            store: self,
            address,
            unframed,
            head: Vec::new(),
            known: None,
            length: 0,
            tail: Vec::new(),
        }
    }

    fn create_part(&self) -> io::Result<(PathBuf, File)> {
        let number = self.parts.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}-{}-{number}.part", host_name(), std::process::id());
        let path = self.folder.join(TEMPORARY).join(name);
        // Not create_new: a process with a reused number may find a dead one's leavings.
        let file = File::create(&path)?;
        Ok((path, file))
    }

    fn move_into_place(&self, part: &Path, relative: &str) -> io::Result<()> {
        let target = self.folder.join(relative);
        let parent = target.parent().unwrap_or(&self.folder);
        let known = self.lock_folders().contains(parent);
        if !known {
            fs::create_dir_all(parent)?;
            self.lock_folders().insert(parent.to_owned());
        }
        fs::rename(part, &target)
    }

    fn lock_folders(&self) -> std::sync::MutexGuard<'_, HashSet<PathBuf>> {
        // A set of paths is as good after a panic as before it.
        self.folders.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// An image on its way in. Dropped before [`Incoming::finish`], it leaves nothing behind.
#[derive(Debug)]
pub struct Incoming<'a> {
    store: &'a Store,
    address: &'a Address,
    unframed: bool,
    /// The beginning, held back until it is known to be an image's; kept if the end is checked.
    head: Vec<u8>,
    known: Option<Known>,
    length: u64,
    /// The end so far, if that is checked.
    tail: Vec<u8>,
}

/// The part of an [`Incoming`] that exists once its bytes are known to be an image's.
#[derive(Debug)]
struct Known {
    format: Format,
    width: Option<u32>,
    height: Option<u32>,
    file: File,
    part: Option<PathBuf>,
    hash: Sha256,
}

impl Drop for Known {
    fn drop(&mut self) {
        if let Some(part) = &self.part {
            // Best effort: the crawl removes the whole folder at its end.
            let _ = fs::remove_file(part);
        }
    }
}

impl Incoming<'_> {
    /// Takes the next piece of the body. An error means that it is no image, or can't be written.
    pub fn write(&mut self, chunk: &[u8]) -> Result<(), Problem> {
        self.length += chunk.len() as u64;
        if self.unframed {
            keep_tail(&mut self.tail, chunk);
        }
        if let Some(known) = &mut self.known {
            return known.write(chunk);
        }
        self.head.extend_from_slice(chunk);
        match image::probe(&self.head) {
            Probe::NeedMore if self.head.len() < PROBE_LEN => Ok(()),
            probe => self.accept(probe),
        }
    }

    /// The body is at its end: the image gets its name.
    pub fn finish(mut self) -> Result<SavedImage, Problem> {
        if self.length == 0 {
            return Err(Problem::new(Cause::Empty, "the body is empty"));
        }
        if self.known.is_none() {
            self.accept(image::probe_complete(&self.head))?;
        }
        let Some(mut known) = self.known.take() else {
            return Err(not_an_image("of no known image format"));
        };
        if self.unframed {
            image::check_complete(known.format, self.length, &self.head, &self.tail)
                .map_err(|error| Problem::new(Cause::Truncated, error.to_string()))?;
        }
        let path = self.place(&mut known)?;
        Ok(SavedImage {
            path,
            sha256: hex(&known.hash.clone().finalize()),
            bytes: self.length,
            content_type: known.format.content_type().to_owned(),
            width: known.width,
            height: known.height,
            fetched_at: humantime::format_rfc3339_millis(SystemTime::now()).to_string(),
            stored_on: self.store.stored_on.clone(),
        })
    }

    fn place(&self, known: &mut Known) -> Result<String, Problem> {
        let Some(part) = known.part.take() else {
            return Err(Problem::new(Cause::Storage, "the temporary file is gone"));
        };
        let extension = known.format.extension();
        let mut relative = path::image_path(self.address, extension);
        let mut moved = self.store.move_into_place(&part, &relative);
        if let Err(error) = &moved
            && is_name_conflict(error)
        {
            relative = path::fallback_path(self.address, extension);
            moved = self.store.move_into_place(&part, &relative);
        }
        moved.map_err(|error| {
            let _ = fs::remove_file(&part);
            Problem::new(Cause::Storage, format!("cannot store {relative}: {error}"))
        })?;
        Ok(relative)
    }

    fn accept(&mut self, probe: Probe) -> Result<(), Problem> {
        let (format, width, height) = match probe {
            Probe::Image { format, width, height, .. } => (format, width, height),
            Probe::NeedMore => return Err(not_an_image("of no known image format")),
            Probe::NotImage { looks_like } => return Err(not_an_image(looks_like)),
        };
        let (part, file) = self.store.create_part().map_err(|error| storage(&error))?;
        let part = Some(part);
        let mut known = Known { format, width, height, file, part, hash: Sha256::new() };
        known.write(&self.head)?;
        if !self.unframed {
            self.head = Vec::new();
        }
        self.known = Some(known);
        Ok(())
    }
}

fn not_an_image(looks_like: &str) -> Problem {
    Problem::new(Cause::NotAnImage, format!("the bytes are {looks_like}"))
}

impl Known {
    // Writing a local file blocks the worker's other fetches for some microseconds a piece, less
    // than handing the piece to another thread would cost.
    fn write(&mut self, chunk: &[u8]) -> Result<(), Problem> {
        self.hash.update(chunk);
        self.file.write_all(chunk).map_err(|error| storage(&error))
    }
}

fn storage(error: &io::Error) -> Problem {
    Problem::new(Cause::Storage, format!("cannot write a temporary file: {error}"))
}

/// A file stands where a folder is needed, or the reverse.
fn is_name_conflict(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotADirectory
            | io::ErrorKind::IsADirectory
            | io::ErrorKind::AlreadyExists
            | io::ErrorKind::DirectoryNotEmpty
    )
}

fn keep_tail(tail: &mut Vec<u8>, chunk: &[u8]) {
    if chunk.len() >= TAIL_LEN {
        tail.clear();
        tail.extend_from_slice(&chunk[chunk.len() - TAIL_LEN..]);
    } else {
        tail.extend_from_slice(chunk);
        let over = tail.len().saturating_sub(TAIL_LEN);
        tail.drain(..over);
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// This machine's name, as part of temporary names in folders that machines share.
pub(crate) fn host_name() -> String {
    #[cfg(unix)]
    return rustix::system::uname().nodename().to_string_lossy().into_owned();
    #[cfg(not(unix))]
    return std::env::var("COMPUTERNAME").unwrap_or_default();
}
