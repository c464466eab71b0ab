//! Names looked up by hickory-resolver on the hub. None of these asks a server.
#![cfg(all(green_threads, feature = "hickory"))]
#![allow(clippy::unwrap_used)]

use std::{
    ffi::CStr,
    net::{SocketAddr, ToSocketAddrs},
    ptr,
};

use spinneret_green::{Config, Resolver, configure, patch_all, spawn};

fn patched() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        configure(Config::new().hubs(1).stack_size(512 << 10).resolver(Resolver::Hickory)).unwrap();
        patch_all();
    });
}

#[test]
fn this_machine_is_found_by_name_and_by_number() {
    patched();
    let look_up = |name: &'static str| {
        let found = spawn(move || (name, 8080).to_socket_addrs().map(Iterator::collect));
        let found: Vec<SocketAddr> = found.join().unwrap().unwrap();
        found
    };
    let local = look_up("localhost");
    assert!(!local.is_empty());
    assert!(local.iter().all(|address| address.ip().is_loopback() && address.port() == 8080));
    assert_eq!(look_up("127.0.0.1"), ["127.0.0.1:8080".parse().unwrap()]);
}

#[test]
fn a_name_that_cannot_exist_is_not_found() {
    patched();
    let failed = spawn(|| ("name.invalid", 80).to_socket_addrs().map(drop).unwrap_err());
    assert!(failed.join().unwrap().to_string().contains("not known"));
}

#[test]
fn hints_and_services_are_honoured() {
    patched();
    spawn(|| {
        let hints = libc::addrinfo {
            ai_flags: libc::AI_CANONNAME,
            ai_family: libc::AF_INET,
            ai_socktype: libc::SOCK_DGRAM,
            ai_protocol: 0,
            ai_addrlen: 0,
            ai_addr: ptr::null_mut(),
            ai_canonname: ptr::null_mut(),
            ai_next: ptr::null_mut(),
        };
        let mut list = ptr::null_mut();
        let (name, service) = (c"localhost".as_ptr(), c"53".as_ptr());
        // SAFETY: both texts end with a zero, and there is room for the list.
        let code = unsafe { libc::getaddrinfo(name, service, &raw const hints, &raw mut list) };
        assert_eq!(code, 0);
        // SAFETY: the list was just made.
        let first = unsafe { &*list };
        assert_eq!((first.ai_family, first.ai_socktype), (libc::AF_INET, libc::SOCK_DGRAM));
        // SAFETY: the first entry has the name.
        assert_eq!(unsafe { CStr::from_ptr(first.ai_canonname) }, c"localhost");
        // SAFETY: it is freed once.
        unsafe { libc::freeaddrinfo(list) };
        let bad = c"no service of this name".as_ptr();
        // SAFETY: as above.
        let code = unsafe { libc::getaddrinfo(name, bad, &raw const hints, &raw mut list) };
        assert_eq!(code, libc::EAI_SERVICE);
    })
    .join()
    .unwrap();
}
