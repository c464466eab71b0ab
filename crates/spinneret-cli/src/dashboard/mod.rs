//! The manager's page for people and its numbers for monitoring, over HTTP and only to be read.
//!
//! | path | what |
//! | --- | --- |
//! | `/` | a page with queues, rates, connections and workers, new each second |
//! | `/api/state` | the same as JSON; `?since=N` leaves out the samples up to N |
//! | `/metrics` | Prometheus' text format |
//! | `/healthz` | `ok` while the manager serves |
//!
//! Everything the page needs comes from here, so that it works without a network. Nothing is asked
//! of who reads: whoever reaches the address may. So it is this machine's own by default, and then
//! a page of another site cannot get at it either: see [`http`].

mod history;
mod http;
mod metrics;
mod state;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use anyhow::Context;
use parking_lot::Mutex;
use spinneret::manager::Manager;
use tokio::net::TcpListener;
use tokio::time::{MissedTickBehavior, interval};

use crate::args::LocalAddress;
use history::{History, PERIOD};

/// A dashboard that listens and does not answer yet.
pub struct Dashboard {
    listener: TcpListener,
    address: SocketAddr,
}

/// What the pages tell of.
struct Watched {
    manager: Arc<Manager>,
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

    /// Where it listens, with the port that was picked.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers, and takes the samples that charts are made of. Never ends by itself.
    pub async fn serve(self, manager: Arc<Manager>) {
        let watched =
            Arc::new(Watched { manager, history: Mutex::default(), started: SystemTime::now() });
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
