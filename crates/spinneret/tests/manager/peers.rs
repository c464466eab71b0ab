//! Managers and clients: keys, names, values, beginnings and ends.

use std::{net::TcpListener, thread, time::Duration};

use spinneret::manager::{
    AuthKey, Client, ConnectionInfo, GetError, Manager, ManagerError, PutError, QueueOptions,
};

use super::{HOLD, LONG, Mortal, builder, client, eventually, key, manager, queue};

#[test]
fn a_wrong_key_is_refused_and_the_others_are_served_on() {
    let manager = manager(QueueOptions::new());
    let served = queue::<u32>(&manager);
    for wrong in ["", "qiyf", "qiyeqiye"] {
        let error = Client::connect(manager.local_addr(), &AuthKey::new(wrong)).unwrap_err();
        assert!(matches!(error, ManagerError::WrongKey { .. }), "{error:?}");
        assert!(error.to_string().contains("key"), "{error}");
    }
    served.put(1).unwrap();
    assert_eq!(queue::<u32>(&manager).get().unwrap(), 1);
}

#[test]
fn an_address_in_use_is_said_to_be() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let error = builder().listen(address).start().unwrap_err();
    assert!(
        matches!(&error, ManagerError::AddressInUse { address: said } if *said == address.to_string())
    );
    let error = builder().listen("127.0.0.1").start().unwrap_err();
    assert!(matches!(error, ManagerError::CannotListen { .. }), "{error:?}");
    let error = Manager::builder().listen("127.0.0.1:0").start().unwrap_err();
    assert!(matches!(error, ManagerError::MissingKey), "{error:?}");
}

#[test]
fn a_manager_that_is_not_there_is_said_to_be_missing() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = Client::connect(free, &key()).unwrap_err();
    assert!(matches!(error, ManagerError::Refused { .. }), "{error:?}");
    for address in ["127.0.0.1", "no-such-host.invalid:8001", ""] {
        let error = Client::connect(address, &key()).unwrap_err();
        assert!(matches!(error, ManagerError::Unresolvable { .. }), "{error:?}");
    }
}

#[test]
fn an_unknown_queue_is_an_error_that_names_it() {
    let manager = manager(QueueOptions::new());
    let long = "x".repeat(300);
    for name in ["nobody", "", &long] {
        let error = manager.queue::<u32>(name).unwrap_err();
        assert!(matches!(error, ManagerError::UnknownQueue { .. }), "{error:?}");
        let queue = client(&manager).queue::<u32>(name);
        let Err(PutError::Manager { error, item: 7 }) = queue.put(7) else {
            panic!("no such queue")
        };
        assert!(matches!(error, ManagerError::UnknownQueue { .. }), "{error:?}");
        assert!(matches!(queue.get(), Err(GetError::Manager(ManagerError::UnknownQueue { .. }))));
    }
}

#[test]
fn queues_are_registered_from_anywhere_and_listed() {
    let manager = manager(QueueOptions::new());
    let client = client(&manager);
    client.register("z", QueueOptions::new().maxsize(3)).unwrap();
    client.register("z", QueueOptions::new().maxsize(3)).unwrap();
    manager.register("a", QueueOptions::new()).unwrap();
    for refused in [
        client.register("z", QueueOptions::new()),
        manager.register("z", QueueOptions::new().maxsize(4)),
    ] {
        assert!(matches!(refused, Err(ManagerError::QueueExists { name }) if name == "z"));
    }
    for bad in [String::new(), "x".repeat(256)] {
        assert!(matches!(
            client.register(&bad, QueueOptions::new()),
            Err(ManagerError::BadName { .. })
        ));
    }
    client.queue::<u32>("z").put(1).unwrap();
    let listed = client.queues().unwrap();
    assert_eq!(listed, manager.queues());
    let names: Vec<_> = listed.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["a", "q", "z"]);
    assert_eq!((listed[2].1.queued, listed[2].1.maxsize), (1, 3));
}

#[test]
fn a_queue_is_removed_from_anywhere_with_all_that_is_in_it() {
    let manager = manager(QueueOptions::new());
    let (here, there) = (client(&manager), queue::<u32>(&manager));
    there.put(1).unwrap();
    let leased = there.lease(HOLD).unwrap();
    let waiting = thread::spawn(move || there.get());
    eventually("it waits", || manager.connections().iter().any(|peer| peer.leases == 1));
    here.remove("q").unwrap();
    let gone = waiting.join().unwrap().unwrap_err();
    assert!(
        matches!(&gone, GetError::Manager(ManagerError::UnknownQueue { name }) if name == "q"),
        "{gone:?}"
    );
    assert!(leased.done().is_err(), "its queue is gone");
    assert!(manager.queues().is_empty());
    let again = here.remove("q").unwrap_err();
    assert!(matches!(&again, ManagerError::UnknownQueue { name } if name == "q"), "{again:?}");

    here.register("q", QueueOptions::new()).unwrap();
    assert_eq!(here.queue::<u32>("q").len().unwrap(), 0);
}

#[test]
fn more_queues_than_one_answer_holds_are_listed() {
    let manager = builder().max_frame(16 << 10).start().unwrap();
    for n in 0..1000 {
        manager.register(&format!("queue-{n:04}"), QueueOptions::new()).unwrap();
    }
    let listed = client(&manager).queues().unwrap();
    assert_eq!(listed.len(), 1000);
    assert_eq!(listed[999].0, "queue-0999");
}

#[test]
fn values_are_shared_by_name() {
    let manager = manager(QueueOptions::new());
    let client = client(&manager);
    assert_eq!(client.value::<String>("seed").unwrap(), None);
    manager.set_value("seed", &("http://example.org", 3)).unwrap();
    let read = client.value::<(String, u32)>("seed").unwrap();
    assert_eq!(read, Some(("http://example.org".into(), 3)));
    client.set_value("seed", &vec![1, 2]).unwrap();
    assert_eq!(manager.value::<Vec<u8>>("seed").unwrap(), Some(vec![1, 2]));
    let error = client.value::<String>("seed").unwrap_err();
    assert!(matches!(error, ManagerError::UndecodableValue { .. }), "{error:?}");
}

#[test]
fn connections_are_listed_with_their_names_and_leases() {
    let manager = manager(QueueOptions::new());
    let named = Client::connect_as(manager.local_addr(), &key(), "worker 7").unwrap();
    let queue = named.queue::<u32>("q");
    queue.put_many(vec![1, 2, 3]).unwrap();
    let leases = queue.lease_many(2, HOLD, LONG).unwrap();
    let found = manager.connections();
    let [ConnectionInfo { address, name, leases: 2, encrypted: false, .. }] = &found[..] else {
        panic!("{found:?}")
    };
    assert!(address.ip().is_loopback());
    assert_eq!(name, "worker 7");
    drop((leases, queue));
    named.ping().unwrap();
    assert_eq!(manager.connections()[0].leases, 0);
    drop(named);
    eventually("it is gone", || manager.connections().is_empty());
}

#[test]
fn a_client_can_ask_for_the_end() {
    let manager = manager(QueueOptions::new());
    let asking = thread::spawn({
        let client = client(&manager);
        move || client.shutdown().unwrap()
    });
    manager.wait_shutdown();
    asking.join().unwrap();
    manager.shutdown();
}

#[test]
fn the_end_of_a_manager_ends_what_waits_for_it() {
    let manager = manager(QueueOptions::new().maxsize(1));
    let (here, there) = (manager.queue::<u32>("q").unwrap(), queue::<u32>(&manager));
    here.put(1).unwrap();
    let waiting: Vec<_> = [here.clone(), there.clone()]
        .into_iter()
        .flat_map(|queue| {
            let putter = queue.clone();
            [
                thread::spawn(move || queue.join().unwrap_err()),
                thread::spawn(move || match putter.put(2).unwrap_err() {
                    PutError::Manager { error, item: 2 } => error,
                    other => panic!("{other:?}"),
                }),
            ]
        })
        .collect();
    thread::sleep(Duration::from_millis(20));
    let address = manager.local_addr();
    manager.shutdown();
    manager.shutdown();
    for thread in waiting {
        let error = thread.join().unwrap();
        assert!(matches!(error, ManagerError::ShutDown | ManagerError::Disconnected { .. }));
    }
    assert!(matches!(here.stats(), Err(ManagerError::ShutDown)));
    eventually("the client knows", || {
        matches!(there.stats(), Err(ManagerError::Disconnected { .. }))
    });
    // The port is free again.
    let next = builder().listen(address).start().unwrap();
    assert_eq!(next.local_addr(), address);
}

#[test]
fn a_dropped_manager_stops_serving() {
    let manager = manager(QueueOptions::new());
    let queue = queue::<u32>(&manager);
    let waiting = thread::spawn(move || queue.get());
    drop(manager);
    assert!(matches!(waiting.join().unwrap(), Err(GetError::Manager(_))));
}

#[test]
fn an_idle_client_stays_connected() {
    let silence = Duration::from_millis(120);
    let manager =
        builder().silence_timeout(silence).register("q", QueueOptions::new()).start().unwrap();
    let queue = queue::<u32>(&manager);
    queue.put(1).unwrap();
    let lease = queue.lease(HOLD).unwrap();
    thread::sleep(4 * silence);
    lease.done().unwrap();
}

#[test]
fn a_client_that_is_silent_is_taken_for_dead() {
    let manager = builder()
        .silence_timeout(Duration::from_millis(100))
        .register("q", QueueOptions::new())
        .start()
        .unwrap();
    let local = manager.queue::<String>("q").unwrap();
    local.put("a".into()).unwrap();
    let living = Mortal::connect(&manager);
    // The other's runtime stands still while nobody runs it: a machine that lost its power.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (client, lease) = runtime.block_on(async {
        let client = Client::connect_async(manager.local_addr(), &key()).await.unwrap();
        let lease = client.queue::<String>("q").lease_async(HOLD).await.unwrap();
        (client, lease)
    });
    assert_eq!(*local.lease_timeout(HOLD, LONG).unwrap(), "a");
    eventually("only the living is connected", || manager.connections().len() == 1);
    living.client.ping().unwrap();
    drop((client, lease));
}

#[tokio::test]
async fn all_of_it_works_inside_a_runtime_of_one_thread() {
    let manager =
        builder().register("q", QueueOptions::new().maxsize(1)).start_async().await.unwrap();
    let client = Client::connect_async(manager.local_addr(), &key()).await.unwrap();
    let (here, there) = (manager.queue::<u32>("q").unwrap(), client.queue::<u32>("q"));
    let (put, got) = tokio::join!(here.put_many_async(vec![1, 2, 3]), async {
        let mut got = Vec::new();
        while got.len() < 3 {
            got.push(there.get_async().await.unwrap());
        }
        got
    });
    put.unwrap();
    assert_eq!(got, [1, 2, 3]);
    let wait = Duration::from_millis(5);
    assert!(matches!(here.get_timeout_async(wait).await, Err(GetError::Empty)));
    // Blocking calls within the process work here too, with their time.
    here.put(4).unwrap();
    assert!(matches!(here.put_timeout(5, wait), Err(PutError::Full(5))));
    assert_eq!(there.get_async().await.unwrap(), 4);
    there.close_async().await.unwrap();
    assert!(matches!(there.get_async().await, Err(GetError::Closed)));
    client.shutdown_async().await.unwrap();
    manager.wait_shutdown_async().await;
    manager.shutdown_async().await;
}

#[tokio::test]
async fn blocking_clients_work_inside_a_runtime_of_one_thread() {
    let manager = manager(QueueOptions::new());
    let queue = queue::<u32>(&manager);
    queue.put(1).unwrap();
    assert!(matches!(queue.join_timeout(Duration::from_millis(5)), Ok(false)));
    assert_eq!(queue.get().unwrap(), 1);
    manager.shutdown();
}
