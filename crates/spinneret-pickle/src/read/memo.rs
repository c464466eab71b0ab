//! What a pickle keeps for later.

use hashbrown::HashMap;

use crate::graph::NodeId;

/// Nothing is kept here.
const EMPTY: NodeId = NodeId::MAX;

/// The memo: nodes by numbers that the pickle gives them.
#[derive(Debug)]
pub(super) struct Memo {
    dense: Vec<NodeId>,
    /// What a pickle of this size would not use if it counted.
    sparse: HashMap<u64, NodeId>,
    /// Numbers below are in `dense`.
    limit: u64,
    count: u64,
}

impl Memo {
    /// For a pickle of that many bytes.
    pub fn new(bytes: usize) -> Self {
        let limit = bytes as u64;
        Self { dense: Vec::new(), sparse: HashMap::new(), limit, count: 0 }
    }

    /// The number that `MEMOIZE` gives.
    pub fn next_index(&self) -> u64 {
        self.count
    }

    pub fn put(&mut self, index: u64, node: NodeId) {
        if index < self.limit {
            let index = index as usize;
            if self.dense.len() <= index {
                self.dense.resize(index + 1, EMPTY);
            }
            self.count += u64::from(self.dense[index] == EMPTY);
            self.dense[index] = node;
        } else {
            self.count += u64::from(self.sparse.insert(index, node).is_none());
        }
    }

    pub fn get(&self, index: u64) -> Option<NodeId> {
        if index < self.limit {
            self.dense.get(index as usize).copied().filter(|&node| node != EMPTY)
        } else {
            self.sparse.get(&index).copied()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_far_beyond_the_size_of_the_pickle_takes_no_room() {
        let mut memo = Memo::new(10);
        memo.put(4_000_000_000, 7);
        memo.put(4_000_000_000, 8);
        memo.put(3, 9);
        assert!(memo.dense.capacity() < 100);
        assert_eq!(
            [4_000_000_000, 3, 0, 5, u64::MAX].map(|index| memo.get(index)),
            [Some(8), Some(9), None, None, None]
        );
        assert_eq!(memo.next_index(), 2, "entries count, not numbers");
    }
}
