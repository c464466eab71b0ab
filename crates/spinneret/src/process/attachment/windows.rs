//! Nothing travels beside a message here. What is of this machine alone travels by a name that is
//! worth nothing elsewhere, where attachments could be: see [`mark`](super::mark).

/// What can travel beside a message: there is none.
#[derive(Debug)]
pub(crate) enum Descriptor {}
