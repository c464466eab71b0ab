//! Thread-locals of a library that is loaded when green threads are there.

use std::{ffi::CString, mem, path::Path, process::Command};

use super::{super::*, go_first};

/// Makes a library of C with one thread-local, which is not in the static area, and loads it.
fn load(folder: &Path, name: &str) -> extern "C" fn(i32) -> i32 {
    let source = folder.join(format!("{name}.c"));
    let library = folder.join(format!("{name}.so"));
    let code = "static __thread int kept = 7;\n\
                int swap(int new) { int old = kept; kept = new; return old; }\n";
    std::fs::write(&source, code).unwrap();
    let made = Command::new("cc")
        .args(["-shared", "-fPIC", "-ftls-model=global-dynamic", "-o"])
        .args([&library, &source])
        .status()
        .expect("the C compiler that links Rust programs, Debian's package gcc");
    assert!(made.success());
    let path = CString::new(library.to_str().unwrap()).unwrap();
    // SAFETY: the path ends with a zero; the library has no constructors.
    let handle = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW) };
    assert!(!handle.is_null());
    // SAFETY: the handle is a library's, and the name ends with a zero.
    let swap = unsafe { libc::dlsym(handle, c"swap".as_ptr()) };
    assert!(!swap.is_null());
    // SAFETY: the function above has this type.
    unsafe { mem::transmute::<*mut libc::c_void, extern "C" fn(i32) -> i32>(swap) }
}

#[test]
fn each_green_thread_has_its_own() {
    let folder = tempfile::tempdir().unwrap();
    // The loader extends a thread's vector when its modules do not fit any more.
    for round in 0..40 {
        let swap = load(folder.path(), &format!("library{round}"));
        let handles: Vec<_> = (10..14)
            .map(|number| {
                go_first(move || {
                    let first = swap(number);
                    yield_now();
                    (first, swap(0), on_hub(|| swap(1)))
                })
            })
            .collect();
        let mut of_hub = 7;
        for (number, handle) in (10..14).zip(handles) {
            assert_eq!(handle.join().unwrap(), (7, number, of_hub));
            of_hub = 1;
        }
    }
}
