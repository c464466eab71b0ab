//! Priorities, delays, keys and pauses.

use super::*;

#[test]
fn the_most_urgent_item_is_taken_first_and_equals_in_order() {
    let now = Instant::now();
    let mut store = store(QueueOptions::new(), &["a", "b"]);
    for (item, priority) in [("low", -1), ("high", 2), ("higher", 127), ("high too", 2)] {
        put(&mut store, item, PutOptions::new().priority(priority), now);
    }
    put(&mut store, "lowest", PutOptions::new().priority(-128), now);
    let peeked: Vec<_> =
        store.peek(0, 9, ALL, now).iter().map(|item| text(&item.payload)).collect();
    let order = ["higher", "high", "high too", "a", "b", "low", "lowest"];
    assert_eq!(peeked, order);
    assert_eq!(store.stats().queued, 7);
    assert_eq!(take_at(&mut store, now), order);
}

#[test]
fn a_returned_item_goes_to_the_head_of_its_priority() {
    let now = Instant::now();
    let mut store = store(QueueOptions::new(), &["a"]);
    put(&mut store, "urgent", PutOptions::new().priority(1), now);
    put(&mut store, "urgent too", PutOptions::new().priority(1), now);
    assert_eq!(contents(&take(&mut store, 1, 1)), ["urgent"]);
    owner_gone(&mut store, 1);
    assert_eq!(take_at(&mut store, now), ["urgent", "urgent too", "a"]);
}

#[test]
fn a_delayed_item_joins_the_line_when_its_time_comes() {
    let now = Instant::now();
    let mut store = store(QueueOptions::new().maxsize(3), &["a"]);
    put(&mut store, "late", PutOptions::new().delay(2 * SECOND), now);
    put(&mut store, "soon", PutOptions::new().delay(SECOND), now);
    let stats = store.stats();
    assert_eq!((stats.queued, stats.delayed, stats.unfinished), (3, 2, 3));
    assert!(!store.concerns_putters(), "delayed items fill the queue too");
    assert_eq!(take_at(&mut store, now), ["a"]);
    assert!(!store.is_finished() && !store.concerns_takers());
    assert_eq!(store.next_deadline(), Some(now + SECOND));
    assert_eq!(store.expire(now + SECOND), 0);
    assert!(store.concerns_takers(), "whoever waits is told");
    assert_eq!(take_at(&mut store, now + SECOND), ["soon"]);
    assert_eq!(take_at(&mut store, now + 2 * SECOND), ["late"]);
    assert_eq!(store.next_deadline(), None);
}

#[test]
fn a_closed_queue_with_delayed_items_is_not_drained() {
    let now = Instant::now();
    let mut store = store(QueueOptions::new(), &[]);
    put(&mut store, "late", PutOptions::new().delay(SECOND), now);
    store.close();
    assert_eq!(take_some(&mut store, 1, 1, ALL), Take::Empty);
    assert_eq!(take_at(&mut store, now + SECOND), ["late"]);
}

#[test]
fn a_second_put_of_a_key_is_dropped_until_the_first_one_s_time_is_over() {
    let now = Instant::now();
    let once = |ttl: u32| PutOptions::new().dedupe("key", ttl * SECOND);
    let mut store = store(QueueOptions::new(), &[]);
    assert_eq!(put(&mut store, "a", once(2), now), 0);
    assert_eq!(put(&mut store, "b", once(9), now + SECOND), 1);
    assert_eq!(put(&mut store, "c", PutOptions::new().dedupe("other", SECOND), now), 0);
    assert_eq!(take_at(&mut store, now), ["a", "c"]);
    assert_eq!(put(&mut store, "d", once(2), now + SECOND), 1, "taken, but its time runs on");
    assert_eq!(put(&mut store, "e", once(2), now + 2 * SECOND), 0);
    assert_eq!(take_at(&mut store, now), ["e"]);
}

#[test]
fn keys_of_any_length_are_told_apart() {
    let now = Instant::now();
    let long = "x".repeat(1000);
    let key = |end: &str| PutOptions::new().dedupe(format!("{long}{end}"), SECOND);
    let mut store = store(QueueOptions::new(), &[]);
    assert_eq!(put(&mut store, "a", key("1"), now), 0);
    assert_eq!(put(&mut store, "b", key("2"), now), 0);
    assert_eq!(put(&mut store, "c", key("1"), now), 1);
}

#[test]
fn a_duplicate_needs_no_room() {
    let now = Instant::now();
    let once = PutOptions::new().dedupe("key", SECOND);
    let mut store = store(QueueOptions::new().maxsize(1), &[]);
    put(&mut store, "a", once.clone(), now);
    assert_eq!(put(&mut store, "b", once, now), 1);
}

#[test]
fn pauses_after_failures_double_up_to_the_longest() {
    let now = Instant::now();
    let options = QueueOptions::new().max_deliveries(0).backoff(SECOND, 5 * SECOND);
    let mut store = store(options, &["a"]);
    let mut now = now;
    for pause in [1, 2, 4, 5, 5] {
        assert_eq!(take_at(&mut store, now), ["a"]);
        assert_eq!(store.owner_gone(1, now), 1);
        let before = now + (2 * pause - 1) * SECOND / 2;
        assert_eq!(take_at(&mut store, before), [""; 0]);
        assert_eq!(store.next_due(), Some(now + pause * SECOND));
        now += pause * SECOND;
    }
}

#[test]
fn an_item_that_is_released_waits_for_nothing() {
    let mut store = store(QueueOptions::new().backoff(SECOND, SECOND), &["a"]);
    let held = leases(&take(&mut store, 1, 1));
    settle(&mut store, 1, &held, &Settle::Release);
    assert_eq!(contents(&take(&mut store, 1, 1)), ["a"]);
}

#[test]
fn an_item_that_comes_back_from_a_pause_goes_before_new_ones() {
    let now = Instant::now();
    let mut store = store(QueueOptions::new().backoff(SECOND, SECOND), &["old"]);
    assert_eq!(take_at(&mut store, now), ["old"]);
    store.owner_gone(1, now);
    offer(&mut store, &["new"]);
    assert_eq!(take_at(&mut store, now + SECOND), ["old", "new"]);
}

#[test]
fn peeking_takes_nothing_and_knows_its_place() {
    let now = Instant::now();
    let mut store = store(QueueOptions::new(), &["a", "b", "c"]);
    put(&mut store, "later", PutOptions::new().delay(SECOND).priority(3), now);
    let seen = store.peek(1, 2, ALL, now);
    assert_eq!(seen.iter().map(|item| text(&item.payload)).collect::<Vec<_>>(), ["b", "c"]);
    assert_eq!(store.peek(0, 9, 1, now).len(), 1, "the byte limit holds");
    let last = &store.peek(3, 9, ALL, now)[0];
    assert_eq!((text(&last.payload).as_str(), last.delay, last.priority), ("later", SECOND, 3));
    assert_eq!((store.stats().queued, store.stats().delivered), (4, 0));
}

#[test]
fn only_the_dead_letters_that_are_named_are_queued_again() {
    let mut store = store(QueueOptions::new(), &["a", "b", "c"]);
    let held = leases(&take(&mut store, 1, 3));
    for lease in held {
        settle(&mut store, 1, &[lease], &fail("x"));
    }
    assert_eq!(requeue(&mut store, Some(&[3, 1, 99])), 2);
    assert_eq!(contents(&take(&mut store, 1, 9)), ["a", "c"]);
    assert_eq!(store.dead(0, 9, ALL).iter().map(|dead| dead.id).collect::<Vec<_>>(), [2]);
}
