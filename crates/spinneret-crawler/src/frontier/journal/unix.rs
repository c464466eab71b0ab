use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Reads at a place of the file; says how much.
pub(super) fn read_at(file: &File, out: &mut [u8], at: u64) -> io::Result<usize> {
    file.read_at(out, at)
}

/// Writes all of `bytes` at a place of the file.
pub(super) fn write_all_at(file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
    file.write_all_at(bytes, at)
}
