//! `spinneret queue`.

use std::io::BufRead;
use std::time::Duration;

use anyhow::Context;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_pickle::Value;
use spinneret::manager::{Client, GetError, PutError, Queue};
use tokio::sync::mpsc;

use crate::args::{QueueAction, QueueArgs};
use crate::{Exit, key, out};

/// Items put with one call.
const BATCH: usize = 1000;

/// How long items are held while they are printed, should that be to a reader who takes his time.
const HOLD: Duration = Duration::from_hours(24);

/// Looks into a queue, or puts and gets items.
pub async fn run(args: QueueArgs) -> anyhow::Result<Exit> {
    let key = key::for_client(&args.key, &args.address)?;
    let client = Client::connect_async(&args.address, &key).await?;
    let queue: Queue<Item> = client.queue(&args.name);
    match args.action {
        QueueAction::Put { items, timeout } if items.is_empty() => {
            put_lines(&queue, timeout).await?;
        }
        QueueAction::Put { items, timeout } => put(&queue, items, timeout).await?,
        QueueAction::Get { max, timeout } => get(&queue, max, timeout).await?,
        QueueAction::Len => out::print(queue.len_async().await?)?,
        QueueAction::Dead { requeue: true } => {
            let count = queue.requeue_dead_async().await?;
            out::say(format_args!("{count} put back"));
        }
        QueueAction::Dead { requeue: false } => {
            for dead in queue.dead_async(usize::MAX).await? {
                let item = dead.item.as_ref().map_or_else(|_| "(unreadable)".to_owned(), show);
                let (deliveries, reason) = (dead.deliveries, dead.reason);
                out::print(format_args!("{deliveries}\t{reason}\t{item}"))?;
            }
        }
    }
    Ok(Exit::Done)
}

/// Puts the lines of standard input as they arrive.
async fn put_lines(queue: &Queue<Item>, timeout: Option<Duration>) -> anyhow::Result<()> {
    let (sender, mut arrived) = mpsc::channel(BATCH);
    // A thread of its own: the connection has to be kept alive while no line comes.
    tokio::task::spawn_blocking(move || {
        for line in std::io::stdin().lock().lines() {
            let is_last = line.is_err();
            if sender.blocking_send(line).is_err() || is_last {
                break;
            }
        }
    });
    let mut lines = Vec::new();
    while arrived.recv_many(&mut lines, BATCH).await > 0 {
        let (mut good, mut end) = (Vec::with_capacity(lines.len()), Ok(()));
        for line in lines.drain(..) {
            match line {
                Ok(line) => good.push(line),
                Err(error) => end = Err(error),
            }
        }
        put(queue, good, timeout).await?;
        end.context("cannot read items from standard input")?;
    }
    Ok(())
}

async fn put(
    queue: &Queue<Item>,
    items: Vec<String>,
    timeout: Option<Duration>,
) -> anyhow::Result<()> {
    let items = items.into_iter().map(|item| Item(Value::String(item)));
    let put = match timeout {
        None => queue.put_many_async(items.collect()).await,
        Some(timeout) => queue.put_many_timeout_async(items.collect(), timeout).await,
    };
    match put {
        Err(PutError::Full(rest)) => {
            anyhow::bail!("the queue is full: {} items of this batch are not in it", rest.len())
        }
        put => Ok(put?),
    }
}

/// Prints items and only then takes them for good: what could not be printed goes back.
async fn get(queue: &Queue<Item>, max: usize, timeout: Duration) -> anyhow::Result<()> {
    let mut leases = match queue.lease_many_async(max, HOLD, timeout).await {
        Ok(leases) => leases,
        Err(GetError::Empty | GetError::Closed) => {
            out::say(format_args!("queue {} is empty", queue.name()));
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    let texts: Vec<String> = leases.iter().map(|lease| show(lease)).collect();
    // As above: a reader may let us wait.
    let (count, printed) = tokio::task::spawn_blocking(move || {
        for (count, text) in texts.iter().enumerate() {
            if let Err(error) = out::try_print(text) {
                return (count, Err(error));
            }
        }
        (texts.len(), Ok(()))
    })
    .await?;
    let mut rest = leases.split_off(count);
    let lost = queue.task_done_many_async(leases).await;
    let lost = lost.context("the items that were printed may come again")?;
    if !lost.is_empty() {
        let lost = lost.len();
        out::say(format_args!("{lost} of these items may come again"));
    }
    // Each goes to the head, so the last goes first. The manager's answer for one, which it gives
    // in turn, tells that it has heard of those that are merely dropped.
    while let Some(lease) = rest.pop() {
        if rest.is_empty() {
            lease.release_async().await?;
        }
    }
    out::explain(printed)
}

/// An item of any kind that a program put; we ourselves put texts.
struct Item(Value);

impl Serialize for Item {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        show(self).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Item {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Value::deserialize(deserializer).map(Self)
    }
}

/// A text as it is, anything else as Python would write it.
fn show(item: &Item) -> String {
    match &item.0 {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
