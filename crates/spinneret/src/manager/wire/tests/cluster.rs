//! What a cluster's peers say to each other.

use super::*;
use crate::{
    manager::cluster::{ClusterStats, WorkerInfo},
    task::{Outcome, TaskError},
};

const REQUESTS: u64 = 10;
const REPLIES: u64 = 5;

impl Dice {
    fn cluster_request(&mut self, kind: u64) -> ClusterRequest {
        match kind {
            0 => ClusterRequest::Open(Terms {
                timeout: self.time(),
                retries: self.roll() as u32,
                poison_limit: self.roll() as u32,
                chunk: self.roll() as u32,
            }),
            1 => ClusterRequest::Submit(self.list(|dice| Order {
                id: dice.roll(),
                task: dice.task(),
                args: dice.blob(),
            })),
            2 => ClusterRequest::Cancel(self.list(Self::roll)),
            3 => ClusterRequest::Listen,
            4 => ClusterRequest::Leave,
            5 => ClusterRequest::Enlist(Recruit {
                name: self.text(),
                host: self.text(),
                pid: self.roll() as u32,
                slots: self.roll() as u32,
                tasks: self.list(Self::task),
            }),
            6 => ClusterRequest::Fetch,
            7 => ClusterRequest::Report(Report {
                depth: self.roll() as u32,
                begun: self.list(Self::roll),
                ended: self.list(|dice| Ended {
                    lease: dice.roll(),
                    took: Duration::from_micros(dice.below(1 << 60)),
                    outcome: dice.outcome(),
                    still_runs: dice.below(2) == 0,
                }),
                returned: self.list(Self::roll),
            }),
            8 => ClusterRequest::Retire,
            _ => ClusterRequest::Stats,
        }
    }

    fn cluster_reply(&mut self, kind: u64) -> ClusterReply {
        match kind {
            0 => ClusterReply::News {
                events: self.list(|dice| match dice.below(3) {
                    0 => Event::Begun(dice.roll()),
                    1 => Event::Again(dice.roll()),
                    _ => Event::Ended(dice.roll(), dice.outcome()),
                }),
                slots: self.roll() as u32,
            },
            1 => ClusterReply::Cancelled(self.list(Self::roll)),
            2 => ClusterReply::Work {
                jobs: self.list(|dice| Given {
                    lease: dice.roll(),
                    task: dice.task(),
                    timeout: dice.time(),
                    args: dice.blob(),
                }),
                revoked: self.list(Self::roll),
                recalled: self.list(Self::roll),
            },
            3 => ClusterReply::Stats(ClusterStats {
                pools: self.roll(),
                queued: self.roll(),
                running: self.roll(),
                workers: self.list(|dice| WorkerInfo {
                    name: dice.text().to_string(),
                    address: ["127.0.0.1:8", "[::1]:9"][dice.below(2) as usize].parse().unwrap(),
                    host: dice.text().to_string(),
                    pid: dice.roll() as u32,
                    slots: dice.roll() as u32,
                    running: dice.roll() as u32,
                    tasks: dice.roll(),
                    busy: Duration::from_micros(dice.below(1 << 60)),
                }),
            }),
            _ => ClusterReply::Gone,
        }
    }

    fn task(&mut self) -> TaskKey {
        TaskKey { name: self.text(), signature: self.roll() }
    }

    fn time(&mut self) -> Option<Duration> {
        (self.below(2) == 0).then(|| Duration::from_micros(self.below(1 << 60)))
    }

    fn outcome(&mut self) -> Outcome<Bytes> {
        match self.below(3) {
            0 => Ok(self.blob()),
            1 => Err(TaskError::Panicked { message: "no".into(), backtrace: "0: main".into() }),
            _ => Err(TaskError::TimedOut { after: Duration::from_millis(7) }),
        }
    }
}

fn every_frame(dice: &mut Dice) -> Vec<Bytes> {
    let requests = (0..REQUESTS).map(|kind| dice.cluster_request(kind));
    let mut frames: Vec<_> =
        requests.map(|request| content(Frame::request(1, &Request::Cluster(request)))).collect();
    let replies = (0..REPLIES).map(|kind| dice.cluster_reply(kind));
    frames.extend(replies.map(|reply| content(Frame::reply(1, &Reply::Cluster(reply)))));
    frames
}

#[test]
fn what_is_written_is_read() {
    let mut dice = Dice(0xc1);
    for round in 0..100 {
        for kind in 0..REQUESTS {
            let request = Request::Cluster(dice.cluster_request(kind));
            let frame = content(Frame::request(round, &request));
            assert_eq!(read_request(frame), Ok((round, Ok(request))));
        }
        for kind in 0..REPLIES {
            let reply = Reply::Cluster(dice.cluster_reply(kind));
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
            for length in (0..frame.len()).step_by(1 + frame.len() / 100) {
                let cut = frame.slice(..length);
                if (number as u64) < REQUESTS {
                    assert!(!matches!(read_request(cut), Ok((_, Ok(_)))), "{length} of {frame:?}");
                } else {
                    assert!(read_reply(cut).is_err(), "{length} of {frame:?}");
                }
            }
        }
    }
}

#[test]
fn mutated_frames_never_panic() {
    let mut dice = Dice(0xbad);
    for _ in 0..300 {
        for frame in every_frame(&mut dice) {
            let mut bytes = frame.to_vec();
            bytes.truncate(200);
            for _ in 0..=dice.below(4) {
                let at = 9 + dice.below(bytes.len() as u64 - 9) as usize;
                bytes[at] = [0, 1, 0x7f, 0x80, 0xff, dice.roll() as u8][dice.below(6) as usize];
            }
            read_both(&bytes.into());
        }
    }
}

#[test]
fn an_error_of_a_newer_program_breaks_no_connection() {
    let error = TaskError::Panicked { message: "no".into(), backtrace: String::new() };
    let events = vec![Event::Ended(1, Err(error))];
    let reply = Reply::Cluster(ClusterReply::News { events, slots: 1 });
    let mut frame = content(Frame::reply(1, &reply)).to_vec();
    let name = frame.windows(8).position(|bytes| bytes == b"Panicked").expect("it is by name");
    frame[name..name + 8].copy_from_slice(b"Exploded");
    match read_reply(frame.into()) {
        Ok((1, Reply::Cluster(ClusterReply::News { events, .. }))) => {
            assert!(matches!(&events[..], [Event::Ended(1, Err(TaskError::Undecodable { .. }))]));
        }
        other => panic!("{other:?}"),
    }
}
