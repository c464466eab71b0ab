//! Chooses what coroutines are made of: green threads where their thread-locals can be swapped
//! (`x86_64` Linux with glibc), else threads of the operating system.
//! `RUSTFLAGS="--cfg spinneret_os_threads"` forces the latter, so that it is tested on Linux.

fn main() {
    println!("cargo::rustc-check-cfg=cfg(green_threads)");
    println!("cargo::rustc-check-cfg=cfg(spinneret_os_threads)");
    println!("cargo::rerun-if-changed=build.rs");
    let target = |what: &str| std::env::var(format!("CARGO_CFG_TARGET_{what}")).unwrap_or_default();
    let possible = target("OS") == "linux" && target("ARCH") == "x86_64" && target("ENV") == "gnu";
    let forced = std::env::var_os("CARGO_CFG_SPINNERET_OS_THREADS").is_some();
    if possible && !forced {
        println!("cargo::rustc-cfg=green_threads");
    }
}
