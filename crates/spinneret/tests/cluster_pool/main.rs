//! What a pool of machines promises when things go wrong: workers, submitters and the manager are
//! killed, stopped and gone.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "../family/mod.rs"]
mod family;
mod limits;
mod listing;
mod workers;

use std::path::{Path, PathBuf};
use std::time::Duration;

use family::{Child, eventually};
use spinneret::manager::{self, AuthKey, Client, Manager, ManagerError, Worker, WorkerBuilder};
use spinneret::pool::{PoolError, SubmitError};
use spinneret::task::{Call, registry};
use spinneret::{ClusterPool, Pool, ProcessPool, Task, TaskError, ThreadPool};

fn key() -> AuthKey {
    AuthKey::new("qiye")
}

fn start_manager() -> Manager {
    Manager::builder().listen("127.0.0.1:0").authkey(key()).start().unwrap()
}

fn connect(manager: &Manager) -> ClusterPool {
    ClusterPool::connect(manager.local_addr(), &key()).unwrap()
}

/// A worker in this process.
fn worker(manager: &Manager) -> WorkerBuilder {
    manager::worker(manager.local_addr()).authkey(key())
}

fn threads(manager: &Manager, slots: usize) -> Worker {
    worker(manager).threads(ThreadPool::builder().workers(slots)).start().unwrap()
}

/// A worker in a process of its own, with so many threads.
#[spinneret::task]
fn serve(address: String, name: String, slots: usize) {
    let pool = ThreadPool::builder().workers(slots);
    // Its manager may be gone first.
    let _ = manager::worker(address).authkey(key()).name(name).threads(pool).serve();
}

fn child(manager: &Manager, name: &str) -> Child {
    let address = manager.local_addr().to_string();
    let child = Child::start(serve, (address, name.to_owned(), 1));
    eventually("the worker connects", || {
        manager.workers().iter().any(|worker| worker.name == name)
    });
    child
}

#[spinneret::task]
fn square(n: u64) -> u64 {
    n * n
}

#[spinneret::task]
fn pid() -> u32 {
    std::process::id()
}

/// Leaves a file with the number of its process, and runs until the other file is there.
#[spinneret::task]
fn wait_for(begun: PathBuf, go: PathBuf) -> u32 {
    std::fs::write(begun.join(std::process::id().to_string()), "").unwrap();
    eventually("the file comes", || go.exists());
    std::process::id()
}

#[spinneret::task]
fn crash(n: u32) -> u32 {
    if n == 0 {
        std::process::abort();
    }
    n
}

#[spinneret::task]
fn hang() {
    loop {
        std::thread::park();
    }
}

/// A task that no process knows unless it adds it.
#[derive(Clone, Copy)]
struct Rare;

impl Task for Rare {
    type Args = u32;
    type Output = u32;
    const NAME: &'static str = "cluster_pool::rare";
    const SIGNATURE: u64 = 1;

    fn run(n: u32) -> Call<u32> {
        Call::Done(n + 1)
    }
}

/// A folder for a test, in which tasks leave word and wait for it.
struct Meeting {
    folder: tempfile::TempDir,
}

impl Meeting {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("begun")).unwrap();
        Self { folder }
    }

    fn args(&self) -> (PathBuf, PathBuf) {
        (self.begun(), self.folder.path().join("go"))
    }

    fn begun(&self) -> PathBuf {
        self.folder.path().join("begun")
    }

    /// How many processes have begun a task.
    fn count(&self) -> usize {
        std::fs::read_dir(self.begun()).unwrap().count()
    }

    fn go(&self) {
        create(&self.folder.path().join("go"));
    }
}

fn create(file: &Path) {
    std::fs::write(file, "").unwrap();
}

#[test]
fn a_task_whose_worker_is_killed_is_run_by_another() {
    let (manager, meeting) = (start_manager(), Meeting::new());
    let first = child(&manager, "first");
    let pool = ClusterPool::builder().retries(1).connect(manager.local_addr(), &key()).unwrap();
    let handle = pool.apply_async(wait_for, meeting.args()).unwrap();
    eventually("it runs", || pool.snapshot().running == 1);
    let before = pool.workers().unwrap()[0].pid;
    let _second = child(&manager, "second");
    first.kill();
    meeting.go();
    let after = handle.get().unwrap();
    assert_ne!(before, after);
    assert_eq!((pool.snapshot().done, pool.snapshot().restarts), (1, 1));
}

#[test]
fn a_task_that_has_no_retries_left_ends_with_its_worker() {
    let (manager, meeting) = (start_manager(), Meeting::new());
    let pool = connect(&manager);
    let worker = child(&manager, "only");
    let running = pool.apply_async(wait_for, meeting.args()).unwrap();
    let waiting = pool.apply_async(square, 3).unwrap();
    eventually("it runs", || pool.snapshot().running == 1);
    worker.kill();
    let died = TaskError::WorkerDied { signal: None, exit_code: None, out_of_memory: false };
    assert_eq!(running.get(), Err(died));
    assert!(!waiting.is_done());
    let _another = child(&manager, "another");
    assert_eq!(waiting.get(), Ok(9), "what had not begun costs nothing");
}

#[test]
fn a_crash_costs_its_process_alone() {
    let manager = start_manager();
    let _worker = worker(&manager).concurrency(1).start().unwrap();
    let pool = connect(&manager);
    let outcomes = pool.map(crash, [1, 0, 2]).unwrap();
    assert_eq!((&outcomes[0], &outcomes[2]), (&Ok(1), &Ok(2)));
    #[cfg(unix)]
    assert!(
        matches!(outcomes[1], Err(TaskError::WorkerDied { signal: Some(6), .. })),
        "{outcomes:?}"
    );
    let stubborn = ClusterPool::builder().retries(9).poison_limit(2);
    let stubborn = stubborn.connect(manager.local_addr(), &key()).unwrap();
    assert!(matches!(stubborn.apply(crash, 0), Err(TaskError::WorkerDied { .. })));
    assert_eq!(stubborn.snapshot().restarts, 2, "poison is found out");
    assert_eq!(stubborn.workers().unwrap().len(), 1);
}

#[test]
fn a_task_that_takes_too_long_is_killed_and_its_slot_is_free() {
    let manager = start_manager();
    let _worker = worker(&manager).concurrency(1).start().unwrap();
    let after = Duration::from_millis(100);
    let pool = ClusterPool::builder().task_timeout(after).connect(manager.local_addr(), &key());
    let pool = pool.unwrap();
    assert_eq!(pool.apply(hang, ()), Err(TaskError::TimedOut { after }));
    assert_eq!(pool.apply(hang, ()), Err(TaskError::TimedOut { after }));
    assert_eq!(connect(&manager).apply(square, 4), Ok(16));
}

#[test]
fn a_thread_that_takes_too_long_fails_its_task_and_keeps_its_slot() {
    let (manager, meeting) = (start_manager(), Meeting::new());
    let _worker = threads(&manager, 2);
    let after = Duration::from_millis(50);
    let pool = ClusterPool::builder().task_timeout(after).connect(manager.local_addr(), &key());
    let pool = pool.unwrap();
    assert_eq!(pool.apply(wait_for, meeting.args()), Err(TaskError::TimedOut { after }));
    assert_eq!(manager.workers()[0].running, 1, "a thread cannot be killed");
    assert_eq!(pool.apply(square, 4), Ok(16), "there is another");
    meeting.go();
    eventually("the slot is free again", || manager.workers()[0].running == 0);
}

#[test]
fn a_task_that_no_worker_has_is_unknown() {
    let manager = start_manager();
    let pool = connect(&manager);
    let handle = pool.apply_async(Rare, 1).unwrap();
    let handle = handle.get_timeout(Duration::from_millis(20)).expect_err("there is no worker");
    let _worker = threads(&manager, 1);
    match handle.get() {
        Err(TaskError::UnknownTask { name, hint }) => {
            assert_eq!(name, "cluster_pool::rare");
            assert!(hint.contains("mark it with #[spinneret::task] in their program"), "{hint}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(pool.apply(square, 5), Ok(25), "the worker does what it can");
}

#[test]
fn a_task_that_one_worker_lacks_is_done_by_another() {
    let manager = start_manager();
    let pool = connect(&manager);
    let _lacks = child(&manager, "lacks it");
    let handle = pool.apply_async(Rare, 1).unwrap();
    assert_eq!(pool.apply(square, 5), Ok(25), "the worker has it, and nothing holds it up");
    registry::add(Rare);
    let _has = threads(&manager, 1);
    assert_eq!(handle.get(), Ok(2));
    assert_eq!(pool.map(Rare, 0..50).unwrap(), (1..51).map(Ok).collect::<Vec<_>>());
}

/// Has a pool run tasks that wait, until it is killed.
#[spinneret::task]
fn submit(address: String, begun: PathBuf, go: PathBuf) {
    let pool = ClusterPool::connect(address, &key()).unwrap();
    let outcomes = pool.map(wait_for, vec![(begun, go); 100]);
    panic!("it should have been killed: {outcomes:?}");
}

#[test]
fn nothing_remains_of_a_submitter_that_is_killed() {
    let (manager, meeting) = (start_manager(), Meeting::new());
    let _worker = worker(&manager).concurrency(1).start().unwrap();
    let (begun, go) = meeting.args();
    let submitter = Child::start(submit, (manager.local_addr().to_string(), begun, go));
    eventually("a task runs", || meeting.count() == 1 && manager.cluster().running == 1);
    assert_eq!(manager.cluster().queued, 99);
    submitter.kill();
    eventually("its pool is forgotten", || manager.cluster().pools == 0);
    let cluster = manager.cluster();
    assert_eq!((cluster.queued, cluster.running), (0, 0));
    // What ran was ended too, although nobody let it go: the only slot is free.
    assert_eq!(connect(&manager).apply(square, 6), Ok(36));
    assert_eq!(meeting.count(), 1, "and nothing else was begun");
}

#[cfg(unix)]
#[test]
fn a_worker_that_was_taken_for_dead_reports_in_vain() {
    use rustix::process::{Pid, Signal, kill_process};

    let manager = Manager::builder()
        .listen("127.0.0.1:0")
        .authkey(key())
        // Long enough for those who are only kept waiting by a busy machine.
        .silence_timeout(Duration::from_secs(3))
        .start()
        .unwrap();
    let meeting = Meeting::new();
    let pool = ClusterPool::builder().retries(1).connect(manager.local_addr(), &key()).unwrap();
    let _slow = child(&manager, "slow");
    let handle = pool.apply_async(wait_for, meeting.args()).unwrap();
    eventually("it runs", || pool.snapshot().running == 1 && meeting.count() == 1);
    let slow = manager.workers()[0].pid;
    let slow = Pid::from_raw(i32::try_from(slow).unwrap()).unwrap();
    let signal = |signal| kill_process(slow, signal).unwrap();
    signal(Signal::STOP);
    let quick = threads(&manager, 1);
    eventually("the task is given to another", || meeting.count() == 2);
    signal(Signal::CONT);
    meeting.go();
    assert_eq!(handle.get(), Ok(std::process::id()));
    // Both have ended it, but one outcome was booked.
    eventually("the slow one finds out", || manager.workers().len() == 1);
    assert_eq!((pool.snapshot().done, pool.snapshot().failed), (1, 0));
    quick.stop();
    assert_eq!(quick.join().unwrap().done, 1);
}

#[test]
fn what_waits_is_cancelled_and_what_runs_is_not() {
    let (manager, meeting) = (start_manager(), Meeting::new());
    let pool = connect(&manager);
    let early = pool.apply_async(square, 1).unwrap();
    assert!(early.cancel(), "there is no worker");
    assert_eq!(early.get(), Err(TaskError::Cancelled));
    let _worker = worker(&manager).concurrency(1).start().unwrap();
    let running = pool.apply_async(wait_for, meeting.args()).unwrap();
    let waiting = pool.map_async(square, 0..50).unwrap();
    eventually("it runs", || pool.snapshot().running == 1);
    assert!(!running.cancel());
    assert!(waiting.iter().all(spinneret::TaskHandle::cancel));
    assert!(waiting.iter().all(|handle| !handle.cancel()), "only once");
    meeting.go();
    assert!(running.get().is_ok());
    assert_eq!((pool.snapshot().done, pool.snapshot().failed), (1, 51));
    assert_eq!(manager.cluster().queued, 0);
}

#[test]
fn dropping_an_imap_cancels_what_has_not_begun() {
    let (manager, meeting) = (start_manager(), Meeting::new());
    let pool = connect(&manager);
    let _worker = worker(&manager).concurrency(1).start().unwrap();
    let endless = std::iter::repeat_with(|| meeting.args());
    let mut outcomes = pool.imap_unordered(wait_for, endless);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            eventually("the first runs", || meeting.count() == 1);
            meeting.go();
        });
        assert!(outcomes.next().unwrap().is_ok());
    });
    drop(outcomes);
    eventually("the rest is gone", || {
        let now = pool.snapshot();
        now.queued == 0 && now.running == 0
    });
    assert_eq!(manager.cluster().queued, 0);
}

/// A manager in a process of its own, which leaves word of its address.
#[spinneret::task]
fn manage(file: PathBuf) {
    let manager = start_manager();
    let draft = file.with_extension("draft");
    std::fs::write(&draft, manager.local_addr().to_string()).unwrap();
    std::fs::rename(draft, file).unwrap();
    manager.wait_shutdown();
}

#[test]
fn when_the_manager_is_killed_everybody_is_told() {
    let meeting = Meeting::new();
    let file = meeting.folder.path().join("address");
    let manager = Child::start(manage, file.clone());
    eventually("the manager listens", || file.exists());
    let address = std::fs::read_to_string(file).unwrap();
    let worker = manager::worker(&address).authkey(key()).concurrency(1).start().unwrap();
    let pool = ClusterPool::connect(&address, &key()).unwrap();
    let running = pool.apply_async(wait_for, meeting.args()).unwrap();
    let waiting = pool.apply_async(square, 2).unwrap();
    eventually("it runs", || pool.snapshot().running == 1);
    manager.kill();
    for outcome in [running.get().map(drop), waiting.get().map(drop)] {
        assert!(matches!(outcome, Err(TaskError::Disconnected { .. })), "{outcome:?}");
    }
    let refused = pool.apply_async(square, 2).unwrap_err();
    assert!(matches!(refused, SubmitError::Disconnected { .. }), "{refused:?}");
    assert!(matches!(pool.apply(square, 2), Err(TaskError::Disconnected { .. })));
    let ended: Vec<_> = pool.imap(square, 0..).collect();
    assert!(matches!(ended[..], [Err(TaskError::Disconnected { .. })]), "{ended:?}");
    assert_eq!(pool.snapshot().workers, []);
    pool.close();
    pool.join().unwrap();
    let told = worker.join();
    assert!(matches!(told, Err(PoolError::Manager(ManagerError::Disconnected { .. }))), "{told:?}");
}

#[test]
fn when_the_manager_shuts_down_its_workers_end_well() {
    let manager = start_manager();
    let worker = threads(&manager, 1);
    let pool = connect(&manager);
    assert_eq!(pool.apply(square, 2), Ok(4));
    let never = pool.apply_async(Rare, 1).unwrap();
    manager.shutdown();
    let summary = worker.join().unwrap();
    assert_eq!((summary.done, summary.failed), (1, 0));
    assert!(matches!(never.get(), Err(TaskError::Disconnected { .. })));
}
