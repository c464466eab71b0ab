use tokio::time::timeout;

use super::*;
use crate::manager::{
    stream::FrameReader,
    wire::{Name, Request, Wait, read_request},
};

const LONG: Duration = Duration::from_mins(1);

fn put(items: Vec<Bytes>) -> Request {
    Request::Put { queue: Name::sought("q"), wait: Wait::No, items }
}

#[tokio::test]
async fn frames_large_and_small_arrive_as_they_were_pushed() {
    let (near, far) = tokio::io::duplex(1000);
    let outbox = Outbox::new();
    let requests: Vec<Request> = (0..50)
        .map(|n| put(vec![vec![n; 10].into(), vec![n; 30_000].into(), vec![n; 3].into()]))
        .collect();
    for (id, request) in requests.iter().enumerate() {
        outbox.push(Frame::request(id as u64, request));
    }
    outbox.close();
    outbox.push(Frame::request(99, &Request::Ping));
    let write = outbox.write_to(near, LONG, LONG, || (), || None);
    let read = async {
        let mut reader = FrameReader::new(far, 1 << 20);
        let mut got = Vec::new();
        while let Some(frame) = reader.next(LONG).await.unwrap() {
            let (id, request) = read_request(frame).unwrap();
            assert_eq!(id as usize, got.len());
            got.push(request.unwrap());
        }
        got
    };
    let (written, got) = tokio::join!(write, read);
    written.unwrap();
    assert_eq!(got, requests, "and nothing that was pushed after closing");
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_takes_nothing_is_an_error() {
    let (near, _far) = tokio::io::duplex(10);
    let outbox = Outbox::new();
    outbox.push(Frame::request(1, &put(vec![vec![0; 100].into()])));
    let error = outbox.write_to(near, LONG, LONG, || (), || None).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
}

#[tokio::test]
async fn room_is_waited_for_until_something_is_written() {
    let outbox = Outbox::new();
    outbox.room().await;
    outbox.push(Frame::request(1, &put(vec![vec![0; 2 << 20].into()])));
    let (near, far) = tokio::io::duplex(1 << 10);
    let mut room = std::pin::pin!(outbox.room());
    let waits = tokio::select! { biased; () = &mut room => false, () = async {} => true };
    assert!(waits);
    let mut reader = FrameReader::new(far, 4 << 20);
    tokio::select! {
        () = room => {}
        _ = outbox.write_to(near, LONG, LONG, || (), || None) => unreachable!("not closed"),
        () = async {
            reader.next(LONG).await.unwrap();
            std::future::pending::<()>().await;
        } => {}
    }
}

#[tokio::test]
async fn what_a_dropped_writer_left_is_written_first() {
    let (mut near, far) = tokio::io::duplex(64);
    let outbox = Outbox::new();
    outbox.push(Frame::request(1, &put(vec![vec![1; 20_000].into()])));
    outbox.push(Frame::request(2, &put(vec![vec![2; 20_000].into()])));
    let mut reader = FrameReader::new(far, 1 << 20);
    for id in 1..=2 {
        // A writer that is given up whenever the stream takes no more.
        let write = async {
            loop {
                let write = outbox.write_to(&mut near, LONG, LONG, || (), || None);
                let _ = timeout(Duration::from_millis(1), write).await;
            }
        };
        let frame = tokio::select! {
            frame = reader.next(LONG) => frame.unwrap().unwrap(),
            () = write => unreachable!("it never ends"),
        };
        let (read, request) = read_request(frame).unwrap();
        assert_eq!(read, id);
        assert_eq!(request.unwrap(), put(vec![vec![id as u8; 20_000].into()]));
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_caller_writes_at_once_and_leaves_the_rest_to_the_task() {
    let outbox = Outbox::new();
    outbox.push_quietly(Frame::request(1, &Request::Ping));
    let mut written = Vec::new();
    let mut takes = 5;
    let write = |pieces: &[IoSlice<'_>]| {
        if takes == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        takes -= 1;
        written.push(pieces[0][0]);
        Ok(1)
    };
    outbox.write_now(write, || ()).unwrap();
    assert_eq!(written.len(), 5);
    outbox.close();
    let mut rest = io::Cursor::new(Vec::new());
    outbox.write_to(&mut rest, LONG, LONG, || (), || None).await.unwrap();
    written.extend(rest.into_inner());
    assert_eq!(written, b"\0\0\0\x09\0\0\0\0\0\0\0\x01\x01");
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_kept_alive() {
    let (near, far) = tokio::io::duplex(100);
    let outbox = Outbox::new();
    let beat = || Some(Frame::request(7, &Request::Ping));
    let mut reader = FrameReader::new(far, 100);
    let read = async {
        for _ in 0..3 {
            let frame = reader.next(LONG).await.unwrap().unwrap();
            assert_eq!(read_request(frame).unwrap(), (7, Ok(Request::Ping)));
        }
    };
    tokio::select! {
        () = read => {}
        _ = outbox.write_to(near, LONG, LONG / 6, || (), beat) => unreachable!("not closed"),
    }
}
