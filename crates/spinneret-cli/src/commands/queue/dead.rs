//! `spinneret queue ADDRESS NAME dead`.

use serde_json::json;
use spinneret::manager::{DeadLetter, Queue};
use spinneret_pickle::Value;

use super::item;
use crate::args::DeadArgs;
use crate::out;

/// Shows dead letters, puts them back or drops them.
pub async fn run(queue: &Queue<Value>, args: &DeadArgs, json: bool) -> anyhow::Result<()> {
    let chooses = args.matching.is_some() || args.max.is_some();
    if args.requeue && !chooses {
        say_put_back(queue.requeue_dead_async().await?);
        return Ok(());
    }
    let mut chosen = queue.dead_async(usize::MAX).await?;
    if let Some(text) = &args.matching {
        chosen.retain(|dead| dead.reason.contains(text) || show(dead).contains(text));
    }
    chosen.truncate(args.max.unwrap_or(usize::MAX));
    let ids: Vec<u64> = chosen.iter().map(|dead| dead.id).collect();
    if args.requeue {
        say_put_back(queue.requeue_dead_letters_async(&ids).await?);
        return Ok(());
    }
    if args.drop {
        let missing = queue.drop_dead_async(&ids).await?;
        out::say(format_args!("{} dropped", ids.len() - missing.len()));
        return Ok(());
    }
    for dead in &chosen {
        let (deliveries, reason) = (dead.deliveries, &dead.reason);
        if json {
            let item = dead.item.as_ref().ok().map(item::json);
            out::print(json!({
                "id": dead.id, "deliveries": deliveries, "reason": reason, "item": item
            }))?;
        } else {
            out::print(format_args!("{deliveries}\t{reason}\t{}", show(dead)))?;
        }
    }
    Ok(())
}

fn say_put_back(count: usize) {
    out::say(format_args!("{count} put back"));
}

fn show(dead: &DeadLetter<Value>) -> String {
    dead.item.as_ref().map_or_else(|_| "(unreadable)".to_owned(), item::show)
}
