//! Queues and values that come and go, in the data folder too if there is one.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::{Hub, check};
use crate::manager::{
    durable::{Done, NotWritten},
    shared::{Answer, SharedStore},
    store::{QueueOptions, Store},
    wire::{Name, Refusal, Reply},
};

impl Hub {
    pub(super) fn register(
        &self,
        queue: Name,
        options: QueueOptions,
    ) -> Result<Answer<Reply>, Refusal> {
        check(&queue)?;
        let mut queues = self.queues.write();
        // Asked again under the lock: `stop` must not miss a queue.
        if self.stopped.load(Ordering::Acquire) {
            return Err(Refusal::ShutDown);
        }
        let Some(found) = queues.get(&queue) else {
            return Ok(self.make(&mut queues, queue, options));
        };
        let before = found.options();
        if self.recovered.lock().remove(&queue) && before != options {
            // Whoever registers it first says how it is to be from now on.
            if let (false, Some(log)) = (options.memory_only, found.log()) {
                tracing::info!(queue = queue.as_str(), "registered with other options than before");
                found.set_options(options);
                let (recovered, kept) = (Arc::clone(&self.recovered), Arc::clone(found));
                return Ok(later(|done| {
                    let done = move |written: Result<(), NotWritten>| {
                        if written.is_err() {
                            // As if it had not been asked for, so that it may be once more.
                            kept.set_options(before);
                            if kept.ended().is_none() {
                                recovered.lock().insert(queue);
                            }
                        }
                        done(written);
                    };
                    log.set_options(options, Box::new(done));
                }));
            }
        }
        if before != options {
            return Err(Refusal::QueueExists(queue));
        }
        let Some(log) = found.log() else { return Ok(Answer::Now(Reply::Done)) };
        // Whoever asked for it before may still wait for the disk, and perhaps in vain: nothing is
        // to be written, but that in its turn.
        let (sender, receiver) = oneshot::channel();
        let registered = Arc::clone(found);
        let done = move |written: Result<(), NotWritten>| {
            let reply = match registered.ended() {
                Some(refusal) => Reply::Refused(refusal),
                None if registered.options() != options => {
                    Reply::Refused(Refusal::QueueExists(queue))
                }
                None => written_or(written),
            };
            let _ = sender.send(reply);
        };
        log.write(Vec::new(), Some(Box::new(done)));
        Ok(Answer::Later(receiver))
    }

    /// Makes a queue, in the data folder too if it is to be there.
    fn make(
        &self,
        queues: &mut BTreeMap<Name, Arc<SharedStore>>,
        queue: Name,
        options: QueueOptions,
    ) -> Answer<Reply> {
        let alarm = Arc::clone(&self.alarm);
        let Some(data) = self.data.as_ref().filter(|_| !options.memory_only) else {
            queues.insert(queue, SharedStore::new(Store::new(options), None, alarm));
            return Answer::Now(Reply::Done);
        };
        let (all, name) = (Arc::clone(&self.queues), queue.clone());
        let (sender, receiver) = oneshot::channel();
        let done = Box::new(move |written: Result<(), NotWritten>| {
            if let Err(error) = &written
                && let Some(unmade) = all.write().remove(&name)
            {
                unmade.end(error.clone().into());
            }
            let _ = sender.send(written_or(written));
        });
        let (store, log) = data.register(queue.clone(), options, done);
        queues.insert(queue, SharedStore::new(store, Some(log), alarm));
        Answer::Later(receiver)
    }

    pub(super) fn remove(&self, queue: &Name) -> Result<Answer<Reply>, Refusal> {
        let found = self.queues.write().remove(queue);
        let found = found.ok_or_else(|| Refusal::UnknownQueue(queue.clone()))?;
        self.recovered.lock().remove(queue);
        found.end(Refusal::UnknownQueue(queue.clone()));
        let Some(log) = found.log() else { return Ok(Answer::Now(Reply::Done)) };
        let (all, name, kept) = (Arc::clone(&self.queues), queue.clone(), Arc::clone(&found));
        Ok(later(|done| {
            log.remove(Box::new(move |written| {
                if written.is_err() {
                    kept.go_on();
                    all.write().entry(name).or_insert(kept);
                }
                done(written);
            }));
        }))
    }

    pub(super) fn set(&self, name: Name, value: Bytes) -> Result<Answer<Reply>, Refusal> {
        check(&name)?;
        self.too_large(&value)?;
        let Some(data) = &self.data else {
            self.values.lock().insert(name, value);
            return Ok(Answer::Now(Reply::Done));
        };
        let values = Arc::clone(&self.values);
        let (sender, receiver) = oneshot::channel();
        let done = {
            let (name, value) = (name.clone(), value.clone());
            Box::new(move |written: Result<(), NotWritten>| {
                if written.is_ok() {
                    values.lock().insert(name, value);
                }
                let _ = sender.send(written_or(written));
            })
        };
        data.set_value(name, value, done);
        Ok(Answer::Later(receiver))
    }
}

/// An answer that comes when something is written.
fn later(write: impl FnOnce(Done)) -> Answer<Reply> {
    let (sender, receiver) = oneshot::channel();
    write(Box::new(move |written| drop(sender.send(written_or(written)))));
    Answer::Later(receiver)
}

fn written_or(written: Result<(), NotWritten>) -> Reply {
    match written {
        Ok(()) => Reply::Done,
        Err(error) => Reply::Refused(error.into()),
    }
}
