//! What the examples of shared memory print: scripts compare it.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::env;
use std::process::Command;

#[test]
fn value_array_loses_no_addition() {
    // Next to `deps`, where this program is.
    let mut program = env::current_exe().unwrap();
    program.pop();
    program.pop();
    program.extend(["examples", "value_array"]);
    assert!(program.exists(), "the examples are not built: cargo build --examples");
    let output = Command::new(program).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let array = ["4000"; 10].join(", ");
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        format!("value: 4000\narray: [{array}]\n")
    );
}
