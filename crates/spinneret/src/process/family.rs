//! The children of this process: reaped in passing, and joined when it ends.

use std::sync::{Arc, Once};
use std::time::Duration;

use parking_lot::Mutex;

use super::child::{Process, Started};

/// How long a daemonic child may take to end by SIGTERM when this process ends.
const GRACE: Duration = Duration::from_secs(1);

/// The children that were started and, as far as is known, still run.
static CHILDREN: Mutex<Vec<Arc<Started>>> = Mutex::new(Vec::new());

/// The children of this process that still run; those that have ended are reaped.
/// Python's `multiprocessing.active_children()`.
pub fn active_children() -> Vec<Process> {
    living().into_iter().map(Process::from_started).collect()
}

fn living() -> Vec<Arc<Started>> {
    let mut children = CHILDREN.lock();
    // After a fork, those of the parent are in the list too.
    children.retain(|child| child.is_ours() && child.is_alive());
    children.clone()
}

/// Takes in a child, and reaps others that have ended.
pub(super) fn enlist(child: Arc<Started>) {
    static AT_EXIT: Once = Once::new();
    // A child that was forked inherits the registration with the mark that it was made.
    AT_EXIT.call_once(|| {
        // SAFETY: `at_exit` may be called at any time from then on, and does not unwind. If it
        // cannot be registered, children are not joined: nothing worse.
        let _ = unsafe { libc::atexit(at_exit) };
    });
    living();
    CHILDREN.lock().push(child);
}

/// Lets go of a child that has ended, and of its descriptors.
pub(super) fn dismiss(child: &Arc<Started>) {
    CHILDREN.lock().retain(|other| !Arc::ptr_eq(child, other));
}

/// Runs when the process ends by itself: by the end of `main`, or `exit`.
extern "C" fn at_exit() {
    // Nothing in here panics by design; C must not see it if something does.
    let _ = std::panic::catch_unwind(|| {
        let (daemonic, others): (Vec<_>, Vec<_>) =
            living().into_iter().partition(|child| child.daemon);
        for child in &daemonic {
            child.terminate();
        }
        for child in others {
            child.wait(None);
        }
        for child in daemonic {
            if !child.wait(Some(GRACE)) {
                child.kill();
                child.wait(None);
            }
        }
    });
}
