//! Chooses what processes share: memory where the system has all that it takes (Linux), else a
//! broker. `RUSTFLAGS="--cfg spinneret_broker"` forces the broker, so that it is tested on Linux.

fn main() {
    println!("cargo::rustc-check-cfg=cfg(shared_memory)");
    println!("cargo::rustc-check-cfg=cfg(spinneret_broker)");
    // Set by `cargo fuzz`.
    println!("cargo::rustc-check-cfg=cfg(fuzzing)");
    println!("cargo::rerun-if-changed=build.rs");
    let linux = std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|system| system == "linux");
    let forced = std::env::var_os("CARGO_CFG_SPINNERET_BROKER").is_some();
    if linux && !forced {
        println!("cargo::rustc-cfg=shared_memory");
    }
}
