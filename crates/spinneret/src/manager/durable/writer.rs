//! Changes as statements.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, Result, params};

use super::Write;
use crate::manager::store::{Change, ItemId, QueueOptions};

/// The two clocks at one moment: queues use the one that never jumps, the database the one that
/// survives a restart.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    instant: Instant,
    /// In microseconds since 1970.
    wall: i64,
}

impl Clock {
    pub fn now() -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { instant: Instant::now(), wall: micros(wall) }
    }

    pub fn to_wall(self, time: Instant) -> i64 {
        let after = micros(time.saturating_duration_since(self.instant));
        let before = micros(self.instant.saturating_duration_since(time));
        self.wall.saturating_add(after).saturating_sub(before)
    }

    /// A time that is over is now.
    pub fn to_instant(self, wall: i64) -> Instant {
        let after = u64::try_from(wall.saturating_sub(self.wall)).unwrap_or(0);
        self.instant.checked_add(Duration::from_micros(after)).unwrap_or(self.instant)
    }
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

/// `SQLite`'s integers have a sign; only the bits matter.
fn id(item: ItemId) -> i64 {
    item.0.cast_signed()
}

/// A number that counts; none gets so large.
fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Whether there may be anything in `tries` in the course of a transaction: most items are taken
/// without a trace there.
pub(super) fn any_tries<'a>(
    to: &Connection,
    mut writes: impl Iterator<Item = &'a Write>,
) -> Result<bool> {
    let tries = |change: &Change| matches!(change, Change::Tries { .. });
    if writes.any(|w| matches!(w, Write::Changes(_, changes) if changes.iter().any(tries))) {
        return Ok(true);
    }
    to.prepare_cached("SELECT EXISTS (SELECT 1 FROM tries)")?.query_row([], |row| row.get(0))
}

/// Writes within the transaction that is open. `tries` tells whether there may be anything in that
/// table.
pub(super) fn write(to: &Connection, write: &Write, clock: Clock, tries: bool) -> Result<()> {
    match write {
        Write::Changes(queue, changes) => {
            changes.iter().try_for_each(|change| self::change(to, *queue, change, clock, tries))
        }
        Write::Register { number, name, options } => {
            to.prepare_cached(
                "INSERT INTO queue (number, name, maxsize, max_deliveries, backoff_initial, \
                 backoff_max) VALUES (?, ?, 0, 0, 0, 0)",
            )?
            .execute(params![number, name.as_str()])?;
            self::options(to, *number, *options)
        }
        Write::Options { number, options } => self::options(to, *number, *options),
        Write::Remove { number } => {
            for table in ["tries", "dead"] {
                let sql = format!(
                    "DELETE FROM {table} WHERE item IN (SELECT id FROM item WHERE queue = ?)"
                );
                to.execute(&sql, [number])?;
            }
            to.execute("DELETE FROM item WHERE queue = ?", [number])?;
            to.execute("DELETE FROM dedupe WHERE queue = ?", [number])?;
            to.execute("DELETE FROM queue WHERE number = ?", [number])?;
            Ok(())
        }
        Write::Value { name, value } => {
            to.prepare_cached("INSERT OR REPLACE INTO value (name, value) VALUES (?, ?)")?
                .execute(params![name.as_str(), &value[..]])?;
            Ok(())
        }
    }
}

fn options(to: &Connection, queue: i64, options: QueueOptions) -> Result<()> {
    let (initial, max) =
        options.backoff.map_or((0, 0), |backoff| (micros(backoff.initial), micros(backoff.max)));
    to.prepare_cached(
        "UPDATE queue SET maxsize = ?, max_deliveries = ?, backoff_initial = ?, backoff_max = ? \
         WHERE number = ?",
    )?
    .execute(params![
        options.maxsize.cast_signed(),
        options.max_deliveries,
        initial,
        max,
        queue
    ])?;
    Ok(())
}

fn change(to: &Connection, queue: i64, change: &Change, clock: Clock, tries: bool) -> Result<()> {
    match change {
        Change::Put { item, due, payload } => {
            let due = due.map(|due| clock.to_wall(due));
            to.prepare_cached("INSERT INTO item (id, queue, due, payload) VALUES (?, ?, ?, ?)")?
                .execute(params![id(*item), queue, due, &payload[..]])?;
        }
        Change::Tries { item, deliveries, released, due } => {
            let due = due.map(|due| clock.to_wall(due));
            to.prepare_cached(
                "INSERT OR REPLACE INTO tries (item, deliveries, released, due) \
                 VALUES (?, ?, ?, ?)",
            )?
            .execute(params![id(*item), deliveries, released, due])?;
        }
        Change::Gone(items) => {
            for gone in items {
                to.prepare_cached("DELETE FROM item WHERE id = ?")?.execute([id(*gone)])?;
                if tries {
                    to.prepare_cached("DELETE FROM tries WHERE item = ?")?.execute([id(*gone)])?;
                }
            }
        }
        Change::Bury { item, number, deliveries, reason } => {
            to.prepare_cached(
                "INSERT OR REPLACE INTO dead (item, number, deliveries, reason) \
                 VALUES (?, ?, ?, ?)",
            )?
            .execute(params![id(*item), count(*number), deliveries, &**reason])?;
        }
        Change::DropDead(items) => {
            for item in items {
                // Only if it is one still: it may have been queued again in between.
                let dead =
                    to.prepare_cached("DELETE FROM dead WHERE item = ?")?.execute([id(*item)])?;
                if dead > 0 {
                    to.prepare_cached("DELETE FROM item WHERE id = ?")?.execute([id(*item)])?;
                    to.prepare_cached("DELETE FROM tries WHERE item = ?")?.execute([id(*item)])?;
                }
            }
        }
        Change::Requeue(places) => {
            for (item, place) in places {
                let dead =
                    to.prepare_cached("DELETE FROM dead WHERE item = ?")?.execute([id(*item)])?;
                if dead > 0 {
                    to.prepare_cached("UPDATE item SET place = ?, due = NULL WHERE id = ?")?
                        .execute(params![count(*place), id(*item)])?;
                    to.prepare_cached("DELETE FROM tries WHERE item = ?")?.execute([id(*item)])?;
                }
            }
        }
        Change::Taken(more) => {
            to.prepare_cached("UPDATE queue SET taken = taken + ? WHERE number = ?")?
                .execute(params![more, queue])?;
        }
        Change::Key { key, until } => {
            to.prepare_cached("DELETE FROM dedupe WHERE until <= ?")?.execute([clock.wall])?;
            to.prepare_cached(
                "INSERT OR REPLACE INTO dedupe (queue, key, until) VALUES (?, ?, ?)",
            )?
            .execute(params![queue, &key[..], clock.to_wall(*until)])?;
        }
        Change::Close => {
            to.prepare_cached("UPDATE queue SET closed = 1 WHERE number = ?")?.execute([queue])?;
        }
    }
    Ok(())
}
