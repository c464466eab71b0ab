//! Objects with parts: how they are made and changed.

use super::{CYCLE_ROOM, Place, Task, Writer, key};
use crate::{
    Dialect, WriteError,
    graph::{Change, Graph, NO_CHANGE, Node, NodeId, Run},
    opcode as op,
};

impl<'a> Writer<'a, '_, '_> {
    /// Refers to the node if it is in the memo.
    pub(super) fn get(&mut self, place: Place<'a>) -> bool {
        let index = self.memo.get(&key(place)).copied();
        index.inspect(|&index| self.out.get(index)).is_some()
    }

    /// Gives the node, which was just made, a place in the memo.
    pub(super) fn put(&mut self, place: Place<'a>, keep: bool) {
        if keep {
            let index = self.memo.len() as u32;
            self.memo.insert(key(place), index);
            self.out.put(index);
        }
    }

    /// Writes what is done to the node after it was made.
    pub(super) fn change(&mut self, (graph, id): Place<'a>) {
        let step = graph.first_step(id);
        if step != NO_CHANGE {
            self.tasks.push(Task::Changes { graph, step, as_list: false });
        }
    }

    /// Makes an empty container and fills it.
    pub(super) fn create(&mut self, place: Place<'a>, opcode: u8, keep: bool) {
        self.out.op(opcode);
        self.put(place, keep);
        self.change(place);
    }

    pub(super) fn made_of<const N: usize>(
        &mut self,
        place: Place<'a>,
        parts: [NodeId; N],
        keep: bool,
    ) {
        self.tasks.push(Task::Finish { place, keep });
        self.tasks.extend(parts.into_iter().rev().map(|part| Task::Part(place.0, part)));
    }

    pub(super) fn tuple(&mut self, place: Place<'a>, run: Run, keep: bool) {
        let parts = place.0.kids(run);
        match parts.len() {
            // There is but one.
            0 => return self.out.op(op::EMPTY_TUPLE),
            1..=3 => {}
            _ => self.out.op(op::MARK),
        }
        self.tasks.push(Task::Finish { place, keep });
        self.tasks.push(Task::Parts(place.0, parts));
    }

    /// Before protocol 4, sets are made of lists.
    fn has_sets(&self) -> bool {
        self.dialect == Dialect::Python38
    }

    pub(super) fn frozenset(&mut self, place: Place<'a>, run: Run, keep: bool) {
        if !self.has_sets() {
            self.out.global("builtins", "frozenset");
            self.out.op(op::EMPTY_LIST);
        }
        self.out.op(op::MARK);
        self.tasks.push(Task::Finish { place, keep });
        self.tasks.push(Task::Parts(place.0, place.0.kids(run)));
    }

    pub(super) fn set(&mut self, place: Place<'a>, keep: bool) -> Result<(), WriteError> {
        let (graph, id) = place;
        if self.has_sets() {
            self.create(place, op::EMPTY_SET, keep);
            return Ok(());
        }
        if keep {
            // A set whose elements refer back to it is begun again there, since it cannot be in
            // the memo before its list is. It ends because each time one more of them is.
            let begun = self.open_sets.insert(key(place), self.memo.len());
            if begun == Some(self.memo.len()) {
                return Err(WriteError::Cycle(self.dialect));
            }
            if begun.is_some() {
                self.room = self.room.min(self.out.len().saturating_add(CYCLE_ROOM));
            }
        }
        self.out.global("builtins", "set");
        self.out.op(op::EMPTY_LIST);
        self.tasks.push(Task::Finish { place, keep });
        let step = graph.first_step(id);
        if step != NO_CHANGE {
            self.tasks.push(Task::Changes { graph, step, as_list: true });
        }
        Ok(())
    }

    pub(super) fn begin_new_ex(&mut self) -> Result<(), WriteError> {
        match self.dialect {
            Dialect::Python38 => {}
            Dialect::Python3 => self.out.global("copyreg", "__newobj_ex__"),
            Dialect::Python2 => {
                let what = "an object made with keyword arguments";
                return Err(WriteError::Unrepresentable { what, dialect: self.dialect });
            }
        }
        Ok(())
    }

    /// The parts of the object are written; now it is made.
    pub(super) fn finish(&mut self, place: Place<'a>, keep: bool) {
        let (graph, id) = place;
        let node = graph.node(id);
        if matches!(node, Node::Set) {
            self.open_sets.remove(&key(place));
        }
        // What it has in it may have referred back to it and so have written it already.
        if keep && self.memo.contains_key(&key(place)) {
            self.drop_parts(node);
            self.get(place);
            return;
        }
        match node {
            Node::Tuple(run) => self.out.op(match run.len {
                1 => op::TUPLE1,
                2 => op::TUPLE2,
                3 => op::TUPLE3,
                _ => op::TUPLE,
            }),
            Node::FrozenSet(_) if self.has_sets() => self.out.op(op::FROZENSET),
            Node::FrozenSet(_) => self.out.ops(&[op::APPENDS, op::TUPLE1, op::REDUCE]),
            Node::Set => {
                self.out.ops(&[op::TUPLE1, op::REDUCE]);
                self.put(place, keep);
                // Its changes are its elements.
                return;
            }
            Node::Reduce { .. } => self.out.op(op::REDUCE),
            Node::New { .. } => self.out.op(op::NEWOBJ),
            Node::NewEx { .. } if self.dialect == Dialect::Python38 => self.out.op(op::NEWOBJ_EX),
            Node::NewEx { .. } => self.out.ops(&[op::TUPLE3, op::REDUCE]),
            Node::Obj(_) => self.out.op(op::OBJ),
            // The others have no parts to wait for.
            _ => return,
        }
        self.put(place, keep);
        self.change(place);
    }

    /// Takes the parts of an object off the reader's stack again.
    fn drop_parts(&mut self, node: Node) {
        let opcodes: &[u8] = match node {
            Node::Tuple(run) => &[op::POP; 3][..if run.len > 3 { 0 } else { run.len as usize }],
            Node::FrozenSet(_) if !self.has_sets() => &[op::POP_MARK, op::POP, op::POP],
            Node::Reduce { .. } | Node::New { .. } | Node::Set => &[op::POP; 2],
            Node::NewEx { .. } if self.dialect == Dialect::Python38 => &[op::POP; 3],
            Node::NewEx { .. } => &[op::POP; 4],
            _ => &[],
        };
        match opcodes {
            [] => self.out.op(op::POP_MARK),
            opcodes => self.out.ops(opcodes),
        }
    }

    pub(super) fn changes(
        &mut self,
        graph: &'a Graph,
        step: u32,
        as_list: bool,
    ) -> Result<(), WriteError> {
        let step = graph.steps[step as usize];
        if step.next != NO_CHANGE {
            self.tasks.push(Task::Changes { graph, step: step.next, as_list });
        }
        let (run, one, single, many) = match step.change {
            Change::Append(run) => (run, 1, op::APPEND, op::APPENDS),
            Change::Add(run) if as_list => (run, 1, op::APPEND, op::APPENDS),
            Change::SetItems(run) => (run, 2, op::SETITEM, op::SETITEMS),
            // Python 3 has known the opcode since 3.4, whatever the protocol.
            Change::Add(run) if self.dialect != Dialect::Python2 => {
                (run, 0, op::ADDITEMS, op::ADDITEMS)
            }
            Change::Add(_) => {
                let what = "an object that elements are added to";
                return Err(WriteError::Unrepresentable { what, dialect: self.dialect });
            }
            Change::Build(state) => {
                self.tasks.push(Task::Op(op::BUILD));
                self.tasks.push(Task::Part(graph, state));
                return Ok(());
            }
        };
        if run.len == one {
            self.tasks.push(Task::Op(single));
        } else {
            self.out.op(op::MARK);
            self.tasks.push(Task::Op(many));
        }
        self.tasks.push(Task::Parts(graph, graph.kids(run)));
        Ok(())
    }
}
