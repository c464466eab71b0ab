//! Producers, consumers and lessees of one queue are killed at random instants, for as long as it
//! takes to move all messages. Each arrives once, but for what a victim had in its hands.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_bytes::ByteBuf;
use spinneret::process::queue::GetError;
use spinneret::process::{Process, Queue};

/// How many messages, unless the environment says otherwise.
const MESSAGES: u64 = 20_000;
const VARIABLE: &str = "SPINNERET_RANDOM_KILLS";

const SOON: Duration = Duration::from_secs(20);

/// A number, and bytes that follow from it: short, long for a slot, or too long for the ring.
type Message = (u64, ByteBuf);

fn message(number: u64) -> Message {
    let length = match number % 50 {
        0 => 12_000,
        1..5 => 900,
        _ => number % 40,
    };
    (number, ByteBuf::from(vec![number as u8; length as usize]))
}

fn is_whole((number, bytes): &Message) -> bool {
    *bytes == message(*number).1
}

/// What a worker tells: reports come through a queue too, so they bear being killed.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
enum Report {
    /// It will put this number, or has put it.
    Puts(u64),
    HasPut(u64),
    /// It will take something for good.
    Gets(u32),
    HasGot(u32, u64),
    /// It has leased this and will acknowledge it, or has.
    Ends(u64),
    HasEnded(u64),
}

type Ends = (Queue<Message>, Queue<Report>);

/// Puts numbers from the first on, until killed.
#[spinneret::task]
fn produce(((queue, reports), first): (Ends, u64)) {
    for number in first.. {
        reports.put(Report::Puts(number)).unwrap();
        queue.put(message(number)).unwrap();
        reports.put(Report::HasPut(number)).unwrap();
    }
}

#[spinneret::task]
fn take(((queue, reports), name): (Ends, u32)) {
    loop {
        reports.put(Report::Gets(name)).unwrap();
        let got = queue.get().unwrap();
        assert!(is_whole(&got));
        reports.put(Report::HasGot(name, got.0)).unwrap();
    }
}

#[spinneret::task]
fn work((queue, reports): Ends) {
    loop {
        let lease = queue.lease().unwrap();
        assert!(is_whole(&lease));
        let number = lease.0;
        reports.put(Report::Ends(number)).unwrap();
        lease.done().unwrap();
        reports.put(Report::HasEnded(number)).unwrap();
    }
}

/// What was told so far.
#[derive(Default)]
struct Account {
    puts: HashSet<u64>,
    has_put: HashSet<u64>,
    /// How often each number arrived.
    arrived: HashMap<u64, u32>,
    /// Who is about to take something.
    gets: HashSet<u32>,
    ends: HashSet<u64>,
}

impl Account {
    fn hear(&mut self, report: &Report) {
        match *report {
            Report::Puts(number) => assert!(self.puts.insert(number)),
            Report::HasPut(number) => assert!(self.has_put.insert(number)),
            Report::Gets(name) => assert!(self.gets.insert(name)),
            Report::HasGot(name, number) => {
                self.gets.remove(&name);
                self.arrives(number);
            }
            Report::Ends(number) => drop(self.ends.insert(number)),
            Report::HasEnded(number) => {
                self.ends.remove(&number);
                self.arrives(number);
            }
        }
    }

    fn arrives(&mut self, number: u64) {
        *self.arrived.entry(number).or_default() += 1;
    }

    fn settle(&self) {
        for (number, times) in &self.arrived {
            assert!(self.puts.contains(number), "{number} was never put");
            assert_eq!(*times, 1, "{number} came more than once");
        }
        // An acknowledgement may have been the last act of its lessee.
        let lost = self
            .has_put
            .iter()
            .filter(|number| !self.arrived.contains_key(number) && !self.ends.contains(number));
        let (lost, hands) = (lost.count(), self.gets.len());
        println!("{} arrived, {lost} went with {hands} victims", self.arrived.len());
        assert!(lost <= hands, "{lost} lost, {hands} died getting");
    }
}

/// `SplitMix64` of a counter.
fn random(below: u64) -> u64 {
    static STATE: AtomicU64 = AtomicU64::new(7);
    let state = STATE.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
    let mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (mixed ^ mixed >> 27) % below
}

/// A worker of one of three kinds; each has numbers, or a name, of its own.
fn worker(kind: usize, ends: &Ends) -> Process {
    static STARTED: AtomicUsize = AtomicUsize::new(0);
    let (count, ends) = (STARTED.fetch_add(1, Ordering::Relaxed), (ends.0.clone(), ends.1.clone()));
    let process = match kind {
        0 | 1 => Process::new(produce, (ends, (count as u64) << 32)),
        2 => Process::new(take, (ends, count as u32)),
        _ => Process::new(work, ends),
    }
    .unwrap();
    process.start().unwrap();
    process
}

fn descriptors() -> Vec<std::path::PathBuf> {
    // Forgets those that have ended.
    spinneret::process::active_children();
    let listed = std::fs::read_dir("/proc/self/fd").unwrap();
    listed.filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok()).collect()
}

#[test]
fn killing_at_random_loses_and_doubles_nothing() {
    let goal = std::env::var(VARIABLE).ok().and_then(|text| text.parse().ok());
    let goal: usize = goal.unwrap_or(MESSAGES as usize);
    // What is opened once for all, by the first process, is there then.
    let ends = (Queue::new(0).unwrap(), Queue::new(0).unwrap());
    let first = worker(3, &ends);
    first.kill().unwrap();
    first.join().unwrap();
    drop((first, ends));
    let before = descriptors();
    let ends: Ends = (
        Queue::<Message>::builder()
            .max_items(64)
            .max_leases(4)
            .large_memory(30_000)
            .build()
            .unwrap(),
        Queue::new(0).unwrap(),
    );
    let mut account = Account::default();
    let mut workers: Vec<_> = (0..5).map(|kind| worker(kind, &ends)).collect();
    let (mut kills, mut last) = (0, (0, Instant::now()));
    let mut next = Instant::now();
    while account.arrived.len() < goal {
        match ends.1.get_timeout(Duration::from_millis(5)) {
            Ok(report) => account.hear(&report),
            Err(GetError::Empty) => {}
            Err(other) => panic!("{other}"),
        }
        if account.arrived.len() > last.0 {
            last = (account.arrived.len(), Instant::now());
        }
        assert!(last.1.elapsed() < SOON, "it hangs after {kills} kills, {} messages", last.0);
        if Instant::now() > next {
            let kind = random(5) as usize;
            workers[kind].kill().unwrap();
            let ended = workers[kind].join_timeout(SOON).unwrap().unwrap();
            assert_eq!(ended.signal(), Some(libc::SIGKILL), "a worker failed by itself");
            workers[kind] = worker(kind, &ends);
            kills += 1;
            next = Instant::now() + Duration::from_millis(random(40));
        }
    }
    for worker in &workers {
        worker.kill().unwrap();
        worker.join_timeout(SOON).unwrap().unwrap();
    }
    while let Ok(report) = ends.1.get_timeout(Duration::from_millis(300)) {
        account.hear(&report);
    }
    // What is left, with what the dead had leased.
    while let Ok(got) = ends.0.get_timeout(Duration::from_millis(300)) {
        assert!(is_whole(&got));
        account.arrives(got.0);
    }
    println!("{kills} kills");
    account.settle();
    drop((workers, ends));
    let since = Instant::now();
    while descriptors().len() > before.len() {
        assert!(since.elapsed() < SOON, "{:?} left, not {before:?}", descriptors());
        std::thread::sleep(Duration::from_millis(10));
    }
}
