//! What a worker process does instead of `main`.

use std::time::{Duration, Instant};

use super::current::{self, Me, Parent};
use super::entry::MISLED;
use super::frame::{FrameBuffer, Outbox};
use super::link::{Link, Ready, Watch, ready};
use super::message::Hello;

/// How long a worker waits for the pool's greeting, which is sent before the worker exists.
const GREETING: Duration = Duration::from_mins(1);

/// Serves tasks until the pool hangs up or dies.
pub(super) fn serve(link: Link, pool: Watch, parent: u32) -> ! {
    let mut frames = FrameBuffer::new();
    let name = greet(&link, &pool, &mut frames);
    current::become_known(Me {
        name: "PoolWorker".to_owned(),
        identity: Vec::new(),
        daemon: true,
        parent: Parent::new(parent, name, &pool, &link),
    });
    frames.greeted();
    crate::pool::serve(link, pool, frames)
}

/// Ends the process at once: no destructors, which a task that is running may need.
pub(crate) fn leave(status: i32) -> ! {
    super::sys::leave(status)
}

/// Ends the process with a word.
pub(crate) fn die(message: &str) -> ! {
    eprintln!("spinneret: {message}");
    leave(MISLED)
}

/// Exchanges greetings, and returns the name of the pool's process. On a mismatch the pool gets
/// ours all the same, and reports.
fn greet(link: &Link, pool: &Watch, frames: &mut FrameBuffer) -> String {
    let deadline = Instant::now() + GREETING;
    let theirs: Hello = loop {
        match frames.next() {
            Ok(Some((frame, _))) => match rmp_serde::from_slice(frame) {
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
    let mut out = Outbox::default();
    if out.put(&ours, Vec::new()).is_err() || !link.send(&out) {
        leave(0);
    }
    if theirs.check(&ours).is_err() {
        leave(MISLED);
    }
    theirs.name
}
