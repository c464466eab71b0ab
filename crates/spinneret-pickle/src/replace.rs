//! Putting values in the place of objects.

use std::{collections::HashMap, sync::Arc};

use crate::{
    Value, ValueRef,
    graph::{Graph, NO_CHANGE, Node, NodeId},
    value::Repr,
};

impl Value {
    /// The value with others in the place of objects in it.
    ///
    /// `replace` is given objects of classes that mean nothing to this crate, such as
    /// [`View::Object`](crate::View::Object) is, each once; what it gives back takes the place of
    /// the object wherever that is referred to. It may be given objects that came in the same
    /// message but are not in the value.
    ///
    /// ```
    /// use spinneret_pickle::{Value, View};
    ///
    /// let class = Value::global("decimal", "Decimal");
    /// let price = Value::reduce(class, [Value::native("1.50")]);
    /// let list = Value::list([price, Value::int(2)]);
    /// let numbers = list.replace(&mut |object| {
    ///     let View::Object(object) = object.view() else { return None };
    ///     let text = object.args()?.next()?.as_str()?;
    ///     Some(Value::float(text.parse().ok()?))
    /// });
    /// let numbers: Vec<f64> = numbers.items().unwrap().filter_map(|n| n.as_f64()).collect();
    /// assert_eq!(numbers, [1.5, 2.0]);
    /// ```
    #[must_use]
    pub fn replace(&self, replace: &mut dyn FnMut(ValueRef<'_>) -> Option<Self>) -> Self {
        Replacing { replace, done: HashMap::new() }.value(self)
    }
}

struct Replacing<'a> {
    replace: &'a mut dyn FnMut(ValueRef<'_>) -> Option<Value>,
    /// By the address of the old graph, which the value that is worked on keeps alive.
    done: HashMap<*const Graph, Done>,
}

#[derive(Clone)]
enum Done {
    Unchanged,
    /// The new graph, and what has become of those of its nodes that were replaced.
    Changed(Arc<Graph>, Arc<HashMap<NodeId, Value>>),
}

impl Replacing<'_> {
    // Recurses as deep as values were put into others after they were read, not as they are deep.
    fn value(&mut self, value: &Value) -> Value {
        let Repr::Node(graph, id) = &value.0 else {
            return value.clone();
        };
        match self.graph(graph) {
            Done::Unchanged => value.clone(),
            Done::Changed(graph, replaced) => match replaced.get(id) {
                Some(other) => other.clone(),
                None => Value(Repr::Node(graph, *id)),
            },
        }
    }

    fn graph(&mut self, graph: &Arc<Graph>) -> Done {
        let address = Arc::as_ptr(graph);
        if let Some(done) = self.done.get(&address) {
            return done.clone();
        }
        let foreign: Vec<Value> = graph.foreign.iter().map(|value| self.value(value)).collect();
        let same = |one: &Value, other: &Value| match (&one.0, &other.0) {
            (Repr::Node(one, id), Repr::Node(other, other_id)) => {
                Arc::ptr_eq(one, other) && id == other_id
            }
            (Repr::Leaf(_), Repr::Leaf(_)) => true,
            _ => false,
        };
        let mut replaced = HashMap::new();
        for (id, node) in (0..).zip(&graph.nodes) {
            if matches!(
                node,
                Node::Reduce { .. } | Node::New { .. } | Node::NewEx { .. } | Node::Obj(_)
            ) && let Some(other) = (self.replace)(ValueRef::at(graph, id))
            {
                replaced.insert(id, other);
            }
        }
        let done = if replaced.is_empty()
            && graph.foreign.iter().zip(&foreign).all(|(one, other)| same(one, other))
        {
            Done::Unchanged
        } else {
            let mut new = Graph::default();
            new.source = graph.source.clone();
            new.nodes.clone_from(&graph.nodes);
            new.kids.clone_from(&graph.kids);
            new.steps.clone_from(&graph.steps);
            new.first_steps.clone_from(&graph.first_steps);
            new.shared.clone_from(&graph.shared);
            new.foreign = foreign;
            for (id, other) in &replaced {
                new.foreign.push(other.clone());
                new.nodes[*id as usize] = Node::Foreign((new.foreign.len() - 1) as u32);
                if let Some(first) = new.first_steps.get_mut(*id as usize) {
                    *first = NO_CHANGE;
                }
            }
            Done::Changed(Arc::new(new), Arc::new(replaced))
        };
        self.done.insert(address, done.clone());
        done
    }
}
