//! The page for people and the numbers for monitoring of a manager, or of a crawl and its manager,
//! over HTTP and only to be read.
//!
//! | path | what |
//! | --- | --- |
//! | `/` | a page with the crawl, queues, rates, connections and workers, new each second |
//! | `/api/state` | the same as JSON; `?since=N` leaves out the samples up to N |
//! | `/metrics` | Prometheus' text format |
//! | `/healthz` | `ok` while the manager serves |
//!
//! Everything the page needs comes from here, so that it works without a network. Nothing is asked
//! of who reads: whoever reaches the address may. So it is this machine's own by default, and then
//! a page of another site cannot get at it either: see [`http`].

mod figures;
mod history;
mod http;
mod metrics;
mod state;

use std::iter::once;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use anyhow::Context;
use parking_lot::Mutex;
use spinneret::manager::Manager;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use crate::args::LocalAddress;
pub use figures::Figures;
use history::{History, PERIOD};

/// A dashboard that listens and does not answer yet.
pub struct Dashboard {
    listener: TcpListener,
    address: SocketAddr,
}

/// What the pages tell of.
struct Watched {
    manager: Arc<Manager>,
    /// The crawl that the manager is for, if it is for one.
    crawl: Option<watch::Receiver<Figures>>,
    history: Mutex<History>,
    started: SystemTime,
}

impl Dashboard {
    /// Listens; the first of the addresses that can be listened on.
    pub async fn bind(address: &LocalAddress) -> anyhow::Result<Self> {
        let listening = async {
            let listener = TcpListener::bind(address.as_str()).await?;
            let address = listener.local_addr()?;
            Ok::<_, std::io::Error>(Self { listener, address })
        };
        listening.await.with_context(|| format!("the dashboard cannot listen on {address}"))
    }

    /// Lines for whoever started it: where it is, with the port that was picked, and who may read.
    pub fn notices(&self) -> impl Iterator<Item = String> + use<> {
        let warning = "warning: whoever reaches the dashboard may read it, without a key";
        let exposed = !self.address.ip().is_loopback();
        once(format!("dashboard on http://{}", self.address))
            .chain(exposed.then(|| warning.to_owned()))
    }

    /// Answers, and takes the samples that charts are made of. Never ends by itself. For a crawl's
    /// manager, `crawl` has the crawl's own numbers, always the newest.
    pub async fn serve(self, manager: Arc<Manager>, crawl: Option<watch::Receiver<Figures>>) {
        let (history, started) = (Mutex::default(), SystemTime::now());
        let watched = Arc::new(Watched { manager, crawl, history, started });
        let hosts = http::Hosts::of(self.address);
        tokio::join!(sample(&watched), http::serve(self.listener, hosts, &watched));
    }
}

async fn sample(watched: &Watched) {
    let mut ticks = interval(PERIOD);
    // After a pause the next samples are a period apart again, not all at once.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let queues = watched.manager.queues();
        watched.history.lock().add(&queues, Instant::now());
    }
}
