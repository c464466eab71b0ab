//! The watchdog, and the message of an overflow.

use std::{
    fmt::Write,
    hint::black_box,
    process::Command,
    sync::{Arc, Mutex, OnceLock},
    time::{Duration, Instant},
};

use tracing::{Event, Metadata, Subscriber, field::Visit, span};

use super::{super::*, LONG, go_first, go_with, sleep, until};
use crate::task::{Spec, Woken};

/// What was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<String>>);

impl Log {
    /// Everything that is logged from now on, by any thread.
    fn of_process() -> Self {
        static LOG: OnceLock<Log> = OnceLock::new();
        let log = LOG.get_or_init(|| {
            let log = Self::default();
            tracing::subscriber::set_global_default(log.clone()).unwrap();
            log
        });
        log.clone()
    }

    fn says(&self, text: &str) -> bool {
        self.0.lock().unwrap().contains(text)
    }
}

impl Visit for Log {
    fn record_debug(&mut self, _field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        let _ = writeln!(self.0.lock().unwrap(), "{value:?}");
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("spinneret_green")
    }
    fn new_span(&self, _span: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _span: &span::Id, _values: &span::Record<'_>) {}
    fn record_follows_from(&self, _span: &span::Id, _follows: &span::Id) {}
    fn event(&self, event: &Event<'_>) {
        event.record(&mut self.clone());
    }
    fn enter(&self, _span: &span::Id) {}
    fn exit(&self, _span: &span::Id) {}
}

#[test]
fn who_holds_a_hub_is_named() {
    let log = Log::of_process();
    // The hub has been idle for so long that the watchdog sleeps.
    go_first(|| ()).join().unwrap();
    std::thread::sleep(Duration::from_millis(500));
    let seen = log.clone();
    let first = go_first(|| {
        for _ in 0..3 {
            yield_now();
        }
    });
    let spec = Spec { name: Some("greedy".into()), hub: Some(0), ..Spec::default() };
    let greedy = go_with(spec, move || {
        // Others become ready while it computes.
        spawn(Spec { hub: Some(0), ..Spec::default() }, Box::new(|| ())).unwrap();
        let end = Instant::now() + LONG;
        while !seen.says("greedy") && Instant::now() < end {
            black_box(0);
        }
        seen.says("coroutine 'greedy'")
    });
    assert!(greedy.join().unwrap());
    first.join().unwrap();
}

#[test]
fn nobody_is_named_for_sleeping() {
    let log = Log::of_process();
    let spec = || Spec { name: Some("sleeper".into()), hub: Some(1), ..Spec::default() };
    let handles: Vec<_> =
        (0..10).map(|_| go_with(spec(), || sleep(Duration::from_millis(400)))).collect();
    for handle in handles {
        handle.join().unwrap();
    }
    assert!(!log.says("sleeper"), "{:?}", log.0);
}

#[test]
fn an_async_task_that_blocks_its_hub_is_found() {
    let log = Log::of_process();
    let spec = || Spec { hub: Some(2), ..Spec::default() };
    let suspended = go_with(spec(), || park(None));
    let lock = Arc::new(Mutex::new(()));
    // As a suspended green thread would; but this one can let go again.
    let held = lock.lock().unwrap();
    let blocked = Arc::clone(&lock);
    let body = async move { drop(blocked.lock()) };
    spawn_future(spec(), Box::pin(body)).unwrap();
    until(|| log.says("hub-2: an async task has blocked its hub"));
    drop(held);
    suspended.task.unpark();
    assert_eq!(suspended.join().unwrap(), Woken::Unparked);
}

/// Runs one of this program's tests, which is ignored, in a process of its own; its output.
fn elsewhere(test: &str) -> (bool, String) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", "--test-threads=1"])
        .arg(format!("{}::{test}", module_path!().split_once("::").unwrap().1))
        .output()
        .unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
#[ignore = "it ends the process: another test runs it"]
fn overflows() {
    fn deeper(level: u64) -> u64 {
        let block = black_box([level; 64]);
        if level == u64::MAX { 0 } else { deeper(level + 1) + block[1] }
    }
    let spec = Spec { name: Some("bottomless".into()), stack_size: 64 << 10, ..Spec::default() };
    let _ = go_with(spec, || deeper(black_box(0))).join();
}

#[test]
fn an_overflow_ends_the_program_and_names_the_coroutine() {
    let (success, said) = elsewhere("overflows");
    assert!(!success);
    assert!(said.contains("coroutine 'bottomless'"), "{said}");
    assert!(said.contains("overflowed its stack of 65536 bytes"), "{said}");
}

#[test]
#[ignore = "it ends the process: another test runs it"]
fn exits() {
    let _ = go_first(|| {
        yield_now();
        std::process::exit(0)
    })
    .join();
    unreachable!("the process has ended");
}

#[test]
fn a_green_thread_may_end_the_process() {
    let (success, said) = elsewhere("exits");
    assert!(success, "{said}");
}

#[test]
#[ignore = "it ends the process: another test runs it"]
fn faults() {
    let _ = go_first(|| {
        // SAFETY: none; a fault is what is wanted.
        unsafe { black_box(8 as *const u8).read_volatile() }
    })
    .join();
}

#[test]
fn another_fault_is_not_taken_for_an_overflow() {
    let (success, said) = elsewhere("faults");
    assert!(!success);
    assert!(!said.contains("overflowed"), "{said}");
}
