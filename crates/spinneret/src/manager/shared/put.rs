//! Putting items into a queue that may be full, durable, or both.

use std::{sync::Arc, time::Instant};

use super::{Answer, SharedStore, until};
use crate::manager::{
    durable::NotWritten,
    store::{Batch, Offer},
    wire::{PutEnd, Refusal, Reply, Wait},
};

impl SharedStore {
    /// Puts items in order, waiting for room. Tells how many were taken in.
    pub async fn put(self: &Arc<Self>, batch: Batch, wait: Wait) -> Reply {
        let mut put = Put { store: self, batch, accepted: 0, duplicates: 0, part: None };
        // Nobody in line: no need to stand in it.
        let now = match self.putters.try_lock() {
            Ok(_turn) => put.offer(),
            Err(_) if wait == Wait::No => put.offer(),
            Err(_) => Ok(None),
        };
        let end = match now {
            Ok(None) if wait != Wait::No => {
                let in_line = async {
                    let _turn = self.putters.lock().await;
                    loop {
                        // One part after the other, so that what is taken in is a start of all.
                        put.written().await?;
                        if let Some(end) = put.offer()? {
                            return Ok(end);
                        }
                        self.room.notified().await;
                    }
                };
                // Boxed, since most find room at once.
                match Box::pin(until(wait, in_line)).await {
                    Ok(Some(end)) => end.map(Some),
                    Ok(None) => Ok(None),
                    Err(refusal) => Err(refusal),
                }
            }
            now => now,
        };
        let end = match (end, put.written().await) {
            (Ok(end), Ok(())) => Ok(end.unwrap_or(PutEnd::Full)),
            (Err(refusal), _) | (_, Err(refusal)) => Err(refusal),
        };
        let (accepted, duplicates) = (put.accepted as u32, put.duplicates as u32);
        match end {
            Ok(end) => Reply::Put { accepted, duplicates, end },
            // What is taken in is told first; why the rest is not, when it is put again.
            Err(_) if accepted > 0 => Reply::Put { accepted, duplicates, end: PutEnd::All },
            Err(refusal) => Reply::Refused(refusal),
        }
    }
}

/// A put on its way.
struct Put<'a> {
    store: &'a Arc<SharedStore>,
    /// What is left of the items.
    batch: Batch,
    accepted: usize,
    duplicates: usize,
    /// The items that were offered last, until it is known whether they are in.
    part: Option<Answer<Result<(usize, usize), Refusal>>>,
}

impl Put<'_> {
    /// Puts what there is room for; `None` if the rest has to wait.
    fn offer(&mut self) -> Result<Option<PutEnd>, Refusal> {
        let batch = &mut self.batch;
        let mut outcome = Offer::Full;
        self.part = Some(self.store.change_then(
            |store| {
                let (offer, offered) = store.offer(batch, Instant::now());
                outcome = offer;
                Ok(offered)
            },
            |store, offered, written| {
                let part = (offered.accepted, offered.duplicates);
                if store.admit(offered, written.is_ok()) {
                    return Ok(part);
                }
                Err(written.err().unwrap_or_else(NotWritten::original).into())
            },
        )?);
        if let Some(Answer::Now(part)) = self.part.take_if(|part| matches!(part, Answer::Now(_))) {
            self.count(&part)?;
        }
        Ok(match outcome {
            Offer::Taken => Some(PutEnd::All),
            Offer::Closed => Some(PutEnd::Closed),
            Offer::Full => None,
        })
    }

    /// Waits until it is known whether what was offered is in. May be dropped and called again.
    async fn written(&mut self) -> Result<(), Refusal> {
        let Some(part) = &mut self.part else {
            return Ok(());
        };
        let part = part.ready().await.map(|part| part.clone());
        self.part = None;
        self.count(&part?)
    }

    fn count(&mut self, part: &Result<(usize, usize), Refusal>) -> Result<(), Refusal> {
        let (accepted, duplicates) = part.clone()?;
        self.accepted += accepted;
        self.duplicates += duplicates;
        Ok(())
    }
}
