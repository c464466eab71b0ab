//! What cannot be sent, set or opened.

use super::*;

#[cfg(unix)]
mod descriptors {
    use super::*;
    use spinneret::pipe::{self, Receiver, Sender};

    #[spinneret::task]
    fn read(_end: Receiver<u8>) {}

    #[spinneret::task]
    fn make() -> Sender<u8> {
        pipe::pipe_simplex().unwrap().1
    }

    #[test]
    fn what_cannot_leave_its_machine_is_refused() {
        let manager = start_manager();
        let pool = connect(&manager);
        let (receiver, _sender) = pipe::pipe_simplex::<u8>().unwrap();
        match pool.apply_async(read, receiver) {
            Err(SubmitError::NotSendableOverNetwork { task, what }) => {
                assert_eq!(task, "cluster_pool::limits::descriptors::read");
                assert!(what.contains("Connection"), "{what}");
            }
            other => panic!("{other:?}"),
        }
        let _threads = threads(&manager, 1);
        let processes = start_manager();
        let _processes = worker(&processes).concurrency(1).start().unwrap();
        for pool in [pool, connect(&processes)] {
            match pool.apply(make, ()) {
                Err(TaskError::Undecodable { cause, .. }) => {
                    assert!(cause.contains("network"), "{cause}");
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

#[spinneret::task]
fn make_bytes(count: usize) -> Vec<u8> {
    vec![7; count]
}

#[spinneret::task]
fn length(bytes: Vec<u8>) -> usize {
    bytes.len()
}

#[test]
fn large_values_pass_up_to_the_manager_s_limit() {
    let manager =
        Manager::builder().listen("127.0.0.1:0").authkey(key()).max_frame(1 << 20).start().unwrap();
    let _worker = threads(&manager, 2);
    let pool = connect(&manager);
    let some = 400_000;
    assert_eq!(pool.map(length, vec![vec![1; some]; 5]).unwrap(), vec![Ok(some); 5]);
    assert!(pool.map(make_bytes, [some; 5]).unwrap().iter().all(Result::is_ok));
    match pool.apply_async(length, vec![1; 2 << 20]) {
        Err(SubmitError::Unserializable { cause, .. }) => {
            assert!(cause.contains("max_frame"), "{cause}");
        }
        other => panic!("{other:?}"),
    }
    match pool.apply(make_bytes, 2 << 20) {
        Err(TaskError::Undecodable { cause, .. }) => {
            assert!(cause.contains("max_frame"), "{cause}");
        }
        other => panic!("{:?}", other.map(|bytes| bytes.len())),
    }
    assert_eq!(pool.apply(length, vec![1]), Ok(1));
}

#[test]
fn wrong_settings_and_keys_are_refused() {
    let manager = start_manager();
    let address = manager.local_addr();
    let zero = |pool: Result<ClusterPool, PoolError>| match pool {
        Err(PoolError::Zero(setting)) => setting,
        other => panic!("{other:?}"),
    };
    let builder = ClusterPool::builder;
    assert_eq!(zero(builder().poison_limit(0).connect(address, &key())), "poison_limit");
    assert_eq!(zero(builder().chunk_size(0).connect(address, &key())), "chunk_size");
    assert_eq!(zero(builder().window(0).connect(address, &key())), "window");
    assert_eq!(
        zero(builder().task_timeout(Duration::ZERO).connect(address, &key())),
        "task_timeout"
    );
    let wrong = AuthKey::new("wrong");
    let refused = ClusterPool::connect(address, &wrong);
    assert!(
        matches!(refused, Err(PoolError::Manager(ManagerError::WrongKey { .. }))),
        "{refused:?}"
    );
    let refused = worker(&manager).authkey(wrong).concurrency(1).serve();
    assert!(
        matches!(refused, Err(PoolError::Manager(ManagerError::WrongKey { .. }))),
        "{refused:?}"
    );
    let refused = worker(&manager).processes(ProcessPool::builder().workers(0)).serve();
    assert!(matches!(refused, Err(PoolError::Zero("workers"))), "{refused:?}");
    assert_eq!(manager.workers(), []);
}

#[test]
fn one_connection_is_one_pool() {
    let manager = start_manager();
    let client = Client::connect(manager.local_addr(), &key()).unwrap();
    let pool = ClusterPool::builder().over(client.clone()).unwrap();
    let second = ClusterPool::builder().over(client);
    assert!(matches!(second, Err(PoolError::Manager(ManagerError::Protocol(_)))), "{second:?}");
    let _worker = threads(&manager, 1);
    assert_eq!(pool.apply(square, 3), Ok(9));
    drop(pool);
    // But it may be a worker too.
    let client = Client::connect(manager.local_addr(), &key()).unwrap();
    let both = worker(&manager).name("both").threads(ThreadPool::builder().workers(1));
    let _both = both.over(client.clone()).start().unwrap();
    let pool = ClusterPool::builder().over(client).unwrap();
    assert_eq!(pool.map(square, 0..50).unwrap(), (0..50).map(|n| Ok(n * n)).collect::<Vec<_>>());
}
