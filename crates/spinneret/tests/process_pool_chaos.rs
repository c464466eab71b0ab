//! Tasks that end their worker in every way and at every stage, and a killer that strikes at random
//! besides: every task has one outcome, and nothing is left behind.
//!
//! `SPINNERET_CHAOS_TASKS=100000` runs the long form.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::Path;
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitOptions, kill_process, wait};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use spinneret::{Outcome, Pool, ProcessPool, TaskError};

/// How a worker ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum How {
    Kill,
    Segv,
    Abort,
    Exit,
    Memory,
}

/// When it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum When {
    Decode,
    Run,
    Encode,
}

/// Ends this process.
fn end(how: How) -> ! {
    match how {
        How::Kill => kill_process(rustix::process::getpid(), Signal::KILL).unwrap(),
        How::Segv => {
            // SAFETY: the default action runs no code of ours.
            unsafe { libc::signal(libc::SIGSEGV, libc::SIG_DFL) };
            // SAFETY: it sends a signal to ourselves.
            unsafe { libc::raise(libc::SIGSEGV) };
        }
        How::Abort => process::abort(),
        How::Exit => process::exit(3),
        How::Memory => {
            // As a full machine would: the next allocation fails.
            let limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
            // SAFETY: the structure is complete.
            unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const limit) };
            let mut hoard = Vec::new();
            loop {
                hoard.push(vec![1_u8; 1 << 20]);
            }
        }
    }
    unreachable!("it would be dead")
}

impl How {
    fn outcome(self) -> TaskError {
        let (signal, exit_code) = match self {
            Self::Kill => (Some(libc::SIGKILL), None),
            Self::Segv => (Some(libc::SIGSEGV), None),
            Self::Abort | Self::Memory => (Some(libc::SIGABRT), None),
            Self::Exit => (None, Some(3)),
        };
        TaskError::WorkerDied { signal, exit_code, out_of_memory: false }
    }
}

/// A number that may end whoever handles it.
#[derive(Clone, Debug)]
struct Charge {
    number: u64,
    fuse: Option<(When, How)>,
}

#[derive(Serialize, Deserialize)]
struct Plain(u64, Option<(When, How)>);

impl Serialize for Charge {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let Some((When::Encode, how)) = self.fuse
            && spinneret::process::parent().is_some()
        {
            end(how);
        }
        Plain(self.number, self.fuse).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Charge {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Plain(number, fuse) = Plain::deserialize(deserializer)?;
        if let Some((When::Decode, how)) = fuse {
            end(how);
        }
        Ok(Self { number, fuse })
    }
}

#[spinneret::task]
fn handle(charge: Charge) -> Charge {
    if let Some((When::Run, how)) = charge.fuse {
        end(how);
    }
    charge
}

/// Some numbers, the same every time: splitmix64.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[(self.next() % choices.len() as u64) as usize]
    }
}

/// Names of our open descriptors, and of shared memory that is mapped.
fn possessions() -> (Vec<String>, usize) {
    let mut fds: Vec<String> = std::fs::read_dir("/proc/self/fd")
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter_map(|path| std::fs::read_link(path).ok())
        .map(|target| kind(&target))
        .collect();
    fds.sort();
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    (fds, maps.lines().filter(|line| line.contains("memfd:")).count())
}

/// What a descriptor is, without its number.
fn kind(target: &Path) -> String {
    let name = target.to_string_lossy();
    name.split([':', ' ']).take(2).filter(|part| !part.starts_with('[')).collect()
}

#[test]
#[cfg(target_os = "linux")]
fn every_task_has_one_outcome_whatever_ends_its_worker() {
    let tasks: u64 = std::env::var("SPINNERET_CHAOS_TASKS").map_or(6_000, |n| n.parse().unwrap());
    let mut numbers = Numbers(7);
    let charges: Vec<_> = (0..tasks)
        .map(|number| {
            let fuse = numbers.next().is_multiple_of(100).then(|| {
                let when = numbers.of(&[When::Decode, When::Run, When::Encode]);
                (when, numbers.of(&[How::Kill, How::Segv, How::Abort, How::Exit, How::Memory]))
            });
            Charge { number, fuse }
        })
        .collect();
    // The first of everything (a runtime's descriptors, say) is no leak.
    drop(ProcessPool::new(2).unwrap());
    let before = possessions();

    let pool = ProcessPool::builder().workers(3).retries(1).build().unwrap();
    let over = AtomicBool::new(false);
    let (outcomes, strikes) = thread::scope(|scope| {
        let killer = scope.spawn(|| {
            let (mut numbers, mut strikes) = (Numbers(11), 0_u64);
            while !over.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_micros(numbers.next() % 20_000));
                let workers = pool.snapshot().workers;
                if let Some(worker) = workers.get((numbers.next() % 3) as usize) {
                    let pid = Pid::from_raw(worker.pid.cast_signed()).unwrap();
                    // It may have ended by itself meanwhile.
                    strikes += u64::from(kill_process(pid, Signal::KILL).is_ok());
                }
            }
            strikes
        });
        let outcomes: Vec<Outcome<Charge>> = pool.imap(handle, charges.iter().cloned()).collect();
        over.store(true, Ordering::Relaxed);
        (outcomes, killer.join().unwrap())
    });

    assert_eq!(outcomes.len(), charges.len());
    let struck = TaskError::WorkerDied {
        signal: Some(libc::SIGKILL),
        exit_code: None,
        out_of_memory: false,
    };
    let mut unlucky = 0;
    for (charge, outcome) in charges.iter().zip(&outcomes) {
        match (charge.fuse, outcome) {
            (None, Ok(done)) => assert_eq!(done.number, charge.number),
            // Struck twice.
            (None, Err(error)) if *error == struck => unlucky += 1,
            (Some((_, how)), Err(error)) => {
                assert!(*error == how.outcome() || *error == struck, "{charge:?}: {error}");
            }
            (_, outcome) => panic!("{charge:?}: {outcome:?}"),
        }
    }
    let fused = charges.iter().filter(|charge| charge.fuse.is_some()).count();
    let snapshot = pool.snapshot();
    assert_eq!((snapshot.done + snapshot.failed) as usize, charges.len());
    assert_eq!(snapshot.failed as usize, fused + unlucky);
    assert!(snapshot.restarts as usize >= fused, "{} restarts", snapshot.restarts);
    eprintln!("{tasks} tasks, {fused} deadly, {strikes} strikes, {unlucky} struck down");
    pool.close();
    pool.join().unwrap();
    drop(pool);

    assert_eq!(wait(WaitOptions::NOHANG).unwrap_err(), rustix::io::Errno::CHILD, "a zombie");
    assert_eq!(possessions(), before);
}
