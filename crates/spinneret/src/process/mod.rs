//! Processes: the program starts itself anew, and the copy runs tasks by name.
//!
//! [`Process`] runs one task in a process of its own, as Python's `multiprocessing.Process` does; a
//! [`ProcessPool`](crate::ProcessPool) has workers that run many. Both start `/proc/self/exe`
//! (elsewhere the current executable) with one end of a socket pair as its standard input and the
//! variable `SPINNERET_WORKER` in its environment. A function that the loader calls before `main`
//! sees the variable and runs tasks from there, so nothing has to be set up, and `main`, or a test
//! harness, never starts in a child. [`fork()`] is there for programs with one thread; nothing else
//! forks without exec, so threads and locks of the parent are no danger, and its size costs nothing.
//!
//! [`current()`] and [`parent()`] say who a process is, [`active_children()`] which others it
//! started, [`cpu_count()`] how many make sense.
//!
//! # What a `Process` is like
//! - It is told all it needs before it exists, and answers nothing: [`Process::start`] waits for
//!   nobody, and what it could not do is reported by [`Process::join`].
//! - Its standard input is empty (`/dev/null`); standard output and error are those of the parent.
//! - A panic is printed by the usual hook and ends it with status 101. When its task returns it ends
//!   as by `exit(0)`, without waiting for threads that the task left behind.
//! - It takes SIGTERM with its default action, and SIGINT as its parent was started with. So Ctrl-C
//!   at a terminal, which goes to all processes there, ends parent and children at once. In a program
//!   that handles SIGINT itself, the children still end by it: one that should finish its work must
//!   say so in its task.
//! - When its parent ends by returning from `main` or by `exit`, daemonic children are terminated and
//!   the others waited for. A parent that is killed, or calls `abort` or `_exit`, takes its daemonic
//!   children with it within moments, whatever they are doing, and leaves the others to go on.
//!   The worker of a pool ends in that way too, when its pool does.
//!
//! # What a worker is like
//! - Its standard input is empty (`/dev/null`); standard output and error are those of the parent.
//! - It ignores SIGINT and SIGPIPE. Ctrl-C at the terminal ends the parent, which ends it.
//! - It dies at once when its parent does, by whatever cause and whatever it is doing: it watches
//!   both the socket and, on Linux, the parent itself.
//! - Tasks run on its main thread, one after the other. A panic is caught, printed to standard error
//!   by the usual hook, and reported. `async` tasks run on one current-thread tokio runtime, which
//!   stands still between tasks.
//!
//! In both, what `main` would have set up (a logger, a panic hook) is not there, and constructors of
//! other crates that the linker put behind ours have not run.
//!
//! # Other systems
//! - What a pidfd is on Linux, a kqueue is on macOS. On other Unix systems the end of the stream alone
//!   tells of a death, and a process that the dead one had forked can hold that open.
//! - On Windows a child connects back to its parent over the loopback interface, with a secret from its
//!   environment; so [`Process::start`] waits until it has. Workers are in a job object that ends them
//!   with their parent. [`Process::terminate`] is as hard as [`Process::kill`], an exit code is never
//!   negative, and there is no `fork`. Arguments and results hold no file descriptors there. Queues
//!   travel by a name and a secret, and one that was sent stays until its maker ends.
//!
//! # Greeting
//! A `Process` compares the build and its task with what it was told. Pool and worker both send a
//! protocol version, a build id (device, inode, size and modification time of the program's file; on
//! Windows its creation instead of the first two) and the names and signatures of their tasks. What does not match is a
//! [`StartError`] that says what to do.

pub(crate) mod attachment;
mod child;
mod cpu;
mod current;
mod entry;
mod error;
mod family;
#[cfg(unix)]
mod fork;
mod frame;
pub(crate) mod link;
mod memory;
mod message;
pub mod queue;
mod run;
mod sentinel;
mod serve;
mod spawn;
#[cfg(target_os = "linux")]
pub mod sync;
mod sys;
mod worker;

pub use self::child::{ExitCode, Process};
pub use self::cpu::cpu_count;
pub use self::current::{Current, Parent, current, parent};
pub use self::entry::init;
pub use self::error::{ProcessError, StartError};
pub use self::family::active_children;
#[cfg(unix)]
pub use self::fork::{Fork, ForkError, Forked, fork};
pub(crate) use self::frame::{FrameBuffer, Outbox};
pub(crate) use self::link::{Link, Ready, Watch, ready};
#[cfg(all(any(test, fuzzing), shared_memory))]
pub(crate) use self::message::{Hello, Launch, Refusal};
pub use self::queue::Queue;
pub use self::sentinel::Sentinel;
pub(crate) use self::serve::{die, leave};
pub(crate) use self::worker::{Exit, WorkerHandle, WorkerProcess};
#[cfg(not(shared_memory))]
pub(crate) use self::worker::{Job, Lost, Reply, put_job};
