//! One hub: a thread that runs its green threads one after the other.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    hint, io,
    mem::{ManuallyDrop, forget},
    ptr::{self, NonNull},
    sync::{
        Arc,
        atomic::{Ordering, fence},
    },
    task::{Context, Waker},
    time::Instant,
};

use corosensei::{Coroutine, CoroutineResult};

use super::{
    Reactor, current,
    home::{self, Green, GreenHome, UNBORN, Wish, flags, green, pointer},
    overflow,
    shared::{CLOSING, Shared},
    stack::{PAGE, Slot, Stacks},
    timers::Timers,
    tls::{self, Layout, Template},
};
use crate::{
    hooks,
    task::{CANCELLED, Home, Inner, NOTIFIED, PARKED, Task},
};

/// See the module. All of it is used by its own thread alone, by the hub's code and by that of its
/// green threads; no borrow of a cell lasts while the other runs.
pub(super) struct Hub {
    pub shared: &'static Shared,
    /// The thread pointer of the hub's own thread.
    pub base: usize,
    /// Where thread-locals say which green thread has them, from the thread pointer.
    who: isize,
    template: RefCell<Template>,
    stacks: RefCell<Stacks>,
    /// Who runs next. Each is among the living and at most once here.
    ready: RefCell<VecDeque<NonNull<Inner>>>,
    /// Ready ones for which there was no memory for a stack.
    starved: RefCell<Vec<NonNull<Inner>>>,
    /// How many green threads have a stack.
    stacked: Cell<usize>,
    pub timers: RefCell<Timers>,
    /// All green threads that have not ended.
    living: RefCell<Vec<Arc<Inner>>>,
    /// The driver runs, so that it sees what becomes ready.
    pub driving: Cell<bool>,
    /// The living were cancelled, since the hub ends.
    closing: Cell<bool>,
    pub reactor: Reactor,
}

impl Hub {
    /// On its thread.
    pub fn new(shared: &'static Shared) -> io::Result<Self> {
        // Not that of the trial: libraries may have been loaded since.
        let layout = Layout::find()
            .map_err(|why| io::Error::new(io::ErrorKind::Unsupported, why.to_string()))?;
        Ok(Self {
            shared,
            base: tls::fs_base(),
            who: current::place(),
            template: RefCell::new(Template::of_this_thread(&layout)),
            stacks: RefCell::default(),
            ready: RefCell::default(),
            starved: RefCell::default(),
            stacked: Cell::new(0),
            timers: RefCell::default(),
            living: RefCell::default(),
            driving: Cell::new(false),
            closing: Cell::new(false),
            reactor: Reactor::new()?,
        })
    }

    /// Lets green threads begin with the hub's tokio runtime entered, at no cost for each: a first
    /// one enters it, and its thread-locals become those that others begin with. In the runtime,
    /// before anything else runs here.
    pub fn season(&self) {
        let body = || {
            if let Some(hub) = current::hub_here()
                && let Some(runtime) = hub.shared.runtime.get()
            {
                forget(runtime.enter());
                // The handle in these thread-locals stays there for good: each green thread
                // has it, and none drops it.
                hooks::forget_destructors();
                hub.keep_thread_locals();
            }
        };
        let home = Home::Green(GreenHome::new(self.shared, 0, Box::new(body)));
        let first = Task::new(None, home);
        self.shared.load.fetch_add(1, Ordering::Relaxed);
        self.adopt(Arc::clone(first.inner()));
        if let Some(first) = self.next() {
            self.run(first);
        }
    }

    /// In a green thread: lets others begin with its thread-locals.
    fn keep_thread_locals(&self) {
        let Some(task) = current() else { return };
        let green = green(pointer(task.inner()));
        let base = green.base.get();
        let stack = green.guard.get()..base + self.template.borrow().len();
        // SAFETY: it is this green thread's own, and `season` left nothing in it that is ever dropped.
        unsafe { self.template.borrow_mut().season(base, stack) };
    }

    /// Queues a task of this hub.
    pub fn push(&self, task: NonNull<Inner>) {
        let mut ready = self.ready.borrow_mut();
        ready.push_back(task);
        self.shared.watch.ready.store(ready.len(), Ordering::Relaxed);
        drop(ready);
        if !self.driving.get() {
            self.shared.wake();
        }
    }

    /// Takes a new task in.
    pub fn adopt(&self, task: Arc<Inner>) {
        let new = pointer(&task);
        let mut living = self.living.borrow_mut();
        green(new).place.set(living.len() as u32);
        living.push(task);
        self.shared.watch.living.store(living.len(), Ordering::Relaxed);
        drop(living);
        if self.closing.get() {
            flags(new).fetch_or(CANCELLED, Ordering::AcqRel);
        }
        self.push(new);
    }

    /// What came from other threads, and what time made ready.
    pub fn collect(&self) {
        if self.shared.was_told() {
            for task in self.shared.take() {
                if green(pointer(&task)).place.get() == UNBORN {
                    self.adopt(task);
                } else {
                    self.push(pointer(&task));
                }
            }
            if self.shared.phase.load(Ordering::Acquire) >= CLOSING && !self.closing.replace(true) {
                self.cancel_all();
            }
        }
        self.reactor.turn();
        if !self.timers.borrow().is_empty() {
            let now = Instant::now();
            loop {
                let due = self.timers.borrow_mut().pop(now);
                let Some(task) = due else { break };
                let before = flags(task).fetch_or(NOTIFIED, Ordering::AcqRel);
                let parked = before & (PARKED | NOTIFIED) == PARKED;
                // Who was unparked before its deadline passed here is queued already, and will look
                // at the clock itself; but for who waits for a future this is the only timer.
                if parked || green(task).pending.get().is_some() {
                    green(task).timed_out.set(true);
                }
                if parked {
                    self.push(task);
                }
            }
        }
    }

    fn cancel_all(&self) {
        let living = self.living.borrow().clone();
        for task in living {
            Task::from_inner(task).cancel();
        }
    }

    /// Whether it is closing and nothing lives here any more.
    pub fn has_ended(&self) -> bool {
        self.closing.get() && self.living.borrow().is_empty()
    }

    pub fn living(&self) -> usize {
        self.living.borrow().len()
    }

    pub fn next(&self) -> Option<NonNull<Inner>> {
        let mut ready = self.ready.borrow_mut();
        let next = ready.pop_front();
        // With thousands of them none is in the caches when its turn comes: what is needed then is
        // asked for while others run, first the task, a little later what it points to.
        if let Some(&soon) = ready.get(6) {
            home::prefetch(soon.as_ptr().cast(), size_of::<Inner>());
        }
        if let Some(&soon) = ready.get(2) {
            let green = green(soon);
            home::prefetch(green.frame.get(), 4 * home::LINE);
            // And who it is, which its thread-locals say, by way of the pointer at their base.
            let base = green.base.get();
            home::prefetch(ptr::without_provenance(base), home::LINE);
            home::prefetch(ptr::without_provenance(base.wrapping_add_signed(self.who)), home::LINE);
        }
        self.shared.watch.ready.store(ready.len(), Ordering::Relaxed);
        next
    }

    pub fn ready(&self) -> usize {
        self.ready.borrow().len()
    }

    /// Runs a ready task until it suspends itself or ends.
    pub fn run(&self, task: NonNull<Inner>) {
        let green = green(task);
        if green.yielder.get().is_null() && !self.begin(task) {
            return;
        }
        if green.pending.get().is_some() && !self.poll(task) {
            return;
        }
        while self.resume(task) {
            match green.wish.get() {
                Wish::Yield => return self.ready.borrow_mut().push_back(task),
                Wish::Poll if self.poll(task) => {}
                Wish::Park | Wish::Poll => return,
            }
        }
        self.end(task);
    }

    /// Makes the stack of a new green thread; whether that could be done. Without memory it waits
    /// for another's stack.
    fn begin(&self, task: NonNull<Inner>) -> bool {
        let green = green(task);
        match self.stack(green.stack_size.max(self.least_stack())) {
            Ok((slot, base)) => {
                green.base.set(base);
                green.guard.set(slot.guard());
                green.looked.set(slot.is_looked());
                let hub = ptr::from_ref(self);
                let coroutine = Coroutine::with_stack(slot, move |yielder, ()| {
                    // It is the green thread itself that runs this, with its own thread-locals.
                    self::green(task).yielder.set(yielder);
                    begin(hub, task);
                });
                // SAFETY: nobody has a reference to it, as it does not run.
                unsafe { *green.coroutine.get() = Some(coroutine) };
                self.stacked.set(self.stacked.get() + 1);
                true
            }
            Err(_) if self.stacked.get() > 0 => {
                self.shared.watch.starved.store(true, Ordering::Relaxed);
                self.starved.borrow_mut().push(task);
                false
            }
            Err(_) => {
                // Nobody will give one back: it ends without having begun, as if it was cancelled.
                self.shared.watch.starved.store(true, Ordering::Relaxed);
                drop(green.body.take());
                self.end(task);
                false
            }
        }
    }

    /// A stack with a block of thread-locals at its top, and the block's thread pointer.
    fn stack(&self, size: usize) -> io::Result<(Slot, usize)> {
        let mut slot = self.stacks.borrow_mut().take(size)?;
        let template = self.template.borrow();
        let base = template.thread_pointer(slot.top());
        let low = template.low(base);
        let dtv = slot.dtv.take().or_else(|| template.new_dtv());
        let Some(dtv) = dtv else {
            self.stacks.borrow_mut().give(slot);
            return Err(io::ErrorKind::OutOfMemory.into());
        };
        // SAFETY: it is the slot's memory, which nothing runs on.
        unsafe { template.write(base, &dtv) };
        slot.dtv = Some(dtv);
        slot.set_base(low);
        Ok((slot, base))
    }

    /// Lets a green thread go on; whether it suspended itself (else it ended).
    fn resume(&self, task: NonNull<Inner>) -> bool {
        let green = green(task);
        let watch = &self.shared.watch;
        watch.running.store(task.as_ptr(), Ordering::Relaxed);
        // SAFETY: the hub alone refers to it, and not twice: a green thread does not run the hub.
        let coroutine = unsafe { &mut *green.coroutine.get() };
        let coroutine = coroutine.as_mut().expect("it has begun and not ended");
        let suspended = switch(coroutine, green.base.get(), self.base);
        if green.looked.get() && Slot::overflowed(green.guard.get()) {
            // SAFETY: the living have a reference.
            overflow::abort(unsafe { task.as_ref() }, green.stack_size);
        }
        watch.running.store(ptr::null_mut(), Ordering::Relaxed);
        let switches = watch.switches.load(Ordering::Relaxed);
        watch.switches.store(switches.wrapping_add(1), Ordering::Relaxed);
        suspended
    }

    /// Polls the future that a green thread waits for; whether that one is to go on.
    fn poll(&self, task: NonNull<Inner>) -> bool {
        let (flags, green) = (flags(task), green(task));
        let Some(mut pending) = green.pending.get() else { return true };
        let before = flags.fetch_and(!(PARKED | NOTIFIED), Ordering::AcqRel);
        if before & CANCELLED != 0 || green.timed_out.get() {
            return true;
        }
        // SAFETY: the living hold a reference; this one is not counted, and not dropped.
        let waker = ManuallyDrop::new(Waker::from(unsafe { Arc::from_raw(task.as_ptr()) }));
        // SAFETY: the future is on the stack of the green thread, which stays suspended in the
        // call that waits for it.
        let done = unsafe { pending.as_mut() }.poll(&mut Context::from_waker(&waker));
        if done {
            green.pending.set(None);
            return true;
        }
        if flags.fetch_or(PARKED, Ordering::AcqRel) & NOTIFIED != 0 {
            // Woken meanwhile, and so queued by nobody: that is done by who finds it parked.
            flags.fetch_and(!PARKED, Ordering::AcqRel);
            self.ready.borrow_mut().push_back(task);
        }
        false
    }

    /// Buries a green thread whose body returned.
    fn end(&self, task: NonNull<Inner>) {
        // It was said before that it does not run any more.
        fence(Ordering::SeqCst);
        while self.shared.watch.pinned.load(Ordering::Acquire) == task.as_ptr() {
            hint::spin_loop();
        }
        let green = green(task);
        self.timers.borrow_mut().remove(task);
        // SAFETY: it ended, so nothing refers to it.
        let coroutine = unsafe { (*green.coroutine.get()).take() };
        if let Some(coroutine) = coroutine {
            let mut slot = coroutine.into_stack();
            if let Some(dtv) = slot.dtv.take() {
                // SAFETY: it was written with this vector, and nothing runs on it any more.
                slot.dtv = unsafe { self.template.borrow().clear(green.base.get(), dtv) };
            }
            self.stacks.borrow_mut().give(slot);
            self.stacked.set(self.stacked.get() - 1);
        }
        self.ready.borrow_mut().extend(self.starved.borrow_mut().pop());
        let place = green.place.get() as usize;
        let mut living = self.living.borrow_mut();
        let ended = living.swap_remove(place);
        if let Some(moved) = living.get(place) {
            self::green(pointer(moved)).place.set(place as u32);
        }
        let left = living.len();
        drop(living);
        self.shared.watch.living.store(left, Ordering::Relaxed);
        self.shared.load.fetch_sub(1, Ordering::Relaxed);
        drop(ended);
    }

    /// How long a stack is at least, with the thread-locals at its top.
    fn least_stack(&self) -> usize {
        self.template.borrow().len() + 4 * PAGE
    }
}

/// Runs a coroutine with thread-locals at `base` until it suspends itself; then those at `own`
/// are back. Whether it will go on later.
#[inline(never)]
fn switch(coroutine: &mut Coroutine<(), (), (), Slot>, base: usize, own: usize) -> bool {
    // SAFETY: the block was written for this coroutine, by this thread. No thread-local is used
    // here on either side, and the coroutine's code is on another stack.
    unsafe { tls::set_fs_base(base) };
    let result = coroutine.resume(());
    // SAFETY: the thread's own.
    unsafe { tls::set_fs_base(own) };
    matches!(result, CoroutineResult::Yield(()))
}

/// The first frame of a green thread.
#[inline(never)]
fn begin(hub: *const Hub, task: NonNull<Inner>) {
    current::set_here(hub, task.as_ptr());
    if let Some(body) = green(task).body.take() {
        body();
    }
    hooks::end_thread();
}

/// Suspends the running green thread.
// The processor mispredicts each return after a switch of stacks: the fewer the better.
#[inline]
pub(super) fn suspend(green: &Green, wish: Wish) {
    let frame = 0u8;
    green.frame.set(&raw const frame);
    green.wish.set(wish);
    // SAFETY: the yielder is that of the coroutine that runs, which set it when it began.
    unsafe { &*green.yielder.get() }.suspend(());
}
