//! A gzip file of about a megabyte that unpacks to a gigabyte, made in a millisecond.

use flate2::{Compress, Compression, Crc, FlushCompress};

/// What one repeated block unpacks to.
const BLOCK: usize = 1 << 20;
/// How many blocks there are.
const BLOCKS: usize = 1 << 10;

/// A gzip stream of `start` and one GiB of zeros. One compressed block of zeros is repeated:
/// after a full flush, blocks do not refer to each other.
pub(crate) fn gzip_bomb(start: &[u8]) -> Vec<u8> {
    let opening = deflate(start);
    let block = deflate(&vec![0; BLOCK]);
    let mut file = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    file.reserve(opening.len() + block.len() * BLOCKS + 16);
    file.extend(&opening);
    for _ in 0..BLOCKS {
        file.extend(&block);
    }
    // An empty last block, then the checksum and the length.
    file.extend([0x03, 0x00]);
    file.extend(checksum(start).to_le_bytes());
    let length = start.len() + BLOCK * BLOCKS;
    file.extend((length as u32).to_le_bytes());
    file
}

/// Raw deflate blocks for `data`, ending on a byte and referring to nothing before.
fn deflate(data: &[u8]) -> Vec<u8> {
    let mut packed = Vec::with_capacity(data.len() + 1024);
    Compress::new(Compression::best(), false)
        .compress_vec(data, &mut packed, FlushCompress::Full)
        .expect("raw deflate into enough memory has no way to fail");
    packed
}

/// The CRC-32 of `start` and the zeros, by doubling what is known of the zeros.
fn checksum(start: &[u8]) -> u32 {
    let mut zeros = Crc::new();
    zeros.update(&vec![0; BLOCK]);
    for _ in 0..BLOCKS.trailing_zeros() {
        let mut twice = Crc::new();
        twice.combine(&zeros);
        twice.combine(&zeros);
        zeros = twice;
    }
    let mut whole = Crc::new();
    whole.update(start);
    whole.combine(&zeros);
    whole.sum()
}

#[cfg(test)]
mod tests {
    use std::io::{Read, copy, sink};

    use super::*;

    #[test]
    fn it_is_small_and_unpacks_to_a_gigabyte_with_a_right_checksum() {
        let bomb = gzip_bomb(b"start");
        assert!(bomb.len() < 2 << 20, "{} bytes", bomb.len());
        let mut unpacked = flate2::read::GzDecoder::new(bomb.as_slice());
        let mut start = [0; 5];
        unpacked.read_exact(&mut start).unwrap();
        assert_eq!(&start, b"start");
        // Reads to the end, where the decoder compares checksum and length.
        let zeros = copy(&mut unpacked, &mut sink()).unwrap();
        assert_eq!(zeros, (BLOCK * BLOCKS) as u64);
    }
}
