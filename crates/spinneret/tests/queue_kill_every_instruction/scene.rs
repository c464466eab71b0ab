//! A scene of the play: one operation, killed at every point there is, and what must be true then.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_bytes::ByteBuf;
use spinneret::process::Queue;
use spinneret::process::queue::Lease;

use crate::tracer::{self, Trace, Victim, Wake};

pub type Item = ByteBuf;
pub type Hands = Option<Lease<Item>>;

/// How long the others may take, on a machine that does much else; far less is what they need, see
/// [`PROMPT`].
pub const BOUND: Duration = Duration::from_secs(10);

/// What takes longer is counted and printed.
const PROMPT: Duration = Duration::from_millis(100);

/// After so long the death of a process is noticed by whoever looks.
pub const SETTLED: Duration = Duration::from_millis(60);

/// A queue with what a scene needs beside it.
pub struct Stage {
    pub queue: Queue<Item>,
    /// One who holds a lock of the queue, stopped.
    pub holder: RefCell<Option<Victim>>,
}

/// An operation, and what may come of it.
#[derive(Clone, Copy)]
pub struct Scene {
    /// What is in the queue before.
    pub set: fn(&Stage),
    /// What the victim does before it is watched.
    pub arm: fn(&Queue<Item>) -> Hands,
    /// What the victim does.
    pub act: fn(&Queue<Item>, Hands) -> Hands,
    /// What happens when the victim sleeps.
    pub wake: Option<fn(&Stage)>,
    /// What must be true afterwards.
    pub check: fn(&Stage),
}

pub const SCENE: Scene =
    Scene { set: |_| (), arm: |_| None, act: |_, _| None, wake: None, check: |_| () };

/// Kills before every instruction if this is in the environment: takes some minutes.
const EVERYWHERE: &str = "SPINNERET_KILL_EVERYWHERE";

/// Else before each so many. A prime, so that it falls in step with no loop.
const STRIDE: usize = 23;

pub fn stage() -> Stage {
    // Large messages are put one at a time: a page that leaks is seen by the next.
    let builder = Queue::<Item>::builder().memory(1 << 16).max_items(4).max_leases(3);
    Stage { queue: builder.large_memory(1).build().unwrap(), holder: RefCell::default() }
}

impl Scene {
    fn victim(&self, stage: &Stage) -> Option<Victim> {
        let queue = &stage.queue;
        Victim::fork(|| (self.arm)(queue), |hands| (self.act)(queue, hands))
    }

    fn prepared(&self) -> Stage {
        let stage = stage();
        (self.set)(&stage);
        stage
    }

    fn trace(&self) -> Option<Trace> {
        let stage = self.prepared();
        let mut victim = self.victim(&stage)?;
        let mut woken = false;
        let mut wake = || {
            woken = true;
            self.wake.unwrap()(&stage);
        };
        let wake: Wake<'_> = if self.wake.is_some() { Some(&mut wake) } else { None };
        let trace = victim.trace(wake);
        assert_eq!(woken, self.wake.is_some(), "whether it sleeps");
        Some(trace)
    }

    /// A stage on which a victim was killed before a step; also says whether it came so far.
    fn killed_at(&self, trace: &Trace, step: usize) -> (Stage, bool) {
        let (stage, came) = self.run_and_kill(|victim, wake| victim.run_to(trace, step, wake));
        if came {
            return (stage, true);
        }
        // Some way of the allocator that it did not take then. Slowly, it cannot pass by.
        self.run_and_kill(|victim, wake| victim.step(step, wake))
    }

    fn run_and_kill(&self, run: impl FnOnce(&mut Victim, Wake<'_>) -> bool) -> (Stage, bool) {
        let stage = self.prepared();
        let mut victim = self.victim(&stage).unwrap();
        let mut wake = || self.wake.unwrap()(&stage);
        let came = run(&mut victim, if self.wake.is_some() { Some(&mut wake) } else { None });
        victim.kill();
        stage.holder.take();
        (stage, came)
    }

    /// Kills a victim at every point, and checks what is left after each.
    pub fn play(&self, name: &str) {
        let watch = Watch::start();
        tracer::stay();
        // What is set up once, in the first calls of a process, is there in all that are forked now.
        for _ in 0..2 {
            let stage = self.prepared();
            stage.holder.take();
            (self.check)(&stage);
        }
        let Some(trace) = self.trace() else {
            println!("skipped: this system forbids ptrace");
            return;
        };
        let stride = if std::env::var_os(EVERYWHERE).is_some() { 1 } else { STRIDE };
        let points: Vec<_> = trace.points().into_iter().step_by(stride).collect();
        let (mut strayed, mut slow, mut slowest) = (0, 0, Duration::ZERO);
        let mut killed = VecDeque::new();
        let mut check = |(stage, step): (Stage, usize)| {
            watch.0.store(step as u64 + 1, Ordering::Relaxed);
            let since = Instant::now();
            (self.check)(&stage);
            let took = since.elapsed();
            watch.0.store(0, Ordering::Relaxed);
            slow += usize::from(took > PROMPT);
            slowest = slowest.max(took);
            assert!(took < BOUND, "took {took:?} after step {step}");
        };
        if self.wake.is_some() {
            let stage = self.prepared();
            let mut victim = self.victim(&stage).unwrap();
            victim.run_to_sleep();
            victim.kill();
            stage.holder.take();
            check((stage, 0));
        }
        for (index, &step) in points.iter().enumerate() {
            let (stage, came) = self.killed_at(&trace, step);
            strayed += usize::from(!came);
            // Some at once, when the death was not yet noticed; most when it can be, to save time.
            if index % 64 == 0 {
                check((stage, step));
                continue;
            }
            killed.push_back((stage, step, Instant::now()));
            while killed.front().is_some_and(|(.., since)| since.elapsed() > SETTLED) {
                let (stage, step, _) = killed.pop_front().unwrap();
                check((stage, step));
            }
        }
        for (stage, step, since) in killed {
            std::thread::sleep(SETTLED.saturating_sub(since.elapsed()));
            check((stage, step));
        }
        println!(
            "{name}: {} instructions, killed before {} of them ({strayed} went another way); \
             {slow} of the others took more than {PROMPT:?}, the slowest {slowest:?}",
            trace.steps.len(),
            points.len(),
        );
        assert!(strayed * 10 <= points.len(), "it goes another way each time");
    }
}

/// Ends the test if a check hangs.
struct Watch(&'static AtomicU64);

impl Watch {
    fn start() -> Self {
        let step: &'static AtomicU64 = Box::leak(Box::new(AtomicU64::new(0)));
        std::thread::spawn(move || {
            let (mut last, mut since) = (0, Instant::now());
            loop {
                std::thread::sleep(Duration::from_millis(100));
                let now = step.load(Ordering::Relaxed);
                if now != last || now == 0 {
                    (last, since) = (now, Instant::now());
                } else if since.elapsed() > Duration::from_secs(20) {
                    eprintln!("the others hang after a kill before step {}", now - 1);
                    std::process::abort();
                }
            }
        });
        Self(step)
    }
}
