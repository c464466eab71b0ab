//! Connecting, and what an end of the connection means.

use std::{thread, time::Duration};

use spinneret::manager::{
    AuthKey, Client, GetError, Manager, ManagerError, TlsClient, TlsServer,
    proxy::{ConditionGuard, Dict, List, LockGuard, Permit, Proxy, RLockGuard, SharedValue},
    tls,
};

use crate::{
    LONG,
    ends::{End, each, each_python},
    key,
};

#[test]
fn the_client_finds_out_who_serves() {
    each(|end| {
        let client = end.client();
        assert_eq!(client.is_python(), !end.is_ours());
        client.ping().unwrap();
        assert_eq!(client.address(), end.address());
    });
}

#[test]
fn a_wrong_key_is_said_to_be_wrong() {
    each(|end| {
        let error = Client::connect(end.address(), &AuthKey::new("eyiq")).unwrap_err();
        assert!(matches!(error, ManagerError::WrongKey { .. }), "{error:?}");
    });
}

#[test]
fn long_keys_and_empty_ones_are_no_matter_of_the_client() {
    let long = AuthKey::new("k".repeat(1000));
    let manager = Manager::builder().listen("127.0.0.1:0").authkey(long.clone()).start().unwrap();
    Client::connect(manager.local_addr(), &long).unwrap().new_event().unwrap();
}

#[test]
fn many_calls_at_once_wait_for_each_other_no_more_than_they_must() {
    each(|end| {
        let client = end.client();
        let event = client.new_event().unwrap();
        let list = client.new_list::<u32>(&[]).unwrap();
        thread::scope(|scope| {
            let waiting: Vec<_> = (0..20).map(|_| scope.spawn(|| event.wait())).collect();
            for item in 0..20 {
                list.append(&item).unwrap();
            }
            event.set().unwrap();
            for thread in waiting {
                thread.join().unwrap().unwrap();
            }
        });
        assert_eq!(list.len().unwrap(), 20);
    });
}

#[test]
fn the_end_of_the_server_is_the_end_of_waiting() {
    each(|end| {
        let client = end.client();
        let queue = client.new_queue::<u8>(0).unwrap();
        let waiting = thread::spawn(move || queue.get());
        thread::sleep(Duration::from_millis(50));
        client.shutdown().unwrap();
        if let End::Ours(manager) = end {
            manager.wait_shutdown();
            manager.shutdown();
        }
        let got = waiting.join().unwrap();
        assert!(
            matches!(got, Err(GetError::Manager(ManagerError::Disconnected { .. }))),
            "{got:?}"
        );
    });
}

#[test]
fn calls_work_again_over_new_connections_after_a_break() {
    each_python(|end| {
        let client = end.client();
        let list = client.new_list(&[1]).unwrap();
        // A call that is given up takes its connection with it.
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let event = client.new_event().unwrap();
        runtime.block_on(async {
            let waiting = event.wait_async();
            drop(tokio::time::timeout(Duration::from_millis(20), waiting).await);
        });
        assert_eq!(list.get(0).unwrap(), Some(1));
        event.set().unwrap();
        assert!(event.wait_timeout(LONG).unwrap());
    });
}

#[test]
fn proxies_are_as_private_as_their_client() {
    let folder = tempfile::tempdir().unwrap();
    let files = tls::generate(folder.path()).unwrap();
    let manager = Manager::builder()
        .listen("127.0.0.1:0")
        .authkey(key())
        .tls(TlsServer::new(&files.cert, &files.key))
        .start()
        .unwrap();
    let client = Client::builder()
        .tls(TlsClient::new(&files.ca))
        .connect(manager.local_addr(), &key())
        .unwrap();
    let list = client.new_list(&["x".repeat(100_000)]).unwrap();
    let lock = client.new_lock().unwrap();
    let guard = lock.lock().unwrap();
    assert!(lock.try_lock().unwrap().is_none());
    assert!(manager.connections().iter().all(|connection| connection.encrypted));
    guard.unlock().unwrap();
    assert_eq!(list.get(0).unwrap().map(|text| text.len()), Some(100_000));
}

/// Does not run anything: it has to compile.
#[test]
fn every_call_can_be_spawned_and_every_proxy_sent() {
    fn can_be_sent<T: Send>(_: impl FnOnce(Client) -> T) {}
    fn can_be_shared<T: Send + Sync + 'static>() {}

    can_be_sent(|client| async move { client.new_list_async(&[1]).await?.get_async(0).await });
    can_be_sent(|client| async move {
        let mut guard = client.new_condition_async().await?.lock_async().await?;
        guard.wait_async().await?;
        guard.unlock_async().await
    });
    can_be_sent(|client| async move {
        client.object_async("x", ()).await?.call_async::<u8>("y", (1, "z")).await
    });
    can_be_shared::<(LockGuard, RLockGuard, Permit, ConditionGuard)>();
    can_be_shared::<(Proxy, List<*const u8>, Dict<*const u8, u8>, SharedValue<*const u8>)>();
}

#[tokio::test]
async fn async_calls_work_on_a_runtime_of_one_thread() {
    let ends = crate::pythons::all().iter().map(End::python).chain([End::ours()]);
    for end in ends {
        let client = Client::connect_async(end.address(), &key()).await.unwrap();
        let list = client.new_list_async(&["a".to_owned()]).await.unwrap();
        list.append_async(&"b".into()).await.unwrap();
        assert_eq!(list.to_vec_async().await.unwrap(), ["a", "b"]);
        let queue = client.queue::<u8>("tasks");
        queue.put_async(1).await.unwrap();
        assert_eq!(queue.get_async().await.unwrap(), 1);
    }
}
