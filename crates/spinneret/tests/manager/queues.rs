//! Items go in and out, in order, and none is lost.

use std::{collections::BTreeSet, sync::Arc, thread, time::Duration};

use serde::{Deserialize, Serialize};
use spinneret::manager::{GetError, ManagerError, PutError, PutOptions, Queue, QueueOptions};

use super::{HOLD, LONG, Mortal, builder, client, eventually, manager, queue};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Image {
    url: String,
    bytes: Option<u64>,
}

#[test]
fn items_of_any_type_travel_in_order() {
    let manager = manager(QueueOptions::new());
    let there = manager.queue::<Image>("q").unwrap();
    let here = queue::<Image>(&manager);
    let images: Vec<_> = (0..5).map(|n| Image { url: format!("u{n}"), bytes: Some(n) }).collect();
    here.put(images[0].clone()).unwrap();
    there.put_many(images[1..].to_vec()).unwrap();
    assert_eq!((here.len().unwrap(), there.len().unwrap()), (5, 5));
    assert_eq!(there.get().unwrap(), images[0]);
    assert_eq!(here.get_many(3, LONG).unwrap(), images[1..4]);
    assert_eq!(here.try_get().unwrap(), images[4]);
    assert!(matches!(here.try_get(), Err(GetError::Empty)));
    assert!(matches!(there.get_timeout(Duration::from_millis(5)), Err(GetError::Empty)));
    let stats = there.stats().unwrap();
    assert_eq!((stats.puts, stats.done, stats.unfinished), (5, 5, 0));
}

#[test]
fn a_full_queue_gives_the_item_back() {
    let manager = manager(QueueOptions::new().maxsize(2));
    for queue in [manager.queue::<u32>("q").unwrap(), queue(&manager)] {
        assert!(matches!(queue.put_many_timeout(vec![1, 2, 3, 4], Duration::from_millis(5)),
            Err(PutError::Full(rest)) if rest == [3, 4]));
        assert!(matches!(queue.try_put(5), Err(PutError::Full(5))));
        assert!(matches!(queue.put_timeout(6, Duration::from_millis(5)), Err(PutError::Full(6))));
        assert_eq!(queue.get_many(9, LONG).unwrap(), [1, 2]);
    }
}

#[test]
fn a_put_with_options_gives_the_item_back_if_there_is_no_room_in_time() {
    let manager = manager(QueueOptions::new().maxsize(2));
    let (soon, first) = (Duration::from_millis(5), PutOptions::new().priority(1));
    for queue in [manager.queue::<u32>("q").unwrap(), queue(&manager)] {
        assert!(queue.put_with_timeout(1, PutOptions::new(), LONG).unwrap());
        let items = [2, 3, 4].map(|item| (item, first.clone())).to_vec();
        let full = queue.put_many_with_timeout(items, soon).unwrap_err();
        assert!(matches!(&full, PutError::Full(rest) if rest.len() == 2 && rest[0].0 == 3));
        let full = queue.put_with_timeout(5, first.clone(), soon);
        assert!(matches!(full, Err(PutError::Full(5))));
        assert_eq!(queue.get_many(9, LONG).unwrap(), [2, 1]);
        let items = vec![(6, first.clone()), (7, first.clone())];
        assert_eq!(queue.put_many_with_timeout(items, LONG).unwrap(), 0);
        assert_eq!(queue.get_many(9, LONG).unwrap(), [6, 7]);
    }
}

#[test]
fn a_put_waits_for_room() {
    let manager = manager(QueueOptions::new().maxsize(3));
    let putter = queue::<u32>(&manager);
    let putting = thread::spawn(move || putter.put_many((0..100).collect()));
    let getter = queue::<u32>(&manager);
    for n in 0..100 {
        assert_eq!(getter.get().unwrap(), n);
        assert!(getter.len().unwrap() <= 3);
    }
    putting.join().unwrap().unwrap();
}

#[test]
fn a_waiting_request_holds_up_no_other_of_its_connection() {
    let manager = manager(QueueOptions::new().maxsize(1));
    manager.register("other", QueueOptions::new()).unwrap();
    let client = client(&manager);
    let (q, other) = (client.queue::<u32>("q"), client.queue::<u32>("other"));
    q.put(1).unwrap();
    let waiting = [
        thread::spawn({
            let q = q.clone();
            move || q.put(2).unwrap()
        }),
        thread::spawn({
            let other = other.clone();
            move || assert_eq!(other.get().unwrap(), 7)
        }),
        thread::spawn({
            let q = q.clone();
            move || q.join().unwrap()
        }),
    ];
    assert_eq!(client.ping().map(|()| q.len().unwrap()).unwrap(), 1);
    assert_eq!(q.get().unwrap(), 1);
    assert_eq!(q.get().unwrap(), 2);
    other.put(7).unwrap();
    for thread in waiting {
        thread.join().unwrap();
    }
}

#[test]
fn a_closed_queue_takes_nothing_and_drains() {
    let manager = manager(QueueOptions::new());
    let (queue, other) = (queue::<u32>(&manager), queue::<u32>(&manager));
    queue.put_many(vec![1, 2]).unwrap();
    let waiting = thread::spawn(move || {
        let mut got = Vec::new();
        loop {
            match other.get() {
                Ok(item) => got.push(item),
                Err(GetError::Closed) => return got,
                Err(error) => panic!("{error}"),
            }
        }
    });
    eventually("all is taken", || queue.stats().unwrap().unfinished == 0);
    queue.close().unwrap();
    assert_eq!(waiting.join().unwrap(), [1, 2]);
    assert!(matches!(queue.put(3), Err(PutError::Closed(3))));
    assert!(matches!(queue.put_many(vec![3]), Err(PutError::Closed(rest)) if rest == [3]));
    assert!(matches!(queue.try_get(), Err(GetError::Closed)));
    assert!(queue.stats().unwrap().closed);
}

#[test]
fn join_waits_for_the_last_item() {
    let manager = manager(QueueOptions::new());
    let queue = queue::<u32>(&manager);
    queue.put_many((0..10).collect()).unwrap();
    assert!(!queue.join_timeout(Duration::from_millis(5)).unwrap());
    let worker = super::queue::<u32>(&manager);
    let working = thread::spawn(move || {
        for _ in 0..10 {
            worker.lease(HOLD).unwrap().done().unwrap();
        }
    });
    queue.join().unwrap();
    assert_eq!(queue.stats().unwrap().done, 10);
    working.join().unwrap();
}

#[test]
fn an_item_is_not_lost_to_a_waiter_that_died() {
    let manager = manager(QueueOptions::new());
    let queue = queue::<String>(&manager);
    for round in 0..10 {
        let waiter = Mortal::connect(&manager);
        let waiting = waiter.queue();
        waiter.runtime.spawn(async move { waiting.get_async().await });
        eventually("it connected", || manager.connections().len() == 2);
        if round % 2 == 0 {
            // Half of the time it has surely begun to wait.
            thread::sleep(Duration::from_millis(5));
        }
        waiter.kill();
        queue.put("a".into()).unwrap();
        // It goes to the living, at once or when the dead one's connection is found broken.
        assert_eq!(queue.get_timeout(LONG).unwrap(), "a");
        eventually("it is gone", || manager.connections().len() == 1);
    }
}

#[test]
fn an_item_is_not_lost_to_a_future_that_was_dropped() {
    let manager = manager(QueueOptions::new());
    let taker = Mortal::connect(&manager);
    let queue = taker.queue();
    for round in 0..100 {
        taker.runtime.block_on(async {
            queue.put_async("a".into()).await.unwrap();
            let got = tokio::select! {
                biased;
                () = tokio::time::sleep(Duration::from_micros(round * 10)) => None,
                got = queue.get_async() => Some(got.unwrap()),
            };
            if got.is_none() {
                assert_eq!(queue.get_timeout_async(LONG).await.unwrap(), "a");
            }
            assert!(matches!(queue.try_get_async().await, Err(GetError::Empty)));
        });
    }
}

#[test]
fn an_item_of_another_type_is_a_dead_letter_and_an_error() {
    let manager = manager(QueueOptions::new());
    let client = client(&manager);
    let (texts, numbers) = (client.queue::<String>("q"), client.queue::<u32>("q"));
    texts.put("not a number".into()).unwrap();
    numbers.put(7).unwrap();
    let Err(GetError::Undecodable(error)) = numbers.get() else { panic!("it is a text") };
    assert_eq!(error.type_name, "u32");
    assert_eq!(numbers.get().unwrap(), 7);
    let dead = numbers.dead(9).unwrap();
    assert_eq!(dead[0].item.as_ref().unwrap_err(), &error);
    assert!(dead[0].reason.starts_with("undecodable: not a u32"), "{}", dead[0].reason);
    assert_eq!(texts.take_dead(9).unwrap()[0].item.as_deref(), Ok("not a number"));

    texts.put("again".into()).unwrap();
    numbers.put_many(vec![8, 9]).unwrap();
    let good = numbers.lease_many(9, HOLD, LONG).unwrap();
    assert_eq!(good.iter().map(|lease| **lease).collect::<Vec<_>>(), [8, 9]);
    assert_eq!(numbers.stats().unwrap().dead, 1);
}

#[test]
fn an_item_that_is_too_large_is_refused_and_one_that_just_fits_travels() {
    let manager = builder().max_frame(100_000).register("q", QueueOptions::new()).start().unwrap();
    for queue in [manager.queue::<String>("q").unwrap(), queue(&manager)] {
        let error = queue.put("x".repeat(98_000)).unwrap_err();
        assert!(
            matches!(&error, PutError::Manager { error: ManagerError::TooLarge { .. }, .. }),
            "{error:?}"
        );
        assert_eq!(error.into_item().len(), 98_000);
        let large = "x".repeat(97_900);
        queue.put(large.clone()).unwrap();
        let lease = queue.lease(HOLD).unwrap();
        assert_eq!(*lease, large);
        lease.fail("r".repeat(2000)).unwrap();
        assert_eq!(queue.take_dead(1).unwrap()[0].item.as_ref().unwrap(), &large);
    }
}

#[test]
fn large_batches_are_cut_into_frames() {
    let manager = builder().max_frame(1 << 20).register("q", QueueOptions::new()).start().unwrap();
    let queue = queue::<String>(&manager);
    let items: Vec<_> = (0..60).map(|n| format!("{n}{}", "x".repeat(100_000))).collect();
    queue.put_many(items.clone()).unwrap();
    let mut got = Vec::new();
    while got.len() < items.len() {
        got.extend(queue.get_many(usize::MAX, LONG).unwrap());
    }
    assert!(got == items);
    queue.put_many(vec![String::new(); 100_000]).unwrap();
    let mut left = 100_000;
    while left > 0 {
        left -= queue.get_many(usize::MAX, LONG).unwrap().len();
    }
    queue.join().unwrap();
}

#[test]
fn eight_clients_move_twenty_thousand_items_without_loss_or_doubles() {
    const ITEMS: u32 = 20_000;
    let manager = manager(QueueOptions::new().maxsize(500));
    manager.register("out", QueueOptions::new()).unwrap();
    let movers: Vec<_> = (0..8)
        .map(|_| {
            let client = client(&manager);
            thread::spawn(move || {
                let (from, to) = (client.queue::<u32>("q"), client.queue::<u32>("out"));
                loop {
                    match from.lease_many(64, HOLD, LONG) {
                        Ok(leases) => {
                            to.put_many(leases.iter().map(|lease| **lease).collect()).unwrap();
                            assert_eq!(from.task_done_many(leases).unwrap(), [0; 0]);
                        }
                        Err(GetError::Closed) => break,
                        Err(error) => panic!("{error}"),
                    }
                }
            })
        })
        .collect();
    let from = Arc::new(manager.queue::<u32>("q").unwrap());
    let putters: Vec<_> = (0..2)
        .map(|half| {
            let from: Arc<Queue<u32>> = Arc::clone(&from);
            thread::spawn(move || {
                let items: Vec<_> = (0..ITEMS / 2).map(|n| n * 2 + half).collect();
                items.chunks(777).for_each(|piece| from.put_many(piece.to_vec()).unwrap());
            })
        })
        .collect();
    for putter in putters {
        putter.join().unwrap();
    }
    from.join().unwrap();
    from.close().unwrap();
    for mover in movers {
        mover.join().unwrap();
    }
    let out = manager.queue::<u32>("out").unwrap();
    let moved = out.get_many(usize::MAX, LONG).unwrap();
    assert_eq!(moved.len(), ITEMS as usize);
    assert_eq!(moved.into_iter().collect::<BTreeSet<_>>(), (0..ITEMS).collect());
    let stats = from.stats().unwrap();
    assert_eq!((stats.puts, stats.delivered, stats.done), (20_000, 20_000, 20_000));
}
