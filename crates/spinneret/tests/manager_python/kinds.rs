//! Locks, containers and the like: shared by Pythons of all versions, and free again when a client
//! dies.

use std::{
    io::{BufRead as _, BufReader},
    process::Child,
};

use spinneret::manager::Manager;

use crate::{
    builder,
    pythons::{self, Python, finish},
};

#[test]
fn one_dict_is_filled_by_every_python_and_read_by_every_other() {
    let manager = builder().start().unwrap();
    let pythons = pythons::all();
    let program = "d = m.dict()\nd['maker'] = u'\\xe9'\nsay(d)\nfor_ever()\n";
    let mut maker = start(&pythons[0], &manager, program);
    let mut ident = String::new();
    BufReader::new(maker.stdout.take().unwrap()).read_line(&mut ident).unwrap();
    for (number, python) in pythons.iter().enumerate() {
        let program = r"
d = proxy(managers.DictProxy, 'dict', ident)
assert d['maker'] == u'\xe9'
for other in range(number):
    assert d[other] == [other, None, {u'x': (1.5, 'text')}], d[other]
    assert d.get(float(other)) == d[other]
d[number] = [number, None, {u'x': (1.5, 'text')}]
try:
    d['nothing']
    assert False
except KeyError as error:
    assert error.args == ('nothing',), error.args
assert len(d) == number + 2
assert sum(1 for k in d if k in d) == number + 2
print('done')
";
        let program = format!("{PROXY}ident = {:?}\nnumber = {number}\n{program}", ident.trim());
        assert_eq!(python.run::<&str>(&manager, &[], &program), "done", "{python:?}");
    }
    maker.kill().unwrap();
    maker.wait().unwrap();
}

/// Runs a program with every Python that prints a line and then waits; kills it after that line, and
/// runs the other program, which gets the line as `line`.
fn after_a_kill(first: &str, second: &str) {
    for python in pythons::all() {
        let manager = builder().start().unwrap();
        let mut victim = start(python, &manager, first);
        let mut line = String::new();
        BufReader::new(victim.stdout.take().unwrap()).read_line(&mut line).unwrap();
        victim.kill().unwrap();
        victim.wait().unwrap();
        let program = format!("{PROXY}line = {:?}\n{second}\nprint('done')\n", line.trim());
        assert_eq!(python.run::<&str>(&manager, &[], &program), "done", "{python:?}");
    }
}

fn start(python: &Python, manager: &Manager, program: &str) -> Child {
    python.start::<&str>(manager, &[], &[PROXY, program].concat())
}

/// A proxy of an object whose ident another program has printed.
const PROXY: &str = r"
import sys, time, threading
from multiprocessing import managers
def proxy(kind, typeid, ident):
    token = managers.Token(typeid, ('127.0.0.1', port), ident)
    return kind(token, 'pickle', manager=m, authkey=key)
def say(*objects):
    print(' '.join(o._token.id for o in objects))
    sys.stdout.flush()
def for_ever():
    time.sleep(1000)
";

#[test]
fn locks_of_a_killed_client_are_free() {
    after_a_kill(
        r"
locks = [m.Lock(), m.RLock(), m.Semaphore(1), m.BoundedSemaphore(1), m.Condition()]
for lock in locks:
    lock.acquire()
say(*locks)
for_ever()
",
        r"
kinds = ['Lock', 'RLock', 'Semaphore', 'BoundedSemaphore', 'Condition']
for typeid, ident in zip(kinds, line.split()):
    lock = proxy(managers.AcquirerProxy, typeid, ident)
    # As soon as the server has seen the end of the other.
    assert lock.acquire(True)
    lock.release()
",
    );
}

#[test]
fn a_lock_does_not_go_to_a_client_that_was_killed_while_it_waited() {
    after_a_kill(
        r"
lock = m.Lock()
lock.acquire()
waiter = threading.Thread(target=lock.acquire)
waiter.daemon = True
waiter.start()
while 'refcount' not in m._debug_info():
    pass
time.sleep(0.05)
say(lock)
for_ever()
",
        r"
lock = proxy(managers.AcquirerProxy, 'Lock', line)
for i in range(3):
    assert lock.acquire()
    lock.release()
",
    );
}

#[test]
fn what_would_run_a_client_s_code_is_refused_with_a_reason() {
    for python in pythons::all() {
        let manager = builder().start().unwrap();
        let program = r"
from multiprocessing.managers import RemoteError
l = m.list([3, 1, 2])
try:
    l.sort(key=abs)
    assert False
except TypeError as error:
    assert 'runs no code of its clients' in str(error), error
l.sort(reverse=True)
assert l[:] == [3, 2, 1]
if hasattr(m, 'Barrier'):
    try:
        m.Barrier(2, action=len)
        assert False
    except RemoteError as error:
        assert 'runs no code of its clients' in str(error), error
print('done')
";
        assert_eq!(finish(python.start::<&str>(&manager, &[], program)), "done", "{python:?}");
    }
}

#[test]
fn a_value_is_iterated_over_in_the_server_as_in_python_s_own() {
    for python in pythons::all() {
        let manager = builder().start().unwrap();
        let program = r"
import array, sys
from multiprocessing import connection, managers

def create(*args):
    return managers.dispatch(connection.Client(address, authkey=key), None, 'create', args)

def iterator(value):
    ident, exposed = create('Iterator', value)
    named = ('__next__', 'send', 'throw', 'close')
    assert set(exposed) - set(['next']) == set(named), exposed
    token = managers.Token('Iterator', address, ident)
    return managers.IteratorProxy(token, 'pickle', manager=m, authkey=key)

def refused(kind, call):
    try:
        call()
    except Exception as error:
        assert kind in str(error), error
    else:
        assert False

def try_out():
    # The server of 3.6 raises what that of 2.7 does, ours to both of 3.6 and 3.7 what that of 3.7 does.
    expected = 'AssertionError' if sys.version_info < (3,) else 'argument'
    for args in [(), (1, 2)]:
        refused('' if sys.version_info[:2] == (3, 6) else expected, lambda: create('Iterator', *args))
    numbers = iterator([1, 2])
    assert numbers._callmethod('#GETVALUE') == [1, 2] and str(numbers) == '[1, 2]'
    refused('__next__', lambda: numbers._callmethod('__next__'))
    refused('send', lambda: numbers.send(1))
    # Python 2.7 cannot pickle iterators.
    if sys.version_info < (3,):
        return
    begun = iter([1, 2, 3])
    next(begun)
    back = reversed([1, 2, 3])
    next(back)
    for values in [iter([1, 2]), iter((1, 2)), iter('ab'), iter(range(1, 3)), iter(b'ab'), begun, back,
                   iter([])]:
        there, expected = iterator(values), list(values)
        assert list(there) == expected, (list(there), expected)
        refused('', lambda: next(there))
    l = m.list(reversed([1, 2]))
    l.extend(iter((3, 4)))
    l[:1] = iter('ab')
    assert l[:] == ['a', 'b', 1, 3, 4], l[:]
    assert m.dict(iter([('x', 1)])).items() == [('x', 1)]
    assert m.Array('i', iter(range(2)))[:] == array.array('i', [0, 1])
    there = iterator(iter(['a', 'b']))
    assert next(there) == 'a' and list(there._callmethod('#GETVALUE')) == ['b'] and next(there) == 'b'
    assert 'iterator object at' in str(there), str(there)

address = ('127.0.0.1', port)
try_out()
m = managers.SyncManager(authkey=key)
m.start()
address = m.address
try_out()
print('done')
";
        assert_eq!(python.run::<&str>(&manager, &[], program), "done", "{python:?}");
    }
}
