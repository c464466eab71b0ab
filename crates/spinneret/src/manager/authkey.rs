//! The secret that a manager shares with its clients.

use std::{
    fmt, fs, hint,
    io::{self, Write as _},
    path::Path,
};

use super::error::KeyError;

/// The environment variable that [`AuthKey::from_env`] reads.
const VARIABLE: &str = "SPINNERET_AUTHKEY";
/// A key file is read no further than this: a larger file was given by mistake.
const LONGEST_FILE: u64 = 64 * 1024;

/// The secret shared by a manager and its clients, Python's `authkey`.
///
/// Any bytes are a key. It never travels: each end proves to the other that it has it. It is not
/// shown by `Debug`, and its memory is wiped when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct AuthKey(Box<[u8]>);

impl AuthKey {
    /// A key from its bytes.
    pub fn new(key: impl AsRef<[u8]>) -> Self {
        Self(key.as_ref().into())
    }

    /// The key itself, to be handed to a program that needs it. Keep it out of logs, arguments and
    /// environments.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Reads a key from a file, less one newline at its end.
    ///
    /// Warns (by `tracing`) if others than the file's owner may read it.
    ///
    /// # Errors
    /// If the file is missing, unreadable or empty.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, KeyError> {
        let path = path.as_ref();
        let unreadable = |source| KeyError::Unreadable { path: path.into(), source };
        let file = fs::File::open(path).map_err(unreadable)?;
        warn_if_open_to_others(&file, path);
        let mut bytes = Vec::new();
        io::Read::read_to_end(&mut io::Read::take(&file, LONGEST_FILE + 1), &mut bytes)
            .map_err(unreadable)?;
        if bytes.len() as u64 > LONGEST_FILE {
            bytes.fill(0);
            return Err(unreadable(io::Error::other("it is too large for a key")));
        }
        let mut key = bytes.as_slice();
        key = key.strip_suffix(b"\n").unwrap_or(key);
        key = key.strip_suffix(b"\r").unwrap_or(key);
        let read = if key.is_empty() {
            Err(KeyError::EmptyFile { path: path.into() })
        } else {
            Ok(Self::new(key))
        };
        bytes.fill(0);
        read
    }

    /// Reads the key from the environment variable `SPINNERET_AUTHKEY`.
    ///
    /// # Errors
    /// If the variable is missing or empty.
    pub fn from_env() -> Result<Self, KeyError> {
        match std::env::var_os(VARIABLE) {
            Some(key) if !key.is_empty() => Ok(Self::new(key.as_encoded_bytes())),
            _ => Err(KeyError::NotInEnvironment),
        }
    }

    /// A new random key: 32 bytes written as 64 hexadecimal digits, so that it can be copied.
    ///
    /// # Errors
    /// If the system has no random bytes.
    pub fn generate() -> Result<Self, KeyError> {
        let random = random_bytes::<32>().map_err(KeyError::NoRandomness)?;
        let digit = |nibble: u8| b"0123456789abcdef"[usize::from(nibble & 15)];
        Ok(Self(random.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect()))
    }

    /// Writes the key and a newline to a new file that only its owner may read (mode 0600).
    ///
    /// # Errors
    /// If the file exists already, or cannot be written.
    pub fn write_new(&self, path: impl AsRef<Path>) -> Result<(), KeyError> {
        let path = path.as_ref();
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(path).map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => KeyError::Exists { path: path.into() },
            _ => KeyError::Unwritable { path: path.into(), source },
        })?;
        file.write_all(&self.0)
            .and_then(|()| file.write_all(b"\n"))
            .and_then(|()| file.sync_all())
            .map_err(|source| KeyError::Unwritable { path: path.into(), source })
    }
}

/// Fills an array with the system's random bytes.
pub(crate) fn random_bytes<const N: usize>() -> Result<[u8; N], String> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| error.to_string())?;
    Ok(bytes)
}

#[cfg(unix)]
fn warn_if_open_to_others(file: &fs::File, path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    if file.metadata().is_ok_and(|found| found.permissions().mode() & 0o077 != 0) {
        tracing::warn!(path = %path.display(), "others can read this key file: chmod 600 it");
    }
}

#[cfg(not(unix))]
fn warn_if_open_to_others(_: &fs::File, _: &Path) {}

impl fmt::Debug for AuthKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuthKey(..)")
    }
}

impl Drop for AuthKey {
    fn drop(&mut self) {
        self.0.fill(0);
        // Keeps the compiler from leaving out a write that nothing reads.
        hint::black_box(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_file_loses_one_newline() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        for (content, key) in
            [("qiye", "qiye"), ("qiye\n", "qiye"), ("qiye\r\n", "qiye"), ("qiye\n\n", "qiye\n")]
        {
            fs::write(&path, content).unwrap();
            assert_eq!(AuthKey::from_file(&path).unwrap(), AuthKey::new(key), "{content:?}");
        }
    }

    #[test]
    fn an_empty_missing_or_huge_key_file_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("thekey");
        let missing = AuthKey::from_file(&path).unwrap_err();
        assert!(matches!(missing, KeyError::Unreadable { .. }), "{missing:?}");
        assert!(missing.to_string().contains("thekey"));
        for content in ["", "\n"] {
            fs::write(&path, content).unwrap();
            let empty = AuthKey::from_file(&path).unwrap_err();
            assert!(matches!(empty, KeyError::EmptyFile { .. }), "{empty:?}");
        }
        fs::write(&path, vec![b'k'; 65 * 1024]).unwrap();
        assert!(matches!(AuthKey::from_file(&path).unwrap_err(), KeyError::Unreadable { .. }));
    }

    #[test]
    fn a_written_key_is_read_back_and_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let key = AuthKey::generate().unwrap();
        assert!(key.0.len() == 64 && key.0.iter().all(u8::is_ascii_hexdigit));
        assert_ne!(key, AuthKey::generate().unwrap());
        key.write_new(&path).unwrap();
        assert_eq!(AuthKey::from_file(&path).unwrap(), key);
        assert!(matches!(AuthKey::new("x").write_new(&path), Err(KeyError::Exists { .. })));
        assert_eq!(AuthKey::from_file(&path).unwrap(), key);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn debug_shows_nothing_of_the_key() {
        assert_eq!(format!("{:?}", AuthKey::new("qiye")), "AuthKey(..)");
    }
}
