//! spinneret's clients.

use std::time::Duration;

use serde_bytes::ByteArray;
use spinneret::manager::{AuthKey, Client, Queue};

use crate::{ITEM, KEY, Outcome, QUEUE, threads, timed};

type Item = ByteArray<ITEM>;

/// Items in a batch, and requests under way at a time.
pub const BATCH: usize = 1000;
const LONG: Duration = Duration::from_mins(1);

fn connect(address: &str) -> Outcome<Queue<Item>> {
    Ok(Client::connect(address, &AuthKey::new(KEY))?.queue(QUEUE))
}

/// A put, then a get, one after the other.
pub fn round_trip(address: &str, count: usize) -> Outcome<Duration> {
    let queue = connect(address)?;
    timed(count, |count| {
        for _ in 0..count {
            queue.put(Item::new([7; ITEM]))?;
            queue.get()?;
        }
        Ok(())
    })
}

/// The same for who awaits.
pub fn async_round_trip(address: &str, count: usize) -> Outcome<Duration> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let queue: Queue<Item> =
        runtime.block_on(Client::connect_async(address, &AuthKey::new(KEY)))?.queue(QUEUE);
    timed(count, |count| {
        runtime.block_on(async {
            for _ in 0..count {
                queue.put_async(Item::new([7; ITEM])).await?;
                queue.get_async().await?;
            }
            Ok(())
        })
    })
}

/// Batches in, batches out, by so many clients at once.
pub fn batched(address: &str, count: usize, clients: usize) -> Outcome<Duration> {
    let each = count / clients;
    threads(
        clients,
        || connect(address),
        |queue| {
            let mut left = each;
            while left > 0 {
                let batch = left.min(BATCH);
                queue.put_many(vec![Item::new([7; ITEM]); batch])?;
                let mut missing = batch;
                while missing > 0 {
                    missing -= queue.get_many(missing, LONG)?.len();
                }
                left -= batch;
            }
            Ok(())
        },
    )
}

/// Single puts and gets, many under way at a time.
pub fn pipelined(address: &str, count: usize) -> Outcome<Duration> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let queue: Queue<Item> =
        runtime.block_on(Client::connect_async(address, &AuthKey::new(KEY)))?.queue(QUEUE);
    timed(count, |count| {
        runtime.block_on(async {
            let mut left = count;
            while left > 0 {
                let batch = left.min(BATCH);
                let mut puts = tokio::task::JoinSet::new();
                for _ in 0..batch {
                    let queue = queue.clone();
                    puts.spawn(async move { queue.put_async(Item::new([7; ITEM])).await });
                }
                while let Some(put) = puts.join_next().await {
                    put??;
                }
                let mut gets = tokio::task::JoinSet::new();
                for _ in 0..batch {
                    let queue = queue.clone();
                    gets.spawn(async move { queue.get_async().await });
                }
                while let Some(get) = gets.join_next().await {
                    get??;
                }
                left -= batch;
            }
            Ok(())
        })
    })
}

/// Many clients, each with one put or get at a time.
pub fn clients(address: &str, count: usize, clients: usize) -> Outcome<Duration> {
    let each = count / clients;
    threads(
        clients,
        || connect(address),
        |queue| {
            for _ in 0..each {
                queue.put(Item::new([7; ITEM]))?;
                queue.get()?;
            }
            Ok(())
        },
    )
}
