//! The progress bar that a pool draws on request.

use std::sync::Arc;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// What the bar shows: finished of submitted tasks, tasks a second, and the time that is left.
const TEMPLATE: &str = "{wide_bar} {human_pos}/{human_len} tasks, {per_sec}, {eta} left";

/// Tasks submitted and finished, as a bar on standard error; cheap to clone, and nothing at all if
/// no bar was asked for.
///
/// indicatif draws only on a terminal, and some twenty times a second at most.
#[derive(Clone, Debug, Default)]
pub struct Progress(Option<Arc<ProgressBar>>);

impl Progress {
    pub(super) fn new(wanted: bool) -> Self {
        if !wanted {
            return Self::default();
        }
        let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
        // The template is a constant: a bad one would leave indicatif's own.
        if let Ok(style) = ProgressStyle::with_template(TEMPLATE) {
            bar.set_style(style);
        }
        Self(Some(Arc::new(bar)))
    }

    /// Counts one more task to be done.
    pub(super) fn submitted(&self) {
        if let Some(bar) = &self.0 {
            bar.inc_length(1);
        }
    }

    /// Counts one of them as finished, whatever its outcome.
    pub(super) fn finished(&self) {
        if let Some(bar) = &self.0 {
            bar.inc(1);
        }
    }

    /// Leaves the bar as it stands: its pool has ended.
    pub(super) fn end(&self) {
        if let Some(bar) = &self.0 {
            bar.abandon();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::engine::Engine;
    use crate::pool::ticket::{Destination, Ticket};
    use crate::pool::{Pool, ThreadPool};
    use crate::task::{Call, Task};

    #[derive(Clone, Copy)]
    struct Half;

    impl Task for Half {
        type Args = u32;
        type Output = u32;
        const NAME: &'static str = "half";
        const SIGNATURE: u64 = 0;

        fn run(number: u32) -> Call<u32> {
            assert!(number.is_multiple_of(2), "odd");
            Call::Done(number / 2)
        }
    }

    fn counts(progress: &Progress) -> (u64, u64) {
        let bar = progress.0.as_ref().expect("it was asked for");
        (bar.position(), bar.length().unwrap_or_default())
    }

    #[test]
    fn every_way_to_submit_counts_whatever_the_outcome() {
        let pool = ThreadPool::builder().workers(1).progress(true).build().unwrap();
        let progress = Engine::progress(&pool).clone();
        assert_eq!(counts(&progress), (0, 0));
        pool.apply(Half, 2).unwrap();
        assert!(pool.apply(Half, 3).is_err());
        assert_eq!(counts(&progress), (2, 2));
        pool.map(Half, [2, 4, 6]).unwrap();
        assert_eq!(counts(&progress), (5, 5));
        assert_eq!(pool.imap(Half, [2, 4]).count(), 2);
        assert_eq!(pool.imap_unordered(Half, [2, 4]).count(), 2);
        assert_eq!(counts(&progress), (9, 9));
    }

    #[test]
    fn cancelled_tasks_are_finished_too() {
        let progress = Progress::new(true);
        let slot = Arc::default();
        let destination = Destination::<u32>::Handle(slot);
        let ticket = Ticket::new(destination, &progress);
        assert_eq!(counts(&progress), (0, 1));
        drop(ticket);
        assert_eq!(counts(&progress), (1, 1));
    }
}
