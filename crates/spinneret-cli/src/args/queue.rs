//! The arguments of `spinneret queue`.

use std::time::Duration;

use clap::Subcommand;
use spinneret::manager::PutOptions;

use super::{ConnectArgs, host_port, seconds};

const EXAMPLES: &str = "\
Examples:
  What queues are there, and one of them in numbers:
    spinneret queue 127.0.0.1:8001
    spinneret queue 127.0.0.1:8001 tasks stats
  Items go in as texts, one an argument or one a line:
    spinneret queue 127.0.0.1:8001 tasks put https://example.org/a.png
    spinneret queue 127.0.0.1:8001 tasks put < items.txt
    spinneret queue 127.0.0.1:8001 tasks put --priority 5 --delay 60 later
  Look without taking, then take:
    spinneret queue 127.0.0.1:8001 results peek
    spinneret queue 127.0.0.1:8001 results get --max 10 --json
  What was given up, and another try for some of it:
    spinneret queue 127.0.0.1:8001 tasks dead
    spinneret queue 127.0.0.1:8001 tasks dead --match lost --requeue

With --json, each line of output is an object: {\"item\": ...} for items, numbers
for queues. Numbers, texts, None, lists and dicts of Python become JSON's; other
objects become {\"repr\": \"...\"}, as Python would print them.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct QueueArgs {
    /// Where the manager listens, as HOST:PORT.
    #[arg(value_parser = host_port)]
    pub address: String,
    /// The queue. Without one, all queues are listed.
    pub name: Option<String>,
    #[command(subcommand)]
    pub action: Option<QueueAction>,
    /// Print an object of JSON a line.
    #[arg(long, global = true)]
    pub json: bool,
    #[command(flatten)]
    pub connect: ConnectArgs,
}

// Clap leaves the name out of an action's usage, since there may be none without an action.
#[derive(Debug, Subcommand)]
pub enum QueueAction {
    /// Put items, each a text; without any, the lines of standard input.
    #[command(override_usage = "spinneret queue <ADDRESS> <NAME> put [OPTIONS] [ITEMS]...")]
    Put {
        /// The items.
        items: Vec<String>,
        #[command(flatten)]
        how: PutHow,
    },
    /// Get items and print one a line. An empty queue prints nothing.
    #[command(override_usage = "spinneret queue <ADDRESS> <NAME> get [OPTIONS]")]
    Get {
        /// How many at most.
        #[arg(long, value_name = "N", default_value_t = 1)]
        max: usize,
        /// Longest wait for the first, in seconds.
        #[arg(long, value_name = "SECONDS", default_value = "0", value_parser = seconds)]
        timeout: Duration,
    },
    /// Print the items that come next, one a line, and leave them where they are.
    #[command(override_usage = "spinneret queue <ADDRESS> <NAME> peek [OPTIONS]")]
    Peek {
        /// How many at most.
        #[arg(long, value_name = "N", default_value_t = 10)]
        max: usize,
    },
    /// Print how many items wait.
    #[command(override_usage = "spinneret queue <ADDRESS> <NAME> len [OPTIONS]")]
    Len,
    /// Print the queue in numbers, as is done without an action.
    #[command(override_usage = "spinneret queue <ADDRESS> <NAME> stats [OPTIONS]")]
    Stats,
    /// Print the dead letters: deliveries, reason and item, separated by tabs.
    #[command(override_usage = "spinneret queue <ADDRESS> <NAME> dead [OPTIONS]")]
    Dead(DeadArgs),
}

/// How items are put.
#[derive(Debug, clap::Args)]
pub struct PutHow {
    /// Longest wait for room in a full queue, in seconds [default: as long as it takes].
    #[arg(long, value_name = "SECONDS", value_parser = seconds, conflicts_with_all = ["priority", "delay", "dedupe"])]
    pub timeout: Option<Duration>,
    /// Let them be taken before those of lower priority, from -128 to 127; plain ones have 0.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub priority: Option<i8>,
    /// Let nobody take them before.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub delay: Option<Duration>,
    /// Leave out those whose text was put less than so long ago, by puts that say this, too.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub dedupe: Option<Duration>,
}

impl PutHow {
    /// Whether there is nothing special about them.
    pub fn is_plain(&self) -> bool {
        self.priority.is_none() && self.delay.is_none() && self.dedupe.is_none()
    }

    /// The options of an item with that text.
    pub fn options(&self, text: &str) -> PutOptions {
        let mut options = PutOptions::new()
            .priority(self.priority.unwrap_or_default())
            .delay(self.delay.unwrap_or_default());
        if let Some(ttl) = self.dedupe {
            options = options.dedupe(text, ttl);
        }
        options
    }
}

/// Which dead letters, and what is to become of them.
#[derive(Debug, clap::Args)]
pub struct DeadArgs {
    /// Only those with TEXT in their reason or item.
    #[arg(long = "match", value_name = "TEXT")]
    pub matching: Option<String>,
    /// Only the N oldest of them.
    #[arg(long, value_name = "N")]
    pub max: Option<usize>,
    /// Put them back into the queue instead.
    #[arg(long, conflicts_with = "drop")]
    pub requeue: bool,
    /// Drop them for good instead.
    #[arg(long)]
    pub drop: bool,
}
