//! Messages with control data, many at once, and futexes as C programs use them.
#![cfg(green_threads)]
#![allow(clippy::unwrap_used, clippy::cast_sign_loss, clippy::cast_possible_wrap)]

mod common;

use std::{
    io::{Read, Write},
    net::UdpSocket,
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
        unix::net::UnixStream,
    },
    ptr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use common::{patched, run, suspends};

fn part(bytes: &mut [u8]) -> libc::iovec {
    libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() }
}

fn message(part: &mut libc::iovec) -> libc::msghdr {
    // SAFETY: all zeros is an empty message.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = part;
    message.msg_iovlen = 1;
    message
}

/// Room for one descriptor among control data, aligned as that has to be.
type Control = [u64; 3];

fn send_descriptor(socket: RawFd, descriptor: RawFd) {
    let mut byte = [1];
    let mut part = part(&mut byte);
    let mut message = message(&mut part);
    let mut control: Control = [0; 3];
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = size_of::<Control>();
    // SAFETY: there is room for a header.
    let header = unsafe { libc::CMSG_FIRSTHDR(&raw const message) };
    // SAFETY: as above.
    let header = unsafe { &mut *header };
    header.cmsg_level = libc::SOL_SOCKET;
    header.cmsg_type = libc::SCM_RIGHTS;
    // SAFETY: the macro only computes.
    header.cmsg_len = unsafe { libc::CMSG_LEN(4) } as usize;
    // SAFETY: the macro only computes.
    let place = unsafe { libc::CMSG_DATA(header) };
    // SAFETY: there is room for a descriptor.
    unsafe { place.cast::<RawFd>().write_unaligned(descriptor) };
    // SAFETY: all that the message refers to lives.
    assert_eq!(unsafe { libc::sendmsg(socket, &raw const message, 0) }, 1);
}

fn receive_descriptor(socket: RawFd) -> OwnedFd {
    let mut byte = [0];
    let mut part = part(&mut byte);
    let mut message = message(&mut part);
    let mut control: Control = [0; 3];
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = size_of::<Control>();
    // SAFETY: all that the message refers to lives.
    assert_eq!(unsafe { libc::recvmsg(socket, &raw mut message, 0) }, 1);
    // SAFETY: control data came, as the test's other side sent it.
    let header = unsafe { libc::CMSG_FIRSTHDR(&raw const message) };
    // SAFETY: the macro only computes.
    let place = unsafe { libc::CMSG_DATA(header) };
    // SAFETY: a descriptor came.
    let descriptor = unsafe { place.cast::<RawFd>().read_unaligned() };
    // SAFETY: the descriptor is new, and nobody else's.
    unsafe { OwnedFd::from_raw_fd(descriptor) }
}

#[test]
fn descriptors_travel_between_coroutines() {
    patched(1);
    let (here, there) = UnixStream::pair().unwrap();
    let (reader, mut writer) = std::io::pipe().unwrap();
    let receive = move || {
        let mut reader = std::fs::File::from(receive_descriptor(here.as_raw_fd()));
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        text
    };
    let text = suspends(receive, move || {
        run(move || {
            send_descriptor(there.as_raw_fd(), reader.as_raw_fd());
            drop(reader);
            writer.write_all(b"through it").unwrap();
        });
    });
    assert_eq!(text, "through it");
}

#[test]
fn a_whole_receive_waits_until_its_buffer_is_full() {
    patched(1);
    let (here, mut there) = common::tcp_pair();
    let receive = move || {
        let mut buffer = [0_u8; 6];
        // SAFETY: there is room for so many bytes.
        let got = unsafe {
            libc::recv(here.as_raw_fd(), buffer.as_mut_ptr().cast(), 6, libc::MSG_WAITALL)
        };
        (got, buffer)
    };
    let send = || {
        for piece in [b"ab", b"cd", b"ef"] {
            there.write_all(piece).unwrap();
            thread::sleep(Duration::from_millis(5));
        }
    };
    assert_eq!(suspends(receive, send), (6, *b"abcdef"));
}

#[test]
fn several_datagrams_are_sent_and_received_by_one_call() {
    patched(1);
    let here = UdpSocket::bind("127.0.0.1:0").unwrap();
    let there = UdpSocket::bind("127.0.0.1:0").unwrap();
    there.connect(here.local_addr().unwrap()).unwrap();
    let receive = move || {
        let mut buffers = [[0_u8; 8]; 3];
        let mut parts: Vec<_> = buffers.iter_mut().map(|buffer| part(buffer)).collect();
        let mut all: Vec<_> = parts
            .iter_mut()
            .map(|part| libc::mmsghdr { msg_hdr: message(part), msg_len: 0 })
            .collect();
        // SAFETY: all that the messages refer to lives.
        let got =
            unsafe { libc::recvmmsg(here.as_raw_fd(), all.as_mut_ptr(), 3, 0, ptr::null_mut()) };
        (got, all.iter().map(|one| one.msg_len).collect::<Vec<_>>())
    };
    let send = || {
        run(move || {
            let (mut one, mut two, mut three) = ([1_u8], [2_u8; 2], [3_u8; 3]);
            let mut parts = [part(&mut one), part(&mut two), part(&mut three)];
            let mut all: Vec<_> = parts
                .iter_mut()
                .map(|part| libc::mmsghdr { msg_hdr: message(part), msg_len: 0 })
                .collect();
            // SAFETY: all that the messages refer to lives.
            assert_eq!(unsafe { libc::sendmmsg(there.as_raw_fd(), all.as_mut_ptr(), 3, 0) }, 3);
        });
    };
    assert_eq!(suspends(receive, send), (3, vec![1, 2, 3]));
}

/// `futex` as C programs call it.
fn futex(
    word: &AtomicU32,
    operation: i32,
    value: u32,
    time: *const libc::timespec,
    bits: u32,
) -> Result<i64, i32> {
    let (word, none) = (word.as_ptr(), ptr::null::<u32>());
    // SAFETY: the word lives, and so does the time.
    let got = unsafe { libc::syscall(libc::SYS_futex, word, operation, value, time, none, bits) };
    if got < 0 { Err(std::io::Error::last_os_error().raw_os_error().unwrap()) } else { Ok(got) }
}

#[test]
fn a_futex_shared_with_other_processes_suspends_and_is_woken_through_the_kernel() {
    patched(1);
    let word = Arc::new(AtomicU32::new(0));
    let shared = Arc::clone(&word);
    let wait = move || {
        let mut rounds = 0;
        while shared.load(Ordering::SeqCst) == 0 {
            let _woken = futex(&shared, libc::FUTEX_WAIT, 0, ptr::null(), 0);
            rounds += 1;
        }
        rounds
    };
    let rounds = suspends(wait, || {
        word.store(1, Ordering::SeqCst);
        // A forked process would do the same.
        while futex(&word, libc::FUTEX_WAKE, 1, ptr::null(), 0) == Ok(0) {
            thread::sleep(Duration::from_millis(1));
        }
    });
    assert_eq!(rounds, 1);
}

#[test]
fn only_waiters_with_a_common_bit_are_woken() {
    patched(1);
    let word = Arc::new(AtomicU32::new(0));
    let shared = Arc::clone(&word);
    let private = libc::FUTEX_PRIVATE_FLAG;
    let wait = move || futex(&shared, libc::FUTEX_WAIT_BITSET | private, 0, ptr::null(), 0b0100);
    let woken = suspends(wait, || {
        let wake = |bits| futex(&word, libc::FUTEX_WAKE_BITSET | private, 9, ptr::null(), bits);
        assert_eq!(wake(0b1011), Ok(0));
        assert_eq!(wake(0b0110), Ok(1));
    });
    assert_eq!(woken, Ok(0));
    assert_eq!(futex(&word, libc::FUTEX_WAKE | private, 9, ptr::null(), 0), Ok(0));
}

#[test]
fn futexes_answer_what_the_kernel_answers() {
    patched(1);
    let answers = || {
        let word = AtomicU32::new(5);
        let private = libc::FUTEX_PRIVATE_FLAG;
        let time = |tv_sec, tv_nsec| libc::timespec { tv_sec, tv_nsec };
        let wait = |operation, value, time: &libc::timespec, bits| {
            futex(&word, operation | private, value, time, bits)
        };
        [
            // Another value.
            wait(libc::FUTEX_WAIT, 4, &time(10, 0), 0),
            // Relative; absolute and past, on both clocks.
            wait(libc::FUTEX_WAIT, 5, &time(0, 2_000_000), 0),
            wait(libc::FUTEX_WAIT_BITSET, 5, &time(1, 0), 1),
            wait(libc::FUTEX_WAIT_BITSET | libc::FUTEX_CLOCK_REALTIME, 5, &time(1, 0), 1),
            // Wrong: no bits, no time, no word.
            wait(libc::FUTEX_WAIT_BITSET, 5, &time(1, 0), 0),
            wait(libc::FUTEX_WAIT, 5, &time(0, 2_000_000_000), 0),
            futex(&word, libc::FUTEX_WAKE | private, 1, ptr::null(), 0),
        ]
    };
    assert_eq!(run(answers), answers());
}

#[test]
fn sleeps_of_every_kind_suspend_and_end() {
    patched(1);
    let ticker = common::Ticker::start();
    let before = ticker.count();
    run(|| {
        let start = Instant::now();
        let length = libc::timespec { tv_sec: 0, tv_nsec: 20_000_000 };
        // SAFETY: the time lives.
        assert_eq!(unsafe { libc::nanosleep(&raw const length, ptr::null_mut()) }, 0);
        // SAFETY: the call has no preconditions.
        assert_eq!(unsafe { libc::usleep(20_000) }, 0);
        let mut moment = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: there is room for the time.
        unsafe { libc::clock_gettime(libc::CLOCK_REALTIME, &raw mut moment) };
        moment.tv_sec += 1;
        let (clock, flags) = (libc::CLOCK_REALTIME, libc::TIMER_ABSTIME);
        // SAFETY: the time lives.
        let slept =
            unsafe { libc::clock_nanosleep(clock, flags, &raw const moment, ptr::null_mut()) };
        assert_eq!(slept, 0);
        assert!(start.elapsed() >= Duration::from_secs(1));
        let wrong = libc::timespec { tv_sec: 0, tv_nsec: -1 };
        // SAFETY: the time lives.
        let refused = unsafe { libc::nanosleep(&raw const wrong, ptr::null_mut()) };
        let errno = std::io::Error::last_os_error().raw_os_error();
        assert_eq!((refused, errno), (-1, Some(libc::EINVAL)));
    });
    assert!(ticker.count() > before + 3);
}
