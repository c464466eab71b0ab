//! Queues, named and nameless, from every Python.

use std::{collections::BTreeSet, time::Duration};

use serde::{Deserialize, Serialize};
use spinneret::manager::{Client, Queue, QueueOptions};

use crate::{
    LONG, builder, eventually, key, manager,
    pythons::{self, Python, finish},
};

#[test]
fn a_queue_of_the_manager_is_python_s_queue() {
    for python in pythons::all() {
        let manager = manager(QueueOptions::new().maxsize(3));
        let said = python.run(
            &manager,
            &["q"],
            r"
q = m.q()
assert q.empty() and not q.full() and q.qsize() == 0
q.put('a')
q.put('b', True, 5)
q.put(item='c', block=False)
assert q.full() and q.qsize() == 3
for call in [lambda: q.put('d', False), lambda: q.put_nowait('d'), lambda: q.put('d', True, 0.01),
             lambda: q.put('d', timeout=0)]:
    try:
        call()
        assert False
    except queue.Full as full:
        assert full.args == ()
assert [q.get(), q.get(True, 5), q.get(timeout=5)] == ['a', 'b', 'c']
for call in [lambda: q.get(False), lambda: q.get_nowait(), lambda: q.get(timeout=0.01),
             lambda: q.get(block=0)]:
    try:
        call()
        assert False
    except queue.Empty as empty:
        assert empty.args == ()
for call in [lambda: q.get(timeout=-1), lambda: q.put('x', True, -0.5)]:
    try:
        call()
        assert False
    except ValueError as error:
        assert str(error) == '\'timeout\' must be a non-negative number', error
for call in [lambda: q.get(1, 2, 3), lambda: q.put(), lambda: q.get(item=1), lambda: q.put(1, item=2),
             lambda: q.put('x', True, 'soon')]:
    try:
        call()
        assert False
    except TypeError:
        pass
for i in range(3):
    q.task_done()
q.join()
try:
    q.task_done()
    assert False
except ValueError as error:
    assert str(error) == 'task_done() called too many times', error
assert 'Queue' in str(q), str(q)
print('done')
",
        );
        assert_eq!(said, "done", "{python:?}");
        let (_, stats) = manager.queues().remove(0);
        assert_eq!((stats.puts, stats.done, stats.unfinished), (3, 3, 0), "{python:?}");
    }
}

#[test]
fn task_done_counts_puts_and_not_gets_as_python_s_does() {
    let program = r"
import threading
def too_often(q):
    try:
        q.task_done()
        assert False
    except ValueError as error:
        assert str(error) == 'task_done() called too many times', error
def joined(q):
    joining = threading.Thread(target=q.join)
    joining.daemon = True
    joining.start()
    joining.join(20)
    assert not joining.is_alive()
def try_out(q):
    too_often(q)
    q.put('a')
    q.task_done()
    joined(q)
    too_often(q)
    assert q.qsize() == 1
    q.put('b')
    assert (q.get(), q.get()) == ('a', 'b')
    q.task_done()
    joined(q)
    too_often(q)
    q.put('c')
    assert q.get() == 'c'
    q.task_done()
    joined(q)
    too_often(q)
    q.put('d')
    q.put('e')
    q.task_done()
    assert q.get() == 'd'
    q.task_done()
    too_often(q)
    joined(q)
    q.get()
";
    for python in pythons::all() {
        let manager = manager(QueueOptions::new());
        let ours = [
            program,
            "for q in [m.q(), m.Queue(), m.JoinableQueue()]: try_out(q)
print('done')
",
        ];
        assert_eq!(python.run(&manager, &["q"], &ours.concat()), "done", "{python:?}");
        let (_, stats) = manager.queues().remove(0);
        assert_eq!((stats.puts, stats.done, stats.unfinished), (5, 5, 0), "{python:?}");
        // The same with Python's own.
        let own = "import multiprocessing
try_out(queue.Queue())
try_out(multiprocessing.Manager().JoinableQueue())
print('done')
";
        assert_eq!(python.run::<&str>(&manager, &[], &[program, own].concat()), "done");
    }
}

#[test]
fn a_queue_that_was_removed_is_unknown_until_it_is_there_again() {
    for python in pythons::all() {
        let manager = manager(QueueOptions::new());
        let (q, other) = (manager.queue::<String>("q").unwrap(), "other");
        manager.register(other, QueueOptions::new()).unwrap();
        let child = python.start(
            &manager,
            &["q", "other"],
            r"
from multiprocessing.managers import RemoteError
q, other = m.q(), m.other()
q.put('ready')
other.get()
try:
    m.q()
    assert False
except RemoteError as error:
    assert 'KeyError' in str(error), error
try:
    q.qsize()
    assert False
except RuntimeError as error:
    assert 'no queue' in str(error), error
other.task_done()
other.get()
again = m.q()
assert again.qsize() == 0 and q.qsize() == 0
print('done')
",
        );
        assert_eq!(q.get_timeout(LONG).unwrap(), "ready");
        manager.remove("q").unwrap();
        let steps = manager.queue::<String>(other).unwrap();
        steps.put("it is removed".into()).unwrap();
        steps.join().unwrap();
        manager.register("q", QueueOptions::new()).unwrap();
        steps.put("it is there again".into()).unwrap();
        assert_eq!(finish(child), "done", "{python:?}");
    }
}

#[test]
fn queues_that_python_makes_are_each_their_own() {
    for python in pythons::all() {
        let manager = builder().start().unwrap();
        let said = python.run(
            &manager,
            &["q"],
            r"
one, other = m.Queue(), m.JoinableQueue(maxsize=1)
one.put(1)
other.put(2)
assert one.qsize() == 1 and other.full() and not one.full()
assert (one.get(), other.get()) == (1, 2)
other.task_done()
other.join()
assert m._number_of_objects() == 2, m._debug_info()
assert m._debug_info().count('refcount=1') == 2, m._debug_info()
del one, other
assert m._number_of_objects() == 0, m._debug_info()
print('done')
",
        );
        assert_eq!(said, "done", "{python:?}");
        assert!(manager.queues().is_empty());
    }
}

/// What both kinds of strings, numbers of any size and containers come to on the other side.
#[test]
fn pythons_of_different_ages_share_a_queue() {
    for (putter, getter) in pairs() {
        let manager = manager(QueueOptions::new());
        let putting = putter.start(
            &manager,
            &["q"],
            r"
q = m.q()
for item in [None, True, 1, -2 ** 40, 2 ** 70, 1.5, 'plain', b'\xd0\xbf\xff'.decode('latin-1'),
             b'\xd0\xb6'.decode('utf-8'), bytearray(b'\x00\xff'), [1, [2, ()]],
             {'a': (1, 2)}, set([1, 2]), frozenset(['x']), complex(1, 2)]:
    q.put(item)
q.join()
",
        );
        let said = getter.run(
            &manager,
            &["q"],
            r"
q = m.q()
expected = [None, True, 1, -2 ** 40, 2 ** 70, 1.5, 'plain', b'\xd0\xbf\xff'.decode('latin-1'),
            b'\xd0\xb6'.decode('utf-8'), bytearray(b'\x00\xff'), [1, [2, ()]],
            {'a': (1, 2)}, set([1, 2]), frozenset(['x']), complex(1, 2)]
for item in expected:
    got = q.get(timeout=20)
    assert got == item and (isinstance(got, (str, text)) or type(got) is type(item)), (got, item)
    q.task_done()
print('done')
",
        );
        assert_eq!(said, "done", "from {putter:?} to {getter:?}");
        finish(putting);
    }
}

/// Every Python with the oldest and the newest.
fn pairs() -> Vec<(&'static Python, &'static Python)> {
    let all = pythons::all();
    let (Some(oldest), Some(newest)) = (all.first(), all.last()) else {
        return Vec::new();
    };
    let with = |other| all.iter().flat_map(move |python| [(python, other), (other, python)]);
    let mut seen = BTreeSet::new();
    let mut pairs: Vec<_> = with(oldest).chain(with(newest)).collect();
    pairs.retain(|(one, other)| seen.insert((one.version, other.version)));
    pairs
}

#[test]
fn objects_of_classes_that_the_server_does_not_know_come_through() {
    let classes = r"
class Job(object):
    def __init__(self, name):
        self.name, self.parts, self.me = name, [], self
class Special(dict):
    pass
";
    for python in pythons::all() {
        let manager = manager(QueueOptions::new());
        let put = r"
q = m.q()
job = Job('first')
job.parts.append(Special(a=job))
q.put(job)
q.put([job, job])
";
        let get = r"
q = m.q()
job = q.get()
assert type(job) is Job and job.name == 'first' and job.me is job
assert type(job.parts[0]) is Special and job.parts[0]['a'] is job
one, other = q.get()
assert one is other
print('done')
";
        python.run(&manager, &["q"], &[classes, put].concat());
        assert_eq!(python.run(&manager, &["q"], &[classes, get].concat()), "done", "{python:?}");
    }
}

#[test]
fn an_item_of_64_mib_comes_through() {
    // One of each dialect, as it takes a while.
    for python in pythons::all().chunk_by(|one, next| one.protocol() == next.protocol()) {
        let python = &python[0];
        let manager = manager(QueueOptions::new());
        let said = python.run(
            &manager,
            &["q"],
            r"
q = m.q()
item = b'spinneret\x00' * (64 * 1024 * 1024 // 10)
q.put(item)
assert q.get() == item
print('done')
",
        );
        assert_eq!(said, "done", "{python:?}");
    }
}

#[test]
fn a_queue_that_is_shut_down_is_drained_first() {
    // Other versions have no method for it; what they get from such a queue is an error too.
    let Some(python) = Python::find((3, 13)) else {
        println!("skipped: there is no Python 3.13 on this machine");
        return;
    };
    let manager = manager(QueueOptions::new());
    let said = python.run(
        &manager,
        &["q"],
        r"
def fails(call):
    try:
        call()
    except queue.ShutDown:
        return True
q, other = m.q(), m.Queue()
for some in [q, other]:
    some.put('left')
    some.put('over')
q.shutdown()
assert fails(lambda: q.put('late'))
assert q.get() == 'left' and q.get() == 'over' and fails(q.get)
other.shutdown(immediate=True)
assert fails(other.get)
other.join()
print('done')
",
    );
    assert_eq!(said, "done");
    for older in pythons::all().iter().filter(|python| python.version < (3, 13)) {
        let program = r"
try:
    m.q().get(False)
except RuntimeError as error:
    print(error)
";
        assert_eq!(older.run(&manager, &["q"], program), "the queue is shut down", "{older:?}");
    }
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Task {
    url: String,
    depth: u32,
}

#[test]
fn rust_and_python_share_a_queue() {
    for python in pythons::all() {
        let manager = builder()
            .register("tasks", QueueOptions::new())
            .register("results", QueueOptions::new())
            .start()
            .unwrap();
        let client = Client::connect(manager.local_addr(), &key()).unwrap();
        let tasks: Queue<Task> = client.queue("tasks");
        let results: Queue<(String, u32)> = client.queue("results");
        let worker = python.start(
            &manager,
            &["tasks", "results"],
            r"
tasks, results = m.tasks(), m.results()
while True:
    task = tasks.get()
    if not task['url']:
        break
    results.put((task['url'] + '!', task['depth'] + 1))
    tasks.task_done()
tasks.task_done()
",
        );
        for depth in 0..10 {
            tasks.put(Task { url: format!("http://пример/{depth}"), depth }).unwrap();
        }
        for depth in 0..10 {
            let result = results.get_timeout(LONG).unwrap();
            assert_eq!(result, (format!("http://пример/{depth}!"), depth + 1), "{python:?}");
        }
        tasks.put(Task { url: String::new(), depth: 0 }).unwrap();
        tasks.join().unwrap();
        finish(worker);
    }
}

#[test]
fn a_client_that_dies_in_a_blocking_get_takes_nothing_with_it() {
    for python in pythons::all() {
        let manager = manager(QueueOptions::new());
        let mut waiter = python.start(&manager, &["q"], "m.q().get()");
        eventually("it waits", || !manager.connections().is_empty());
        // Connected is not yet waiting; either way nothing may be lost.
        std::thread::sleep(Duration::from_millis(50));
        waiter.kill().unwrap();
        waiter.wait().unwrap();
        let queue = manager.queue::<String>("q").unwrap();
        queue.put("kept".into()).unwrap();
        assert_eq!(queue.get_timeout(LONG).unwrap(), "kept", "{python:?}");
        eventually("its connection is closed", || manager.connections().is_empty());
    }
}

#[test]
fn a_get_may_be_a_lease_until_task_done() {
    for python in pythons::all() {
        let manager =
            builder().register("q", QueueOptions::new()).python_leases(None).start().unwrap();
        let queue = manager.queue::<String>("q").unwrap();
        for item in ["first", "second", "third"] {
            queue.put(item.into()).unwrap();
        }
        let mut worker = python.start(
            &manager,
            &["q"],
            r"
import time
q = m.q()
try:
    q.task_done()
    assert False
except ValueError:
    pass
assert (q.get(), q.get()) == ('first', 'second')
q.task_done()
time.sleep(1000)
",
        );
        eventually("the first is done", || queue.stats().unwrap().done == 1);
        assert_eq!(queue.stats().unwrap().leased, 1);
        worker.kill().unwrap();
        worker.wait().unwrap();
        eventually("the second comes back", || queue.stats().unwrap().queued == 2);
        assert_eq!(queue.get().unwrap(), "second", "{python:?}");
    }
}
