//! What a crawl has done so far, beside what its manager says of queues.

use serde::Serialize;
use spinneret_crawler::crawl::Progress;
use spinneret_crawler::report::Summary;

/// A crawl in numbers. Serialized, its keys are those of the summary that `--json` prints, and more.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Figures {
    #[serde(flatten)]
    pub summary: Summary,
    /// Addresses that wait for their turn, at this end.
    pub waiting: u64,
    /// Addresses handed out to workers, the queues' included.
    pub in_flight: u64,
    /// Workers connected now.
    pub workers: usize,
    /// Over the last seconds.
    pub pages_per_second: f64,
    /// Images saved, over the last seconds.
    pub images_per_second: f64,
}

impl Figures {
    /// With the present rates of pages and images, a second.
    pub fn new(progress: &Progress, (pages, images): (f64, f64)) -> Self {
        let tenths = |rate: f64| (rate * 10.0).round() / 10.0;
        Self {
            summary: progress.summary.clone(),
            waiting: progress.waiting,
            in_flight: progress.in_flight,
            workers: progress.workers,
            pages_per_second: tenths(pages),
            images_per_second: tenths(images),
        }
    }
}
