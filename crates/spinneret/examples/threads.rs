//! Threads from a function and from a type, each with a name: what Python's `threading.Thread`
//! does with a target and by subclass.

use std::error::Error;

use spinneret::thread::{Run, Thread, current};

/// What a thread does that is made from a function.
fn visit(addresses: &[&str]) {
    let thread = current();
    println!("Current {} is running...", thread.name());
    for address in addresses {
        println!("{} ---->>> {address}", thread.name());
    }
    println!("{} ended.", thread.name());
}

/// The same as a type of its own.
struct Visitor {
    addresses: [&'static str; 3],
}

impl Run for Visitor {
    type Output = ();

    fn run(self) {
        visit(&self.addresses);
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    println!("{} is running...", current().name());
    let (first, second) = (["url_1", "url_2", "url_3"], ["url_4", "url_5", "url_6"]);

    let one = Thread::new(move || visit(&first)).name("Thread_1").start()?;
    let two = Thread::new(move || visit(&second)).name("Thread_2").start()?;
    one.join()?;
    two.join()?;

    let three = Thread::new(Visitor { addresses: first }).name("Thread_3").start()?;
    let four = Thread::new(Visitor { addresses: second }).name("Thread_4").start()?;
    three.join()?;
    four.join()?;

    println!("{} ended.", current().name());
    Ok(())
}
