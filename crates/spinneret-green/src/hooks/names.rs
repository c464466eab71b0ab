//! `getaddrinfo`: libc's own, run by a bounded pool of threads in the green thread's place; or, if
//! the program chose so, hickory's on the hub itself.

#[cfg(feature = "hickory")]
mod hickory;

use std::{
    ffi::{CStr, CString},
    mem,
    net::IpAddr,
    ptr,
};

use libc::{addrinfo, c_char, c_int};

use super::{Family, helpers::Helpers, interruption, next, raw::fail};
#[cfg(feature = "hickory")]
use crate::task::{Interrupted, Woken};
use crate::{
    config::{self, Resolver},
    green,
};

static RESOLVERS: Helpers = Helpers::new("spinneret-names", 16);

/// What a look-up found. Dropping it frees the list.
struct Found {
    code: c_int,
    errno: c_int,
    list: *mut addrinfo,
}

// SAFETY: the list is nobody else's.
unsafe impl Send for Found {}

impl Found {
    fn failed(code: c_int) -> Self {
        Self { code, errno: 0, list: ptr::null_mut() }
    }
}

impl Default for Found {
    fn default() -> Self {
        Self::failed(libc::EAI_FAIL)
    }
}

impl Drop for Found {
    fn drop(&mut self) {
        if !self.list.is_null() {
            // SAFETY: `getaddrinfo` made it, and nobody else has it.
            unsafe { libc::freeaddrinfo(self.list) };
        }
    }
}

/// A copy of what a look-up was asked for, which outlives an interrupted green thread's wait.
struct Question {
    node: Option<CString>,
    service: Option<CString>,
    hints: Option<addrinfo>,
}

// SAFETY: the hints' pointers, which `getaddrinfo` ignores, are null.
unsafe impl Send for Question {}

impl Question {
    fn ask(&self) -> Found {
        self.ask_for(self.node.as_deref(), self.hints)
    }

    /// Asks libc for another name, by other hints.
    fn ask_for(&self, node: Option<&CStr>, hints: Option<addrinfo>) -> Found {
        let mut found = Found::default();
        let text = |text: Option<&CStr>| text.map_or(ptr::null(), CStr::as_ptr);
        let hints = hints.as_ref().map_or(ptr::null(), ptr::from_ref);
        // SAFETY: all that it is given lives as long as `self`.
        found.code = unsafe {
            next::getaddrinfo(text(node), text(self.service.as_deref()), hints, &raw mut found.list)
        };
        if found.code == libc::EAI_SYSTEM {
            found.errno = std::io::Error::last_os_error().raw_os_error().unwrap_or(0);
        }
        if found.code != 0 {
            found.list = ptr::null_mut();
        }
        found
    }
}

/// # Safety
/// A string that ends with a zero, or null.
unsafe fn owned(text: *const c_char) -> Option<CString> {
    if text.is_null() {
        return None;
    }
    // SAFETY: the caller's contract.
    Some(unsafe { CStr::from_ptr(text) }.to_owned())
}

/// Whether `node` is an address already, or none is asked for: nobody has to be asked.
fn is_plain(question: &Question) -> bool {
    let numeric = question.hints.is_some_and(|hints| hints.ai_flags & libc::AI_NUMERICHOST != 0);
    match &question.node {
        Some(node) if !numeric => node.to_str().is_ok_and(|node| node.parse::<IpAddr>().is_ok()),
        _ => true,
    }
}

/// # Safety
/// As `getaddrinfo`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getaddrinfo(
    node: *const c_char,
    service: *const c_char,
    hints: *const addrinfo,
    list: *mut *mut addrinfo,
) -> c_int {
    if !Family::NAMES.is_on() || !green::in_green_thread() {
        // SAFETY: the caller's contract.
        return unsafe { next::getaddrinfo(node, service, hints, list) };
    }
    let question = Question {
        // SAFETY: the caller's contract.
        node: unsafe { owned(node) },
        // SAFETY: the caller's contract.
        service: unsafe { owned(service) },
        // SAFETY: the caller's contract.
        hints: unsafe { hints.as_ref() }.map(|hints| addrinfo {
            ai_addrlen: 0,
            ai_addr: ptr::null_mut(),
            ai_canonname: ptr::null_mut(),
            ai_next: ptr::null_mut(),
            ..*hints
        }),
    };
    if is_plain(&question) {
        // SAFETY: the caller's contract.
        return green::on_hub(|| unsafe { next::getaddrinfo(node, service, hints, list) });
    }
    let found = match config::get().resolver {
        #[cfg(feature = "hickory")]
        Resolver::Hickory => hickory::ask(&question).map_err(|why| match why {
            Interrupted::Cancelled => Woken::Cancelled,
            Interrupted::TimedOut => Woken::TimedOut,
        }),
        Resolver::Threads(most) => {
            RESOLVERS.limit(most);
            let Some(asked) = RESOLVERS.ask(true, move || question.ask()) else {
                // No thread can be started: the hub waits.
                // SAFETY: the caller's contract.
                return green::on_hub(|| unsafe { next::getaddrinfo(node, service, hints, list) });
            };
            asked.wait()
        }
    };
    match found {
        Ok(mut found) => {
            if found.code == 0 {
                // SAFETY: the caller's contract.
                unsafe { *list = mem::replace(&mut found.list, ptr::null_mut()) };
            } else if found.code == libc::EAI_SYSTEM {
                fail(found.errno);
            }
            found.code
        }
        Err(woken) => {
            fail(interruption::note(woken));
            libc::EAI_SYSTEM
        }
    }
}

/// What libc makes of an address, with the service and the hints of a question. The name that was
/// asked for counts as its canonical one.
#[cfg(feature = "hickory")]
fn numeric(question: &Question, address: IpAddr) -> Found {
    let mut hints = question.hints.unwrap_or(addrinfo {
        // What no hints stand for.
        ai_flags: libc::AI_V4MAPPED | libc::AI_ADDRCONFIG,
        ai_family: libc::AF_UNSPEC,
        ai_socktype: 0,
        ai_protocol: 0,
        ai_addrlen: 0,
        ai_addr: ptr::null_mut(),
        ai_canonname: ptr::null_mut(),
        ai_next: ptr::null_mut(),
    });
    let named = hints.ai_flags & libc::AI_CANONNAME != 0;
    hints.ai_flags = hints.ai_flags & !libc::AI_CANONNAME | libc::AI_NUMERICHOST;
    let Ok(text) = CString::new(address.to_string()) else { return Found::default() };
    let found = question.ask_for(Some(&text), Some(hints));
    // SAFETY: a list is valid until it is freed.
    if let (Some(first), Some(node)) = (unsafe { found.list.as_mut() }, &question.node)
        && named
    {
        // SAFETY: the name ends with a zero; libc frees the copy with the list.
        first.ai_canonname = unsafe { libc::strdup(node.as_ptr()) };
    }
    found
}
