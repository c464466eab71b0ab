//! Registering queues: what is there, and who is told so when.

use super::*;

/// A hub that cannot write what a trigger refuses; see [`faulty`]. Has no queue yet.
fn hub_without(folder: &TempDir, what: &str) -> Hub {
    let connection = schema::open(folder.path()).unwrap();
    refuse(&connection, what);
    let (data, found) = DataFolder::start(connection, folder.path()).unwrap();
    Hub::durable(DEFAULT_MAX_FRAME, data, found)
}

#[tokio::test]
async fn a_queue_that_could_not_be_written_is_there_for_none_of_those_who_registered_it() {
    let folder = TempDir::new().unwrap();
    let hub = hub_without(&folder, "INSERT ON main.queue");
    let register = || {
        let (queue, options) = (name(), QueueOptions::new());
        hub.call(0, Request::Register { queue, options })
    };
    let (first, second) = tokio::join!(register(), register());
    assert!(matches!(&first, Reply::Refused(Refusal::Storage(_))), "{first:?}");
    assert_eq!(first, second);
}

#[tokio::test]
async fn other_options_that_could_not_be_written_are_nobody_s() {
    let folder = TempDir::new().unwrap();
    let options = QueueOptions::new();
    let data = || DataFolder::open(folder.path()).unwrap();
    let before = {
        let (data, found) = data();
        Hub::durable(DEFAULT_MAX_FRAME, data, found)
    };
    register(&before, options).await;
    before.close_data();
    drop(before);
    let hub = hub_without(&folder, "UPDATE OF maxsize ON main.queue");
    let register = |options| hub.call(0, Request::Register { queue: name(), options });
    let other = options.maxsize(7);
    let (first, second) = tokio::join!(register(other), register(other));
    assert!(matches!(&first, Reply::Refused(Refusal::Storage(_))), "{first:?}");
    assert_eq!(second, Reply::Refused(Refusal::QueueExists(name())));
    assert_eq!(stats(&hub).maxsize, 0);
    let again = register(other).await;
    assert!(matches!(&again, Reply::Refused(Refusal::Storage(_))), "{again:?}");
    assert_eq!(register(options).await, Reply::Done);
}

#[tokio::test]
async fn whoever_registers_a_queue_once_more_hears_when_it_is_written() {
    let folder = TempDir::new().unwrap();
    let hub = open(&folder);
    let options = QueueOptions::new();
    let register = |options| hub.call(0, Request::Register { queue: name(), options });
    let (first, second) = tokio::join!(register(options), register(options));
    assert_eq!((first, second), (Reply::Done, Reply::Done));
    assert_eq!(register(options).await, Reply::Done, "also later");
    let other = register(options.maxsize(7)).await;
    assert_eq!(other, Reply::Refused(Refusal::QueueExists(name())));
    let hub = killed(&folder, hub);
    put(&hub, &["a"]).await;
    assert_eq!(waiting(&hub), ["a"]);
}

#[tokio::test]
async fn a_queue_that_could_not_be_written_is_not_there() {
    let folder = TempDir::new().unwrap();
    let hub = cramped(&folder, 40).await;
    let register = |name: &str| {
        let (queue, options) = (Name::sought(name), QueueOptions::new());
        hub.call(0, Request::Register { queue, options })
    };
    let mut last = 0;
    let refused = loop {
        match register(&format!("{last:0255}")).await {
            Reply::Done => last += 1,
            refused => break refused,
        }
    };
    assert!(matches!(refused, Reply::Refused(Refusal::Storage(_))), "{refused:?}");
    let missing = Name::sought(&format!("{last:0255}"));
    let stats = hub.call(0, Request::Stats { queue: missing.clone() }).await;
    assert_eq!(stats, Reply::Refused(Refusal::UnknownQueue(missing)));
}
