mod numbers;
mod registering;

use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::*;
use crate::manager::{
    hub::Hub,
    store::{Owner, PutOptions, QueueStats, Settle, Waiting},
    wire::{DEFAULT_MAX_FRAME, PutEnd, Refusal, Reply, Request, Wait},
};

const HOLD: Duration = Duration::from_hours(1);

fn name() -> Name {
    Name::sought("q")
}

fn open(folder: &TempDir) -> Hub {
    let (data, found) = DataFolder::open(&folder.path().join("data")).unwrap();
    Hub::durable(DEFAULT_MAX_FRAME, data, found)
}

/// A hub with a queue in a new folder.
async fn hub(options: QueueOptions) -> (TempDir, Hub) {
    let folder = TempDir::new().unwrap();
    let hub = open(&folder);
    register(&hub, options).await;
    (folder, hub)
}

async fn register(hub: &Hub, options: QueueOptions) {
    let reply = hub.call(0, Request::Register { queue: name(), options }).await;
    assert_eq!(reply, Reply::Done);
}

/// What a killed manager's successor finds: nobody has given anything back.
fn killed(folder: &TempDir, hub: Hub) -> Hub {
    hub.close_data();
    drop(hub);
    open(folder)
}

async fn put(hub: &Hub, items: &[&'static str]) -> Reply {
    let items = items.iter().map(|item| Bytes::from_static(item.as_bytes())).collect();
    hub.call(1, Request::Put { queue: name(), wait: Wait::No, items }).await
}

async fn put_with(hub: &Hub, item: &'static str, options: PutOptions) -> u32 {
    let items = vec![(Bytes::from_static(item.as_bytes()), options)];
    match hub.call(1, Request::PutWith { queue: name(), wait: Wait::No, items }).await {
        Reply::Put { accepted: 1, duplicates, end: PutEnd::All } => duplicates,
        other => panic!("{other:?}"),
    }
}

/// Takes items under a lease: their leases, deliveries and contents.
async fn take(hub: &Hub, owner: Owner, max: u32) -> Vec<(u64, u32, String)> {
    let lease = Request::Lease { queue: name(), max, hold: Some(HOLD), wait: Wait::No };
    match hub.call(owner, lease).await {
        Reply::Leased(given) => given
            .into_iter()
            .map(|item| (item.lease, item.deliveries, text(&item.payload)))
            .collect(),
        Reply::Empty => Vec::new(),
        other => panic!("{other:?}"),
    }
}

async fn settle(hub: &Hub, owner: Owner, leases: &[(u64, u32, String)], how: Settle) -> Reply {
    let leases = leases.iter().map(|(lease, ..)| *lease).collect();
    hub.call(owner, Request::Settle { queue: name(), leases, how }).await
}

fn text(payload: &Bytes) -> String {
    String::from_utf8(payload.to_vec()).unwrap()
}

fn peek(hub: &Hub) -> Vec<Waiting> {
    match hub.call_now(0, Request::Peek { queue: name(), skip: 0, max: 999 }) {
        Reply::Peeked(found) => found,
        other => panic!("{other:?}"),
    }
}

fn waiting(hub: &Hub) -> Vec<String> {
    peek(hub).iter().map(|item| text(&item.payload)).collect()
}

fn stats(hub: &Hub) -> QueueStats {
    match hub.call_now(0, Request::Stats { queue: name() }) {
        Reply::Stats(stats) => stats,
        other => panic!("{other:?}"),
    }
}

fn dead(hub: &Hub) -> Vec<(String, String, u32)> {
    match hub.call_now(0, Request::Dead { queue: name(), after: 0, max: 999 }) {
        Reply::Dead(found) => found
            .into_iter()
            .map(|dead| (text(&dead.payload), dead.reason.to_string(), dead.deliveries))
            .collect(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn items_are_found_again_in_their_order() {
    let (folder, hub) = hub(QueueOptions::new()).await;
    put(&hub, &["a", "b"]).await;
    put_with(&hub, "urgent", PutOptions::new().priority(7)).await;
    put_with(&hub, "idle", PutOptions::new().priority(-7)).await;
    put(&hub, &["c"]).await;
    let hub = killed(&folder, hub);
    assert_eq!(waiting(&hub), ["urgent", "a", "b", "c", "idle"]);
    put(&hub, &["d"]).await;
    let hub = killed(&folder, hub);
    assert_eq!(waiting(&hub), ["urgent", "a", "b", "c", "d", "idle"]);
}

#[tokio::test]
async fn what_is_done_is_gone() {
    let (folder, hub) = hub(QueueOptions::new()).await;
    put(&hub, &["a", "b", "c"]).await;
    let held = take(&hub, 1, 2).await;
    assert_eq!(settle(&hub, 1, &held[..1], Settle::Done).await, Reply::Lost(vec![]));
    let hub = killed(&folder, hub);
    assert_eq!(waiting(&hub), ["b", "c"], "`b` was held, and is back at the head");
}

#[tokio::test]
async fn a_get_that_nobody_confirms_to_its_taker_is_done_too() {
    let (folder, hub) = hub(QueueOptions::new()).await;
    put(&hub, &["a", "b"]).await;
    let get = Request::Lease { queue: name(), max: 1, hold: None, wait: Wait::No };
    let Reply::Leased(given) = hub.call(1, get).await else { panic!("there is one") };
    let leases = vec![given[0].lease];
    hub.call_now(1, Request::Settle { queue: name(), leases, how: Settle::Done });
    assert_eq!((stats(&hub).leased, stats(&hub).done), (0, 1));
    let hub = killed(&folder, hub);
    assert_eq!(waiting(&hub), ["b"]);
}

#[tokio::test]
async fn deliveries_are_counted_over_a_restart_up_to_the_limit() {
    let (folder, mut hub) = hub(QueueOptions::new().max_deliveries(2)).await;
    put(&hub, &["a"]).await;
    for deliveries in 1..=2 {
        assert_eq!(take(&hub, 1, 1).await[0].1, deliveries);
        hub = killed(&folder, hub);
    }
    assert_eq!(waiting(&hub), [""; 0]);
    assert_eq!(dead(&hub), [("a".into(), "manager ended".into(), 2)]);
    let hub = killed(&folder, hub);
    assert_eq!(dead(&hub).len(), 1);
}

#[tokio::test]
async fn a_released_item_is_not_charged_after_a_restart_either() {
    let (folder, mut hub) = hub(QueueOptions::new().max_deliveries(1)).await;
    put(&hub, &["a"]).await;
    for round in 1..=3 {
        let held = take(&hub, 1, 1).await;
        assert_eq!(held[0].1, round);
        settle(&hub, 1, &held, Settle::Release).await;
        hub = killed(&folder, hub);
    }
    assert_eq!(peek(&hub)[0].deliveries, 3);
}

#[tokio::test]
async fn a_delay_goes_on_over_a_restart() {
    let (folder, hub) = hub(QueueOptions::new().backoff(HOLD, HOLD)).await;
    put_with(&hub, "delayed", PutOptions::new().delay(2 * HOLD)).await;
    put_with(&hub, "brief", PutOptions::new().delay(Duration::from_millis(1))).await;
    put(&hub, &["failed"]).await;
    // The brief delay is over at some time; the failed item is the first until then.
    let held = take(&hub, 1, 1).await;
    let failed = held[0].2.clone();
    settle(&hub, 1, &held, Settle::Return { reason: "x".into() }).await;
    let hub = killed(&folder, hub);
    let found = peek(&hub);
    let delay = |item: &str| found.iter().find(|found| text(&found.payload) == item).unwrap().delay;
    assert!(delay("delayed") > HOLD && delay("delayed") <= 2 * HOLD);
    assert!(delay(&failed) > HOLD / 2 && delay(&failed) <= HOLD);
}

#[tokio::test]
async fn a_key_stays_in_use_over_a_restart() {
    let (folder, hub) = hub(QueueOptions::new()).await;
    let once = |key: &str, ttl| PutOptions::new().dedupe(key, ttl);
    assert_eq!(put_with(&hub, "a", once("long", HOLD)).await, 0);
    assert_eq!(put_with(&hub, "b", once("short", Duration::ZERO)).await, 0);
    let hub = killed(&folder, hub);
    assert_eq!(put_with(&hub, "c", once("long", HOLD)).await, 1);
    assert_eq!(put_with(&hub, "d", once("short", HOLD)).await, 0);
    assert_eq!(waiting(&hub), ["a", "b", "d"]);
}

#[tokio::test]
async fn dead_letters_are_found_dropped_and_queued_again() {
    let (folder, hub) = hub(QueueOptions::new()).await;
    put(&hub, &["a", "b", "c", "d"]).await;
    for _ in 0..3 {
        let held = take(&hub, 1, 1).await;
        settle(&hub, 1, &held, Settle::Fail { reason: "failed: why".into() }).await;
    }
    let hub = killed(&folder, hub);
    let letter = |item: &str| (item.to_owned(), "failed: why".to_owned(), 1);
    assert_eq!(dead(&hub), [letter("a"), letter("b"), letter("c")]);
    let drop = Request::DropDead { queue: name(), ids: vec![2, 9] };
    assert_eq!(hub.call(1, drop).await, Reply::Lost(vec![9]));
    let again = Request::RequeueDead { queue: name(), ids: Some(vec![1, 2]) };
    assert_eq!(hub.call(1, again).await, Reply::Count(1));
    let hub = killed(&folder, hub);
    assert_eq!(dead(&hub), [letter("c")]);
    assert_eq!(waiting(&hub), ["d", "a"]);
    assert_eq!(peek(&hub)[1].deliveries, 0, "as if never delivered");
}

#[tokio::test]
async fn taken_items_stay_unfinished_over_a_restart() {
    let (folder, hub) = hub(QueueOptions::new()).await;
    put(&hub, &["a", "b", "c"]).await;
    let held = take(&hub, 1, 3).await;
    settle(&hub, 1, &held, Settle::Taken).await;
    assert_eq!(hub.call(1, Request::TaskDone { queue: name(), count: 1 }).await, Reply::Done);
    let hub = killed(&folder, hub);
    assert_eq!((stats(&hub).taken, stats(&hub).unfinished), (2, 2));
    assert_eq!(hub.call(1, Request::TaskDone { queue: name(), count: 2 }).await, Reply::Done);
    let refused = hub.call(1, Request::TaskDone { queue: name(), count: 1 }).await;
    assert_eq!(refused, Reply::Refused(Refusal::TaskDoneTooOften(name())));
}

#[tokio::test]
async fn a_closed_queue_stays_closed_and_a_removed_one_gone() {
    let (folder, hub) = hub(QueueOptions::new()).await;
    put(&hub, &["a"]).await;
    assert_eq!(hub.call(1, Request::Close { queue: name() }).await, Reply::Done);
    let hub = killed(&folder, hub);
    let closed = Reply::Put { accepted: 0, duplicates: 0, end: PutEnd::Closed };
    assert_eq!(put(&hub, &["b"]).await, closed);
    assert_eq!(hub.call(1, Request::Remove { queue: name() }).await, Reply::Done);
    assert_eq!(put(&hub, &["b"]).await, Reply::Refused(Refusal::UnknownQueue(name())));
    let hub = killed(&folder, hub);
    assert_eq!(hub.call_now(0, Request::Queues { after: None }), Reply::Queues(vec![]));
    register(&hub, QueueOptions::new()).await;
    assert_eq!(waiting(&hub), [""; 0], "nothing of the old one");
}

#[tokio::test]
async fn values_are_found_again() {
    let (folder, hub) = hub(QueueOptions::new()).await;
    for value in ["old", "new"] {
        let set = Request::Set { name: name(), value: value.into() };
        assert_eq!(hub.call(1, set).await, Reply::Done);
    }
    let hub = killed(&folder, hub);
    let get = Request::Get { name: name() };
    assert_eq!(hub.call_now(0, get), Reply::Value(Some("new".into())));
}

#[tokio::test]
async fn the_first_registration_after_a_start_may_change_the_options() {
    let (folder, hub) = hub(QueueOptions::new().maxsize(1)).await;
    put(&hub, &["a"]).await;
    let hub = killed(&folder, hub);
    assert_eq!(stats(&hub).maxsize, 1);
    let wider = QueueOptions::new().maxsize(2).backoff(HOLD, 2 * HOLD).max_deliveries(9);
    register(&hub, wider).await;
    put(&hub, &["b"]).await;
    let again = hub.call(0, Request::Register { queue: name(), options: QueueOptions::new() });
    assert_eq!(again.await, Reply::Refused(Refusal::QueueExists(name())));
    let hub = killed(&folder, hub);
    register(&hub, wider).await;
    assert_eq!((stats(&hub).maxsize, waiting(&hub).len()), (2, 2));
}

#[tokio::test]
async fn a_queue_in_memory_only_is_gone_with_its_manager() {
    let (folder, hub) = hub(QueueOptions::new().memory_only()).await;
    put(&hub, &["a"]).await;
    let hub = killed(&folder, hub);
    assert_eq!(put(&hub, &["b"]).await, Reply::Refused(Refusal::UnknownQueue(name())));
}

#[tokio::test]
async fn a_call_that_is_dropped_while_it_waits_for_the_disk_keeps_its_promises() {
    let (folder, hub) = hub(QueueOptions::new()).await;
    let poll_once = |request| {
        let mut call = Box::pin(hub.call(1, request));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(call.as_mut().poll(&mut context).is_pending(), "it waits for the disk");
    };
    let items = vec![Bytes::from("a")];
    poll_once(Request::Put { queue: name(), wait: Wait::No, items });
    // The put goes through all the same: from outside that looks like a late answer.
    let start = Instant::now();
    while waiting(&hub).is_empty() {
        assert!(start.elapsed() < HOLD);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    poll_once(Request::Lease { queue: name(), max: 1, hold: Some(HOLD), wait: Wait::No });
    assert_eq!((stats(&hub).queued, stats(&hub).leased), (1, 0), "nothing was taken");
    let hub = killed(&folder, hub);
    assert_eq!(take(&hub, 1, 1).await[0].2, "a");
}

#[test]
fn a_folder_serves_one_manager_at_a_time() {
    let folder = TempDir::new().unwrap();
    let (data, _) = DataFolder::open(folder.path()).unwrap();
    let error = DataFolder::open(folder.path()).unwrap_err();
    assert!(matches!(&error, DataError::InUse { path } if path == folder.path()), "{error}");
    drop(data);
    DataFolder::open(folder.path()).unwrap();
}

#[cfg(unix)]
#[test]
fn a_new_folder_is_nobody_else_s() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = TempDir::new().unwrap();
    let path = folder.path().join("new/data");
    DataFolder::open(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn a_database_of_a_newer_program_is_left_alone() {
    let folder = TempDir::new().unwrap();
    drop(DataFolder::open(folder.path()).unwrap());
    let connection = Connection::open(schema::file(folder.path())).unwrap();
    connection.pragma_update(None, "user_version", 1000).unwrap();
    connection.close().unwrap();
    let error = DataFolder::open(folder.path()).unwrap_err();
    assert!(matches!(&error, DataError::Newer { theirs: 1000, .. }), "{error}");
    assert!(error.to_string().contains("manager.sqlite"), "{error}");
}

#[test]
fn a_file_that_is_damaged_or_another_s_is_named() {
    let folder = TempDir::new().unwrap();
    let path = schema::file(folder.path());
    let assert_damaged = || {
        let error = DataFolder::open(folder.path()).unwrap_err();
        assert!(matches!(&error, DataError::Damaged { path: named, .. } if *named == path));
        assert!(error.to_string().contains("manager.sqlite"), "{error}");
        fs::remove_file(&path).unwrap();
    };
    fs::write(&path, b"no database at all, but long enough to look like one".repeat(100)).unwrap();
    assert_damaged();

    let connection = Connection::open(&path).unwrap();
    connection.execute_batch("CREATE TABLE recipes (title TEXT)").unwrap();
    connection.close().unwrap();
    assert_damaged();

    drop(DataFolder::open(folder.path()).unwrap());
    let mut bytes = fs::read(&path).unwrap();
    bytes[4096..].iter_mut().for_each(|byte| *byte ^= 0x55);
    fs::write(&path, bytes).unwrap();
    assert_damaged();
}

#[test]
fn a_folder_that_cannot_be_made_is_an_error_that_names_it() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let error = DataFolder::open(&file.join("data")).unwrap_err();
    assert!(matches!(error, DataError::Unusable { .. }), "{error}");
    assert!(error.to_string().contains("file/data"), "{error}");
}

/// A hub whose database may not grow beyond this many pages of 4 KiB.
async fn cramped(folder: &TempDir, pages: u32) -> Hub {
    let connection = schema::open(folder.path()).unwrap();
    connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(())).unwrap();
    let (data, found) = DataFolder::start(connection, folder.path()).unwrap();
    let hub = Hub::durable(DEFAULT_MAX_FRAME, data, found);
    register(&hub, QueueOptions::new()).await;
    hub
}

fn item(size: usize) -> Vec<Bytes> {
    vec![Bytes::from(vec![7; size])]
}

#[tokio::test]
async fn without_room_puts_fail_and_nothing_else_and_room_is_found_again() {
    let folder = TempDir::new().unwrap();
    let hub = cramped(&folder, 64).await;
    let put = |size| hub.call(1, Request::Put { queue: name(), wait: Wait::No, items: item(size) });
    let mut stored = 0;
    let refusal = loop {
        match put(20_000).await {
            Reply::Put { accepted: 1, .. } => stored += 1,
            Reply::Refused(refusal) => break refusal,
            other => panic!("{other:?}"),
        }
        assert!(stored < 64, "there was room for less");
    };
    assert_eq!(refusal, Refusal::Storage("the disk is full".into()));
    assert_eq!(stats(&hub).queued, stored, "what failed is not in the queue");
    // Work goes on, and makes room.
    for _ in 0..2 {
        let held = take(&hub, 1, 1).await;
        assert_eq!(settle(&hub, 1, &held, Settle::Done).await, Reply::Lost(vec![]));
    }
    assert!(matches!(put(20_000).await, Reply::Put { accepted: 1, .. }));
    hub.close_data();
    drop(hub);
    let (data, found) = DataFolder::open(folder.path()).unwrap();
    let hub = Hub::durable(DEFAULT_MAX_FRAME, data, found);
    assert_eq!(stats(&hub).queued, stored - 1);
}

#[tokio::test]
async fn one_request_too_large_for_the_disk_does_not_harm_the_others_of_its_time() {
    let folder = TempDir::new().unwrap();
    let hub = cramped(&folder, 64).await;
    let put = |size| hub.call(1, Request::Put { queue: name(), wait: Wait::No, items: item(size) });
    let (first, large, last) = tokio::join!(put(10), put(1_000_000), put(10));
    assert!(matches!(first, Reply::Put { accepted: 1, .. }), "{first:?}");
    assert!(matches!(large, Reply::Refused(Refusal::Storage(_))), "{large:?}");
    assert!(matches!(last, Reply::Put { accepted: 1, .. }), "{last:?}");
    assert_eq!(stats(&hub).queued, 2);
}

/// Has a database refuse something; see `CREATE TRIGGER`.
fn refuse(connection: &Connection, what: &str) {
    let trigger =
        format!("CREATE TEMP TRIGGER t BEFORE {what} BEGIN SELECT RAISE(ABORT, 'faulty'); END");
    connection.execute_batch(&trigger).unwrap();
}

/// A hub whose database refuses something, with a queue.
async fn faulty(folder: &TempDir, what: &str) -> Hub {
    let connection = schema::open(folder.path()).unwrap();
    refuse(&connection, what);
    let (data, found) = DataFolder::start(connection, folder.path()).unwrap();
    let hub = Hub::durable(DEFAULT_MAX_FRAME, data, found);
    register(&hub, QueueOptions::new()).await;
    hub
}

#[tokio::test]
async fn a_taken_item_that_could_not_be_written_is_written_later() {
    let folder = TempDir::new().unwrap();
    let until_mended = "WHEN NOT EXISTS (SELECT 1 FROM main.value)";
    let hub = faulty(&folder, &format!("UPDATE OF taken ON main.queue {until_mended}")).await;
    put(&hub, &["a", "b"]).await;
    for (lease, ..) in take(&hub, 1, 2).await {
        let taken = Request::Settle { queue: name(), leases: vec![lease], how: Settle::Taken };
        assert_eq!(hub.call_now(1, taken), Reply::Lost(vec![]));
    }
    assert_eq!(stats(&hub).taken, 2);
    let mended = Request::Set { name: name(), value: "mended".into() };
    assert_eq!(hub.call(1, mended).await, Reply::Done);
    assert_eq!(hub.call(1, Request::TaskDone { queue: name(), count: 1 }).await, Reply::Done);
    hub.close_data();
    drop(hub);
    let (data, found) = DataFolder::open(folder.path()).unwrap();
    let hub = Hub::durable(DEFAULT_MAX_FRAME, data, found);
    assert_eq!((waiting(&hub).len(), stats(&hub).taken), (0, 1));
}

#[tokio::test]
async fn a_queue_whose_removal_could_not_be_written_is_still_there() {
    let folder = TempDir::new().unwrap();
    let hub = faulty(&folder, "DELETE ON main.queue").await;
    put(&hub, &["a"]).await;
    let removed = hub.call(1, Request::Remove { queue: name() }).await;
    assert!(matches!(removed, Reply::Refused(Refusal::Storage(_))), "{removed:?}");
    put(&hub, &["b"]).await;
    assert_eq!(waiting(&hub), ["a", "b"]);
    assert_eq!(take(&hub, 1, 9).await.len(), 2);
}
