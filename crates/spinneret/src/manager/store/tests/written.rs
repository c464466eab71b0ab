//! The two halves of what a durable queue does.

use super::*;

/// A durable queue, and what it wants to be written.
fn durable(options: QueueOptions) -> Store {
    Store::durable(options, Arc::default(), Past::default())
}

#[test]
fn an_item_is_in_a_durable_queue_once_it_is_written() {
    let mut store = durable(QueueOptions::new().maxsize(2));
    let mut batch = Batch::Plain([Bytes::from("a"), Bytes::from("b"), Bytes::from("c")].into());
    let (outcome, offered) = store.offer(&mut batch, Instant::now());
    assert_eq!((outcome, offered.accepted, batch.len()), (Offer::Full, 2, 1));
    assert_eq!(store.take_changes().len(), 2);
    assert_eq!(store.stats().queued, 0);
    assert_eq!(take_some(&mut store, 1, 9, ALL), Take::Empty);
    assert!(!store.concerns_putters(), "their room is taken");
    assert!(store.admit(offered, true));
    assert_eq!(contents(&take(&mut store, 1, 9)), ["a", "b"]);
}

#[test]
fn an_item_that_could_not_be_written_was_never_there() {
    let now = Instant::now();
    let mut store = durable(QueueOptions::new().maxsize(1));
    let once = PutOptions::new().dedupe("key", SECOND);
    let offer = |store: &mut Store| {
        store.offer(&mut Batch::Special([(Bytes::from("a"), once.clone())].into()), now).1
    };
    let (first, second) = (offer(&mut store), offer(&mut store));
    assert_eq!((first.duplicates, second.duplicates), (0, 1));
    assert!(!store.admit(first, false));
    assert!(!store.admit(second, true), "the other one is lost, so that this one is none");
    assert!(store.concerns_putters() && store.is_finished());
    assert_eq!(offer(&mut store).duplicates, 0, "the key is free again");
}

#[test]
fn an_end_that_could_not_be_written_gives_the_item_back_untried() {
    let mut store = durable(QueueOptions::new().max_deliveries(1));
    for how in [Settle::Done, Settle::Taken] {
        let (_, offered) =
            store.offer(&mut Batch::Plain([Bytes::from("a")].into()), Instant::now());
        store.admit(offered, true);
        let held = leases(&take(&mut store, 1, 1));
        let settled = store.settle(1, &held, &how, Instant::now());
        assert_eq!((store.stats().leased, store.stats().unfinished), (1, 1));
        store.close();
        assert_eq!(take_some(&mut store, 2, 1, ALL), Take::Empty, "it may come back");
        store.ended(settled, false);
        let held = leases(&take(&mut store, 1, 1));
        let settled = store.settle(1, &held, &how, Instant::now());
        store.ended(settled, true);
        store.closed = false;
    }
    let stats = store.stats();
    assert_eq!((stats.done, stats.taken, stats.dead), (1, 1, 0));
    assert_eq!((store.task_done(1), store.task_done(1)), (Some(1), None));
    store.task_done_ended(1, false);
    assert_eq!(store.stats().taken, 1);
}

#[test]
fn what_was_reported_ahead_is_not_written_and_holds_until_its_item_has_ended() {
    let mut store = durable(QueueOptions::new());
    for item in ["a", "b"] {
        let (_, offered) =
            store.offer(&mut Batch::Plain([Bytes::from(item)].into()), Instant::now());
        store.admit(offered, true);
    }
    store.take_changes();
    assert_eq!((store.task_done(1), store.take_changes()), (Some(0), vec![]));
    for written in [false, true] {
        let held = leases(&take(&mut store, 1, 2));
        let settled = store.settle(1, &held, &Settle::Taken, Instant::now());
        assert!(store.take_changes().contains(&Change::Taken(1)), "of two, one is done already");
        store.ended(settled, written);
        let stats = store.stats();
        let (taken, done) = if written { (1, 1) } else { (0, 0) };
        assert_eq!((stats.taken, stats.done, stats.unfinished), (taken, done, 1));
    }
}

#[test]
fn items_that_never_reached_their_taker_do_not_count_as_delivered() {
    let mut store = store(QueueOptions::new().max_deliveries(1), &["a", "b"]);
    let held = leases(&take(&mut store, 1, 2));
    store.untake(2, &held);
    assert_eq!(store.stats().leased, 2, "another's");
    store.untake(1, &held);
    assert_eq!((store.stats().leased, store.stats().delivered), (0, 0));
    let Take::Items(given) = take_some(&mut store, 1, 9, ALL) else { panic!("they are back") };
    assert_eq!(given.iter().map(|d| d.deliveries).collect::<Vec<_>>(), [1, 1]);
    assert_eq!(text(&given[0].payload), "a");
}

#[test]
fn deliveries_under_a_lease_are_noted_and_gets_only_when_they_fail() {
    let mut store = durable(QueueOptions::new());
    let (_, offered) = store.offer(&mut Batch::Plain([Bytes::from("a")].into()), Instant::now());
    store.admit(offered, true);
    store.take_changes();
    take(&mut store, 1, 1);
    assert_eq!(store.take_changes(), []);
    owner_gone(&mut store, 1);
    let tries = |deliveries| {
        vec![Change::Tries { item: ItemId::new(0, 1), deliveries, released: 0, due: None }]
    };
    assert_eq!(store.take_changes(), tries(1));
    take_until(&mut store, 1, 1, Instant::now() + SECOND);
    assert_eq!(store.take_changes(), tries(2));
}

#[test]
fn a_queue_in_memory_notes_nothing() {
    let mut store = store(QueueOptions::new(), &["a"]);
    take(&mut store, 1, 1);
    owner_gone(&mut store, 1);
    store.plan_close();
    assert_eq!(store.take_changes(), []);
}
