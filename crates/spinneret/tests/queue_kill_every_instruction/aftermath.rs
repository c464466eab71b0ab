//! What must be true of a queue after a death: what is in it is whole, and everything works.

use serde_bytes::ByteBuf;
use spinneret::process::Queue;
use spinneret::process::queue::{GetError, PutError};

use crate::scene::{BOUND, Item, Stage};

/// Told apart by their first byte.
pub fn item(id: u8, length: usize) -> Item {
    ByteBuf::from(vec![id; length])
}

pub const SMALL: usize = 9;
/// Too long for a lease's slot.
pub const MEDIUM: usize = 700;
/// Too long for the ring.
pub const LARGE: usize = 10_000;

pub fn put(queue: &Queue<Item>, id: u8, length: usize) {
    queue.put_timeout(item(id, length), BOUND).unwrap();
}

/// The ids of what is in the queue, all of it whole.
pub fn drain(queue: &Queue<Item>) -> Vec<u8> {
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
pub fn works(queue: &Queue<Item>, open: &[usize]) {
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
pub fn left(queue: &Queue<Item>, possible: &[(&[u8], usize)]) {
    let ids = drain(queue);
    let open: Vec<_> =
        possible.iter().filter(|(left, _)| **left == ids).map(|(_, open)| *open).collect();
    assert!(!open.is_empty(), "{ids:?} is left, not one of {possible:?}");
    works(queue, &open);
}

/// The item `1` of so many bytes was leased at most: it is there again, with at most `most` deaths.
pub fn comes_back(stage: &Stage, length: usize, most: u32) {
    let queue = &stage.queue;
    let lease = queue.lease_timeout(BOUND).unwrap();
    assert_eq!(*lease, item(1, length));
    assert!(lease.deliveries() <= most + 1, "{} deliveries", lease.deliveries());
    lease.done().unwrap();
    left(queue, &[(&[], 0)]);
}
