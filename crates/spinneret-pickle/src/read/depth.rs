//! How deep a graph is.

use crate::graph::{Graph, NodeId};

/// The most nodes inside one another, the way down ending where it would come back to a node that
/// it is in.
pub(super) fn of(graph: &Graph, root: NodeId) -> u32 {
    enum Visit {
        Enter(NodeId),
        Leave(NodeId),
    }
    // 0: not known, or under way.
    let mut depths = vec![0_u32; graph.nodes.len()];
    let mut entered = vec![false; graph.nodes.len()];
    let mut visits = vec![Visit::Enter(root)];
    while let Some(visit) = visits.pop() {
        match visit {
            Visit::Enter(id) => {
                if std::mem::replace(&mut entered[id as usize], true) {
                    continue;
                }
                visits.push(Visit::Leave(id));
                graph.each_part(id, |part| {
                    if !entered[part as usize] {
                        visits.push(Visit::Enter(part));
                    }
                });
            }
            Visit::Leave(id) => {
                let mut depth = 0;
                graph.each_part(id, |part| depth = depth.max(depths[part as usize]));
                depths[id as usize] = depth + 1;
            }
        }
    }
    depths[root as usize]
}
