//! What is in a value, one after the other.

use std::{fmt, sync::Arc};

use crate::{
    ValueRef,
    graph::{Change, Graph, NO_CHANGE, NodeId, Run},
};

/// The elements of a value.
#[derive(Clone)]
pub struct Items<'a> {
    graph: &'a Arc<Graph>,
    /// What is left of the run at hand.
    run: &'a [NodeId],
    /// The step with the next run.
    next: u32,
    /// How many elements there are behind the run at hand.
    later: usize,
}

impl<'a> Items<'a> {
    pub(crate) fn of_run(graph: &'a Arc<Graph>, run: Run) -> Self {
        Self { graph, run: graph.kids(run), next: NO_CHANGE, later: 0 }
    }

    /// What the node's changes put into it. They are all of one kind, or this is an object.
    pub(crate) fn of_changes(graph: &'a Arc<Graph>, id: NodeId) -> Self {
        let later = graph.changes(id).filter_map(run_of).map(|run| run.len as usize).sum();
        Self { graph, run: &[], next: graph.first_step(id), later }
    }

    /// The element at that place, if there is one. Takes time only for the places before it that
    /// were appended with calls of their own.
    pub fn get(&self, index: usize) -> Option<ValueRef<'a>> {
        self.clone().nth(index)
    }

    /// Goes on to the next run that has something.
    fn advance(&mut self) {
        while self.run.is_empty() && self.later > 0 {
            let step = self.graph.steps[self.next as usize];
            self.next = step.next;
            if let Some(run) = run_of(step.change) {
                self.run = self.graph.kids(run);
                self.later -= self.run.len();
            }
        }
    }
}

fn run_of(change: Change) -> Option<Run> {
    match change {
        Change::Append(run) | Change::SetItems(run) | Change::Add(run) => Some(run),
        Change::Build(_) => None,
    }
}

impl<'a> Iterator for Items<'a> {
    type Item = ValueRef<'a>;

    fn next(&mut self) -> Option<ValueRef<'a>> {
        self.advance();
        let (&id, rest) = self.run.split_first()?;
        self.run = rest;
        Some(ValueRef::at(self.graph, id))
    }

    fn nth(&mut self, mut n: usize) -> Option<ValueRef<'a>> {
        loop {
            self.advance();
            if n < self.run.len() {
                self.run = &self.run[n..];
                return self.next();
            }
            n -= self.run.len();
            self.run = &[];
            if self.later == 0 {
                return None;
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let len = self.run.len() + self.later;
        (len, Some(len))
    }
}

impl ExactSizeIterator for Items<'_> {}

impl fmt::Debug for Items<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.clone()).finish()
    }
}

/// The keys and values of a `dict`, or what is set in another object, in their order. A key may
/// come more than once: the last one counts.
#[derive(Clone)]
pub struct Pairs<'a>(pub(crate) Items<'a>);

impl<'a> Pairs<'a> {
    pub(crate) fn of_changes(graph: &'a Arc<Graph>, id: NodeId) -> Self {
        Self(Items::of_changes(graph, id))
    }

    /// The value of the key with that text.
    pub fn get(&self, key: &str) -> Option<ValueRef<'a>> {
        self.clone().filter(|(of, _)| of.as_str() == Some(key)).last().map(|(_, value)| value)
    }
}

impl<'a> Iterator for Pairs<'a> {
    type Item = (ValueRef<'a>, ValueRef<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        Some((self.0.next()?, self.0.next()?))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let len = self.0.len() / 2;
        (len, Some(len))
    }
}

impl ExactSizeIterator for Pairs<'_> {}

impl fmt::Debug for Pairs<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.clone()).finish()
    }
}
