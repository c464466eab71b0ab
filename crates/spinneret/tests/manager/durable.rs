//! A data folder: whatever happens to the manager or its disk, what it acknowledged is there.

use std::{
    collections::HashMap,
    env, fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use spinneret::manager::{
    Client, DataError, GetError, ManagerError, PutError, PutOptions, Queue, QueueOptions,
};
use tempfile::TempDir;

use super::{HOLD, LONG, builder, client, eventually, key, queue};

/// The data folder of the manager that a process of its own is to be.
const DATA: &str = "SPINNERET_TEST_DATA";
/// Clients that put and take while their manager is killed.
const CLIENTS: u64 = 8;

#[test]
fn a_manager_goes_on_where_the_last_one_ended() {
    let folder = TempDir::new().unwrap();
    let start = || builder().data(folder.path()).register("q", QueueOptions::new()).start();
    let first = start().unwrap();
    let tasks = queue::<String>(&first);
    tasks.put_many(vec!["a".into(), "b".into(), "c".into()]).unwrap();
    tasks.put_with("first".into(), PutOptions::new().priority(1)).unwrap();
    first.set_value("settings", &7).unwrap();
    assert_eq!(tasks.get().unwrap(), "first");
    let lease = tasks.lease(HOLD).unwrap();
    assert_eq!((lease.as_str(), lease.deliveries()), ("a", 1));
    first.shutdown();
    drop((first, lease));

    let second = start().unwrap();
    let tasks = queue::<String>(&second);
    assert_eq!(client(&second).value::<u32>("settings").unwrap(), Some(7));
    let lease = tasks.lease(HOLD).unwrap();
    assert_eq!((lease.as_str(), lease.deliveries()), ("a", 2));
    lease.done().unwrap();
    assert_eq!(tasks.get_many(9, LONG).unwrap(), ["b", "c"]);
    tasks.join().unwrap();
}

#[test]
fn two_managers_cannot_share_a_folder() {
    let folder = TempDir::new().unwrap();
    let first = builder().data(folder.path()).start().unwrap();
    let error = builder().data(folder.path()).start().unwrap_err();
    assert!(matches!(error, ManagerError::Data(DataError::InUse { .. })), "{error}");
    drop(first);
    builder().data(folder.path()).start().unwrap();
}

#[test]
fn a_removed_queue_ends_whoever_waits_for_it() {
    let folder = TempDir::new().unwrap();
    let manager = builder().data(folder.path()).register("q", QueueOptions::new()).start().unwrap();
    let waiting = thread::spawn({
        let queue = queue::<String>(&manager);
        move || queue.get()
    });
    eventually("it waits", || manager.connections().len() == 1);
    manager.remove("q").unwrap();
    let error = waiting.join().unwrap().unwrap_err();
    assert!(matches!(error, GetError::Manager(ManagerError::UnknownQueue { .. })), "{error}");
    assert!(manager.queues().is_empty());
}

/// A manager in a process of its own, which can be killed.
struct Victim {
    process: Child,
}

impl Victim {
    fn start(folder: &Path) -> Self {
        let _ = fs::remove_file(address_file(folder));
        let process = Command::new(env::current_exe().unwrap())
            .args(["durable::a_process_of_its_own", "--exact", "--ignored", "--nocapture"])
            .env(DATA, folder)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self { process }
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        // SIGKILL.
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

fn address_file(folder: &Path) -> PathBuf {
    folder.join("address")
}

#[test]
#[ignore = "the manager of another test"]
fn a_process_of_its_own() {
    let folder = PathBuf::from(env::var_os(DATA).expect("the other test says where"));
    let options = QueueOptions::new().max_deliveries(0);
    let manager = builder().data(folder.join("data")).register("q", options).start().unwrap();
    let (new, file) = (folder.join("new"), address_file(&folder));
    fs::write(&new, manager.local_addr().to_string()).unwrap();
    fs::rename(new, file).unwrap();
    loop {
        thread::park();
    }
}

/// What the clients know of an item.
#[derive(Debug, Default)]
struct Known {
    /// How often it was put, and how often that was acknowledged.
    put: u32,
    acknowledged: u32,
    delivered: u32,
    /// The manager that acknowledged that it is done, by number.
    done: Option<u64>,
}

/// What all clients of the killed manager share.
struct Chaos<'a> {
    folder: &'a Path,
    known: Mutex<HashMap<u64, Known>>,
    /// The number of the manager that lives, or will soon.
    manager: AtomicU64,
    /// Requests that were answered.
    answers: AtomicU64,
    over: AtomicBool,
}

impl Chaos<'_> {
    /// Connects to the manager that lives, and tells its number.
    fn connect(&self) -> (u64, Queue<u64>) {
        let start = Instant::now();
        loop {
            let number = self.manager.load(Ordering::SeqCst);
            if let Ok(address) = fs::read_to_string(address_file(self.folder))
                && let Ok(client) = Client::connect(address, &key())
                && self.manager.load(Ordering::SeqCst) == number
            {
                return (number, client.queue("q"));
            }
            assert!(start.elapsed() < LONG, "no manager for a long time");
            thread::sleep(Duration::from_millis(2));
        }
    }

    fn answered(&self) {
        self.answers.fetch_add(1, Ordering::SeqCst);
    }

    /// Puts this client's items, and takes whatever comes, until all is over.
    fn live(&self, mut todo: Vec<u64>) {
        let (mut manager, mut queue) = self.connect();
        let mut dice = todo[0] + 1;
        while !self.over.load(Ordering::SeqCst) {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let some = (dice >> 33) % 20 + 1;
            let put = self.put(&queue, &mut todo, some as usize);
            if put.and_then(|()| self.work(manager, &queue, some as usize)).is_err() {
                (manager, queue) = self.connect();
            }
        }
        assert!(todo.is_empty());
    }

    fn put(&self, queue: &Queue<u64>, todo: &mut Vec<u64>, some: usize) -> Result<(), ()> {
        let some = todo.split_off(todo.len().saturating_sub(some));
        if some.is_empty() {
            return Ok(());
        }
        for item in &some {
            self.known.lock().unwrap().entry(*item).or_default().put += 1;
        }
        match queue.put_many(some.clone()) {
            Ok(()) => {
                let mut known = self.known.lock().unwrap();
                for item in &some {
                    known.entry(*item).or_default().acknowledged += 1;
                }
                self.answered();
                Ok(())
            }
            // Nobody knows whether they were put: once more.
            Err(PutError::Manager { error: ManagerError::Disconnected { .. }, .. }) => {
                todo.extend(some);
                Err(())
            }
            Err(other) => panic!("{other:?}"),
        }
    }

    fn work(&self, manager: u64, queue: &Queue<u64>, some: usize) -> Result<(), ()> {
        let leases = match queue.lease_many(some, HOLD, Duration::from_millis(5)) {
            Ok(leases) => leases,
            Err(GetError::Empty) => return Ok(()),
            Err(GetError::Manager(ManagerError::Disconnected { .. })) => return Err(()),
            Err(other) => panic!("{other:?}"),
        };
        self.answered();
        let items: Vec<u64> = leases.iter().map(|lease| **lease).collect();
        for item in &items {
            let mut known = self.known.lock().unwrap();
            let known = known.get_mut(item).expect("somebody has put it");
            known.delivered += 1;
            let late = known.done.is_some_and(|done| done <= manager);
            assert!(!late || known.put > 1, "{item} came again though it was done: {known:?}");
        }
        match queue.task_done_many(leases) {
            Ok(lost) => assert!(lost.is_empty(), "leases of an hour were lost: {lost:?}"),
            Err(ManagerError::Disconnected { .. }) => return Err(()),
            Err(other) => panic!("{other:?}"),
        }
        self.answered();
        let mut known = self.known.lock().unwrap();
        for item in &items {
            known.entry(*item).or_default().done = Some(manager);
        }
        Ok(())
    }
}

/// `SPINNERET_CHAOS_ITEMS=100000` is the long form.
#[test]
fn nothing_acknowledged_is_lost_when_the_manager_is_killed_at_random() {
    let items: u64 = env::var("SPINNERET_CHAOS_ITEMS").map_or(20_000, |n| n.parse().unwrap());
    let folder = TempDir::new().unwrap();
    let chaos = Chaos {
        folder: folder.path(),
        known: Mutex::default(),
        manager: AtomicU64::new(1),
        answers: AtomicU64::new(0),
        over: AtomicBool::new(false),
    };
    let mut victim = Some(Victim::start(folder.path()));
    let mut kills = 0;
    thread::scope(|scope| {
        let lives: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let todo = (0..items).filter(|item| item % CLIENTS == client).collect();
                let chaos = &chaos;
                scope.spawn(move || chaos.live(todo))
            })
            .collect();
        let mut dice = 0x5eed_u64;
        let acknowledged = || {
            let known = chaos.known.lock().unwrap();
            known.values().filter(|known| known.acknowledged > 0).count() as u64
        };
        while acknowledged() < items && !lives.iter().any(thread::ScopedJoinHandle::is_finished) {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let enough = chaos.answers.load(Ordering::SeqCst) + (dice >> 33) % (items / 50);
            let start = Instant::now();
            while chaos.answers.load(Ordering::SeqCst) < enough && acknowledged() < items {
                assert!(start.elapsed() < LONG, "the clients stand still");
                thread::sleep(Duration::from_millis(1));
            }
            // Whatever is connected now knows it by its number.
            drop(victim.take());
            chaos.manager.fetch_add(1, Ordering::SeqCst);
            victim = Some(Victim::start(folder.path()));
            kills += 1;
        }
        let (_, queue) = chaos.connect();
        let start = Instant::now();
        while queue.stats().unwrap().unfinished > 0 {
            assert!(start.elapsed() < 4 * LONG, "the queue does not get empty");
            if lives.iter().any(thread::ScopedJoinHandle::is_finished) {
                break;
            }
            thread::sleep(Duration::from_millis(5));
        }
        chaos.over.store(true, Ordering::SeqCst);
    });
    drop(victim);
    let known = chaos.known.into_inner().unwrap();
    assert_eq!(known.len() as u64, items);
    let lost: Vec<_> = known.iter().filter(|(_, known)| known.delivered == 0).collect();
    assert!(lost.is_empty(), "{} acknowledged items never came: {lost:?}", lost.len());
    let twice = known.values().filter(|known| known.delivered > 1).count();
    println!("{items} items, {kills} kills, {twice} items came more than once");
    assert!(kills >= 5, "{kills} kills prove little");
}

/// A file system of a few MiB, as long as it lives.
#[cfg(target_os = "linux")]
struct SmallDisk(TempDir);

#[cfg(target_os = "linux")]
impl SmallDisk {
    /// `None` where this user may not mount one.
    fn new(size: &str) -> Option<Self> {
        let folder = TempDir::new().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(folder.path())
            .stderr(Stdio::null())
            .status();
        mounted.is_ok_and(|status| status.success()).then(|| Self(folder))
    }
}

#[cfg(target_os = "linux")]
impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("--lazy").arg(self.0.path()).status();
        assert!(unmounted.is_ok_and(|status| status.success()), "cannot unmount {:?}", self.0);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_a_typed_error_loses_nothing_and_is_forgiven() {
    let Some(disk) = SmallDisk::new("4m") else {
        eprintln!("skipped: this user may not mount a small file system");
        return;
    };
    let data = disk.0.path().join("data");
    let start = || builder().data(&data).register("q", QueueOptions::new()).start().unwrap();
    let manager = start();
    let tasks = queue::<(u32, String)>(&manager);
    let item = |number| (number, "x".repeat(10_000));
    let ballast = disk.0.path().join("ballast");
    fs::write(&ballast, vec![0; 2 << 20]).unwrap();
    let mut stored: Vec<u32> = Vec::new();
    let mut put = |numbers: std::ops::Range<u32>| {
        for number in numbers {
            match tasks.put(item(number)) {
                Ok(()) => stored.push(number),
                Err(PutError::Manager { error: error @ ManagerError::Storage { .. }, item }) => {
                    assert_eq!(item.0, number, "the item comes back");
                    return Err(error);
                }
                Err(other) => panic!("{other:?}"),
            }
        }
        Ok(())
    };
    let error = put(0..1000).expect_err("4 MiB do not hold ten");
    assert!(error.to_string().contains("make room"), "{error}");
    put(1000..2000).expect_err("it is full still");
    fs::remove_file(&ballast).unwrap();
    put(2000..2010).expect("there is room again");
    assert_eq!(tasks.len().unwrap(), stored.len());
    manager.shutdown();

    let manager = start();
    let tasks = queue::<(u32, String)>(&manager);
    let found = tasks.get_many(9999, LONG).unwrap();
    assert_eq!(found.iter().map(|(number, _)| *number).collect::<Vec<_>>(), stored);
    manager.shutdown();
}
