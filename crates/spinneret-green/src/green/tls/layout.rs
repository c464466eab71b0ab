//! Where the C library keeps a thread's things, asked from itself and checked.

use std::{
    ffi::{CStr, c_int, c_void},
    ptr, slice,
};

use thiserror::Error;

use super::fs_base;

/// Why thread-locals cannot be swapped here.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(in crate::green) enum Unknown {
    #[error("the processor or the kernel does not let programs set the FS base (FSGSBASE)")]
    FsBase,
    #[error("the C library does not have the symbol {0}, so it is no glibc this crate knows")]
    Symbol(&'static str),
    #[error("glibc keeps a thread's {0} in another way than this crate knows")]
    Differs(&'static str),
    #[error("the C library is linked statically, so its thread-locals cannot be told from others")]
    Static,
}

/// A module (the program or a library) with thread-locals in the static area.
#[derive(Clone, Debug)]
pub(super) struct Module {
    /// Its number, the index in the vector of thread-local blocks.
    pub id: usize,
    /// How far below the thread pointer its block begins.
    pub below: usize,
    pub len: usize,
    /// What the block begins with in a new thread; zeros follow.
    pub image: &'static [u8],
    /// Whether a green thread gets a new block. The C library's own is copied instead: it holds
    /// the thread's allocator cache and locale.
    pub fresh: bool,
}

/// See the module.
#[derive(Clone, Debug)]
pub(in crate::green) struct Layout {
    /// Bytes of static thread-locals below the thread pointer.
    pub(super) below: usize,
    /// Bytes of the thread descriptor, which begins at the thread pointer.
    pub(super) above: usize,
    /// What thread pointers are multiples of.
    pub(super) align: usize,
    pub(super) modules: Vec<Module>,
    /// The highest number of any module with thread-locals, in the static area or not. Modules that
    /// are loaded later have a later generation, by which the loader knows who lacks them.
    pub(super) highest: usize,
    /// The descriptor's table of second-level blocks of pthread keys: offset and length in words.
    pub(super) keys: (usize, usize),
    /// Bytes of one such block.
    pub(super) keys_block: usize,
    /// Where the restartable sequence's area lies, from the thread pointer, if glibc has one.
    pub(super) rseq: Option<isize>,
    /// Where `errno` lies, from the thread pointer.
    pub(super) errno: isize,
}

/// Words of the thread control block at the descriptor's begin, fixed by the x86-64 ABI and glibc.
pub(super) const TCB: usize = 0;
pub(super) const DTV: usize = 1;
pub(super) const SELF: usize = 2;
/// The 32-bit field `multiple_threads`, in bytes.
pub(super) const MULTIPLE_THREADS: usize = 24;

/// What glibc's table of `_thread_db_` symbols says of a field.
#[derive(Clone, Copy)]
#[repr(C)]
struct Field {
    bits: u32,
    count: u32,
    offset: u32,
}

impl Layout {
    /// Looks at the calling thread, as it is now: libraries may be loaded later. Nothing is changed.
    pub fn find() -> Result<Self, Unknown> {
        // SAFETY: the call has no preconditions.
        let capabilities = unsafe { libc::getauxval(libc::AT_HWCAP2) };
        if capabilities & 2 == 0 {
            return Err(Unknown::FsBase);
        }
        let base = fs_base();
        let word = |index: usize| {
            let at = (base as *const usize).wrapping_add(index);
            // SAFETY: the thread control block has at least these words.
            unsafe { *at }
        };
        // SAFETY: the call has no preconditions.
        let this = unsafe { libc::pthread_self() };
        if word(TCB) != base || word(SELF) != base || this as usize != base {
            return Err(Unknown::Differs("control block"));
        }

        let above = number(c"_thread_db_sizeof_pthread", "_thread_db_sizeof_pthread")? as usize;
        let tid = field(c"_thread_db_pthread_tid", "_thread_db_pthread_tid")?;
        let keys = field(c"_thread_db_pthread_specific", "_thread_db_pthread_specific")?;
        let block = number(
            c"_thread_db_sizeof_pthread_key_data_level2",
            "_thread_db_sizeof_pthread_key_data_level2",
        )? as usize;
        // Some versions say the size of the table, others that of a word and how many.
        let keys_bytes = keys.bits as usize / 8 * keys.count as usize;
        let keys_end = keys.offset as usize + keys_bytes;
        if !(1024..=16384).contains(&above) || !above.is_multiple_of(16) {
            return Err(Unknown::Differs("descriptor"));
        }
        if tid.bits != 32 || tid.offset as usize + 4 > above {
            return Err(Unknown::Differs("number"));
        }
        if !keys.offset.is_multiple_of(8)
            || !keys_bytes.is_multiple_of(8)
            || keys_bytes == 0
            || keys_end > above
        {
            return Err(Unknown::Differs("keys"));
        }
        // SAFETY: within the descriptor, whose length glibc says.
        let found = unsafe { *((base + tid.offset as usize) as *const i32) };
        // SAFETY: the call has no preconditions.
        if found != unsafe { libc::gettid() } {
            return Err(Unknown::Differs("number"));
        }

        let (modules, highest) = modules(base)?;
        let dtv = word(DTV) as *const [usize; 2];
        for module in &modules {
            let entry = dtv.wrapping_add(module.id);
            // SAFETY: the vector has an entry for each module that is loaded.
            let entry = unsafe { *entry };
            if entry[0] != base - module.below {
                return Err(Unknown::Differs("vector of thread-local blocks"));
            }
        }
        let align = modules.iter().map(|module| module.align).fold(64, usize::max);
        let below = modules.iter().map(|module| module.below).max().unwrap_or(0);
        if !base.is_multiple_of(align) || below > 1 << 20 {
            return Err(Unknown::Differs("static thread-locals"));
        }
        // SAFETY: the call has no preconditions, and its pointer is the calling thread's.
        let errno = (unsafe { libc::__errno_location() } as usize).wrapping_sub(base).cast_signed();
        let rseq = symbol(c"__rseq_offset").map(|offset| {
            // SAFETY: glibc's symbol of that name is a `ptrdiff_t`.
            unsafe { *offset.cast::<isize>() }
        });
        Ok(Self {
            below: below.next_multiple_of(64),
            above,
            align,
            highest,
            modules: modules.into_iter().map(Found::into_module).collect(),
            keys: (keys.offset as usize / 8, keys_bytes / 8),
            keys_block: block,
            rseq: rseq.filter(|&at| usize::try_from(at).is_ok_and(|at| at + 32 <= above)),
            errno,
        })
    }
}

fn symbol(name: &CStr) -> Option<*const c_void> {
    // SAFETY: the name ends with a zero.
    let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    (!found.is_null()).then_some(found.cast_const())
}

fn number(name: &CStr, says: &'static str) -> Result<u32, Unknown> {
    // SAFETY: the symbols that this is called with are 32-bit numbers.
    symbol(name).map(|at| unsafe { *at.cast() }).ok_or(Unknown::Symbol(says))
}

fn field(name: &CStr, says: &'static str) -> Result<Field, Unknown> {
    // SAFETY: the symbols that this is called with describe fields.
    symbol(name).map(|at| unsafe { *at.cast() }).ok_or(Unknown::Symbol(says))
}

/// A module as the loader tells it.
struct Found {
    id: usize,
    below: usize,
    len: usize,
    align: usize,
    image: &'static [u8],
    fresh: bool,
}

impl Found {
    fn into_module(self) -> Module {
        let Self { id, below, len, align: _, image, fresh } = self;
        Module { id, below, len, image, fresh }
    }
}

/// All modules whose thread-locals lie in the static area below `base`, and the highest number of
/// any module.
fn modules(base: usize) -> Result<(Vec<Found>, usize), Unknown> {
    let mut search = Search { base, highest: 0, found: Vec::new() };
    // SAFETY: `each` is called with the pointer, which outlives the call, and nothing else uses it.
    unsafe { libc::dl_iterate_phdr(Some(each), (&raw mut search).cast()) };
    let mut found = search.found;
    // SAFETY: the call has no preconditions.
    let errno = unsafe { libc::__errno_location() } as usize;
    let own = found.iter_mut().find(|module| {
        let begin = base - module.below;
        (begin..begin + module.len).contains(&errno)
    });
    match own {
        None => Err(Unknown::Differs("errno")),
        // The program is always the first.
        Some(module) if module.id == 1 => Err(Unknown::Static),
        Some(module) => {
            module.fresh = false;
            Ok((found, search.highest))
        }
    }
}

struct Search {
    base: usize,
    highest: usize,
    found: Vec<Found>,
}

unsafe extern "C" fn each(
    info: *mut libc::dl_phdr_info,
    _size: usize,
    search: *mut c_void,
) -> c_int {
    // SAFETY: `modules` passes it.
    let search = unsafe { &mut *search.cast::<Search>() };
    // SAFETY: the loader passes it.
    let info = unsafe { &*info };
    search.highest = search.highest.max(info.dlpi_tls_modid);
    let data = info.dlpi_tls_data as usize;
    // Further below or above is a block of its own: thread-locals of a library loaded later, which
    // each thread gets when it first uses them.
    let is_static = data < search.base && search.base - data <= 1 << 20;
    if info.dlpi_tls_modid == 0 || info.dlpi_tls_data.is_null() || !is_static {
        return 0;
    }
    // SAFETY: the loader's own table.
    let headers = unsafe { slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum as usize) };
    let Some(header) = headers.iter().find(|header| header.p_type == libc::PT_TLS) else {
        return 0;
    };
    let image = match header.p_filesz as usize {
        0 => &[],
        len => {
            let at = ptr::with_exposed_provenance(
                (info.dlpi_addr as usize).wrapping_add(header.p_vaddr as usize),
            );
            // SAFETY: the segment is mapped, read-only in effect, and what is in the static area
            // belongs to modules that are never unloaded.
            unsafe { slice::from_raw_parts(at, len) }
        }
    };
    let name = match info.dlpi_name {
        name if name.is_null() => c"",
        // SAFETY: the loader's names end with a zero and live as long as the module.
        name => unsafe { CStr::from_ptr(name) },
    };
    search.found.push(Found {
        id: info.dlpi_tls_modid,
        below: search.base - data,
        len: header.p_memsz as usize,
        align: header.p_align as usize,
        image,
        // The loader's own, where it has any, belong to the thread as the C library's do.
        fresh: !name.to_string_lossy().contains("/ld-linux"),
    });
    0
}
