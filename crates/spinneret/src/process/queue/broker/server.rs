//! The broker's threads: one at the door, and one for each connection.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use serde_bytes::Bytes;

use super::desk::Desk;
use super::door::Inside;
use super::wire::{Item, Reply, Request, Until};
use crate::process::queue::terms::{Put, Take};
use crate::process::{FrameBuffer, Link, Outbox};

/// Serves who comes through the door, until nobody has its outside any more.
pub(super) fn open(desk: Arc<Desk>, mut inside: Inside) -> std::io::Result<()> {
    let thread = thread::Builder::new().name("spinneret-queue".to_owned());
    thread.spawn(move || {
        while let Some(link) = inside.next() {
            let desk = Arc::clone(&desk);
            let thread = thread::Builder::new().name("spinneret-queue".to_owned());
            // Without a thread the link ends, by which the other side learns of it.
            if let Err(error) = thread.spawn(move || serve(&desk, &link)) {
                tracing::warn!(%error, "a process could not be connected to a queue");
            }
        }
    })?;
    Ok(())
}

/// A process that leases: when it is gone, what it had comes back.
struct Entered<'a> {
    desk: &'a Desk,
    owner: u32,
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.desk.bury(self.owner);
    }
}

/// Answers requests until the other side is gone, or says what no peer of ours would say.
fn serve(desk: &Desk, link: &Link) {
    let mut frames = FrameBuffer::new();
    frames.greeted();
    let mut out = Outbox::default();
    let mut entered = None;
    let mut taken = Vec::new();
    loop {
        let request = loop {
            match frames.next() {
                Ok(Some((frame, _))) => break frame,
                Ok(None) => {}
                Err(_) => return,
            }
            if !link.receive_waiting(&mut frames).unwrap_or(false) {
                return;
            }
        };
        let Ok(request) = rmp_serde::from_slice(request) else { return };
        let reply = match request {
            Request::Enter => {
                let Entered { owner, .. } =
                    entered.get_or_insert_with(|| Entered { desk, owner: desk.enter() });
                Reply::Owner(*owner)
            }
            Request::Put(messages) => {
                let messages = messages.iter().map(|(bytes, alone)| (&bytes[..], *alone));
                match desk.put(messages) {
                    Put::Done(count) => Reply::Put(count as u64),
                    Put::Closed => Reply::Closed,
                }
            }
            Request::Take { most, lease, owner } => {
                let most = usize::try_from(most).unwrap_or(usize::MAX);
                match desk.take(most, lease.then_some(owner), owner, &mut taken) {
                    Take::Closed => Reply::Closed,
                    Take::Done(_) => Reply::Taken(
                        taken
                            .iter()
                            .map(|taken| Item {
                                bytes: Bytes::new(&taken.message.bytes),
                                lease: taken.lease.unwrap_or(0),
                                deliveries: taken.message.deliveries,
                            })
                            .collect(),
                    ),
                }
            }
            Request::Acknowledge { lease, owner } => Reply::Is(desk.acknowledge(lease, owner)),
            Request::Release { lease, owner } => Reply::Is(desk.release(lease, owner)),
            Request::TaskDone => Reply::Is(desk.task_done()),
            Request::Close => {
                desk.close();
                Reply::Is(true)
            }
            Request::IsClosed => Reply::Is(desk.is_closed()),
            Request::Len => Reply::Len(desk.len() as u64),
            Request::Wait { until, milliseconds } => {
                let deadline = Instant::now().checked_add(Duration::from_millis(milliseconds));
                Reply::Is(match until {
                    Until::Items(owner) => desk.wait_for_items(owner, deadline),
                    Until::Lease(owner) => desk.wait_to_lease(owner, deadline),
                    Until::Space(length) => {
                        let length = usize::try_from(length).unwrap_or(usize::MAX);
                        desk.wait_for_space(length, deadline)
                    }
                    Until::Idle => desk.join(deadline),
                })
            }
        };
        out.clear();
        // The first fails only for a reply beyond all bounds, which none is.
        let sent = out.put(&reply, Vec::new()).is_ok() && link.send(&out);
        drop(reply);
        if !sent {
            // The other side died before it had them.
            desk.untake(std::mem::take(&mut taken));
            return;
        }
        taken.clear();
    }
}
