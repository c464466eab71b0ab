//! Merely linking the hooks changes nothing: unpatched, each gives libc's results and errors by
//! libc's system calls, one for one.
//!
//! What is compared is the same list of calls, made by the functions that this program is linked
//! with and by those that libc has under the same names.
#![cfg(green_threads)]
#![allow(clippy::unwrap_used, clippy::cast_sign_loss, clippy::cast_possible_wrap)]

use std::{
    ffi::{CString, c_void},
    fs,
    os::fd::RawFd,
    process::Command,
    ptr,
};

/// The names of all hooks, and where the linker found them.
macro_rules! linked {
    ($($name:ident)*) => {{
        unsafe extern "C" {
            $(fn $name();)*
        }
        [$((stringify!($name), $name as unsafe extern "C" fn() as usize)),*]
    }};
}

fn linked() -> impl IntoIterator<Item = (&'static str, usize)> {
    linked!(
        read write readv writev splice sendfile sendfile64
        recv recvfrom send sendto connect accept accept4
        recvmsg sendmsg recvmmsg sendmmsg
        fcntl fcntl64 ioctl setsockopt
        close dup2 dup3 close_range
        poll ppoll select pselect epoll_wait epoll_pwait epoll_pwait2
        clock_nanosleep nanosleep usleep sleep sched_yield
        syscall getaddrinfo waitpid wait wait4 waitid fork
        pthread_create pthread_join pthread_detach pthread_setname_np pthread_getattr_np
        pthread_key_create pthread_key_delete __cxa_thread_atexit_impl
        __read_chk __recv_chk __recvfrom_chk __poll_chk __ppoll_chk
    )
}

/// libc's function of this name.
fn of_libc(name: &str) -> usize {
    let name = CString::new(name).unwrap();
    let library = c"libc.so.6".as_ptr();
    // SAFETY: the library is loaded already.
    let libc = unsafe { libc::dlopen(library, libc::RTLD_LAZY | libc::RTLD_NOLOAD) };
    assert!(!libc.is_null());
    // SAFETY: the library stays loaded.
    let found = unsafe { libc::dlsym(libc, name.as_ptr()) };
    assert!(!found.is_null(), "{name:?}");
    found as usize
}

/// Makes calls by name, and notes what they answer.
struct Calls {
    functions: Vec<(&'static str, usize)>,
    answers: Vec<String>,
}

impl Calls {
    fn new(hooked: bool) -> Self {
        let functions = linked()
            .into_iter()
            .map(|(name, address)| (name, if hooked { address } else { of_libc(name) }))
            .collect();
        Self { functions, answers: Vec::new() }
    }

    /// Calls a function that returns an int, or what fits into one.
    fn call<const N: usize>(&mut self, name: &str, arguments: [usize; N]) -> i32 {
        let (_, address) = self.functions.iter().find(|(known, _)| *known == name).unwrap();
        let mut all = [0; 7];
        all[..N].copy_from_slice(&arguments);
        // SAFETY: all of them take their arguments as words here.
        let function = unsafe {
            std::mem::transmute::<
                usize,
                unsafe extern "C" fn(usize, usize, usize, usize, usize, usize, usize) -> i32,
            >(*address)
        };
        // SAFETY: the call has no preconditions.
        let errno = unsafe { libc::__errno_location() };
        // SAFETY: the thread's errno is always there.
        unsafe { *errno = 0 };
        let [one, two, three, four, five, six, seven] = all;
        // SAFETY: the scenario gives what each takes.
        let answer = unsafe { function(one, two, three, four, five, six, seven) };
        // SAFETY: as above.
        let errno = unsafe { *errno };
        self.answers.push(format!("{name} {answer} {errno}"));
        answer
    }
}

fn place<T>(value: &mut T) -> usize {
    ptr::from_mut(value) as usize
}

fn word(number: i32) -> usize {
    number as isize as usize
}

fn pair(kind: i32) -> [RawFd; 2] {
    let mut both = [0; 2];
    // SAFETY: there is room for two descriptors.
    assert_eq!(unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, both.as_mut_ptr()) }, 0);
    both
}

extern "C" fn body(argument: *mut c_void) -> *mut c_void {
    argument
}

fn transfer(calls: &mut Calls) {
    let mut buffer = *b"some bytes to carry";
    let data = buffer.as_mut_ptr() as usize;
    let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: 4 };
    // SAFETY: all zeros is an empty message.
    let mut message: libc::mmsghdr = unsafe { std::mem::zeroed() };
    message.msg_hdr.msg_iov = &raw mut part;
    message.msg_hdr.msg_iovlen = 1;
    let (part, message) = (place(&mut part), place(&mut message));
    let dontwait = libc::MSG_DONTWAIT as usize;
    for kind in [libc::SOCK_STREAM, libc::SOCK_DGRAM] {
        let [one, two] = pair(kind).map(word);
        calls.call("write", [one, data, 5]);
        calls.call("read", [two, data, 19]);
        calls.call("writev", [one, part, 1]);
        calls.call("readv", [two, part, 1]);
        calls.call("send", [one, data, 6, 0]);
        calls.call("recv", [two, data, 3, libc::MSG_PEEK as usize]);
        calls.call("recv", [two, data, 19, 0]);
        calls.call("sendto", [one, data, 7, 0, 0, 0]);
        calls.call("recvfrom", [two, data, 19, 0, 0, 0]);
        calls.call("sendmsg", [one, message, 0]);
        calls.call("recvmsg", [two, message, 0]);
        calls.call("sendmmsg", [one, message, 1, 0]);
        calls.call("recvmmsg", [two, message, 1, 0, 0]);
        calls.call("recv", [two, data, 19, dontwait]);
        calls.call("__recv_chk", [two, data, 19, 19, dontwait]);
        calls.call("__recvfrom_chk", [two, data, 19, 19, dontwait, 0, 0]);
        calls.call("__read_chk", [word(-1), data, 19, 19]);
        calls.call("recvmsg", [two, message, dontwait]);
        calls.call("connect", [one, data, 2]);
        calls.call("accept", [one, 0, 0]);
        calls.call("accept4", [one, 0, 0, 0]);
        calls.call(
            "setsockopt",
            [
                one,
                libc::SOL_SOCKET as usize,
                libc::SO_RCVTIMEO as usize,
                place(&mut libc::timeval { tv_sec: 0, tv_usec: 2_000 }),
                16,
            ],
        );
        calls.call("recv", [one, data, 1, 0]);
        calls.call("close", [one]);
        calls.call("read", [two, data, 0]);
        calls.call("close", [two]);
    }
    for name in ["read", "write", "recv", "send", "recvmsg", "readv", "connect", "accept"] {
        calls.call(name, [word(-1), data, 1, 0]);
    }
    let pipe = |flags| {
        let mut both = [0; 2];
        // SAFETY: there is room for two descriptors.
        assert_eq!(unsafe { libc::pipe2(both.as_mut_ptr(), flags) }, 0);
        both.map(word)
    };
    let ([from, into], [other, end]) = (pipe(libc::O_NONBLOCK), pipe(0));
    calls.call("read", [from, data, 1]);
    calls.call("write", [into, data, 9]);
    calls.call("splice", [from, 0, end, 0, 100, 0]);
    calls.call("read", [other, data, 19]);
    let file = fs::File::open("/proc/self/exe").unwrap();
    let file_number = word(std::os::fd::AsRawFd::as_raw_fd(&file));
    calls.call("sendfile", [into, file_number, 0, 11]);
    calls.call("sendfile64", [into, file_number, 0, 12]);
    for pipe in [from, into, other, end] {
        calls.call("close", [pipe]);
    }
}

fn descriptors(calls: &mut Calls) {
    let [one, two] = pair(libc::SOCK_STREAM).map(word);
    let (get, set) = (libc::F_GETFL as usize, libc::F_SETFL as usize);
    calls.call("fcntl", [one, get]);
    calls.call("fcntl64", [one, set, libc::O_NONBLOCK as usize]);
    calls.call("fcntl", [one, get]);
    // SAFETY: the call has no preconditions.
    let group = unsafe { libc::getpgrp() };
    for owner in [0, group, -group] {
        calls.call("fcntl", [one, libc::F_SETOWN as usize, word(owner)]);
        calls.call("fcntl", [one, libc::F_GETOWN as usize]);
    }
    calls.call("fcntl", [word(-1), libc::F_GETOWN as usize]);
    calls.call("fcntl", [one, 9999]);
    let mut number = 0;
    calls.call("ioctl", [one, libc::FIONBIO as usize, place(&mut number)]);
    calls.call("ioctl", [one, libc::FIONREAD as usize, place(&mut number)]);
    calls.call("ioctl", [one, libc::TIOCGWINSZ as usize, place(&mut number)]);
    calls.call("setsockopt", [one, libc::SOL_SOCKET as usize, 9999, 0, 0]);
    calls.call("dup2", [one, one]);
    calls.call("dup2", [one, 900]);
    calls.call("dup2", [word(-1), 901]);
    calls.call("dup3", [one, one, 0]);
    calls.call("dup3", [one, 901, libc::O_CLOEXEC as usize]);
    calls.call("close", [900]);
    calls.call("close", [900]);
    calls.call("close_range", [901, 910, 0]);
    calls.call("close_range", [910, 901, 0]);
    calls.call("fcntl", [901, get]);
    calls.call("close", [one]);
    calls.call("close", [two]);
}

fn waits(calls: &mut Calls) {
    let [one, two] = pair(libc::SOCK_STREAM);
    let mut entry = libc::pollfd { fd: one, events: libc::POLLIN, revents: 0 };
    let entry = place(&mut entry);
    let mut little = libc::timespec { tv_sec: 0, tv_nsec: 1_000_000 };
    let mut wrong = libc::timespec { tv_sec: 0, tv_nsec: -1 };
    let (little, wrong) = (place(&mut little), place(&mut wrong));
    calls.call("poll", [entry, 1, 0]);
    calls.call("poll", [entry, 1, 1]);
    calls.call("poll", [0, 0, 1]);
    calls.call("poll", [0, 1, 0]);
    calls.call("ppoll", [entry, 1, little, 0]);
    calls.call("__poll_chk", [entry, 1, 0, 8]);
    calls.call("__ppoll_chk", [entry, 1, little, 0, 8]);
    calls.call("ppoll", [entry, 1, wrong, 0]);
    let time = |tv_sec, tv_usec| libc::timeval { tv_sec, tv_usec };
    for mut time in [time(0, 0), time(0, 1_000), time(0, -1), time(-1, 0), time(0, 1_000_001)] {
        calls.call("select", [0, 0, 0, 0, place(&mut time)]);
    }
    calls.call("select", [word(-1), 0, 0, 0, place(&mut time(0, 0))]);
    calls.call("pselect", [0, 0, 0, 0, little, 0]);
    calls.call("pselect", [0, 0, 0, 0, wrong, 0]);
    // SAFETY: the call has no preconditions.
    let epoll = word(unsafe { libc::epoll_create1(0) });
    let mut event = libc::epoll_event { events: 0, u64: 0 };
    let event = place(&mut event);
    calls.call("epoll_wait", [epoll, event, 1, 1]);
    calls.call("epoll_wait", [epoll, event, 0, 0]);
    calls.call("epoll_pwait", [epoll, event, 1, 1, 0]);
    calls.call("epoll_pwait2", [epoll, event, 1, little, 0]);
    calls.call("epoll_wait", [word(one), event, 1, 0]);
    for fd in [epoll, word(one), word(two)] {
        calls.call("close", [fd]);
    }
    let (monotonic, thread_time) =
        (libc::CLOCK_MONOTONIC as usize, libc::CLOCK_THREAD_CPUTIME_ID as usize);
    calls.call("clock_nanosleep", [monotonic, 0, little, 0]);
    calls.call("clock_nanosleep", [monotonic, libc::TIMER_ABSTIME as usize, little, 0]);
    calls.call("clock_nanosleep", [monotonic, 0, wrong, 0]);
    calls.call("clock_nanosleep", [thread_time, 0, little, 0]);
    calls.call("clock_nanosleep", [9999, 0, little, 0]);
    calls.call("nanosleep", [little, 0]);
    calls.call("nanosleep", [wrong, 0]);
    calls.call("usleep", [1_000]);
    calls.call("sleep", [0]);
    calls.call("sched_yield", []);
    let mut value = 1_u32;
    let value = place(&mut value);
    let futex = libc::SYS_futex as usize;
    let private = libc::FUTEX_PRIVATE_FLAG;
    let operation = |operation: i32| (operation | private) as usize;
    calls.call("syscall", [futex, value, operation(libc::FUTEX_WAKE), 1, 0, 0, 0]);
    calls.call("syscall", [futex, value, operation(libc::FUTEX_WAIT), 2, 0, 0, 0]);
    calls.call("syscall", [futex, value, operation(libc::FUTEX_WAIT), 1, little, 0, 0]);
    calls.call("syscall", [futex, value + 1, operation(libc::FUTEX_WAIT), 1, little, 0, 0]);
    calls.call("syscall", [99_999]);
}

fn processes_and_threads(calls: &mut Calls) {
    let mut status = 0;
    let status = place(&mut status);
    // SAFETY: all zeros is the information of no signal.
    let mut told: libc::siginfo_t = unsafe { std::mem::zeroed() };
    let told = place(&mut told);
    let exited = (libc::WEXITED | libc::WNOHANG) as usize;
    calls.call("waitpid", [word(-1), status, 0]);
    calls.call("wait", [status]);
    calls.call("wait4", [word(-1), status, 9999, 0]);
    calls.call("waitid", [libc::P_ALL as usize, 0, told, exited]);
    let child = calls.call("fork", []);
    if child == 0 {
        // SAFETY: the process ends here.
        unsafe { libc::_exit(7) };
    }
    calls.answers.pop();
    let child = word(child);
    calls.call("waitid", [libc::P_PID as usize, child, told, libc::WEXITED as usize]);
    calls.call("waitid", [libc::P_PID as usize, child, told, exited]);
    let mut thread = 0_usize;
    let begin = body as extern "C" fn(*mut c_void) -> *mut c_void as usize;
    calls.call("pthread_create", [place(&mut thread), 0, begin, 42]);
    let mut value = 0_usize;
    calls.call("pthread_join", [thread, place(&mut value)]);
    assert_eq!(value, 42);
    // SAFETY: the call has no preconditions.
    let this = unsafe { libc::pthread_self() } as usize;
    calls.call("pthread_setname_np", [this, c"a name".as_ptr() as usize]);
    calls.call("pthread_setname_np", [this, c"a name that is too long".as_ptr() as usize]);
    // SAFETY: all zeros are attributes that nothing was said about.
    let mut attributes: libc::pthread_attr_t = unsafe { std::mem::zeroed() };
    calls.call("pthread_getattr_np", [this, place(&mut attributes)]);
    let mut key = 0_usize;
    calls.call("pthread_key_create", [place(&mut key), 0]);
    calls.call("pthread_key_delete", [key]);
    calls.call("pthread_key_delete", [key]);
    let mut found = 0_usize;
    let hints = libc::addrinfo {
        ai_flags: libc::AI_NUMERICHOST,
        ai_socktype: libc::SOCK_STREAM,
        // SAFETY: all zeros are no hints.
        ..unsafe { std::mem::zeroed() }
    };
    let hints = &raw const hints as usize;
    let name = c"127.0.0.1".as_ptr() as usize;
    calls.call("getaddrinfo", [name, 0, hints, place(&mut found)]);
    // SAFETY: it was just made.
    unsafe { libc::freeaddrinfo(found as *mut _) };
    calls.call("getaddrinfo", [0, 0, 0, place(&mut found)]);
    calls.call("getaddrinfo", [c"no number".as_ptr() as usize, 0, hints, place(&mut found)]);
}

/// All of it, between two calls by which it is found in a trace.
fn scenario(hooked: bool) -> Vec<String> {
    let mut calls = Calls::new(hooked);
    // What is looked up or allocated once is so before.
    calls.answers.reserve(1_000);
    for marked in [false, true] {
        calls.answers.clear();
        mark(marked);
        transfer(&mut calls);
        descriptors(&mut calls);
        waits(&mut calls);
        processes_and_threads(&mut calls);
        mark(marked);
    }
    calls.answers
}

fn mark(marked: bool) {
    if marked {
        // SAFETY: the call has no preconditions.
        unsafe { libc::getppid() };
    }
}

#[test]
fn unpatched_hooks_answer_as_libc_does() {
    // Named, so that the crate is linked; this patches nothing.
    assert!(!spinneret_green::is_patched(spinneret_green::Patch::Sockets));
    let (hooked, plain) = (scenario(true), scenario(false));
    assert!(hooked.len() > 100);
    for (hooked, plain) in hooked.iter().zip(&plain) {
        assert_eq!(hooked, plain);
    }
    assert_eq!(hooked.len(), plain.len());
}

#[test]
fn the_hooks_are_found_by_shared_libraries_too() {
    for (name, address) in linked() {
        let called = CString::new(name).unwrap();
        // SAFETY: the name ends with a zero.
        let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, called.as_ptr()) };
        assert_eq!(found as usize, address, "{name}");
        assert_ne!(of_libc(name), address, "{name} is no hook");
    }
}

/// The names of the system calls that the scenario makes in its own thread. Those by which threads
/// wait for each other depend on who is sooner.
fn traced(hooked: bool) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("calls");
    let ran = Command::new("strace")
        .args(["-ff", "-qq", "-e", "signal=none", "-o"])
        .arg(&log)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "traced_child", "--nocapture", "--include-ignored"])
        .env("SPINNERET_TRACED", if hooked { "hooks" } else { "libc" })
        .output()
        .expect("strace is needed for this test: install the Debian package `strace`");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let logs = fs::read_dir(folder.path()).unwrap();
    let texts = logs.map(|log| fs::read_to_string(log.unwrap().path()).unwrap());
    let text = texts.into_iter().find(|text| text.contains("getppid(")).unwrap();
    let mut lines = text.lines().skip_while(|line| !line.starts_with("getppid("));
    lines.next();
    lines
        .take_while(|line| !line.starts_with("getppid("))
        .filter_map(|line| Some(line.split_once('(')?.0.to_owned()))
        .filter(|name| name != "futex")
        .collect()
}

#[test]
#[ignore = "the traced half of the test below"]
fn traced_child() {
    if let Ok(which) = std::env::var("SPINNERET_TRACED") {
        scenario(which == "hooks");
    }
}

#[test]
fn unpatched_hooks_make_the_system_calls_that_libc_makes() {
    assert!(!spinneret_green::is_patched(spinneret_green::Patch::Sockets));
    let (hooked, plain) = (traced(true), traced(false));
    assert!(hooked.len() > 100, "{hooked:?}");
    for (place, (hooked, plain)) in hooked.iter().zip(&plain).enumerate() {
        assert_eq!(hooked, plain, "call {place}");
    }
    assert_eq!(hooked.len(), plain.len());
}
