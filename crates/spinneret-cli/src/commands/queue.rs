//! `spinneret queue`.

mod dead;
mod item;

use std::io::BufRead;
use std::time::Duration;

use anyhow::Context;
use serde_json::json;
use spinneret::manager::{Client, GetError, PutError, Queue};
use spinneret_pickle::Value;
use tokio::sync::mpsc;

use crate::args::{PutHow, QueueAction, QueueArgs};
use crate::connect::connect;
use crate::numbers::{Numbers, table};
use crate::{Exit, UsageError, out};

/// Items put with one call.
const BATCH: usize = 1000;

/// How long items are held while they are printed, should that be to a reader who takes his time.
const HOLD: Duration = Duration::from_hours(24);

/// Lists queues, looks into one, or puts and gets items.
pub async fn run(args: QueueArgs) -> anyhow::Result<Exit> {
    if args.name.is_none() && args.action.is_some() {
        let why = "which queue? Its name comes before what is to be done with it";
        return Err(UsageError(format!("{why}: spinneret queue {} NAME ...", args.address)).into());
    }
    let client = connect(&args.connect, &args.address).await?;
    let Some(name) = &args.name else {
        list(&client, args.json).await?;
        return Ok(Exit::Done);
    };
    let queue: Queue<Value> = client.queue(name);
    match args.action.unwrap_or(QueueAction::Stats) {
        QueueAction::Put { items, how } if items.is_empty() => put_lines(&queue, &how).await?,
        QueueAction::Put { items, how } => put(&queue, items, &how).await?,
        QueueAction::Get { max, timeout } if client.is_python() => {
            get_for_good(&queue, max, timeout, args.json).await?;
        }
        QueueAction::Get { max, timeout } => get(&queue, max, timeout, args.json).await?,
        QueueAction::Peek { max } => peek(&queue, max, args.json).await?,
        QueueAction::Len => out::print(queue.len_async().await?)?,
        QueueAction::Stats => stats(&queue, args.json).await?,
        QueueAction::Dead(which) => dead::run(&queue, &which, args.json).await?,
    }
    Ok(Exit::Done)
}

/// Prints all queues, a line each.
async fn list(client: &Client, json: bool) -> anyhow::Result<()> {
    let queues = client.queues_async().await?;
    let queues = queues.into_iter().map(|(name, stats)| Numbers::new(name, &stats));
    if json {
        for queue in queues {
            out::print(serde_json::to_string(&queue)?)?;
        }
        return Ok(());
    }
    let rows: Vec<_> = queues.map(|queue| queue.row()).collect();
    if rows.is_empty() {
        out::say("the manager has no queues");
        return Ok(());
    }
    out::print(table(Numbers::TITLES, &rows))
}

/// Prints one queue in numbers, a line each.
async fn stats(queue: &Queue<Value>, json: bool) -> anyhow::Result<()> {
    let numbers = Numbers::new(queue.name().to_owned(), &queue.stats_async().await?);
    if json {
        return out::print(serde_json::to_string(&numbers)?);
    }
    let rows = Numbers::TITLES.into_iter().zip(numbers.row());
    let lines: Vec<_> = rows.map(|(title, number)| format!("{title:<8} {number}")).collect();
    out::print(lines.join("\n"))
}

/// Puts the lines of standard input as they arrive.
async fn put_lines(queue: &Queue<Value>, how: &PutHow) -> anyhow::Result<()> {
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
        put(queue, good, how).await?;
        end.context("cannot read items from standard input")?;
    }
    Ok(())
}

async fn put(queue: &Queue<Value>, items: Vec<String>, how: &PutHow) -> anyhow::Result<()> {
    let texts = items.into_iter();
    if how.is_plain() {
        let items = texts.map(Value::text).collect();
        return all_in(match how.timeout {
            None => queue.put_many_async(items).await,
            Some(timeout) => queue.put_many_timeout_async(items, timeout).await,
        });
    }
    let items = texts.map(|text| (Value::text(&*text), how.options(&text))).collect();
    let left_out = all_in(queue.put_many_with_async(items).await)?;
    if left_out > 0 {
        out::say(format_args!("{left_out} left out: they were put before"));
    }
    Ok(())
}

/// The outcome of a put, explained if there was no room for all.
fn all_in<T, I>(put: Result<T, PutError<Vec<I>>>) -> anyhow::Result<T>
where
    PutError<Vec<I>>: std::error::Error + Send + Sync + 'static,
{
    match put {
        Err(PutError::Full(rest)) => {
            anyhow::bail!("the queue is full: {} items of this batch are not in it", rest.len())
        }
        put => Ok(put?),
    }
}

/// Shows what waits, and leaves it where it is.
async fn peek(queue: &Queue<Value>, max: usize, json: bool) -> anyhow::Result<()> {
    for waiting in queue.peek_async(0, max).await? {
        if json {
            let item = waiting.item.as_ref().ok().map(item::json);
            out::print(json!({
                "item": item, "deliveries": waiting.deliveries, "priority": waiting.priority,
                "delay": waiting.delay.as_secs_f64()
            }))?;
        } else {
            out::print(waiting.item.as_ref().map_or("(unreadable)".to_owned(), item::show))?;
        }
    }
    Ok(())
}

/// Gets items of a Python server, where what is taken is gone.
async fn get_for_good(
    queue: &Queue<Value>,
    max: usize,
    timeout: Duration,
    json: bool,
) -> anyhow::Result<()> {
    match queue.get_many_async(max, timeout).await {
        Ok(items) => items.iter().try_for_each(|item| out::print(line(item, None, json))),
        Err(GetError::Empty | GetError::Closed) => {
            out::say(format_args!("queue {} is empty", queue.name()));
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

/// An item that was got, as it is printed.
fn line(item: &Value, deliveries: Option<u32>, json: bool) -> String {
    match (json, deliveries) {
        (false, _) => item::show(item),
        (true, None) => json!({"item": item::json(item)}).to_string(),
        (true, Some(deliveries)) => {
            json!({"item": item::json(item), "deliveries": deliveries}).to_string()
        }
    }
}

/// Prints items and only then takes them for good: what could not be printed goes back.
async fn get(
    queue: &Queue<Value>,
    max: usize,
    timeout: Duration,
    json: bool,
) -> anyhow::Result<()> {
    let mut leases = match queue.lease_many_async(max, HOLD, timeout).await {
        Ok(leases) => leases,
        Err(GetError::Empty | GetError::Closed) => {
            out::say(format_args!("queue {} is empty", queue.name()));
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    let texts: Vec<String> =
        leases.iter().map(|lease| line(lease, Some(lease.deliveries()), json)).collect();
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
