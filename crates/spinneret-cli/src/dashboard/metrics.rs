//! The manager, and the crawl it may be for, in Prometheus' text format, version 0.0.4.

use std::collections::BTreeMap;
use std::fmt::{Display, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use spinneret::manager::QueueStats;

use super::state::kind;
use super::{Figures, Watched};

/// A family of a number for each queue.
type OfQueue = (&'static str, Type, &'static str, fn(&QueueStats) -> u64);

#[derive(Clone, Copy)]
enum Type {
    Counter,
    Gauge,
}

/// What there is of each queue. Names are a contract: dashboards and alerts rely on them.
const OF_QUEUES: [OfQueue; 11] = [
    ("spinneret_queue_depth", Type::Gauge, "Items that wait to be taken.", |q| q.queued),
    ("spinneret_queue_delayed", Type::Gauge, "Those of them that nobody may take yet.", |q| {
        q.delayed
    }),
    ("spinneret_queue_leased", Type::Gauge, "Items taken and not yet done.", |q| q.leased),
    ("spinneret_queue_dead", Type::Gauge, "Dead letters.", |q| q.dead),
    ("spinneret_queue_unfinished", Type::Gauge, "Items that join waits for.", |q| q.unfinished),
    ("spinneret_queue_maxsize", Type::Gauge, "Waiting items from which puts wait; 0: no bound.", {
        |q| q.maxsize
    }),
    ("spinneret_queue_closed", Type::Gauge, "1 if the queue takes no more items.", |q| {
        u64::from(q.closed)
    }),
    ("spinneret_queue_puts_total", Type::Counter, "Items put.", |q| q.puts),
    ("spinneret_queue_deliveries_total", Type::Counter, "Deliveries, repeated ones too.", |q| {
        q.delivered
    }),
    ("spinneret_queue_done_total", Type::Counter, "Items done.", |q| q.done),
    ("spinneret_queue_taken", Type::Gauge, "Items got for good, waiting for task_done().", |q| {
        q.taken
    }),
];

/// A family of one number of a crawl.
type OfCrawl = (&'static str, Type, &'static str, fn(&Figures) -> u64);

/// What there is of a crawl, but for its failures. Names are a contract here, too.
const OF_A_CRAWL: [OfCrawl; 7] = [
    ("spinneret_crawl_pages_total", Type::Counter, "Pages read.", |c| c.summary.pages),
    ("spinneret_crawl_images_found_total", Type::Counter, "Distinct image addresses found.", |c| {
        c.summary.images_found
    }),
    ("spinneret_crawl_images_saved_total", Type::Counter, "Distinct image addresses saved.", |c| {
        c.summary.images_saved
    }),
    ("spinneret_crawl_image_bytes_total", Type::Counter, "Bytes of the saved images.", |c| {
        c.summary.bytes
    }),
    ("spinneret_crawl_waiting", Type::Gauge, "Addresses that wait for their turn.", |c| c.waiting),
    ("spinneret_crawl_in_flight", Type::Gauge, "Addresses handed out to workers.", |c| c.in_flight),
    ("spinneret_crawl_workers", Type::Gauge, "Workers connected now.", |c| c.workers as u64),
];

/// All families, each with its samples together, as the format asks for.
pub fn text(watched: &Watched) -> String {
    let mut page = Page(String::new());
    let queues = watched.manager.queues();
    for (name, kind, help, number) in OF_QUEUES {
        page.family(name, kind, help);
        for (queue, stats) in &queues {
            page.sample(name, &[("queue", queue)], number(stats));
        }
    }
    if let Some(crawl) = &watched.crawl {
        page.crawl(&crawl.borrow());
    }
    let connections = watched.manager.connections();
    let mut by_kind = BTreeMap::new();
    for connection in &connections {
        *by_kind.entry(kind(connection).0).or_insert(0_u64) += 1;
    }
    page.family("spinneret_connections", Type::Gauge, "Connections with the key, by protocol.");
    // Both, always: an alert on a number that is not there never fires.
    for kind in ["spinneret", "python"] {
        let number = by_kind.get(kind).copied().unwrap_or_default();
        page.sample("spinneret_connections", &[("kind", kind)], number);
    }
    page.family("spinneret_workers", Type::Gauge, "Workers of cluster pools.");
    page.sample("spinneret_workers", &[], watched.manager.workers().len());
    page.family("spinneret_build_info", Type::Gauge, "1, with the version of the program.");
    page.sample("spinneret_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
    page.family("spinneret_start_time_seconds", Type::Gauge, "When it was started, in Unix time.");
    page.sample("spinneret_start_time_seconds", &[], unix_seconds(watched.started));
    page.0
}

/// Seconds since 1970.
pub fn unix_seconds(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

struct Page(String);

/// Writing to a string cannot fail.
impl Page {
    fn crawl(&mut self, crawl: &Figures) {
        for (name, kind, help, number) in OF_A_CRAWL {
            self.family(name, kind, help);
            self.sample(name, &[], number(crawl));
        }
        let name = "spinneret_crawl_failures_total";
        self.family(name, Type::Counter, "Addresses that failed for good, by cause.");
        for (cause, count) in &crawl.summary.failures {
            self.sample(name, &[("cause", cause)], count);
        }
    }

    fn family(&mut self, name: &str, kind: Type, help: &str) {
        let kind = match kind {
            Type::Counter => "counter",
            Type::Gauge => "gauge",
        };
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.0.push_str(name);
        for (at, (label, text)) in labels.iter().enumerate() {
            self.0.push(if at == 0 { '{' } else { ',' });
            let _ = write!(self.0, "{label}=\"");
            for character in text.chars() {
                match character {
                    '\\' => self.0.push_str("\\\\"),
                    '"' => self.0.push_str("\\\""),
                    '\n' => self.0.push_str("\\n"),
                    plain => self.0.push(plain),
                }
            }
            self.0.push('"');
        }
        let end = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.0, "{end} {value}");
    }
}
