use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::store::{Message, Store, Taken};
use super::*;
use crate::process::attachment;

fn options(max_items: usize) -> Options {
    Options { memory: 1 << 20, max_items, slots: 2, large_bytes: 1 << 20 }
}

fn put(store: &mut Store, messages: &[&[u8]]) -> Put {
    store.put(messages.iter().map(|message| (*message, false)))
}

fn take(store: &mut Store, most: usize, lessee: Option<u32>) -> Vec<Taken> {
    let mut taken = Vec::new();
    store.take(most, lessee, &mut taken);
    taken
}

fn bytes(taken: &[Taken]) -> Vec<&[u8]> {
    taken.iter().map(|taken| &taken.message.bytes[..]).collect()
}

#[test]
fn what_comes_back_is_taken_again_in_its_old_order() {
    let mut store = Store::new(&options(9));
    put(&mut store, &[b"a", b"b", b"c"]);
    let (one, other) = (store.enter(), store.enter());
    let first = take(&mut store, 1, Some(one));
    let second = take(&mut store, 1, Some(other));
    assert_eq!(bytes(&first), [b"a"]);
    assert_eq!(store.bury(other), 1);
    assert!(store.release(first[0].lease.unwrap(), one));
    let again = take(&mut store, 9, None);
    assert_eq!(bytes(&again), [b"a", b"b", b"c"]);
    let deliveries: Vec<_> = again.iter().map(|taken| taken.message.deliveries).collect();
    assert_eq!(deliveries, [0, 1, 0], "a death counts, giving back does not");
    assert!(!store.acknowledge(second[0].lease.unwrap(), other));
}

#[test]
fn what_could_not_be_handed_over_is_as_if_never_taken() {
    let mut store = Store::new(&options(9));
    let large = vec![1; 100_000];
    put(&mut store, &[b"a", &large]);
    for lessee in [None, Some(store.enter())] {
        for _ in 0..2 {
            for taken in take(&mut store, 1, lessee) {
                assert_eq!(
                    taken.message,
                    Message { number: 0, deliveries: 0, ..taken.message.clone() }
                );
                store.untake(taken);
            }
        }
    }
    assert_eq!(bytes(&take(&mut store, 1, None)), [b"a"]);
    assert_eq!(bytes(&take(&mut store, 1, None)), [&large[..]]);
    assert!(store.has_space(1 << 20), "all space is free again");
}

#[test]
fn the_bounds_are_kept() {
    let mut store = Store::new(&options(2));
    assert_eq!(put(&mut store, &[b"a", b"b", b"c"]), Put::Done(2));
    take(&mut store, 9, None);
    let large = vec![0; 700_000];
    assert_eq!(put(&mut store, &[&large, &large]), Put::Done(1), "large ones have a bound too");
    let owner = store.enter();
    let leased = take(&mut store, 9, Some(owner));
    assert_eq!(put(&mut store, &[&large]), Put::Done(0), "a lease keeps its message");
    assert!(store.acknowledge(leased[0].lease.unwrap(), owner));
    assert_eq!(put(&mut store, &[&vec![0; 2 << 20]]), Put::Done(1), "one may be of any size");
}

#[test]
fn there_are_only_so_many_leases() {
    let mut store = Store::new(&options(9));
    put(&mut store, &[b"a", b"b", b"c"]);
    let owner = store.enter();
    assert_eq!(take(&mut store, 9, Some(owner)).len(), 2);
    assert_eq!(take(&mut store, 9, Some(owner)).len(), 0);
    assert_eq!(store.bury(owner), 2);
    assert_eq!(take(&mut store, 9, None).len(), 3);
}

#[test]
fn a_closed_queue_is_drained_when_nothing_can_come_back() {
    let mut store = Store::new(&options(9));
    put(&mut store, &[b"a"]);
    store.close();
    assert_eq!(put(&mut store, &[b"b"]), Put::Closed);
    let (one, other) = (store.enter(), store.enter());
    let taken = take(&mut store, 1, Some(one));
    assert!(!store.is_drained(other), "it may come back");
    assert!(store.is_drained(one));
    assert!(store.acknowledge(taken[0].lease.unwrap(), one));
    assert!(store.is_drained(other));
}

#[test]
fn done_is_counted() {
    let mut store = Store::new(&options(9));
    assert!(store.is_idle() && !store.task_done());
    put(&mut store, &[b"a", b"b"]);
    take(&mut store, 2, None);
    assert!(store.task_done() && !store.is_idle());
    assert!(store.task_done() && store.is_idle() && !store.task_done());
}

/// A queue as another process sees it.
fn abroad(core: &Core) -> Core {
    struct Here<'a>(&'a Core);
    impl Serialize for Here<'_> {
        fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
            self.0.depart(to)
        }
    }
    struct There(Core);
    impl<'de> Deserialize<'de> for There {
        fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
            Core::arrive(from).map(There)
        }
    }
    let (bytes, fds) = attachment::encode(&Here(core)).unwrap();
    #[cfg(unix)]
    let fds = fds.iter().map(|fd| fd.try_clone().unwrap()).collect();
    #[cfg(windows)]
    let fds = fds.into_iter().filter_map(Arc::into_inner).collect();
    attachment::decode::<There>(&bytes, fds).unwrap().0
}

fn batch(messages: &[&[u8]]) -> Batch {
    let mut batch = Batch::default();
    for message in messages {
        let Ok(()) = batch.push(false, |out| {
            out.extend_from_slice(message);
            Ok::<_, std::convert::Infallible>(())
        });
    }
    batch
}

#[test]
fn leases_come_back_when_their_connection_ends() {
    let core = Core::with(&options(9)).unwrap();
    let other = abroad(&core);
    assert_eq!(other.try_put(&batch(&[b"a", b"b"]), 0).unwrap(), Put::Done(2));
    let (mut out, owner) = (Batch::default(), other.owner().unwrap());
    assert_eq!(other.try_take(1, How::Lease(owner), &mut out).unwrap(), Take::Done(1));
    assert_eq!((core.len(), out.get(0)), (1, &b"a"[..]));
    drop(other);
    out.clear();
    let deadline = Instant::now() + Duration::from_secs(30);
    while core.len() < 2 {
        assert!(Instant::now() < deadline, "the lease did not come back");
        std::thread::yield_now();
    }
    assert_eq!(core.try_take(9, How::Get, &mut out).unwrap(), Take::Done(2));
    assert_eq!((out.get(0), out.items[0].deliveries), (&b"a"[..], 1));
}

#[cfg(unix)]
#[test]
fn nothing_is_left_of_a_queue_that_nobody_has() {
    let core = Core::with(&options(9)).unwrap();
    let other = abroad(&core);
    let desk = Arc::downgrade(&core.home.as_ref().unwrap().desk);
    assert_eq!(core.try_put(&batch(&[b"a"]), 0).unwrap(), Put::Done(1));
    drop(core);
    let mut out = Batch::default();
    assert_eq!(other.try_take(1, How::Get, &mut out).unwrap(), Take::Done(1), "others have it");
    drop(other);
    let deadline = Instant::now() + Duration::from_secs(30);
    while desk.strong_count() > 0 {
        assert!(Instant::now() < deadline, "its threads go on");
        std::thread::yield_now();
    }
}

#[test]
fn a_queue_whose_maker_is_gone_says_so() {
    let (door, inside) = door::open().unwrap();
    let core = Core { home: None, client: Client::new(door) };
    drop(inside);
    let mut out = Batch::default();
    assert!(matches!(core.try_put(&batch(&[b"a"]), 0), Err(Fault::Gone)));
    assert!(matches!(core.try_take(1, How::Get, &mut out), Err(Fault::Gone)));
    assert!(matches!(core.owner(), Err(Fault::Gone)));
    assert!(core.is_closed() && core.len() == 0 && !core.join(None) && !core.task_done());
    assert!(core.wait_for_items(None) && core.wait_for_space(1, None));
}

#[test]
fn who_says_what_is_no_request_is_left() {
    let core = Core::with(&options(9)).unwrap();
    let link = core.client.door().knock().unwrap();
    let mut out = crate::process::Outbox::default();
    out.put(&"nonsense", Vec::new()).unwrap();
    assert!(link.send(&out));
    let mut frames = crate::process::FrameBuffer::new();
    while link.receive_waiting(&mut frames).unwrap() {}
    assert_eq!(abroad(&core).try_put(&batch(&[b"a"]), 0).unwrap(), Put::Done(1));
}
