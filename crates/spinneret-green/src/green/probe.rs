//! Whether green threads work in this process: the C library's layout, then a trial.

use std::{
    cell::{Cell, RefCell},
    hint::black_box,
    io,
    sync::OnceLock,
    thread,
};

use corosensei::{Coroutine, CoroutineResult, Yielder};

use super::{
    stack::{PAGE, Slot, Stacks},
    tls::{self, Layout, Template},
};

/// The layout of this process's thread-locals, if green threads passed the trial with it; else why
/// not. Found once.
pub(super) fn layout() -> &'static Result<Layout, String> {
    static LAYOUT: OnceLock<Result<Layout, String>> = OnceLock::new();
    LAYOUT.get_or_init(|| {
        // A thread of its own: whatever the trial does to thread-locals ends with it.
        let trial = thread::Builder::new().name("hub-trial".into()).spawn(|| {
            let layout = Layout::find().map_err(|why| why.to_string())?;
            try_out(&layout)?;
            Ok(layout)
        });
        match trial.map(thread::JoinHandle::join) {
            Ok(Ok(found)) => found,
            Ok(Err(_)) => Err("the trial of green threads panicked".into()),
            Err(error) => Err(format!("no thread to try green threads out: {error}")),
        }
    })
}

const UNTOUCHED: u32 = 0x5eed;

thread_local! {
    static PLAIN: Cell<u32> = const { Cell::new(UNTOUCHED) };
    static LAZY: RefCell<Vec<u32>> = RefCell::new(vec![UNTOUCHED]);
}

/// Runs two coroutines in turns, whose thread-locals must be their own.
fn try_out(layout: &Layout) -> Result<(), String> {
    let base = tls::fs_base();
    let template = Template::of_this_thread(layout);
    let mut stacks = Stacks::default();
    PLAIN.set(1);
    LAZY.with_borrow_mut(|lazy| lazy.push(1));
    set_errno(1);
    let mut trials = Vec::new();
    for number in [2, 3] {
        trials.push(Trial::new(&template, &mut stacks, number).map_err(|why| why.to_string())?);
    }
    let mut found = Ok(());
    for _round in 0..3 {
        for trial in &mut trials {
            found = found.and(trial.step(base));
        }
        let own = PLAIN.get() == 1 && LAZY.with_borrow(|lazy| lazy[1] == 1) && errno() == 1;
        if !own {
            found = found.and(Err("the thread's"));
        }
    }
    for trial in trials {
        trial.end(&template);
    }
    found.map_err(|what| format!("a trial found {what} thread-locals to be changed by another"))
}

struct Trial {
    coroutine: Coroutine<(), (), Result<(), &'static str>, Slot>,
    base: usize,
    result: Result<(), &'static str>,
}

impl Trial {
    fn new(template: &Template, stacks: &mut Stacks, number: u32) -> io::Result<Self> {
        let mut slot = stacks.take(template.len() + 16 * PAGE)?;
        let base = template.thread_pointer(slot.top());
        let dtv = template.new_dtv().ok_or(io::ErrorKind::OutOfMemory)?;
        // SAFETY: it is the slot's memory, which nothing runs on.
        unsafe { template.write(base, &dtv) };
        slot.dtv = Some(dtv);
        slot.set_base(template.low(base));
        let coroutine = Coroutine::with_stack(slot, move |yielder, ()| try_one(yielder, number));
        Ok(Self { coroutine, base, result: Ok(()) })
    }

    #[inline(never)]
    fn step(&mut self, own: usize) -> Result<(), &'static str> {
        if !self.coroutine.done() {
            // SAFETY: the block was written for this coroutine, on this thread.
            unsafe { tls::set_fs_base(self.base) };
            let result = self.coroutine.resume(());
            // SAFETY: the thread's own.
            unsafe { tls::set_fs_base(own) };
            if let CoroutineResult::Return(result) = result {
                self.result = result;
            }
        }
        self.result
    }

    /// The stack's memory is left to the process.
    fn end(self, template: &Template) {
        let mut slot = self.coroutine.into_stack();
        if let Some(dtv) = slot.dtv.take() {
            // SAFETY: it was written with this vector, and nothing runs on it any more.
            drop(unsafe { template.clear(self.base, dtv) });
        }
    }
}

/// What a coroutine of the trial does; suspended twice.
fn try_one(yielder: &Yielder<(), ()>, number: u32) -> Result<(), &'static str> {
    let fresh = PLAIN.get() == UNTOUCHED && LAZY.with_borrow(|lazy| *lazy == [UNTOUCHED]);
    if !fresh {
        return Err("a new coroutine's");
    }
    PLAIN.set(number);
    LAZY.with_borrow_mut(|lazy| lazy.push(number));
    set_errno(number.cast_signed());
    // SAFETY: the call has no preconditions.
    let this = unsafe { libc::pthread_self() };
    if this as usize != tls::fs_base() {
        return Err("the descriptor's");
    }
    yielder.suspend(());
    // Both of the allocator's ways: a small block of the thread's cache, a large one of the arena.
    for size in [24, 512, 40_000] {
        let block = black_box(vec![number as u8; size]);
        if block[size - 1] != number as u8 {
            return Err("the allocator's");
        }
    }
    yielder.suspend(());
    let own = PLAIN.get() == number
        && LAZY.with_borrow(|lazy| lazy[1] == number)
        && errno() == number.cast_signed();
    // Its destructor would run on the thread's end, when the stack is gone.
    LAZY.with_borrow_mut(|lazy| *lazy = Vec::new());
    if own { Ok(()) } else { Err("a coroutine's") }
}

fn errno() -> i32 {
    // SAFETY: the call has no preconditions.
    let at = unsafe { libc::__errno_location() };
    // SAFETY: it is the thread's own.
    unsafe { *at }
}

fn set_errno(number: i32) {
    // SAFETY: the call has no preconditions.
    let at = unsafe { libc::__errno_location() };
    // SAFETY: it is the thread's own.
    unsafe { *at = number };
}
