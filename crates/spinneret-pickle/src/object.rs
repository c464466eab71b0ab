//! Objects of classes that mean nothing to this crate.

use std::{fmt, sync::Arc};

use crate::{
    Items, Pairs, ValueRef,
    graph::{self, Graph, Node, NodeId},
    names,
    view::RefRepr,
};

/// A class or function, by its names in Python 3.
///
/// What a pickle of Python 2.7 calls `Queue.Empty` or `exceptions.ValueError` is `queue.Empty` or
/// `builtins.ValueError` here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Global<'a> {
    /// The module.
    pub module: &'a str,
    /// The name in it, which of nested classes has dots.
    pub name: &'a str,
}

impl<'a> Global<'a> {
    /// None if a name is not proper text.
    pub(crate) fn at(graph: &'a Arc<Graph>, id: NodeId) -> Option<Self> {
        let Node::Global { module, name, protocol } = graph.node(id) else { return None };
        let module = ValueRef::at(graph, module).as_str()?;
        let name = ValueRef::at(graph, name).as_str()?;
        let (module, name) = match protocol {
            ..3 => names::to_python3(module, name),
            _ => names::in_python3(module, name),
        };
        Some(Self { module, name })
    }

    /// Whether it is that one.
    pub fn is(&self, module: &str, name: &str) -> bool {
        self.module == module && self.name == name
    }
}

impl fmt::Display for Global<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.module, self.name)
    }
}

/// An object as its class told Python to make it again. Its class need not exist here.
#[derive(Clone, Copy)]
pub struct Object<'a> {
    graph: &'a Arc<Graph>,
    id: NodeId,
}

/// How an object is made.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Creation<'a> {
    /// `callable(*args)`, of which the callable need not be a class.
    Call {
        /// What is called.
        callable: ValueRef<'a>,
        /// Usually a tuple.
        args: ValueRef<'a>,
    },
    /// `class.__new__(class, *args, **kwargs)`.
    New {
        /// The class.
        class: ValueRef<'a>,
        /// Usually a tuple.
        args: ValueRef<'a>,
        /// If there are any, usually a `dict`.
        kwargs: Option<ValueRef<'a>>,
    },
    /// An instance of an old-style class of Python 2.7.
    OldStyle {
        /// The class.
        class: ValueRef<'a>,
        /// What its `__init__` gets.
        args: Items<'a>,
    },
    /// A class or function that has no proper name.
    Unnamed,
}

/// What is done to an object after it was made.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Change<'a> {
    /// `object.append(item)` for each, or `extend`.
    Append(Items<'a>),
    /// `object[key] = value` for each.
    SetItems(Pairs<'a>),
    /// `object.add(item)` for each.
    Add(Items<'a>),
    /// `object.__setstate__(state)`, or its attributes.
    State(ValueRef<'a>),
}

impl<'a> Object<'a> {
    pub(crate) fn at(graph: &'a Arc<Graph>, id: NodeId) -> Self {
        Self { graph, id }
    }

    /// How it is made.
    pub fn creation(&self) -> Creation<'a> {
        let at = |id| ValueRef::at(self.graph, id);
        match self.graph.node(self.id) {
            Node::Reduce { callable, args } => {
                Creation::Call { callable: at(callable), args: at(args) }
            }
            Node::New { class, args } => {
                Creation::New { class: at(class), args: at(args), kwargs: None }
            }
            Node::NewEx { class, args, kwargs } => {
                Creation::New { class: at(class), args: at(args), kwargs: Some(at(kwargs)) }
            }
            Node::Obj(run) => {
                let mut args = Items::of_run(self.graph, run);
                match args.next() {
                    Some(class) => Creation::OldStyle { class, args },
                    None => Creation::Unnamed,
                }
            }
            _ => Creation::Unnamed,
        }
    }

    /// What is called to make it, or its class, if that has a name.
    pub fn class(&self) -> Option<Global<'a>> {
        match self.creation() {
            Creation::Call { callable: class, .. }
            | Creation::New { class, .. }
            | Creation::OldStyle { class, .. } => class.as_global(),
            Creation::Unnamed => None,
        }
    }

    /// The arguments that it is made with, in their order.
    pub fn args(&self) -> Option<Items<'a>> {
        match self.creation() {
            Creation::Call { args, .. } | Creation::New { args, .. } => args.items(),
            Creation::OldStyle { args, .. } => Some(args),
            Creation::Unnamed => None,
        }
    }

    /// What is done to it then, in order.
    pub fn changes(&self) -> impl Iterator<Item = Change<'a>> + use<'a> {
        let graph = self.graph;
        graph.changes(self.id).map(move |change| match change {
            graph::Change::Append(run) => Change::Append(Items::of_run(graph, run)),
            graph::Change::SetItems(run) => Change::SetItems(Pairs(Items::of_run(graph, run))),
            graph::Change::Add(run) => Change::Add(Items::of_run(graph, run)),
            graph::Change::Build(state) => Change::State(ValueRef::at(graph, state)),
        })
    }

    /// The last state that it is given.
    pub fn state(&self) -> Option<ValueRef<'a>> {
        let states = self.changes().filter_map(|change| match change {
            Change::State(state) => Some(state),
            _ => None,
        });
        states.last()
    }
}

impl fmt::Debug for Object<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        ValueRef(RefRepr::Node(self.graph, self.id)).fmt(f)
    }
}

/// An `array.array`.
#[derive(Clone, Debug)]
pub struct Array<'a> {
    /// The type of its elements, as the module `array` has them.
    pub typecode: char,
    /// The elements.
    pub data: ArrayData<'a>,
}

/// The elements of an [`Array`], which differ by who wrote it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ArrayData<'a> {
    /// One by one.
    Items(Items<'a>),
    /// As they lie in the memory of whoever wrote it, which is taken for little-endian.
    Native(&'a [u8]),
    /// In the format with that number (see Python's `array._array_reconstructor`).
    Coded(u8, &'a [u8]),
}
