//! A queue in numbers, as JSON has it everywhere in this program.

use serde::Serialize;
use spinneret::manager::QueueStats;

/// Its keys are a contract: scripts rely on them.
#[derive(Clone, Debug, Serialize)]
pub struct Numbers {
    pub name: String,
    /// Items that wait to be taken.
    pub queued: u64,
    /// Those of them that nobody may take yet.
    pub delayed: u64,
    /// Items taken and not yet done.
    pub leased: u64,
    /// Items that were got for good but wait for a `task_done()`.
    pub taken: u64,
    /// Items that `join` waits for.
    pub unfinished: u64,
    /// Dead letters.
    pub dead: u64,
    /// Items put since the manager started.
    pub puts: u64,
    /// Deliveries since then; an item that came back counts again.
    pub delivered: u64,
    /// Items done since then.
    pub done: u64,
    /// Waiting items from which puts wait. Null: no bound.
    pub maxsize: Option<u64>,
    /// Whether the queue takes no more items.
    pub closed: bool,
}

impl Numbers {
    pub fn new(name: String, stats: &QueueStats) -> Self {
        Self {
            name,
            queued: stats.queued,
            delayed: stats.delayed,
            leased: stats.leased,
            taken: stats.taken,
            unfinished: stats.unfinished,
            dead: stats.dead,
            puts: stats.puts,
            delivered: stats.delivered,
            done: stats.done,
            maxsize: Some(stats.maxsize).filter(|bound| *bound != 0),
            closed: stats.closed,
        }
    }

    /// The titles of a table, and what a queue has in its columns.
    pub const TITLES: [&str; 9] =
        ["queue", "waiting", "leased", "dead", "in", "out", "done", "bound", "state"];

    /// This queue's row of the table.
    pub fn row(&self) -> [String; 9] {
        [
            self.name.clone(),
            self.queued.to_string(),
            self.leased.to_string(),
            self.dead.to_string(),
            self.puts.to_string(),
            self.delivered.to_string(),
            self.done.to_string(),
            self.maxsize.map_or_else(|| "-".to_owned(), |bound| bound.to_string()),
            if self.closed { "closed" } else { "open" }.to_owned(),
        ]
    }
}

/// Rows under titles: the first column to the left, numbers to the right, the last as it comes.
/// Without a line break at its end.
pub fn table<const N: usize>(titles: [&str; N], rows: &[[String; N]]) -> String {
    let titles = titles.map(str::to_owned);
    let all = || std::iter::once(&titles).chain(rows);
    let widths: [usize; N] = std::array::from_fn(|column| {
        all().map(|row| row[column].chars().count()).max().unwrap_or_default()
    });
    let line = |row: &[String; N]| {
        let cells =
            row.iter().zip(widths).enumerate().map(|(column, (cell, width))| match column {
                0 => format!("{cell:<width$}"),
                last if last + 1 == N => cell.clone(),
                _ => format!("{cell:>width$}"),
            });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    all().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_as_wide_as_it_must_be() {
        let rows = [["täsks", "12", "open"], ["r", "3", "closed"]];
        let rows = rows.map(|row| row.map(str::to_owned));
        let text = table(["queue", "waiting", "state"], &rows);
        assert_eq!(text, "queue  waiting  state\ntäsks       12  open\nr            3  closed");
    }
}
