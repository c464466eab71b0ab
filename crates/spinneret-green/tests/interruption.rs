//! What cancellation and `timeout()` do to patched calls.
#![cfg(green_threads)]
#![allow(
    clippy::unwrap_used,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    clippy::large_stack_arrays
)]

mod common;

use std::{
    io::{self, Read, Write},
    net::{TcpListener, TcpStream, ToSocketAddrs, UdpSocket},
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd},
        unix::net::UnixStream,
    },
    process::Command,
    ptr,
    sync::{Arc, Condvar, Mutex, mpsc},
    thread,
    time::{Duration, Instant},
};

use common::{LONG, Ticker, patched, tcp_pair, until};
use spinneret_green::{JoinError, spawn, timeout};

/// Lets a coroutine wait in `call`, interrupts it in two ways, and gives the two errors.
fn interrupted(call: impl Fn() -> io::Result<()> + Clone + Send + 'static) -> [Option<i32>; 2] {
    patched(1);
    let ticker = Ticker::start();
    let (tell, told) = mpsc::channel();
    let cancelled = {
        let call = call.clone();
        spawn(move || {
            tell.send(None).unwrap();
            tell.send(Some(call().unwrap_err().raw_os_error())).unwrap();
        })
    };
    assert_eq!(told.recv().unwrap(), None);
    ticker.goes_on();
    cancelled.cancel();
    let first = told.recv_timeout(LONG).unwrap().unwrap();
    assert!(matches!(cancelled.join(), Err(JoinError::Cancelled)));

    let (tell, told) = mpsc::channel();
    let limited = spawn(move || {
        timeout(Duration::from_millis(30), || {
            tell.send(call().unwrap_err().raw_os_error()).unwrap();
        })
    });
    let second = told.recv_timeout(LONG).unwrap();
    assert!(limited.join().unwrap().is_err(), "it counts as timed out");
    [first, second]
}

const REFUSED: [Option<i32>; 2] = [Some(libc::ECANCELED), Some(libc::ETIMEDOUT)];

fn checked(answer: isize) -> io::Result<()> {
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[test]
fn a_read_a_receive_and_their_like_are_refused() {
    let (socket, _other) = tcp_pair();
    let socket = Arc::new(socket);
    let here = Arc::clone(&socket);
    assert_eq!(interrupted(move || (&*here).read(&mut [0; 4]).map(drop)), REFUSED);
    let here = Arc::clone(&socket);
    assert_eq!(interrupted(move || here.peek(&mut [0; 4]).map(drop)), REFUSED);
    let here = Arc::clone(&socket);
    let read = move || {
        let mut byte = [0_u8];
        // SAFETY: there is room for a byte.
        checked(unsafe { libc::read(here.as_raw_fd(), byte.as_mut_ptr().cast(), 1) })
    };
    assert_eq!(interrupted(read), REFUSED);
    let here = Arc::clone(&socket);
    let message = move || {
        // SAFETY: all zeros is an empty message.
        let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
        let mut byte = [0_u8];
        let mut part = libc::iovec { iov_base: byte.as_mut_ptr().cast(), iov_len: 1 };
        message.msg_iov = &raw mut part;
        message.msg_iovlen = 1;
        // SAFETY: there is room for a byte.
        checked(unsafe { libc::recvmsg(here.as_raw_fd(), &raw mut message, 0) })
    };
    assert_eq!(interrupted(message), REFUSED);
    let datagrams = Arc::new(UdpSocket::bind("127.0.0.1:0").unwrap());
    assert_eq!(interrupted(move || datagrams.recv(&mut [0; 4]).map(drop)), REFUSED);
    let (reader, _writer) = io::pipe().unwrap();
    let reader = Arc::new(reader);
    assert_eq!(interrupted(move || (&*reader).read(&mut [0; 4]).map(drop)), REFUSED);
}

#[test]
fn a_write_is_refused_where_nobody_reads() {
    let (socket, _other) = UnixStream::pair().unwrap();
    let socket = Arc::new(socket);
    let write = move || {
        // A part may be written first, which is no error.
        loop {
            let _part = (&*socket).write(&[0; 100_000])?;
        }
    };
    assert_eq!(interrupted(write), REFUSED);
}

#[test]
fn accept_and_connect_are_refused() {
    let listener = Arc::new(TcpListener::bind("127.0.0.1:0").unwrap());
    assert_eq!(interrupted(move || listener.accept().map(drop)), REFUSED);
    // A listener whose queue is full lets connections wait.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    // SAFETY: the call has no preconditions.
    assert_eq!(unsafe { libc::listen(listener.as_raw_fd(), 0) }, 0);
    let address = listener.local_addr().unwrap();
    let full: Vec<_> = (0..4)
        .map_while(|_| TcpStream::connect_timeout(&address, Duration::from_millis(200)).ok())
        .collect();
    assert!(full.len() < 4, "the queue does not fill");
    assert_eq!(interrupted(move || TcpStream::connect(address).map(drop)), REFUSED);
}

#[test]
fn poll_and_epoll_are_refused() {
    let (socket, _other) = tcp_pair();
    let socket = Arc::new(socket);
    let here = Arc::clone(&socket);
    let poll = move || {
        let mut asked = libc::pollfd { fd: here.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: there is one entry.
        checked(unsafe { libc::poll(&raw mut asked, 1, -1) } as isize)
    };
    assert_eq!(interrupted(poll), REFUSED);
    let select = move || {
        // SAFETY: all zeros is an empty set.
        let mut set: libc::fd_set = unsafe { std::mem::zeroed() };
        // SAFETY: the number is below 1024 here.
        unsafe { libc::FD_SET(socket.as_raw_fd(), &raw mut set) };
        let none = ptr::null_mut();
        // SAFETY: the set is as long as sets are.
        checked(unsafe { libc::select(1024, &raw mut set, none, none, ptr::null_mut()) } as isize)
    };
    assert_eq!(interrupted(select), REFUSED);
    // SAFETY: the call has no preconditions.
    let epoll = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
    // SAFETY: the descriptor was just made.
    let epoll = Arc::new(unsafe { OwnedFd::from_raw_fd(epoll) });
    let wait = move || {
        let mut event = libc::epoll_event { events: 0, u64: 0 };
        // SAFETY: there is room for an event.
        checked(unsafe { libc::epoll_wait(epoll.as_raw_fd(), &raw mut event, 1, -1) } as isize)
    };
    assert_eq!(interrupted(wait), REFUSED);
}

#[test]
fn waiting_for_a_child_is_refused() {
    let wait = || {
        let mut child = Command::new("sleep").arg("60").spawn()?;
        let waited = child.wait().map(drop);
        child.kill()?;
        waited
    };
    assert_eq!(interrupted(wait), REFUSED);
}

#[test]
fn rarer_forms_are_refused_too() {
    let (socket, _other) = tcp_pair();
    let socket = Arc::new(socket);
    let (pipe, end) = io::pipe().unwrap();
    let (null, pipe, end) = (ptr::null_mut::<libc::c_void>(), Arc::new(pipe), Arc::new(end));
    let null = null as usize;

    let here = Arc::clone(&socket);
    let gathered = move || {
        let mut byte = [0_u8];
        let part = libc::iovec { iov_base: byte.as_mut_ptr().cast(), iov_len: 1 };
        // SAFETY: there is room for a byte.
        checked(unsafe { libc::readv(here.as_raw_fd(), &raw const part, 1) })
    };
    assert_eq!(interrupted(gathered), REFUSED);
    let here = Arc::clone(&pipe);
    let gathered = move || {
        let mut byte = [0_u8];
        let part = libc::iovec { iov_base: byte.as_mut_ptr().cast(), iov_len: 1 };
        // SAFETY: there is room for a byte.
        checked(unsafe { libc::readv(here.as_raw_fd(), &raw const part, 1) })
    };
    assert_eq!(interrupted(gathered), REFUSED);
    let here = UdpSocket::bind("127.0.0.1:0").unwrap();
    let here = Arc::new(here);
    let several = move || {
        // SAFETY: all zeros are empty messages.
        let mut all: [libc::mmsghdr; 2] = unsafe { std::mem::zeroed() };
        let fd = here.as_raw_fd();
        // SAFETY: there are two messages, and no time.
        checked(unsafe { libc::recvmmsg(fd, all.as_mut_ptr(), 2, 0, ptr::null_mut()) } as isize)
    };
    assert_eq!(interrupted(several), REFUSED);
    let (here, into) = (Arc::clone(&socket), Arc::clone(&end));
    let moved = move || {
        let (from, to) = (here.as_raw_fd(), into.as_raw_fd());
        // SAFETY: no offsets are given.
        checked(unsafe { libc::splice(from, ptr::null_mut(), to, ptr::null_mut(), 10, 0) })
    };
    assert_eq!(interrupted(moved), REFUSED);
    let here = Arc::clone(&pipe);
    let polled = move || {
        let mut asked = libc::pollfd { fd: here.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: there is one entry, no time and no mask.
        checked(unsafe { libc::ppoll(&raw mut asked, 1, ptr::null(), ptr::null()) } as isize)
    };
    assert_eq!(interrupted(polled), REFUSED);
    drop(end);
    let selected = move || {
        let (set, time) = (null as *mut libc::fd_set, libc::timespec { tv_sec: 60, tv_nsec: 0 });
        // SAFETY: there are no sets and no mask.
        let got = unsafe { libc::pselect(0, set, set, set, &raw const time, ptr::null()) };
        checked(got as isize)
    };
    assert_eq!(interrupted(selected), REFUSED);
    let child = || {
        let mut child = Command::new("sleep").arg("60").spawn()?;
        // SAFETY: all zeros is the information of no signal.
        let mut told: libc::siginfo_t = unsafe { std::mem::zeroed() };
        let events = libc::WEXITED | libc::WSTOPPED;
        // SAFETY: there is room for what is told.
        let got = unsafe { libc::waitid(libc::P_PID, child.id(), &raw mut told, events) };
        let waited = checked(got as isize);
        child.kill()?;
        child.wait()?;
        waited
    };
    patched(1);
    let limited = spawn(move || timeout(Duration::from_millis(30), child));
    assert!(limited.join().unwrap().is_err());
}

#[test]
fn an_endless_loop_of_sleeps_is_ended() {
    patched(1);
    let sleeper = spawn(|| {
        loop {
            thread::sleep(Duration::from_secs(100));
        }
    });
    thread::sleep(Duration::from_millis(10));
    sleeper.cancel();
    let end = Instant::now() + LONG;
    until(|| sleeper.is_finished() || Instant::now() > end);
    assert!(matches!(sleeper.join(), Err(JoinError::Cancelled)));

    let limited = spawn(|| {
        timeout(Duration::from_millis(20), || {
            loop {
                thread::sleep(Duration::from_secs(100));
            }
        })
    });
    assert!(limited.join().unwrap().is_err());
}

#[test]
fn one_sleep_ends_early_and_the_code_after_it_runs() {
    patched(1);
    let outcome = spawn(|| {
        let mut after = false;
        let limited = timeout(Duration::from_millis(20), || {
            thread::sleep(Duration::from_secs(100));
            after = true;
        });
        // Out of the limit, all is as before.
        let start = Instant::now();
        thread::sleep(Duration::from_millis(20));
        (limited.is_err(), after, start.elapsed() >= Duration::from_millis(20))
    });
    assert_eq!(outcome.join().unwrap(), (true, true, true));
}

#[test]
fn a_lock_is_waited_for_to_the_end_whatever_comes() {
    patched(1);
    let mutex = Arc::new(Mutex::new(0));
    let held = mutex.lock().unwrap();
    let wanted = Arc::clone(&mutex);
    let (tell, told) = mpsc::channel();
    let locker = spawn(move || {
        tell.send(()).unwrap();
        let locked = timeout(Duration::from_millis(10), || *wanted.lock().unwrap() += 1);
        assert!(locked.is_ok());
        tell.send(()).unwrap();
    });
    told.recv().unwrap();
    let ticker = Ticker::start();
    ticker.goes_on();
    locker.cancel();
    for _ in 0..5 {
        ticker.goes_on();
    }
    assert!(told.try_recv().is_err(), "it got a lock that is held");
    drop(held);
    told.recv_timeout(LONG).unwrap();
    assert_eq!(*mutex.lock().unwrap(), 1);
}

#[test]
fn a_timed_wait_for_a_condition_ends_early_once() {
    patched(1);
    let waiter = spawn(|| {
        let (mutex, condition) = (Mutex::new(()), Condvar::new());
        let limited = timeout(Duration::from_millis(20), || {
            let held = mutex.lock().unwrap();
            let (held, first) = condition.wait_timeout(held, Duration::from_secs(100)).unwrap();
            let start = Instant::now();
            let (_held, second) = condition.wait_timeout(held, Duration::from_millis(30)).unwrap();
            assert!(first.timed_out() && second.timed_out());
            assert!(start.elapsed() >= Duration::from_millis(30));
        });
        limited.is_err()
    });
    assert!(waiter.join().unwrap());
}

#[test]
fn a_name_that_does_not_exist_is_an_error_as_in_a_thread() {
    patched(1);
    let look_up = || ("name.invalid", 80).to_socket_addrs().map(drop);
    let handle = spawn(look_up);
    let end = Instant::now() + LONG;
    until(|| handle.is_finished() || Instant::now() > end);
    let (here, there) = (handle.join().unwrap().unwrap_err(), look_up().unwrap_err());
    assert_eq!((here.kind(), here.to_string()), (there.kind(), there.to_string()));
}

#[test]
fn names_that_need_nobody_are_found() {
    patched(1);
    let found = spawn(|| {
        let local: Vec<_> = ("localhost", 80).to_socket_addrs().unwrap().collect();
        let number: Vec<_> = ("127.0.0.1", 81).to_socket_addrs().unwrap().collect();
        (local, number)
    });
    let (local, number) = found.join().unwrap();
    assert!(local.iter().all(|address| address.ip().is_loopback()) && !local.is_empty());
    assert_eq!(number, ["127.0.0.1:81".parse().unwrap()]);
    let cut =
        spawn(|| timeout(Duration::ZERO, || ("other.invalid", 80).to_socket_addrs().map(drop)));
    match cut.join().unwrap() {
        Err(_) => {}
        Ok(answer) => panic!("not cut short: {answer:?}"),
    }
}
