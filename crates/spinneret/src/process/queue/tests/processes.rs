//! Many at once: threads with one mapping, threads with their own (what processes have), and forks.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::super::GetError;
use super::*;

/// Producers and consumers on queues, each item exactly once.
fn pass_around(core: Core, own_mappings: bool, lease: bool) {
    const PRODUCERS: usize = 3;
    const CONSUMERS: usize = 3;
    const EACH: usize = 3000;
    let shared: Queue<usize> = Queue::of(core);
    let handle = || {
        if own_mappings { Queue::of(mapped_again(shared.core())) } else { shared.clone() }
    };
    let seen: Vec<_> = (0..PRODUCERS * EACH).map(|_| AtomicUsize::new(0)).collect();
    std::thread::scope(|scope| {
        let producers: Vec<_> = (0..PRODUCERS)
            .map(|producer| {
                let queue: Queue<usize> = handle();
                scope.spawn(move || {
                    let items = producer * EACH..(producer + 1) * EACH;
                    if producer == 0 {
                        queue.put_many(items).unwrap();
                    } else {
                        items.for_each(|item| queue.put(item).unwrap());
                    }
                })
            })
            .collect();
        for consumer in 0..CONSUMERS {
            let (queue, seen): (Queue<usize>, _) = (handle(), &seen);
            scope.spawn(move || {
                loop {
                    let got = match (lease, consumer) {
                        (true, _) => queue.lease().map(|lease| vec![lease.done().unwrap()]),
                        (false, 0) => queue.get_many(50).map_err(|error| error.error),
                        (false, _) => queue.get().map(|item| vec![item]),
                    };
                    match got {
                        Ok(items) => items.into_iter().for_each(|item| {
                            seen[item].fetch_add(1, Ordering::Relaxed);
                        }),
                        Err(GetError::Closed) => return,
                        Err(other) => panic!("{other}"),
                    }
                }
            });
        }
        for producer in producers {
            producer.join().unwrap();
        }
        shared.close();
    });
    assert!(seen.iter().all(|count| count.load(Ordering::Relaxed) == 1));
}

#[test]
fn threads_get_each_item_once() {
    pass_around(core(), false, false);
    pass_around(Core::with(&Options { max_items: 2, ..options() }).unwrap(), false, false);
}

#[test]
fn mappings_get_each_item_once() {
    pass_around(core(), true, false);
    pass_around(Core::with(&Options { max_items: 2, ..options() }).unwrap(), true, false);
}

#[test]
fn leases_are_done_once() {
    pass_around(core(), false, true);
    pass_around(Core::with(&Options { slots: 2, ..options() }).unwrap(), true, true);
}

/// The first lease takes the lock after the number's, a look for the dead asks after numbers under
/// the lock.
#[test]
fn a_first_lease_and_a_look_for_the_dead_do_not_wait_for_each_other() {
    for _ in 0..50 {
        let core = core();
        put(&core, b"1");
        let other = mapped_again(&core);
        take(&other, How::Lease(other.owner().unwrap())).unwrap();
        std::thread::scope(|scope| {
            let looking = scope.spawn(|| (0..100).for_each(|_| core.requeue_of_the_dead()));
            core.owner().unwrap();
            looking.join().unwrap();
        });
    }
}

#[test]
fn a_fork_does_not_keep_its_parent_alive() {
    let core = core();
    put(&core, b"1");
    let (read, write) = std::io::pipe().unwrap();
    // SAFETY: the child leases, forks and ends; what it allocates with stays usable.
    let parent = unsafe { libc::fork() };
    if parent == 0 {
        take(&core, How::Lease(core.owner().unwrap())).unwrap();
        // SAFETY: as above.
        if unsafe { libc::fork() } == 0 {
            // The grandchild lives until the test lets go of the pipe.
            drop(write);
            let _ = std::io::Read::read(&mut &read, &mut [0; 1]);
        }
        // SAFETY: always allowed.
        unsafe { libc::_exit(0) };
    }
    // SAFETY: our child.
    unsafe { libc::waitpid(parent, std::ptr::null_mut(), 0) };
    assert!(core.wait_for_items(std::time::Instant::now().checked_add(SOON)));
    assert_eq!(take(&core, How::Get).unwrap().0, b"1");
    drop(write);
}
