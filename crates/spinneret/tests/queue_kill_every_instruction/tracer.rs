//! A child process that is killed before the instruction of our choice.

use std::collections::HashMap;
use std::io;
use std::time::Duration;

/// A forked child that has stopped itself, to be stepped from there.
pub struct Victim {
    pid: libc::pid_t,
    reaped: bool,
}

/// What became of a child after it was let go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// After a step, or at a breakpoint.
    Trap,
    /// The work is done.
    Finished,
}

/// What to do when a child sleeps; `None` for one that never does.
pub type Wake<'a> = Option<&'a mut dyn FnMut()>;

fn again<'a>(wake: &'a mut Wake<'_>) -> Wake<'a> {
    match wake {
        Some(wake) => Some(&mut **wake),
        None => None,
    }
}

/// An instruction that was executed.
#[derive(Clone, Copy)]
pub struct Step {
    address: u64,
    stack: u64,
}

/// A step to run to: the address has been passed `hits` times when it comes to the step.
#[derive(Clone, Copy)]
struct Anchor {
    step: usize,
    hits: usize,
}

/// How many steps a hit of a breakpoint is worth.
const HIT: usize = 5;

/// The child's way through its work.
pub struct Trace {
    pub steps: Vec<Step>,
    /// For each step the one, not after it, to run to with a breakpoint; the rest is stepped.
    anchors: Vec<Anchor>,
}

/// A loop's instruction is killed at in so many of its first rounds, and in the last two: what
/// spins, copies or searches does the same in between.
const ROUNDS: usize = 16;

/// Of one with more rounds than this the last two are left out: it is a copy, byte by byte.
const MANY_ROUNDS: usize = 1000;

impl Trace {
    fn new(steps: Vec<Step>) -> Self {
        let mut passed: HashMap<_, usize> = HashMap::new();
        let mut anchors = Vec::with_capacity(steps.len());
        let mut best = (Anchor { step: 0, hits: 0 }, 0);
        for (index, step) in steps.iter().enumerate() {
            let hits = passed.entry(step.address).or_default();
            best.1 += 1;
            if HIT * (*hits + 1) < best.1 {
                best = (Anchor { step: index, hits: *hits }, HIT * (*hits + 1));
            }
            anchors.push(best.0);
            *hits += 1;
        }
        Self { steps, anchors }
    }

    /// The steps before which to kill.
    pub fn points(&self) -> Vec<usize> {
        let mut rounds: HashMap<_, Vec<usize>> = HashMap::new();
        for (index, step) in self.steps.iter().enumerate() {
            rounds.entry((step.address, step.stack)).or_default().push(index);
        }
        let mut points: Vec<_> = rounds
            .into_values()
            .flat_map(|indices| {
                let count = indices.len();
                let last = if count > MANY_ROUNDS { count } else { count.saturating_sub(2) };
                let kept = move |(round, _): &(usize, usize)| *round < ROUNDS || *round >= last;
                indices.into_iter().enumerate().filter(kept).map(|(_, index)| index)
            })
            .collect();
        points.sort_unstable();
        points
    }
}

impl Victim {
    /// Forks a child that runs `arm`, stops, runs `act`, and says that it has finished. `None` where
    /// the system forbids tracing.
    pub fn fork<H, K>(arm: impl FnOnce() -> H, act: impl FnOnce(H) -> K) -> Option<Self> {
        // SAFETY: the child uses the allocator, which the C library keeps usable, and the queue.
        let pid = unsafe { libc::fork() };
        assert!(pid >= 0, "{}", io::Error::last_os_error());
        if pid == 0 {
            let armed = arm();
            // SAFETY: it has no arguments but the first.
            let traced = unsafe { libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) } == 0;
            if !traced {
                // SAFETY: always allowed.
                unsafe { libc::_exit(FORBIDDEN) };
            }
            raise(libc::SIGSTOP);
            let kept = act(armed);
            raise(libc::SIGUSR1);
            std::mem::forget(kept);
            // SAFETY: always allowed.
            unsafe { libc::_exit(0) };
        }
        let mut victim = Self { pid, reaped: false };
        let status = victim.wait(0).expect("it waits");
        if libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == FORBIDDEN {
            victim.reaped = true;
            return None;
        }
        assert!(libc::WIFSTOPPED(status), "{status:#x}");
        victim.ptrace(libc::PTRACE_SETOPTIONS, 0, libc::PTRACE_O_EXITKILL as u64);
        Some(victim)
    }

    /// Steps through all of the work. `wake` is called whenever the child sleeps.
    pub fn trace(&mut self, mut wake: Wake<'_>) -> Trace {
        let mut steps = Vec::new();
        loop {
            let registers = self.registers();
            steps.push(Step { address: registers.rip, stack: registers.rsp });
            assert!(steps.len() < 10_000_000, "it does not end");
            if self.go(libc::PTRACE_SINGLESTEP, again(&mut wake)) == Stop::Finished {
                return Trace::new(steps);
            }
        }
    }

    /// Runs up to before a step of the trace; whether it came there.
    pub fn run_to(&mut self, trace: &Trace, step: usize, mut wake: Wake<'_>) -> bool {
        let anchor = trace.anchors[step];
        if anchor.step > 0 {
            let address = trace.steps[anchor.step].address;
            let word = self.peek(address);
            for hit in 0..=anchor.hits {
                // Off the breakpoint, and on.
                if hit > 0 && !self.step(1, again(&mut wake)) {
                    return false;
                }
                self.ptrace(libc::PTRACE_POKEDATA, address, word & !0xff | 0xcc);
                if self.go(libc::PTRACE_CONT, again(&mut wake)) == Stop::Finished {
                    return false;
                }
                self.ptrace(libc::PTRACE_POKEDATA, address, word);
                let mut registers = self.registers();
                assert_eq!(registers.rip, address + 1, "another breakpoint");
                registers.rip = address;
                self.ptrace(libc::PTRACE_SETREGS, 0, &raw mut registers as u64);
            }
        }
        self.step(step - anchor.step, wake)
    }

    /// Takes so many steps; whether the work was not over before.
    pub fn step(&mut self, steps: usize, mut wake: Wake<'_>) -> bool {
        (0..steps).all(|_| self.go(libc::PTRACE_SINGLESTEP, again(&mut wake)) == Stop::Trap)
    }

    /// Lets it run until it sleeps, and leaves it there.
    pub fn run_to_sleep(&mut self) {
        self.ptrace(libc::PTRACE_CONT, 0, 0);
        while !self.sleeps() {
            std::thread::sleep(Duration::from_micros(50));
        }
    }

    pub fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        if !self.reaped {
            // SAFETY: it is our child, and not reaped so far.
            unsafe { libc::kill(self.pid, libc::SIGKILL) };
            while let Some(status) = self.wait(0) {
                if libc::WIFSIGNALED(status) || libc::WIFEXITED(status) {
                    break;
                }
            }
            self.reaped = true;
        }
    }

    fn go(&mut self, request: libc::c_uint, wake: Wake<'_>) -> Stop {
        // One that is stepped can sleep only where it waits for a futex.
        let may_sleep = request != libc::PTRACE_SINGLESTEP || {
            let registers = self.registers();
            registers.rax == FUTEX && self.peek(registers.rip) & 0xffff == SYSCALL
        };
        self.ptrace(request, 0, 0);
        let status = match wake {
            Some(wake) if may_sleep => self.wait_awake(wake),
            _ => self.wait(0),
        };
        let status = status.expect("it waits");
        assert!(libc::WIFSTOPPED(status), "it ended: {status:#x}");
        match libc::WSTOPSIG(status) {
            libc::SIGTRAP => Stop::Trap,
            libc::SIGUSR1 => Stop::Finished,
            signal => panic!("stopped by signal {signal}"),
        }
    }

    fn wait_awake(&self, wake: &mut dyn FnMut()) -> Option<libc::c_int> {
        loop {
            let status = self.wait(libc::WNOHANG);
            if status.is_some() {
                return status;
            }
            std::thread::sleep(Duration::from_micros(50));
            if self.sleeps() {
                wake();
            }
        }
    }

    /// Whether it sleeps in the kernel, for longer than a moment.
    fn sleeps(&self) -> bool {
        let asleep = || {
            let stat =
                std::fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap_or_default();
            stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('S'))
        };
        asleep() && {
            std::thread::sleep(Duration::from_micros(200));
            asleep()
        }
    }

    fn wait(&self, flags: libc::c_int) -> Option<libc::c_int> {
        let mut status = 0;
        // SAFETY: the status is ours.
        let found = unsafe { libc::waitpid(self.pid, &raw mut status, flags | libc::__WALL) };
        assert!(found >= 0, "{}", io::Error::last_os_error());
        (found == self.pid).then_some(status)
    }

    fn registers(&self) -> libc::user_regs_struct {
        // SAFETY: they are numbers.
        let mut registers: libc::user_regs_struct = unsafe { std::mem::zeroed() };
        self.ptrace(libc::PTRACE_GETREGS, 0, &raw mut registers as u64);
        registers
    }

    fn peek(&self, address: u64) -> u64 {
        // SAFETY: it reads the stopped child's memory, not ours.
        unsafe { libc::ptrace(libc::PTRACE_PEEKDATA, self.pid, address, 0).cast_unsigned() }
    }

    fn ptrace(&self, request: libc::c_uint, address: u64, data: u64) {
        // SAFETY: the child is stopped, and what `data` points to, where it does, is large enough.
        let done = unsafe { libc::ptrace(request, self.pid, address, data) };
        assert_eq!(done, 0, "ptrace({request}): {}", io::Error::last_os_error());
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        self.end();
    }
}

/// The number of the call that sleeps.
const FUTEX: u64 = 202;

/// The instruction `syscall`.
const SYSCALL: u64 = 0x050f;

/// The status of a child that may not be traced.
const FORBIDDEN: i32 = 99;

fn raise(signal: i32) {
    let own = std::process::id().cast_signed();
    // SAFETY: a signal to this process itself.
    unsafe { libc::kill(own, signal) };
}

/// Keeps this thread, and the children it will have, on one processor: a step is then a switch
/// between two processes and not a wake-up of another processor, which costs ten times as much.
pub fn stay() {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    // SAFETY: for the set, all zeroes are a value.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: as above.
    unsafe { libc::CPU_SET(std::process::id() as usize % processors, &mut set) };
    // SAFETY: the set lives, and is as large as it says. If it is refused, all is but slower.
    unsafe { libc::sched_setaffinity(0, size_of_val(&set), &raw const set) };
}
