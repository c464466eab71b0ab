//! Values, arrays and atomics in memory that processes share.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod family;

use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::Duration;

use rustix::process::{Signal, getpid, kill_process};
use spinneret::pipe::{RecvError, Sender, pipe_simplex};
use spinneret::process::Process;
use spinneret::process::sync::{Event, Semaphore};
use spinneret::shared::{Array, Atomic, AtomicArray, MemoryError, OwnerDied, Value, bytemuck};

use family::{Child, GENEROUS, Pauses};

/// Two halves that are equal but while somebody changes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
struct Pair {
    left: u64,
    right: u64,
}

#[spinneret::task]
fn add(value: Value<u64>, array: Array<i32>, atomic: Atomic<i64>, atomics: AtomicArray<u32>) {
    for _ in 0..1000 {
        *value.lock().unwrap() += 1;
        array.lock().unwrap().iter_mut().for_each(|cell| *cell -= 1);
        atomic.fetch_add(2, SeqCst);
        for cell in atomics.iter() {
            cell.fetch_add(1, SeqCst);
        }
    }
}

#[test]
fn processes_that_add_at_once_lose_nothing() {
    let (value, array) = (Value::new(5).unwrap(), Array::from_slice(&[1, 2, 3]).unwrap());
    let (atomic, atomics) = (Atomic::new(0_i64).unwrap(), AtomicArray::new(2, 7_u32).unwrap());
    let args = || (value.clone(), array.clone(), atomic.clone(), atomics.clone());
    let children: Vec<_> = (0..3).map(|_| Child::start(add, args())).collect();
    children.iter().for_each(Child::join);
    assert_eq!(value.get().unwrap(), 3005);
    assert_eq!(array.to_vec().unwrap(), [-2999, -2998, -2997]);
    assert_eq!(atomic.load(SeqCst), 6000);
    assert!(atomics.iter().all(|cell| cell.load(SeqCst) == 3007));
}

#[spinneret::task]
fn break_off(pair: Value<Pair>, half_way: Event) {
    let mut guard = pair.lock().unwrap();
    guard.left += 1;
    half_way.set();
    thread::sleep(GENEROUS);
    guard.right += 1;
}

#[test]
fn a_holder_that_is_killed_is_reported_until_somebody_vouches() {
    let pair = Value::new(Pair { left: 0, right: 0 }).unwrap();
    let half_way = Event::new().unwrap();
    let child = Child::start(break_off, (pair.clone(), half_way.clone()));
    assert!(half_way.wait_timeout(GENEROUS));
    assert!(pair.try_lock().is_none());
    assert!(pair.lock_timeout(Duration::from_millis(1)).is_none());
    child.kill();

    // The error gives the value, and who drops it has vouched for nothing.
    let died = pair.lock_timeout(GENEROUS).unwrap().unwrap_err();
    assert!(died.to_string().contains("died"), "{died}");
    assert_eq!(**died.get_ref(), Pair { left: 1, right: 0 });
    drop(died);
    assert_eq!(*pair.get().unwrap_err().into_inner(), Pair { left: 1, right: 0 });
    assert_eq!(pair.get().unwrap().left, 1);

    // Replacing it vouches for it as well.
    half_way.clear();
    let child = Child::start(break_off, (pair.clone(), half_way.clone()));
    assert!(half_way.wait_timeout(GENEROUS));
    child.kill();
    pair.set(Pair { left: 3, right: 3 });
    assert_eq!(pair.get().unwrap(), Pair { left: 3, right: 3 });
}

#[spinneret::task]
fn count(pair: Value<Pair>, stop: Event) {
    while !stop.is_set() {
        let mut pair = match pair.lock_timeout(GENEROUS).expect("the dead are not waited for") {
            Ok(guard) => guard,
            Err(mut died) => {
                died.get_mut().right = died.get_ref().left;
                died.into_inner()
            }
        };
        assert_eq!(pair.left, pair.right);
        pair.left += 1;
        // Long enough to be killed in between.
        for _ in 0..100 {
            std::hint::spin_loop();
        }
        pair.right += 1;
    }
}

#[test]
fn kills_at_random_instants_stop_nobody_and_corrupt_nothing() {
    let (pair, stop) = (Value::new(Pair { left: 0, right: 0 }).unwrap(), Event::new().unwrap());
    let survivor = Child::start(count, (pair.clone(), stop.clone()));
    let mut pauses = Pauses::new(1);
    let mut last = 0;
    for _ in 0..60 {
        let victim = Child::start(count, (pair.clone(), stop.clone()));
        pauses.pause();
        victim.kill();
        let now = match pair.lock_timeout(GENEROUS).expect("the dead are not waited for") {
            Ok(guard) => {
                assert_eq!(guard.left, guard.right);
                guard.left
            }
            // Left as it is: the survivor repairs it.
            Err(died) => died.get_ref().left,
        };
        assert!(now >= last);
        last = now;
    }
    stop.set();
    survivor.join();
    let end = pair.lock().unwrap_or_else(OwnerDied::into_inner);
    assert!(end.left > 0);
}

#[spinneret::task]
fn sum(arrays: Vec<Option<Array<u8>>>, total: Atomic<u64>) {
    for array in arrays.into_iter().flatten() {
        let array = array.lock().unwrap();
        total.fetch_add(array.iter().map(|&cell| u64::from(cell)).sum(), SeqCst);
    }
}

#[test]
fn arrays_of_any_length_travel_at_any_place_of_an_argument() {
    let arrays = [0, 1, 5000].map(|len| Array::new(len, 9).unwrap());
    assert!(arrays[0].is_empty() && arrays[0].to_vec().unwrap().is_empty());
    arrays[1].lock().unwrap()[0] = 2;
    let total = Atomic::new(0_u64).unwrap();
    let args = (arrays.clone().map(Some).into_iter().chain([None]).collect(), total.clone());
    let child = Child::start(sum, args);
    assert_eq!(arrays.map(|array| array.len()), [0, 1, 5000]);
    child.join();
    assert_eq!(total.load(SeqCst), 2 + 9 * 5000);
}

#[spinneret::task]
fn pass_on(value: Value<u32>, end: Event) {
    // The child's child gets a copy of a copy, and goes on when its parent has died.
    let child = Process::new(answer, (value, end)).unwrap();
    child.start().unwrap();
    kill_process(getpid(), Signal::KILL).unwrap();
}

#[spinneret::task]
fn answer(value: Value<u32>, end: Event) {
    value.set(42);
    end.set();
}

#[test]
fn a_value_is_passed_on_by_those_who_got_it() {
    let (value, end) = (Value::new(0).unwrap(), Event::new().unwrap());
    let _child = Child::start(pass_on, (value.clone(), end.clone()));
    assert!(end.wait_timeout(GENEROUS));
    assert_eq!(value.get().unwrap(), 42);
}

#[spinneret::task]
fn make_and_send(pipe: Sender<(Array<u8>, Semaphore)>) {
    let semaphore = Semaphore::new(1).unwrap();
    let _permit = semaphore.acquire();
    pipe.send(&(Array::from_slice(b"still here").unwrap(), semaphore.clone())).unwrap();
    kill_process(getpid(), Signal::KILL).unwrap();
}

#[test]
fn what_came_in_a_message_outlives_the_process_that_made_it() {
    let (receiver, sender) = pipe_simplex().unwrap();
    let _child = Child::start(make_and_send, sender);
    let (array, semaphore) = receiver.recv_timeout(GENEROUS).unwrap();
    assert!(matches!(receiver.recv_timeout(GENEROUS), Err(RecvError::Eof)));
    assert_eq!(array.to_vec().unwrap(), b"still here");
    assert!(semaphore.acquire_timeout(GENEROUS).is_some());
}

#[test]
fn threads_may_wait_for_what_another_changes() {
    let value = Value::new(0_u32).unwrap();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..1000).for_each(|_| *value.lock().unwrap() += 1));
        }
    });
    assert_eq!(value.get().unwrap(), 4000);
}

#[test]
fn a_thread_that_ends_with_the_guard_is_reported_like_a_process() {
    let value = Value::new(1_u8).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| std::mem::forget(value.lock().unwrap())).join().unwrap();
    });
    assert_eq!(*value.lock().unwrap_err().into_inner(), 1);
    assert_eq!(value.get().unwrap(), 1);
    // A panic is no death: the guard is dropped on the way.
    let panicked = thread::scope(|scope| {
        scope
            .spawn(|| {
                let _guard = value.lock().unwrap();
                panic!("as meant");
            })
            .join()
    });
    assert!(panicked.is_err());
    assert_eq!(value.get().unwrap(), 1);
}

#[test]
fn a_forgotten_guard_harms_no_later_lock() {
    for _ in 0..10 {
        let value = Value::new([7_u64; 100]).unwrap();
        std::mem::forget(value.lock().unwrap());
        drop(value);
        let other = Value::new(1_u8).unwrap();
        *other.lock().unwrap() += 1;
        assert_eq!(other.get().unwrap(), 2);
    }
}

#[test]
fn taking_the_lock_twice_times_out() {
    let value = Value::new(0_u8).unwrap();
    let _guard = value.lock().unwrap();
    assert!(value.lock_timeout(Duration::from_millis(20)).is_none());
    assert!(value.clone().try_lock().is_none());
}

#[test]
fn impossible_sizes_are_errors() {
    let error = Array::new(usize::MAX, 0_u64).unwrap_err();
    assert!(matches!(error, MemoryError::TooLarge { len: usize::MAX, size: 8 }), "{error}");
    let error = Array::new(1 << 50, 0_u8).unwrap_err();
    assert!(matches!(error, MemoryError::System { bytes, .. } if bytes > 1 << 50), "{error}");
}

#[test]
fn what_is_of_this_machine_goes_into_no_file() {
    let error = rmp_serde::to_vec(&Value::new(0_u8).unwrap()).unwrap_err();
    assert!(error.to_string().contains("network"), "{error}");
    assert!(rmp_serde::from_slice::<Value<u8>>(&[0]).is_err());
}
