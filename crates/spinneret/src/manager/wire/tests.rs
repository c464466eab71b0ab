use bytes::BytesMut;

use super::*;

mod cluster;

/// A small generator of numbers (xorshift): the same ones on every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.roll() % limit
    }

    fn name(&mut self) -> Name {
        Name::sought(["t", "tasks", "прядь", ""][self.below(4) as usize])
    }

    fn text(&mut self) -> Arc<str> {
        ["", "failed: why", "ошибка"][self.below(3) as usize].into()
    }

    fn blob(&mut self) -> Bytes {
        let length = [0, 1, 20, 5000, 20_000][self.below(5) as usize];
        let byte = self.roll() as u8;
        vec![byte; length].into()
    }

    fn list<T>(&mut self, mut one: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.below(4)).map(|_| one(self)).collect()
    }

    fn wait(&mut self) -> Wait {
        [Wait::No, Wait::For(Duration::from_micros(7)), Wait::Forever][self.below(3) as usize]
    }

    fn stats(&mut self) -> QueueStats {
        let (queued, leased, taken) = (self.below(99), self.below(99), self.below(99));
        QueueStats {
            queued,
            leased,
            dead: self.roll(),
            taken,
            delayed: self.below(99),
            unfinished: queued + leased + taken,
            puts: self.roll(),
            delivered: self.roll(),
            done: self.roll(),
            maxsize: self.roll(),
            closed: self.below(2) == 0,
        }
    }

    fn queue_options(&mut self) -> QueueOptions {
        let mut options = QueueOptions::new()
            .maxsize(self.roll() as usize)
            .max_deliveries(self.roll() as u32)
            .backoff(
                Duration::from_micros(self.below(2) * self.roll()),
                Duration::from_nanos(self.roll()),
            );
        options.memory_only = self.below(2) == 0;
        options
    }

    fn put_options(&mut self) -> PutOptions {
        let mut options = PutOptions::new();
        if self.below(2) == 0 {
            options = options.priority(self.roll() as i8);
        }
        if self.below(2) == 0 {
            options = options.delay(Duration::from_micros(self.below(1 << 60)));
        }
        if self.below(2) == 0 {
            let key = vec![self.roll() as u8; self.below(40) as usize];
            options = options.dedupe(key, Duration::from_micros(self.below(1 << 60)));
        }
        options
    }

    fn settle(&mut self) -> Settle {
        match self.below(6) {
            0 => Settle::Done,
            4 => Settle::Taken,
            1 => Settle::Release,
            2 => Settle::Return { reason: self.text() },
            3 => Settle::Fail { reason: self.text() },
            _ => Settle::Extend { hold: Duration::from_micros(self.below(1 << 60)) },
        }
    }

    fn request(&mut self, op: u64) -> Request {
        match op {
            0 => Request::Ping,
            1 => Request::Register { queue: self.name(), options: self.queue_options() },
            2 => {
                Request::Put { queue: self.name(), wait: self.wait(), items: self.list(Self::blob) }
            }
            3 => Request::Lease {
                queue: self.name(),
                max: self.roll() as u32,
                hold: (self.below(2) == 0).then(|| Duration::from_micros(self.below(1 << 60))),
                wait: self.wait(),
            },
            4 => Request::Settle {
                queue: self.name(),
                leases: self.list(Self::roll),
                how: self.settle(),
            },
            5 => Request::Remove { queue: self.name() },
            6 => Request::Stats { queue: self.name() },
            7 => {
                let after = self.name();
                Request::Queues { after: (!after.as_str().is_empty()).then_some(after) }
            }
            8 => Request::Dead { queue: self.name(), after: self.roll(), max: 9 },
            9 => Request::DropDead { queue: self.name(), ids: self.list(Self::roll) },
            10 => Request::RequeueDead {
                queue: self.name(),
                ids: (self.below(2) == 0).then(|| self.list(Self::roll)),
            },
            11 => Request::Close { queue: self.name() },
            12 => Request::Join { queue: self.name(), wait: self.wait() },
            13 => Request::Set { name: self.name(), value: self.blob() },
            14 => Request::Get { name: self.name() },
            15 => Request::Shutdown,
            16 => Request::TaskDone { queue: self.name(), count: self.roll() },
            17 => Request::PutWith {
                queue: self.name(),
                wait: self.wait(),
                items: self.list(|dice| (dice.blob(), dice.put_options())),
            },
            18 => Request::Peek { queue: self.name(), skip: self.roll(), max: 9 },
            _ => Request::Cancel { request: self.roll() },
        }
    }

    fn reply(&mut self, status: u64) -> Reply {
        match status {
            0 => Reply::Done,
            1 => Reply::Put {
                accepted: self.roll() as u32,
                duplicates: self.roll() as u32,
                end: [PutEnd::All, PutEnd::Full, PutEnd::Closed][self.below(3) as usize],
            },
            2 => Reply::Leased(self.list(|dice| Delivery {
                lease: dice.roll(),
                deliveries: dice.roll() as u32,
                payload: dice.blob(),
            })),
            3 => Reply::Empty,
            4 => Reply::Closed,
            5 => Reply::Lost(self.list(Self::roll)),
            6 => Reply::Stats(self.stats()),
            7 => Reply::Queues(self.list(|dice| (dice.name(), dice.stats()))),
            8 => Reply::Dead(self.list(|dice| Dead {
                id: dice.roll(),
                deliveries: dice.roll() as u32,
                reason: dice.text(),
                payload: dice.blob(),
            })),
            9 => Reply::Count(self.roll()),
            10 => Reply::Value((self.below(2) == 0).then(|| self.blob())),
            11 => Reply::Joined(self.below(2) == 0),
            12 => Reply::Refused(Refusal::UnknownQueue(self.name())),
            13 => Reply::Refused(Refusal::QueueExists(self.name())),
            14 => Reply::Refused(Refusal::BadName(self.name())),
            15 => Reply::Refused(Refusal::TooLarge { size: self.roll(), limit: self.roll() }),
            16 => Reply::Refused(Refusal::TooManyWaiting),
            17 => Reply::Refused(Refusal::ShutDown),
            18 => Reply::Refused(Refusal::Cancelled),
            20 => Reply::Refused(Refusal::TaskDoneTooOften(self.name())),
            21 => Reply::Refused(Refusal::Storage(self.text().to_string())),
            22 => Reply::Peeked(self.list(|dice| Waiting {
                priority: dice.roll() as i8,
                deliveries: dice.roll() as u32,
                delay: Duration::from_micros(dice.roll()),
                payload: dice.blob(),
            })),
            19 => Reply::Refused(Refusal::BadRequest(self.text().to_string())),
            _ => Reply::Refused(Refusal::Internal(self.text().to_string())),
        }
    }
}

/// A frame's content, after its length was checked.
fn content(frame: Frame) -> Bytes {
    let announced = frame.len();
    let (parts, tail) = frame.into_parts();
    let mut whole = BytesMut::new();
    parts.for_each(|part| whole.extend_from_slice(&part));
    whole.extend_from_slice(&tail);
    assert_eq!(whole.len(), announced);
    let length = whole.split_to(4);
    assert_eq!(u32::from_be_bytes(length[..].try_into().unwrap()) as usize, whole.len());
    whole.freeze()
}

fn every_frame(dice: &mut Dice) -> Vec<Bytes> {
    let mut frames: Vec<Bytes> =
        (0..20).map(|op| content(Frame::request(op, &dice.request(op)))).collect();
    frames.extend((0..24).map(|status| content(Frame::reply(status, &dice.reply(status)))));
    frames
}

/// Reads the bytes as both kinds of frame. What it returns is of no matter: that it does is.
fn read_both(bytes: &Bytes) {
    let _ = read_request(bytes.clone());
    let _ = read_reply(bytes.clone());
}

#[test]
fn what_is_written_is_read_back() {
    let mut dice = Dice(0x5eed);
    for round in 0..100 {
        for op in 0..20 {
            let request = dice.request(op);
            let frame = content(Frame::request(round, &request));
            assert_eq!(read_request(frame), Ok((round, Ok(request))));
        }
        for status in 0..24 {
            let reply = dice.reply(status);
            let frame = content(Frame::reply(round, &reply));
            assert_eq!(read_reply(frame), Ok((round, reply)));
        }
    }
}

#[test]
fn a_truncated_frame_is_malformed() {
    let mut dice = Dice(7);
    for _ in 0..5 {
        for (number, frame) in every_frame(&mut dice).into_iter().enumerate() {
            let step = 1 + frame.len() / 100;
            for length in (0..frame.len()).step_by(step) {
                let cut = frame.slice(..length);
                if number < 17 {
                    let read = read_request(cut);
                    assert!(!matches!(read, Ok((_, Ok(_)))), "{length} of {frame:?}: {read:?}");
                } else {
                    assert!(read_reply(cut).is_err(), "{length} of {frame:?}");
                }
            }
        }
    }
}

#[test]
fn a_longer_frame_is_malformed() {
    let mut frame = content(Frame::request(1, &Request::Ping)).to_vec();
    frame.push(0);
    assert!(matches!(read_request(frame.into()), Ok((1, Err(_)))));
}

#[test]
fn mutated_frames_never_panic() {
    let mut dice = Dice(0xbad);
    for _ in 0..300 {
        for frame in every_frame(&mut dice) {
            let mut bytes = frame.to_vec();
            bytes.truncate(200);
            for _ in 0..=dice.below(4) {
                let at = 8 + dice.below(bytes.len() as u64 - 8) as usize;
                bytes[at] = [0, 1, 0x7f, 0x80, 0xff, dice.roll() as u8][dice.below(6) as usize];
            }
            read_both(&bytes.into());
        }
    }
}

#[test]
fn random_bytes_never_panic() {
    let mut dice = Dice(0xfeed);
    for _ in 0..20_000 {
        let length = dice.below(64);
        let bytes: Vec<u8> = (0..length).map(|_| dice.roll() as u8).collect();
        read_both(&bytes.into());
    }
}

#[test]
fn a_count_beyond_the_frame_costs_no_memory() {
    let mut frame = content(Frame::reply(1, &Reply::Lost(Vec::new()))).to_vec();
    let count = frame.len() - 4..;
    frame[count].copy_from_slice(&u32::MAX.to_be_bytes());
    assert_eq!(read_reply(frame.into()), Err(Malformed("fewer things than announced")));
}

#[test]
fn a_put_of_too_many_items_is_refused_however_small_they_are() {
    let (queue, wait) = (Name::sought("q"), Wait::No);
    for (count, taken) in [(MOST_PUT_ITEMS, true), (MOST_PUT_ITEMS + 1, false)] {
        let plain = vec![Bytes::new(); count];
        let special = vec![(Bytes::new(), PutOptions::new()); count];
        for put in [
            Request::Put { queue: queue.clone(), wait, items: plain },
            Request::PutWith { queue: queue.clone(), wait, items: special },
        ] {
            // In memory it is no more than that beyond the frame's bytes.
            assert!(put.overhead() <= (MOST_PUT_ITEMS + 1) * 128);
            let (id, read) = read_request(content(Frame::request(7, &put))).unwrap();
            assert_eq!((id, read.is_ok()), (7, taken), "the connection goes on");
            assert!(taken || read.unwrap_err().to_string().contains("65536"));
        }
    }
}

#[test]
fn a_large_item_is_sent_from_where_it_is() {
    let item = Bytes::from(vec![7; 100_000]);
    let put = Request::Put { queue: Name::sought("q"), wait: Wait::No, items: vec![item.clone()] };
    let (mut parts, _) = Frame::request(1, &put).into_parts();
    assert!(parts.any(|part| part.as_ptr() == item.as_ptr()));
}

#[test]
fn a_small_item_does_not_keep_its_frame_alive() {
    let put = Request::Put {
        queue: Name::sought("q"),
        wait: Wait::No,
        items: vec![Bytes::from(vec![1; 10]), Bytes::from(vec![2; 100_000])],
    };
    let frame = content(Frame::request(1, &put));
    let whole = frame.as_ptr_range();
    let (_, Ok(Request::Put { items, .. })) = read_request(frame).unwrap() else {
        panic!("it is a put")
    };
    assert!(!whole.contains(&items[0].as_ptr()));
    assert!(whole.contains(&items[1].as_ptr()));
}

#[test]
fn names_have_a_length() {
    assert!(Name::new("").is_err());
    assert!(Name::new(&"x".repeat(255)).is_ok());
    assert!(Name::new(&"x".repeat(256)).is_err());
    assert!(Name::sought(&"ж".repeat(500)).as_str().len() > 255);
}

#[test]
fn the_magic_starts_no_pickle() {
    // Pickles of protocol 2 and later start with 0x80, older ones with a printable opcode.
    assert_eq!(MAGIC[0], 0);
}
