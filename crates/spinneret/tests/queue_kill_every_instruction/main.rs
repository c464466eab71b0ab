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

mod aftermath;
mod scene;
mod tracer;

use std::cell::OnceCell;
use std::time::Duration;

use spinneret::process::Queue;
use spinneret::process::queue::{GetError, PutError};

use self::aftermath::{LARGE, MEDIUM, SMALL, comes_back, drain, item, left, put, works};
use self::scene::{BOUND, Hands, Item, SCENE, SETTLED, Scene, Stage};
use self::tracer::{Trace, Victim};

fn one(stage: &Stage, length: usize) {
    put(&stage.queue, 1, length);
}

#[allow(clippy::unnecessary_wraps)] // As scenes want it.
fn lease(queue: &Queue<Item>) -> Hands {
    Some(queue.lease().unwrap())
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
            let other = scene::stage();
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
