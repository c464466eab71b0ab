//! A program with busy workers: end it in any way, and see that they end too.
//!
//! `pool_parent busy N` prints the process ids of N workers that compute without end. The tests of
//! what happens around a pool start it, in this and other roles.

use std::env;
use std::hint::black_box;
use std::io::Read;
use std::process::ExitCode;

use spinneret::pool::PoolError;
use spinneret::task::{Call, Task, registry};
use spinneret::{Pool, ProcessPool};

/// Never looks up from its work: only the end of its process stops it.
#[spinneret::task]
fn compute() {
    loop {
        black_box(0);
    }
}

/// A task that no attribute registered.
#[derive(Clone, Copy)]
struct ByHand;

impl Task for ByHand {
    type Args = u32;
    type Output = u32;
    const NAME: &'static str = "by hand";
    const SIGNATURE: u64 = spinneret::task::signature("(u32)->u32");

    fn run(number: u32) -> Call<u32> {
        Call::Done(number + 1)
    }
}

fn busy(workers: usize) -> Result<(), PoolError> {
    let pool = ProcessPool::new(workers)?;
    let tasks: Vec<_> = (0..workers).map(|_| pool.apply_async(compute, ())).collect();
    while pool.snapshot().running < workers {
        std::thread::yield_now();
    }
    let pids =
        pool.snapshot().workers.iter().map(|worker| worker.pid.to_string()).collect::<Vec<_>>();
    println!("{}", pids.join(" "));
    // Until whoever started us hangs up, or we are killed.
    let _ = std::io::stdin().read(&mut [0]);
    drop(tasks);
    Ok(())
}

fn by_hand(call_init: bool) -> Result<(), PoolError> {
    registry::add(ByHand);
    if call_init {
        spinneret::process::init();
    }
    println!("{:?}", ProcessPool::new(1)?.apply(ByHand, 1));
    Ok(())
}

fn main() -> ExitCode {
    // Workers are started without arguments; with the role in the environment they can take the
    // same way through main, as a real program's would.
    let role = env::args().nth(1).or_else(|| env::var("ROLE").ok()).unwrap_or_default();
    let result = match role.as_str() {
        "busy" => busy(env::args().nth(2).and_then(|n| n.parse().ok()).unwrap_or(2)),
        "by-hand" => by_hand(true),
        "by-hand-without-init" => by_hand(false),
        _ => ProcessPool::new(1).map(|pool| println!("{:?}", pool.snapshot())),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
