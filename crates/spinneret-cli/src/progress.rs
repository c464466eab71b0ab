//! Progress of a crawl on standard error: bars on a terminal, a line now and then elsewhere.

use std::collections::VecDeque;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, MultiProgress, ProgressBar, ProgressStyle};
use spinneret_crawler::crawl::{Observer, Progress};

use crate::out;

/// Between two lines where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);
/// The rate is that of this last stretch of time.
const RATE_OVER: Duration = Duration::from_secs(5);

/// Shows a crawl to whoever started it.
pub enum Display {
    Bars { all: MultiProgress, pages: ProgressBar, images: ProgressBar, rate: Rate },
    Lines { last: Option<Instant>, rate: Rate },
}

/// Addresses ended a second.
#[derive(Default)]
pub struct Rate {
    samples: VecDeque<(Instant, u64, u64)>,
}

impl Rate {
    /// Pages and images a second, of late.
    pub fn update(&mut self, now: Instant, pages: u64, images: u64) -> (f64, f64) {
        self.samples.push_back((now, pages, images));
        while self.samples.front().is_some_and(|(at, ..)| now - *at > RATE_OVER) {
            self.samples.pop_front();
        }
        match self.samples.front() {
            Some((at, p, i)) if *at < now => {
                let seconds = (now - *at).as_secs_f64();
                ((pages - p) as f64 / seconds, (images - i) as f64 / seconds)
            }
            _ => (0.0, 0.0),
        }
    }
}

impl Display {
    /// Bars if standard error is a terminal.
    pub fn new() -> Self {
        if !std::io::stderr().is_terminal() {
            return Self::Lines { last: None, rate: Rate::default() };
        }
        let all = MultiProgress::new();
        let style = |template: &str| {
            // The templates are constants: a bad one falls back to indicatif's own.
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
        };
        let pages = all.add(ProgressBar::new_spinner().with_style(style("{spinner} pages  {msg}")));
        let images = all.add(
            ProgressBar::new(0)
                .with_style(style("  images [{bar:30}] {pos}/{len} {msg}").progress_chars("=> ")),
        );
        pages.enable_steady_tick(Duration::from_millis(120));
        Self::Bars { all, pages, images, rate: Rate::default() }
    }

    /// Takes the bars off the terminal, before the summary.
    pub fn finish(&self) {
        if let Self::Bars { all, pages, images, .. } = self {
            pages.finish_and_clear();
            images.finish_and_clear();
            let _ = all.clear();
        }
    }
}

impl Observer for Display {
    fn listening(&mut self, address: &str) {
        self.notice(&format!("workers can join: spinneret worker {address}"));
    }

    fn notice(&mut self, text: &str) {
        match self {
            // A terminal that is gone has nobody to tell.
            Self::Bars { all, .. } => drop(all.println(text)),
            Self::Lines { .. } => out::say(text),
        }
    }

    fn progress(&mut self, progress: &Progress) {
        let now = Instant::now();
        let summary = &progress.summary;
        let failed: u64 = summary.failures.values().sum();
        match self {
            Self::Bars { pages, images, rate, .. } => {
                let (pages_rate, images_rate) =
                    rate.update(now, summary.pages, summary.images_saved);
                pages.set_message(format!(
                    "{} ({pages_rate:.0}/s)  waiting {}  in flight {}  failed {failed}  workers {}",
                    summary.pages, progress.waiting, progress.in_flight, progress.workers
                ));
                images.set_length(summary.images_found);
                images.set_position(summary.images_saved);
                images.set_message(format!("({images_rate:.0}/s) {}", HumanBytes(summary.bytes)));
            }
            Self::Lines { last, rate } => {
                let (pages_rate, images_rate) =
                    rate.update(now, summary.pages, summary.images_saved);
                if last.is_some_and(|last| now - last < LINE_EVERY) {
                    return;
                }
                *last = Some(now);
                out::say(format_args!(
                    "{:.0} s: pages {} ({pages_rate:.0}/s), images {}/{} ({images_rate:.0}/s), {}, \
                     failed {failed}, waiting {}, in flight {}, workers {}",
                    summary.seconds,
                    summary.pages,
                    summary.images_saved,
                    summary.images_found,
                    HumanBytes(summary.bytes),
                    progress.waiting,
                    progress.in_flight,
                    progress.workers,
                ));
            }
        }
    }
}
