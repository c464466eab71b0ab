//! Functions that became tasks: still functions, and known by name.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use spinneret::task::Call;
use spinneret::{Pool, ProcessPool, Task, TaskError};

/// Adds.
#[spinneret::task]
fn add(a: u32, b: u32) -> u32 {
    a + b
}

#[spinneret::task]
fn nothing() {}

#[spinneret::task]
pub(crate) fn swap((a, b): (u8, String)) -> (String, u8) {
    (b, a)
}

#[spinneret::task]
fn factorial(n: u64) -> u64 {
    // Inside its body the name is the task too, and can be called.
    if n == 0 { 1 } else { n * factorial(n - 1) }
}

#[spinneret::task(name = "tasks::renamed")]
fn original(mut text: String) -> String {
    text.push('!');
    text
}

#[spinneret::task]
async fn slowly(text: String) -> String {
    tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    let joined = tokio::spawn(async move { text + " done" }).await;
    joined.expect("the inner task ended")
}

/// Old.
#[spinneret::task]
#[deprecated = "use add"]
fn old() -> u8 {
    1
}

#[test]
#[expect(deprecated)]
fn attributes_of_the_function_still_mean_what_they_did() {
    assert_eq!(old(), 1);
}

mod inner {
    #[spinneret::task]
    pub fn one() -> u8 {
        1
    }
}

#[test]
fn an_imported_task_is_both_a_value_and_a_type() {
    use inner::one;
    fn name<T: Task>() -> &'static str {
        T::NAME
    }
    assert_eq!((one(), name::<one>()), (1, "tasks::inner::one"));
}

#[spinneret::task]
fn r#try(n: u8) -> Result<u8, String> {
    if n > 0 { Ok(n) } else { Err("zero".to_owned()) }
}

/// A shape that only self-describing data can carry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Page {
    #[serde(skip_serializing_if = "Option::is_none", default)]
    title: Option<String>,
    #[serde(flatten)]
    rest: BTreeMap<String, Value>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Value {
    Number(i64),
    Text(String),
}

#[spinneret::task]
fn echo(page: Page) -> Page {
    page
}

#[test]
fn a_task_can_be_called_like_the_function_it_was() {
    assert_eq!(add(1, 2), 3);
    nothing();
    assert_eq!(swap((1, "a".to_owned())), ("a".to_owned(), 1));
    assert_eq!(factorial(5), 120);
    let function: fn(u32, u32) -> u32 = *add;
    assert_eq!(function(2, 3), 5);
}

#[tokio::test]
async fn an_async_task_can_be_awaited_like_the_function_it_was() {
    assert_eq!(slowly("work".to_owned()).await, "work done");
}

#[test]
fn tasks_have_names_and_signatures() {
    fn signature<T: Task>(_task: T) -> (&'static str, u64) {
        (T::NAME, T::SIGNATURE)
    }
    assert_eq!(signature(add).0, "tasks::add");
    assert_eq!(signature(original).0, "tasks::renamed");
    assert_eq!(signature(r#try).0, "tasks::try");
    assert_eq!(signature(add).1, spinneret::task::signature("(u32,u32)->u32"));
    assert_ne!(signature(add).1, signature(nothing).1);
}

#[test]
fn tasks_run_in_another_process_whatever_their_shape() {
    let pool = ProcessPool::new(1).unwrap();
    assert_eq!(pool.apply(add, (1, 2)), Ok(3));
    assert_eq!(pool.apply(nothing, ()), Ok(()));
    assert_eq!(pool.apply(swap, (1, "a".to_owned())), Ok(("a".to_owned(), 1)));
    assert_eq!(pool.apply(factorial, 5), Ok(120));
    assert_eq!(pool.apply(original, "hey".to_owned()), Ok("hey!".to_owned()));
    assert_eq!(pool.apply(slowly, "work".to_owned()), Ok("work done".to_owned()));
    assert_eq!(pool.apply(r#try, 0), Ok(Err("zero".to_owned())));
    for (title, value) in [(None, Value::Number(-1)), (Some("t"), Value::Text("x".to_owned()))] {
        let page =
            Page { title: title.map(str::to_owned), rest: [("key".to_owned(), value)].into() };
        assert_eq!(pool.apply(echo, page.clone()), Ok(page));
    }
}

#[test]
fn tasks_in_functions_work_too() {
    #[spinneret::task]
    fn local(n: u8) -> u8 {
        n + 1
    }
    assert_eq!(ProcessPool::new(1).unwrap().apply(local, 1), Ok(2));
}

/// Registered nowhere.
#[derive(Clone, Copy)]
struct Stranger;

impl Task for Stranger {
    type Args = u8;
    type Output = u8;
    const NAME: &'static str = "tasks::stranger";
    const SIGNATURE: u64 = 0;

    fn run(args: u8) -> Call<u8> {
        Call::Done(args)
    }
}

/// What `add` was before its types changed.
#[derive(Clone, Copy)]
struct OlderAdd;

impl Task for OlderAdd {
    type Args = (u8, u8);
    type Output = u8;
    const NAME: &'static str = "tasks::add";
    const SIGNATURE: u64 = spinneret::task::signature("(u8,u8)->u8");

    fn run((a, b): (u8, u8)) -> Call<u8> {
        Call::Done(a + b)
    }
}

#[test]
fn an_unknown_task_is_an_error_that_says_what_to_do() {
    let pool = ProcessPool::new(1).unwrap();
    match pool.apply(Stranger, 1) {
        Err(TaskError::UnknownTask { name, hint }) => {
            assert_eq!(name, "tasks::stranger");
            assert!(hint.contains("registry::add"), "{hint}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(pool.apply(add, (1, 2)), Ok(3));
}

#[test]
fn a_task_whose_types_changed_is_not_called() {
    let pool = ProcessPool::new(1).unwrap();
    match pool.apply(OlderAdd, (1, 2)) {
        Err(TaskError::UnknownTask { name, hint }) => {
            assert_eq!(name, "tasks::add");
            assert!(hint.contains("other argument or result types"), "{hint}");
        }
        other => panic!("{other:?}"),
    }
}
