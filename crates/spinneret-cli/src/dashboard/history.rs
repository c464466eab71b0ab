//! The last five minutes of each queue, so that charts have a past when a page is opened.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use spinneret::manager::QueueStats;

/// Time between two samples.
pub const PERIOD: Duration = Duration::from_secs(1);

/// How many samples of a queue are kept.
pub const KEPT: usize = 300;

/// How many queues have a history, the first by name: 5 KiB each. The others have their present
/// numbers only.
const QUEUES: usize = 1000;

/// Over how many samples a rate is the mean that is shown as the present one.
const RECENT: usize = 5;

/// Samples of all queues.
#[derive(Debug, Default)]
pub struct History {
    /// The number of the last sample; the first is 1.
    last: u64,
    /// When that was.
    at: Option<Instant>,
    tracks: BTreeMap<String, Track>,
}

/// One queue's samples, the newest of which has the history's last number.
#[derive(Debug)]
struct Track {
    before: QueueStats,
    samples: VecDeque<Sample>,
}

/// A queue at a moment, and what it did in the period before.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sample {
    /// Items that wait.
    pub queued: u64,
    /// Items put, a second.
    pub puts: f32,
    /// Items delivered, a second.
    pub delivered: f32,
}

impl History {
    /// Takes a sample of all queues there are. Those that are no more are forgotten.
    pub fn add(&mut self, queues: &[(String, QueueStats)], now: Instant) {
        let is_first = self.at.is_none();
        let passed = self.at.map_or(PERIOD, |at| now.saturating_duration_since(at)).as_secs_f32();
        self.last += 1;
        self.at = Some(now);
        let mut before = std::mem::take(&mut self.tracks);
        for (name, stats) in queues.iter().take(QUEUES) {
            let mut track = before.remove(name).unwrap_or_else(|| Track {
                // A queue that comes later has done all of it since the last sample.
                before: if is_first { *stats } else { QueueStats::default() },
                samples: VecDeque::new(),
            });
            // Fewer than before: another queue of the same name.
            let rate = |now: u64, before: u64| now.saturating_sub(before) as f32 / passed.max(1e-3);
            track.samples.push_back(Sample {
                queued: stats.queued,
                puts: rate(stats.puts, track.before.puts),
                delivered: rate(stats.delivered, track.before.delivered),
            });
            if track.samples.len() > KEPT {
                track.samples.pop_front();
            }
            track.before = *stats;
            self.tracks.insert(name.clone(), track);
        }
    }

    /// The number of the last sample; 0 before the first.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// A queue's samples with numbers above `since`, oldest first. The last of them has the number
    /// [`last`](Self::last).
    pub fn samples(&self, queue: &str, since: u64) -> impl Iterator<Item = &Sample> {
        let wanted = usize::try_from(self.last.saturating_sub(since)).unwrap_or(usize::MAX);
        self.tracks.get(queue).into_iter().flat_map(move |track| {
            let samples = &track.samples;
            samples.range(samples.len().saturating_sub(wanted)..)
        })
    }

    /// Items put and delivered a second, over the last seconds.
    pub fn rates(&self, queue: &str) -> (f32, f32) {
        let recent = self.samples(queue, self.last.saturating_sub(RECENT as u64));
        let (count, puts, delivered) = recent.fold((0_u8, 0.0, 0.0), |(n, puts, out), sample| {
            (n + 1, puts + sample.puts, out + sample.delivered)
        });
        let count = f32::from(count.max(1));
        (puts / count, delivered / count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(puts: u64, delivered: u64) -> Vec<(String, QueueStats)> {
        let mut stats = QueueStats::default();
        (stats.queued, stats.puts, stats.delivered) = (puts - delivered, puts, delivered);
        vec![("tasks".to_owned(), stats)]
    }

    fn puts(history: &History, since: u64) -> Vec<f32> {
        history.samples("tasks", since).map(|sample| sample.puts).collect()
    }

    #[test]
    fn rates_are_by_the_time_that_passed() {
        let (mut history, start) = (History::default(), Instant::now());
        history.add(&queue(1000, 1000), start);
        assert_eq!(history.rates("tasks"), (0.0, 0.0), "what was before is nobody's rate");
        history.add(&queue(1010, 1004), start + Duration::from_secs(1));
        history.add(&queue(1030, 1008), start + Duration::from_secs(3));
        assert_eq!(puts(&history, 0), [0.0, 10.0, 10.0]);
        let delivered = history.samples("tasks", 1).map(|sample| sample.delivered);
        assert_eq!(delivered.collect::<Vec<_>>(), [4.0, 2.0]);
        let depths = history.samples("tasks", 0).map(|sample| sample.queued);
        assert_eq!(depths.collect::<Vec<_>>(), [0, 6, 22]);
        assert_eq!(history.rates("tasks"), (20.0 / 3.0, 2.0));
    }

    #[test]
    fn the_oldest_samples_go_and_numbers_go_on() {
        let (mut history, start) = (History::default(), Instant::now());
        for second in 0..KEPT as u64 + 10 {
            history.add(&queue(second * second, 0), start + Duration::from_secs(second));
        }
        assert_eq!(history.last(), KEPT as u64 + 10);
        assert_eq!(puts(&history, 0).len(), KEPT);
        assert_eq!(puts(&history, history.last() - 2), [615.0, 617.0]);
        assert!(puts(&history, history.last()).is_empty());
        assert!(puts(&history, u64::MAX).is_empty());
    }

    #[test]
    fn a_queue_that_comes_later_has_done_all_of_it_just_now() {
        let (mut history, start) = (History::default(), Instant::now());
        history.add(&[], start);
        history.add(&queue(7, 0), start + Duration::from_secs(1));
        assert_eq!(puts(&history, 0), [7.0]);
        // It is gone, and another has its name: fewer puts than before are no huge number.
        history.add(&queue(2, 0), start + Duration::from_secs(2));
        assert_eq!(puts(&history, 2), [0.0]);
        history.add(&[], start + Duration::from_secs(3));
        assert!(puts(&history, 0).is_empty());
    }
}
