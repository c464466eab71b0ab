//! Classes and functions by name.

use super::{Place, Writer};
use crate::{
    Dialect, ValueRef, WriteError,
    graph::{Graph, Node, NodeId},
    names, opcode as op,
};

impl<'a> Writer<'a, '_, '_> {
    /// Writes a class or function by its names in the version of Python that reads it.
    pub(super) fn global(&mut self, (graph, id): Place<'a>) -> Result<(), WriteError> {
        let Node::Global { module, name, protocol } = graph.node(id) else { return Ok(()) };
        let dialect = self.dialect;
        let unnamed =
            WriteError::Unrepresentable { what: "a class without a proper name", dialect };
        let (Some(module), Some(name)) = (text(graph, module), text(graph, name)) else {
            return Err(unnamed);
        };
        let (module, name) = match (protocol < 3, dialect.is_python2()) {
            (false, true) => names::to_python2(module, name),
            (true, false) => names::to_python3(module, name),
            (false, false) => names::in_python3(module, name),
            (true, true) => (module, name),
        };
        let has_line_break = module.contains('\n') || name.contains('\n');
        if dialect == Dialect::Python38 {
            if has_line_break {
                self.out.text(module.as_bytes())?;
                self.out.text(name.as_bytes())?;
                self.out.op(op::STACK_GLOBAL);
            } else {
                self.out.raw_global(module, name);
            }
            return Ok(());
        }
        if has_line_break {
            return Err(unnamed);
        }
        // Nested classes have names with dots, which older protocols do not take apart.
        let mut attributes = name.split('.');
        let outermost = attributes.next().unwrap_or_default();
        if protocol < 4 || outermost.is_empty() {
            self.out.raw_global(module, name);
            return Ok(());
        }
        for _ in attributes.clone() {
            self.out.global("builtins", "getattr");
        }
        self.out.raw_global(module, outermost);
        for attribute in attributes {
            self.out.native(attribute.as_bytes())?;
            self.out.ops(&[op::TUPLE2, op::REDUCE]);
        }
        Ok(())
    }
}

/// The text of a node that is a name.
fn text(graph: &Graph, id: NodeId) -> Option<&str> {
    let bytes = match graph.node(id) {
        Node::Text(span) | Node::Str2(span) => graph.span(span),
        Node::Foreign(place) => return ValueRef::of(&graph.foreign[place as usize]).as_str(),
        _ => return None,
    };
    std::str::from_utf8(bytes).ok()
}
