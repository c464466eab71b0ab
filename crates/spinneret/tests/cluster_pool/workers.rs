//! How a worker ends.

use super::*;

#[test]
fn a_worker_that_is_stopped_ends_what_runs_and_leaves_the_rest_to_others() {
    let (manager, meeting) = (start_manager(), Meeting::new());
    let first = threads(&manager, 1);
    let pool = connect(&manager);
    let running = pool.apply_async(wait_for, meeting.args()).unwrap();
    let waiting = pool.map_async(pid, vec![(); 20]).unwrap();
    eventually("it runs", || pool.snapshot().running == 1);
    first.stop();
    assert!(!first.is_finished());
    let second = child(&manager, "second");
    for handle in waiting {
        assert_ne!(handle.get().unwrap(), std::process::id());
    }
    meeting.go();
    assert_eq!(running.get(), Ok(std::process::id()));
    let summary = first.join().unwrap();
    assert_eq!((summary.done, summary.failed), (1, 0));
    eventually("it is gone", || manager.workers().len() == 1);
    drop(second);
}

#[test]
fn a_dropped_worker_is_gone_at_once() {
    let manager = start_manager();
    let worker = worker(&manager).concurrency(1).start().unwrap();
    let pool = connect(&manager);
    let running = pool.apply_async(hang, ()).unwrap();
    eventually("it runs", || pool.snapshot().running == 1);
    drop(worker);
    assert!(matches!(running.get(), Err(TaskError::WorkerDied { .. })));
    assert_eq!(pool.workers().unwrap(), []);
}

#[test]
fn a_worker_can_be_awaited_in_any_runtime() {
    let manager = start_manager();
    let pool = connect(&manager);
    let serving = worker(&manager).threads(ThreadPool::builder().workers(1)).serve_async();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let outcome = async {
            let handle = pool.apply_async(square, 7).unwrap();
            handle.await
        };
        let mut serving = std::pin::pin!(serving);
        tokio::select! {
            served = &mut serving => panic!("{served:?}"),
            outcome = outcome => assert_eq!(outcome, Ok(49)),
        }
        manager.shutdown_async().await;
        assert_eq!(serving.await.unwrap().done, 1);
    });
}
