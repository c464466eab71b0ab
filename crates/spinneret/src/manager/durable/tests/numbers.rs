//! Numbers of dead letters, which people and programs remember.

use super::*;

/// Puts an item and makes it a dead letter; returns its number.
async fn bury(hub: &Hub, item: &'static str) -> u64 {
    put(hub, &[item]).await;
    let held = take(hub, 1, 1).await;
    assert_eq!(held[0].2, item);
    let reply = settle(hub, 1, &held, Settle::Fail { reason: "x".into() }).await;
    assert_eq!(reply, Reply::Lost(vec![]));
    *ids(hub).last().unwrap()
}

fn ids(hub: &Hub) -> Vec<u64> {
    match hub.call_now(0, Request::Dead { queue: name(), after: 0, max: 999 }) {
        Reply::Dead(found) => found.into_iter().map(|dead| dead.id).collect(),
        other => panic!("{other:?}"),
    }
}

async fn drop_dead(hub: &Hub, ids: Vec<u64>) {
    let reply = hub.call(1, Request::DropDead { queue: name(), ids }).await;
    assert_eq!(reply, Reply::Lost(vec![]));
}

#[tokio::test]
async fn a_dead_letter_keeps_its_number_and_no_other_is_given_it_after_a_restart() {
    let (folder, hub) = hub(QueueOptions::new()).await;
    let first = bury(&hub, "a").await;
    let dropped = bury(&hub, "b").await;
    assert_eq!((first, dropped), (1, 2));
    drop_dead(&hub, vec![dropped]).await;
    let hub = killed(&folder, hub);
    assert_eq!(ids(&hub), [first]);
    let second = bury(&hub, "c").await;
    assert!(second > dropped, "{second}");
    assert_eq!(ids(&hub), [first, second], "in their order");
    // Also when there is nothing left that remembers.
    drop_dead(&hub, vec![first, second]).await;
    let hub = killed(&folder, hub);
    let third = bury(&hub, "d").await;
    assert!(third > second, "{third}");
}

#[tokio::test]
async fn an_item_that_becomes_a_dead_letter_at_the_start_has_a_new_number() {
    let (folder, hub) = hub(QueueOptions::new().max_deliveries(1)).await;
    let dropped = bury(&hub, "a").await;
    drop_dead(&hub, vec![dropped]).await;
    put(&hub, &["b"]).await;
    take(&hub, 1, 1).await;
    let hub = killed(&folder, hub);
    assert!(matches!(ids(&hub)[..], [id] if id > dropped), "{:?}", ids(&hub));
}

#[tokio::test]
async fn a_queue_that_is_made_anew_gives_no_number_again() {
    let (_folder, hub) = hub(QueueOptions::new()).await;
    let before = bury(&hub, "a").await;
    assert_eq!(hub.call(1, Request::Remove { queue: name() }).await, Reply::Done);
    register(&hub, QueueOptions::new()).await;
    assert!(bury(&hub, "b").await > before);
}

#[tokio::test]
async fn a_folder_that_cannot_count_its_managers_can_be_used() {
    let (folder, hub) = hub(QueueOptions::new()).await;
    put(&hub, &["a"]).await;
    hub.close_data();
    drop(hub);
    let folder_of_data = folder.path().join("data");
    let connection = schema::open(&folder_of_data).unwrap();
    refuse(&connection, "UPDATE ON main.run");
    let (data, found) = DataFolder::start(connection, &folder_of_data).unwrap();
    let hub = Hub::durable(DEFAULT_MAX_FRAME, data, found);
    assert_eq!(waiting(&hub), ["a"]);
    hub.close_data();
    drop(hub);
    let connection = schema::open(&folder_of_data).unwrap();
    let counted: i64 = connection.query_row("SELECT last FROM run", [], |row| row.get(0)).unwrap();
    assert_eq!(counted, 1, "it could not");
}

#[test]
fn a_folder_that_never_counted_its_managers_can_be_used() {
    let folder = TempDir::new().unwrap();
    drop(DataFolder::open(folder.path()).unwrap());
    let connection = Connection::open(schema::file(folder.path())).unwrap();
    connection.execute_batch("DROP TABLE run").unwrap();
    connection.close().unwrap();
    DataFolder::open(folder.path()).unwrap();
}
