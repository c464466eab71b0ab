//! Copies that keep nothing but themselves.

use std::{collections::VecDeque, ptr, sync::Arc};

use bytes::Bytes;
use hashbrown::HashMap;

use crate::{
    Value, ValueRef,
    graph::{Change, Graph, NO_CHANGE, Node, NodeId, Run, Span},
    value::{Leaf, Repr},
    view::RefRepr,
};

/// See [`ValueRef::detach`].
pub(crate) fn detach(value: ValueRef<'_>) -> Value {
    let (graph, id) = match value.0 {
        RefRepr::Leaf(leaf) => return Value(Repr::Leaf(own(leaf))),
        RefRepr::Node(graph, id) => (graph, id),
    };
    let mut copy = Copy {
        new: Graph::default(),
        source: Vec::new(),
        ids: HashMap::new(),
        waiting: VecDeque::new(),
    };
    let root = copy.id(graph, id);
    while let Some((graph, id, new)) = copy.waiting.pop_front() {
        copy.node(graph, id, new);
    }
    copy.new.source = copy.source.into();
    Value(Repr::Node(Arc::new(copy.new), root))
}

/// Copied, so that a small piece does not keep a large message.
fn own(leaf: &Leaf) -> Leaf {
    let copy = |bytes: &Bytes| Bytes::copy_from_slice(bytes);
    match leaf {
        Leaf::Long(bytes) => Leaf::Long(copy(bytes)),
        Leaf::Text(bytes) => Leaf::Text(copy(bytes)),
        Leaf::Str2(bytes) => Leaf::Str2(copy(bytes)),
        Leaf::Native(bytes) => Leaf::Native(copy(bytes)),
        Leaf::Bytes(bytes) => Leaf::Bytes(copy(bytes)),
        Leaf::ByteArray(bytes) => Leaf::ByteArray(copy(bytes)),
        Leaf::None | Leaf::Bool(_) | Leaf::Int { .. } | Leaf::Float(_) => leaf.clone(),
    }
}

/// A graph that others are copied into, breadth first.
struct Copy<'a> {
    new: Graph,
    source: Vec<u8>,
    /// What became of which node.
    ids: HashMap<(*const Graph, NodeId), NodeId>,
    /// Nodes that have a number but nothing in their place yet.
    waiting: VecDeque<(&'a Graph, NodeId, NodeId)>,
}

impl<'a> Copy<'a> {
    /// The number of the copy of a node.
    fn id(&mut self, graph: &'a Graph, id: NodeId) -> NodeId {
        let (mut place, mut shared) = ((graph, id), graph.is_shared(id));
        if let Node::Foreign(index) = graph.node(id) {
            match &graph.foreign[index as usize].0 {
                Repr::Leaf(leaf) => return self.new.adopt(Value(Repr::Leaf(own(leaf)))),
                Repr::Node(other, other_id) => {
                    shared |= other.is_shared(*other_id);
                    place = (other, *other_id);
                }
            }
        }
        let key = (ptr::from_ref(place.0), place.1);
        if let Some(&known) = self.ids.get(&key) {
            self.new.share(known);
            return known;
        }
        let new = self.new.push(Node::None);
        self.ids.insert(key, new);
        self.waiting.push_back((place.0, place.1, new));
        if shared {
            self.new.share(new);
        }
        new
    }

    fn span(&mut self, graph: &Graph, span: Span) -> Span {
        let start = self.source.len();
        self.source.extend_from_slice(graph.span(span));
        Span { start, len: span.len }
    }

    fn run(&mut self, graph: &'a Graph, run: Run) -> Run {
        let copies: Vec<NodeId> = graph.kids(run).iter().map(|&id| self.id(graph, id)).collect();
        let start = self.new.kids.len() as u32;
        self.new.kids.extend(copies);
        Run { start, len: run.len }
    }

    /// Puts the copy of a node and its changes in its place.
    fn node(&mut self, graph: &'a Graph, id: NodeId, new: NodeId) {
        let node = match graph.node(id) {
            Node::Long(span) => Node::Long(self.span(graph, span)),
            Node::Text(span) => Node::Text(self.span(graph, span)),
            Node::Str2(span) => Node::Str2(self.span(graph, span)),
            Node::Bytes(span) => Node::Bytes(self.span(graph, span)),
            Node::ByteArray(span) => Node::ByteArray(self.span(graph, span)),
            Node::Tuple(run) => Node::Tuple(self.run(graph, run)),
            Node::FrozenSet(run) => Node::FrozenSet(self.run(graph, run)),
            Node::Obj(run) => Node::Obj(self.run(graph, run)),
            Node::Global { module, name, protocol } => {
                let (module, name) = (self.id(graph, module), self.id(graph, name));
                Node::Global { module, name, protocol }
            }
            Node::Reduce { callable, args } => {
                Node::Reduce { callable: self.id(graph, callable), args: self.id(graph, args) }
            }
            Node::New { class, args } => {
                Node::New { class: self.id(graph, class), args: self.id(graph, args) }
            }
            Node::NewEx { class, args, kwargs } => Node::NewEx {
                class: self.id(graph, class),
                args: self.id(graph, args),
                kwargs: self.id(graph, kwargs),
            },
            // The others are the same anywhere.
            node => node,
        };
        self.new.nodes[new as usize] = node;
        let mut last = NO_CHANGE;
        for change in graph.changes(id) {
            let change = match change {
                Change::Append(run) => Change::Append(self.run(graph, run)),
                Change::SetItems(run) => Change::SetItems(self.run(graph, run)),
                Change::Add(run) => Change::Add(self.run(graph, run)),
                Change::Build(state) => Change::Build(self.id(graph, state)),
            };
            last = self.new.change(new, change, last);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Dialect, Limits};

    #[test]
    fn a_copy_is_written_like_its_original() {
        for pickle in [
            &b"\x80\x04]\x94(h\x00K\x01\x8c\x01a\x94h\x01h\x01e."[..],
            b"\x80\x04cm\nC\n)\x81\x94}\x8c\x01sh\x00sb.",
            b"\x80\x03]q\x00h\x00\x85q\x01a0h\x01.",
            b"\x80\x02(cm\nOld\nK\x01oq\x00}U\x01ah\x00sb.",
            b"\x80\x04\x8f\x94(C\x02abG\x3f\xf0\0\0\0\0\0\0\x90.",
            b"Va\\u0431\n.",
        ] {
            let value = Value::read(&Bytes::from_static(pickle), &Limits::default()).unwrap();
            let copy = value.detach();
            for dialect in [Dialect::Python2, Dialect::Python3, Dialect::Python38] {
                assert_eq!(copy.write(dialect), value.write(dialect), "{pickle:?}");
            }
        }
    }

    #[test]
    fn a_copy_of_a_part_keeps_that_alone() {
        let large = Value::tuple([Value::text("part"), Value::bytes(vec![0; 1 << 20])]);
        let large =
            Value::read(&large.write(Dialect::Python38).unwrap().into(), &Limits::default());
        let part = large.unwrap().items().unwrap().next().unwrap().detach();
        let Repr::Node(graph, _) = &part.0 else { panic!("{part:?}") };
        assert_eq!(graph.source, "part");
        assert_eq!(graph.nodes.len(), 1);
    }

    #[test]
    fn what_is_one_object_in_values_put_together_stays_one() {
        let list = Value::list([]);
        let twice = Value::tuple([list.clone(), list]).detach();
        assert_eq!(twice.write(Dialect::Python38).unwrap(), b"\x80\x04]q\x00h\x00\x86.");
    }
}
