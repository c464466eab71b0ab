//! What is left of a gathered write of which a part is done.

use libc::iovec;

/// So many buffers are looked at in one further write.
const ROOM: usize = 16;

/// Some of the buffers that are left.
pub(super) struct Rest {
    buffers: [iovec; ROOM],
    used: usize,
}

impl Rest {
    /// Leaves out the first `done` bytes of `all`.
    pub fn of(all: &[iovec], mut done: usize) -> Self {
        let empty = iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };
        let mut rest = Self { buffers: [empty; ROOM], used: 0 };
        for buffer in all {
            if rest.used == ROOM {
                break;
            }
            if done >= buffer.iov_len {
                done -= buffer.iov_len;
                continue;
            }
            rest.buffers[rest.used] = iovec {
                iov_base: buffer.iov_base.wrapping_byte_add(done),
                iov_len: buffer.iov_len - done,
            };
            rest.used += 1;
            done = 0;
        }
        rest
    }

    pub fn as_slice(&self) -> &[iovec] {
        &self.buffers[..self.used]
    }
}

/// The bytes of all buffers.
pub(super) fn length(all: &[iovec]) -> usize {
    all.iter().fold(0, |sum, buffer| sum.saturating_add(buffer.iov_len))
}

#[cfg(test)]
mod tests {
    use libc::iovec;

    use super::{Rest, length};

    #[test]
    fn a_rest_begins_where_the_part_ended() {
        let mut bytes = [0_u8; 30];
        let all: Vec<iovec> = bytes
            .chunks_mut(10)
            .map(|part| iovec { iov_base: part.as_mut_ptr().cast(), iov_len: part.len() })
            .collect();
        for done in 0..=30 {
            let rest = Rest::of(&all, done);
            assert_eq!(length(rest.as_slice()), 30 - done);
            if done < 30 {
                let first = rest.as_slice()[0].iov_base as usize;
                assert_eq!(first, bytes.as_ptr() as usize + done);
            }
        }
    }
}
