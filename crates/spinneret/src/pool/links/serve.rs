//! What a worker does where there are no rings of shared memory: it takes jobs from its link, one by
//! one, and answers each there.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread;

use serde_bytes::ByteBuf;

use crate::process::attachment::Descriptor;
use crate::process::{FrameBuffer, Job, Link, Outbox, Ready, Reply, Watch, die, leave, ready};
use crate::task::registry::{self, Encoded};
use crate::task::{Outcome, Runner, TaskError};

/// Serves a pool that has greeted, until it hangs up or dies.
#[allow(clippy::needless_pass_by_value, reason = "it is the process's, to its end")]
pub(crate) fn serve(link: Link, pool: Watch, frames: FrameBuffer) -> ! {
    let runner = Runner::new();

    let (sender, jobs) = channel();
    let reader = link.clone();
    let thread = thread::Builder::new().name("spinneret-reader".to_owned());
    if let Err(error) = thread.spawn(move || read(&reader, &pool, frames, &sender)) {
        die(&format!("a worker could not start its reader thread: {error}"));
    }

    let mut out = Outbox::default();
    let mut next = jobs.recv().ok();
    while let Some((job, fds)) = next {
        put(&mut out, &Reply::Begun, Vec::new());
        send(&link, &mut out);
        let (outcome, fds) = match run(&job, fds, &runner) {
            Ok((bytes, fds)) => (Ok(ByteBuf::from(bytes)), fds),
            Err(error) => (Err(error), Vec::new()),
        };
        // What a task printed without a newline would be lost when the worker ends.
        let _ = io::stdout().flush();
        put(&mut out, &Reply::Ended(outcome), fds);
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
fn put(out: &mut Outbox, reply: &Reply, fds: Vec<Arc<Descriptor>>) {
    if let Err(cause) = out.put(reply, fds) {
        let what = "the outcome".to_owned();
        let reply = Reply::Ended(Err(TaskError::Undecodable { what, cause }));
        if let Err(cause) = out.put(&reply, Vec::new()) {
            die(&format!("a worker could not report: {cause}"));
        }
    }
}

/// Sends messages and forgets them; the process ends if nobody is there to take them.
fn send(link: &Link, out: &mut Outbox) {
    if !link.send(out) {
        leave(0);
    }
    out.clear();
}

/// Takes in jobs, and ends the process when the pool is gone, even while a task runs.
///
/// Reading ahead of the tasks keeps the pool's writes from waiting for ours.
fn read(
    link: &Link,
    pool: &Watch,
    mut frames: FrameBuffer,
    jobs: &Sender<(Vec<u8>, Vec<Descriptor>)>,
) {
    loop {
        loop {
            match frames.next() {
                Ok(Some((job, fds))) => {
                    if jobs.send((job.to_vec(), fds)).is_err() {
                        return;
                    }
                }
                Ok(None) => break,
                Err(error) => die(&error.to_string()),
            }
        }
        match ready(link, pool, None) {
            Ready::Stream => match link.receive(&mut frames) {
                Ok(true) => {}
                Ok(false) => leave(0),
                Err(error) => die(&format!("a worker could not receive a task: {error}")),
            },
            Ready::Neither => {}
            Ready::Dead => leave(0),
        }
    }
}

fn run(job: &[u8], fds: Vec<Descriptor>, runner: &Runner) -> Outcome<Encoded> {
    let job: Job = rmp_serde::from_slice(job).map_err(|error| TaskError::Undecodable {
        what: "a job".to_owned(),
        cause: error.to_string(),
    })?;
    let entry = registry::find(job.task, job.signature)?;

    runner.run(|| entry.invoke(job.args, fds)).flatten()
}
