use std::fs::File;
use std::io;
use std::os::windows::fs::FileExt;

/// Reads at a place of the file; says how much.
pub(super) fn read_at(file: &File, out: &mut [u8], at: u64) -> io::Result<usize> {
    file.seek_read(out, at)
}

/// Writes all of `bytes` at a place of the file.
pub(super) fn write_all_at(file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
    let mut written = 0;
    while written < bytes.len() {
        match file.seek_write(&bytes[written..], at + written as u64)? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            count => written += count,
        }
    }
    Ok(())
}
