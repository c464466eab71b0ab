//! `spinneret manager`.

use spinneret::manager::{Manager, QueueOptions};

use crate::args::{ManagerArgs, Registration};
use crate::{Exit, key, out};

/// Serves queues until SIGTERM, Ctrl-C or a client's shutdown.
pub async fn run(args: ManagerArgs) -> anyhow::Result<Exit> {
    let key = key::for_manager(&args.key, &args.listen)?;
    let mut builder = Manager::builder().listen(&args.listen).authkey(key);
    for queue in &args.register {
        builder = builder.register(&queue.name, options(queue));
    }
    let mut interrupts = super::interrupts()?;
    let manager = builder.start_async().await?;
    out::print(format_args!("listening on {}", manager.local_addr()))?;
    tokio::select! {
        () = manager.wait_shutdown_async() => {}
        _ = interrupts.wait_for(|count| *count > 0) => {}
    }
    manager.shutdown_async().await;
    Ok(Exit::Done)
}

fn options(registration: &Registration) -> QueueOptions {
    let mut options = QueueOptions::new();
    if let Some(maxsize) = registration.maxsize {
        options = options.maxsize(maxsize);
    }
    if let Some(deliveries) = registration.max_deliveries {
        options = options.max_deliveries(deliveries);
    }
    options
}
