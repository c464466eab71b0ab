//! Objects of a Rust program, whose methods Python calls.

use std::{
    collections::BTreeMap,
    fmt,
    io::{BufRead as _, BufReader},
    process::{Child, Stdio},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use serde::{Deserialize, Serialize};
use spinneret::manager::{
    Client, ManagerError, QueueOptions,
    exposed::{Answer, Call, Exposed},
    pickle::{Exception, ExceptionKind, Value},
};
use tokio::sync::Notify;

use crate::{
    builder, eventually, key,
    programs::example,
    pythons::{self, finish},
};

#[derive(Default)]
struct Counter {
    number: AtomicI64,
    gate: Notify,
    waiting: Arc<AtomicI64>,
}

#[derive(Serialize, Deserialize)]
struct Image {
    url: String,
    size: Option<(u32, u32)>,
}

/// Raised as a `KeyError`.
struct NoSuchImage(String);

impl From<NoSuchImage> for Exception {
    fn from(error: NoSuchImage) -> Self {
        Self::with_message(ExceptionKind::KeyError, error.0)
    }
}

struct Plain;

impl fmt::Display for Plain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("plainly wrong")
    }
}

/// Is counted while it is there.
struct Waiting(Arc<AtomicI64>);

impl Waiting {
    fn new(counter: &Arc<AtomicI64>) -> Self {
        counter.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(counter))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[spinneret::exposed]
impl Counter {
    fn add(&self, by: i64, times: Option<i64>) -> i64 {
        let by = by * times.unwrap_or(1);
        self.number.fetch_add(by, Ordering::Relaxed) + by
    }

    fn describe(
        &self,
        image: Image,
        tags: BTreeMap<String, Vec<u8>>,
    ) -> (String, Option<u32>, usize) {
        (image.url, image.size.map(|(width, height)| width * height), tags.len())
    }

    fn image(&self, name: String) -> Result<Image, NoSuchImage> {
        if name == "cat" {
            return Ok(Image { url: "http://пример/cat.png".into(), size: None });
        }
        Err(NoSuchImage(name))
    }

    fn fail(&self) -> Result<(), Plain> {
        Err(Plain)
    }

    fn panic(&self) {
        panic!("the counter is broken");
    }

    async fn wait(&self) -> &'static str {
        let _waiting = Waiting::new(&self.waiting);
        self.gate.notified().await;
        "it came"
    }

    fn notify(&self) {
        self.gate.notify_one();
    }

    async fn stop(&self) -> Result<i64, Exception> {
        tokio::task::yield_now().await;
        Err(Exception::bare(ExceptionKind::StopIteration))
    }

    async fn panic_later(&self) {
        tokio::task::yield_now().await;
        panic!("later");
    }

    #[cfg(any())]
    fn left_out(&self) -> NoSuchType {}

    fn __len__(&self) -> i64 {
        self.number.load(Ordering::Relaxed)
    }
}

#[test]
fn python_calls_methods_as_it_calls_its_own() {
    for python in pythons::all() {
        let manager = builder().register_object("counter", Counter::default()).start().unwrap();
        let said = python.run(
            &manager,
            &["counter"],
            r"
c = m.counter()
assert [name for name in dir(c) if name in ('add', 'wait', 'left_out')] == ['add', 'wait']
assert c.add(3) == 3 and c.add(by=4) == 7 and c.add(1, times=2) == 9 and c.add(0, None) == 9
assert len(c) == 9
url = b'http://\xd0\xbf/'.decode('utf-8')
assert c.describe({'url': url, 'size': (3, 4)}, {text('a'): [1, 2]}) == (url, 12, 1)
assert c.describe(tags={}, image={'url': 'x', 'size': None}) == ('x', None, 0)
cat = c.image('cat')
assert cat == {'url': b'http://\xd0\xbf\xd1\x80\xd0\xb8\xd0\xbc\xd0\xb5\xd1\x80/cat.png'.decode('utf-8'),
               'size': None}, cat
other = m.counter()
other.add(1)
assert c.add(0) == 10 and str(c) == str(other) and 'Counter object' in str(c)
print('done')
",
        );
        assert_eq!(said, "done", "{:?}", python.version);
    }
}

#[test]
fn errors_are_exceptions_and_a_panic_is_no_end() {
    for python in pythons::all() {
        let manager = builder().register_object("counter", Counter::default()).start().unwrap();
        let said = python.run(
            &manager,
            &["counter"],
            r"
from multiprocessing.managers import RemoteError
c = m.counter()

def raised(kind, call, *texts):
    try:
        call()
    except kind as error:
        assert type(error) is kind, type(error)
        for part in texts:
            assert part in str(error), str(error)
    else:
        assert False

raised(KeyError, lambda: c.image('dog'), 'dog')
raised(RuntimeError, lambda: c.fail(), 'plainly wrong')
raised(StopIteration, lambda: c.stop())
raised(RuntimeError, lambda: c.panic(), 'panicked: the counter is broken')
raised(RuntimeError, lambda: c.panic_later(), 'panicked: later')
raised(TypeError, lambda: c.add(), 'add() missing 1 required positional argument: \'by\'')
raised(TypeError, lambda: c.add(1, 2, 3), 'add() takes 3 positional arguments but 4 were given')
raised(TypeError, lambda: c.add(1, of=2), 'unexpected keyword argument \'of\'')
raised(TypeError, lambda: c.add(1, by=2), 'multiple values for argument \'by\'')
raised(TypeError, lambda: c.add('x'), 'add() argument \'by\'', 'i64')
raised(TypeError, lambda: c.add(1 << 80), 'add() argument \'by\'')
raised(RemoteError, lambda: c._callmethod('nothing'), 'KeyError', 'nothing')
raised(RemoteError, lambda: m.counter(1), 'TypeError')
assert c.add(2) == 2
print('done')
",
        );
        assert_eq!(said, "done", "{:?}", python.version);
    }
}

#[test]
fn a_waiting_method_holds_up_nobody_and_ends_with_its_caller() {
    for python in pythons::all() {
        let counter = Counter::default();
        let waiting = Arc::clone(&counter.waiting);
        let manager = builder().register_object("counter", counter).start().unwrap();
        let said = python.run(
            &manager,
            &["counter"],
            r"
import threading
c, said = m.counter(), []
thread = threading.Thread(target=lambda: said.append(c.wait()))
thread.start()
assert c.add(1) == 1
c.notify()
thread.join()
print(said[0])
",
        );
        assert_eq!(said, "it came", "{:?}", python.version);
        assert_eq!(waiting.load(Ordering::Acquire), 0);

        let mut child = python.start(&manager, &["counter"], "m.counter().wait()");
        eventually("it waits", || waiting.load(Ordering::Acquire) == 1);
        child.kill().unwrap();
        child.wait().unwrap();
        eventually("nobody waits", || waiting.load(Ordering::Acquire) == 0);
    }
}

/// Has whatever methods it was given.
struct Parrot(Vec<&'static str>);

impl Exposed for Parrot {
    fn methods(&self) -> &[&str] {
        &self.0
    }

    fn call(self: Arc<Self>, call: Call) -> Answer {
        Box::pin(async move {
            let named = call
                .keywords()
                .iter()
                .map(|(name, value)| Value::tuple([Value::text(name.clone()), value.clone()]));
            let said = [Value::text(call.method()), Value::list(call.positional().to_vec())];
            Ok(Value::tuple(said.into_iter().chain([Value::list(named)])))
        })
    }

    fn repr(&self) -> String {
        "<a parrot>".into()
    }
}

/// Panics in whatever it is asked to do but `go_on`.
struct Clumsy;

impl Exposed for Clumsy {
    fn methods(&self) -> &[&str] {
        &["stumble", "fall", "go_on"]
    }

    fn call(self: Arc<Self>, call: Call) -> Answer {
        assert!(call.method() != "stumble", "over a stone");
        Box::pin(async move {
            tokio::task::yield_now().await;
            assert!(call.method() != "fall", "down the stairs");
            Ok(Value::none())
        })
    }

    fn repr(&self) -> String {
        panic!("what is my name")
    }
}

#[test]
fn a_panic_of_what_was_written_by_hand_ends_its_call_only() {
    for python in pythons::all() {
        let manager = builder().register_object("clumsy", Clumsy).start().unwrap();
        let said = python.run(
            &manager,
            &["clumsy"],
            r"
c = m.clumsy()
for method, text in [('stumble', 'over a stone'), ('fall', 'down the stairs')]:
    try:
        getattr(c, method)()
    except RuntimeError as error:
        assert str(error) == 'panicked: ' + text, error
    else:
        assert False
    # A client of Python does not connect again: this is the same connection.
    assert c.go_on() is None
assert 'panicked' in str(c), str(c)
assert c.go_on() is None
assert 'panicked' in m._debug_info()
print('done')
",
        );
        assert_eq!(said, "done", "{:?}", python.version);
    }
}

#[test]
fn methods_can_be_known_only_when_the_program_runs() {
    for python in pythons::all() {
        let manager = builder().start().unwrap();
        manager.register_object("parrot", Parrot(vec!["say", "repeat"])).unwrap();
        let said = python.run(
            &manager,
            &["parrot"],
            r"
p = m.parrot()
assert p._exposed_ == ('repeat', 'say')
assert p.say(1, 'x') == ('say', [1, 'x'], [])
assert p.repeat([None], loud=True) == ('repeat', [[None]], [('loud', True)])

class Unknown(object):
    pass

unknown = Unknown()
unknown.x = [1]
assert p.say(unknown)[1][0].x == [1]
print(p)
",
        );
        assert_eq!(said, "<a parrot>", "{:?}", python.version);
    }
}

#[test]
fn the_example_s_stock_is_used_by_every_python() {
    for python in pythons::all() {
        let example = example("exposed")
            .arg("127.0.0.1:0")
            .env("SPINNERET_AUTHKEY", "qiye")
            .stdout(Stdio::piped())
            .spawn();
        let mut example = Ended(example.unwrap());
        let mut line = String::new();
        BufReader::new(example.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on ").unwrap();
        let script = format!(
            r"
from multiprocessing.managers import BaseManager

BaseManager.register('stock')
host, port = '{address}'.split(':')
manager = BaseManager((host, int(port)), b'qiye')
manager.connect()
stock = manager.stock()
assert stock.deliver('apples', 7) == 7
assert stock.take('apples', count=3) == 4 and stock.take('apples') == 3
assert stock.all() == {{'apples': 3}}
stock.wait_for('apples')
for what, kind in [('plums', KeyError), ('apples', ValueError)]:
    try:
        stock.take(what, 9)
        assert False
    except kind:
        pass
"
        );
        let output = python.command().args(["-c", &script]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{:?}: {said}", python.version);
    }
}

/// A process that does not outlive its test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[test]
fn a_name_belongs_to_one() {
    let manager = builder()
        .register("q", QueueOptions::new())
        .register_object("parrot", Parrot(vec![]))
        .start()
        .unwrap();
    for name in ["q", "parrot"] {
        let error = manager.register_object(name, Parrot(vec![])).unwrap_err();
        assert!(matches!(&error, ManagerError::NameTaken { name: taken } if taken == name));
    }
    let error = manager.register_object("", Parrot(vec![])).unwrap_err();
    assert!(matches!(error, ManagerError::BadName { .. }), "{error:?}");
    let twice = builder()
        .register_object("parrot", Parrot(vec![]))
        .register_object("parrot", Parrot(vec![]))
        .start();
    assert!(matches!(twice, Err(ManagerError::NameTaken { .. })), "{twice:?}");
}

#[test]
fn many_callers_of_every_python_count_together() {
    let manager = builder().register_object("counter", Counter::default()).start().unwrap();
    let program = "c = m.counter()\nfor i in range(100): c.add(1)";
    let children: Vec<_> =
        pythons::all().iter().map(|python| python.start(&manager, &["counter"], program)).collect();
    let client = Client::connect(manager.local_addr(), &key()).unwrap();
    let counter = client.object("counter", ()).unwrap();
    for _ in 0..100 {
        counter.call::<i64>("add", (1,)).unwrap();
    }
    let callers = 1 + children.len();
    for child in children {
        finish(child);
    }
    assert_eq!(counter.call::<usize>("__len__", ()).unwrap(), callers * 100);
}
