//! Processes, polls and nested runtimes in coroutines.
#![cfg(green_threads)]
#![allow(
    clippy::unwrap_used,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    clippy::large_stack_arrays
)]

mod common;

use std::{
    fs::File,
    io::{Read, Write},
    net::TcpStream,
    os::{
        fd::AsRawFd,
        unix::process::{CommandExt, ExitStatusExt},
    },
    process::{Command, Stdio},
    ptr,
    time::{Duration, Instant},
};

use common::{echo_threads, finish, patched, run, suspends, tcp_pair};
use spinneret_green::{Builder, spawn};

#[test]
fn a_child_is_run_and_its_output_read() {
    patched(1);
    let output = run(|| Command::new("sh").args(["-c", "echo out; echo err >&2; exit 3"]).output());
    let output = output.unwrap();
    assert_eq!(
        (output.stdout.as_slice(), output.stderr.as_slice()),
        (&b"out\n"[..], &b"err\n"[..])
    );
    assert_eq!(output.status.code(), Some(3));
}

#[test]
fn a_fork_and_exec_works_where_spawn_cannot_be_used() {
    patched(2);
    let all = (0..6).map(|n| {
        let work = move || {
            let mut command = Command::new("sh");
            command.args(["-c", "exit $0", &n.to_string()]);
            // SAFETY: it does nothing; but with it, std has to fork.
            unsafe { command.pre_exec(|| Ok(())) };
            command.status().unwrap().code()
        };
        (n, Builder::new().hub(n).spawn(work).unwrap())
    });
    for (n, handle) in all.collect::<Vec<_>>() {
        assert_eq!(finish(handle), Some(n as i32));
    }
    let missing = run(|| {
        let mut command = Command::new("/does/not/exist");
        // SAFETY: as above.
        unsafe { command.pre_exec(|| Ok(())) };
        command.status().unwrap_err().kind()
    });
    assert_eq!(missing, std::io::ErrorKind::NotFound);
}

#[test]
fn waiting_for_a_child_suspends() {
    patched(1);
    let child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
    let mut child = child;
    let input = child.stdin.take();
    let status = suspends(move || child.wait().unwrap(), || drop(input));
    assert!(status.success());

    let mut child = Command::new("sleep").arg("60").spawn().unwrap();
    let pid = child.id() as i32;
    let status = suspends(
        move || child.wait().unwrap(),
        || {
            // SAFETY: the child is ours and not waited for yet.
            assert_eq!(unsafe { libc::kill(pid, libc::SIGKILL) }, 0);
        },
    );
    assert_eq!(status.signal(), Some(libc::SIGKILL));
}

#[test]
fn waiting_for_stops_and_ends_suspends_too() {
    patched(1);
    #[expect(clippy::zombie_processes, reason = "waited for by its number")]
    let child = Command::new("sleep").arg("60").spawn().unwrap();
    let pid = child.id() as i32;
    let signal = move |signal| {
        // SAFETY: the child is ours and not waited for yet.
        assert_eq!(unsafe { libc::kill(pid, signal) }, 0);
    };
    let wait = move |options| {
        let mut status = 0;
        // SAFETY: there is room for the status.
        let waited = unsafe { libc::waitpid(pid, &raw mut status, options) };
        assert_eq!(waited, pid);
        status
    };
    let status = suspends(move || wait(libc::WUNTRACED), || signal(libc::SIGSTOP));
    assert!(libc::WIFSTOPPED(status));
    let status = suspends(move || wait(libc::WCONTINUED), || signal(libc::SIGCONT));
    assert!(libc::WIFCONTINUED(status));
    let ended = move || {
        // SAFETY: all zeros is the information of no signal.
        let mut told: libc::siginfo_t = unsafe { std::mem::zeroed() };
        let id = pid as libc::id_t;
        // SAFETY: there is room for what is told.
        assert_eq!(unsafe { libc::waitid(libc::P_PID, id, &raw mut told, libc::WEXITED) }, 0);
        // SAFETY: it is a child's news.
        unsafe { told.si_status() }
    };
    assert_eq!(suspends(ended, || signal(libc::SIGTERM)), libc::SIGTERM);
}

#[test]
fn poll_of_one_and_of_several_suspends() {
    patched(1);
    let (one, mut there) = tcp_pair();
    let poll = move |others: usize| {
        let mut all = vec![libc::pollfd { fd: -1, events: libc::POLLIN, revents: 0 }; others];
        let fd = one.as_raw_fd();
        all.push(libc::pollfd { fd, events: libc::POLLIN, revents: 0 });
        // SAFETY: there are so many entries.
        let got = unsafe { libc::poll(all.as_mut_ptr(), all.len() as u64, -1) };
        let mut byte = [0];
        (&one).read_exact(&mut byte).unwrap();
        (got, all[others].revents, one)
    };
    let (got, events, one) = suspends(move || poll(0), || there.write_all(b"x").unwrap());
    assert_eq!((got, events), (1, libc::POLLIN));
    let poll = move || {
        let (two, _keep) = tcp_pair();
        let file = File::open("/proc/self/stat").unwrap();
        let mut all = [one.as_raw_fd(), two.as_raw_fd(), -1, file.as_raw_fd()]
            .map(|fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 });
        all[3].events = 0;
        // SAFETY: there are so many entries.
        let got = unsafe { libc::poll(all.as_mut_ptr(), 4, 60_000) };
        (got, all.map(|entry| entry.revents))
    };
    let (got, events) = suspends(poll, || there.write_all(b"y").unwrap());
    assert_eq!((got, events), (1, [libc::POLLIN, 0, 0, 0]));
}

#[test]
fn poll_for_writing_does_not_lose_what_waits_to_be_read() {
    patched(1);
    let (mut here, mut there) = tcp_pair();
    there.write_all(b"waits").unwrap();
    run(move || {
        // Fill what can be sent, so that the poll has to wait for its time.
        here.set_nonblocking(true).unwrap();
        while here.write(&[0; 65_536]).is_ok() {}
        here.set_nonblocking(false).unwrap();
        let fd = here.as_raw_fd();
        let mut asked = libc::pollfd { fd, events: libc::POLLOUT, revents: 0 };
        // SAFETY: there is one entry.
        assert_eq!(unsafe { libc::poll(&raw mut asked, 1, 20) }, 0);
        let mut buffer = [0; 5];
        here.read_exact(&mut buffer).unwrap();
        assert_eq!(&buffer, b"waits");
    });
}

#[test]
fn a_poll_without_anything_is_a_sleep() {
    patched(1);
    let slept = run(|| {
        let start = Instant::now();
        // SAFETY: there are no entries.
        let got = unsafe { libc::poll(ptr::null_mut(), 0, 30) };
        (got, start.elapsed() >= Duration::from_millis(30))
    });
    assert_eq!(slept, (0, true));
}

#[test]
fn select_suspends_and_says_which() {
    patched(1);
    let (one, mut there) = tcp_pair();
    let select = move || {
        // SAFETY: all zeros is an empty set.
        let mut set: libc::fd_set = unsafe { std::mem::zeroed() };
        let fd = one.as_raw_fd();
        // SAFETY: the number is below 1024 here.
        unsafe { libc::FD_SET(fd, &raw mut set) };
        let mut time = libc::timeval { tv_sec: 60, tv_usec: 0 };
        let none = ptr::null_mut();
        // SAFETY: the set is as long as sets are.
        let got = unsafe { libc::select(fd + 1, &raw mut set, none, none, &raw mut time) };
        // SAFETY: as above.
        (got, unsafe { libc::FD_ISSET(fd, &raw const set) }, time.tv_sec < 60)
    };
    assert_eq!(suspends(select, || there.write_all(b"x").unwrap()), (1, true, true));
}

#[test]
fn a_runtime_within_a_coroutine_runs_beside_others() {
    patched(1);
    let address = echo_threads();
    let all = (0..4_u8).map(|n| {
        spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async move {
                use tokio::io::{AsyncReadExt, AsyncWriteExt};
                let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
                for _ in 0..10 {
                    socket.write_all(&[n]).await.unwrap();
                    assert_eq!(socket.read_u8().await.unwrap(), n);
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            });
        })
    });
    let ticker = common::Ticker::start();
    let all: Vec<_> = all.collect();
    ticker.goes_on();
    all.into_iter().for_each(finish);
    // One with threads of its own.
    run(move || {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        runtime.unwrap().block_on(async move {
            let tasks: Vec<_> = (0..4).map(|n| tokio::spawn(async move { n * 2 })).collect();
            for (n, task) in tasks.into_iter().enumerate() {
                assert_eq!(task.await.unwrap(), n * 2);
            }
        });
    });
}

#[test]
fn files_and_terminals_are_read_and_written_as_ever() {
    patched(1);
    run(|| {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"on a disk").unwrap();
        std::io::Seek::rewind(&mut file).unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "on a disk");
        let mut null = File::options().read(true).write(true).open("/dev/null").unwrap();
        null.write_all(b"nothing").unwrap();
        assert_eq!(null.read(&mut [0; 4]).unwrap(), 0);
    });
    // A terminal is asked for its readiness.
    let (mut master, mut slave) = (0, 0);
    let none = ptr::null_mut();
    // SAFETY: there is room for two descriptors, and nothing else is given.
    let opened =
        unsafe { libc::openpty(&raw mut master, &raw mut slave, none, ptr::null(), ptr::null()) };
    assert_eq!(opened, 0);
    let read = move || {
        let mut buffer = [0_u8; 16];
        // SAFETY: there is room for so many bytes.
        let got = unsafe { libc::read(slave, buffer.as_mut_ptr().cast(), buffer.len()) };
        buffer[..got as usize].to_vec()
    };
    let got = suspends(read, || {
        // SAFETY: so many bytes are there.
        assert_eq!(unsafe { libc::write(master, b"line\n".as_ptr().cast(), 5) }, 5);
    });
    assert_eq!(got, b"line\n");
}

#[test]
fn a_connection_with_a_limit_of_time_is_made() {
    patched(1);
    let address = echo_threads();
    run(move || {
        let limit = Duration::from_secs(10);
        let mut socket = TcpStream::connect_timeout(&address, limit).unwrap();
        socket.set_read_timeout(Some(limit)).unwrap();
        socket.write_all(b"limited").unwrap();
        let mut back = [0; 7];
        socket.read_exact(&mut back).unwrap();
        assert_eq!(&back, b"limited");
    });
}
