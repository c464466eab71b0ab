//! Many tasks, several pools, and what can be seen of workers.

use super::*;

#[test]
fn many_thousands_of_tasks_pass_and_few_are_on_their_way() {
    let manager = start_manager();
    let _worker = threads(&manager, 2);
    let pool = connect(&manager);
    let mut most = 0;
    let mut sum = 0;
    for (n, outcome) in (0..20_000).zip(pool.imap(square, 0..20_000)) {
        sum += outcome.unwrap();
        if n % 100 == 0 {
            let now = manager.cluster();
            most = most.max(now.queued + now.running);
        }
    }
    assert_eq!(sum, (0..20_000_u64).map(|n| n * n).sum());
    assert!((1..=128).contains(&most), "{most}");
    assert_eq!(pool.snapshot().done, 20_000);
    // All at once, too: the manager has some of them, the others wait here.
    let outcomes = pool.map(square, 0..40_000).unwrap();
    assert!(outcomes.into_iter().zip(0..).all(|(outcome, n)| outcome == Ok(n * n)));
}

#[test]
fn pools_share_the_workers_fairly() {
    let manager = start_manager();
    let (large, small) = (connect(&manager), connect(&manager));
    // All wait before there is a worker, the large share first.
    let first = large.map_async(pid, vec![(); 1000]).unwrap();
    let second = small.map_async(pid, vec![(); 10]).unwrap();
    eventually("the manager has them", || manager.cluster().queued == 1010);
    let _worker = threads(&manager, 1);
    for handle in second {
        handle.get().unwrap();
    }
    let done = large.snapshot().done;
    assert!(done < 900, "{done} of the others came first");
    assert!(first.into_iter().all(|handle| handle.get().is_ok()));
}

#[test]
fn workers_are_listed_as_long_as_they_live() {
    let (manager, meeting) = (start_manager(), Meeting::new());
    let pool = connect(&manager);
    assert_eq!(pool.workers().unwrap(), []);
    let pools = ThreadPool::builder().workers(3);
    let _named = worker(&manager).name("anna").threads(pools).start().unwrap();
    let other = child(&manager, "bert");
    let handle = pool.apply_async(wait_for, meeting.args()).unwrap();
    eventually("it runs", || pool.snapshot().running == 1);
    let workers = pool.workers().unwrap();
    assert_eq!(workers.len(), 2);
    let anna = workers.iter().find(|worker| worker.name == "anna").unwrap();
    assert_eq!((anna.pid, anna.slots), (std::process::id(), 3));
    assert!(anna.address.ip().is_loopback() && !anna.host.is_empty());
    assert_eq!(workers.iter().map(|worker| worker.running).sum::<u32>(), 1);
    let names: Vec<_> = pool.snapshot().workers.into_iter().map(|worker| worker.name).collect();
    assert!(names.contains(&"anna".to_owned()) && names.contains(&"bert".to_owned()));
    meeting.go();
    handle.get().unwrap();
    other.kill();
    eventually("it is listed no more", || pool.workers().unwrap().len() == 1);
}
