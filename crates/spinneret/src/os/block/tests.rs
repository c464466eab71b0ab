use std::os::fd::AsFd;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};
use rustix::io::pwrite;

use super::*;

/// A sealed memfd of so many bytes that begins with these.
fn memory(head: &[u8], len: u64) -> OwnedFd {
    let fd = memfd_create("test", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).unwrap();
    pwrite(&fd, head, 0).unwrap();
    ftruncate(&fd, len).unwrap();
    fcntl_add_seals(&fd, SealFlags::SHRINK).unwrap();
    fd
}

fn array() -> Layout {
    Layout::many::<u32>(Kind::Array)
}

fn reopened(block: &Block) -> OwnedFd {
    block.fd().try_clone().unwrap()
}

#[test]
fn an_object_is_taken_for_what_it_is_and_nothing_else() {
    let block = Block::create(array(), 3, 0).unwrap();
    let same = Block::attach(reopened(&block), array()).unwrap();
    assert_eq!((same.len(), same.limit()), (3, 0));
    assert_ne!(same.token, block.token);

    let attach = |layout| Block::attach(reopened(&block), layout).unwrap_err();
    assert!(matches!(attach(Layout::many::<u32>(Kind::AtomicArray)), Unfit::Kind { .. }));
    assert!(matches!(attach(Layout::many::<f32>(Kind::Array)), Unfit::Type { .. }));
    assert!(matches!(attach(Layout::many::<u64>(Kind::Array)), Unfit::Type { .. }));
    assert!(matches!(attach(Layout::one::<u32>(Kind::Array)), Unfit::Length { found: 3 }));
    assert!(matches!(attach(array().limited(&(1..=9))), Unfit::Length { found: 0 }));
}

#[test]
fn what_is_no_object_is_refused() {
    let attach = |fd| Block::attach(fd, array()).unwrap_err();
    let (reader, _writer) = io::pipe().unwrap();
    assert!(matches!(attach(reader.into()), Unfit::Memory(_)));
    assert!(matches!(attach(memory(&[], 0)), Unfit::Memory(ShmError::TooShort { .. })));
    assert!(matches!(attach(memory(&[], 4096)), Unfit::Magic));

    // Without the seal, the same bytes are refused.
    let header = array().header(3, 0);
    let open = memfd_create("test", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).unwrap();
    pwrite(&open, bytemuck::bytes_of(&header), 0).unwrap();
    ftruncate(&open, 4096).unwrap();
    assert!(matches!(attach(open), Unfit::Memory(ShmError::Unsealed)));

    let other = Header { version: VERSION + 1, ..header };
    let fd = memory(bytemuck::bytes_of(&other), 4096);
    assert!(matches!(attach(fd), Unfit::Version { found } if found == VERSION + 1));
}

#[test]
fn a_length_that_the_memory_does_not_have_is_refused() {
    for len in [1024, 1 << 40, 1 << 61, 1 << 62, u64::MAX / 4, u64::MAX - 31, u64::MAX] {
        let header = Header { len, ..array().header(0, 0) };
        let fd = memory(bytemuck::bytes_of(&header), 4096);
        let error = Block::attach(fd, array()).unwrap_err();
        assert!(matches!(error, Unfit::Length { .. } | Unfit::Memory(_)), "{len}: {error}");
    }
}

/// A header changed at any place either says the same as before or is refused, and what is
/// accepted lies within the memory.
#[test]
fn changed_headers_never_lead_out_of_the_memory() {
    let header = array().header(3, 0);
    let bytes = bytemuck::bytes_of(&header);
    let fd = memory(bytes, 4096);
    let mut accepted = 0;
    for at in 0..bytes.len() {
        for byte in 0..=255 {
            pwrite(&fd, &[byte], at as u64).unwrap();
            match Block::attach(fd.as_fd().try_clone_to_owned().unwrap(), array()) {
                Ok(block) => {
                    accepted += 1;
                    let end = block.payload as u64 + block.len() as u64 * 4;
                    assert!(end <= 4096, "byte {at} is {byte}: {block:?}");
                    block.shm.at(end as usize - 1);
                }
                Err(error) => assert!(!error.to_string().is_empty()),
            }
        }
        pwrite(&fd, &bytes[at..=at], at as u64).unwrap();
    }
    // All values of the lowest byte of the length, three of the next, and each byte as it was.
    let of_len = 256 + 4;
    assert!((of_len..of_len + 100).contains(&accepted), "{accepted}");
}

#[test]
fn more_than_there_are_addresses_is_an_error() {
    for len in [usize::MAX, usize::MAX / 4, isize::MAX as usize / 4] {
        let error = Block::create(array(), len, 0).unwrap_err();
        assert!(matches!(error, MemoryError::TooLarge { size: 4, .. }), "{error}");
    }
    let error = Block::create(array(), 1 << 50, 0).unwrap_err();
    assert!(matches!(error, MemoryError::System { .. }), "{error}");
}

#[test]
fn payloads_of_any_alignment_and_none_have_their_place() {
    #[repr(align(4096))]
    struct Page;
    let block = Block::create(Layout::one::<Page>(Kind::Value), 1, 0).unwrap();
    assert_eq!(block.payload().addr() % 4096, 0);
    let block = Block::create(array(), 0, 0).unwrap();
    assert_eq!(block.payload().addr() % 128, 0);
}

#[test]
fn memory_whose_lock_is_still_held_is_not_unmapped() {
    let block = Block::create(array(), 3, 0).unwrap();
    let other = Block::attach(reopened(&block), array()).unwrap();
    assert!(!block.is_held_here());
    assert_eq!(block.try_lock(), Some(Found::Whole));
    assert!(block.is_held_here() && !other.is_held_here());
    // As if a guard was forgotten and the handle dropped: were the memory gone, the next lock would
    // write into it, for the system keeps a list.
    let start = block.shm.at(0).addr();
    let is_mapped = || {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        maps.lines().any(|line| line.starts_with(&format!("{start:x}-")))
    };
    assert!(is_mapped());
    drop(block);
    assert!(is_mapped());
    assert_eq!(other.try_lock(), None);
}
