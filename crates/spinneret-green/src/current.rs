//! Who asks: the coroutine that runs here.

use std::cell::Cell;
use std::ptr;
use std::sync::Arc;

use crate::local::Locals;
use crate::task::Task;

/// The coroutine that asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Current {
    id: u64,
    /// As it was given.
    name: Option<Arc<str>>,
}

impl Current {
    /// A number that no other coroutine of this process has or had.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The name it was given by [`Builder::name`](crate::Builder::name), or `coroutine-` and its
    /// number.
    pub fn name(&self) -> String {
        name_of(self.id, self.name.as_ref())
    }
}

/// The name of a coroutine, given or not.
pub(crate) fn name_of(id: u64, given: Option<&Arc<str>>) -> String {
    given.map_or_else(|| format!("coroutine-{id}"), ToString::to_string)
}

/// The coroutine that asks, be it of blocking code or an async task; `None` in plain threads, and in
/// tasks that were spawned by other means.
///
/// ```
/// use spinneret_green::{Builder, current};
///
/// let name = || current().map(|coroutine| coroutine.name());
/// assert_eq!(Builder::new().name("fetcher").spawn(name)?.join()?, Some("fetcher".to_owned()));
/// assert_eq!(name(), None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn current() -> Option<Current> {
    with(|face, _| face.map(|face| Current { id: face.task.id(), name: face.task.name().cloned() }))
}

/// What kind of coroutine runs here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Blocking code, on a stack of its own.
    Blocking,
    /// A future, on the stack of its hub or of who waits for it, which must not be held up.
    Async,
}

/// What a coroutine has beside its stack or its future.
pub(crate) struct Face {
    pub(crate) task: Task,
    pub(crate) locals: Locals,
}

impl Face {
    pub(crate) fn new(task: Task) -> Self {
        Self { task, locals: Locals::new() }
    }
}

thread_local! {
    /// The coroutine that runs here, for as long as [`enter`] says, or null. Each green thread has
    /// its own, so this need not change when they are switched.
    static CURRENT: Cell<(*const Face, Kind)> = const { Cell::new((ptr::null(), Kind::Blocking)) };
    /// Of a plain thread.
    static LOCALS: Locals = const { Locals::new() };
}

/// Runs something as part of this coroutine.
pub(crate) fn enter<R>(face: &Face, kind: Kind, run: impl FnOnce() -> R) -> R {
    struct Back((*const Face, Kind));
    impl Drop for Back {
        fn drop(&mut self) {
            CURRENT.set(self.0);
        }
    }
    let _back = Back(CURRENT.replace((face, kind)));
    run()
}

pub(crate) fn with<R>(look: impl FnOnce(Option<&Face>, Kind) -> R) -> R {
    let (face, kind) = CURRENT.get();
    // SAFETY: `enter` borrows the face until it has taken the pointer back, and this is called
    // within it, on the same thread.
    look(unsafe { face.as_ref() }, kind)
}

/// What kind of coroutine asks; `None` if none does.
pub(crate) fn kind() -> Option<Kind> {
    with(|face, kind| face.map(|_| kind))
}

pub(crate) fn with_locals<R>(look: impl FnOnce(&Locals) -> R) -> R {
    with(|face, _| match face {
        Some(face) => look(&face.locals),
        None => LOCALS.with(look),
    })
}
