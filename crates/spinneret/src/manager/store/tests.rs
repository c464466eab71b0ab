mod special;
mod written;

use bytes::Bytes;

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const ALL: usize = usize::MAX;

fn store(options: QueueOptions, items: &[&'static str]) -> Store {
    let mut store = Store::new(options);
    assert_eq!(offer(&mut store, items).0, Offer::Taken);
    store
}

fn offer(store: &mut Store, items: &[&'static str]) -> (Offer, Vec<Bytes>) {
    let items = items.iter().map(|item| Bytes::from_static(item.as_bytes())).collect();
    let mut batch = Batch::Plain(items);
    let (outcome, _) = store.offer(&mut batch, Instant::now());
    let Batch::Plain(rest) = batch else { panic!("a batch stays what it is") };
    (outcome, rest.into())
}

/// Puts one item in its own way; returns how many were dropped.
fn put(store: &mut Store, item: &'static str, options: PutOptions, now: Instant) -> usize {
    let mut batch = Batch::Special([(Bytes::from(item), options)].into());
    let (outcome, offered) = store.offer(&mut batch, now);
    assert_eq!((outcome, batch.len()), (Offer::Taken, 0));
    let duplicates = offered.duplicates;
    assert!(store.admit(offered, true));
    duplicates
}

fn take_some(store: &mut Store, owner: Owner, max: usize, max_bytes: usize) -> Take {
    store.take(owner, Ask { max, max_bytes, hold: None }, Instant::now())
}

/// Takes items without a deadline: their leases and contents.
fn take(store: &mut Store, owner: Owner, max: usize) -> Vec<(u64, String)> {
    given(take_some(store, owner, max, ALL))
}

fn take_until(store: &mut Store, owner: Owner, max: usize, until: Instant) -> Vec<(u64, String)> {
    given(store.take(owner, Ask { max, max_bytes: ALL, hold: Some(Duration::ZERO) }, until))
}

fn take_at(store: &mut Store, now: Instant) -> Vec<String> {
    let taken = given(store.take(1, Ask { max: ALL, max_bytes: ALL, hold: None }, now));
    taken.into_iter().map(|(_, item)| item).collect()
}

fn given(taken: Take) -> Vec<(u64, String)> {
    match taken {
        Take::Items(given) => given.into_iter().map(|d| (d.lease, text(&d.payload))).collect(),
        Take::Empty | Take::Closed => Vec::new(),
    }
}

/// Settles leases; returns those that were not held.
fn settle(store: &mut Store, owner: Owner, leases: &[u64], how: &Settle) -> Vec<u64> {
    store.settle(owner, leases, how, Instant::now()).lost
}

fn requeue(store: &mut Store, numbers: Option<&[u64]>) -> usize {
    let planned = store.plan_requeue_dead(numbers);
    store.requeue_dead(&planned)
}

fn owner_gone(store: &mut Store, owner: Owner) -> usize {
    store.owner_gone(owner, Instant::now())
}

fn text(bytes: &Bytes) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn contents(taken: &[(u64, String)]) -> Vec<&str> {
    taken.iter().map(|(_, item)| item.as_str()).collect()
}

fn leases(taken: &[(u64, String)]) -> Vec<u64> {
    taken.iter().map(|(lease, _)| *lease).collect()
}

fn fail(reason: &str) -> Settle {
    Settle::Fail { reason: reason.into() }
}

#[test]
fn a_queued_item_costs_forty_eight_bytes_and_its_payload() {
    assert_eq!(size_of::<Item>(), 48);
    assert!(size_of::<Option<leases::Held>>() <= 72);
}

#[test]
fn items_come_out_first_in_first_out() {
    let mut store = store(QueueOptions::new(), &["a", "b", "c"]);
    assert_eq!(contents(&take(&mut store, 1, 2)), ["a", "b"]);
    assert_eq!(contents(&take(&mut store, 2, 9)), ["c"]);
    assert_eq!(take_some(&mut store, 1, 1, ALL), Take::Empty);
}

#[test]
fn a_bounded_queue_takes_what_fits_and_leaves_the_rest() {
    let mut store = Store::new(QueueOptions::new().maxsize(2));
    let (outcome, rest) = offer(&mut store, &["a", "b", "c"]);
    assert_eq!((outcome, rest), (Offer::Full, vec![Bytes::from("c")]));
    assert!(!store.concerns_putters());
    take(&mut store, 1, 1);
    assert!(store.concerns_putters(), "a leased item leaves room");
    assert_eq!(offer(&mut store, &["c"]).0, Offer::Taken);
}

#[test]
fn a_batch_stops_at_its_byte_limit_but_gives_at_least_one() {
    let mut store = store(QueueOptions::new(), &["aaaa", "bbbb", "cccc"]);
    let Take::Items(given) = take_some(&mut store, 1, 9, 2 * (4 + ITEM_HEAD)) else {
        panic!("there are items")
    };
    assert_eq!(given.len(), 2);
    let Take::Items(given) = take_some(&mut store, 1, 9, 1) else { panic!("there are items") };
    assert_eq!(text(&given[0].payload), "cccc");
}

#[test]
fn done_items_are_gone_and_counted() {
    let mut store = store(QueueOptions::new(), &["a", "b"]);
    let taken = take(&mut store, 1, 2);
    assert_eq!(store.stats().unfinished, 2);
    let lost = settle(&mut store, 1, &leases(&taken), &Settle::Done);
    assert_eq!(lost, [0; 0]);
    let stats = store.stats();
    assert_eq!((stats.puts, stats.delivered, stats.done, stats.unfinished), (2, 2, 2, 0));
    assert!(store.is_finished());
}

#[test]
fn a_lease_is_settled_by_its_owner_and_once() {
    let mut store = store(QueueOptions::new(), &["a"]);
    let lease = take(&mut store, 1, 1)[0].0;
    for how in [Settle::Done, Settle::Release, fail("x"), Settle::Extend { hold: SECOND }] {
        assert_eq!(settle(&mut store, 2, &[lease], &how), [lease], "another's: {how:?}");
    }
    assert_eq!(settle(&mut store, 1, &[lease, lease, 99], &Settle::Done), [99, lease]);
    assert_eq!(settle(&mut store, 1, &[lease], &Settle::Done), [lease]);
    assert_eq!(store.stats().done, 1);
}

#[test]
fn released_items_go_back_to_the_head_in_order() {
    let mut store = store(QueueOptions::new(), &["a", "b", "c", "d"]);
    let taken = take(&mut store, 1, 3);
    let mut held = leases(&taken);
    held.rotate_left(1);
    settle(&mut store, 1, &held, &Settle::Release);
    assert_eq!(contents(&take(&mut store, 1, 9)), ["a", "b", "c", "d"]);
}

#[test]
fn a_release_does_not_use_up_deliveries() {
    let mut store = store(QueueOptions::new().max_deliveries(2), &["a"]);
    for round in 1..=10 {
        let Take::Items(given) = take_some(&mut store, 1, 1, ALL) else { panic!("still there") };
        assert_eq!(given[0].deliveries, round, "every delivery is counted");
        settle(&mut store, 1, &[given[0].lease], &Settle::Release);
    }
    for _ in 0..2 {
        assert_eq!(take(&mut store, 1, 1).len(), 1);
        assert_eq!(owner_gone(&mut store, 1), 1);
    }
    assert_eq!(store.stats().dead, 1, "two of the deliveries counted");
    assert_eq!(store.dead(0, 9, ALL)[0].deliveries, 12);
}

#[test]
fn a_gone_owner_gives_its_items_back_in_order() {
    let mut store = store(QueueOptions::new(), &["a", "b", "c", "d"]);
    take(&mut store, 1, 1);
    take(&mut store, 2, 1);
    take(&mut store, 1, 1);
    let mut holders: Vec<_> = store.holders().collect();
    holders.sort_unstable();
    assert_eq!(holders, [1, 1, 2]);
    assert_eq!(owner_gone(&mut store, 1), 2);
    assert_eq!(contents(&take(&mut store, 3, 9)), ["a", "c", "d"]);
    assert_eq!(owner_gone(&mut store, 1), 0);
}

#[test]
fn an_item_delivered_too_often_becomes_a_dead_letter_with_the_reason() {
    let now = Instant::now();
    let mut store = store(QueueOptions::new().max_deliveries(2), &["a"]);
    take_until(&mut store, 1, 1, now + SECOND);
    assert_eq!(store.expire(now + SECOND), 1);
    assert_eq!(store.stats().dead, 0);
    take(&mut store, 1, 1);
    owner_gone(&mut store, 1);
    let dead = store.dead(0, 9, ALL);
    assert_eq!((dead.len(), dead[0].deliveries, &*dead[0].reason), (1, 2, "connection lost"));
    assert!(store.is_finished(), "a dead letter is not waited for");
}

#[test]
fn a_deadline_takes_back_exactly_the_leases_that_are_over() {
    let now = Instant::now();
    let mut store = store(QueueOptions::new(), &["a", "b", "c"]);
    take_until(&mut store, 1, 1, now + SECOND);
    take_until(&mut store, 1, 1, now + 2 * SECOND);
    take(&mut store, 1, 1);
    assert_eq!(store.next_deadline(), Some(now + SECOND));
    assert_eq!(store.expire(now), 0);
    assert_eq!(store.expire(now + SECOND), 1);
    assert_eq!(store.next_deadline(), Some(now + 2 * SECOND));
    assert_eq!(contents(&take(&mut store, 2, 9)), ["a"]);
    assert_eq!(store.expire(now + 100 * SECOND), 1);
    assert_eq!(store.stats().leased, 2, "a lease without deadline stays");
    assert_eq!(store.next_deadline(), None);
}

#[test]
fn the_reason_of_a_passed_deadline_is_said() {
    let now = Instant::now();
    let mut store = store(QueueOptions::new().max_deliveries(1), &["a"]);
    take_until(&mut store, 1, 1, now);
    store.expire(now);
    assert_eq!(&*store.dead(0, 9, ALL)[0].reason, "lease deadline passed");
}

#[test]
fn an_extended_lease_lasts_from_the_time_of_asking() {
    let now = Instant::now();
    let mut store = store(QueueOptions::new(), &["a"]);
    let lease = take_until(&mut store, 1, 1, now + SECOND)[0].0;
    let later = now + SECOND / 2;
    assert!(store.settle(1, &[lease], &Settle::Extend { hold: 2 * SECOND }, later).lost.is_empty());
    assert_eq!(store.next_deadline(), Some(later + 2 * SECOND));
    assert_eq!(store.expire(now + 2 * SECOND), 0);
    settle(&mut store, 1, &[lease], &Settle::Done);
    assert_eq!(store.next_deadline(), None);
}

#[test]
fn a_hold_beyond_the_end_of_time_has_no_deadline() {
    let now = Instant::now();
    let mut store = store(QueueOptions::new(), &["a"]);
    let lease = take_until(&mut store, 1, 1, now)[0].0;
    settle(&mut store, 1, &[lease], &Settle::Extend { hold: Duration::MAX });
    assert_eq!(store.next_deadline(), None);
    assert_eq!(store.stats().leased, 1);
}

#[test]
fn a_failed_item_is_a_dead_letter_at_once() {
    let mut store = store(QueueOptions::new(), &["a", "b"]);
    let taken = take(&mut store, 1, 1);
    settle(&mut store, 1, &leases(&taken), &fail("failed: no such host"));
    let dead = store.dead(0, 9, ALL);
    assert_eq!((&*dead[0].reason, dead[0].deliveries), ("failed: no such host", 1));
    assert_eq!(store.stats().queued, 1);
}

#[test]
fn a_returned_item_uses_up_its_deliveries() {
    let mut store = store(QueueOptions::new().max_deliveries(2), &["a"]);
    for left in [1, 0] {
        let taken = take(&mut store, 1, 1);
        let how = Settle::Return { reason: "holder panicked".into() };
        settle(&mut store, 1, &leases(&taken), &how);
        assert_eq!(store.stats().queued, left);
    }
    assert_eq!(&*store.dead(0, 9, ALL)[0].reason, "holder panicked");
}

#[test]
fn no_delivery_limit_means_none() {
    let mut store = store(QueueOptions::new().max_deliveries(0), &["a"]);
    for _ in 0..100 {
        assert_eq!(take(&mut store, 1, 1).len(), 1);
        owner_gone(&mut store, 1);
    }
    assert_eq!(store.stats().dead, 0);
}

#[test]
fn a_closed_queue_refuses_items_and_drains() {
    let mut store = store(QueueOptions::new(), &["a"]);
    store.close();
    assert_eq!(offer(&mut store, &["b"]).0, Offer::Closed);
    let taken = take(&mut store, 1, 1);
    assert_eq!(take_some(&mut store, 2, 1, ALL), Take::Empty, "it may come back");
    assert_eq!(take_some(&mut store, 1, 1, ALL), Take::Closed, "its holder would wait for itself");
    settle(&mut store, 1, &leases(&taken), &Settle::Done);
    assert_eq!(take_some(&mut store, 2, 1, ALL), Take::Closed);
}

#[test]
fn an_item_comes_back_to_a_closed_queue() {
    let mut store = store(QueueOptions::new(), &["a"]);
    take(&mut store, 1, 1);
    store.close();
    owner_gone(&mut store, 1);
    assert_eq!(contents(&take(&mut store, 2, 1)), ["a"]);
}

#[test]
fn dead_letters_are_paged_taken_once_and_requeued() {
    let mut store = store(QueueOptions::new(), &["a", "b", "c", "d"]);
    let taken = take(&mut store, 1, 4);
    for lease in leases(&taken) {
        settle(&mut store, 1, &[lease], &fail("x"));
    }
    let page = store.dead(0, 2, ALL);
    assert_eq!(page.iter().map(|dead| text(&dead.payload)).collect::<Vec<_>>(), ["a", "b"]);
    let next = store.dead(page[1].id, 9, 1);
    assert_eq!(next.len(), 1, "the byte limit holds");
    assert_eq!(store.drop_dead(&[page[0].id, page[0].id, 77]), [page[0].id, 77]);
    assert_eq!(store.drop_dead(&[page[0].id]), [page[0].id]);
    assert_eq!(requeue(&mut store, None), 3);
    assert_eq!(store.stats().dead, 0);
    let Take::Items(given) = take_some(&mut store, 1, 9, ALL) else { panic!("there are items") };
    assert_eq!(given.len(), 3);
    assert!(given.iter().all(|delivery| delivery.deliveries == 1));
}

#[test]
fn a_taken_item_is_gone_but_unfinished_until_its_task_is_done() {
    let mut store = store(QueueOptions::new(), &["a", "b"]);
    let given = leases(&take(&mut store, 1, 2));
    assert!(settle(&mut store, 1, &given, &Settle::Taken).is_empty());
    let stats = store.stats();
    assert_eq!((stats.leased, stats.taken, stats.unfinished, stats.done), (0, 2, 2, 0));
    assert_eq!(owner_gone(&mut store, 1), 0, "a taken item does not come back");
    assert!(!store.is_finished());
    assert_eq!(store.task_done(3), None, "more than were taken");
    for _ in 0..2 {
        assert!(store.task_done(1) == Some(1) && !store.is_finished());
        store.task_done_ended(1, true);
    }
    assert!(store.is_finished());
    assert_eq!(store.task_done(1), None);
    assert_eq!(store.stats().done, 2);
}

#[test]
fn an_item_may_be_reported_done_before_it_is_taken() {
    let mut store = store(QueueOptions::new(), &["a", "b"]);
    assert_eq!(store.task_done(3), None, "more than there are");
    assert_eq!((store.task_done(1), store.stats().unfinished), (Some(0), 1));
    let first = leases(&take(&mut store, 1, 1));
    assert_eq!(store.task_done(1), Some(0));
    assert!(store.is_finished() && store.task_done(1).is_none());
    assert!(settle(&mut store, 1, &first, &Settle::Taken).is_empty());
    let stats = store.stats();
    assert_eq!((stats.queued, stats.taken, stats.done, stats.unfinished), (1, 0, 1, 0));
    let second = leases(&take(&mut store, 1, 1));
    assert!(settle(&mut store, 1, &second, &Settle::Taken).is_empty());
    assert_eq!((store.stats().done, store.stats().unfinished), (2, 0));
}

#[test]
fn what_was_reported_ahead_does_not_count_for_later_items() {
    for how in [Settle::Done, fail("x")] {
        let mut store = store(QueueOptions::new(), &["a"]);
        assert_eq!(store.task_done(1), Some(0));
        let held = leases(&take(&mut store, 1, 1));
        assert!(settle(&mut store, 1, &held, &how).is_empty());
        offer(&mut store, &["b"]);
        assert_eq!(store.stats().unfinished, 1, "{how:?}");
    }
    let mut store = store(QueueOptions::new().max_deliveries(1), &["a"]);
    assert_eq!(store.task_done(1), Some(0));
    take(&mut store, 1, 1);
    assert_eq!(owner_gone(&mut store, 1), 1);
    offer(&mut store, &["b"]);
    assert_eq!((store.stats().dead, store.stats().unfinished), (1, 1));
}
