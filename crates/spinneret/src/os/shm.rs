//! A file without a name (memfd), mapped by every process that has its descriptor.

use std::io;
use std::os::fd::OwnedFd;
use std::ptr::NonNull;
use std::sync::Arc;

use rustix::fs::{
    FallocateFlags, MemfdFlags, SealFlags, fallocate, fcntl_add_seals, fcntl_get_seals, fstat,
    ftruncate, memfd_create,
};
use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags, mmap, mmap_anonymous, munmap};
use rustix::system::sysinfo;

/// Why a descriptor cannot be used as shared memory.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ShmError {
    #[error("shared memory could not be set up: {0}")]
    System(#[from] io::Error),
    #[error("it has {found} bytes where {needed} are needed")]
    TooShort { found: u64, needed: u64 },
    #[error("it may be shrunk by others, which would end every process that uses it")]
    Unsealed,
}

impl From<Errno> for ShmError {
    fn from(error: Errno) -> Self {
        Self::System(error.into())
    }
}

/// Shared memory: the first `len` bytes of a memfd, mapped; and, if asked for, a window of it
/// mapped a second time right behind, so that what runs over its end goes on at its start.
///
/// Other processes may change the bytes at any time, so nobody may hold a reference to them but to
/// atomics. The file is sealed against shrinking, which is what makes the mapping safe to touch.
#[derive(Debug)]
pub(crate) struct Shm {
    fd: Arc<OwnedFd>,
    start: NonNull<u8>,
    /// How many bytes are mapped, the mirror included.
    mapped: usize,
}

// SAFETY: it owns its mapping, which any thread may use and unmap; access to the bytes is up to
// those who take pointers from it.
unsafe impl Send for Shm {}
// SAFETY: as above; no method changes anything.
unsafe impl Sync for Shm {}

impl Shm {
    /// New memory of `len` zeroes, of which the last `mirror` bytes are mapped twice. `name` is for
    /// `/proc/PID/maps`; `len` and `mirror` are multiples of the page size if `mirror` is not 0.
    ///
    /// Its pages are reserved: more than the machine has is refused, and what it has but cannot give
    /// is missed here, not by SIGBUS later.
    pub(crate) fn create(name: &str, len: usize, mirror: usize) -> Result<Self, ShmError> {
        // Asked for more than there is, the system would not refuse, but kill for memory.
        let has = sysinfo();
        let units = u128::from(has.totalram) + u128::from(has.totalswap);
        if len as u128 > units * u128::from(has.mem_unit) {
            return Err(Errno::NOMEM.into());
        }
        let fd = memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
        ftruncate(&fd, len as u64)?;
        while let Err(error) = fallocate(&fd, FallocateFlags::empty(), 0, len as u64) {
            if error != Errno::INTR {
                return Err(error.into());
            }
        }
        fcntl_add_seals(&fd, SealFlags::SHRINK)?;
        Self::map(Arc::new(fd), len, mirror)
    }

    /// Maps memory that another process made.
    pub(crate) fn attach(fd: OwnedFd, len: usize, mirror: usize) -> Result<Self, ShmError> {
        Self::check(&fd, len)?;
        Self::map(Arc::new(fd), len, mirror)
    }

    /// Whether `fd` is a memfd of at least `len` bytes that will stay so.
    pub(crate) fn check(fd: &OwnedFd, len: usize) -> Result<(), ShmError> {
        // What has no seals (a plain file, a socket) gives an error here.
        if !fcntl_get_seals(fd)?.contains(SealFlags::SHRINK) {
            return Err(ShmError::Unsealed);
        }
        let found = u64::try_from(fstat(fd)?.st_size).unwrap_or(0);
        if found < len as u64 {
            return Err(ShmError::TooShort { found, needed: len as u64 });
        }
        Ok(())
    }

    fn map(fd: Arc<OwnedFd>, len: usize, mirror: usize) -> Result<Self, ShmError> {
        let (protection, total) = (ProtFlags::READ | ProtFlags::WRITE, len + mirror);
        if mirror == 0 {
            // SAFETY: a new mapping at a place of the kernel's choice touches nothing of ours.
            let start = unsafe {
                mmap(std::ptr::null_mut(), total, protection, MapFlags::SHARED, &*fd, 0)?
            };
            return Self::new(fd, start.cast(), total);
        }
        // SAFETY: as above. It reserves the addresses for what follows.
        let start = unsafe {
            mmap_anonymous(std::ptr::null_mut(), total, ProtFlags::empty(), MapFlags::PRIVATE)?
        };
        // From here on the drop unmaps.
        let shm = Self::new(fd, start.cast(), total)?;
        for (at, from, bytes) in [(0, 0, len), (len, len - mirror, mirror)] {
            // SAFETY: `at + bytes` is within the addresses reserved above.
            let place = unsafe { shm.start.as_ptr().add(at) };
            // SAFETY: MAP_FIXED replaces pages of our own reservation, which nobody uses.
            unsafe {
                let flags = MapFlags::SHARED | MapFlags::FIXED;
                mmap(place.cast(), bytes, protection, flags, &*shm.fd, from as u64)?;
            }
        }
        Ok(shm)
    }

    fn new(fd: Arc<OwnedFd>, start: *mut u8, mapped: usize) -> Result<Self, ShmError> {
        let start = NonNull::new(start).ok_or_else(|| io::Error::from(io::ErrorKind::Other))?;
        Ok(Self { fd, start, mapped })
    }

    /// The descriptor, to pass it on.
    pub(crate) fn fd(&self) -> &Arc<OwnedFd> {
        &self.fd
    }

    /// Where byte `offset` is.
    ///
    /// # Panics
    /// If the memory has no such byte.
    pub(crate) fn at(&self, offset: usize) -> *mut u8 {
        assert!(offset < self.mapped, "byte {offset} of shared memory with {}", self.mapped);
        // SAFETY: `offset` is within the mapping.
        unsafe { self.start.as_ptr().add(offset) }
    }

    /// What lies at byte `offset`, as a `T`.
    ///
    /// # Safety
    /// `T` consists of atomics, or cells that are only reached under a lock, for which any bytes are
    /// valid.
    ///
    /// # Panics
    /// If it does not fit, or is not aligned.
    pub(crate) unsafe fn get<T: Sync>(&self, offset: usize) -> &T {
        assert!(offset.is_multiple_of(align_of::<T>()), "byte {offset} is not aligned");
        assert!(size_of::<T>() > 0 && offset + size_of::<T>() <= self.mapped, "beyond the end");
        // SAFETY: it is mapped and aligned (the mapping is by pages), lives as long as `self`, and
        // the caller vouches for `T`.
        unsafe { &*self.at(offset).cast::<T>() }
    }
}

impl Drop for Shm {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and references into it borrow from `self`.
        let unmapped = unsafe { munmap(self.start.as_ptr().cast(), self.mapped) };
        debug_assert!(unmapped.is_ok(), "{unmapped:?}");
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn what_one_mapping_writes_the_other_reads() {
        let ours = Shm::create("test", 4096, 0).unwrap();
        let theirs = Shm::attach(ours.fd().try_clone().unwrap(), 4096, 0).unwrap();
        // SAFETY: an atomic may have any value.
        let a = unsafe { ours.get::<AtomicU64>(8) };
        // SAFETY: as above.
        let b = unsafe { theirs.get::<AtomicU64>(8) };
        a.store(7, Ordering::SeqCst);
        assert_eq!(b.load(Ordering::SeqCst), 7);
        assert_eq!(theirs.mapped, 4096);
    }

    #[test]
    fn the_mirror_shows_the_last_bytes_again() {
        let shm = Shm::create("test", 3 * 4096, 4096).unwrap();
        // SAFETY: an atomic may have any value.
        let a = unsafe { shm.get::<AtomicU64>(2 * 4096) };
        // SAFETY: as above.
        let b = unsafe { shm.get::<AtomicU64>(3 * 4096) };
        a.store(7, Ordering::SeqCst);
        assert_eq!(b.load(Ordering::SeqCst), 7);
    }

    #[test]
    fn more_than_the_machine_has_is_refused() {
        assert!(matches!(Shm::create("test", 1 << 50, 0), Err(ShmError::System(_))));
    }

    #[test]
    fn what_could_shrink_or_is_too_short_is_refused() {
        let sealed = Shm::create("test", 4096, 0).unwrap();
        let fd = sealed.fd().try_clone().unwrap();
        assert!(matches!(Shm::attach(fd, 8192, 0), Err(ShmError::TooShort { .. })));
        let open = memfd_create("test", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).unwrap();
        ftruncate(&open, 4096).unwrap();
        assert!(matches!(Shm::attach(open, 4096, 0), Err(ShmError::Unsealed)));
        let file = File::open("/dev/null").unwrap();
        assert!(matches!(Shm::attach(file.into(), 0, 0), Err(ShmError::System(_))));
        assert!(ftruncate(&**sealed.fd(), 0).is_err());
    }
}
