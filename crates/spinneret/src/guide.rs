//! The guide, `docs/src`: its examples are compiled and run as doc-tests.
//!
//! `tests/guide.rs` sees to it that no chapter is missing here.

#[doc = include_str!("../../../docs/src/introduction.md")]
struct Introduction;

#[doc = include_str!("../../../docs/src/tasks.md")]
struct Tasks;

#[doc = include_str!("../../../docs/src/processes.md")]
struct Processes;

#[doc = include_str!("../../../docs/src/pools.md")]
struct Pools;

#[doc = include_str!("../../../docs/src/machines.md")]
struct Machines;

#[doc = include_str!("../../../docs/src/queues.md")]
struct Queues;

#[doc = include_str!("../../../docs/src/pipes.md")]
struct Pipes;

#[doc = include_str!("../../../docs/src/shared.md")]
struct Shared;

#[doc = include_str!("../../../docs/src/threads.md")]
struct Threads;

#[cfg(feature = "coroutine")]
#[doc = include_str!("../../../docs/src/coroutines.md")]
struct Coroutines;

#[doc = include_str!("../../../docs/src/operations.md")]
struct Operations;

#[doc = include_str!("../../../docs/src/python-programs.md")]
struct PythonPrograms;

#[doc = include_str!("../../../docs/src/python.md")]
struct Python;

#[doc = include_str!("../../../docs/src/errors.md")]
struct Errors;
