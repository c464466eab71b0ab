//! A process is killed before every single instruction of every operation of a queue. Whatever it
//! had done so far, the others go on at once, and nothing is lost but what it had taken for itself.
//!
//! Each test is one operation. A child is stepped through it once with ptrace, which gives the list
//! of instructions; then for each of them a new child with a queue of its own runs up to there and
//! is killed, and this process, which has the queue too, checks what is left. Of loops that copy,
//! spin or search, the first rounds and the last are tried. (All this with `SPINNERET_KILL_EVERYWHERE`
//! in the environment; without, every 23rd instruction is tried.) Where a child would sleep it is killed
//! in its sleep, and woken and killed at every instruction of what comes then.
#![cfg(all(shared_memory, target_arch = "x86_64"))]
#![allow(clippy::unwrap_used)]

mod tracer;

use std::cell::{OnceCell, RefCell};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_bytes::ByteBuf;
use spinneret::process::Queue;
use spinneret::process::queue::{GetError, Lease, PutError};

use self::tracer::{Trace, Victim, Wake};

type Item = ByteBuf;
type Hands = Option<Lease<Item>>;

/// How long the others may take, on a machine that does much else; far less is what they need, see
/// [`PROMPT`].
const BOUND: Duration = Duration::from_secs(10);

/// What takes longer is counted and printed.
const PROMPT: Duration = Duration::from_millis(100);

/// After so long the death of a process is noticed by whoever looks.
const SETTLED: Duration = Duration::from_millis(60);

/// A queue with what a scene needs beside it.
struct Stage {
    queue: Queue<Item>,
    /// One who holds a lock of the queue, stopped.
    holder: RefCell<Option<Victim>>,
}

/// An operation, and what may come of it.
#[derive(Clone, Copy)]
struct Scene {
    /// What is in the queue before.
    set: fn(&Stage),
    /// What the victim does before it is watched.
    arm: fn(&Queue<Item>) -> Hands,
    /// What the victim does.
    act: fn(&Queue<Item>, Hands) -> Hands,
    /// What happens when the victim sleeps.
    wake: Option<fn(&Stage)>,
    /// What must be true afterwards.
    check: fn(&Stage),
}

const SCENE: Scene =
    Scene { set: |_| (), arm: |_| None, act: |_, _| None, wake: None, check: |_| () };

/// Kills before every instruction if this is in the environment: takes some minutes.
const EVERYWHERE: &str = "SPINNERET_KILL_EVERYWHERE";

/// Else before each so many. A prime, so that it falls in step with no loop.
const STRIDE: usize = 23;

/// Told apart by their first byte.
fn item(id: u8, length: usize) -> Item {
    ByteBuf::from(vec![id; length])
}

const SMALL: usize = 9;
/// Too long for a lease's slot.
const MEDIUM: usize = 700;
/// Too long for the ring.
const LARGE: usize = 10_000;

fn stage() -> Stage {
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

    fn play(&self, name: &str) {
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

fn put(queue: &Queue<Item>, id: u8, length: usize) {
    queue.put_timeout(item(id, length), BOUND).unwrap();
}

/// The ids of what is in the queue, all of it whole.
fn drain(queue: &Queue<Item>) -> Vec<u8> {
    const END: u8 = 0xee;
    put(queue, END, SMALL);
    let mut ids = Vec::new();
    loop {
        let got = queue.get_timeout(BOUND).unwrap();
        assert!([SMALL, MEDIUM, LARGE].contains(&got.len()), "{} bytes", got.len());
        assert!(got.iter().all(|byte| *byte == got[0]), "damaged");
        if got[0] == END {
            queue.task_done().unwrap();
            return ids;
        }
        ids.push(got[0]);
    }
}

/// Everything works, on a queue that is empty but of which `open` tasks are not done.
fn works(queue: &Queue<Item>, open: &[usize]) {
    for length in [SMALL, LARGE, LARGE] {
        put(queue, 7, length);
        assert_eq!(queue.get_timeout(BOUND).unwrap(), item(7, length));
    }
    // Every slot is free.
    for id in 0..3 {
        put(queue, id, SMALL);
    }
    let leases: Vec<_> = (0..3).map(|_| queue.lease_timeout(BOUND).unwrap()).collect();
    for (id, lease) in (0..).zip(leases) {
        assert_eq!((lease[0], lease.deliveries()), (id, 1));
        lease.done().unwrap();
    }
    assert_eq!(queue.len(), 0);
    assert!(matches!(queue.try_get(), Err(GetError::Empty)));
    // Three of them from above.
    let left = std::iter::from_fn(|| queue.task_done().ok()).count();
    assert!(open.iter().any(|open| open + 3 == left), "{left} tasks open, not {open:?} + 3");
    assert!(queue.join_timeout(BOUND));
    queue.close();
    assert!(matches!(queue.try_put(item(1, SMALL)), Err(PutError::Closed(_))));
    assert!(matches!(queue.get_timeout(BOUND), Err(GetError::Closed)));
}

/// The queue has one of these contents, with that many tasks open.
fn left(queue: &Queue<Item>, possible: &[(&[u8], usize)]) {
    let ids = drain(queue);
    let open: Vec<_> =
        possible.iter().filter(|(left, _)| **left == ids).map(|(_, open)| *open).collect();
    assert!(!open.is_empty(), "{ids:?} is left, not one of {possible:?}");
    works(queue, &open);
}

fn one(stage: &Stage, length: usize) {
    put(&stage.queue, 1, length);
}

#[allow(clippy::unnecessary_wraps)] // As scenes want it.
fn lease(queue: &Queue<Item>) -> Hands {
    Some(queue.lease().unwrap())
}

/// The item `1` of so many bytes was leased at most: it is there again, with at most `most` deaths.
fn comes_back(stage: &Stage, length: usize, most: u32) {
    let queue = &stage.queue;
    let lease = queue.lease_timeout(BOUND).unwrap();
    assert_eq!(*lease, item(1, length));
    assert!(lease.deliveries() <= most + 1, "{} deliveries", lease.deliveries());
    lease.done().unwrap();
    left(queue, &[(&[], 0)]);
}

/// Tests, one for each operation.
macro_rules! scenes {
    ($($name:ident: $scene:expr;)*) => {
        $(#[test]
        fn $name() {
            $scene.play(stringify!($name));
        })*
    };
}

fn put_of(act: fn(&Queue<Item>, Hands) -> Hands) -> Scene {
    Scene {
        set: |stage| one(stage, SMALL),
        act,
        check: |stage| left(&stage.queue, &[(&[1], 1), (&[1, 2], 2)]),
        ..SCENE
    }
}

scenes! {
    put_small: put_of(|queue, _| { queue.put(item(2, SMALL)).unwrap(); None });
    put_large: put_of(|queue, _| { queue.put(item(2, LARGE)).unwrap(); None });
    put_batch: Scene {
        act: |queue, _| { queue.put_many([item(1, SMALL), item(2, SMALL)]).unwrap(); None },
        check: |stage| left(&stage.queue, &[(&[], 0), (&[1, 2], 2)]),
        ..SCENE
    };
    put_batch_with_large: Scene {
        act: |queue, _| {
            queue.put_many([item(1, SMALL), item(2, LARGE), item(3, SMALL)]).unwrap();
            None
        },
        // What comes before a large message is put before its pages are written.
        check: |stage| left(&stage.queue, &[(&[], 0), (&[1], 1), (&[1, 2, 3], 3)]),
        ..SCENE
    };
    put_blocked: Scene {
        set: |stage| (1..5).for_each(|id| put(&stage.queue, id, SMALL)),
        act: |queue, _| { queue.put(item(5, SMALL)).unwrap(); None },
        wake: Some(|stage| drop(stage.queue.try_get())),
        check: |stage| {
            // Makes room for the marker, if need be.
            let mut ids = Vec::new();
            while stage.queue.len() > 3 {
                ids.push(stage.queue.get_timeout(BOUND).unwrap()[0]);
            }
            ids.extend(drain(&stage.queue));
            // The first goes to whoever wakes the victim.
            let wanted: &[&[u8]] = &[&[1, 2, 3, 4], &[2, 3, 4], &[2, 3, 4, 5], &[3, 4, 5]];
            assert!(wanted.contains(&&ids[..]), "{ids:?}");
            works(&stage.queue, &[4 + usize::from(ids.contains(&5))]);
        },
        ..SCENE
    };
    put_large_blocked: Scene {
        set: |stage| one(stage, LARGE),
        act: |queue, _| { queue.put(item(2, LARGE)).unwrap(); None },
        wake: Some(|stage| drop(stage.queue.try_get())),
        check: |stage| left(&stage.queue, &[(&[1], 1), (&[], 1), (&[2], 2)]),
        ..SCENE
    };
    get_small: Scene {
        set: |stage| { put(&stage.queue, 1, SMALL); put(&stage.queue, 2, SMALL); },
        act: |queue, _| { queue.get().unwrap(); None },
        check: |stage| left(&stage.queue, &[(&[1, 2], 2), (&[2], 2)]),
        ..SCENE
    };
    get_large: Scene {
        set: |stage| { put(&stage.queue, 1, LARGE); put(&stage.queue, 2, SMALL); },
        act: |queue, _| { queue.get().unwrap(); None },
        check: |stage| left(&stage.queue, &[(&[1, 2], 2), (&[2], 2)]),
        ..SCENE
    };
    get_batch: Scene {
        set: |stage| (1..4).for_each(|id| put(&stage.queue, id, SMALL)),
        act: |queue, _| { queue.get_many(2).unwrap(); None },
        check: |stage| left(&stage.queue, &[(&[1, 2, 3], 3), (&[3], 3)]),
        ..SCENE
    };
    get_requeued: Scene {
        set: |stage| { one(stage, MEDIUM); drop(stage.queue.try_lease()); },
        act: |queue, _| { queue.get().unwrap(); None },
        check: |stage| left(&stage.queue, &[(&[1], 1), (&[], 1)]),
        ..SCENE
    };
    get_blocked: Scene {
        act: |queue, _| { queue.get().unwrap(); None },
        wake: Some(|stage| if stage.queue.is_empty() { one(stage, SMALL) }),
        // Woken again if it sleeps longer; who died asleep has taken nothing.
        check: |stage| left(&stage.queue, &[(&[], 0), (&[1], 1), (&[], 1)]),
        ..SCENE
    };
    lease_small: Scene {
        set: |stage| one(stage, SMALL),
        act: |queue, _| lease(queue),
        check: |stage| comes_back(stage, SMALL, 1),
        ..SCENE
    };
    lease_medium: Scene {
        set: |stage| one(stage, MEDIUM),
        act: |queue, _| lease(queue),
        check: |stage| comes_back(stage, MEDIUM, 1),
        ..SCENE
    };
    lease_large: Scene {
        set: |stage| one(stage, LARGE),
        act: |queue, _| lease(queue),
        check: |stage| comes_back(stage, LARGE, 1),
        ..SCENE
    };
    lease_requeued: Scene {
        set: |stage| { one(stage, SMALL); drop(stage.queue.try_lease()); },
        act: |queue, _| lease(queue),
        check: |stage| comes_back(stage, SMALL, 1),
        ..SCENE
    };
    release: Scene {
        set: |stage| one(stage, SMALL),
        arm: lease,
        act: |_, hands| { hands.unwrap().release(); None },
        check: |stage| comes_back(stage, SMALL, 1),
        ..SCENE
    };
    done_small: done_of(|stage| one(stage, SMALL));
    done_medium: done_of(|stage| one(stage, MEDIUM));
    task_done: Scene {
        set: |stage| { one(stage, SMALL); stage.queue.try_get().unwrap(); },
        act: |queue, _| { queue.task_done().unwrap(); None },
        check: |stage| {
            drain(&stage.queue);
            works(&stage.queue, &[0, 1]);
        },
        ..SCENE
    };
    close: Scene {
        set: |stage| one(stage, SMALL),
        act: |queue, _| { queue.close(); None },
        check: |stage| match stage.queue.put_timeout(item(2, SMALL), BOUND) {
            Ok(()) => left(&stage.queue, &[(&[1, 2], 2)]),
            Err(PutError::Closed(_)) => {
                assert_eq!(stage.queue.get_timeout(BOUND).unwrap(), item(1, SMALL));
                assert!(matches!(stage.queue.get_timeout(BOUND), Err(GetError::Closed)));
                stage.queue.task_done().unwrap();
                assert!(stage.queue.join_timeout(BOUND));
            }
            Err(other) => panic!("{other}"),
        },
        ..SCENE
    };
    put_while_a_holder_of_the_lock_dies: Scene {
        set: |stage| { one(stage, SMALL); comes_to(stage, 75, |queue| { queue.put(item(2, SMALL)).unwrap(); None }); },
        act: |queue, _| { queue.put(item(3, SMALL)).unwrap(); None },
        wake: Some(|stage| drop(stage.holder.take())),
        check: |stage| left(&stage.queue, &[(&[1], 1), (&[1, 2], 2), (&[1, 3], 2), (&[1, 2, 3], 3)]),
        ..SCENE
    };
    lease_while_a_holder_of_the_lock_dies: Scene {
        set: |stage| { one(stage, SMALL); comes_to(stage, 60, lease); },
        act: |queue, _| lease(queue),
        wake: Some(|stage| drop(stage.holder.take())),
        check: |stage| comes_back(stage, SMALL, 2),
        ..SCENE
    };
    lease_after_one_who_died_leasing_at_50_percent: after_a_dead_lessee(|stage| died_leasing(stage, 50));
    lease_after_one_who_died_leasing_at_60_percent: after_a_dead_lessee(|stage| died_leasing(stage, 60));
    lease_after_one_who_died_leasing_at_70_percent: after_a_dead_lessee(|stage| {
        died_leasing(stage, 70);
        // So that its death is noticed in every run, stepped or not.
        std::thread::sleep(SETTLED);
    });
    lease_after_one_who_died_acknowledging: after_a_dead_lessee(|stage| {
        one(stage, SMALL);
        comes_to(stage, 50, |queue| { lease(queue).unwrap().done().unwrap(); None });
        stage.holder.take();
    });
}

fn died_leasing(stage: &Stage, percent: usize) {
    one(stage, SMALL);
    comes_to(stage, percent, lease);
    stage.holder.take();
}

fn after_a_dead_lessee(set: fn(&Stage)) -> Scene {
    Scene {
        set,
        act: |queue, _| {
            queue.put(item(2, SMALL)).unwrap();
            lease(queue)
        },
        check: |stage| {
            let queue = &stage.queue;
            let mut ids = drain(queue);
            for _ in &ids {
                queue.task_done().unwrap();
            }
            // What is not done is with the dead, and comes back.
            while !queue.join_timeout(Duration::ZERO) {
                ids.push(queue.get_timeout(BOUND).unwrap()[0]);
                queue.task_done().unwrap();
            }
            ids.sort_unstable();
            assert!([&[][..], &[1], &[2], &[1, 2]].contains(&&ids[..]), "{ids:?}");
            works(queue, &[0]);
        },
        ..SCENE
    }
}

fn done_of(set: fn(&Stage)) -> Scene {
    Scene {
        set,
        arm: lease,
        act: |_, hands| {
            hands.unwrap().done().unwrap();
            None
        },
        check: |stage| {
            let mut ids = drain(&stage.queue);
            if ids.is_empty() && !stage.queue.join_timeout(Duration::ZERO) {
                // Not acknowledged: it comes back.
                ids.push(stage.queue.get_timeout(BOUND).unwrap()[0]);
            }
            assert!(ids.is_empty() || ids == [1], "{ids:?}");
            works(&stage.queue, &[ids.len()]);
        },
        ..SCENE
    }
}

/// Somebody else comes so far with something, in percent of the instructions, and stops there.
fn comes_to(stage: &Stage, percent: usize, act: fn(&Queue<Item>) -> Hands) {
    // A test is a thread, and has one such.
    thread_local! {
        static TRACE: OnceCell<Option<Trace>> = const { OnceCell::new() };
    }
    TRACE.with(|trace| {
        let traced = trace.get_or_init(|| {
            let other = self::stage();
            put(&other.queue, 1, SMALL);
            let victim = Victim::fork(|| (), |()| act(&other.queue));
            victim.map(|mut victim| victim.trace(None))
        });
        if let Some(trace) = traced {
            let mut victim = Victim::fork(|| (), |()| act(&stage.queue)).unwrap();
            victim.run_to(trace, trace.steps.len() * percent / 100, None);
            *stage.holder.borrow_mut() = Some(victim);
        }
    });
}
