//! A program with children: end it in any way, and see what becomes of them. The tests of
//! `process::Process` start it, in one role or another.

use std::env;
use std::io::Read;
use std::thread::sleep;
use std::time::Duration;

use spinneret::process::{Fork, Process, ProcessError, active_children, fork};
use spinneret::task::{Call, Task, registry};

/// Stays until it is killed, or for a time that no test waits.
#[spinneret::task]
fn stay() {
    sleep(Duration::from_mins(10));
}

/// Says so before it ends.
#[spinneret::task]
fn linger(text: String) {
    sleep(Duration::from_millis(200));
    println!("{text}");
}

/// Prints the number of a daemonic child of its own, and waits for it.
#[spinneret::task]
fn nested() {
    let child = Process::new(stay, ()).map(|child| child.with_daemon(true)).and_then(start);
    println!("{}", child.as_ref().ok().and_then(Process::pid).unwrap_or(0));
    let _ = child.and_then(|child| child.join());
}

/// A task that no attribute registered.
#[derive(Clone, Copy)]
struct ByHand;

impl Task for ByHand {
    type Args = String;
    type Output = ();
    const NAME: &'static str = "by hand";
    const SIGNATURE: u64 = spinneret::task::signature("(String)->()");

    fn run(text: String) -> Call<()> {
        println!("{text}");
        Call::Done(())
    }
}

fn start(child: Process) -> Result<Process, ProcessError> {
    child.start()?;
    Ok(child)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Children have no arguments, and with tasks added by hand they come through here too.
    let role = env::args().nth(1).or_else(|| env::var("ROLE").ok()).unwrap_or_default();
    match role.as_str() {
        // A daemonic child and another, until whoever started us hangs up.
        "stay" => {
            let daemonic = start(Process::new(stay, ())?.with_daemon(true))?;
            let other = start(Process::new(stay, ())?)?;
            println!("{} {}", daemonic.pid().unwrap_or(0), other.pid().unwrap_or(0));
            let _ = std::io::stdin().read(&mut [0]);
            other.kill()?;
        }
        "nested" => {
            let child = start(Process::new(nested, ())?.with_daemon(true))?;
            println!("{}", child.pid().unwrap_or(0));
            let _ = std::io::stdin().read(&mut [0]);
        }
        // Ends without a join.
        "linger" => {
            start(Process::new(linger, "later".to_owned())?)?;
            start(Process::new(stay, ())?.with_daemon(true))?;
            println!("first");
        }
        "linger-exit" => {
            start(Process::new(linger, "later".to_owned())?)?;
            println!("first");
            std::process::exit(5);
        }
        // What a fork may do with what it has copies of.
        "fork" => {
            let child = start(Process::new(stay, ())?)?;
            // SAFETY: there is one thread, and nothing that two cannot use.
            match unsafe { fork() }? {
                Fork::Child => {
                    println!("{:?} {}", child.join().is_err(), active_children().len());
                    std::process::exit(3);
                }
                Fork::Parent(mut forked) => println!("{}", forked.wait()?),
            }
            println!("{} {}", child.is_alive(), active_children().len());
            child.kill()?;
            println!("{}", child.join()?);
        }
        "by-hand" => {
            registry::add(ByHand);
            spinneret::process::init();
            println!("{}", start(Process::new(ByHand, "ran".to_owned())?)?.join()?);
        }
        // Too late for a child to know of it.
        "by-hand-late" => {
            spinneret::process::init();
            registry::add(ByHand);
            println!("{:?}", start(Process::new(ByHand, "ran".to_owned())?)?.join());
        }
        "by-hand-without-init" => {
            registry::add(ByHand);
            println!("{:?}", Process::new(ByHand, "ran".to_owned())?.start());
        }
        role => panic!("unknown role {role:?}"),
    }
    Ok(())
}
