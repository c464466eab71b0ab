//! Sleeping on words of shared memory without holding up a thread: for coroutines and async tasks.
//!
//! One thread sleeps for all of them, on many words at once (`futex_waitv`, since Linux 5.16). It is
//! started when the first comes, and sleeps for good while there are none. A sleeper is woken when its
//! word was woken or has changed; nobody relies on it, since all look for themselves after a
//! [`NAP`](super::futex::NAP). So where the kernel is older, or somebody sleeps on the 127th word and
//! beyond, they look a little more often instead.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Once, OnceLock};
use std::task::{Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::thread::ClockId;
use rustix::thread::futex::{self, Flags, Wait, WaitFlags, WaitPtr, WaitvFlags};

use super::futex::NAP;
use crate::signal::Mutex;

/// How many words one call can sleep on, less our own.
const WORDS: usize = 127;

/// How often who is not watched looks at its word.
const LOOK: Duration = Duration::from_millis(5);

/// The sleepers, and a word of our own on which the thread sleeps too.
struct Watch {
    /// Changed, and woken, when there is somebody new.
    changed: AtomicU32,
    sleepers: Mutex<Sleepers>,
}

#[derive(Default)]
struct Sleepers {
    next: u64,
    /// By number.
    asleep: BTreeMap<u64, Sleeper>,
}

struct Sleeper {
    /// The word's address. It is mapped for as long as the sleeper is here.
    word: usize,
    expected: u32,
    waker: Waker,
}

fn watch() -> &'static Watch {
    static WATCH: OnceLock<Watch> = OnceLock::new();
    WATCH.get_or_init(|| Watch { changed: AtomicU32::new(0), sleepers: Mutex::default() })
}

/// Whether the thread works: else everybody has to look.
fn is_watched() -> bool {
    static START: Once = Once::new();
    static STARTED: OnceLock<bool> = OnceLock::new();
    START.call_once(|| {
        let thread = thread::Builder::new().name("spinneret-watch".to_owned());
        let _ = STARTED.set(knows_waitv() && thread.spawn(|| watch().run()).is_ok());
    });
    STARTED.get().copied().unwrap_or(false)
}

/// Whether the kernel can sleep on many words.
fn knows_waitv() -> bool {
    let word = AtomicU32::new(1);
    // Refused, since the word is another; an older kernel does not know the call.
    matches!(sleep(&[entry(addr(&word), 0)]), Err(Errno::AGAIN))
}

/// As [`wait`](super::futex::wait), in an async task: it needs tokio's timers.
pub(crate) async fn wait_async(word: &AtomicU32, expected: u32, deadline: Option<Instant>) {
    let now = Instant::now();
    let nap = if is_watched() { NAP } else { LOOK };
    let end = deadline.map_or(now + nap, |deadline| deadline.min(now + nap));
    let mut place = Place(None);
    let changed = poll_fn(|context| {
        if word.load(Ordering::SeqCst) != expected || place.was_woken() {
            return Poll::Ready(());
        }
        place.take(addr(word), expected, context.waker());
        // A wake-up between the look and now found nobody asleep; a change is seen here.
        if word.load(Ordering::SeqCst) == expected { Poll::Pending } else { Poll::Ready(()) }
    });
    let _ = tokio::time::timeout_at(end.into(), changed).await;
}

fn addr(word: &AtomicU32) -> usize {
    word.as_ptr().expose_provenance()
}

/// A sleeper's entry, taken out on drop.
struct Place(Option<u64>);

impl Place {
    /// Whether it was taken out by the thread, which woke the sleeper.
    fn was_woken(&self) -> bool {
        self.0.is_some_and(|number| !watch().sleepers.lock().asleep.contains_key(&number))
    }

    fn take(&mut self, word: usize, expected: u32, waker: &Waker) {
        let watch = watch();
        let mut sleepers = watch.sleepers.lock();
        let number = *self.0.get_or_insert_with(|| {
            sleepers.next += 1;
            sleepers.next
        });
        let sleeper = Sleeper { word, expected, waker: waker.clone() };
        if sleepers.asleep.insert(number, sleeper).is_none() {
            drop(sleepers);
            watch.changed.fetch_add(1, Ordering::SeqCst);
            let _ = futex::wake(&watch.changed, Flags::PRIVATE, 1);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(number) = self.0 {
            watch().sleepers.lock().asleep.remove(&number);
        }
    }
}

impl Watch {
    /// The thread: sleeps on all words, and wakes those whose word was woken or has changed.
    fn run(&self) {
        loop {
            let changed = self.changed.load(Ordering::SeqCst);
            let mut words = self.words();
            let mut own = entry(addr(&self.changed), changed);
            own.flags |= WaitFlags::PRIVATE;
            words.push(own);
            let woken = match sleep(&words) {
                Ok(index) if index + 1 < words.len() => words.get(index),
                // Ours says only that there are others. Or one of them has changed before we slept:
                // whichever it is, it is found below.
                Ok(_) | Err(Errno::AGAIN | Errno::INTR) => None,
                // A word that is not mapped any more, since its sleeper has just left; or no memory.
                Err(_) => {
                    thread::sleep(Duration::from_millis(1));
                    None
                }
            };
            self.wake(woken.map(|wait| wait.uaddr.ptr.addr()));
        }
    }

    /// What to sleep on. Words on which somebody sleeps whose value has gone are left out: these
    /// are woken anyway.
    fn words(&self) -> Vec<Wait> {
        let sleepers = self.sleepers.lock();
        let mut words = BTreeMap::new();
        for sleeper in sleepers.asleep.values() {
            if words.len() < WORDS {
                words.entry(sleeper.word).or_insert(sleeper.expected);
            }
        }
        words.into_iter().map(|(word, expected)| entry(word, expected)).collect()
    }

    /// Wakes who sleeps on this word, and all whose word has changed.
    fn wake(&self, woken: Option<usize>) {
        let mut sleepers = self.sleepers.lock();
        let awake = sleepers.asleep.extract_if(.., |_, sleeper| {
            // SAFETY: a sleeper is taken out, under the lock we have, before its word goes.
            let word =
                unsafe { AtomicU32::from_ptr(std::ptr::with_exposed_provenance_mut(sleeper.word)) };
            Some(sleeper.word) == woken || word.load(Ordering::SeqCst) != sleeper.expected
        });
        let wakers: Vec<_> = awake.map(|(_, sleeper)| sleeper.waker).collect();
        drop(sleepers);
        wakers.into_iter().for_each(Waker::wake);
    }
}

fn entry(word: usize, expected: u32) -> Wait {
    let mut wait = Wait::new();
    wait.val = u64::from(expected);
    wait.uaddr = WaitPtr::new(std::ptr::with_exposed_provenance_mut(word));
    wait.flags = WaitFlags::SIZE_U32;
    wait
}

fn sleep(words: &[Wait]) -> Result<usize, Errno> {
    futex::waitv(words, WaitvFlags::empty(), None, ClockId::Monotonic)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const LONG: Duration = Duration::from_secs(30);

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
    }

    #[test]
    fn a_sleeper_is_woken_by_a_change_and_by_its_deadline() {
        let word = Arc::new(AtomicU32::new(0));
        let sleep = async || {
            let end = Instant::now() + LONG;
            while word.load(Ordering::SeqCst) == 0 && Instant::now() < end {
                wait_async(&word, 0, Some(end)).await;
            }
            word.load(Ordering::SeqCst)
        };
        let waker = {
            let word = Arc::clone(&word);
            thread::spawn(move || {
                thread::sleep(Duration::from_millis(5));
                word.store(7, Ordering::SeqCst);
                super::super::wake(&word, super::super::ALL);
            })
        };
        assert_eq!(runtime().block_on(sleep()), 7);
        waker.join().unwrap();
        runtime().block_on(async {
            wait_async(&word, 7, Some(Instant::now())).await;
            wait_async(&word, 0, None).await;
        });
    }

    #[test]
    fn many_words_are_watched_at_once_and_nobody_is_left_behind() {
        let words: Arc<Vec<_>> = Arc::new((0..300).map(|_| AtomicU32::new(0)).collect());
        let wakes = Arc::clone(&words);
        let thread = thread::spawn(move || {
            for word in wakes.iter() {
                word.store(1, Ordering::SeqCst);
                super::super::wake(word, super::super::ALL);
            }
        });
        runtime().block_on(async {
            let sleeps = words.iter().map(async |word| {
                while word.load(Ordering::SeqCst) == 0 {
                    wait_async(word, 0, None).await;
                }
            });
            let all = futures_util::future::join_all(sleeps);
            tokio::time::timeout(LONG, all).await.expect("all are woken");
        });
        thread.join().unwrap();
        // Other tests of the same process may sleep meanwhile.
        let own = |sleeper: &Sleeper| words.iter().any(|word| addr(word) == sleeper.word);
        assert!(!watch().sleepers.lock().asleep.values().any(own));
    }
}
