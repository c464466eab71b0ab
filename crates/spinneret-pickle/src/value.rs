//! [`Value`]: an object of Python as data.

use std::sync::Arc;

use bytes::Bytes;

use crate::{
    Dialect, Int, Items, Limits, ReadError, ValueRef, View, WriteError,
    graph::{Change, Graph, NO_CHANGE, Node, NodeId, Run},
    read, write,
};

/// An object of Python, as a pickle describes it: immutable, cheap to clone, shared between threads.
///
/// It keeps what it was read from: a string is a piece of the message that it came in, and so is a
/// value taken out of another one. [`Value::detach`] makes a copy that keeps nothing else.
///
/// ```
/// use spinneret_pickle::{Dialect, Limits, Value, View};
///
/// // pickle.dumps(('put', [1, 2]), 4)
/// let pickle = b"\x80\x04(\x8c\x03put\x94]\x94(K\x01K\x02et\x94.";
/// let value = Value::read(&pickle[..].into(), &Limits::default()).unwrap();
/// let mut items = value.items().unwrap();
/// assert_eq!(items.next().unwrap().as_str(), Some("put"));
/// let View::List(list) = items.next().unwrap().view() else { panic!("a list") };
/// assert_eq!(list.map(|item| item.as_i64().unwrap()).sum::<i64>(), 3);
///
/// // Python 2.7 reads it too.
/// assert_eq!(&value.write(Dialect::Python2).unwrap()[..2], b"\x80\x02");
/// ```
#[derive(Clone)]
pub struct Value(pub(crate) Repr);

#[derive(Clone)]
pub(crate) enum Repr {
    /// Something simple that needs no graph.
    Leaf(Leaf),
    /// A node, which is not [`Node::Foreign`].
    Node(Arc<Graph>, NodeId),
}

/// A value without parts. See [`Node`] for the kinds.
#[derive(Clone, Debug)]
pub(crate) enum Leaf {
    None,
    Bool(bool),
    Int {
        value: i64,
        long: bool,
    },
    Long(Bytes),
    Float(f64),
    Text(Bytes),
    Str2(Bytes),
    /// Text that every Python is to read as its own `str`.
    Native(Bytes),
    Bytes(Bytes),
    ByteArray(Bytes),
}

impl Repr {
    /// The node for a value so small that there is no use in sharing it.
    pub fn small(&self) -> Option<Node> {
        match *self {
            Self::Leaf(Leaf::None) => Some(Node::None),
            Self::Leaf(Leaf::Bool(bool)) => Some(Node::Bool(bool)),
            Self::Leaf(Leaf::Int { value, long }) => Some(Node::Int { value, long }),
            Self::Leaf(Leaf::Float(float)) => Some(Node::Float(float)),
            _ => None,
        }
    }
}

impl Value {
    /// Reads a pickle of any protocol from 0 to 5.
    ///
    /// Nothing is run and nothing is looked up: objects of whatever class are data, see
    /// [`View::Object`]. Strings are not copied, they are pieces of `pickle`.
    pub fn read(pickle: &Bytes, limits: &Limits) -> Result<Self, ReadError> {
        read::read(pickle, limits)
    }

    /// Writes a pickle for a version of Python.
    pub fn write(&self, dialect: Dialect) -> Result<Vec<u8>, WriteError> {
        let mut out = Vec::new();
        self.write_to(&mut out, dialect)?;
        Ok(out)
    }

    /// Appends a pickle for a version of Python. After an error, what was appended so far is gone
    /// again.
    pub fn write_to(&self, out: &mut Vec<u8>, dialect: Dialect) -> Result<(), WriteError> {
        write::write(out, self, dialect)
    }

    /// `None`.
    pub const fn none() -> Self {
        Self(Repr::Leaf(Leaf::None))
    }

    /// `True` or `False`.
    pub const fn bool(value: bool) -> Self {
        Self(Repr::Leaf(Leaf::Bool(value)))
    }

    /// An integer; for Python 2.7 an `int`, not a `long`.
    pub const fn int(value: i64) -> Self {
        Self(Repr::Leaf(Leaf::Int { value, long: false }))
    }

    /// An integer of any size, from its bytes in two's complement, the lowest first.
    /// For Python 2.7 it is a `long`.
    pub fn long(little_endian: &[u8]) -> Self {
        match Int::new(little_endian, true).as_i64() {
            Some(value) => Self(Repr::Leaf(Leaf::Int { value, long: true })),
            None => Self(Repr::Leaf(Leaf::Long(Bytes::copy_from_slice(little_endian)))),
        }
    }

    /// A floating-point number.
    pub const fn float(value: f64) -> Self {
        Self(Repr::Leaf(Leaf::Float(value)))
    }

    /// Text: `str`, for Python 2.7 `unicode`.
    pub fn text(text: impl Into<String>) -> Self {
        Self(Repr::Leaf(Leaf::Text(text.into().into())))
    }

    /// Half of a character, as text of Python may have it.
    pub(crate) fn lone_surrogate(code: u16) -> Self {
        let [first, middle, last] = [
            0xe0 | (code >> 12) as u8,
            0x80 | (code >> 6 & 0x3f) as u8,
            0x80 | (code & 0x3f) as u8,
        ];
        Self(Repr::Leaf(Leaf::Text(vec![first, middle, last].into())))
    }

    /// Text that each Python reads as its own `str`, which in Python 2.7 is the 8-bit string. Names
    /// of methods are to be such, for example.
    pub fn native(text: impl Into<String>) -> Self {
        Self(Repr::Leaf(Leaf::Native(text.into().into())))
    }

    /// An 8-bit string of Python 2.7, which has it for both text and bytes: others read it as text
    /// if it is ASCII and else as bytes.
    pub fn str2(bytes: impl Into<Bytes>) -> Self {
        Self(Repr::Leaf(Leaf::Str2(bytes.into())))
    }

    /// `bytes`, for Python 2.7 `str`. A large `Vec` or [`Bytes`] is not copied.
    pub fn bytes(bytes: impl Into<Bytes>) -> Self {
        Self(Repr::Leaf(Leaf::Bytes(bytes.into())))
    }

    /// `bytearray`.
    pub fn bytearray(bytes: impl Into<Bytes>) -> Self {
        Self(Repr::Leaf(Leaf::ByteArray(bytes.into())))
    }

    /// `tuple`.
    pub fn tuple(items: impl IntoIterator<Item = Self>) -> Self {
        Self::build(|graph| {
            let run = graph.adopt_all(items);
            graph.push(Node::Tuple(run))
        })
    }

    /// `list`.
    pub fn list(items: impl IntoIterator<Item = Self>) -> Self {
        Self::changed(Node::List, items, Change::Append)
    }

    /// `dict`. Of equal keys the last one counts, as in Python.
    pub fn dict(pairs: impl IntoIterator<Item = (Self, Self)>) -> Self {
        let items = pairs.into_iter().flat_map(|(key, value)| [key, value]);
        Self::changed(Node::Dict, items, Change::SetItems)
    }

    /// `set`.
    pub fn set(items: impl IntoIterator<Item = Self>) -> Self {
        Self::changed(Node::Set, items, Change::Add)
    }

    /// `frozenset`.
    pub fn frozenset(items: impl IntoIterator<Item = Self>) -> Self {
        Self::build(|graph| {
            let run = graph.adopt_all(items);
            graph.push(Node::FrozenSet(run))
        })
    }

    /// A class or function by its name in Python 3; for Python 2.7 names of the standard library
    /// are translated.
    pub fn global(module: &str, name: &str) -> Self {
        Self::build(|graph| {
            let module = graph.adopt(Self::native(module));
            let name = graph.adopt(Self::native(name));
            graph.push(Node::Global { module, name, protocol: 4 })
        })
    }

    /// What the reader gets by calling `callable` with those arguments.
    pub fn reduce(callable: Self, args: impl IntoIterator<Item = Self>) -> Self {
        Self::build(|graph| {
            let callable = graph.adopt(callable);
            let run = graph.adopt_all(args);
            let args = graph.push(Node::Tuple(run));
            graph.push(Node::Reduce { callable, args })
        })
    }

    /// An instance of a class, made by `class.__new__(class, *args)` and, if it has a state,
    /// `__setstate__` or an update of its `__dict__`.
    pub fn object(class: Self, args: impl IntoIterator<Item = Self>, state: Option<Self>) -> Self {
        Self::build(|graph| {
            let class = graph.adopt(class);
            let run = graph.adopt_all(args);
            let args = graph.push(Node::Tuple(run));
            let state = state.map(|state| graph.adopt(state));
            let object = graph.push(Node::New { class, args });
            if let Some(state) = state {
                graph.change(object, Change::Build(state), NO_CHANGE);
            }
            object
        })
    }

    /// `complex`.
    pub fn complex(real: f64, imaginary: f64) -> Self {
        let class = Self::global("builtins", "complex");
        Self::reduce(class, [Self::float(real), Self::float(imaginary)])
    }

    /// What it is.
    pub fn view(&self) -> View<'_> {
        self.as_ref().view()
    }

    /// The value, borrowed.
    // Not `AsRef`, which gives references.
    #[allow(clippy::should_implement_trait)]
    pub fn as_ref(&self) -> ValueRef<'_> {
        ValueRef::of(self)
    }

    /// Whether it is `None`.
    pub fn is_none(&self) -> bool {
        self.as_ref().is_none()
    }

    /// See [`ValueRef::as_bool`].
    pub fn as_bool(&self) -> Option<bool> {
        self.as_ref().as_bool()
    }

    /// See [`ValueRef::as_i64`].
    pub fn as_i64(&self) -> Option<i64> {
        self.as_ref().as_i64()
    }

    /// See [`ValueRef::as_f64`].
    pub fn as_f64(&self) -> Option<f64> {
        self.as_ref().as_f64()
    }

    /// See [`ValueRef::as_str`].
    pub fn as_str(&self) -> Option<&str> {
        self.as_ref().as_str()
    }

    /// See [`ValueRef::items`].
    pub fn items(&self) -> Option<Items<'_>> {
        self.as_ref().items()
    }

    /// See [`ValueRef::detach`].
    #[must_use]
    pub fn detach(&self) -> Self {
        self.as_ref().detach()
    }

    pub(crate) fn build(build: impl FnOnce(&mut Graph) -> NodeId) -> Self {
        let mut graph = Graph::default();
        let root = build(&mut graph);
        Self(Repr::Node(Arc::new(graph), root))
    }

    fn changed(
        node: Node,
        items: impl IntoIterator<Item = Self>,
        change: impl FnOnce(Run) -> Change,
    ) -> Self {
        Self::build(|graph| {
            let run = graph.adopt_all(items);
            let id = graph.push(node);
            if run.len > 0 {
                graph.change(id, change(run), NO_CHANGE);
            }
            id
        })
    }
}

impl std::fmt::Debug for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.as_ref().fmt(f)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::bool(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::int(value)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::float(value)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::text(text)
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::text(text)
    }
}
