//! Requests and replies to frames.

mod cluster;

use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};

use super::{
    Dead, Name, PutEnd, PutOptions, QueueOptions, QueueStats, Refusal, Reply, Request, Settle,
    Wait, Waiting, clip,
};
use crate::manager::store::Dedupe;

/// Payloads up to this size are copied into the frame; larger ones are sent from where they are.
const COPIED: usize = 8 << 10;

/// A frame ready to be sent: its parts in order, the length at its start included.
#[derive(Debug)]
pub(crate) struct Frame {
    /// Parts before `tail`. The first starts with the length once the frame is finished.
    parts: Vec<Part>,
    tail: BytesMut,
}

#[derive(Debug)]
enum Part {
    Own(BytesMut),
    Shared(Bytes),
}

impl Part {
    fn len(&self) -> usize {
        match self {
            Self::Own(bytes) => bytes.len(),
            Self::Shared(bytes) => bytes.len(),
        }
    }
}

impl Frame {
    /// The frame of a request.
    pub fn request(id: u64, request: &Request) -> Self {
        let mut frame = Self::start(id);
        frame.put_request(request);
        frame.finish()
    }

    /// The frame of a reply.
    pub fn reply(id: u64, reply: &Reply) -> Self {
        let mut frame = Self::start(id);
        frame.put_reply(reply);
        frame.finish()
    }

    /// Bytes in the whole frame.
    pub fn len(&self) -> usize {
        self.parts.iter().map(Part::len).sum::<usize>() + self.tail.len()
    }

    /// The frame's parts in order: first those that are sent from where they are and what comes
    /// between them, at last the tail.
    pub fn into_parts(self) -> (impl Iterator<Item = Bytes>, BytesMut) {
        let parts = self.parts.into_iter().map(|part| match part {
            Part::Own(bytes) => bytes.freeze(),
            Part::Shared(bytes) => bytes,
        });
        (parts, self.tail)
    }

    fn start(id: u64) -> Self {
        let mut tail = BytesMut::with_capacity(128);
        tail.put_u32(0);
        tail.put_u64(id);
        Self { parts: Vec::new(), tail }
    }

    fn finish(mut self) -> Self {
        // A frame is no longer than its limit, which fits: items and batches are checked before.
        let length = u32::try_from(self.len() - 4).unwrap_or(u32::MAX);
        let head = match self.parts.first_mut() {
            Some(Part::Own(first)) => first,
            _ => &mut self.tail,
        };
        head[..4].copy_from_slice(&length.to_be_bytes());
        self
    }

    fn put_request(&mut self, request: &Request) {
        match request {
            Request::Ping => self.u8(1),
            Request::Register { queue, options } => {
                self.op(2, queue);
                self.queue_options(options);
            }
            Request::Put { queue, wait, items } => {
                self.op(3, queue);
                self.wait(*wait);
                self.count(items.len());
                for item in items {
                    self.blob(item);
                }
            }
            Request::Lease { queue, max, hold, wait } => {
                self.op(4, queue);
                self.u32(*max);
                self.u64(hold.map_or(u64::MAX, micros));
                self.wait(*wait);
            }
            Request::Settle { queue, leases, how } => {
                self.op(5, queue);
                self.settle(how);
                self.numbers(leases);
            }
            Request::Stats { queue } => self.op(7, queue),
            Request::Queues { after } => {
                self.u8(8);
                self.name(after.as_ref().map_or("", Name::as_str));
            }
            Request::Dead { queue, after, max } => {
                self.op(9, queue);
                self.u64(*after);
                self.u32(*max);
            }
            Request::DropDead { queue, ids } => {
                self.op(10, queue);
                self.numbers(ids);
            }
            Request::RequeueDead { queue, ids } => {
                self.op(11, queue);
                self.u8(u8::from(ids.is_some()));
                if let Some(ids) = ids {
                    self.numbers(ids);
                }
            }
            Request::Close { queue } => self.op(12, queue),
            Request::Join { queue, wait } => {
                self.op(13, queue);
                self.wait(*wait);
            }
            Request::Set { name, value } => {
                self.op(14, name);
                self.blob(value);
            }
            Request::Get { name } => self.op(15, name),
            Request::Shutdown => self.u8(16),
            Request::Cluster(request) => {
                self.u8(64);
                self.put_cluster_request(request);
            }
            Request::Cancel { request } => {
                self.u8(17);
                self.u64(*request);
            }
            Request::PutWith { queue, wait, items } => {
                self.op(19, queue);
                self.wait(*wait);
                self.count(items.len());
                for (item, options) in items {
                    self.put_options(options);
                    self.blob(item);
                }
            }
            Request::Peek { queue, skip, max } => {
                self.op(20, queue);
                self.u64(*skip);
                self.u32(*max);
            }
            Request::Remove { queue } => self.op(21, queue),
            Request::TaskDone { queue, count } => {
                self.op(18, queue);
                self.u64(*count);
            }
        }
    }

    fn put_reply(&mut self, reply: &Reply) {
        match reply {
            Reply::Done => self.u8(0),
            Reply::Put { accepted, duplicates, end } => {
                self.u8(1);
                self.u32(*accepted);
                self.u32(*duplicates);
                self.u8(match end {
                    PutEnd::All => 0,
                    PutEnd::Full => 1,
                    PutEnd::Closed => 2,
                });
            }
            Reply::Leased(deliveries) => {
                self.u8(2);
                self.count(deliveries.len());
                for delivery in deliveries {
                    self.u64(delivery.lease);
                    self.u32(delivery.deliveries);
                    self.blob(&delivery.payload);
                }
            }
            Reply::Empty => self.u8(3),
            Reply::Closed => self.u8(4),
            Reply::Lost(numbers) => {
                self.u8(5);
                self.numbers(numbers);
            }
            Reply::Stats(stats) => {
                self.u8(6);
                self.stats(stats);
            }
            Reply::Queues(queues) => {
                self.u8(7);
                self.count(queues.len());
                for (name, stats) in queues {
                    self.name(name.as_str());
                    self.stats(stats);
                }
            }
            Reply::Peeked(items) => {
                self.u8(12);
                self.count(items.len());
                for Waiting { priority, deliveries, delay, payload } in items {
                    self.u8(priority.cast_unsigned());
                    self.u32(*deliveries);
                    self.u64(micros(*delay));
                    self.blob(payload);
                }
            }
            Reply::Dead(letters) => {
                self.u8(8);
                self.count(letters.len());
                for Dead { id, deliveries, reason, payload } in letters {
                    self.u64(*id);
                    self.u32(*deliveries);
                    self.text(reason);
                    self.blob(payload);
                }
            }
            Reply::Count(count) => {
                self.u8(9);
                self.u64(*count);
            }
            Reply::Value(value) => {
                self.u8(10);
                self.u8(u8::from(value.is_some()));
                if let Some(value) = value {
                    self.blob(value);
                }
            }
            Reply::Joined(all_done) => {
                self.u8(11);
                self.u8(u8::from(*all_done));
            }
            Reply::Cluster(reply) => {
                self.u8(64);
                self.put_cluster_reply(reply);
            }
            Reply::Refused(refusal) => self.refusal(refusal),
        }
    }

    fn refusal(&mut self, refusal: &Refusal) {
        match refusal {
            Refusal::UnknownQueue(name) => self.op(128, name),
            Refusal::QueueExists(name) => self.op(129, name),
            Refusal::BadName(name) => self.op(130, name),
            Refusal::TaskDoneTooOften(name) => self.op(137, name),
            Refusal::TooLarge { size, limit } => {
                self.u8(131);
                self.u64(*size);
                self.u64(*limit);
            }
            Refusal::TooManyWaiting => self.u8(132),
            Refusal::ShutDown => self.u8(133),
            Refusal::Cancelled => self.u8(134),
            Refusal::BadRequest(text) => {
                self.u8(135);
                self.text(text);
            }
            Refusal::Storage(text) => {
                self.u8(138);
                self.text(text);
            }
            Refusal::Internal(text) => {
                self.u8(136);
                self.text(text);
            }
        }
    }

    fn settle(&mut self, how: &Settle) {
        match how {
            Settle::Done => self.u8(0),
            Settle::Release => self.u8(1),
            Settle::Return { reason } => {
                self.u8(2);
                self.text(reason);
            }
            Settle::Fail { reason } => {
                self.u8(3);
                self.text(reason);
            }
            Settle::Taken => self.u8(5),
            Settle::Extend { hold } => {
                self.u8(4);
                self.u64(micros(*hold));
            }
        }
    }

    fn queue_options(&mut self, options: &QueueOptions) {
        let QueueOptions { maxsize, max_deliveries, backoff, memory_only } = *options;
        self.u64(maxsize);
        self.u32(max_deliveries);
        self.u64(backoff.map_or(0, |backoff| micros(backoff.initial)));
        self.u64(backoff.map_or(0, |backoff| micros(backoff.max)));
        self.u8(u8::from(memory_only));
    }

    fn put_options(&mut self, options: &PutOptions) {
        let PutOptions { priority, delay, dedupe } = options;
        let which = [*priority != 0, !delay.is_zero(), dedupe.is_some()];
        self.u8((0..).zip(which).map(|(bit, present)| u8::from(present) << bit).sum());
        if which[0] {
            self.u8(priority.cast_unsigned());
        }
        if which[1] {
            // A delay that is there stays one.
            self.u64(micros(*delay).max(1));
        }
        if let Some(Dedupe { key, ttl }) = dedupe {
            self.u64(micros(*ttl));
            // A key has 32 bytes at most.
            self.u8(key.len() as u8);
            self.tail.put_slice(key);
        }
    }

    fn stats(&mut self, stats: &QueueStats) {
        let QueueStats { queued, delayed, leased, taken, unfinished, .. } = *stats;
        let rest = [stats.dead, stats.puts, stats.delivered, stats.done, stats.maxsize];
        for number in [queued, delayed, leased, taken, unfinished].into_iter().chain(rest) {
            self.u64(number);
        }
        self.u8(u8::from(stats.closed));
    }

    fn op(&mut self, op: u8, name: &Name) {
        self.u8(op);
        self.name(name.as_str());
    }

    fn u8(&mut self, value: u8) {
        self.tail.put_u8(value);
    }

    fn u32(&mut self, value: u32) {
        self.tail.put_u32(value);
    }

    fn u64(&mut self, value: u64) {
        self.tail.put_u64(value);
    }

    /// A number of things that follow, each of a byte at least, in a frame of less than 4 GiB.
    fn count(&mut self, count: usize) {
        self.u32(u32::try_from(count).unwrap_or(u32::MAX));
    }

    fn wait(&mut self, wait: Wait) {
        self.u64(match wait {
            Wait::No => 0,
            Wait::For(time) => micros(time).max(1),
            Wait::Forever => u64::MAX,
        });
    }

    fn numbers(&mut self, numbers: &[u64]) {
        self.count(numbers.len());
        for number in numbers {
            self.u64(*number);
        }
    }

    fn name(&mut self, name: &str) {
        let name = clip(name, usize::from(u16::MAX));
        self.tail.put_u16(name.len() as u16);
        self.tail.put_slice(name.as_bytes());
    }

    fn text(&mut self, text: &str) {
        self.count(text.len());
        self.tail.put_slice(text.as_bytes());
    }

    fn blob(&mut self, bytes: &Bytes) {
        self.count(bytes.len());
        if bytes.len() <= COPIED {
            self.tail.put_slice(bytes);
        } else {
            self.parts.push(Part::Own(self.tail.split()));
            self.parts.push(Part::Shared(bytes.clone()));
        }
    }
}

fn micros(time: Duration) -> u64 {
    // The largest number means something else where a time may be missing.
    u64::try_from(time.as_micros()).map_or(u64::MAX - 1, |micros| micros.min(u64::MAX - 1))
}
