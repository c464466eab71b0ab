//! Frames to requests and replies, from peers that may send anything.
//!
//! Nothing here trusts a number in a frame: a count is believed only as far as the frame's length
//! can hold that many things, so that a frame costs memory in proportion to its size. Where the
//! proportion is large, as for the items of a put, their number has a limit too.

mod cluster;

use std::{sync::Arc, time::Duration};

use bytes::{Buf as _, Bytes};

use super::{
    Dead, Delivery, MOST_PUT_ITEMS, Name, PutEnd, PutOptions, QueueOptions, QueueStats, Refusal,
    Reply, Request, Settle, Wait, Waiting,
};
use crate::manager::store::Backoff;

/// Items up to this size are copied out of the buffer they came in, which they would keep alive
/// as a whole; larger ones are a view into it.
const COPIED: usize = 4 << 10;

/// A frame that does not say what it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Malformed(pub &'static str);

type Result<T> = std::result::Result<T, Malformed>;

/// Reads a request's number, then the request. With a number, a request that makes no sense can
/// be refused; without one, the connection is of no use any more.
pub(crate) fn read_request(frame: Bytes) -> Result<(u64, Result<Request>)> {
    let mut reader = Reader(frame);
    let id = reader.u64()?;
    Ok((id, reader.whole(Reader::request)))
}

/// Reads a reply's number and the reply.
pub(crate) fn read_reply(frame: Bytes) -> Result<(u64, Reply)> {
    let mut reader = Reader(frame);
    let id = reader.u64()?;
    Ok((id, reader.whole(Reader::reply)?))
}

struct Reader(Bytes);

impl Reader {
    /// Reads something that takes the rest of the frame.
    fn whole<T>(mut self, read: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let found = read(&mut self)?;
        if self.0.is_empty() { Ok(found) } else { Err(Malformed("more bytes than expected")) }
    }

    fn request(&mut self) -> Result<Request> {
        Ok(match self.u8()? {
            1 => Request::Ping,
            2 => Request::Register { queue: self.name()?, options: self.queue_options()? },
            3 => Request::Put {
                queue: self.name()?,
                wait: self.wait()?,
                items: self.put_items(4, Self::blob)?,
            },
            4 => Request::Lease {
                queue: self.name()?,
                max: self.u32()?,
                hold: match self.u64()? {
                    u64::MAX => None,
                    hold => Some(Duration::from_micros(hold)),
                },
                wait: self.wait()?,
            },
            5 => {
                let queue = self.name()?;
                let how = match self.u8()? {
                    0 => Settle::Done,
                    1 => Settle::Release,
                    2 => Settle::Return { reason: self.text()? },
                    3 => Settle::Fail { reason: self.text()? },
                    5 => Settle::Taken,
                    4 => Settle::Extend { hold: Duration::from_micros(self.u64()?) },
                    _ => return Err(Malformed("an unknown way to settle a lease")),
                };
                Request::Settle { queue, leases: self.list(8, Self::u64)?, how }
            }
            7 => Request::Stats { queue: self.name()? },
            8 => {
                let after = self.name()?;
                Request::Queues { after: (!after.as_str().is_empty()).then_some(after) }
            }
            9 => Request::Dead { queue: self.name()?, after: self.u64()?, max: self.u32()? },
            10 => Request::DropDead { queue: self.name()?, ids: self.list(8, Self::u64)? },
            11 => Request::RequeueDead {
                queue: self.name()?,
                ids: if self.bool()? { Some(self.list(8, Self::u64)?) } else { None },
            },
            12 => Request::Close { queue: self.name()? },
            13 => Request::Join { queue: self.name()?, wait: self.wait()? },
            14 => Request::Set { name: self.name()?, value: self.blob()? },
            15 => Request::Get { name: self.name()? },
            16 => Request::Shutdown,
            17 => Request::Cancel { request: self.u64()? },
            18 => Request::TaskDone { queue: self.name()?, count: self.u64()? },
            64 => Request::Cluster(self.cluster_request()?),
            19 => Request::PutWith {
                queue: self.name()?,
                wait: self.wait()?,
                items: self.put_items(5, |reader| {
                    let options = reader.put_options()?;
                    Ok((reader.blob()?, options))
                })?,
            },
            20 => Request::Peek { queue: self.name()?, skip: self.u64()?, max: self.u32()? },
            21 => Request::Remove { queue: self.name()? },
            _ => return Err(Malformed("an unknown operation")),
        })
    }

    fn reply(&mut self) -> Result<Reply> {
        Ok(match self.u8()? {
            0 => Reply::Done,
            1 => Reply::Put {
                accepted: self.u32()?,
                duplicates: self.u32()?,
                end: match self.u8()? {
                    0 => PutEnd::All,
                    1 => PutEnd::Full,
                    2 => PutEnd::Closed,
                    _ => return Err(Malformed("an unknown end of a put")),
                },
            },
            2 => Reply::Leased(self.list(16, |reader| {
                Ok(Delivery {
                    lease: reader.u64()?,
                    deliveries: reader.u32()?,
                    // Read soon, all of them.
                    payload: reader.view()?,
                })
            })?),
            3 => Reply::Empty,
            4 => Reply::Closed,
            5 => Reply::Lost(self.list(8, Self::u64)?),
            6 => Reply::Stats(self.stats()?),
            7 => Reply::Queues(self.list(83, |reader| Ok((reader.name()?, reader.stats()?)))?),
            8 => Reply::Dead(self.list(20, |reader| {
                Ok(Dead {
                    id: reader.u64()?,
                    deliveries: reader.u32()?,
                    reason: reader.text()?,
                    payload: reader.blob()?,
                })
            })?),
            12 => Reply::Peeked(self.list(17, |reader| {
                Ok(Waiting {
                    priority: reader.u8()?.cast_signed(),
                    deliveries: reader.u32()?,
                    delay: Duration::from_micros(reader.u64()?),
                    payload: reader.blob()?,
                })
            })?),
            9 => Reply::Count(self.u64()?),
            10 => Reply::Value(if self.bool()? { Some(self.blob()?) } else { None }),
            11 => Reply::Joined(self.bool()?),
            64 => Reply::Cluster(self.cluster_reply()?),
            128 => Reply::Refused(Refusal::UnknownQueue(self.name()?)),
            129 => Reply::Refused(Refusal::QueueExists(self.name()?)),
            130 => Reply::Refused(Refusal::BadName(self.name()?)),
            131 => Reply::Refused(Refusal::TooLarge { size: self.u64()?, limit: self.u64()? }),
            132 => Reply::Refused(Refusal::TooManyWaiting),
            133 => Reply::Refused(Refusal::ShutDown),
            134 => Reply::Refused(Refusal::Cancelled),
            135 => Reply::Refused(Refusal::BadRequest(self.text()?.to_string())),
            136 => Reply::Refused(Refusal::Internal(self.text()?.to_string())),
            137 => Reply::Refused(Refusal::TaskDoneTooOften(self.name()?)),
            138 => Reply::Refused(Refusal::Storage(self.text()?.to_string())),
            _ => return Err(Malformed("an unknown status")),
        })
    }

    fn queue_options(&mut self) -> Result<QueueOptions> {
        let options = QueueOptions {
            maxsize: self.u64()?,
            max_deliveries: self.u32()?,
            backoff: Backoff::new(
                Duration::from_micros(self.u64()?),
                Duration::from_micros(self.u64()?),
            ),
            memory_only: self.bool()?,
        };
        Ok(options)
    }

    /// A byte says which of the options follow.
    fn put_options(&mut self) -> Result<PutOptions> {
        let which = self.u8()?;
        if which & !7 != 0 {
            return Err(Malformed("an unknown option of a put"));
        }
        let mut options = PutOptions::new();
        if which & 1 != 0 {
            options = options.priority(self.u8()?.cast_signed());
        }
        if which & 2 != 0 {
            options = options.delay(Duration::from_micros(self.u64()?));
        }
        if which & 4 != 0 {
            let ttl = Duration::from_micros(self.u64()?);
            let length = usize::from(self.u8()?);
            options = options.dedupe(self.bytes(length)?, ttl);
        }
        Ok(options)
    }

    fn stats(&mut self) -> Result<QueueStats> {
        Ok(QueueStats {
            queued: self.u64()?,
            delayed: self.u64()?,
            leased: self.u64()?,
            taken: self.u64()?,
            unfinished: self.u64()?,
            dead: self.u64()?,
            puts: self.u64()?,
            delivered: self.u64()?,
            done: self.u64()?,
            maxsize: self.u64()?,
            closed: self.bool()?,
        })
    }

    fn u8(&mut self) -> Result<u8> {
        self.0.try_get_u8().map_err(short)
    }

    fn u16(&mut self) -> Result<u16> {
        self.0.try_get_u16().map_err(short)
    }

    fn u32(&mut self) -> Result<u32> {
        self.0.try_get_u32().map_err(short)
    }

    fn u64(&mut self) -> Result<u64> {
        self.0.try_get_u64().map_err(short)
    }

    fn bool(&mut self) -> Result<bool> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Malformed("neither yes nor no")),
        }
    }

    fn wait(&mut self) -> Result<Wait> {
        Ok(match self.u64()? {
            0 => Wait::No,
            u64::MAX => Wait::Forever,
            micros => Wait::For(Duration::from_micros(micros)),
        })
    }

    /// That many bytes, as a view into the frame.
    fn bytes(&mut self, length: usize) -> Result<Bytes> {
        if length > self.0.len() {
            return Err(Malformed("fewer bytes than announced"));
        }
        Ok(self.0.split_to(length))
    }

    fn name(&mut self) -> Result<Name> {
        let length = usize::from(self.u16()?);
        let bytes = self.bytes(length)?;
        let name = std::str::from_utf8(&bytes).map_err(|_| Malformed("a name is not UTF-8"))?;
        Ok(Name(name.into()))
    }

    fn text(&mut self) -> Result<Arc<str>> {
        let length = self.u32()? as usize;
        let bytes = self.bytes(length)?;
        let text = std::str::from_utf8(&bytes).map_err(|_| Malformed("a text is not UTF-8"))?;
        Ok(text.into())
    }

    /// Bytes that keep the whole frame alive.
    fn view(&mut self) -> Result<Bytes> {
        let length = self.u32()? as usize;
        self.bytes(length)
    }

    fn blob(&mut self) -> Result<Bytes> {
        let length = self.u32()? as usize;
        let bytes = self.bytes(length)?;
        Ok(if length <= COPIED { Bytes::copy_from_slice(&bytes) } else { bytes })
    }

    /// A count and as many things, each of `least` bytes or more.
    fn list<T>(
        &mut self,
        least: usize,
        read: impl FnMut(&mut Self) -> Result<T>,
    ) -> Result<Vec<T>> {
        let count = self.u32()? as usize;
        self.things(count, least, read)
    }

    /// A list of items that are put, each of `least` bytes or more.
    fn put_items<T>(
        &mut self,
        least: usize,
        read: impl FnMut(&mut Self) -> Result<T>,
    ) -> Result<Vec<T>> {
        let count = self.u32()? as usize;
        if count > MOST_PUT_ITEMS {
            return Err(Malformed("more than 65536 items in one put: send several"));
        }
        self.things(count, least, read)
    }

    /// That many things.
    fn things<T>(
        &mut self,
        count: usize,
        least: usize,
        mut read: impl FnMut(&mut Self) -> Result<T>,
    ) -> Result<Vec<T>> {
        if count > self.0.len() / least {
            return Err(Malformed("fewer things than announced"));
        }
        let mut list = Vec::with_capacity(count);
        for _ in 0..count {
            list.push(read(self)?);
        }
        Ok(list)
    }
}

fn short(_: bytes::TryGetError) -> Malformed {
    Malformed("fewer bytes than expected")
}
