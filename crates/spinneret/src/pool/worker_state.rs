//! What a worker keeps from task to task: a connection, a model, a cache.
//!
//! Each worker has its own, of any type that need not be serializable. An initializer is the place to
//! [`set`] it; tasks then use it by [`with`]. It goes when the worker does.
//!
//! ```
//! use spinneret::{Pool, ProcessPool, pool::worker_state};
//!
//! struct Stopwords(Vec<String>);
//!
//! #[spinneret::task]
//! fn load(words: Vec<String>) {
//!     worker_state::set(Stopwords(words));
//! }
//!
//! #[spinneret::task]
//! fn is_stopword(word: String) -> bool {
//!     worker_state::with(|state: &mut Stopwords| state.0.contains(&word)).unwrap_or(false)
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let pool = ProcessPool::builder().workers(1).initializer(load, vec!["the".to_owned()]).build()?;
//! assert_eq!(pool.apply(is_stopword, "the".to_owned())?, true);
//! # Ok(())
//! # }
//! ```

use std::any::{Any, TypeId};
use std::cell::RefCell;
use std::collections::HashMap;

/// By type.
type States = HashMap<TypeId, Box<dyn Any>>;

thread_local! {
    /// A worker runs its tasks on one thread, or in one green thread, which has its own.
    static STATE: RefCell<States> = RefCell::default();
}

/// The states of a green thread, for a future of it that its hub polls, in other thread-locals.
#[cfg(feature = "coroutine")]
#[derive(Clone, Default)]
pub(crate) struct Carried(std::rc::Rc<std::cell::Cell<States>>);

#[cfg(feature = "coroutine")]
impl Carried {
    /// Exchanges them for those of the thread-locals that the caller has.
    pub(crate) fn swap(&self) {
        STATE.with_borrow_mut(|state| *state = self.0.replace(std::mem::take(state)));
    }
}

/// Keeps a value for the tasks that this worker will run; returns the one of its type before.
pub fn set<T: 'static>(value: T) -> Option<T> {
    let before = STATE.with_borrow_mut(|state| state.insert(TypeId::of::<T>(), Box::new(value)));
    before.and_then(|before| before.downcast().ok()).map(|before| *before)
}

/// Uses the value of a type that was [`set`] in this worker; `None` if none was, or it is in use
/// further up on the stack.
///
/// A panic in `work` leaves the worker without it.
pub fn with<T: 'static, R>(work: impl FnOnce(&mut T) -> R) -> Option<R> {
    // Taken out meanwhile, so that `work` may use states of other types.
    let mut value = STATE.with_borrow_mut(|state| state.remove(&TypeId::of::<T>()))?;
    let result = value.downcast_mut().map(work);
    STATE.with_borrow_mut(|state| {
        state.entry(TypeId::of::<T>()).or_insert(value);
    });
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_type_has_one_value_that_lasts() {
        assert_eq!(with(|_: &mut u8| ()), None);
        assert_eq!(set(1_u8), None);
        assert_eq!(set("text"), None);
        let nested = with(|number: &mut u8| {
            *number += 1;
            with(|text: &mut &str| text.len())
        });
        assert_eq!(nested, Some(Some(4)));
        assert_eq!(with(|_: &mut u8| with(|_: &mut u8| ())), Some(None), "it is in use");
        assert_eq!(set(9_u8), Some(2));
    }
}
