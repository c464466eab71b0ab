//! Pipes: what is sent arrives, whole and in order, and the end of an end is seen.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use spinneret::pipe::{
    Connection, Receiver, RecvError, SendError, Sender, pipe, pipe_between, pipe_simplex, wait,
};
use spinneret::process::Process;
use spinneret::task::EncodeError;

/// Far beyond what anything here takes.
const LONG: Duration = Duration::from_mins(1);

fn started<T: spinneret::Task>(task: T, args: T::Args) -> Process {
    let process = Process::new(task, args).unwrap();
    process.start().unwrap();
    process
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

#[spinneret::task]
fn echo(end: Connection<Vec<u8>>) {
    while let Ok(bytes) = end.recv() {
        end.send(&bytes).unwrap();
    }
}

#[test]
fn values_of_any_size_come_back_from_another_process() {
    let (ours, theirs) = pipe::<Vec<u8>>().unwrap();
    let process = started(echo, theirs);
    for length in [0, 1, 1000, 65_000, 65_536, 65_537, 300_000, 20 << 20] {
        let bytes: Vec<u8> = (0..length).map(|at: usize| at as u8).collect();
        ours.send(&bytes).unwrap();
        assert_eq!(ours.recv().unwrap(), bytes);
    }
    drop(ours);
    assert!(process.join().unwrap().success());
}

#[test]
fn the_two_directions_may_differ_in_type() {
    let (ask, answer) = pipe_between::<u32, String>().unwrap();
    ask.send(&7).unwrap();
    answer.send(&answer.recv().unwrap().to_string()).unwrap();
    assert_eq!(ask.recv().unwrap(), "7");
}

#[test]
fn there_may_be_nothing_yet() {
    let (a, b) = pipe::<u8>().unwrap();
    assert!(matches!(b.try_recv(), Err(RecvError::Empty)));
    assert!(matches!(b.recv_timeout(Duration::from_millis(5)), Err(RecvError::Empty)));
    assert!(matches!(b.recv_bytes_timeout(Duration::ZERO), Err(RecvError::Empty)));
    assert!(!b.poll(Duration::ZERO) && !b.poll(Duration::from_millis(5)));
    a.send(&1).unwrap();
    assert!(b.poll(None) && b.poll(Duration::ZERO));
    assert_eq!(b.recv_timeout(LONG).unwrap(), 1);
    a.send(&2).unwrap();
    assert_eq!(b.recv_timeout(Duration::MAX).unwrap(), 2);
    a.send(&3).unwrap();
    assert_eq!(b.try_recv().unwrap(), 3);
}

#[test]
fn a_dropped_end_is_seen_after_what_it_sent() {
    let (a, b) = pipe::<u8>().unwrap();
    a.send(&1).unwrap();
    // Unread by the one that goes: what it sent must come all the same.
    b.send(&9).unwrap();
    drop(a);
    assert!(b.poll(Duration::ZERO));
    assert_eq!(b.recv().unwrap(), 1);
    for _ in 0..2 {
        assert!(matches!(b.recv(), Err(RecvError::Eof)));
        assert!(matches!(b.try_recv(), Err(RecvError::Eof)));
        assert!(matches!(b.recv_timeout(LONG), Err(RecvError::Eof)));
        assert!(matches!(b.recv_bytes(), Err(RecvError::Eof)));
        assert!(matches!(b.send(&1), Err(SendError::Closed)));
        assert!(matches!(b.send(&1), Err(SendError::Closed)));
        assert!(matches!(b.send_bytes(&vec![0; 100_000]), Err(SendError::Closed)));
        assert!(b.poll(Duration::ZERO));
    }
}

#[test]
fn an_end_is_gone_with_its_last_clone() {
    let (receiver, sender) = pipe_simplex::<u8>().unwrap();
    let clone = sender.clone();
    drop(sender);
    clone.send(&1).unwrap();
    assert_eq!(receiver.recv().unwrap(), 1);
    assert!(!receiver.poll(Duration::from_millis(5)));
    drop(clone);
    assert!(matches!(receiver.recv(), Err(RecvError::Eof)));
}

#[spinneret::task]
fn send_and_stay(end: Sender<u8>) {
    end.send(&1).unwrap();
    thread::sleep(Duration::from_mins(10));
}

#[test]
fn the_death_of_the_other_process_is_the_end() {
    let (receiver, sender) = pipe_simplex().unwrap();
    let process = started(send_and_stay, sender);
    assert_eq!(receiver.recv().unwrap(), 1);
    assert!(!receiver.poll(Duration::ZERO));
    process.kill().unwrap();
    assert!(matches!(receiver.recv(), Err(RecvError::Eof)));
    assert_eq!(process.join().unwrap().code(), -9);
}

#[spinneret::task]
fn stay(_end: Receiver<Vec<u8>>) {
    thread::sleep(Duration::from_mins(10));
}

#[test]
fn a_sender_that_waits_sees_the_death_of_the_receiver() {
    for length in [10_000, 1_000_000] {
        let (receiver, sender) = pipe_simplex().unwrap();
        let process = started(stay, receiver);
        let waiting = thread::spawn(move || {
            // Until the pipe is full; a long one waits to be taken.
            for _ in 0..1000 {
                sender.send(&vec![0; length])?;
            }
            Ok(())
        });
        thread::sleep(Duration::from_millis(20));
        assert!(!waiting.is_finished());
        process.kill().unwrap();
        assert!(matches!(waiting.join().unwrap(), Err(SendError::Closed)));
        process.join().unwrap();
    }
}

#[test]
fn bytes_and_values_are_told_apart() {
    let (a, b) = pipe::<String>().unwrap();
    a.send_bytes(b"raw").unwrap();
    assert_eq!(b.recv_bytes().unwrap(), b"raw");
    a.send_bytes(b"raw").unwrap();
    a.send(&"x".to_owned()).unwrap();
    a.send_bytes(&[]).unwrap();
    a.send(&"y".to_owned()).unwrap();
    assert!(matches!(b.recv(), Err(RecvError::Bytes(bytes)) if bytes == b"raw"));
    assert!(matches!(b.recv_bytes(), Err(RecvError::NotBytes)));
    assert_eq!(b.recv_bytes_timeout(LONG).unwrap(), b"");
    assert_eq!(b.recv().unwrap(), "y");
}

#[derive(Debug, serde::Serialize)]
struct Wide(u64);

/// Reads what [`Wide`] writes, if it is small.
#[derive(Debug, PartialEq)]
struct Narrow(u64);

impl serde::Serialize for Narrow {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Wide(self.0).serialize(serializer)
    }
}

impl<'de> serde::Deserialize<'de> for Narrow {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = u64::deserialize(deserializer)?;
        if number < 10 { Ok(Self(number)) } else { Err(serde::de::Error::custom("too wide")) }
    }
}

#[test]
fn what_cannot_be_decoded_is_an_error_and_the_next_one_comes() {
    let (a, b) = pipe::<Narrow>().unwrap();
    for number in [1, 10, 2] {
        a.send(&Narrow(number)).unwrap();
    }
    assert_eq!(b.recv().unwrap(), Narrow(1));
    match b.recv() {
        Err(RecvError::Undecodable { type_name, cause }) => {
            assert!(type_name.contains("Narrow") && cause.contains("too wide"), "{cause}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(b.recv().unwrap(), Narrow(2));
}

/// Cannot be serialized.
struct Never;

impl serde::Serialize for Never {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("never"))
    }
}

#[test]
fn what_cannot_be_sent_is_an_error_at_once() {
    let (a, b) = pipe::<Never>().unwrap();
    match a.send(&Never) {
        Err(SendError::Encode(EncodeError::Unserializable(cause))) => assert_eq!(cause, "never"),
        other => panic!("{other:?}"),
    }
    a.send_bytes(b"next").unwrap();
    assert!(b.poll(Duration::ZERO));

    let ends: Vec<_> = (0..65).map(|_| pipe::<u8>().unwrap().0).collect();
    let (a, b) = pipe::<Vec<Connection<u8>>>().unwrap();
    assert!(matches!(a.send(&ends), Err(SendError::Encode(EncodeError::TooManyAttachments))));
    a.send(&ends[..64].to_vec()).unwrap();
    assert_eq!(b.recv().unwrap().len(), 64);
}

#[test]
fn many_senders_and_receivers_do_not_mix_messages_up() {
    let (a, b) = pipe::<(u32, u32, Vec<u8>)>().unwrap();
    let (senders, each) = (4, 300);
    let mut got: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    thread::scope(|scope| {
        for sender in 0..senders {
            let a = a.clone();
            scope.spawn(move || {
                for number in 0..each {
                    // Now and then one that does not fit in a packet.
                    let length = if number % 50 == 0 { 200_000 } else { number as usize };
                    a.send(&(sender, number, vec![sender as u8; length])).unwrap();
                }
            });
        }
        let receivers: Vec<_> = (0..2)
            .map(|_| {
                let b = b.clone();
                scope.spawn(move || {
                    let mut got = Vec::new();
                    for _ in 0..senders * each / 2 {
                        let (sender, number, bytes) = b.recv().unwrap();
                        assert!(bytes.iter().all(|byte| u32::from(*byte) == sender));
                        got.push((sender, number));
                    }
                    got
                })
            })
            .collect();
        for receiver in receivers {
            let mut last = BTreeMap::new();
            for (sender, number) in receiver.join().unwrap() {
                // In order, as each receiver sees them.
                assert!(last.insert(sender, number).is_none_or(|before| before < number));
                got.entry(sender).or_default().push(number);
            }
        }
    });
    for numbers in got.values_mut() {
        numbers.sort_unstable();
        assert_eq!(*numbers, (0..each).collect::<Vec<_>>());
    }
    assert_eq!(got.len(), 4);
}

/// A pipe whose messages are ends of pipes.
type Nest = Connection<Connection<u64>>;

#[spinneret::task]
fn double_of_each(nest: Nest, out: Sender<Vec<Option<Connection<u64>>>>) {
    let mut ends = Vec::new();
    while let Ok(end) = nest.recv() {
        let number = end.recv().unwrap();
        end.send(&(number * 2)).unwrap();
        ends.push(Some(end));
        ends.push(None);
    }
    out.send(&ends).unwrap();
}

#[test]
fn ends_travel_in_arguments_and_messages_and_back() {
    let before = descriptors();
    let (nest, theirs) = pipe().unwrap();
    let (back, out) = pipe_simplex().unwrap();
    let process = started(double_of_each, (theirs, out));
    let ours: Vec<_> = (0..5)
        .map(|number| {
            let (one, other) = pipe::<u64>().unwrap();
            one.send(&number).unwrap();
            nest.send(&other).unwrap();
            one
        })
        .collect();
    for (number, end) in ours.iter().enumerate() {
        assert_eq!(end.recv().unwrap(), number as u64 * 2);
    }
    drop(nest);
    let ends = back.recv().unwrap();
    assert_eq!(ends.len(), 10);
    for (number, end) in ends.iter().step_by(2).enumerate() {
        end.as_ref().unwrap().send(&(number as u64)).unwrap();
        assert_eq!(ours[number].recv().unwrap(), number as u64);
    }
    assert!(process.join().unwrap().success());
    drop(ends);
    assert!(ours.iter().all(|end| matches!(end.recv(), Err(RecvError::Eof))));
    drop((ours, back, process));
    assert_eq!(descriptors(), before);
}

#[test]
fn an_end_and_large_data_travel_together() {
    let (a, b) = pipe::<(Connection<u8>, Vec<u8>)>().unwrap();
    let (one, other) = pipe::<u8>().unwrap();
    let sent = thread::spawn(move || a.send(&(other, vec![5; 1 << 20])));
    let (other, bytes) = b.recv().unwrap();
    sent.join().unwrap().unwrap();
    assert_eq!(bytes, vec![5; 1 << 20]);
    other.send(&3).unwrap();
    assert_eq!(one.recv().unwrap(), 3);
}

#[test]
fn one_can_wait_for_many() {
    let ends: Vec<_> = (0..10).map(|_| pipe::<u8>().unwrap()).collect();
    let receivers: Vec<_> = ends.iter().map(|(_, end)| end as _).collect();
    assert_eq!(wait(&receivers, Duration::from_millis(5)), [0; 0]);
    ends[3].0.send(&1).unwrap();
    ends[7].0.send(&1).unwrap();
    assert_eq!(wait(&receivers, LONG), [3, 7]);
    assert_eq!(wait(&receivers, None), [3, 7]);
    ends[3].1.recv().unwrap();
    assert_eq!(wait(&receivers, Duration::ZERO), [7]);

    let (sender, receiver) = (ends[0].0.clone(), &ends[0].1);
    let process = started(echo_once, sender);
    let sentinel = process.sentinel().unwrap();
    assert_eq!(wait(&[receiver], LONG), [0]);
    assert_eq!(wait(&[&sentinel], LONG), [0]);
    assert_eq!(receiver.recv().unwrap(), 5);
    process.join().unwrap();
}

#[spinneret::task]
fn echo_once(end: Connection<u8>) {
    end.send(&5).unwrap();
}

#[test]
fn async_twins_wait_without_a_thread() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (a, b) = pipe::<Vec<u8>>().unwrap();
        let both = {
            let b = b.clone();
            tokio::spawn(async move {
                let mut lengths = Vec::new();
                for _ in 0..60 {
                    lengths.push(b.recv_async().await.unwrap().len());
                }
                b.send_bytes_async(b"done").await.unwrap();
                lengths
            })
        };
        // A task that waits for the same end at the same time, for another message.
        tokio::task::yield_now().await;
        for number in 0..60 {
            // More than the pipe holds, and now and then one that is handed over.
            let length = if number % 20 == 0 { 300_000 } else { 20_000 };
            a.send_async(&vec![0; length + number]).await.unwrap();
        }
        assert_eq!(a.recv_bytes_async().await.unwrap(), b"done");
        let lengths = both.await.unwrap();
        assert!(lengths.iter().enumerate().all(|(number, length)| length % 20_000 == number));
        drop(a);
        assert!(matches!(b.recv_async().await, Err(RecvError::Eof)));
        assert!(matches!(b.send_async(&vec![0]).await, Err(SendError::Closed)));
    });
}

#[test]
fn an_end_cannot_be_sent_to_a_manager() {
    use spinneret::manager::{AuthKey, Manager, ManagerError, PutError, QueueOptions};

    let manager = Manager::builder()
        .listen("127.0.0.1:0")
        .authkey(AuthKey::new("key"))
        .register("ends", QueueOptions::new())
        .start()
        .unwrap();
    let queue = manager.queue::<Connection<u8>>("ends").unwrap();
    match queue.put(pipe::<u8>().unwrap().0) {
        Err(PutError::Manager { error: ManagerError::NotSendableOverNetwork { what }, .. }) => {
            assert!(what.contains("Connection"), "{what}");
        }
        other => panic!("{other:?}"),
    }
}
