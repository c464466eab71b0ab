//! Writing: a graph as a program that makes it again.
//!
//! Depth first, without recursion: what is still to be done is on a stack. An object gets its memo
//! entry before its changes are written, so that what is in it can refer back to it.

pub(crate) mod emit;
mod global;
mod object;

use std::{ptr, sync::Arc};

use hashbrown::HashMap;

use crate::{
    Dialect, Value, WriteError,
    graph::{Graph, Node, NodeId},
    opcode as op,
    value::{Leaf, Repr},
};
use emit::Emit;

/// What a set that contains itself may add for Python versions that build sets from lists: each
/// way back to it repeats the list.
const CYCLE_ROOM: usize = 64 << 20;

/// See [`Value::write_to`].
pub(crate) fn write(out: &mut Vec<u8>, value: &Value, dialect: Dialect) -> Result<(), WriteError> {
    let start = out.len();
    let mut emit = Emit::new(out, dialect);
    emit.begin();
    let written = embed(&mut emit, value);
    emit.op(op::STOP);
    if written.is_err() {
        out.truncate(start);
    }
    written
}

/// Writes a value among others that do not use the memo.
pub(crate) fn embed(out: &mut Emit<'_>, value: &Value) -> Result<(), WriteError> {
    let mut writer = Writer {
        dialect: out.dialect(),
        out,
        memo: HashMap::new(),
        tasks: Vec::new(),
        open_sets: HashMap::new(),
        room: usize::MAX,
    };
    writer.run(value)
}

/// A node of a graph.
type Place<'a> = (&'a Graph, NodeId);

/// Which node it is, over all graphs.
type Key = (*const Graph, NodeId);

fn key((graph, id): Place<'_>) -> Key {
    (ptr::from_ref(graph), id)
}

/// What is still to be done, the last one first.
enum Task<'a> {
    /// Writes a node.
    Part(&'a Graph, NodeId),
    /// Writes these nodes in turn.
    Parts(&'a Graph, &'a [NodeId]),
    /// Makes the object of its parts, which are on the stack of whoever reads. `keep`: others refer
    /// to it.
    Finish { place: Place<'a>, keep: bool },
    /// Writes the changes from that one on, and for a set that is made from a list, as such.
    Changes { graph: &'a Graph, step: u32, as_list: bool },
    /// Writes an opcode.
    Op(u8),
}

struct Writer<'a, 'e, 'o> {
    out: &'e mut Emit<'o>,
    dialect: Dialect,
    memo: HashMap<Key, u32>,
    tasks: Vec<Task<'a>>,
    /// Sets that others refer to and that are being written as lists, with the size of the memo when
    /// they were begun last. Whatever is in them goes into the memo, since they may be begun again.
    open_sets: HashMap<Key, usize>,
    /// How long the output may become.
    room: usize,
}

impl<'a> Writer<'a, '_, '_> {
    fn run(&mut self, value: &'a Value) -> Result<(), WriteError> {
        match &value.0 {
            Repr::Leaf(leaf) => self.leaf(leaf)?,
            Repr::Node(graph, id) => self.node((graph, *id), false)?,
        }
        while let Some(task) = self.tasks.pop() {
            if self.out.len() > self.room {
                return Err(WriteError::Cycle(self.dialect));
            }
            match task {
                Task::Part(graph, id) => self.part(graph, id)?,
                Task::Parts(graph, parts) => self.parts(graph, parts)?,
                Task::Finish { place, keep } => self.finish(place, keep),
                Task::Changes { graph, step, as_list } => self.changes(graph, step, as_list)?,
                Task::Op(opcode) => self.out.op(opcode),
            }
        }
        Ok(())
    }

    /// Writes nodes until one has parts: then the rest is for later.
    fn parts(&mut self, graph: &'a Graph, mut parts: &'a [NodeId]) -> Result<(), WriteError> {
        while let Some((&id, rest)) = parts.split_first() {
            let waiting = self.tasks.len();
            self.part(graph, id)?;
            if self.tasks.len() > waiting {
                if !rest.is_empty() {
                    self.tasks.insert(waiting, Task::Parts(graph, rest));
                }
                return Ok(());
            }
            parts = rest;
        }
        Ok(())
    }

    fn part(&mut self, graph: &'a Graph, id: NodeId) -> Result<(), WriteError> {
        let Node::Foreign(place) = graph.node(id) else {
            return self.node((graph, id), graph.is_shared(id));
        };
        match &graph.foreign[place as usize].0 {
            Repr::Leaf(leaf) => self.leaf(leaf),
            // It can be in this message more than once only if there is more than one reference.
            Repr::Node(other, other_id) => {
                let keep = graph.is_shared(id) || Arc::strong_count(other) > 1;
                self.node((other, *other_id), keep)
            }
        }
    }

    fn leaf(&mut self, leaf: &Leaf) -> Result<(), WriteError> {
        match leaf {
            Leaf::None => self.out.op(op::NONE),
            Leaf::Bool(bool) => self.out.bool(*bool),
            Leaf::Int { value, long } => self.out.int(*value, *long),
            Leaf::Long(bytes) => self.out.long(bytes)?,
            Leaf::Float(float) => self.out.float(*float),
            Leaf::Text(text) => self.out.text(text)?,
            Leaf::Str2(bytes) => self.out.str2(bytes)?,
            Leaf::Native(text) => self.out.native(text)?,
            Leaf::Bytes(bytes) => self.out.bytes(bytes)?,
            Leaf::ByteArray(bytes) => self.out.bytearray(bytes)?,
        }
        Ok(())
    }

    /// Writes a node, or begins to. `keep`: there may be more references to it.
    fn node(&mut self, place: Place<'a>, keep: bool) -> Result<(), WriteError> {
        let (graph, id) = place;
        let keep = keep || graph.is_shared(id) || !self.open_sets.is_empty();
        let node = graph.node(id);
        match node {
            Node::None => self.out.op(op::NONE),
            Node::Bool(bool) => self.out.bool(bool),
            Node::Int { value, long } => self.out.int(value, long),
            Node::Float(float) => self.out.float(float),
            Node::Long(span) => self.out.long(graph.span(span))?,
            _ if keep && self.get(place) => {}
            Node::Text(span) => self.out.text(graph.span(span)).map(|()| self.put(place, keep))?,
            Node::Str2(span) => self.out.str2(graph.span(span)).map(|()| self.put(place, keep))?,
            Node::Bytes(span) => {
                self.out.bytes(graph.span(span)).map(|()| self.put(place, keep))?;
            }
            Node::ByteArray(span) => {
                self.out.bytearray(graph.span(span))?;
                self.put(place, keep);
            }
            Node::Global { .. } => {
                self.global(place)?;
                self.put(place, keep);
                self.change(place);
            }
            Node::List => self.create(place, op::EMPTY_LIST, keep),
            Node::Dict => self.create(place, op::EMPTY_DICT, keep),
            Node::Set => self.set(place, keep)?,
            Node::Tuple(run) => self.tuple(place, run, keep),
            Node::FrozenSet(run) => self.frozenset(place, run, keep),
            Node::Obj(run) => {
                self.out.op(op::MARK);
                self.tasks.push(Task::Finish { place, keep });
                self.tasks.push(Task::Parts(graph, graph.kids(run)));
            }
            Node::Reduce { callable: first, args } | Node::New { class: first, args } => {
                self.made_of(place, [first, args], keep);
            }
            Node::NewEx { class, args, kwargs } => {
                self.begin_new_ex()?;
                self.made_of(place, [class, args, kwargs], keep);
            }
            Node::Foreign(_) => self.part(graph, id)?,
        }
        Ok(())
    }
}
