//! The ring: order, bounds, large messages, wrapping.

use std::sync::atomic::Ordering;

use super::super::layout::Mark;
use super::*;

#[test]
fn messages_of_every_length_come_out_whole_and_in_order() {
    let core = core();
    let mut waiting = std::collections::VecDeque::new();
    for length in (0..3000_u32).chain(8_100..8_300).chain([65_536, 100_000]) {
        let message: Vec<_> = (0..length).map(|at| (at * 7 + length) as u8).collect();
        while core.try_put(&batch(&[&message]), 0).unwrap() == Put::Done(0) {
            assert_eq!(take(&core, How::Get).map(|(got, _)| got), waiting.pop_front());
        }
        waiting.push_back(message);
        assert_eq!(core.len(), waiting.len());
    }
    for message in waiting {
        assert_eq!(take(&core, How::Get).unwrap().0, message);
    }
    assert_eq!(take(&core, How::Get), None);
}

#[test]
fn a_queue_is_bounded_by_items_and_by_bytes() {
    let few = Core::with(&Options { max_items: 3, ..options() }).unwrap();
    assert_eq!(few.try_put(&batch(&[b"a", b"b", b"c", b"d"]), 0).unwrap(), Put::Done(3));
    take(&few, How::Get).unwrap();
    assert_eq!(few.try_put(&batch(&[b"a", b"b", b"c", b"d"]), 3).unwrap(), Put::Done(1));
    let core = core();
    let message = [1; 4096 - 8];
    let batch = batch(&[&message[..]; 20]);
    assert_eq!(core.try_put(&batch, 0).unwrap(), Put::Done(16), "64 KiB in pieces of 4 KiB");
    assert_eq!(core.len(), 16);
}

#[test]
fn large_messages_give_their_memory_back() {
    let core = core();
    let before = memory(&core);
    let large = vec![7; 300_000];
    put(&core, &large);
    assert!(memory(&core) >= before + 300_000);
    assert_eq!(take(&core, How::Get).unwrap().0, large);
    assert_eq!(memory(&core), before);
    // Through a lease as well, and those that are longer than what a slot keeps.
    let owner = core.owner().unwrap();
    for length in [1000, 300_000] {
        put(&core, &large[..length]);
        let (got, slot) = take(&core, How::Lease(owner)).unwrap();
        assert_eq!((got.len(), memory(&core) > before), (length, true));
        assert!(core.acknowledge(slot, owner));
        assert_eq!(memory(&core), before);
    }
}

#[test]
fn large_messages_are_bounded_but_one_always_fits() {
    let core = core();
    let large = vec![7; 600_000];
    put(&core, &large);
    assert_eq!(core.try_put(&batch(&[&large]), 0).unwrap(), Put::Done(0), "1 MiB is the most");
    // Small ones are not concerned.
    put(&core, b"small");
    take(&core, How::Get).unwrap();
    let larger = vec![8; 3_000_000];
    put(&core, &larger);
    take(&core, How::Get).unwrap();
    assert_eq!(take(&core, How::Get).unwrap().0, larger);
}

#[test]
fn a_batch_that_is_put_in_part_goes_on_where_it_stopped() {
    let core = Core::with(&Options { max_items: 2, ..options() }).unwrap();
    let large = vec![2; 20_000];
    let batch = batch(&[b"1", &large, b"3"]);
    assert_eq!(core.try_put(&batch, 0).unwrap(), Put::Done(2));
    assert_eq!(core.try_put(&batch, 2).unwrap(), Put::Done(0));
    let mut out = Batch::default();
    // A large message is not taken along with others.
    assert_eq!(core.try_take(9, How::Get, &mut out).unwrap(), Take::Done(1));
    assert_eq!(core.try_put(&batch, 2).unwrap(), Put::Done(1));
    assert_eq!(core.try_take(9, How::Get, &mut out).unwrap(), Take::Done(1));
    assert_eq!(core.try_take(9, How::Get, &mut out).unwrap(), Take::Done(1));
    assert_eq!((out.get(0), out.get(1), out.get(2)), (&b"1"[..], &large[..], &b"3"[..]));
}

#[test]
fn positions_and_sequences_wrap() {
    let core = core();
    let start = Mark { position: u32::MAX - 100, sequence: u32::MAX - 40 };
    let header = core.header();
    for word in [
        &header.tail.0,
        &header.head.0,
        &header.producers.0.head_seen,
        &header.consumers.0.tail_seen,
    ] {
        start.store(word, Ordering::SeqCst);
    }
    header.consumers.0.done.store(start.sequence, Ordering::SeqCst);
    assert!(core.is_idle());
    let owner = core.owner().unwrap();
    for number in 0..200_u32 {
        put(&core, &number.to_le_bytes());
        put(&core, &[9; 700]);
        assert_eq!(core.len(), 2);
        let (got, slot) = take(&core, How::Lease(owner)).unwrap();
        assert_eq!(got, number.to_le_bytes());
        assert!(core.release(slot, owner));
        assert_eq!(take(&core, How::Get).unwrap().0, number.to_le_bytes());
        assert_eq!(take(&core, How::Get).unwrap().0, [9; 700]);
        assert!(core.task_done() && !core.is_idle() && core.task_done());
        assert!(core.is_idle() && !core.task_done());
    }
    assert!(Mark::load(&header.tail.0, Ordering::SeqCst).sequence < 1000);
    // Full and empty are told apart there too.
    while core.try_put(&batch(&[&[1; 1000]]), 0).unwrap() == Put::Done(1) {}
    assert_eq!(core.len(), 65_536 / 1008);
    while take(&core, How::Get).is_some() {}
    assert_eq!(core.len(), 0);
}

#[test]
fn what_a_process_left_that_died_reading_or_writing_a_large_message_is_swept() {
    let core = core();
    let before = memory(&core);
    let large = vec![7; 700_000];
    // Pages that nobody knows of, as the dead leave them.
    let lost = core.put_large(&large).unwrap().unwrap();
    assert!(lost >= before);
    assert_eq!(core.try_put(&batch(&[&large]), 0).unwrap(), Put::Done(0));
    // The next holder of its lock says so.
    core.header().sweep.store(1, Ordering::SeqCst);
    put(&core, &large);
    put(&core, &vec![1; 20_000]);
    core.header().sweep.store(1, Ordering::SeqCst);
    // What is waiting, or leased, stays.
    let owner = core.owner().unwrap();
    let (_, slot) = take(&core, How::Lease(owner)).unwrap();
    put(&core, &vec![2; 20_000]);
    assert!(core.release(slot, owner));
    for expected in [large, vec![1; 20_000], vec![2; 20_000]] {
        assert_eq!(take(&core, How::Get).unwrap().0, expected);
    }
    assert_eq!(memory(&core), before);
}

#[test]
fn a_file_that_is_no_queue_is_refused() {
    use crate::os::Shm;
    let shm = Shm::create("test", 1 << 16, 0).unwrap();
    let text = Core::attach(shm.fd().try_clone().unwrap()).unwrap_err().to_string();
    assert!(text.contains("no queue"), "{text}");
    let null = std::fs::File::open("/dev/null").unwrap();
    assert!(Core::attach(null.into()).is_err());
}
