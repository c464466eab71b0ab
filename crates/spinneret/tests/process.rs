//! `process::Process`: starting, ending, and who knows of whom.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io::Read;
use std::thread::sleep;
use std::time::Duration;

use spinneret::Pool;
use spinneret::ProcessPool;
use spinneret::pipe::{Sender, pipe_simplex, wait};
use spinneret::process::{self, ForkError, Process, ProcessError, active_children};
use spinneret::task::EncodeError;

/// Far beyond what anything here takes.
const LONG: Duration = Duration::from_mins(1);

#[spinneret::task]
fn nothing() {}

#[spinneret::task]
fn stay() {
    sleep(Duration::from_mins(10));
}

#[spinneret::task]
fn end(how: String) {
    match how.as_str() {
        "return" => {}
        "panic" => panic!("as meant"),
        "abort" => std::process::abort(),
        "kill" => {
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL)
                .unwrap();
            stay();
        }
        code => std::process::exit(code.parse().unwrap()),
    }
}

fn started<T: spinneret::Task>(task: T, args: T::Args) -> Process {
    let process = Process::new(task, args).unwrap();
    process.start().unwrap();
    process
}

#[test]
fn exit_codes_tell_how_a_process_ended() {
    for (how, code) in
        [("return", 0), ("panic", 101), ("0", 0), ("7", 7), ("abort", -6), ("kill", -9)]
    {
        let process = started(end, how.to_owned());
        assert_eq!(process.join().unwrap().code(), code, "{how}");
        assert_eq!(process.exit_code(), Some(code));
        assert!(!process.is_alive());
        // And again.
        assert_eq!(process.join_timeout(Duration::ZERO).unwrap().unwrap().code(), code);
    }
}

#[spinneret::task]
async fn answer_later(to: Sender<u32>) {
    tokio::time::sleep(Duration::from_millis(1)).await;
    to.send_async(&42).await.unwrap();
}

#[test]
fn async_tasks_run_too() {
    let (from, to) = pipe_simplex().unwrap();
    let process = started(answer_later, to);
    assert_eq!(from.recv().unwrap(), 42);
    assert!(process.join().unwrap().success());
}

#[test]
fn terminate_and_kill_end_a_process() {
    for (signal, code) in
        [(Process::terminate as fn(&Process) -> Result<(), ProcessError>, -15), (Process::kill, -9)]
    {
        let process = started(stay, ());
        assert!(process.is_alive() && process.exit_code().is_none());
        assert!(process.join_timeout(Duration::from_millis(20)).unwrap().is_none());
        signal(&process).unwrap();
        assert_eq!(process.join().unwrap().code(), code);
        assert_eq!(process.join().unwrap().signal(), Some(-code));
        // Whoever has its number now is left alone.
        signal(&process).unwrap();
    }
}

#[test]
fn what_was_not_started_or_was_before_is_an_error_that_says_so() {
    let process = Process::new(nothing, ()).unwrap().with_name("late");
    assert!(matches!(process.join(), Err(ProcessError::NotStarted { name }) if name == "late"));
    assert!(matches!(process.join_timeout(LONG), Err(ProcessError::NotStarted { .. })));
    assert!(matches!(process.terminate(), Err(ProcessError::NotStarted { .. })));
    assert!(matches!(process.sentinel(), Err(ProcessError::NotStarted { .. })));
    assert!(!process.is_alive());
    assert_eq!((process.pid(), process.exit_code()), (None, None));
    process.start().unwrap();
    assert!(
        matches!(process.start(), Err(ProcessError::AlreadyStarted { name }) if name == "late")
    );
    process.join().unwrap();
    assert!(matches!(process.start(), Err(ProcessError::AlreadyStarted { .. })));
}

/// Name, number and parent of a process, by its own account.
type Account = (String, u32, bool, bool, Option<(String, u32, bool)>);

fn account() -> Account {
    let current = process::current();
    let parent = process::parent();
    (
        current.name().to_owned(),
        current.pid(),
        current.is_daemon(),
        current.is_main(),
        parent.map(|parent| (parent.name().to_owned(), parent.pid(), parent.is_alive())),
    )
}

#[spinneret::task]
fn tell(to: Sender<Account>, depth: u32) {
    to.send(&account()).unwrap();
    if depth > 0 {
        // The second, whose number is 2, is nested deeper.
        started(nothing, ()).join().unwrap();
        assert!(started(tell, (to, depth - 1)).join().unwrap().success());
    }
}

#[test]
fn a_process_knows_its_name_its_number_and_its_parent() {
    let main = std::process::id();
    assert_eq!(account(), ("MainProcess".to_owned(), main, false, true, None));
    let (from, to) = pipe_simplex().unwrap();
    let plain = started(tell, (to.clone(), 2));
    let number: u32 = plain.name().strip_prefix("Process-").unwrap().parse().unwrap();
    let (name, pid, daemon, is_main, parent) = from.recv().unwrap();
    assert_eq!((name.as_str(), daemon, is_main), (plain.name(), false, false));
    assert_eq!(Some(pid), plain.pid());
    assert_eq!(parent, Some(("MainProcess".to_owned(), main, true)));

    let (child, child_pid, .., parent) = from.recv().unwrap();
    assert_eq!(child, format!("Process-{number}:2"));
    assert_eq!(parent, Some((name, pid, true)));
    let (grandchild, .., parent) = from.recv().unwrap();
    assert_eq!(grandchild, format!("Process-{number}:2:2"));
    assert_eq!(parent, Some((child, child_pid, true)));
    assert!(plain.join().unwrap().success());

    let named = Process::new(tell, (to, 0)).unwrap().with_name("reader ✓").with_daemon(true);
    assert_eq!((named.name(), named.is_daemon()), ("reader ✓", true));
    named.start().unwrap();
    let (name, _, daemon, ..) = from.recv().unwrap();
    assert_eq!((name.as_str(), daemon), ("reader ✓", true));
    assert!(named.join().unwrap().success());
    let next = Process::new(nothing, ()).unwrap();
    assert_eq!(next.name(), format!("Process-{}", number + 2));
}

#[test]
fn children_that_run_are_active_and_those_that_ended_are_reaped() {
    let children: Vec<_> = (0..3).map(|_| started(stay, ())).collect();
    let mut pids: Vec<_> = children.iter().map(Process::pid).collect();
    let active = active_children();
    assert_eq!(active.iter().map(Process::pid).collect::<Vec<_>>(), pids);
    assert_eq!(active[1].name(), children[1].name());
    active[1].kill().unwrap();
    assert_eq!(children[1].join().unwrap().code(), -9);
    pids.remove(1);
    assert_eq!(active_children().iter().map(Process::pid).collect::<Vec<_>>(), pids);

    // Those that nobody joins are no zombies after the next start.
    for child in &children {
        child.kill().unwrap();
    }
    let sentinels: Vec<_> = children.iter().map(|child| child.sentinel().unwrap()).collect();
    drop((active, children));
    assert!(sentinels.iter().all(|sentinel| sentinel.wait(Some(LONG))));
    assert!(pids.iter().flatten().all(|pid| state(*pid) == Some('Z')));
    started(nothing, ()).join().unwrap();
    assert!(pids.iter().flatten().all(|pid| state(*pid).is_none()));
    assert!(active_children().is_empty());
}

/// As the kernel shows it; `None` if there is no such process.
fn state(pid: u32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit(')').next()?.trim_start().chars().next()
}

#[test]
fn a_sentinel_tells_when_its_process_has_ended() {
    let (quick, slow) = (started(nothing, ()), started(stay, ()));
    let (first, second) = (quick.sentinel().unwrap(), slow.sentinel().unwrap());
    assert_eq!(wait(&[&second, &first], LONG), [1]);
    assert!(!second.wait(Some(Duration::from_millis(10))));
    slow.terminate().unwrap();
    assert!(second.wait(None));
    assert_eq!(wait(&[&second, &first], LONG), [0, 1]);
    quick.join().unwrap();
    slow.join().unwrap();
}

#[test]
fn many_threads_can_start_and_join() {
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for code in 0..5 {
                    let process = started(end, code.to_string());
                    std::thread::scope(|scope| {
                        for _ in 0..2 {
                            scope.spawn(|| assert_eq!(process.join().unwrap().code(), code));
                        }
                    });
                }
            });
        }
    });
}

#[test]
fn processes_leave_no_descriptor() {
    let count = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    started(nothing, ()).join().unwrap();
    let before = count();
    for _ in 0..20 {
        let (from, to) = pipe_simplex().unwrap();
        let process = started(tell, (to, 0));
        from.recv().unwrap();
        process.join().unwrap();
        drop(Process::new(tell, (pipe_simplex().unwrap().1, 0)).unwrap());
    }
    active_children();
    assert_eq!(count(), before);
}

#[spinneret::task]
fn open_files(to: Sender<Vec<String>>) {
    let links = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    let links = links.filter_map(|entry| std::fs::read_link(entry.path()).ok());
    to.send(&links.map(|path| path.display().to_string()).collect()).unwrap();
    // It has no standard input to read.
    assert_eq!(std::io::stdin().read(&mut [0]).unwrap(), 0);
}

#[test]
fn a_child_has_no_descriptors_but_those_it_was_given() {
    let (other, _end) = pipe_simplex::<u8>().unwrap();
    let (from, to) = pipe_simplex().unwrap();
    let process = started(open_files, to);
    let open = from.recv().unwrap();
    assert!(process.join().unwrap().success());
    // Its argument and the stream from its parent; the watch over that is no socket.
    let sockets = open.iter().filter(|path| path.starts_with("socket:")).count();
    assert!(sockets <= 2 + inherited_sockets(), "{open:?}");
    assert!(open.contains(&"/dev/null".to_owned()), "{open:?}");
    drop(other);
}

/// Standard output and error may be sockets.
fn inherited_sockets() -> usize {
    (1..=2)
        .filter_map(|fd| std::fs::read_link(format!("/proc/self/fd/{fd}")).ok())
        .filter(|path| path.display().to_string().starts_with("socket:"))
        .count()
}

#[spinneret::task]
fn length(to: Sender<usize>, bytes: Vec<u8>) {
    to.send(&bytes.len()).unwrap();
}

#[test]
fn arguments_may_be_large() {
    let (from, to) = pipe_simplex().unwrap();
    let process = started(length, (to, vec![1; 20 << 20]));
    assert_eq!(from.recv().unwrap(), 20 << 20);
    assert!(process.join().unwrap().success());
}

/// Arguments that are written but cannot be read.
#[derive(serde::Serialize)]
struct OneWay;

impl<'de> serde::Deserialize<'de> for OneWay {
    fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(serde::de::Error::custom("cannot be read"))
    }
}

#[spinneret::task]
fn unreadable(_: OneWay) {}

#[test]
fn arguments_that_cannot_travel_are_typed_errors() {
    let process = started(unreadable, OneWay);
    match process.join() {
        Err(ProcessError::Undecodable { name, cause }) => {
            assert_eq!(name, process.name());
            assert!(cause.contains("cannot be read"), "{cause}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(process.exit_code(), Some(78));

    let ends = vec![pipe_simplex::<u8>().unwrap().1; 65];
    assert!(matches!(
        Process::new(take, ends),
        Err(ProcessError::Arguments { cause: EncodeError::TooManyAttachments, .. })
    ));
}

#[spinneret::task]
fn take(_: Vec<Sender<u8>>) {}

#[spinneret::task]
fn process_and_pool_within(code: i32) -> (i32, i32, String, String) {
    let exit = started(end, code.to_string()).join().unwrap().code();
    let answer = ProcessPool::new(1).unwrap().apply(add_one, code).unwrap();
    let parent = process::parent().unwrap();
    assert!(parent.is_alive() && process::current().is_daemon());
    (exit, answer, process::current().name().to_owned(), parent.name().to_owned())
}

#[spinneret::task]
fn add_one(number: i32) -> i32 {
    number + 1
}

#[test]
fn a_worker_of_a_pool_can_start_processes() {
    let pool = ProcessPool::new(1).unwrap();
    let (code, answer, name, parent) = pool.apply(process_and_pool_within, 9).unwrap();
    assert_eq!((code, answer), (9, 10));
    assert_eq!((name.as_str(), parent.as_str()), ("PoolWorker", "MainProcess"));
}

#[spinneret::task]
fn pool_in_a_process(to: Sender<i32>) {
    to.send(&ProcessPool::new(2).unwrap().apply(add_one, 1).unwrap()).unwrap();
}

#[test]
fn a_process_can_have_a_pool() {
    let (from, to) = pipe_simplex().unwrap();
    let process = started(pool_in_a_process, to);
    assert_eq!(from.recv().unwrap(), 2);
    assert!(process.join().unwrap().success());
}

#[test]
fn a_program_with_threads_is_not_forked() {
    // The harness has a thread for each test.
    // SAFETY: it is refused; the child of a fork would be a failure of its own.
    match unsafe { process::fork() } {
        Err(ForkError::Threads { count }) => assert!(count >= 2),
        Err(error) => panic!("{error}"),
        Ok(process::Fork::Child) => std::process::abort(),
        Ok(process::Fork::Parent(forked)) => panic!("{forked:?}"),
    }
}
