//! What is said of a queue of bytes, whichever way it is kept.

/// What came of a put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Put {
    /// So many messages are in; fewer than were given if there is no space.
    Done(usize),
    Closed,
}

/// What came of a take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Take {
    /// So many messages were taken; 0 if there is none.
    Done(usize),
    /// There is none, and there never will be.
    Closed,
}

/// How a queue is laid out.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// Bytes for waiting messages.
    pub(crate) memory: usize,
    /// The most messages that wait.
    pub(crate) max_items: usize,
    /// How many leases there can be at once.
    pub(crate) slots: usize,
    /// How many bytes of a message a lease keeps without pages of its own; 0 if leases keep none.
    #[cfg(shared_memory)]
    pub(crate) slot_bytes: usize,
    /// The most bytes of large messages at once.
    pub(crate) large_bytes: u64,
}

/// How messages are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// For good.
    Get,
    /// On behalf of an owner, with a slot that knows it.
    Lease(u32),
}
