//! `spinneret demo`: a crawl of the bundled site, with a manager and two worker processes.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::Context;
use serde::de::DeserializeOwned;
use spinneret_crawler::address::Address;
use spinneret_crawler::crawl::{self, CrawlOptions, Ended, Source};
use spinneret_crawler::report::{FailureLine, ImageLine};
use spinneret_demo_site::{DemoSite, ServeOptions, serve};
use tokio::net::TcpListener;

use crate::args::DemoArgs;
use crate::progress::Display;
use crate::{Exit, UsageError, out};

/// Worker processes of the demo.
const WORKERS: usize = 2;

/// Serves the site and crawls it.
pub async fn run(args: DemoArgs) -> anyhow::Result<Exit> {
    let mut interrupts = super::interrupts()?;
    let address = args.serve.as_deref().unwrap_or("127.0.0.1:0");
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot serve the demo site at {address}"))?;
    let server = serve(listener, DemoSite::build(), ServeOptions::default()).await;
    if args.serve.is_some() {
        out::print(format_args!("serving the demo site at {} until Ctrl-C", server.url("/")))?;
        let _ = interrupts.wait_for(|count| *count > 0).await;
        server.shutdown().await;
        return Ok(Exit::Done);
    }
    make_way(&args.output)?;
    let seed = server.url("/");
    out::say(format_args!(
        "The demo site is at {seed}, on this machine alone. Crawling it by a manager and"
    ));
    out::say(format_args!("{WORKERS} worker processes, as this command would:\n"));
    out::say(format_args!(
        "  spinneret crawl {seed} --allow-private --workers {WORKERS} -o {}\n",
        args.output.display()
    ));
    let mut options = CrawlOptions::new(&args.output);
    options.workers = WORKERS;
    options.allow_private = true;
    let source = Source::Pages(vec![Address::parse(&seed)?]);
    let mut display = Display::new();
    let ended = crawl::run(options, source, interrupts, &mut display).await;
    display.finish();
    server.shutdown().await;
    let (summary, exit) = match ended? {
        Ended::Done(summary) => (summary, Exit::Done),
        Ended::Interrupted(summary) => (summary, Exit::Interrupted),
    };
    show_saved(&args.output)?;
    show_failures(&args.output)?;
    super::crawl::print_summary(&summary, &args.output, args.json)?;
    out::say(format_args!("\nThe images are in {}.", args.output.join("images").display()));
    out::say("`spinneret demo --serve 127.0.0.1:8000` serves the site for your browser.");
    Ok(exit)
}

/// Says that a folder is a demo's: what lacks it is never removed.
const MARKER: &str = ".spinneret/demo";

/// Removes an earlier demo's folder, and nothing else; makes the new one, marked as a demo's.
fn make_way(output: &Path) -> anyhow::Result<()> {
    let is_empty = fs::read_dir(output).is_ok_and(|mut entries| entries.next().is_none());
    if output.exists() && !is_empty {
        if !output.join(MARKER).is_file() {
            let why = format!(
                "{} is not an earlier demo's: choose another folder with -o",
                output.display()
            );
            return Err(UsageError(why).into());
        }
        fs::remove_dir_all(output)
            .with_context(|| format!("cannot replace {}", output.display()))?;
    }
    let marker = output.join(MARKER);
    let folder = marker.parent().unwrap_or(output);
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(&marker, ""))
        .with_context(|| format!("cannot write to {}", output.display()))
}

/// Makes a folder that a demo left anybody's: a crawl of theirs goes there now, and no later demo
/// may remove it.
pub(super) fn disown(output: &Path) -> anyhow::Result<()> {
    let marker = output.join(MARKER);
    if marker.exists() {
        fs::remove_file(&marker).with_context(|| format!("cannot remove {}", marker.display()))?;
    }
    Ok(())
}

fn show_saved(output: &Path) -> anyhow::Result<()> {
    let mut types: BTreeMap<String, (u64, u64, String)> = BTreeMap::new();
    for ImageLine { image, .. } in read_list::<ImageLine>(&output.join("images.jsonl"))? {
        let entry = types.entry(image.content_type.clone()).or_insert((0, 0, image.path));
        entry.0 += 1;
        entry.1 += image.bytes;
    }
    out::say("Saved, by type:");
    for (content_type, (count, bytes, example)) in types {
        out::say(format_args!(
            "  {content_type:<26} {count:>4} images {bytes:>8} bytes  such as {example}"
        ));
    }
    Ok(())
}

fn show_failures(output: &Path) -> anyhow::Result<()> {
    out::say("\nFailed, as the site has it on purpose:");
    for failure in read_list::<FailureLine>(&output.join("failures.jsonl"))? {
        let url: String = failure.url.chars().take(72).collect();
        let more = if url.len() < failure.url.len() { "..." } else { "" };
        out::say(format_args!("  {:<18} {url}{more}", failure.cause));
        out::say(format_args!("  {:<18}   {}", "", failure.detail));
    }
    out::say("");
    Ok(())
}

fn read_list<T: DeserializeOwned>(path: &Path) -> anyhow::Result<Vec<T>> {
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    text.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_demo_left_is_replaced() {
        let nest = tempfile::tempdir().unwrap();
        let folder = nest.path().join("demo");
        make_way(&folder).unwrap();
        let old = folder.join("images.jsonl");
        fs::write(&old, "").unwrap();
        make_way(&folder).unwrap();
        assert!(!old.exists());
        // Another crawl of the user's goes to the same folder.
        fs::write(&old, "").unwrap();
        disown(&folder).unwrap();
        let refused = make_way(&folder).unwrap_err();
        assert!(refused.is::<UsageError>() && refused.to_string().contains("-o"));
        assert!(old.exists() && folder.join(".spinneret").is_dir());
    }
}
