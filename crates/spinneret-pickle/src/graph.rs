//! What a pickle builds, as data: nodes that refer to one another by number.
//!
//! A pickle is a program. Run symbolically, each of its steps that makes an object makes a node, and
//! each that changes one (append to a list, set an item, give an object its state) is kept as a
//! change of that node, in order. So sharing and cycles survive, and the whole is written again as
//! a program that makes an equal object, whatever its classes are.
//!
//! Everything is in a few vectors, so nothing here recurses, however deep the object is.

use std::{mem, sync::Arc};

use bytes::Bytes;

use crate::value::{Repr, Value};

/// The number of a node in its graph.
pub(crate) type NodeId = u32;

/// Where there is no change.
pub(crate) const NO_CHANGE: u32 = u32::MAX;

/// A piece of a graph's source.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub start: usize,
    pub len: usize,
}

/// Consecutive numbers in [`Graph::kids`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    pub start: u32,
    pub len: u32,
}

impl Run {
    pub const EMPTY: Self = Self { start: 0, len: 0 };
}

/// An object as it is created; its [`Change`]s come after.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Node {
    None,
    Bool(bool),
    /// `long`: Python 2.7's type of that name.
    Int {
        value: i64,
        long: bool,
    },
    /// An integer of more than 64 bits: little-endian, two's complement.
    Long(Span),
    Float(f64),
    /// UTF-8, but with surrogates allowed.
    Text(Span),
    /// Python 2.7's `str`.
    Str2(Span),
    Bytes(Span),
    ByteArray(Span),
    Tuple(Run),
    FrozenSet(Run),
    List,
    Dict,
    Set,
    /// A class or function; both parts are strings. What they mean depends on the protocol: before
    /// 3 they are the names of Python 2, from 4 on dots lead into nested classes.
    Global {
        module: NodeId,
        name: NodeId,
        protocol: u8,
    },
    /// The result of a call.
    Reduce {
        callable: NodeId,
        args: NodeId,
    },
    /// `class.__new__(class, *args)`.
    New {
        class: NodeId,
        args: NodeId,
    },
    /// `class.__new__(class, *args, **kwargs)`.
    NewEx {
        class: NodeId,
        args: NodeId,
        kwargs: NodeId,
    },
    /// An instance of an old-style class: the class, then the arguments.
    Obj(Run),
    /// A value of its own or of another graph, by its place in [`Graph::foreign`]. Never one that
    /// is foreign there again.
    Foreign(u32),
}

/// What is done to an object after its creation.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Change {
    Append(Run),
    /// Keys and values in turn.
    SetItems(Run),
    Add(Run),
    Build(NodeId),
}

/// A change and the number of the next one to the same node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    pub change: Change,
    pub next: u32,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    /// What the strings are pieces of.
    pub source: Bytes,
    pub nodes: Vec<Node>,
    /// What is in tuples, changes and so on.
    pub kids: Vec<NodeId>,
    pub steps: Vec<Step>,
    /// The first step of each node; shorter than `nodes` if the last have none.
    pub first_steps: Vec<u32>,
    /// Which nodes are referred to more than once; shorter than `nodes` likewise.
    pub shared: Vec<bool>,
    pub foreign: Vec<Value>,
}

impl Graph {
    pub fn node(&self, id: NodeId) -> Node {
        self.nodes[id as usize]
    }

    pub fn span(&self, span: Span) -> &[u8] {
        &self.source[span.start..][..span.len]
    }

    pub fn kids(&self, run: Run) -> &[NodeId] {
        &self.kids[run.start as usize..][..run.len as usize]
    }

    pub fn first_step(&self, id: NodeId) -> u32 {
        self.first_steps.get(id as usize).copied().unwrap_or(NO_CHANGE)
    }

    pub fn is_shared(&self, id: NodeId) -> bool {
        self.shared.get(id as usize).copied().unwrap_or(false)
    }

    /// Notes that the node is referred to more than once.
    pub fn share(&mut self, id: NodeId) {
        let place = id as usize;
        if self.shared.len() <= place {
            self.shared.resize(place + 1, false);
        }
        self.shared[place] = true;
    }

    /// What is done to that node, in order.
    pub fn changes(&self, id: NodeId) -> Changes<'_> {
        Changes { graph: self, next: self.first_step(id) }
    }

    /// Calls `visit` for every node that this one refers to, in the order of the pickle.
    pub fn each_part(&self, id: NodeId, mut visit: impl FnMut(NodeId)) {
        match self.node(id) {
            Node::Tuple(run) | Node::FrozenSet(run) | Node::Obj(run) => {
                self.kids(run).iter().copied().for_each(&mut visit);
            }
            Node::Global { module, name, .. } => [module, name].into_iter().for_each(&mut visit),
            Node::Reduce { callable: first, args } | Node::New { class: first, args } => {
                [first, args].into_iter().for_each(&mut visit);
            }
            Node::NewEx { class, args, kwargs } => {
                [class, args, kwargs].into_iter().for_each(&mut visit);
            }
            _ => {}
        }
        for change in self.changes(id) {
            match change {
                Change::Append(run) | Change::SetItems(run) | Change::Add(run) => {
                    self.kids(run).iter().copied().for_each(&mut visit);
                }
                Change::Build(state) => visit(state),
            }
        }
    }

    // Graphs that were put together have at most as many nodes as values were passed in.
    pub fn push(&mut self, node: Node) -> NodeId {
        let id = NodeId::try_from(self.nodes.len()).expect("fewer nodes than 2^32");
        self.nodes.push(node);
        id
    }

    /// A node that stands for that value.
    pub fn adopt(&mut self, value: Value) -> NodeId {
        let node = if let Some(node) = value.0.small() {
            node
        } else {
            self.foreign.push(value);
            Node::Foreign((self.foreign.len() - 1) as u32)
        };
        self.push(node)
    }

    /// Nodes that stand for those values.
    pub fn adopt_all(&mut self, values: impl IntoIterator<Item = Value>) -> Run {
        let start = self.kids.len() as u32;
        for value in values {
            let id = self.adopt(value);
            self.kids.push(id);
        }
        Run { start, len: self.kids.len() as u32 - start }
    }

    /// Makes `change` the last change of `id`, whose last one so far is `last`.
    pub fn change(&mut self, id: NodeId, change: Change, last: u32) -> u32 {
        let step = self.steps.len() as u32;
        self.steps.push(Step { change, next: NO_CHANGE });
        if last == NO_CHANGE {
            if self.first_steps.len() <= id as usize {
                self.first_steps.resize(id as usize + 1, NO_CHANGE);
            }
            self.first_steps[id as usize] = step;
        } else {
            self.steps[last as usize].next = step;
        }
        step
    }
}

impl Drop for Graph {
    /// A value may be the last owner of a graph, whose values are again: one after the other, or
    /// the stack would not last.
    fn drop(&mut self) {
        let mut dropped = mem::take(&mut self.foreign);
        while let Some(value) = dropped.pop() {
            if let Repr::Node(graph, _) = value.0
                && let Some(mut graph) = Arc::into_inner(graph)
            {
                dropped.append(&mut graph.foreign);
            }
        }
    }
}

/// The changes of a node, in order.
#[derive(Clone, Debug)]
pub(crate) struct Changes<'a> {
    graph: &'a Graph,
    next: u32,
}

impl Iterator for Changes<'_> {
    type Item = Change;

    fn next(&mut self) -> Option<Change> {
        let step = self.graph.steps.get(self.next as usize)?;
        self.next = step.next;
        Some(step.change)
    }
}
