//! What a worker process does instead of `main`.

use std::any::Any;
use std::backtrace::Backtrace;
use std::cell::{Cell, OnceCell};
use std::io::{self, Write};
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_bytes::ByteBuf;
use tokio::runtime::{Builder, Runtime};

use super::entry::MISLED;
use super::frame::{self, FrameBuffer};
use super::link::{Link, Ready, Watch, ready};
use super::message::{Hello, Job, Reply};
use crate::task::{Call, Outcome, TaskError, registry};

/// How long a worker waits for the pool's greeting, which is sent before the worker exists.
const GREETING: Duration = Duration::from_mins(1);

/// Serves tasks until the pool hangs up or dies.
pub(super) fn serve(link: Link, pool: Watch) -> ! {
    let mut frames = FrameBuffer::new();
    greet(&link, &pool, &mut frames);
    frames.greeted();
    keep_backtraces();

    let link = Arc::new(link);
    let (sender, jobs) = channel();
    let reader = Arc::clone(&link);
    let thread = thread::Builder::new().name("spinneret-reader".to_owned());
    if let Err(error) = thread.spawn(move || read(&reader, &pool, frames, &sender)) {
        die(&format!("a worker could not start its reader thread: {error}"));
    }

    let runtime = OnceCell::new();
    let mut out = Vec::new();
    let mut next = jobs.recv().ok();
    while let Some(job) = next {
        put(&mut out, &Reply::Begun);
        send(&link, &mut out);
        let outcome = run(&job, &runtime);
        // What a task printed without a newline would be lost when the worker ends.
        let _ = io::stdout().flush();
        put(&mut out, &Reply::Ended(outcome));
        next = jobs.try_recv().ok();
        if next.is_none() {
            // Otherwise the outcome goes along with the news that the next one begins.
            send(&link, &mut out);
            next = jobs.recv().ok();
        }
    }
    leave(0)
}

/// Appends a message; an outcome too large for one becomes an error.
fn put(out: &mut Vec<u8>, reply: &Reply) {
    if let Err(cause) = frame::put(out, reply) {
        let what = "the outcome".to_owned();
        let reply = Reply::Ended(Err(TaskError::Undecodable { what, cause }));
        if let Err(cause) = frame::put(out, &reply) {
            die(&format!("a worker could not report: {cause}"));
        }
    }
}

/// Sends messages and forgets them; the process ends if nobody is there to take them.
fn send(link: &Link, out: &mut Vec<u8>) {
    if !link.send(out) {
        leave(0);
    }
    out.clear();
}

/// Ends the process at once: no destructors, which a task that is running may need.
fn leave(status: i32) -> ! {
    // SAFETY: `_exit` is sound to call at any time, from any thread.
    unsafe { libc::_exit(status) }
}

fn die(message: &str) -> ! {
    eprintln!("spinneret: {message}");
    leave(MISLED)
}

/// Exchanges greetings. On a mismatch the pool gets ours all the same, and reports.
fn greet(link: &Link, pool: &Watch, frames: &mut FrameBuffer) {
    let deadline = Instant::now() + GREETING;
    let theirs: Hello = loop {
        match frames.next() {
            Ok(Some(frame)) => match rmp_serde::from_slice(frame) {
                Ok(hello) => break hello,
                Err(error) => die(&format!("a worker got an unreadable greeting: {error}")),
            },
            Ok(None) => {}
            Err(error) => die(&format!("a worker got an unreadable greeting: {error}")),
        }
        match ready(link, pool, Some(deadline.saturating_duration_since(Instant::now()))) {
            Ready::Stream if link.receive(frames).unwrap_or(false) => {}
            Ready::Stream | Ready::Dead => leave(0),
            Ready::Neither => die("a worker was started, but no pool greeted it"),
        }
    };
    let ours = Hello::ours();
    let mut out = Vec::new();
    if frame::put(&mut out, &ours).is_err() || !link.send(&out) {
        leave(0);
    }
    if theirs.check(&ours).is_err() {
        leave(MISLED);
    }
}

/// Takes in jobs, and ends the process when the pool is gone, even while a task runs.
///
/// Reading ahead of the tasks keeps the pool's writes from waiting for ours.
fn read(link: &Link, pool: &Watch, mut frames: FrameBuffer, jobs: &Sender<Vec<u8>>) {
    loop {
        loop {
            match frames.next() {
                Ok(Some(job)) => {
                    if jobs.send(job.to_vec()).is_err() {
                        return;
                    }
                }
                Ok(None) => break,
                Err(error) => die(&error.to_string()),
            }
        }
        match ready(link, pool, None) {
            Ready::Stream if link.receive(&mut frames).unwrap_or(false) => {}
            Ready::Neither => {}
            Ready::Stream | Ready::Dead => leave(0),
        }
    }
}

fn run(job: &[u8], runtime: &OnceCell<Runtime>) -> Outcome<ByteBuf> {
    let job: Job = rmp_serde::from_slice(job).map_err(|error| TaskError::Undecodable {
        what: "a job".to_owned(),
        cause: error.to_string(),
    })?;
    let unknown =
        |hint: &str| TaskError::UnknownTask { name: job.task.to_owned(), hint: hint.to_owned() };
    let entry = registry::lookup(job.task).ok_or_else(|| {
        unknown(
            "mark it with #[spinneret::task], or add it by registry::add(...) before \
             spinneret::process::init() and before the pool starts",
        )
    })?;
    if entry.signature() != job.signature {
        return Err(unknown(
            "it is known with other argument or result types: build both sides from the same source",
        ));
    }

    BACKTRACE.set(None);
    IN_TASK.set(true);
    // Whatever a panic leaves half done belongs to the task; ours is the runtime, which is made
    // for panics in futures.
    let result = catch_unwind(AssertUnwindSafe(|| match entry.invoke(job.args)? {
        Call::Done(result) => result,
        Call::Pending(future) => started(runtime)?.block_on(future),
    }));
    IN_TASK.set(false);
    match result {
        Ok(result) => result.map(ByteBuf::from),
        Err(payload) => Err(TaskError::Panicked {
            message: message(&*payload),
            backtrace: BACKTRACE.take().unwrap_or_default(),
        }),
    }
}

/// The runtime of `async` tasks, made when the first comes.
fn started(runtime: &OnceCell<Runtime>) -> Outcome<&Runtime> {
    if let Some(runtime) = runtime.get() {
        return Ok(runtime);
    }
    match Builder::new_current_thread().enable_all().build() {
        Ok(new) => Ok(runtime.get_or_init(|| new)),
        // Only for want of descriptors; reported in the words a panic in the task would have.
        Err(error) => Err(TaskError::Panicked {
            message: format!("the worker's runtime for async tasks could not start: {error}"),
            backtrace: String::new(),
        }),
    }
}

fn message(payload: &(dyn Any + Send)) -> String {
    if let Some(text) = payload.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        "a panic with a value that is not text".to_owned()
    }
}

thread_local! {
    static IN_TASK: Cell<bool> = const { Cell::new(false) };
    static BACKTRACE: Cell<Option<String>> = const { Cell::new(None) };
}

/// Has the panic hook keep the backtrace, which is gone once the stack is unwound.
fn keep_backtraces() {
    let print = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if IN_TASK.get() {
            BACKTRACE.set(Some(Backtrace::force_capture().to_string()));
        }
        print(info);
    }));
}
