//! Five children started, then joined.

use spinneret::process::{Process, ProcessError};

#[spinneret::task]
fn run(number: u32) {
    println!("Child process {number} ({}) Running...", std::process::id());
}

fn main() -> Result<(), ProcessError> {
    println!("Parent process {}.", std::process::id());
    let children = (0..5).map(|number| Process::new(run, number)).collect::<Result<Vec<_>, _>>()?;
    for child in &children {
        println!("Process will start.");
        child.start()?;
    }
    for child in &children {
        child.join()?;
    }
    println!("Process end.");
    Ok(())
}
