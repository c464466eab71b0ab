//! The servers that clients are tried against.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Stdio},
};

use spinneret::manager::{
    Client, Manager, QueueOptions,
    pickle::{Exception, ExceptionKind, Value},
};

use crate::{
    key,
    pythons::{self, Python},
};

/// A server that a client connects to.
pub enum End {
    /// A manager of ours.
    Ours(Manager),
    /// A server of Python in a process of its own.
    Python(PythonServer),
}

pub struct PythonServer {
    pub version: (u8, u8),
    port: u16,
    process: Child,
}

impl End {
    pub fn ours() -> Self {
        let manager = Manager::builder()
            .listen("127.0.0.1:0")
            .authkey(key())
            .register("tasks", QueueOptions::new())
            .register("narrow", QueueOptions::new().maxsize(2))
            .register_object("shop", Shop)
            .start();
        Self::Ours(manager.unwrap())
    }

    pub fn python(python: &Python) -> Self {
        Self::Python(Starting::new(python).wait())
    }

    pub fn address(&self) -> String {
        match self {
            Self::Ours(manager) => manager.local_addr().to_string(),
            Self::Python(server) => format!("127.0.0.1:{}", server.port),
        }
    }

    pub fn client(&self) -> Client {
        Client::connect(self.address(), &key()).unwrap()
    }

    /// A Python that can talk to it.
    pub fn a_python(&self) -> &'static Python {
        let all = pythons::all();
        match self {
            Self::Ours(_) => &all[0],
            Self::Python(server) => Python::find(server.version).unwrap_or(&all[0]),
        }
    }

    pub fn is_ours(&self) -> bool {
        matches!(self, Self::Ours(_))
    }

    pub fn is_python_2(&self) -> bool {
        matches!(self, Self::Python(server) if server.version == (2, 7))
    }

    /// Whether its queues can be shut down.
    pub fn closes_queues(&self) -> bool {
        match self {
            Self::Ours(_) => true,
            Self::Python(server) => server.version >= (3, 13),
        }
    }
}

/// A server of Python that will soon say its port.
struct Starting {
    version: (u8, u8),
    process: Child,
}

impl Starting {
    fn new(python: &Python) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/manager_python_client");
        let process = python
            .command()
            .arg("-B")
            .arg(folder.join("server.py"))
            .arg("qiye")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        Self { version: python.version, process: process.unwrap() }
    }

    fn wait(mut self) -> PythonServer {
        let mut line = String::new();
        BufReader::new(self.process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port = line.trim().parse().unwrap();
        PythonServer { version: self.version, port, process: self.process }
    }
}

impl Drop for PythonServer {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// Tries it with every server, a fresh one each time; says with which.
pub fn each(test: impl Fn(&End)) {
    eprintln!("with a manager of ours");
    test(&End::ours());
    each_python(test);
}

/// Tries it with every server of Python.
pub fn each_python(test: impl Fn(&End)) {
    try_with(pythons::all(), test);
}

/// Tries it with a manager of ours and a Python for each form of pickles.
pub fn each_dialect(test: impl Fn(&End)) {
    test(&End::ours());
    let of = |from, to| pythons::all().iter().rfind(|python| (from..to).contains(&python.version));
    let some = [of((2, 7), (3, 0)), of((3, 0), (3, 8)), of((3, 8), (4, 0))];
    try_with(some.into_iter().flatten(), test);
}

fn try_with<'a>(pythons: impl IntoIterator<Item = &'a Python>, test: impl Fn(&End)) {
    // All at once, since each takes a while to start.
    let starting: Vec<Starting> = pythons.into_iter().map(Starting::new).collect();
    for server in starting {
        eprintln!("with Python {}.{}", server.version.0, server.version.1);
        test(&End::Python(server.wait()));
    }
}

/// What `server.py` has under that name.
struct Shop;

#[spinneret::exposed]
impl Shop {
    fn echo(&self, value: Value) -> Value {
        value
    }

    fn order(&self, what: String, number: Option<i64>) -> (String, i64, Vec<Value>) {
        (what, number.unwrap_or(1), vec![])
    }

    fn name(&self) -> &'static str {
        "shop"
    }

    fn fail(&self, what: String) -> Result<(), Exception> {
        let kind = match what.as_str() {
            "key" => ExceptionKind::KeyError,
            "index" => ExceptionKind::IndexError,
            "sold" => ExceptionKind::Other { module: "__main__".into(), name: "Sold".into() },
            _ => ExceptionKind::ValueError,
        };
        Err(Exception::with_message(kind, what))
    }

    fn point(&self) -> Value {
        let state = [("x", 1), ("y", 2)].map(|(name, at)| (Value::native(name), Value::int(at)));
        Value::object(Value::global("__main__", "Point"), [], Some(Value::dict(state)))
    }

    fn is_point(&self, point: Value) -> bool {
        format!("{point:?}").contains("Point")
    }

    async fn big(&self, size: usize) -> Value {
        Value::bytes(vec![b'x'; size])
    }

    fn size(&self, value: Value) -> usize {
        value.as_ref().to_bytes().map_or(0, |bytes| bytes.len())
    }
}
