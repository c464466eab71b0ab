//! The program's tasks by name.
//!
//! [`macro@crate::task`] puts an entry into a section of the program's file, which the linker
//! gathers from all crates (`linkme`); nothing runs and nothing allocates before the first look.
//! Two tasks of one name are a fault of the program, not of its data: it stops as it starts, and
//! the message says where both are.

use std::any::TypeId;
use std::collections::HashMap;
use std::panic::Location;
use std::sync::{Arc, LazyLock};

use parking_lot::RwLock;
use serde::Serialize;

use super::{Call, Outcome, Task, TaskError};
use crate::process::attachment::{self, Descriptor};

/// What the attribute registers. For generated code only.
#[doc(hidden)]
#[linkme::distributed_slice]
pub static TASKS: [Entry];

/// A task without its types. For generated code only.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    name: &'static str,
    signature: u64,
    /// Tells whether a second registration is of the same task.
    id: TypeId,
    file: &'static str,
    line: u32,
    invoke: fn(&[u8], Vec<Descriptor>) -> Outcome<EncodedCall>,
}

/// A value as bytes, and the file descriptors in it.
pub(crate) type Encoded = (Vec<u8>, Vec<Arc<Descriptor>>);

/// A call whose result comes encoded, or why it cannot be.
pub(crate) type EncodedCall = Call<Outcome<Encoded>>;

impl Entry {
    /// The entry of a task that is defined at `file:line`.
    pub const fn of<T: Task>(file: &'static str, line: u32) -> Self {
        Self {
            name: T::NAME,
            signature: T::SIGNATURE,
            id: TypeId::of::<T>(),
            file,
            line,
            invoke: invoke::<T>,
        }
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    pub(crate) fn signature(&self) -> u64 {
        self.signature
    }

    /// Decodes the arguments, with the file descriptors in them, and calls the function; the result
    /// comes back encoded.
    pub(crate) fn invoke(&self, args: &[u8], fds: Vec<Descriptor>) -> Outcome<EncodedCall> {
        (self.invoke)(args, fds)
    }
}

fn invoke<T: Task>(args: &[u8], fds: Vec<Descriptor>) -> Outcome<EncodedCall> {
    let args =
        attachment::decode::<T::Args>(args, fds).map_err(|cause| TaskError::Undecodable {
            what: format!("the arguments of `{}`", T::NAME),
            cause: cause.to_string(),
        })?;
    Ok(match T::run(args) {
        Call::Done(value) => Call::Done(encode_result::<T>(&value)),
        Call::Pending(future) => {
            Call::Pending(Box::pin(async move { encode_result::<T>(&future.await) }))
        }
    })
}

fn encode_result<T: Task>(value: &impl Serialize) -> Outcome<Encoded> {
    attachment::encode(value).map_err(|cause| TaskError::Undecodable {
        what: format!("the result of `{}`", T::NAME),
        cause: cause.to_string(),
    })
}

/// What the linker gathered, or which two entries collide.
static LINKED: LazyLock<Result<HashMap<&'static str, Entry>, String>> =
    LazyLock::new(|| index(&TASKS));

/// What [`add`] added beyond that, in the order of the calls.
static ADDED: RwLock<Vec<Entry>> = RwLock::new(Vec::new());

fn index(entries: &[Entry]) -> Result<HashMap<&'static str, Entry>, String> {
    let mut index = HashMap::with_capacity(entries.len());
    for entry in entries {
        if let Some(first) = index.insert(entry.name, *entry) {
            return Err(collision(&first, entry));
        }
    }
    Ok(index)
}

fn collision(first: &Entry, second: &Entry) -> String {
    format!(
        "two tasks are named `{}`: at {}:{} and at {}:{}. Give one of them another name with \
         #[task(name = \"...\")]",
        first.name, first.file, first.line, second.file, second.line
    )
}

fn linked() -> &'static HashMap<&'static str, Entry> {
    match &*LINKED {
        Ok(index) => index,
        Err(collision) => panic!("{collision}"),
    }
}

/// Looks for two linked tasks of one name.
///
/// # Panics
/// If there are.
pub(crate) fn check() {
    linked();
}

/// Registers a task by hand: one whose `Task` is implemented without the attribute, or one from a
/// crate whose registrations the linker dropped. To add a task that is known is nothing.
///
/// Workers do not see what `main` adds unless they add it too. So call this before
/// [`process::init`](crate::process::init), first of all in `main`: a worker then passes the same
/// calls and starts work inside `init`. Pools refuse to start otherwise.
///
/// # Panics
/// If another task has the same name; the message has both locations.
#[track_caller]
pub fn add<T: Task>(_task: T) {
    let place = Location::caller();
    let entry = Entry::of::<T>(place.file(), place.line());
    // The lock is held over the look-up, so that two threads cannot both find the name free.
    let mut added = ADDED.write();
    let known = linked().get(entry.name).or_else(|| added.iter().find(|e| e.name == entry.name));
    match known {
        Some(known) if known.id == entry.id => {}
        Some(known) => panic!("{}", collision(known, &entry)),
        None => added.push(entry),
    }
}

/// The task of this name.
pub(crate) fn lookup(name: &str) -> Option<Entry> {
    linked().get(name).copied().or_else(|| ADDED.read().iter().find(|e| e.name == name).copied())
}

/// The task of this name and signature.
pub(crate) fn find(name: &str, signature: u64) -> Outcome<Entry> {
    let hint = match lookup(name) {
        Some(entry) if entry.signature == signature => return Ok(entry),
        Some(_) => {
            "it is known with other argument or result types: build both sides from the same source"
        }
        None => {
            "mark it with #[spinneret::task], or add it by registry::add(...) before \
             spinneret::process::init() and before the pool starts"
        }
    };
    Err(TaskError::UnknownTask { name: name.to_owned(), hint: hint.to_owned() })
}

/// All tasks, in no particular order.
///
/// # Panics
/// If two have the same name.
pub(crate) fn all() -> Vec<Entry> {
    linked().values().copied().chain(ADDED.read().iter().copied()).collect()
}

/// Whether [`add`] added anything, which a worker cannot know before its `main` runs.
pub(crate) fn has_additions() -> bool {
    !ADDED.read().is_empty()
}

#[cfg(test)]
mod tests {
    use super::super::{decode, encode};
    use super::*;

    #[derive(Clone, Copy)]
    struct ByHand;

    impl Task for ByHand {
        type Args = u8;
        type Output = u8;
        const NAME: &'static str = "registry::tests::by_hand";
        const SIGNATURE: u64 = 1;

        fn run(args: u8) -> Call<u8> {
            Call::Done(args + 1)
        }
    }

    #[derive(Clone, Copy)]
    struct Impostor;

    impl Task for Impostor {
        type Args = ();
        type Output = ();
        const NAME: &'static str = "registry::tests::attributed";
        const SIGNATURE: u64 = 2;

        fn run((): ()) -> Call<()> {
            Call::Done(())
        }
    }

    #[crate::task(crate = crate, name = "registry::tests::attributed")]
    fn attributed(a: u8, b: u8) -> u8 {
        a + b
    }

    fn run(name: &str, args: &impl Serialize) -> Outcome<u8> {
        let entry = lookup(name).expect("a known task");
        match entry.invoke(&encode(args).unwrap(), Vec::new())? {
            Call::Done(result) => Ok(decode(&result?.0).unwrap()),
            Call::Pending(_) => panic!("not async"),
        }
    }

    #[test]
    fn the_attribute_registers_and_the_function_can_still_be_called() {
        assert_eq!(run("registry::tests::attributed", &(2, 3)), Ok(5));
        assert_eq!(attributed(2, 3), 5);
    }

    #[test]
    fn adding_a_task_that_is_linked_changes_nothing() {
        let count = all().len();
        add(attributed);
        assert_eq!(all().len(), count);
        assert!(!has_additions());
    }

    #[test]
    #[should_panic(expected = "two tasks are named `registry::tests::attributed`: at ")]
    fn an_added_task_cannot_take_a_name() {
        add(Impostor);
    }

    #[test]
    fn linked_tasks_of_one_name_are_reported_with_both_places() {
        let entries = [Entry::of::<ByHand>("a.rs", 1), Entry::of::<ByHand>("b.rs", 2)];
        let message = index(&entries).expect_err("a collision");
        assert!(message.contains("a.rs:1 and at b.rs:2"), "{message}");
    }

    #[test]
    fn wrong_arguments_are_undecodable() {
        match run("registry::tests::attributed", &"text") {
            Err(TaskError::Undecodable { what, .. }) => {
                assert_eq!(what, "the arguments of `registry::tests::attributed`");
            }
            other => panic!("{other:?}"),
        }
    }
}
