//! `spinneret crawl` and `spinneret download`.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;
use spinneret::manager::Manager;
use spinneret_crawler::address::{Address, Scope};
use spinneret_crawler::crawl::{self, CrawlOptions, Ended, Observer, Progress, Source};
use spinneret_crawler::fetch;
use spinneret_crawler::report::Summary;
use tokio::sync::watch;

use crate::args::{CommonArgs, CrawlArgs, DownloadArgs, Format};
use crate::dashboard::{Dashboard, Figures};
use crate::progress::{Display, Rate};
use crate::{Exit, UsageError, connect, key, list, out};

/// Saves every image of sites.
pub async fn crawl(args: CrawlArgs) -> anyhow::Result<Exit> {
    let mut seeds = Vec::new();
    for url in &args.urls {
        let seed = parse_seed(url)?;
        if !args.common.allow_private {
            refuse_private(&seed).await?;
        }
        seeds.push(seed);
    }
    let mut options = options(&args.common)?;
    options.depth = args.depth;
    options.scope = args.scope;
    run(options, Source::Pages(seeds), &args.common).await
}

/// Saves the images of a list.
pub async fn download(args: DownloadArgs) -> anyhow::Result<Exit> {
    let list = list::open(&args.list, &args.field)?;
    let mut options = options(&args.common)?;
    options.scope = Scope::Any;
    run(options, Source::Images(list), &args.common).await
}

fn options(args: &CommonArgs) -> anyhow::Result<CrawlOptions> {
    if args.workers == Some(0) && args.listen.is_none() {
        let why = "--workers 0 leaves all work to workers that join: say where with --listen ADDR";
        return Err(UsageError(why.to_owned()).into());
    }
    match args.format {
        Format::Files => {}
    }
    let mut options = CrawlOptions::new(&args.output);
    if let Some(address) = &args.listen {
        options.listen = Some((address.clone(), key::for_manager(&args.key, address)?));
        options.tls = connect::tls_server(&args.tls);
    } else if args.tls.tls_cert.is_some() {
        let why = "TLS is for workers that join: say where with --listen ADDR";
        return Err(UsageError(why.to_owned()).into());
    }
    if let Some(workers) = args.workers {
        options.workers = workers;
    }
    options.concurrency = args.concurrency;
    options.resume = args.resume;
    options.delay = args.delay;
    options.obey_robots = !args.ignore_robots;
    options.allow_private = args.allow_private;
    options.contact.clone_from(&args.contact);
    options.user_agent.clone_from(&args.user_agent);
    options.total_timeout = args.timeout;
    options.read_timeout = args.read_timeout;
    options.connect_timeout = options.connect_timeout.min(args.timeout);
    options.attempts = args.attempts;
    options.max_image_bytes = args.max_image;
    options.max_page_bytes = args.max_page;
    Ok(options)
}

async fn run(options: CrawlOptions, source: Source, args: &CommonArgs) -> anyhow::Result<Exit> {
    let interrupts = super::interrupts().context("cannot watch for Ctrl-C")?;
    let output = options.output.clone();
    // Before anything is changed: its address may be in use.
    let dashboard = match &args.dashboard {
        Some(address) => Some(Dashboard::bind(address).await?),
        None => None,
    };
    super::demo::disown(&output)?;
    let mut shown = Shown::new(dashboard);
    let ended = crawl::run(options, source, interrupts, &mut shown).await;
    shown.display.finish();
    match ended? {
        Ended::Interrupted(summary) => {
            print_summary(&summary, &output, args.json)?;
            out::say("interrupted; the same command with --resume goes on");
            Ok(Exit::Interrupted)
        }
        Ended::Done(summary) => {
            print_summary(&summary, &output, args.json)?;
            let failed = args.strict && summary.strict_failures() > 0;
            Ok(if failed { Exit::Failures } else { Exit::Done })
        }
    }
}

/// Shows a crawl on standard error and, if there is one, on a dashboard.
struct Shown {
    display: Display,
    /// Until the crawl has a manager to tell of.
    dashboard: Option<Dashboard>,
    figures: watch::Sender<Figures>,
    rate: Rate,
}

impl Shown {
    fn new(dashboard: Option<Dashboard>) -> Self {
        let (figures, rate) = (watch::Sender::default(), Rate::default());
        Self { display: Display::new(), dashboard, figures, rate }
    }
}

impl Observer for Shown {
    fn started(&mut self, manager: &Arc<Manager>) {
        if let Some(dashboard) = self.dashboard.take() {
            dashboard.notices().for_each(|notice| self.display.notice(&notice));
            tokio::spawn(dashboard.serve(Arc::clone(manager), Some(self.figures.subscribe())));
        }
    }

    fn listening(&mut self, address: &str) {
        self.display.listening(address);
    }

    fn progress(&mut self, progress: &Progress) {
        self.display.progress(progress);
        let Summary { pages, images_saved, .. } = progress.summary;
        let rates = self.rate.update(Instant::now(), pages, images_saved);
        self.figures.send_replace(Figures::new(progress, rates));
    }

    fn notice(&mut self, text: &str) {
        self.display.notice(text);
    }
}

/// Prints the summary, with `json` as one object on a line. The crawl was what mattered: its exit
/// status stands even if nobody reads this.
pub(super) fn print_summary(summary: &Summary, output: &Path, json: bool) -> anyhow::Result<()> {
    let text = if json { serde_json::to_string(summary)? } else { describe(summary) };
    match out::print(text) {
        Err(error) if error.is::<out::Closed>() => {}
        printed => printed?,
    }
    if !json && !summary.failures.is_empty() {
        out::say(format_args!(
            "each failure with its address: {}",
            output.join("failures.jsonl").display()
        ));
    }
    Ok(())
}

/// The summary for people, without a line break at its end.
fn describe(summary: &Summary) -> String {
    let mut lines = vec![
        format!("pages fetched  {}", summary.pages),
        format!("images found   {}", summary.images_found),
        format!("images saved   {}", summary.images_saved),
        format!("bytes          {}", summary.bytes),
        format!("failures       {}", summary.failures.values().sum::<u64>()),
    ];
    let failures = summary.failures.iter();
    lines.extend(failures.map(|(cause, count)| format!("  {cause:<20} {count}")));
    lines.push(format!("seconds        {:.2}", summary.seconds));
    lines.join("\n")
}

/// A seed as people type it: `example.org` means `http://example.org/`.
fn parse_seed(text: &str) -> anyhow::Result<Address> {
    let with_scheme = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    Address::parse(&with_scheme).map_err(|error| UsageError(format!("{text}: {error}")).into())
}

/// Refuses a seed on a private host before anything is started. One that doesn't resolve is left to
/// the crawl, which counts it as a failure.
async fn refuse_private(seed: &Address) -> anyhow::Result<()> {
    let host = seed.host().trim_matches(['[', ']']);
    let Ok(found) = tokio::net::lookup_host((host, 0)).await else {
        return Ok(());
    };
    let addresses: Vec<_> = found.map(|address| address.ip()).collect();
    if let Some(private) = addresses.iter().find(|ip| fetch::is_private(**ip))
        && addresses.iter().all(|ip| fetch::is_private(*ip))
    {
        anyhow::bail!(
            "{seed} is refused: {host} is at the private address {private}; \
             if you mean it, add --allow-private"
        );
    }
    Ok(())
}
