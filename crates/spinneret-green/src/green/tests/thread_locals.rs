//! Thread-locals of green threads are their own.

use std::{
    cell::{Cell, RefCell},
    collections::HashSet,
    hint::black_box,
    sync::mpsc,
    time::Duration,
};

use super::{super::*, LONG, go, go_first, sleep};

thread_local! {
    static COUNT: Cell<u32> = const { Cell::new(7) };
    static TEXT: RefCell<String> = RefCell::new("fresh".into());
}

#[test]
fn start_anew_and_stay_while_others_run() {
    let handles: Vec<_> = (0..100)
        .map(|number| {
            go_first(move || {
                let fresh = COUNT.get() == 7 && TEXT.with_borrow(|text| text == "fresh");
                COUNT.set(number);
                TEXT.with_borrow_mut(|text| *text = number.to_string());
                for _ in 0..10 {
                    yield_now();
                }
                fresh
                    && COUNT.get() == number
                    && TEXT.with_borrow(|text| *text == number.to_string())
            })
        })
        .collect();
    assert!(handles.into_iter().all(|handle| handle.join().unwrap()));
}

#[test]
fn are_not_borrowed_by_another_that_is_suspended() {
    let handles: Vec<_> =
        (0..10).map(|_| go_first(|| TEXT.with_borrow_mut(|_| yield_now()))).collect();
    for handle in handles {
        handle.join().unwrap();
    }
}

#[test]
fn errno_is_kept() {
    let handles: Vec<_> = (0..10)
        .map(|number| {
            go_first(move || {
                // SAFETY: the call has no preconditions.
                let errno = unsafe { libc::__errno_location() };
                // SAFETY: the pointer is the thread's own; also below.
                unsafe { *errno = number };
                yield_now();
                // SAFETY: the call has no preconditions.
                let same = errno == unsafe { libc::__errno_location() };
                // SAFETY: as above.
                same && unsafe { *errno } == number
            })
        })
        .collect();
    assert!(handles.into_iter().all(|handle| handle.join().unwrap()));
}

#[test]
fn each_is_a_thread_of_its_own_to_std() {
    let handles: Vec<_> = (0..10)
        .map(|_| {
            go_first(|| {
                yield_now();
                // SAFETY: the call has no preconditions.
                (std::thread::current().id(), unsafe { libc::pthread_self() })
            })
        })
        .collect();
    let (threads, descriptors): (HashSet<_>, HashSet<_>) =
        handles.into_iter().map(|handle| handle.join().unwrap()).unzip();
    assert_eq!(threads.len(), 10);
    assert!(!descriptors.is_empty());
}

#[test]
fn memory_moves_freely_between_green_threads_and_their_hub() {
    let handles: Vec<_> = (0..200_usize)
        .map(|number| {
            go(move || {
                let mut blocks: Vec<Vec<u8>> = Vec::new();
                for round in 0..50_usize {
                    blocks.push(vec![round as u8; 1 + number * round % 5000]);
                    if round % 7 == 0 {
                        sleep(Duration::from_micros(50));
                    }
                    if round % 3 == 0 {
                        blocks.swap_remove(round / 2 % blocks.len());
                    }
                }
                blocks
            })
        })
        .collect();
    for handle in handles {
        for block in handle.join().unwrap() {
            let first = block[0];
            assert!(black_box(&block).iter().all(|&byte| byte == first));
        }
    }
}

#[test]
fn destructors_run_at_its_end_with_its_own_thread_locals() {
    struct Says(mpsc::Sender<(u32, bool)>);
    impl Drop for Says {
        fn drop(&mut self) {
            let _ = self.0.send((COUNT.get(), in_green_thread()));
        }
    }
    thread_local! {
        static SAYS: RefCell<Option<Says>> = const { RefCell::new(None) };
    }
    let (send, said) = mpsc::channel();
    for number in 0..20 {
        let send = send.clone();
        go_first(move || {
            SAYS.set(Some(Says(send)));
            COUNT.set(number);
            yield_now();
        })
        .join()
        .unwrap();
        assert_eq!(said.recv_timeout(LONG), Ok((number, true)));
    }
}

#[test]
fn of_the_hub_are_there_on_request() {
    let (own, hub, after) = go_first(|| {
        COUNT.set(1);
        let hub = on_hub(|| {
            let name = std::thread::current().name().map(str::to_owned);
            (COUNT.get(), name, in_green_thread())
        });
        (in_green_thread(), hub, COUNT.get())
    })
    .join()
    .unwrap();
    assert!(own);
    assert_eq!(hub, (7, Some("hub-0".into()), false));
    assert_eq!(after, 1);
    let panic = go_first(|| {
        let caught = std::panic::catch_unwind(|| on_hub(|| panic!("within")));
        assert!(!std::thread::panicking() && in_green_thread());
        std::panic::resume_unwind(caught.unwrap_err());
    });
    assert_eq!(panic.join().unwrap_err().downcast_ref(), Some(&"within"));
}
