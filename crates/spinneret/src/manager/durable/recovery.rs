//! What a manager finds in its data folder when it starts.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use bytes::Bytes;
use rusqlite::{Connection, Result, Row};

use super::{
    DataError,
    schema::{self, error_of, file},
    writer::Clock,
};
use crate::manager::{
    store::{Backoff, Buried, Counters, Item, ItemId, Past, QueueOptions, Store},
    wire::Name,
};

/// How many dead letters have numbers of their own in one run of the manager: a round number, which
/// people read. The first of the third run is 2000000001.
const NUMBERS_OF_A_RUN: u64 = 1_000_000_000;

/// All that the folder has.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub queues: Vec<RecoveredQueue>,
    pub values: Vec<(Name, Bytes)>,
}

#[derive(Debug)]
pub(crate) struct RecoveredQueue {
    /// The queue's number in the database.
    pub number: i64,
    pub name: Name,
    pub store: Store,
}

/// Reads the whole database, and sets the last numbers that were given.
pub(super) fn read(
    connection: &mut Connection,
    folder: &Path,
    counters: &Arc<Counters>,
) -> std::result::Result<Recovered, DataError> {
    let damaged = |reason: &str| DataError::Damaged { path: file(folder), reason: reason.into() };
    let found = Found::read(connection).map_err(|error| error_of(folder, &error))?;
    counters.puts.store(found.last_place, Ordering::Relaxed);
    // Also those that are gone by now are not to be given again.
    let before = schema::count_run(connection).map_err(|error| error_of(folder, &error))?;
    let last_dead = found.last_dead.max(before.saturating_mul(NUMBERS_OF_A_RUN));
    counters.dead.store(last_dead, Ordering::Relaxed);
    let mut queues = Vec::new();
    for (number, queue) in found.queues {
        let name = Name::new(&queue.name).map_err(|_| damaged("a queue's name is bad"))?;
        let store = queue.into_store(Arc::clone(counters));
        queues.push(RecoveredQueue { number, name, store });
    }
    let values = found.values.into_iter().map(|(name, value)| {
        Ok((Name::new(&name).map_err(|_| damaged("a value's name is bad"))?, value))
    });
    Ok(Recovered { queues, values: values.collect::<std::result::Result<_, _>>()? })
}

#[derive(Default)]
struct Found {
    queues: BTreeMap<i64, Queue>,
    values: Vec<(String, Bytes)>,
    last_place: u64,
    last_dead: u64,
}

struct Queue {
    name: String,
    options: QueueOptions,
    /// Items with their places in the line.
    line: Vec<(i64, Item, Option<Instant>)>,
    past: Past,
}

impl Queue {
    fn into_store(mut self, counters: Arc<Counters>) -> Store {
        // Mostly sorted: only what was queued again has another place than its own.
        self.line.sort_by_key(|(place, ..)| *place);
        self.past.items = self.line.into_iter().map(|(_, item, due)| (item, due)).collect();
        self.past.dead.sort_by_key(|dead| dead.number);
        Store::durable(self.options, counters, self.past)
    }
}

impl Found {
    fn read(connection: &mut Connection) -> Result<Self> {
        // A number may be given again, and must not find what is left of another item.
        connection.execute_batch(
            "DELETE FROM tries WHERE item NOT IN (SELECT id FROM item); \
             DELETE FROM dead WHERE item NOT IN (SELECT id FROM item)",
        )?;
        let clock = Clock::now();
        let mut found = Self::default();
        each(
            connection,
            "SELECT number, name, maxsize, max_deliveries, backoff_initial, backoff_max, closed, \
             taken FROM queue",
            |row| {
                let (number, queue) = queue(row)?;
                found.queues.insert(number, queue);
                Ok(())
            },
        )?;
        each(
            connection,
            "SELECT id, queue, place, item.due, payload, tries.deliveries, released, tries.due, \
             number, dead.deliveries, reason \
             FROM item LEFT JOIN tries ON tries.item = id LEFT JOIN dead ON dead.item = id",
            |row| found.item(row, clock),
        )?;
        each(connection, "SELECT queue, key, until FROM dedupe", |row| {
            let until = row.get(2)?;
            if let Some(queue) = found.queues.get_mut(&row.get(0)?) {
                let key: Vec<u8> = row.get(1)?;
                queue.past.keys.push((key.into(), clock.to_instant(until)));
            }
            Ok(())
        })?;
        each(connection, "SELECT name, value FROM value", |row| {
            let value: Vec<u8> = row.get(1)?;
            found.values.push((row.get(0)?, value.into()));
            Ok(())
        })?;
        Ok(found)
    }

    fn item(&mut self, row: &Row<'_>, clock: Clock) -> Result<()> {
        let id = ItemId(row.get::<_, i64>(0)?.cast_unsigned());
        self.last_place = self.last_place.max(id.sequence());
        let Some(queue) = self.queues.get_mut(&row.get(1)?) else {
            return Ok(());
        };
        let own_place = id.sequence().cast_signed();
        let place = row.get::<_, Option<i64>>(2)?.unwrap_or(own_place);
        self.last_place = self.last_place.max(place.unsigned_abs());
        let mut due: Option<i64> = row.get(3)?;
        let payload: Vec<u8> = row.get(4)?;
        let mut item = Item { payload: payload.into(), id, deliveries: 0, released: 0 };
        if let Some(deliveries) = row.get(5)? {
            item.deliveries = deliveries;
            item.released = row.get(6)?;
            due = row.get(7)?;
        }
        if let Some(number) = row.get::<_, Option<i64>>(8)? {
            item.deliveries = row.get(9)?;
            let reason: String = row.get(10)?;
            let number = number.cast_unsigned();
            self.last_dead = self.last_dead.max(number);
            queue.past.dead.push(Buried { number, item, reason: reason.into() });
            return Ok(());
        }
        let due = due.map(|due| clock.to_instant(due)).filter(|due| *due > clock.to_instant(0));
        queue.line.push((place, item, due));
        Ok(())
    }
}

fn queue(row: &Row<'_>) -> Result<(i64, Queue)> {
    let time = |column| {
        Ok::<_, rusqlite::Error>(Duration::from_micros(row.get::<_, i64>(column)?.cast_unsigned()))
    };
    let options = QueueOptions {
        maxsize: row.get::<_, i64>(2)?.cast_unsigned(),
        max_deliveries: row.get(3)?,
        backoff: Backoff::new(time(4)?, time(5)?),
        memory_only: false,
    };
    let past = Past {
        closed: row.get(6)?,
        // Below 0 if the manager ended before it could write that items were taken.
        taken: u64::try_from(row.get::<_, i64>(7)?).unwrap_or(0),
        ..Past::default()
    };
    Ok((row.get(0)?, Queue { name: row.get(1)?, options, line: Vec::new(), past }))
}

fn each(
    connection: &Connection,
    sql: &str,
    mut read: impl FnMut(&Row<'_>) -> Result<()>,
) -> Result<()> {
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        read(row)?;
    }
    Ok(())
}
