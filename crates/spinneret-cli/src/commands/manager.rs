//! `spinneret manager`.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use spinneret::manager::{Manager, tls};

use crate::args::ManagerArgs;
use crate::dashboard::Dashboard;
use crate::{Exit, UsageError, connect, key, out};

/// Serves queues until SIGTERM, Ctrl-C or a client's shutdown.
pub async fn run(args: ManagerArgs) -> anyhow::Result<Exit> {
    if let Some(folder) = &args.tls_generate {
        return generate(folder);
    }
    let mut names = HashSet::new();
    if let Some(twice) = args.register.iter().find(|queue| !names.insert(&queue.name)) {
        return Err(UsageError(format!("the queue {} is registered twice", twice.name)).into());
    }
    let key = key::for_manager(&args.key, &args.listen)?;
    let mut builder = Manager::builder()
        .listen(&args.listen)
        .authkey(key)
        .allow_md5(args.allow_md5)
        .allow_plaintext(args.allow_plaintext);
    if let Some(tls) = connect::tls_server(&args.tls) {
        builder = builder.tls(tls);
    }
    if let Some(folder) = &args.data {
        builder = builder.data(folder);
    }
    if let Some(hold) = args.python_leases {
        builder = builder.python_leases(hold);
    }
    for queue in &args.register {
        builder = builder.register(&queue.name, queue.options);
    }
    let mut interrupts = super::interrupts()?;
    let dashboard = match &args.dashboard {
        Some(address) => Some(Dashboard::bind(address).await?),
        None => None,
    };
    let manager = Arc::new(builder.start_async().await?);
    if let Some(dashboard) = dashboard {
        dashboard.notices().for_each(out::say);
        tokio::spawn(dashboard.serve(Arc::clone(&manager), None));
    }
    out::print(format_args!("listening on {}", manager.local_addr()))?;
    tokio::select! {
        () = manager.wait_shutdown_async() => {}
        _ = interrupts.wait_for(|count| *count > 0) => {}
    }
    manager.shutdown_async().await;
    Ok(Exit::Done)
}

/// Makes certificates for a start, and says who needs which.
fn generate(folder: &Path) -> anyhow::Result<Exit> {
    let made = tls::generate(folder)?;
    out::print(format_args!(
        "the manager: --tls-cert {} --tls-key {}\nits clients: --tls-ca {}",
        made.cert.display(),
        made.key.display(),
        made.ca.display()
    ))?;
    Ok(Exit::Done)
}
