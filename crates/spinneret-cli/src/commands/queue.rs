//! `spinneret queue`.

use std::io::BufRead;

use anyhow::Context;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_pickle::Value;
use spinneret::manager::{Client, GetError, PutError, Queue};

use crate::args::{QueueAction, QueueArgs};
use crate::{Exit, key};

/// Items put with one call.
const BATCH: usize = 1000;

/// Looks into a queue, or puts and gets items.
pub async fn run(args: QueueArgs) -> anyhow::Result<Exit> {
    let key = key::for_client(&args.key, &args.address)?;
    let client = Client::connect_async(&args.address, &key).await?;
    let queue: Queue<Item> = client.queue(&args.name);
    match args.action {
        QueueAction::Put { items, timeout } => put(&queue, items, timeout).await?,
        QueueAction::Get { max, timeout } => match queue.get_many_async(max, timeout).await {
            Ok(items) => items.iter().for_each(|item| println!("{}", show(item))),
            Err(GetError::Empty | GetError::Closed) => eprintln!("queue {} is empty", args.name),
            Err(error) => return Err(error.into()),
        },
        QueueAction::Len => println!("{}", queue.len_async().await?),
        QueueAction::Dead { requeue: true } => {
            eprintln!("{} put back", queue.requeue_dead_async().await?);
        }
        QueueAction::Dead { requeue: false } => {
            for dead in queue.dead_async(usize::MAX).await? {
                let item = dead
                    .item
                    .as_ref()
                    .map_or_else(|_| "(unreadable)".to_owned(), show);
                println!("{}\t{}\t{item}", dead.deliveries, dead.reason);
            }
        }
    }
    Ok(Exit::Done)
}

async fn put(
    queue: &Queue<Item>,
    items: Vec<String>,
    timeout: Option<std::time::Duration>,
) -> anyhow::Result<()> {
    let mut items: Box<dyn Iterator<Item = std::io::Result<String>>> = if items.is_empty() {
        Box::new(std::io::stdin().lock().lines())
    } else {
        Box::new(items.into_iter().map(Ok))
    };
    loop {
        let batch: Vec<Item> = items
            .by_ref()
            .take(BATCH)
            .map(|item| item.map(|item| Item(Value::String(item))))
            .collect::<Result<_, _>>()
            .context("cannot read items from standard input")?;
        if batch.is_empty() {
            return Ok(());
        }
        let put = async {
            match timeout {
                None => queue.put_many_async(batch).await,
                Some(timeout) => queue.put_many_timeout_async(batch, timeout).await,
            }
        };
        match put.await {
            Ok(()) => {}
            Err(PutError::Full(rest)) => {
                anyhow::bail!(
                    "the queue is full: {} items of this batch are not in it",
                    rest.len()
                )
            }
            Err(error) => return Err(error.into()),
        }
    }
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
