//! Connections: control requests, served calls, references, errors and the end.

use std::time::Duration;

use spinneret::manager::{ConnectionKind, QueueOptions};

use crate::{builder, eventually, manager, pythons};

/// For programs that speak the protocol by hand: `control` makes one request to the server itself
/// and returns its reply, `Served` is a served connection.
const BY_HAND: &str = r"
from multiprocessing.connection import Client
def dial():
    return Client(('127.0.0.1', port), authkey=key)
def control(function, *args, **kwds):
    c = dial()
    c.send((None, function, args, kwds))
    return c.recv()
class Served(object):
    def __init__(self, name='by hand'):
        self.c = dial()
        self.c.send((None, 'accept_connection', (name,), {}))
        assert self.c.recv() == ('#RETURN', None)
    def call(self, ident, method, *args, **kwds):
        self.c.send((ident, method, args, kwds))
        return self.c.recv()
    def ended(self):
        try:
            self.c.recv()
            return False
        except EOFError:
            return True
";

/// Runs a program by hand with every Python, each with a manager of its own that has a queue `q`.
fn by_hand(program: &str) {
    for python in pythons::all() {
        let manager = manager(QueueOptions::new());
        let program = [BY_HAND, program, "\nprint('done')\n"].concat();
        assert_eq!(python.run(&manager, &["q"], &program), "done", "{python:?}");
    }
}

#[test]
fn requests_to_the_server_itself_are_answered_as_by_python_s() {
    by_hand(
        r"
assert control('dummy') == ('#RETURN', None)
kind, (ident, exposed) = control('create', 'q')
assert kind == '#RETURN' and type(ident) is str and set(exposed) >= set(['get', 'put', 'task_done'])
assert control('create', 'q')[1][0] == ident
assert control('number_of_objects') == ('#RETURN', 1)
assert control('incref', ident) == ('#RETURN', None)
assert 'refcount=3' in control('debug_info')[1]
for i in range(3):
    assert control('decref', ident) == ('#RETURN', None)
assert control('number_of_objects') == ('#RETURN', 0)
from multiprocessing.managers import Token
token = Token('q', ('127.0.0.1', port), ident)
assert set(control('get_methods', token)[1]) == set(exposed)
for function, args, last in [
    ('fork', (), 'AssertionError: \'fork\' unrecognized'),
    ('create', ('nonsense',), 'KeyError: \'nonsense\''),
    ('create', (), 'TypeError: create() missing 1 required positional argument: \'typeid\''),
    ('create', ('Queue', 'large'), 'TypeError: maxsize has to be an integer'),
    ('create', ('q', 1), 'TypeError: q() takes 1 positional argument but 2 were given'),
    ('incref', ('123',), 'KeyError: \'123\''),
    ('decref', ('123',), 'KeyError: \'123\''),
]:
    kind, text = control(function, *args)
    assert kind == '#TRACEBACK' and type(text) is str, (kind, text)
    assert text.endswith('\n') and text.splitlines()[-1] == last, text
",
    );
}

#[test]
fn an_object_is_there_for_as_long_as_somebody_refers_to_it() {
    by_hand(
        r"
ident = control('create', 'Queue')[1][0]
s = Served()
assert s.call(ident, 'put', 1) == ('#RETURN', None)
assert control('decref', ident) == ('#RETURN', None)
kind, text = s.call(ident, 'qsize')
assert kind == '#TRACEBACK' and text.endswith('KeyError: \'%s\'\n' % ident)
assert control('create', 'Queue')[1][0] != ident
",
    );
}

#[test]
fn what_cannot_be_called_is_a_traceback_and_the_connection_goes_on() {
    by_hand(
        r"
ident = control('create', 'q')[1][0]
s = Served()
for method in ['__init__', 'mutex', '_get', 'no such']:
    kind, text = s.call(ident, method)
    assert kind == '#TRACEBACK' and text.endswith('KeyError: \'%s\'\n' % method), text
assert s.call(ident, '__str__')[1] == s.call(ident, '__repr__')[1]
kind, text = s.call(ident, '#GETVALUE')
assert kind == '#UNSERIALIZABLE' and type(text) is str and 'Queue' in text, text
for request in [b'nonsense', b'\x80\x04.', b'cos\nsystem\n(S\'exit\'\ntR.', b'\x80\x02N.',
                b'\x80\x02]q\x00h\x00a.']:
    s.c.send_bytes(request)
    kind, text = s.c.recv()
    assert kind == '#TRACEBACK' and type(text) is str, (request, kind, text)
assert s.call(ident, 'qsize') == ('#RETURN', 0)
s.c.send_bytes(b'')
assert s.ended()
",
    );
}

#[test]
fn a_pool_is_refused_with_a_word_about_what_to_do_instead() {
    for python in pythons::all() {
        let manager = builder().start().unwrap();
        let said = python.run(
            &manager,
            &["q"],
            r"
from multiprocessing.managers import RemoteError
try:
    m.Pool(2)
    assert False
except RemoteError as error:
    assert 'NotImplementedError' in str(error) and 'ClusterPool' in str(error), error
print('done')
",
        );
        assert_eq!(said, "done", "{python:?}");
    }
}

#[test]
fn proxies_travel_and_keep_what_they_stand_for() {
    for python in pythons::all() {
        // Python's own proxies of this kind cannot be nested there, as its AutoProxy cannot be
        // rebuilt with the keyword that it is given.
        let manager = manager(QueueOptions::new());
        let said = python.run(
            &manager,
            &["q"],
            r"
import gc, sys
q = m.q()
inner = m.Queue()
inner.put('kept')
q.put({'deep': [inner]})
del inner
gc.collect()
assert m._number_of_objects() == 1, m._debug_info()
if sys.version_info[0] == 2:
    # Python 2 is given objects for proxies, and a queue is no value.
    from multiprocessing.managers import RemoteError
    try:
        q.get()
        assert False
    except RemoteError as error:
        assert 'Unserializable' in str(error) and 'Queue' in str(error), error
else:
    inner = q.get()['deep'][0]
    assert inner.get(False) == 'kept'
    assert m._number_of_objects() == 2, m._debug_info()
    del inner
    gc.collect()
    assert m._number_of_objects() == 1, m._debug_info()
print('done')
",
        );
        assert_eq!(said, "done", "{python:?}");
    }
}

#[test]
fn each_thread_of_python_is_a_connection_with_its_name() {
    for python in pythons::all() {
        let manager = manager(QueueOptions::new());
        let worker = python.start(
            &manager,
            &["q"],
            r"
import threading
q = m.q()
q.qsize()
def work():
    q.get()
thread = threading.Thread(target=work, name='second')
thread.start()
thread.join()
",
        );
        eventually("both are there", || manager.connections().len() == 2);
        let names: Vec<String> = manager.connections().into_iter().map(|c| c.name).collect();
        assert!(
            names[0] == "MainProcess" && names[1].starts_with("MainProcess|second"),
            "{names:?}"
        );
        let protocol = python.protocol();
        for connection in manager.connections() {
            assert_eq!(connection.kind, ConnectionKind::Python { protocol });
        }
        manager.queue::<u8>("q").unwrap().put(1).unwrap();
        pythons::finish(worker);
        eventually("both are gone", || manager.connections().is_empty());
    }
}

#[test]
fn a_blocking_call_blocks_its_connection_alone() {
    by_hand(
        r"
import threading
ident = control('create', 'q')[1][0]
blocked, free = Served(), Served()
blocked.c.send((ident, 'get', (), {}))
for i in range(50):
    assert free.call(ident, 'qsize') == ('#RETURN', 0)
assert not blocked.c.poll(0)
assert free.call(ident, 'put', 'x') == ('#RETURN', None)
assert blocked.c.recv() == ('#RETURN', 'x')
# What comes while a call blocks is answered after it.
blocked.c.send((ident, 'get', (), {}))
blocked.c.send((ident, 'qsize', (), {}))
assert not blocked.c.poll(0.05)
free.call(ident, 'put', 'y')
assert blocked.c.recv() == ('#RETURN', 'y') and blocked.c.recv() == ('#RETURN', 0)
",
    );
}

#[test]
fn an_idle_connection_is_served_for_ever() {
    for python in pythons::all() {
        let brief = Duration::from_millis(50);
        let manager = builder()
            .register("q", QueueOptions::new())
            .handshake_timeout(Duration::from_secs(20))
            .silence_timeout(brief)
            .start()
            .unwrap();
        let said = python.run(
            &manager,
            &["q"],
            "
import time
q = m.q()
q.put(1)
time.sleep(0.5)
assert q.get() == 1
print('done')
",
        );
        assert_eq!(said, "done", "{python:?}");
    }
}

#[test]
fn a_client_may_ask_for_the_end() {
    for python in pythons::all() {
        let manager = builder().start().unwrap();
        let program = [
            BY_HAND,
            r"
import sys
c = dial()
c.send((None, 'shutdown', (), {}))
assert c.recv() == ('#RETURN', None)
if sys.version_info[0] > 2:
    assert c.recv() == ('#RETURN', None)
try:
    c.recv()
    assert False
except EOFError:
    print('done')
",
        ];
        assert_eq!(python.run(&manager, &["q"], &program.concat()), "done", "{python:?}");
        manager.wait_shutdown();
    }
}

#[test]
fn a_wrong_key_is_python_s_authentication_error() {
    for python in pythons::all() {
        let manager = manager(QueueOptions::new());
        let said = python.run(
            &manager,
            &["q"],
            r"
try:
    from multiprocessing.context import AuthenticationError
except ImportError:
    from multiprocessing import AuthenticationError
try:
    Manager(('127.0.0.1', port), b'wrong').connect()
    assert False
except AuthenticationError:
    print('done')
",
        );
        assert_eq!(said, "done", "{python:?}");
    }
}
