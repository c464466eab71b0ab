//! Talking with a worker, job by job, where there are no rings of shared memory.
//!
//! The pool sends [`Job`]s; the worker says of each, in order, that it begins and how it ended
//! ([`Reply`]). So the pool knows what a worker that died was doing, and from when to count a task's
//! time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::{Exit, GRACE, LOOK, WorkerProcess};
use crate::process::StartError;
use crate::process::attachment::{Arrived, Descriptor};
use crate::process::frame::Outbox;
use crate::process::link::{Ready, ready};
use crate::task::{Outcome, TaskError};

/// How long a new worker may take to greet: a busy machine is no fault.
const GREETING: Duration = Duration::from_mins(1);

/// One task to run.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Job<'a> {
    pub(crate) task: &'a str,
    pub(crate) signature: u64,
    #[serde(with = "serde_bytes")]
    pub(crate) args: &'a [u8],
}

/// What a worker says of a [`Job`].
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Reply {
    /// It is about to run.
    Begun,
    /// What came of it: the encoded result, or why there is none.
    Ended(Outcome<ByteBuf>),
}

/// Why no reply came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Lost {
    /// The process ended, or its stream did.
    Died,
    /// The time is over.
    TimedOut,
    /// What came is no reply; the worker can no longer be trusted.
    Broken(String),
}

/// Appends the message that asks a worker to run a task, with the descriptors in its arguments.
pub(crate) fn put_job(
    out: &mut Outbox,
    task: &str,
    signature: u64,
    args: &[u8],
    fds: Vec<Arc<Descriptor>>,
) -> Outcome<()> {
    out.put(&Job { task, signature, args }, fds).map_err(|cause| TaskError::Undecodable {
        what: format!("the message that calls `{task}`"),
        cause,
    })
}

impl WorkerProcess {
    /// Bounds how long [`WorkerProcess::send`] waits for a worker that does not read.
    pub(crate) fn set_send_timeout(&self, timeout: Option<Duration>) -> Result<(), StartError> {
        self.link.set_send_timeout(timeout).map_err(StartError::Spawn)
    }

    /// Exchanges greetings, and checks that both sides are the same program.
    pub(crate) fn greet(&mut self) -> Result<(), StartError> {
        self.hello()?;
        match self.frame(Some(GREETING), |frame, _| frame.to_vec()) {
            Ok(greeting) => self.greeted(&greeting),
            Err(Lost::Broken(cause)) => Err(StartError::Handshake { cause }),
            Err(Lost::TimedOut) => Err(StartError::Silent { after: GREETING }),
            Err(Lost::Died) => {
                let Exit { signal, code: exit_code, .. } = self.wait();
                Err(StartError::Died { signal, exit_code })
            }
        }
    }

    /// Waits, no longer than `timeout`, for the next job to begin.
    pub(crate) fn begun(&mut self, timeout: Option<Duration>) -> Result<(), Lost> {
        match self.reply(timeout)? {
            (Reply::Begun, _) => Ok(()),
            (Reply::Ended(_), _) => Err(Lost::Broken("a task ended that never began".to_owned())),
        }
    }

    /// Waits, no longer than `timeout`, for the job that has begun to end; its result comes with
    /// the descriptors in it.
    pub(crate) fn ended(&mut self, timeout: Option<Duration>) -> Result<Outcome<Arrived>, Lost> {
        match self.reply(timeout)? {
            (Reply::Ended(outcome), fds) => Ok(outcome.map(|bytes| (bytes.into_vec(), fds))),
            (Reply::Begun, _) => Err(Lost::Broken("a task began before another ended".to_owned())),
        }
    }

    fn reply(&mut self, timeout: Option<Duration>) -> Result<(Reply, Vec<Descriptor>), Lost> {
        self.frame(timeout, |frame, fds| rmp_serde::from_slice(frame).map(|reply| (reply, fds)))?
            .map_err(|error| Lost::Broken(error.to_string()))
    }

    fn frame<T>(
        &mut self,
        timeout: Option<Duration>,
        read: impl FnOnce(&[u8], Vec<Descriptor>) -> T,
    ) -> Result<T, Lost> {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        loop {
            match self.frames.next() {
                Ok(Some((frame, fds))) => return Ok(read(frame, fds)),
                Ok(None) => {}
                Err(error) => return Err(Lost::Broken(error.to_string())),
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            let slice =
                if self.watch.works() { left } else { Some(left.unwrap_or(LOOK).min(LOOK)) };
            match ready(&self.link, &self.watch, slice) {
                Ready::Stream => match self.link.receive(&mut self.frames) {
                    Ok(true) => {}
                    Ok(false) => return Err(Lost::Died),
                    Err(error) => return Err(Lost::Broken(error.to_string())),
                },
                Ready::Neither if left.is_some_and(|left| slice == Some(left)) => {
                    return Err(Lost::TimedOut);
                }
                Ready::Neither if self.handle.is_alive() => {}
                Ready::Dead | Ready::Neither => return Err(Lost::Died),
            }
        }
    }

    /// Lets an idle worker end by itself; one that does not is killed.
    pub(crate) fn retire(self) {
        self.link.hang_up();
        self.reap(GRACE);
    }
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{self, Read, Write};
    use std::os::fd::OwnedFd;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::*;
    use crate::process::attachment;
    use crate::task::Task;

    struct Fd(Arc<OwnedFd>);

    impl Serialize for Fd {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            attachment::attach(&self.0, serializer)
        }
    }

    impl<'de> Deserialize<'de> for Fd {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            attachment::detach(deserializer).map(|fd| Self(Arc::new(fd)))
        }
    }

    fn write(fd: &Fd, text: &str) {
        File::from(fd.0.try_clone().unwrap()).write_all(text.as_bytes()).unwrap();
    }

    /// Writes into its argument and returns it, and the reading end of a pipe of its own.
    #[crate::task(crate = crate)]
    fn answer(number: u32, to: Fd) -> (Fd, Fd) {
        write(&to, &format!("{number} came; "));
        let (reader, writer) = io::pipe().unwrap();
        write(&Fd(Arc::new(writer.into())), &format!("{number} left; "));
        (to, Fd(Arc::new(reader.into())))
    }

    #[test]
    fn arguments_and_results_carry_descriptors() {
        let mut worker = WorkerProcess::start().unwrap();
        worker.greet().unwrap();
        let (mut reader, writer) = io::pipe().unwrap();
        let writer = Arc::new(OwnedFd::from(writer));
        let mut out = Outbox::default();
        for number in 0..3_u32 {
            let args = (number, Fd(Arc::clone(&writer)));
            let (args, fds) = attachment::encode(&args).unwrap();
            put_job(&mut out, answer::NAME, answer::SIGNATURE, &args, fds).unwrap();
        }
        assert!(worker.send(&out));
        drop((out, writer));
        let mut left = String::new();
        for _ in 0..3 {
            worker.begun(None).unwrap();
            let (bytes, fds) = worker.ended(None).unwrap().unwrap();
            assert_eq!(fds.len(), 2);
            let (to, from): (Fd, Fd) = attachment::decode(&bytes, fds).unwrap();
            write(&to, "back; ");
            File::from(from.0.try_clone().unwrap()).read_to_string(&mut left).unwrap();
        }
        worker.retire();
        assert_eq!(left, "0 left; 1 left; 2 left; ");
        let mut came = String::new();
        reader.read_to_string(&mut came).unwrap();
        for number in 0..3 {
            assert!(came.contains(&format!("{number} came; ")), "{came}");
        }
        assert_eq!(came.matches("back; ").count(), 3, "{came}");
    }
}
