//! One call that returns twice: once in the parent, once in its new child.

use std::os::unix::process::parent_id;
use std::process::id;

use spinneret::process::{Fork, fork};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("current Process ({}) start ...", id());
    // SAFETY: the program has no other thread, and nothing open that two cannot use.
    match unsafe { fork() }? {
        Fork::Child => {
            println!("I am child process({}) and my parent process is ({})", id(), parent_id());
        }
        Fork::Parent(mut child) => {
            println!("I({}) created a child process ({}).", id(), child.pid());
            child.wait()?;
        }
    }
    Ok(())
}
