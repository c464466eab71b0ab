//! Values that each coroutine has for itself.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::ptr::{self, NonNull};

use crate::current;

/// A value that each coroutine has for itself, made when the coroutine first asks for it and dropped
/// when it ends. Declare one with [`local!`](crate::local!).
///
/// It works in green threads, in async tasks and, as a `thread_local!` would, in plain threads.
/// (Where coroutines are green threads, `thread_local!` itself has a value for each of them; async
/// tasks of one hub share it.)
pub struct Local<T: 'static> {
    init: fn() -> T,
}

impl<T: Send + 'static> Local<T> {
    /// For [`local!`](crate::local!).
    #[doc(hidden)]
    pub const fn new(init: fn() -> T) -> Self {
        Self { init }
    }

    /// Gives the coroutine's value to `use_it`.
    ///
    /// # Panics
    /// In the destructor of a thread-local of a plain thread that has ended: the value may be gone.
    pub fn with<R>(&'static self, use_it: impl FnOnce(&T) -> R) -> R {
        current::with_locals(|locals| {
            let value = locals.get(self);
            // SAFETY: the value lives as long as `locals`, which outlives this closure, and nothing
            // gives out exclusive references to it.
            use_it(unsafe { value.as_ref() })
        })
    }
}

impl<T: Send + 'static> Local<Cell<T>> {
    /// Changes the coroutine's value.
    pub fn set(&'static self, value: T) {
        self.with(|cell| cell.set(value));
    }

    /// Changes the coroutine's value and returns the one before.
    pub fn replace(&'static self, value: T) -> T {
        self.with(|cell| cell.replace(value))
    }
}

impl<T: Copy + Send + 'static> Local<Cell<T>> {
    /// The coroutine's value.
    pub fn get(&'static self) -> T {
        self.with(Cell::get)
    }
}

impl<T: Send + 'static> Local<RefCell<T>> {
    /// Gives the coroutine's value to `use_it`.
    ///
    /// # Panics
    /// If it is mutably borrowed at the time.
    pub fn with_borrow<R>(&'static self, use_it: impl FnOnce(&T) -> R) -> R {
        self.with(|cell| use_it(&cell.borrow()))
    }

    /// Gives the coroutine's value to `use_it` to be changed.
    ///
    /// # Panics
    /// If it is borrowed at the time.
    pub fn with_borrow_mut<R>(&'static self, use_it: impl FnOnce(&mut T) -> R) -> R {
        self.with(|cell| use_it(&mut cell.borrow_mut()))
    }
}

impl<T> fmt::Debug for Local<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Local").finish_non_exhaustive()
    }
}

/// Declares values that each coroutine has for itself, as `thread_local!` does for threads.
///
/// ```
/// use std::cell::Cell;
///
/// spinneret_green::local! {
///     static VISITS: Cell<u32> = Cell::new(0);
/// }
///
/// let visits = spinneret_green::spawn(|| {
///     VISITS.set(VISITS.get() + 1);
///     VISITS.get()
/// });
/// assert_eq!(visits.join()?, 1);
/// assert_eq!(VISITS.get(), 0);
/// # Ok::<(), spinneret_green::JoinError>(())
/// ```
#[macro_export]
macro_rules! local {
    () => {};
    ($(#[$attribute:meta])* $visibility:vis static $name:ident: $type:ty = $init:expr; $($rest:tt)*) => {
        $crate::local!($(#[$attribute])* $visibility static $name: $type = $init);
        $crate::local!($($rest)*);
    };
    ($(#[$attribute:meta])* $visibility:vis static $name:ident: $type:ty = $init:expr) => {
        $(#[$attribute])*
        $visibility static $name: $crate::Local<$type> = $crate::Local::new(|| $init);
    };
}

/// The values of one coroutine.
#[derive(Default)]
pub(crate) struct Locals {
    /// By the address of the [`Local`]. Few, so a list; none is taken out before all are dropped.
    values: RefCell<Vec<(usize, Box<dyn Any + Send>)>>,
}

impl Locals {
    pub(crate) const fn new() -> Self {
        Self { values: RefCell::new(Vec::new()) }
    }

    fn get<T: Send + 'static>(&self, local: &'static Local<T>) -> NonNull<T> {
        let key = ptr::from_ref(local).addr();
        if let Some(value) = self.find(key) {
            return value;
        }
        // Not borrowed meanwhile: it may ask for other locals.
        let value = Box::new((local.init)());
        self.values.borrow_mut().push((key, value));
        self.find(key).expect("it was just put there")
    }

    fn find<T: 'static>(&self, key: usize) -> Option<NonNull<T>> {
        let values = self.values.borrow();
        let (_, value) = values.iter().find(|(known, _)| *known == key)?;
        value.downcast_ref().map(NonNull::from_ref)
    }

    /// Drops the values, last made first dropped, with those that their destructors make.
    pub(crate) fn clear(&self) {
        loop {
            let last = self.values.borrow_mut().pop();
            if last.is_none() {
                return;
            }
        }
    }
}
