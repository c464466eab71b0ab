use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::manager::{store::Batch, wire::PutEnd};

fn shared(options: QueueOptions) -> Arc<SharedStore> {
    SharedStore::new(Store::new(options), None, Arc::default())
}

fn ask(max: usize) -> Ask {
    Ask { max, max_bytes: usize::MAX, hold: None }
}

fn items(range: std::ops::Range<u8>) -> Batch {
    Batch::Plain(range.map(|n| Bytes::from(vec![n])).collect())
}

fn taken(reply: Reply) -> Vec<u8> {
    let Reply::Leased(given) = reply else { panic!("{reply:?}") };
    given.iter().map(|delivery| delivery.payload[0]).collect()
}

/// Lets every task that can go on do so.
async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn takers_are_served_in_the_order_in_which_they_came() {
    let queue = shared(QueueOptions::new());
    let mut waiting = Vec::new();
    for owner in 0..4 {
        let queue = Arc::clone(&queue);
        waiting.push(tokio::spawn(
            async move { taken(queue.take(owner, ask(1), Wait::Forever).await) },
        ));
        settle().await;
    }
    queue.put(items(0..4), Wait::No).await;
    for (n, task) in waiting.into_iter().enumerate() {
        assert_eq!(task.await.unwrap(), [n as u8]);
    }
}

#[tokio::test]
async fn a_taker_that_gives_up_takes_nothing_and_wakes_the_next() {
    let queue = shared(QueueOptions::new());
    let spawn = |owner| {
        let queue = Arc::clone(&queue);
        tokio::spawn(async move { taken(queue.take(owner, ask(1), Wait::Forever).await) })
    };
    let (first, second) = (spawn(1), spawn(2));
    settle().await;
    queue.put(items(0..1), Wait::No).await;
    // The first is woken by now, but has not run.
    first.abort();
    assert_eq!(second.await.unwrap(), [0]);
    assert!(first.await.unwrap_err().is_cancelled());
    assert_eq!(queue.stats().leased, 1);
}

#[tokio::test]
async fn a_batch_for_a_full_queue_goes_in_as_room_comes() {
    let queue = shared(QueueOptions::new().maxsize(2));
    let put = tokio::spawn({
        let queue = Arc::clone(&queue);
        async move { queue.put(items(0..5), Wait::Forever).await }
    });
    let mut got = Vec::new();
    while got.len() < 5 {
        got.extend(taken(queue.take(1, ask(9), Wait::Forever).await));
        assert!(queue.stats().queued <= 2);
    }
    assert_eq!(got, [0, 1, 2, 3, 4]);
    assert_eq!(put.await.unwrap(), Reply::Put { accepted: 5, duplicates: 0, end: PutEnd::All });
}

#[tokio::test(start_paused = true)]
async fn a_put_that_runs_out_of_time_tells_how_much_went_in() {
    let queue = shared(QueueOptions::new().maxsize(2));
    let wait = Wait::For(Duration::from_secs(1));
    let reply = queue.put(items(0..5), wait).await;
    assert_eq!(reply, Reply::Put { accepted: 2, duplicates: 0, end: PutEnd::Full });
    let reply = queue.put(items(0..5), Wait::No).await;
    assert_eq!(reply, Reply::Put { accepted: 0, duplicates: 0, end: PutEnd::Full });
}

#[tokio::test(start_paused = true)]
async fn a_take_from_an_empty_queue_ends_after_its_time() {
    let queue = shared(QueueOptions::new());
    let wait = Wait::For(Duration::from_secs(1));
    assert_eq!(queue.take(1, ask(1), wait).await, Reply::Empty);
    assert_eq!(queue.take(1, ask(1), Wait::No).await, Reply::Empty);
}

#[tokio::test]
async fn closing_ends_all_waiting() {
    let queue = shared(QueueOptions::new().maxsize(1));
    let takers: Vec<_> = (0..3)
        .map(|owner| {
            let queue = Arc::clone(&queue);
            tokio::spawn(async move { queue.take(owner, ask(1), Wait::Forever).await })
        })
        .collect();
    settle().await;
    queue.close().unwrap();
    for taker in takers {
        assert_eq!(taker.await.unwrap(), Reply::Closed);
    }
    let reply = queue.put(items(0..1), Wait::Forever).await;
    assert_eq!(reply, Reply::Put { accepted: 0, duplicates: 0, end: PutEnd::Closed });
}

#[tokio::test]
async fn a_waiting_put_ends_when_the_queue_is_closed() {
    let queue = shared(QueueOptions::new().maxsize(1));
    let put = tokio::spawn({
        let queue = Arc::clone(&queue);
        async move { queue.put(items(0..2), Wait::Forever).await }
    });
    settle().await;
    queue.close().unwrap();
    assert_eq!(put.await.unwrap(), Reply::Put { accepted: 1, duplicates: 0, end: PutEnd::Closed });
}

#[tokio::test]
async fn a_taker_of_a_closed_queue_waits_for_what_others_hold() {
    let queue = shared(QueueOptions::new());
    queue.put(items(0..1), Wait::No).await;
    taken(queue.take(1, ask(1), Wait::No).await);
    queue.close().unwrap();
    let waiting = tokio::spawn({
        let queue = Arc::clone(&queue);
        async move { queue.take(2, ask(1), Wait::Forever).await }
    });
    settle().await;
    assert!(!waiting.is_finished());
    queue.owner_gone(1);
    assert_eq!(taken(waiting.await.unwrap()), [0]);
}

/// Starts to take one item, waiting for it.
fn start_take(queue: &Arc<SharedStore>, owner: Owner) -> tokio::task::JoinHandle<Reply> {
    let queue = Arc::clone(queue);
    tokio::spawn(async move {
        let take = queue.take(owner, ask(1), Wait::Forever);
        tokio::time::timeout(Duration::from_mins(1), take).await.expect("it would wait for ever")
    })
}

#[tokio::test]
async fn two_who_hold_items_of_a_closed_queue_do_not_wait_for_each_other() {
    let queue = shared(QueueOptions::new());
    queue.put(items(0..2), Wait::No).await;
    assert_eq!(taken(queue.take(1, ask(1), Wait::No).await), [0]);
    assert_eq!(taken(queue.take(2, ask(1), Wait::No).await), [1]);
    let (first, second) = (start_take(&queue, 1), start_take(&queue, 2));
    settle().await;
    queue.close().unwrap();
    assert_eq!(first.await.unwrap(), Reply::Closed);
    settle().await;
    assert!(!second.is_finished(), "the first waits no more: what it holds may come back");
    queue.owner_gone(1);
    assert_eq!(taken(second.await.unwrap()), [0]);
    assert_eq!(start_take(&queue, 2).await.unwrap(), Reply::Closed, "the rest is its own");
    queue.owner_gone(2);
    assert_eq!(queue.stats().queued, 2, "nothing is lost");
}

#[tokio::test]
async fn whoever_waits_behind_others_for_its_own_item_is_told_so() {
    let queue = shared(QueueOptions::new());
    queue.put(items(0..1), Wait::No).await;
    assert_eq!(taken(queue.take(1, ask(1), Wait::No).await), [0]);
    queue.close().unwrap();
    let other = start_take(&queue, 2);
    settle().await;
    assert_eq!(start_take(&queue, 1).await.unwrap(), Reply::Closed);
    assert!(!other.is_finished());
    queue.owner_gone(1);
    assert_eq!(taken(other.await.unwrap()), [0]);
}

#[tokio::test]
async fn a_taker_of_a_closed_queue_waits_for_a_lease_that_runs_out() {
    let queue = shared(QueueOptions::new());
    queue.put(items(0..2), Wait::No).await;
    let hold = Some(Duration::from_mins(1));
    taken(queue.take(1, Ask { hold, ..ask(1) }, Wait::No).await);
    taken(queue.take(2, ask(1), Wait::No).await);
    let (first, second) = (start_take(&queue, 1), start_take(&queue, 2));
    settle().await;
    queue.close().unwrap();
    assert_eq!(first.await.unwrap(), Reply::Closed);
    settle().await;
    assert!(!second.is_finished());
    queue.expire(Instant::now() + Duration::from_mins(1));
    assert_eq!(taken(second.await.unwrap()), [0]);
}

#[tokio::test]
async fn who_gave_up_waiting_is_waited_for() {
    let queue = shared(QueueOptions::new());
    queue.put(items(0..1), Wait::No).await;
    taken(queue.take(1, ask(1), Wait::No).await);
    let (other, holder) = (start_take(&queue, 2), start_take(&queue, 1));
    settle().await;
    holder.abort();
    settle().await;
    queue.close().unwrap();
    settle().await;
    assert!(!other.is_finished());
    queue.owner_gone(1);
    assert_eq!(taken(other.await.unwrap()), [0]);
}

#[tokio::test]
async fn stopping_ends_all_waiting() {
    let queue = shared(QueueOptions::new().maxsize(1));
    let spawn = |request: u8| {
        let queue = Arc::clone(&queue);
        tokio::spawn(async move {
            match request {
                0 => queue.put(items(0..2), Wait::Forever).await,
                _ => queue.join(Wait::Forever).await,
            }
        })
    };
    let [first, joining, second] = [spawn(0), spawn(1), spawn(0)];
    settle().await;
    queue.end(Refusal::ShutDown);
    let refused = Reply::Refused(Refusal::ShutDown);
    assert_eq!(second.await.unwrap(), refused);
    assert_eq!(joining.await.unwrap(), refused);
    let partly = Reply::Put { accepted: 1, duplicates: 0, end: PutEnd::All };
    assert_eq!(first.await.unwrap(), partly, "one went in; the other is refused when it is put");
    assert_eq!(queue.put(items(1..2), Wait::Forever).await, refused);
    let reply = queue.take(1, ask(1), Wait::Forever).await;
    assert_eq!(reply, Reply::Refused(Refusal::ShutDown));
}

#[tokio::test]
async fn join_waits_until_all_is_done() {
    let queue = shared(QueueOptions::new());
    assert_eq!(queue.join(Wait::Forever).await, Reply::Joined(true));
    queue.put(items(0..2), Wait::No).await;
    let joined = tokio::spawn({
        let queue = Arc::clone(&queue);
        async move { queue.join(Wait::Forever).await }
    });
    let Reply::Leased(given) = queue.take(1, ask(2), Wait::No).await else { panic!() };
    settle().await;
    queue.settle_untold(1, &[given[0].lease], &Settle::Done);
    settle().await;
    assert!(!joined.is_finished());
    assert_eq!(queue.join(Wait::No).await, Reply::Joined(false));
    queue.settle_untold(1, &[given[1].lease], &Settle::Fail { reason: "x".into() });
    assert_eq!(joined.await.unwrap(), Reply::Joined(true));
}

#[tokio::test(start_paused = true)]
async fn the_alarm_rings_at_the_earliest_time_that_was_set() {
    let alarm = Arc::new(Alarm::default());
    let rung = tokio::spawn({
        let alarm = Arc::clone(&alarm);
        async move { alarm.ring().await }
    });
    settle().await;
    let start = tokio::time::Instant::now();
    let seconds = |n| (start + Duration::from_secs(n)).into_std();
    alarm.set(seconds(60));
    alarm.set(seconds(2));
    alarm.set(seconds(30));
    rung.await.unwrap();
    assert!((2..3).contains(&start.elapsed().as_secs()));
}
