//! Settings of the whole program, made before the first coroutine.

use std::num::NonZeroUsize;
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

/// How coroutines are run; see [`configure`].
///
/// ```
/// use spinneret_green::{Config, Resolver, configure};
///
/// configure(Config::new().hubs(2).stack_size(128 << 10).resolver(Resolver::Threads(8)))?;
/// # Ok::<(), spinneret_green::ConfigureError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "settings hold once they are given to configure()"]
pub struct Config {
    /// How many hubs there are, each a thread with an event loop; at least 1. By default as many as
    /// the machine runs threads at once.
    pub hubs: usize,
    /// How much stack blocking code has, in bytes; 256 KiB by default. Only what is used is taken from
    /// the system's memory. [`Builder::stack_size`](crate::Builder::stack_size) is for one coroutine.
    pub stack_size: usize,
    /// Who looks up names; up to 16 threads by default.
    pub resolver: Resolver,
    /// How long a coroutine of blocking code may run without a wait while others are ready, before
    /// the log names it (a warning of `tracing`); 100 milliseconds by default.
    pub slow_after: Duration,
}

/// Who looks up names for coroutines, once [`Patch::Names`](crate::Patch::Names) is switched on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Resolver {
    /// The C library, on at most this many threads: it knows all that `/etc/nsswitch.conf` says.
    Threads(usize),
    /// hickory-resolver, on the event loops themselves: as many look-ups at once as one likes, but
    /// of the Domain Name System and `/etc/hosts` only.
    #[cfg(feature = "hickory")]
    Hickory,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            hubs: thread::available_parallelism().map_or(1, NonZeroUsize::get),
            stack_size: 256 << 10,
            resolver: Resolver::Threads(16),
            slow_after: Duration::from_millis(100),
        }
    }
}

impl Config {
    /// The settings that hold unless others are made.
    pub fn new() -> Self {
        Self::default()
    }

    /// With so many [`hubs`](Self::hubs).
    pub fn hubs(mut self, hubs: usize) -> Self {
        self.hubs = hubs.max(1);
        self
    }

    /// With this [`stack_size`](Self::stack_size).
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.stack_size = bytes;
        self
    }

    /// With this [`resolver`](Self::resolver).
    pub fn resolver(mut self, resolver: Resolver) -> Self {
        self.resolver = resolver;
        self
    }

    /// With this limit: [`slow_after`](Self::slow_after).
    pub fn slow_after(mut self, limit: Duration) -> Self {
        self.slow_after = limit;
        self
    }
}

/// The settings came too late.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("coroutines have been started already: call configure() once, before the first")]
pub struct ConfigureError;

static CONFIG: OnceLock<Config> = OnceLock::new();

/// Makes the settings for all coroutines of the program: once, before the first is spawned.
///
/// # Errors
/// If settings were made or used before.
pub fn configure(config: Config) -> Result<(), ConfigureError> {
    CONFIG.set(config).map_err(|_| ConfigureError)
}

/// The settings, which stay as they are from the first look on.
pub(crate) fn get() -> &'static Config {
    CONFIG.get_or_init(Config::default)
}
