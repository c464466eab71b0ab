//! What a child process does instead of `main`: one task.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::exit;
use std::thread;

use super::attachment::Descriptor;
use super::current::{self, Me, Parent};
use super::entry::MISLED;
use super::frame::{FrameBuffer, Outbox};
use super::link::{Link, Ready, Watch, ready};
use super::message::{Launch, Program, Refusal};
use super::serve::leave;
use super::sys;
use crate::task::{Call, Outcome, TaskError, registry, runtime};

/// The status of a process whose task panicked, as of a program whose `main` did.
const PANICKED: i32 = 101;

/// Runs the task that `link` brings, and ends the process.
pub(super) fn run(link: &Link, watch: Watch, parent: u32) -> ! {
    // A parent that was told to ignore SIGTERM hands that down; ours could then not be terminated.
    sys::take_sigterm();

    let mut frames = FrameBuffer::new();
    frames.greeted();
    let (launch, fds) = loop {
        match frames.next() {
            Ok(Some((launch, fds))) => break (launch.to_vec(), fds),
            Ok(None) => {}
            Err(error) => refuse(link, &Refusal::Differs(Program::ours()), &error.to_string()),
        }
        match link.receive_waiting(&mut frames) {
            Ok(true) => {}
            // The parent died before it had said what to do.
            Ok(false) => leave(0),
            Err(error) => {
                refuse(link, &Refusal::Undecodable(error.to_string()), &error.to_string())
            }
        }
    };
    let launch: Launch<'_> = match rmp_serde::from_slice(&launch) {
        Ok(launch) => launch,
        Err(error) => refuse(link, &Refusal::Differs(Program::ours()), &error.to_string()),
    };
    if let Err(error) = launch.program.check(&Program::ours()) {
        refuse(link, &Refusal::Differs(Program::ours()), &error.to_string());
    }
    let parent = Parent::new(parent, launch.parent.to_owned(), &watch, link);
    current::become_known(Me {
        name: launch.name.to_owned(),
        identity: launch.identity.clone(),
        daemon: launch.daemon,
        parent,
    });
    if launch.daemon {
        let stream = link.clone();
        let started = thread::Builder::new()
            .name("spinneret-watch".to_owned())
            .spawn(move || end_with_parent(&stream, &watch));
        if let Err(error) = started {
            let cause = format!("its watch over the parent could not start: {error}");
            refuse(link, &Refusal::Undecodable(cause.clone()), &cause);
        }
    }
    // What a panic leaves half done goes with the process.
    match catch_unwind(AssertUnwindSafe(|| call(&launch, fds))) {
        Ok(Ok(())) => exit(0),
        Ok(Err(TaskError::UnknownTask { name, hint })) => {
            refuse(link, &Refusal::UnknownTask, &format!("cannot run the task `{name}`: {hint}"))
        }
        Ok(Err(error)) => {
            refuse(link, &Refusal::Undecodable(error.to_string()), &error.to_string())
        }
        Err(_) => exit(PANICKED),
    }
}

/// Calls the task. Nobody asks for its result, so that it may be of any size.
fn call(launch: &Launch<'_>, fds: Vec<Descriptor>) -> Outcome<()> {
    let entry = registry::find(launch.task, launch.signature)?;
    match entry.invoke(launch.args, fds)? {
        Call::Done(_) => {}
        Call::Pending(future) => {
            // For want of descriptors, where one can hardly do more than say so.
            let runtime = runtime().unwrap_or_else(|error| {
                panic!("the runtime for async tasks could not start: {error}")
            });
            let _ = runtime.block_on(future);
        }
    }
    Ok(())
}

/// Tells the parent, and whoever reads standard error, why there is nothing to run.
fn refuse(link: &Link, refusal: &Refusal, cause: &str) -> ! {
    eprintln!("spinneret: a child process {cause}");
    let mut out = Outbox::default();
    if out.put(refusal, Vec::new()).is_ok() {
        link.send(&out);
    }
    exit(MISLED)
}

/// Ends the process when its parent is gone, whatever it is doing.
fn end_with_parent(link: &Link, parent: &Watch) -> ! {
    let mut frames = FrameBuffer::new();
    loop {
        match ready(link, parent, None) {
            Ready::Stream if link.receive(&mut frames).unwrap_or(false) => {}
            Ready::Neither => {}
            Ready::Stream | Ready::Dead => leave(0),
        }
    }
}
