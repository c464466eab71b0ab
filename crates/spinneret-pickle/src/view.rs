//! What a value is: [`View`].

use std::{borrow::Cow, fmt, sync::Arc};

use bytes::Bytes;

use crate::{
    Int, Value, detach,
    graph::{Graph, Node, NodeId},
    items::{Items, Pairs},
    object::{Array, Global, Object},
    resolve,
    value::{Leaf, Repr},
};

/// A [`Value`], borrowed.
#[derive(Clone, Copy)]
pub struct ValueRef<'a>(pub(crate) RefRepr<'a>);

#[derive(Clone, Copy)]
pub(crate) enum RefRepr<'a> {
    Leaf(&'a Leaf),
    /// A node that is not [`Node::Foreign`].
    Node(&'a Arc<Graph>, NodeId),
}

/// What a value is.
///
/// Whatever the pickle made it with: a set that Python 2.7 wrote as a call of `set` is a
/// [`View::Set`] like any other.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum View<'a> {
    /// `None`.
    None,
    /// `True` or `False`.
    Bool(bool),
    /// `int`, and `long` of Python 2.7.
    Int(Int<'a>),
    /// `float`.
    Float(f64),
    /// `str`, and `unicode` of Python 2.7.
    Text(Text<'a>),
    /// `str` of Python 2.7, which may be meant as text or as bytes.
    Str2(&'a [u8]),
    /// `bytes` of Python 3.
    Bytes(Cow<'a, [u8]>),
    /// `bytearray`.
    ByteArray(Cow<'a, [u8]>),
    /// `tuple`.
    Tuple(Items<'a>),
    /// `list`.
    List(Items<'a>),
    /// `dict`.
    Dict(Pairs<'a>),
    /// `set`; what is in it may be there more than once.
    Set(Items<'a>),
    /// `frozenset`; likewise.
    FrozenSet(Items<'a>),
    /// `complex`.
    Complex {
        /// The real part.
        real: f64,
        /// The imaginary part.
        imaginary: f64,
    },
    /// `slice`.
    Slice {
        /// The first index.
        start: ValueRef<'a>,
        /// The index behind the last.
        stop: ValueRef<'a>,
        /// The distance.
        step: ValueRef<'a>,
    },
    /// `range`, and `xrange` of Python 2.7.
    Range {
        /// The first number.
        start: Int<'a>,
        /// The first number that it does not reach.
        stop: Int<'a>,
        /// The distance.
        step: Int<'a>,
    },
    /// `array.array`.
    Array(Array<'a>),
    /// A class or function.
    Global(Global<'a>),
    /// Anything else.
    Object(Object<'a>),
}

/// Text of Python: UTF-8, but it may have surrogates that belong to no pair, which then are three
/// bytes each.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Text<'a>(pub(crate) &'a [u8]);

impl<'a> Text<'a> {
    /// The text, unless it has surrogates.
    pub fn as_str(self) -> Option<&'a str> {
        std::str::from_utf8(self.0).ok()
    }

    /// Its bytes. In their order texts are sorted as in Python.
    pub const fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// The text with `U+FFFD` for what is no character.
    pub fn to_string_lossy(self) -> Cow<'a, str> {
        String::from_utf8_lossy(self.0)
    }
}

impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_string_lossy().fmt(f)
    }
}

impl<'a> ValueRef<'a> {
    pub(crate) fn of(value: &'a Value) -> Self {
        match &value.0 {
            Repr::Leaf(leaf) => Self(RefRepr::Leaf(leaf)),
            Repr::Node(graph, id) => Self(RefRepr::Node(graph, *id)),
        }
    }

    /// A node of a graph, in whichever graph it really is.
    pub(crate) fn at(graph: &'a Arc<Graph>, id: NodeId) -> Self {
        match graph.node(id) {
            Node::Foreign(place) => Self::of(&graph.foreign[place as usize]),
            _ => Self(RefRepr::Node(graph, id)),
        }
    }

    /// What it is.
    pub fn view(self) -> View<'a> {
        match self.0 {
            RefRepr::Leaf(leaf) => match leaf {
                Leaf::None => View::None,
                Leaf::Bool(bool) => View::Bool(*bool),
                Leaf::Int { value, long } => View::Int(Int::small(*value, *long)),
                Leaf::Long(bytes) => View::Int(Int::new(bytes, true)),
                Leaf::Float(float) => View::Float(*float),
                Leaf::Text(text) => View::Text(Text(text)),
                Leaf::Str2(bytes) | Leaf::Native(bytes) => View::Str2(bytes),
                Leaf::Bytes(bytes) => View::Bytes(Cow::Borrowed(bytes)),
                Leaf::ByteArray(bytes) => View::ByteArray(Cow::Borrowed(bytes)),
            },
            RefRepr::Node(graph, id) => match graph.node(id) {
                Node::Bool(bool) => View::Bool(bool),
                Node::Int { value, long } => View::Int(Int::small(value, long)),
                Node::Long(span) => View::Int(Int::new(graph.span(span), true)),
                Node::Float(float) => View::Float(float),
                Node::Text(span) => View::Text(Text(graph.span(span))),
                Node::Str2(span) => View::Str2(graph.span(span)),
                Node::Bytes(span) => View::Bytes(Cow::Borrowed(graph.span(span))),
                Node::ByteArray(span) => View::ByteArray(Cow::Borrowed(graph.span(span))),
                Node::Tuple(run) => View::Tuple(Items::of_run(graph, run)),
                Node::FrozenSet(run) => View::FrozenSet(Items::of_run(graph, run)),
                Node::List => View::List(Items::of_changes(graph, id)),
                Node::Set => View::Set(Items::of_changes(graph, id)),
                Node::Dict => View::Dict(Pairs::of_changes(graph, id)),
                Node::Global { .. } => match Global::at(graph, id) {
                    Some(global) => View::Global(global),
                    None => View::Object(Object::at(graph, id)),
                },
                Node::Reduce { callable, args } => resolve::call(graph, id, callable, args)
                    .unwrap_or(View::Object(Object::at(graph, id))),
                Node::New { .. } | Node::NewEx { .. } | Node::Obj(_) => {
                    View::Object(Object::at(graph, id))
                }
                // The latter never, see `RefRepr`.
                Node::None | Node::Foreign(_) => View::None,
            },
        }
    }

    /// Whether it is `None`.
    pub fn is_none(self) -> bool {
        matches!(self.view(), View::None)
    }

    /// `True` or `False`, if it is either.
    pub fn as_bool(self) -> Option<bool> {
        match self.view() {
            View::Bool(bool) => Some(bool),
            _ => None,
        }
    }

    /// An integer of at most 64 bits. `True` and `False` are integers, as in Python.
    pub fn as_i64(self) -> Option<i64> {
        match self.view() {
            View::Int(int) => int.as_i64(),
            View::Bool(bool) => Some(bool.into()),
            _ => None,
        }
    }

    /// A floating-point number, or an integer as one.
    pub fn as_f64(self) -> Option<f64> {
        match self.view() {
            View::Float(float) => Some(float),
            View::Int(int) => Some(int.to_f64()),
            View::Bool(bool) => Some(f64::from(u8::from(bool))),
            _ => None,
        }
    }

    /// Text without lone surrogates, or an 8-bit string of Python 2.7 that is UTF-8.
    pub fn as_str(self) -> Option<&'a str> {
        match self.view() {
            View::Text(text) => text.as_str(),
            View::Str2(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    /// The bytes of `bytes`, `bytearray` or an 8-bit string of Python 2.7, without a copy where
    /// possible.
    pub fn to_bytes(self) -> Option<Bytes> {
        let (bytes, source) = match (self.view(), self.0) {
            (View::Str2(bytes), RefRepr::Leaf(Leaf::Str2(source) | Leaf::Native(source))) => {
                (Cow::Borrowed(bytes), source)
            }
            (
                View::Bytes(bytes) | View::ByteArray(bytes),
                RefRepr::Leaf(Leaf::Bytes(source) | Leaf::ByteArray(source)),
            ) => (bytes, source),
            (View::Str2(bytes), RefRepr::Node(graph, _)) => (Cow::Borrowed(bytes), &graph.source),
            (View::Bytes(bytes) | View::ByteArray(bytes), RefRepr::Node(graph, _)) => {
                (bytes, &graph.source)
            }
            _ => return None,
        };
        Some(match bytes {
            Cow::Borrowed(bytes) if lies_within(bytes, source) => source.slice_ref(bytes),
            Cow::Borrowed(bytes) => Bytes::copy_from_slice(bytes),
            Cow::Owned(bytes) => bytes.into(),
        })
    }

    /// What is in a `tuple` or `list`.
    pub fn items(self) -> Option<Items<'a>> {
        match self.view() {
            View::Tuple(items) | View::List(items) => Some(items),
            _ => None,
        }
    }

    /// The class or function that it is.
    pub fn as_global(self) -> Option<Global<'a>> {
        match self.view() {
            View::Global(global) => Some(global),
            _ => None,
        }
    }

    /// The value, kept.
    pub fn to_value(self) -> Value {
        Value(match self.0 {
            RefRepr::Leaf(leaf) => Repr::Leaf(leaf.clone()),
            RefRepr::Node(graph, id) => Repr::Node(Arc::clone(graph), id),
        })
    }

    /// A copy that keeps nothing of the message that it came in but itself.
    #[must_use]
    pub fn detach(self) -> Value {
        detach::detach(self)
    }

    /// Which object it is: the same for two values only if they are the same object (`is`), in
    /// what is alive at the time. Of simple values each is its own.
    pub fn identity(self) -> Identity {
        match self.0 {
            RefRepr::Leaf(leaf) => Identity(std::ptr::from_ref(leaf) as usize, 0),
            RefRepr::Node(graph, id) => Identity(Arc::as_ptr(graph) as usize, id),
        }
    }
}

/// See [`ValueRef::identity`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Identity(usize, NodeId);

fn lies_within(part: &[u8], whole: &[u8]) -> bool {
    let (part, whole) = (part.as_ptr_range(), whole.as_ptr_range());
    whole.start <= part.start && part.end <= whole.end
}

impl fmt::Debug for ValueRef<'_> {
    /// For people: ends at 4 levels.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        crate::debug::fmt(*self, f)
    }
}
