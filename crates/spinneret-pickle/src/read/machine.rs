//! The machine that a pickle is a program for.

use std::ops::{Deref, DerefMut};

use bytes::Bytes;

use super::{cursor::Cursor, depth, memo::Memo};
use crate::{
    Int, Limits, ReadError, ValueRef,
    graph::{Change, Graph, NO_CHANGE, Node, NodeId, Run, Span},
    opcode as op,
};

/// The state of the machine.
#[derive(Debug)]
pub(super) struct Machine<'a> {
    cursor: Cursor<'a>,
    limits: &'a Limits,
    pub graph: Graph,
    stack: Vec<NodeId>,
    /// How high the stack was at each mark.
    marks: Vec<usize>,
    pub memo: Memo,
    /// The last change of each node, where there is one.
    last_steps: Vec<u32>,
    /// How deep each node is, as far as was known when it was last changed.
    depths: Vec<u32>,
    /// A node became deeper after others had it in them.
    depths_outdated: bool,
    protocol: u8,
}

impl<'a> Deref for Machine<'a> {
    type Target = Cursor<'a>;

    fn deref(&self) -> &Cursor<'a> {
        &self.cursor
    }
}

impl DerefMut for Machine<'_> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.cursor
    }
}

impl<'a> Machine<'a> {
    pub fn new(pickle: &'a Bytes, limits: &'a Limits) -> Self {
        // Guesses, which small messages do not outgrow; large strings count little.
        let nodes = (pickle.len() / 4).min(64);
        let mut graph = Graph::default();
        graph.source = pickle.clone();
        graph.nodes.reserve(nodes);
        graph.kids.reserve(nodes);
        Self {
            cursor: Cursor::new(pickle),
            limits,
            graph,
            stack: Vec::with_capacity(nodes.min(16)),
            marks: Vec::new(),
            memo: Memo::new(pickle.len()),
            last_steps: Vec::new(),
            depths: Vec::with_capacity(nodes),
            depths_outdated: false,
            protocol: 0,
        }
    }

    /// The graph and what the pickle is of.
    pub fn finish(mut self) -> Result<(Graph, NodeId), ReadError> {
        self.cursor.end()?;
        let root = self.pop()?;
        let depth = if self.depths_outdated {
            depth::of(&self.graph, root)
        } else {
            self.depths[root as usize]
        };
        if depth as usize > self.limits.depth {
            return Err(ReadError::TooDeep { limit: self.limits.depth });
        }
        Ok((self.graph, root))
    }

    /// The error for an opcode that is not run.
    #[cold]
    pub fn refuse(&self, opcode: u8) -> ReadError {
        let offset = self.offset();
        let opcode = match opcode {
            op::PERSID => "PERSID",
            op::BINPERSID => "BINPERSID",
            op::EXT1 => "EXT1",
            op::EXT2 => "EXT2",
            op::EXT4 => "EXT4",
            op::NEXT_BUFFER => "NEXT_BUFFER",
            op::READONLY_BUFFER => "READONLY_BUFFER",
            opcode => return ReadError::UnknownOpcode { opcode, offset },
        };
        ReadError::Refused { opcode, offset }
    }

    pub fn protocol(&mut self) -> Result<(), ReadError> {
        self.protocol = self.byte()?;
        if self.protocol > 5 { Err(ReadError::UnknownProtocol(self.protocol)) } else { Ok(()) }
    }

    /// Whether names and strings are Python 2's.
    fn is_python2(&self) -> bool {
        self.protocol < 3
    }

    fn add(&mut self, node: Node, depth: u32) -> Result<NodeId, ReadError> {
        let limit = self.limits.nodes.min(NodeId::MAX as usize - 1);
        if self.graph.nodes.len() >= limit {
            return Err(ReadError::TooManyNodes { limit });
        }
        let id = self.graph.nodes.len() as NodeId;
        self.graph.nodes.push(node);
        self.depths.push(depth);
        Ok(id)
    }

    /// Pushes a node without parts.
    pub fn push(&mut self, node: Node) -> Result<(), ReadError> {
        let id = self.add(node, 1)?;
        self.stack.push(id);
        Ok(())
    }

    /// Pushes a node that has those in it.
    pub fn push_with(&mut self, node: Node, parts: Run) -> Result<(), ReadError> {
        let depth = 1 + self.depth_of(parts);
        let id = self.add(node, depth)?;
        self.stack.push(id);
        Ok(())
    }

    fn depth_of(&self, run: Run) -> u32 {
        self.graph.kids(run).iter().map(|&id| self.depths[id as usize]).max().unwrap_or(0)
    }

    /// Where the part of the stack begins that the last mark leaves to be used.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    pub fn top(&self) -> Result<NodeId, ReadError> {
        match self.stack.get(self.floor()..) {
            Some([.., top]) => Ok(*top),
            _ => Err(self.malformed("nothing is on the stack")),
        }
    }

    pub fn pop(&mut self) -> Result<NodeId, ReadError> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    pub fn mark(&mut self) {
        self.marks.push(self.stack.len());
    }

    fn pop_mark(&mut self) -> Result<usize, ReadError> {
        self.marks.pop().ok_or_else(|| self.malformed("no mark is on the stack"))
    }

    /// As Python has it, a mark is something on the stack too.
    pub fn discard(&mut self) -> Result<(), ReadError> {
        if self.marks.last() == Some(&self.stack.len()) {
            self.marks.pop();
            return Ok(());
        }
        self.pop().map(drop)
    }

    pub fn discard_to_mark(&mut self) -> Result<(), ReadError> {
        let mark = self.pop_mark()?;
        self.stack.truncate(mark);
        Ok(())
    }

    pub fn duplicate(&mut self) -> Result<(), ReadError> {
        let top = self.top()?;
        self.graph.share(top);
        self.stack.push(top);
        Ok(())
    }

    /// Takes what is on the stack from there on as a run.
    fn run_from(&mut self, start: usize) -> Result<Run, ReadError> {
        let len = self.stack.len() - start;
        let kids = &mut self.graph.kids;
        if u32::try_from(kids.len() + len).is_err() {
            return Err(ReadError::TooManyNodes { limit: u32::MAX as usize });
        }
        let run = Run { start: kids.len() as u32, len: len as u32 };
        kids.extend_from_slice(&self.stack[start..]);
        self.stack.truncate(start);
        Ok(run)
    }

    pub fn run_since_mark(&mut self) -> Result<Run, ReadError> {
        let mark = self.pop_mark()?;
        self.run_from(mark)
    }

    pub fn run_of(&mut self, len: usize) -> Result<Run, ReadError> {
        match self.stack.len().checked_sub(len) {
            Some(start) if start >= self.floor() => self.run_from(start),
            _ => Err(self.malformed("too little is on the stack")),
        }
    }

    pub fn tuple(&mut self, len: usize) -> Result<(), ReadError> {
        let run = if len == 0 { Run::EMPTY } else { self.run_of(len)? };
        self.push_with(Node::Tuple(run), run)
    }

    /// Changes the node on top.
    pub fn change(&mut self, change: Change) -> Result<(), ReadError> {
        let target = self.top()?;
        self.check(target, change)?;
        let parts = match change {
            Change::Append(run) | Change::SetItems(run) | Change::Add(run) => {
                if run.len == 0 {
                    return Ok(());
                }
                self.depth_of(run)
            }
            Change::Build(state) => self.depths[state as usize],
        };
        let depth = &mut self.depths[target as usize];
        if *depth <= parts {
            *depth = parts + 1;
            self.depths_outdated |= self.graph.is_shared(target);
        }

        let place = target as usize;
        if self.last_steps.len() <= place {
            self.last_steps.resize(place + 1, NO_CHANGE);
        }
        let last = self.last_steps[place];
        if !self.extend(last, change) {
            self.last_steps[place] = self.graph.change(target, change, last);
        }
        Ok(())
    }

    /// Appends to the step before if the two are as good as one, as when a list is appended to
    /// element by element.
    fn extend(&mut self, last: u32, change: Change) -> bool {
        let Some(step) = self.graph.steps.get_mut(last as usize) else { return false };
        let ((Change::Append(run), Change::Append(more))
        | (Change::SetItems(run), Change::SetItems(more))
        | (Change::Add(run), Change::Add(more))) = (&mut step.change, change)
        else {
            return false;
        };
        let adjoins = run.start + run.len == more.start;
        if adjoins {
            run.len += more.len;
        }
        adjoins
    }

    /// What Python could not do either is an error, so that a list has elements and nothing else.
    fn check(&self, target: NodeId, change: Change) -> Result<(), ReadError> {
        if let Change::SetItems(run) = change
            && run.len % 2 != 0
        {
            return Err(self.malformed("a key is set without a value"));
        }
        let fits = match self.graph.node(target) {
            Node::List => matches!(change, Change::Append(_)),
            Node::Dict => matches!(change, Change::SetItems(_)),
            Node::Set => matches!(change, Change::Add(_)),
            Node::Global { .. } => matches!(change, Change::Build(_)),
            Node::Reduce { .. } | Node::New { .. } | Node::NewEx { .. } | Node::Obj(_) => true,
            _ => false,
        };
        if fits {
            return Ok(());
        }
        Err(self.malformed(match change {
            Change::Append(_) => "it appends to what is no list",
            Change::SetItems(_) => "it sets items in what is no dict",
            Change::Add(_) => "it adds to what is no set",
            Change::Build(_) => "it sets the state of what is no object",
        }))
    }

    pub fn long(&mut self, len: usize) -> Result<(), ReadError> {
        let (span, bytes) = self.span(len)?;
        let long = self.is_python2();
        let int = Int::new(bytes, long);
        self.push(match int.as_i64() {
            Some(value) => Node::Int { value, long },
            None => Node::Long(Span { start: span.start, len: int.significant_len() }),
        })
    }

    pub fn text(&mut self, len: usize) -> Result<(), ReadError> {
        let (span, bytes) = self.span(len)?;
        let node = self.checked_text(span, bytes)?;
        self.push(node)
    }

    fn checked_text(&self, span: Span, bytes: &[u8]) -> Result<Node, ReadError> {
        if std::str::from_utf8(bytes).is_ok() || is_text_with_surrogates(bytes) {
            Ok(Node::Text(span))
        } else {
            Err(self.malformed("text is not UTF-8"))
        }
    }

    pub fn string(&mut self, len: usize, node: fn(Span) -> Node) -> Result<(), ReadError> {
        let (span, _) = self.span(len)?;
        self.push(node(span))
    }

    /// A name on a line of its own.
    fn name(&mut self) -> Result<NodeId, ReadError> {
        let (span, bytes) = self.line()?;
        let node = self.checked_text(span, bytes)?;
        self.add(node, 1)
    }

    fn named(&mut self) -> Result<NodeId, ReadError> {
        let module = self.name()?;
        let name = self.name()?;
        let protocol = self.protocol;
        self.add(Node::Global { module, name, protocol }, 2)
    }

    pub fn global(&mut self) -> Result<(), ReadError> {
        let global = self.named()?;
        self.stack.push(global);
        Ok(())
    }

    pub fn stack_global(&mut self) -> Result<(), ReadError> {
        let name = self.pop()?;
        let module = self.pop()?;
        for part in [module, name] {
            if !self.is_string(part) {
                return Err(self.malformed("a name is no string"));
            }
        }
        let protocol = self.protocol;
        let global = self.add(Node::Global { module, name, protocol }, 2)?;
        self.stack.push(global);
        Ok(())
    }

    fn is_string(&self, id: NodeId) -> bool {
        match self.graph.node(id) {
            Node::Text(_) | Node::Str2(_) => true,
            Node::Foreign(place) => {
                ValueRef::of(&self.graph.foreign[place as usize]).as_str().is_some()
            }
            _ => false,
        }
    }

    fn push_call(&mut self, node: Node, parts: &[NodeId]) -> Result<(), ReadError> {
        let depth = parts.iter().map(|&id| self.depths[id as usize]).max().unwrap_or(0);
        let id = self.add(node, depth + 1)?;
        self.stack.push(id);
        Ok(())
    }

    pub fn reduce(&mut self) -> Result<(), ReadError> {
        let args = self.pop()?;
        let callable = self.pop()?;
        self.push_call(Node::Reduce { callable, args }, &[callable, args])
    }

    pub fn new_object(&mut self) -> Result<(), ReadError> {
        let args = self.pop()?;
        let class = self.pop()?;
        self.push_call(Node::New { class, args }, &[class, args])
    }

    pub fn new_object_ex(&mut self) -> Result<(), ReadError> {
        let kwargs = self.pop()?;
        let args = self.pop()?;
        let class = self.pop()?;
        self.push_call(Node::NewEx { class, args, kwargs }, &[class, args, kwargs])
    }

    pub fn old_object(&mut self) -> Result<(), ReadError> {
        let run = self.run_since_mark()?;
        if run.len == 0 {
            return Err(self.malformed("an object has no class"));
        }
        self.push_with(Node::Obj(run), run)
    }

    /// As `old_object`, with the class named behind the opcode.
    pub fn instance(&mut self) -> Result<(), ReadError> {
        let class = self.named()?;
        let mark = self.pop_mark()?;
        self.stack.insert(mark, class);
        let run = self.run_from(mark)?;
        self.push_with(Node::Obj(run), run)
    }

    pub fn put(&mut self, index: u64) -> Result<(), ReadError> {
        let top = self.top()?;
        self.memo.put(index, top);
        Ok(())
    }

    pub fn get(&mut self, index: u64) -> Result<(), ReadError> {
        let offset = self.offset();
        let node = self.memo.get(index).ok_or(ReadError::NotInMemo { index, offset })?;
        self.graph.share(node);
        self.stack.push(node);
        Ok(())
    }
}

/// Whether bytes are UTF-8 but for surrogates, each of which is three bytes: what Python calls
/// `surrogatepass`.
fn is_text_with_surrogates(mut bytes: &[u8]) -> bool {
    loop {
        let Err(error) = std::str::from_utf8(bytes) else { return true };
        match &bytes[error.valid_up_to()..] {
            [0xed, 0xa0..=0xbf, 0x80..=0xbf, rest @ ..] => bytes = rest,
            _ => return false,
        }
    }
}
