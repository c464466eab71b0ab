//! A process that runs one task, seen from its parent.

use std::fmt;
use std::io;
use std::process::{Child, ExitStatus};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::current;
use super::entry::Role;
use super::frame::{FrameBuffer, Outbox};
use super::link::{Link, Watch};
use super::message::{Launch, Program, Refusal};
use super::sentinel::Sentinel;
use super::spawn::spawn;
use super::{ProcessError, StartError, family, sys};
use crate::cooperate;
use crate::process::attachment;
use crate::task::Task;
use crate::task::registry::Encoded;

/// The pauses between looks at a process that cannot be watched: doubled from the first to the last.
const FIRST_LOOK: Duration = Duration::from_millis(1);
const LAST_LOOK: Duration = Duration::from_millis(20);

/// The status that is reported for a process which somebody else has waited for.
const UNKNOWN: i32 = 255;

/// How many processes were made here, for their default names.
static COUNT: AtomicU32 = AtomicU32::new(0);

/// A process that runs one task: Python's `multiprocessing.Process`.
///
/// It is this program, started anew; see the [module](super) for what that means. Arguments are
/// serialized by [`Process::new`], in the caller's thread. They may hold queues, pipes and shared
/// memory. What the task returns is dropped: use a queue or a pipe, or a pool, to get results.
///
/// Dropping a `Process` neither ends nor waits for it. It is reaped when the next one starts, by
/// [`active_children`](super::active_children), or when this program ends.
///
/// ```
/// use spinneret::process::Process;
///
/// #[spinneret::task]
/// fn greet(name: String) {
///     println!("hello, {name}");
/// }
///
/// # fn main() -> Result<(), spinneret::process::ProcessError> {
/// let process = Process::new(greet, "world".to_owned())?.with_name("greeter");
/// process.start()?;
/// assert_eq!(process.join()?.code(), 0);
/// # Ok(())
/// # }
/// ```
pub struct Process {
    name: String,
    daemon: bool,
    state: Mutex<State>,
}

/// A way to end a child.
type End = fn(&mut Child) -> io::Result<()>;

enum State {
    New(Box<Order>),
    /// Starting, or the start failed.
    Spent,
    Started(Arc<Started>),
}

/// What a child is to do.
struct Order {
    task: &'static str,
    signature: u64,
    args: Encoded,
    identity: Vec<u32>,
}

/// A process that was started.
pub(super) struct Started {
    name: String,
    pub(super) daemon: bool,
    pid: u32,
    task: &'static str,
    /// The process that started it: a fork has a copy of this, but not the child.
    owner: u32,
    watch: Watch,
    /// Reaped under this lock only, so that a number that is signalled under it is still ours.
    child: Mutex<Running>,
    /// The stream by which it got its orders, and may have refused them. It ends with us.
    link: Link,
}

struct Running {
    child: Child,
    /// Set when it was reaped.
    ended: Option<Ended>,
}

struct Ended {
    code: ExitCode,
    refusal: Option<Refusal>,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExitCode(i32);

impl ExitCode {
    pub(super) fn from_status(status: ExitStatus) -> Self {
        Self(
            status
                .code()
                .or_else(|| sys::signal_of(status).map(|signal| -signal))
                .unwrap_or(UNKNOWN),
        )
    }

    /// The status it ended with: 0 if the task returned, 101 if it panicked, `n` if it called
    /// `exit(n)`, 78 if it could not run the task, and `-n` if signal `n` ended it. It is 255 for a
    /// process that somebody else has waited for.
    pub fn code(self) -> i32 {
        self.0
    }

    /// Whether the status is 0.
    pub fn success(self) -> bool {
        self.0 == 0
    }

    /// The signal that ended it, if one did.
    pub fn signal(self) -> Option<i32> {
        (self.0 < 0).then_some(-self.0)
    }
}

impl fmt::Display for ExitCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.signal() {
            Some(signal) => write!(f, "signal {signal}"),
            None => write!(f, "exit status {}", self.0),
        }
    }
}

impl Process {
    /// A process that will call `task` with `args`: the argument itself if it is one, a tuple if
    /// several, `()` if none. It is named `Process-1`, `Process-2` and so on, and `Process-1:1` if
    /// it is made in `Process-1`.
    ///
    /// # Errors
    /// [`ProcessError::Arguments`] if they cannot be serialized, or hold too many queues, pipes and
    /// shared memories.
    // Taken whole: what they hold, such as the end of a pipe, moves to the process.
    #[allow(clippy::needless_pass_by_value, reason = "it moves to the process")]
    pub fn new<T: Task>(_task: T, args: T::Args) -> Result<Self, ProcessError> {
        let args = attachment::encode(&args)
            .map_err(|cause| ProcessError::Arguments { task: T::NAME, cause })?;
        let mut identity = current::identity().to_vec();
        identity.push(COUNT.fetch_add(1, Ordering::Relaxed) + 1);
        let numbers: Vec<_> = identity.iter().map(u32::to_string).collect();
        let order = Order { task: T::NAME, signature: T::SIGNATURE, args, identity };
        Ok(Self {
            name: format!("Process-{}", numbers.join(":")),
            daemon: false,
            state: Mutex::new(State::New(Box::new(order))),
        })
    }

    pub(super) fn from_started(started: Arc<Started>) -> Self {
        Self {
            name: started.name.clone(),
            daemon: started.daemon,
            state: Mutex::new(State::Started(started)),
        }
    }

    /// Gives it another name, for people to read. One that runs already keeps its own.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Whether it ends with this process, however that ends. If not, it outlives a parent that is
    /// killed, and a parent that ends by itself waits for it. One that runs already stays as it is.
    #[must_use]
    pub fn with_daemon(mut self, daemon: bool) -> Self {
        self.daemon = daemon;
        self
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it ends with this process.
    pub fn is_daemon(&self) -> bool {
        self.daemon
    }

    /// Starts it. That it could not become what it was to be, such as for another build of the
    /// program, is reported by [`Process::join`]: nobody waits for it here.
    ///
    /// # Errors
    /// [`ProcessError::AlreadyStarted`], and [`ProcessError::Start`] if the system has no room for
    /// a process or the program is not set up for children.
    pub fn start(&self) -> Result<(), ProcessError> {
        let order = {
            let mut state = self.state.lock();
            match std::mem::replace(&mut *state, State::Spent) {
                State::New(order) => order,
                other => {
                    *state = other;
                    return Err(ProcessError::AlreadyStarted { name: self.name.clone() });
                }
            }
        };
        let Order { task, signature, args: (args, fds), identity } = *order;
        let launch = Launch {
            program: Program::ours(),
            task,
            signature,
            args: &args,
            name: &self.name,
            identity,
            daemon: self.daemon,
            parent: current::name(),
        };
        let mut out = Outbox::default();
        out.put(&launch, fds).map_err(|cause| StartError::Handshake { cause })?;
        drop(args);

        let (child, link) = spawn(Role::Child)?;
        let started = Arc::new(Started {
            name: self.name.clone(),
            daemon: self.daemon,
            pid: child.id(),
            task,
            owner: std::process::id(),
            watch: Watch::on(child.id()),
            child: Mutex::new(Running { child, ended: None }),
            link,
        });
        family::enlist(Arc::clone(&started));
        *self.state.lock() = State::Started(Arc::clone(&started));
        // It fails only if the child is dead, which its exit code tells. Arguments that are larger
        // than the system's buffer wait here for the child to read them.
        started.link.send(&out);
        Ok(())
    }

    /// Waits for it to end.
    ///
    /// # Errors
    /// [`ProcessError::NotStarted`]; [`ProcessError::Start`] or [`ProcessError::Undecodable`] if it
    /// could not run its task.
    pub fn join(&self) -> Result<ExitCode, ProcessError> {
        let child = self.started()?;
        child.wait(None);
        family::dismiss(&child);
        child.result()
    }

    /// Async twin of [`join`](Self::join). It needs a tokio runtime with I/O and timers.
    ///
    /// # Errors
    /// As [`Process::join`].
    pub async fn join_async(&self) -> Result<ExitCode, ProcessError> {
        let child = self.started()?;
        child.wait_async().await;
        family::dismiss(&child);
        child.result()
    }

    /// Waits for it to end, no longer than `timeout`; `None` if it has not.
    ///
    /// # Errors
    /// As [`Process::join`].
    pub fn join_timeout(&self, timeout: Duration) -> Result<Option<ExitCode>, ProcessError> {
        let child = self.started()?;
        if !child.wait(Some(timeout)) {
            return Ok(None);
        }
        family::dismiss(&child);
        child.result().map(Some)
    }

    /// Whether it runs; reaps it if it has ended.
    pub fn is_alive(&self) -> bool {
        self.started().is_ok_and(|child| child.is_alive())
    }

    /// Its number, once it was started.
    pub fn pid(&self) -> Option<u32> {
        match &*self.state.lock() {
            State::Started(child) => Some(child.pid),
            _ => None,
        }
    }

    /// How it ended, as [`ExitCode::code`] says it; `None` before it has.
    pub fn exit_code(&self) -> Option<i32> {
        self.started().ok()?.exit_code().map(ExitCode::code)
    }

    /// Asks it to end (SIGTERM). It does so at once, without unwinding, unless its task has said
    /// what else to do with the signal; its own children are not told. Does nothing to a process
    /// that has ended.
    ///
    /// # Errors
    /// [`ProcessError::NotStarted`], [`ProcessError::Signal`].
    pub fn terminate(&self) -> Result<(), ProcessError> {
        self.end(sys::terminate)
    }

    /// Ends it at once (SIGKILL). Does nothing to a process that has ended.
    ///
    /// # Errors
    /// As [`Process::terminate`].
    pub fn kill(&self) -> Result<(), ProcessError> {
        self.end(sys::kill)
    }

    fn end(&self, how: End) -> Result<(), ProcessError> {
        self.started()?
            .end(how)
            .map_err(|cause| ProcessError::Signal { name: self.name.clone(), cause })
    }

    /// What becomes readable when it has ended, for [`pipe::wait`](crate::pipe::wait()) or an event
    /// loop.
    ///
    /// # Errors
    /// [`ProcessError::NotStarted`].
    pub fn sentinel(&self) -> Result<Sentinel, ProcessError> {
        let child = self.started()?;
        Ok(Sentinel::of(Some(&child.watch), &child.link))
    }

    fn started(&self) -> Result<Arc<Started>, ProcessError> {
        match &*self.state.lock() {
            State::Started(child) if child.is_ours() => Ok(Arc::clone(child)),
            State::Started(_) => Err(ProcessError::NotOurs { name: self.name.clone() }),
            State::New(_) | State::Spent => {
                Err(ProcessError::NotStarted { name: self.name.clone() })
            }
        }
    }
}

impl Started {
    pub(super) fn is_ours(&self) -> bool {
        self.owner == std::process::id()
    }

    pub(super) fn is_alive(&self) -> bool {
        self.exit_code().is_none()
    }

    /// How it ended, if it has; reaps it.
    fn exit_code(&self) -> Option<ExitCode> {
        let mut running = self.child.lock();
        if running.ended.is_none() {
            let code = match running.child.try_wait() {
                Ok(None) => return None,
                Ok(Some(status)) => ExitCode::from_status(status),
                Err(error) => {
                    tracing::warn!(pid = self.pid, %error, "somebody else waited for a process");
                    ExitCode(UNKNOWN)
                }
            };
            running.ended = Some(Ended { code, refusal: self.refusal() });
        }
        running.ended.as_ref().map(|ended| ended.code)
    }

    /// What the child, which has ended, said of its orders.
    fn refusal(&self) -> Option<Refusal> {
        let mut frames = FrameBuffer::new();
        // It is short, and what the child sent before it ended has arrived.
        self.link.receive(&mut frames).ok()?;
        let (frame, _) = frames.next().ok()??;
        rmp_serde::from_slice(frame).ok()
    }

    /// Waits for it to end, no longer than `timeout` if there is one; whether it has.
    pub(super) fn wait(&self, timeout: Option<Duration>) -> bool {
        // A timeout too far away to be a time is as good as none.
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut look = FIRST_LOOK;
        loop {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if self.watch.works() {
                self.watch.wait(left);
            }
            if !self.is_alive() {
                return true;
            }
            if left.is_some_and(|left| left.is_zero()) {
                return false;
            }
            if !self.watch.works() {
                cooperate::sleep(left.unwrap_or(look).min(look));
                look = (look * 2).min(LAST_LOOK);
            }
        }
    }

    async fn wait_async(&self) {
        let mut look = FIRST_LOOK;
        while self.is_alive() {
            if !self.watch.wait_async().await {
                tokio::time::sleep(look).await;
                look = (look * 2).min(LAST_LOOK);
            }
        }
    }

    fn result(&self) -> Result<ExitCode, ProcessError> {
        match &self.child.lock().ended {
            Some(Ended { refusal: Some(refusal), .. }) => Err(self.refused(refusal)),
            Some(Ended { code, .. }) => Ok(*code),
            // Not reached: it is asked after the end.
            None => Err(ProcessError::NotStarted { name: self.name.clone() }),
        }
    }

    fn refused(&self, refusal: &Refusal) -> ProcessError {
        match refusal {
            Refusal::Differs(program) => match Program::ours().check(program) {
                Err(error) => error.into(),
                Ok(()) => StartError::Handshake { cause: "it differs from us".to_owned() }.into(),
            },
            Refusal::UnknownTask => StartError::Tasks { names: vec![self.task.to_owned()] }.into(),
            Refusal::Undecodable(cause) => {
                ProcessError::Undecodable { name: self.name.clone(), cause: cause.clone() }
            }
        }
    }

    fn end(&self, how: End) -> io::Result<()> {
        let mut running = self.child.lock();
        if running.ended.is_some() { Ok(()) } else { how(&mut running.child) }
    }

    pub(super) fn terminate(&self) {
        // It fails only for a child that is gone.
        let _ = self.end(sys::terminate);
    }

    pub(super) fn kill(&self) {
        let _ = self.end(sys::kill);
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Process")
            .field("name", &self.name)
            .field("daemon", &self.daemon)
            .field("pid", &self.pid())
            .finish_non_exhaustive()
    }
}
